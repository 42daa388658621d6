//! `range-overlap`: the ephemeral range overlaps a range that something else allocates from.

use crate::domain::{
    Ephemeral, Evidence, Finding, PortRange, Severity, Translation,
    diagnosis::{
        About, Advice,
        advice::marked,
        nat_ports_exhausted::is_dense,
        remedies::{range_above_services, set_range},
        reservation::{self, single},
    },
    notation::{counted, grouped},
    port::{KUBERNETES_NODES, SERVICES},
};

/// Names of programs, one of which runs on most nodes of Kubernetes clusters.
const KUBERNETES: &[&str] = &["kubelet", "kube-proxy", "k3s", "k3s-agent", "k3s-server", "k0s"];

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    // The commands would replace the real list of reserved ports by an assumed one.
    if !evidence.snapshot.knows_range() {
        return Vec::new();
    }
    let found = [node_ports(evidence), services(evidence), translations(evidence)];
    found.into_iter().flatten().collect()
}

/// The part of the ephemeral range that something else allocates from, too.
struct RangeOverlap<'a> {
    ephemeral: &'a Ephemeral,
    other: PortRange,
    part: PortRange,
    /// Number of unreserved ports of `part`.
    ports: u32,
}

impl<'a> RangeOverlap<'a> {
    /// Returns None if all ports of the part are reserved, or if there is no such part.
    fn of(evidence: &Evidence<'a>, other: PortRange) -> Option<Self> {
        let ephemeral = &evidence.snapshot.ephemeral;
        let part = ephemeral.range.intersection(other)?;
        let ports = part.len() - ephemeral.reserved_in(part);
        (ports > 0).then_some(Self { ephemeral, other, part, ports })
    }

    /// Returns a finding with two alternative commands as advice.
    fn finding(&self, summary: String, now: [String; 2]) -> Finding {
        let [first, second] = now;
        Finding::new(Severity::Notice, About::Machine, summary)
            .figure("ephemeral_range", self.ephemeral.range.to_string())
            .figure("other_range", self.other.to_string())
            .figure("overlap", self.part.to_string())
            .figure("overlapping_ports", self.ports)
            .advice(Advice::default().now(first).now(second).setting("the setting"))
    }
}

fn node_ports(evidence: &Evidence<'_>) -> Option<Finding> {
    let mut names = evidence.processes.iter().map(|process| process.name.as_str());
    let name = names.find(|name| KUBERNETES.contains(name))?;
    let nodes = KUBERNETES_NODES;
    let overlap = RangeOverlap::of(evidence, nodes)?;
    // A range from an even port to an odd one has an even number of ports.
    let last = overlap.ephemeral.range.last().max(60_999) | 1;
    let above = PortRange::new(nodes.last() + 1, last).ok()?;
    let summary = format!(
        "{} of the ephemeral range are in Kubernetes' NodePort range {nodes} ({name} runs here)",
        counted(overlap.ports, "port"),
    );
    let reserve = reservation::command(overlap.ephemeral, [nodes]);
    let now = [
        format!("reserve the NodePort range: {}", marked(reserve)),
        format!("alternatively, start the ephemeral range above it: {}", marked(set_range(above))),
    ];
    let finding = overlap
        .finding(summary, now)
        .meaning(
            "connect() and bind() to port 0 on this node may take the port of a NodePort service. \
             A kube-proxy, load balancer or ingress that binds that port then fails with \
             EADDRINUSE.",
        )
        .avoid(
            "do not change --service-node-port-range of a running cluster instead: existing \
             services keep their ports",
        );
    Some(finding)
}

fn services(evidence: &Evidence<'_>) -> Option<Finding> {
    let overlap = RangeOverlap::of(evidence, SERVICES)?;
    let summary = format!(
        "the ephemeral range starts at {}, among the ports of common services",
        overlap.ephemeral.range.first(),
    );
    let now = [
        format!(
            "reserve the ports that services on this host listen on, for example: {}",
            marked(reservation::command(overlap.ephemeral, [3306, 5432, 6379, 8080].map(single))),
        ),
        format!(
            "alternatively, start the range at a higher port: {}",
            marked(set_range(range_above_services(evidence))),
        ),
    ];
    let finding = overlap
        .finding(summary, now)
        .meaning(
            "connect() may take the port of a service that is not running. The service then fails \
             to start with EADDRINUSE. This is rare, and a later start may succeed.",
        )
        .avoid("do not rely on the start order of services: each restart has the same race");
    Some(finding)
}

/// Reports the first translation that has a port range of its own and overlaps the ephemeral range.
/// Other translations keep the source ports of the translated hosts, usually from the ephemeral
/// range of those hosts.
fn translations(evidence: &Evidence<'_>) -> Option<Finding> {
    let rows =
        evidence.snapshot.vitals.conntrack.iter().flat_map(|c| c.translated.iter().flatten());
    let has_range = |row: &&Translation| row.ports >= 4 && is_dense(row);
    let (source, overlap) = rows
        .filter(has_range)
        .find_map(|row| Some((row.source, RangeOverlap::of(evidence, row.seen)?)))?;
    let RangeOverlap { ephemeral, other, ports, .. } = overlap;
    let summary = format!(
        "NAT as {source} uses ports {other}, {} of them in the ephemeral range",
        grouped(ports),
    );
    let now = [
        format!(
            "let the NAT rule use ports outside {}: masquerade to :FIRST-LAST (nft -a list ruleset \
             shows the rule)",
            ephemeral.range,
        ),
        format!(
            "alternatively, reserve the ports of the NAT rule: {}",
            marked(reservation::command(ephemeral, [other])),
        ),
    ];
    let finding = overlap
        .finding(summary, now)
        .meaning(
            "No socket table shows the ports that NAT uses, and bind() does not fail on them. But \
             connections of this host and translated ones share the ports to a destination: the \
             later connection gets another port. If none is left, its connect() hangs until \
             ETIMEDOUT.",
        )
        .avoid(
            "do not give NAT a small range to avoid the overlap: connections to one destination \
             hang once it is used up",
        );
    Some(finding)
}
