//! Decides which gaps of a snapshot may hide a socket on a port. Does not find the gaps.

use crate::domain::{
    Gap, Protocol, Snapshot, Table,
    availability::{Answer, Verdict},
};

/// Returns `Verdict::Free`, unless sockets that would block are missing in the snapshot. Missing
/// IPv4 sockets matter only if `with_v4` is true. Missing IPv6 sockets always matter, because they
/// may also accept IPv4.
pub fn free_as_far_as_seen(
    snapshot: &Snapshot,
    protocol: Protocol,
    port: u16,
    with_v4: bool,
    because: String,
) -> Answer {
    match snapshot.gaps.iter().find(|gap| hides(gap, protocol, port, with_v4)) {
        None => Answer::new(Verdict::Free, because),
        Some(gap) => Answer::new(
            Verdict::Unknown,
            format!("{because}, but {} may be missing: {}", gap.what(), gap.why()),
        ),
    }
}

pub fn hides(gap: &Gap, protocol: Protocol, port: u16, with_v4: bool) -> bool {
    match gap {
        Gap::DumpInterrupted { table }
        | Gap::DumpTruncated { table }
        | Gap::TableRefused { table, .. } => match table {
            Table::Tcp | Table::Tcp6 => protocol == Protocol::Tcp,
            Table::Tcp4 => protocol == Protocol::Tcp && with_v4,
            Table::Udp4 => protocol == Protocol::Udp && with_v4,
            Table::Udp6 => protocol == Protocol::Udp,
        },
        Gap::PortsInDoubt { ports } => protocol == Protocol::Tcp && ports.contains(port),
        // `Gap::DualStackUnknown` is handled in `Reach::of_holder`.
        gap => gap.hides_bound_inactive() && protocol == Protocol::Tcp,
    }
}
