//! `range-overlap`: the ephemeral range overlaps a range that something else allocates from.

use crate::domain::{
    Ephemeral, Evidence, Finding, PortRange, Severity, Translation,
    diagnosis::{
        finding::{About, Figure},
        nat_ports_exhausted::is_dense,
        reservation::{self, single},
    },
    notation::grouped,
};

/// The default of `--service-node-port-range` of kube-apiserver.
const NODE_PORTS: (u16, u16) = (30_000, 32_767);
/// Programs that run on every node of a Kubernetes cluster.
const KUBERNETES: &[&str] = &["kubelet", "kube-proxy", "k3s", "k3s-agent", "k3s-server", "k0s"];
/// The ports of most services. The whole range of registered ports, 1024-49151 (RFC 6335, section
/// 6), is not used here, because the default ephemeral range overlaps it.
const SERVICES: (u16, u16) = (0, 9_999);

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let ephemeral = &evidence.snapshot.ephemeral;
    let found = [node_ports(evidence), services(ephemeral), translations(evidence)];
    found.into_iter().flatten().collect()
}

/// Returns the part of `of` in the ephemeral range, and the number of its unreserved ports.
fn overlap(ephemeral: &Ephemeral, of: PortRange) -> Option<(PortRange, u32)> {
    let part = ephemeral.range.intersection(of)?;
    let ports = part.len() - ephemeral.reserved_in(part);
    (ports > 0).then_some((part, ports))
}

fn node_ports(evidence: &Evidence<'_>) -> Option<Finding> {
    let mut names = evidence.processes.iter().map(|process| process.name.as_str());
    let name = names.find(|name| KUBERNETES.contains(name))?;
    let nodes = PortRange::new(NODE_PORTS.0, NODE_PORTS.1).ok()?;
    let ephemeral = &evidence.snapshot.ephemeral;
    let (part, ports) = overlap(ephemeral, nodes)?;
    Some(Finding {
        summary: format!(
            "{} ports of the ephemeral range are in Kubernetes' NodePort range {nodes} ({name} \
             runs here)",
            grouped(ports),
        ),
        cause: String::new(),
        steps: Vec::new(),
        meaning: "connect() and bind(0) on this node may take the port of a NodePort service. A \
                  kube-proxy, load balancer or ingress that binds that port then fails with \
                  EADDRINUSE, and the port does not show which of them traffic belongs to."
            .to_owned(),
        advice: vec![
            format!("reserve the NodePort range: {}", reservation::command(ephemeral, [nodes])),
            format!(
                "or start the ephemeral range above it: sysctl -w \
                 net.ipv4.ip_local_port_range=\"32768 {}\"",
                ephemeral.range.last().max(60_999),
            ),
        ],
        avoid: vec![
            "do not change --service-node-port-range of a running cluster instead: existing \
             services keep their ports"
                .to_owned(),
        ],
        ..notice(ephemeral, nodes, part, ports)
    })
}

fn services(ephemeral: &Ephemeral) -> Option<Finding> {
    let low = PortRange::new(SERVICES.0, SERVICES.1).ok()?;
    let (part, ports) = overlap(ephemeral, low)?;
    Some(Finding {
        summary: format!(
            "the ephemeral range starts at {}, among the ports of common services",
            ephemeral.range.first(),
        ),
        cause: String::new(),
        steps: Vec::new(),
        meaning: "connect() may take the port of a service that is not running; the service then \
                  fails to start with EADDRINUSE. This is rare and goes away by itself, which \
                  makes it hard to find."
            .to_owned(),
        advice: vec![
            format!(
                "reserve the ports that services on this host listen on, for example: {}",
                reservation::command(ephemeral, [3306, 5432, 6379, 8080].map(single)),
            ),
            format!(
                "or start higher: sysctl -w net.ipv4.ip_local_port_range=\"10240 {}\"",
                ephemeral.range.last().max(20_479),
            ),
        ],
        avoid: vec![
            "do not rely on the start order of services: each restart has the same race".to_owned(),
        ],
        ..notice(ephemeral, low, part, ports)
    })
}

/// Reports only translations that choose ports from a range of their own. Others keep the source
/// ports of the translated hosts, which are usually in the ephemeral range of those hosts.
fn translations(evidence: &Evidence<'_>) -> Option<Finding> {
    let ephemeral = &evidence.snapshot.ephemeral;
    let rows =
        evidence.snapshot.vitals.conntrack.iter().flat_map(|c| c.translated.iter().flatten());
    let has_range = |row: &&Translation| row.ports >= 4 && is_dense(row);
    let (row, part, ports) = rows.filter(has_range).find_map(|row| {
        let (part, ports) = overlap(ephemeral, row.seen)?;
        Some((row, part, ports))
    })?;
    Some(Finding {
        summary: format!(
            "NAT as {} uses ports {}, {} of them in the ephemeral range",
            row.source,
            row.seen,
            grouped(ports),
        ),
        cause: String::new(),
        steps: Vec::new(),
        meaning:
            "A translated connection does not prevent this host from binding its port, and no \
             socket table shows it. Both share the ports towards one destination: the later \
             connection gets another port, and hangs without an errno if none is left."
                .to_owned(),
        advice: vec![
            format!(
                "keep them apart: masquerade to ports outside {} (nft -a list ruleset shows the \
                 rule)",
                ephemeral.range,
            ),
            format!(
                "or reserve the ports of the NAT rule: {}",
                reservation::command(ephemeral, [row.seen]),
            ),
        ],
        avoid: vec![
            "do not give NAT a small range to keep them apart: connections to one destination \
             hang once it is used up"
                .to_owned(),
        ],
        ..notice(ephemeral, row.seen, part, ports)
    })
}

/// The fields that all findings of this rule share.
fn notice(ephemeral: &Ephemeral, other: PortRange, part: PortRange, ports: u32) -> Finding {
    Finding {
        rule: "range-overlap",
        severity: Severity::Notice,
        about: About::Machine,
        summary: String::new(),
        cause: String::new(),
        steps: Vec::new(),
        meaning: String::new(),
        evidence: vec![
            ("ephemeral_range", Figure::Text(ephemeral.range.to_string())),
            ("other_range", Figure::Text(other.to_string())),
            ("overlap", Figure::Text(part.to_string())),
            ("overlapping_ports", Figure::Count(ports.into())),
        ],
        advice: Vec::new(),
        avoid: Vec::new(),
    }
}
