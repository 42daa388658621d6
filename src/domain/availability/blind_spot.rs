//! Decides which gaps of a snapshot may hide a socket on a port. Does not find the gaps.

use crate::domain::{Gap, Protocol, Snapshot, Table, availability::Answer};

/// Returns `Verdict::Free`, or `Verdict::Unknown` if a gap may hide a socket that blocks the port.
/// Hidden IPv4 sockets matter only if `with_v4` is true. Hidden IPv6 sockets always matter, because
/// they may also accept IPv4.
pub fn free_as_far_as_seen(
    snapshot: &Snapshot,
    protocol: Protocol,
    port: u16,
    with_v4: bool,
    because: String,
) -> Answer {
    match snapshot.gaps.iter().find(|gap| hides(gap, protocol, port, with_v4)) {
        None => Answer::free(because),
        Some(gap) => {
            Answer::unknown(format!("{because}, but {} may be missing: {}", gap.what(), gap.why()))
        }
    }
}

/// Returns whether the gap may hide a socket of `protocol` on `port`. If `with_v4` is false,
/// ignores gaps in IPv4 tables.
pub fn hides(gap: &Gap, protocol: Protocol, port: u16, with_v4: bool) -> bool {
    if let Some(table) = gap.table() {
        let has_v4_only = matches!(table, Table::Tcp4 | Table::Udp4);
        return table.protocol() == protocol && (with_v4 || !has_v4_only);
    }
    match gap {
        Gap::PortsInDoubt { ports } => protocol == Protocol::Tcp && ports.contains(port),
        // `Gap::DualStackUnknown` hides no socket: see `BoundAddresses::of_v6_holder`.
        gap => gap.hides_bound_inactive() && protocol == Protocol::Tcp,
    }
}
