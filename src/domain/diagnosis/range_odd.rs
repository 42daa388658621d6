//! `range-odd`: the ephemeral range has an odd number of ports, and each search skips one of them.

use crate::domain::{
    Evidence, Finding, PortRange, Protocol, Severity,
    diagnosis::{About, Advice, SysctlChange, advice::marked, remedies, wording::parity},
    notation::grouped,
};

/// Reports a range with an odd number of ports. `__inet_hash_connect` and `inet_csk_find_open_port`
/// round the number of ports down to an even one and start at a random port. Depending on the
/// start, each search skips the first or the last port of the range. A range of one port is
/// searched completely.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let range = evidence.snapshot.ephemeral.range;
    if range.len() == 1 || range.len().is_multiple_of(2) {
        return Vec::new();
    }
    let parity = parity(range.first());
    let summary = format!(
        "the ephemeral range {range} has an odd number of ports ({}): each connect() and bind() to \
         port 0 skips one of them",
        grouped(range.len())
    );
    let finding = Finding::new(Severity::Notice, About::Range(Protocol::Tcp), summary)
        .meaning(format!(
            "The kernel searches TCP ports in pairs. Both ends of this range are {parity}, so each \
             search skips the first or the last port: connect() can fail with EADDRNOTAVAIL, and \
             bind() to port 0 with EADDRINUSE, although one port is left. The kernel logs a \
             warning about such ranges. UDP is not affected."
        ))
        .figure("first", range.first())
        .figure("last", range.last())
        .figure("size", range.len())
        .figure("searched", range.len() - 1)
        .advice(Advice::default().change(Some(change(evidence))))
        .avoid("do not rely on the last free port of such a range: a retry may or may not find it");
    vec![finding]
}

/// Returns the change to a range with an even number of ports. If another rule advises to widen the
/// range or to start it at a higher port, so does this one.
fn change(evidence: &Evidence<'_>) -> SysctlChange {
    let ephemeral = &evidence.snapshot.ephemeral;
    remedies::widening(evidence).unwrap_or_else(|| {
        let shorter = PortRange::new(ephemeral.range.first(), ephemeral.range.last() - 1).ok();
        let shorter = shorter.filter(|_| !remedies::has_service_ports(ephemeral));
        let (range, what) = match shorter {
            Some(range) => (range, "end the range one port earlier"),
            None => (remedies::range_above_services(evidence), "start the range at a higher port"),
        };
        let command = remedies::set_range(range);
        SysctlChange {
            step: command.clone(),
            full: format!(
                "{what}: {} (takes effect at once, in this network namespace)",
                marked(&command)
            ),
            command,
            lines: vec![format!("net.ipv4.ip_local_port_range = {}", remedies::as_sysctl(range))],
        }
    })
}
