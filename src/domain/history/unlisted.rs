//! Which sockets a snapshot could not list, by its gaps. Not why.

use crate::domain::{Family, Gap, Protocol, State, Table};

use super::Known;

/// What may be there although the snapshot does not show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unlisted {
    tcp4: bool,
    tcp6: bool,
    udp4: bool,
    udp6: bool,
    /// Bound-inactive TCP sockets.
    bound: bool,
}

impl Unlisted {
    pub fn of(gaps: &[Gap]) -> Self {
        let mut unlisted = Self::default();
        for gap in gaps {
            match gap {
                Gap::DumpInterrupted { table }
                | Gap::DumpTruncated { table }
                | Gap::TableRefused { table, .. } => unlisted.add(*table),
                Gap::NetlinkRefused { .. } | Gap::BoundInactiveUnlisted { .. } => {
                    unlisted.bound = true;
                }
                Gap::OwnersHidden { .. }
                | Gap::OwnersInvisible { .. }
                | Gap::OwnersUnreadable { .. }
                | Gap::DualStackUntold { .. }
                | Gap::PolicyAssumed { .. } => {}
            }
        }
        unlisted
    }

    fn add(&mut self, table: Table) {
        match table {
            Table::Tcp => (self.tcp4, self.tcp6) = (true, true),
            Table::Tcp4 => self.tcp4 = true,
            Table::Tcp6 => self.tcp6 = true,
            Table::Udp4 => self.udp4 = true,
            Table::Udp6 => self.udp6 = true,
        }
    }

    pub fn hides(self, known: &Known) -> bool {
        let by_table = match (known.protocol, known.family) {
            (Protocol::Tcp, Family::Ipv4) => self.tcp4,
            (Protocol::Tcp, Family::Ipv6 | Family::Dual) => self.tcp6,
            (Protocol::Udp, Family::Ipv4) => self.udp4,
            (Protocol::Udp, Family::Ipv6 | Family::Dual) => self.udp6,
        };
        by_table || (self.bound && known.state == State::Bound)
    }
}
