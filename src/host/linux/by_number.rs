//! Asks the kernel which listening TCP and unconnected UDP sockets were bound to an explicit port
//! number. Does not evaluate the answer.

use crate::{
    domain::{Family, Protocol, Snapshot, Socket, State, Table},
    host::linux::sock_diag::{DiagSocket, DumpError},
};

/// `TCPF_LISTEN`, and `TCPF_CLOSE`, which UDP uses for unconnected sockets.
const LISTENING: u32 = 1 << 10;
const UNCONNECTED: u32 = 1 << 7;

/// Asks once about each socket: how a port was bound does not change while it is bound.
#[derive(Default)]
pub(super) struct ByNumber {
    /// Pairs of a cookie and whether the port was bound by its number, ordered by cookie.
    known: Vec<(u64, bool)>,
    dumped: Vec<Socket>,
}

impl ByNumber {
    /// Returns the cookies of `Vitals::by_number`, ascending; None: the dump failed.
    pub(super) fn find(
        &mut self,
        netlink: &mut DiagSocket,
        snapshot: &Snapshot,
    ) -> Option<Vec<u64>> {
        let range = snapshot.ephemeral.range;
        let is_asked = |socket: &&Socket| {
            matches!(socket.state, State::Listen | State::Unconnected)
                && range.contains(socket.local.port)
        };
        let asked = || snapshot.sockets.iter().filter(is_asked);
        let unknown = asked().filter(|socket| self.is_unknown(socket));
        let mut tables: Vec<Table> = unknown.map(table).collect();
        if !tables.is_empty() {
            self.dump(netlink, &mut tables).ok()?;
        }
        let mut known: Vec<(u64, bool)> =
            asked().filter_map(|socket| Some((socket.cookie?, self.knows(socket)?))).collect();
        known.sort_unstable();
        self.known = known;
        Some(self.known.iter().filter(|(_, is_by)| *is_by).map(|(cookie, _)| *cookie).collect())
    }

    /// Fills `dumped` from `tables`.
    fn dump(&mut self, netlink: &mut DiagSocket, tables: &mut Vec<Table>) -> Result<(), DumpError> {
        tables.sort_unstable_by_key(|table| *table as u8);
        tables.dedup();
        self.dumped.clear();
        for &table in tables.iter() {
            let states = if table.protocol() == Protocol::Tcp { LISTENING } else { UNCONNECTED };
            netlink.dump_by_number(table, states, None, &mut self.dumped)?;
        }
        self.dumped.sort_unstable_by_key(|socket| socket.cookie);
        Ok(())
    }

    fn is_unknown(&self, socket: &Socket) -> bool {
        socket.cookie.is_some_and(|cookie| self.index_of(cookie).is_none())
    }

    fn index_of(&self, cookie: u64) -> Option<usize> {
        self.known.binary_search_by_key(&cookie, |&(known, _)| known).ok()
    }

    /// Returns whether the port was bound by its number, from earlier answers or else from the last
    /// dump. None: the socket has no cookie.
    fn knows(&self, socket: &Socket) -> Option<bool> {
        let before = self.index_of(socket.cookie?).and_then(|index_of| self.known.get(index_of));
        let is_dumped = || self.dumped.binary_search_by_key(&socket.cookie, |s| s.cookie).is_ok();
        Some(before.map_or_else(is_dumped, |&(_, is_by)| is_by))
    }
}

fn table(socket: &Socket) -> Table {
    match (socket.protocol, socket.family) {
        (Protocol::Tcp, Family::Ipv4) => Table::Tcp4,
        (Protocol::Tcp, _) => Table::Tcp6,
        (Protocol::Udp, Family::Ipv4) => Table::Udp4,
        (Protocol::Udp, _) => Table::Udp6,
    }
}
