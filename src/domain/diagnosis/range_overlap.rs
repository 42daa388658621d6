//! `range-overlap`: the ephemeral range overlaps a range that something else allocates from.

use crate::domain::{
    Ephemeral, Evidence, Finding, PortRange, Severity, Translation,
    diagnosis::{
        finding::{About, Figure},
        nat_ports_exhausted::is_dense,
        remedies::{SERVICES, kept, marked, range_above_services},
        reservation::{self, single},
    },
    notation::{counted, grouped},
};

/// The default of `--service-node-port-range` of kube-apiserver.
const NODE_PORTS: (u16, u16) = (30_000, 32_767);
/// Names of programs, one of which runs on every node of a Kubernetes cluster.
const KUBERNETES: &[&str] = &["kubelet", "kube-proxy", "k3s", "k3s-agent", "k3s-server", "k0s"];

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let found = [node_ports(evidence), services(evidence), translations(evidence)];
    found.into_iter().flatten().collect()
}

/// Returns the part of `of` in the ephemeral range, and the number of its unreserved ports. None:
/// this number is 0.
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
            "{} of the ephemeral range are in Kubernetes' NodePort range {nodes} ({name} runs \
             here)",
            counted(ports, "port"),
        ),
        cause: String::new(),
        steps: Vec::new(),
        meaning: "connect() and bind() to port 0 on this node may take the port of a NodePort \
                  service. A kube-proxy, load balancer or ingress that binds that port then fails \
                  with EADDRINUSE."
            .to_owned(),
        advice: alternatives([
            format!("reserve the NodePort range: {}", reservation::command(ephemeral, [nodes])),
            format!(
                "alternatively, start the ephemeral range above it: sysctl -w \
                 net.ipv4.ip_local_port_range=\"32768 {}\"",
                odd(ephemeral.range.last().max(60_999)),
            ),
        ]),
        avoid: vec![
            "do not change --service-node-port-range of a running cluster instead: existing \
             services keep their ports"
                .to_owned(),
        ],
        ..notice(ephemeral, nodes, part, ports)
    })
}

fn services(evidence: &Evidence<'_>) -> Option<Finding> {
    let ephemeral = &evidence.snapshot.ephemeral;
    let low = PortRange::new(SERVICES.0, SERVICES.1).ok()?;
    let (part, ports) = overlap(ephemeral, low)?;
    Some(Finding {
        summary: format!(
            "the ephemeral range starts at {}, among the ports of common services",
            ephemeral.range.first(),
        ),
        cause: String::new(),
        steps: Vec::new(),
        meaning: "connect() may take the port of a service that is not running. The service then \
                  fails to start with EADDRINUSE. This is rare, and a later start may succeed."
            .to_owned(),
        advice: alternatives([
            format!(
                "reserve the ports that services on this host listen on, for example: {}",
                reservation::command(ephemeral, [3306, 5432, 6379, 8080].map(single)),
            ),
            format!(
                "alternatively, start the range at a higher port: sysctl -w \
                 net.ipv4.ip_local_port_range=\"{}\"",
                range_above_services(evidence),
            ),
        ]),
        avoid: vec![
            "do not rely on the start order of services: each restart has the same race".to_owned(),
        ],
        ..notice(ephemeral, low, part, ports)
    })
}

/// Reports the first translation that has a port range of its own and overlaps the ephemeral range.
/// Other translations keep the source ports of the translated hosts, usually from the ephemeral
/// range of those hosts.
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
            "No socket table shows the ports that NAT uses, and bind() does not fail on them. But \
             connections of this host and translated ones share the ports to a destination: the \
             later connection gets another port. If none is left, its connect() hangs until \
             ETIMEDOUT."
                .to_owned(),
        advice: alternatives([
            format!(
                "let the NAT rule use ports outside {}: masquerade to :FIRST-LAST (nft -a list \
                 ruleset shows the rule)",
                ephemeral.range,
            ),
            format!(
                "alternatively, reserve the ports of the NAT rule: {}",
                reservation::command(ephemeral, [row.seen]),
            ),
        ]),
        avoid: vec![
            "do not give NAT a small range to avoid the overlap: connections to one destination \
             hang once it is used up"
                .to_owned(),
        ],
        ..notice(ephemeral, row.seen, part, ports)
    })
}

/// Returns `port`, or the next port if `port` is even. A range from an even port to an odd one has
/// an even number of ports.
fn odd(port: u16) -> u16 {
    port | 1
}

/// Returns advice with two alternative commands, and how to keep the setting of the chosen one.
fn alternatives(now: [String; 2]) -> Vec<String> {
    marked(now.into(), kept(&["the setting"]).into_iter().collect())
}

/// Returns a finding with the fields that all findings of this rule share.
fn notice(ephemeral: &Ephemeral, other: PortRange, part: PortRange, ports: u32) -> Finding {
    Finding {
        severity: Severity::Notice,
        about: About::Machine,
        summary: String::new(),
        meaning: String::new(),
        evidence: vec![
            ("ephemeral_range", Figure::Text(ephemeral.range.to_string())),
            ("other_range", Figure::Text(other.to_string())),
            ("overlap", Figure::Text(part.to_string())),
            ("overlapping_ports", Figure::Count(ports.into())),
        ],
        ..Finding::default()
    }
}
