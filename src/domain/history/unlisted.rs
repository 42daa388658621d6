//! Which sockets a snapshot could not list, according to its gaps. Does not say why.

use crate::domain::{Family, Gap, Protocol, State, Table};

use super::KnownPorts;

/// Sockets that may exist although the snapshot does not show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UnlistedPorts {
    /// Whether a table is incomplete: by protocol, then for IPv4 and IPv6.
    pub tables: [[bool; 2]; Protocol::EACH.len()],
    /// Whether bound-inactive TCP sockets are not listed.
    pub bound: bool,
}

impl UnlistedPorts {
    pub fn of(gaps: &[Gap]) -> Self {
        let mut unlisted = Self::default();
        let [tcp, udp] = &mut unlisted.tables;
        for gap in gaps {
            match gap.table() {
                Some(Table::Tcp) => *tcp = [true; 2],
                Some(Table::Tcp4) => tcp[0] = true,
                Some(Table::Tcp6) => tcp[1] = true,
                Some(Table::Udp4) => udp[0] = true,
                Some(Table::Udp6) => udp[1] = true,
                None => unlisted.bound |= gap.hides_bound_inactive(),
            }
        }
        unlisted
    }

    pub fn hides(self, known: &KnownPorts) -> bool {
        // A dual-stack socket is in the IPv6 table.
        let family = usize::from(known.family != Family::Ipv4);
        let by_table = self.tables[known.protocol as usize][family];
        by_table || (self.bound && known.state == State::Bound)
    }
}
