//! Takes snapshots of the machine this program runs on. Neither decodes nor judges.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    domain::{
        Destination, Gap, Holders, Interfaces, Machine, Snapshot, Socket, Source, Table,
        attribution::{Departed, attribute},
        snapshot::Listened,
    },
    host::{
        HostError, OwnerDepth, Publications, Scanner,
        linux::{
            address,
            by_number::ByNumber,
            owners::OwnerFinder,
            policy::PolicyReader,
            procfs,
            rtnetlink::RouteSocket,
            self_test::SelfTest,
            sock_diag::{ALL_STATES, CONNECTED, DiagSocket, Flaw},
            tunnels::TunnelFinder,
            vitals::{VitalsReader, conntrack},
        },
    },
};

/// Stays in the network namespace it was made in, but for the policy and `/proc/net`: those are
/// the calling thread's.
pub struct LinuxScanner {
    machine: Arc<Machine>,
    /// Or why there is none.
    netlink: Result<DiagSocket, io::ErrorKind>,
    /// Until it has ended.
    self_test: Option<SelfTest>,
    /// Its result.
    bound_inactive: Option<Gap>,
    table: Vec<u8>,
    policy: PolicyReader,
    vitals: VitalsReader,
    by_number: ByNumber,
    tunnels: TunnelFinder,
    repetitions: Repetitions,
    owners: OwnerFinder,
    departed: Departed,
    listened: Listened,
    number: u64,
}

impl LinuxScanner {
    pub fn new(machine: Arc<Machine>) -> Self {
        Self::over(machine, DiagSocket::open().map_err(|error| error.kind()))
    }

    /// With a netlink socket of the caller's, or the reason why there is none.
    pub fn over(machine: Arc<Machine>, netlink: Result<DiagSocket, io::ErrorKind>) -> Self {
        Self {
            machine,
            self_test: netlink.is_ok().then(SelfTest::start),
            netlink,
            bound_inactive: None,
            table: Vec::new(),
            policy: PolicyReader::default(),
            vitals: VitalsReader::default(),
            by_number: ByNumber::default(),
            tunnels: TunnelFinder::default(),
            repetitions: Repetitions::default(),
            owners: OwnerFinder::new(),
            departed: Departed::default(),
            listened: Listened::default(),
            number: 0,
        }
    }

    /// Fills in sockets, of one port or of all, gaps and the source.
    fn list(&mut self, port: Option<u16>, snapshot: &mut Snapshot) -> Result<(), HostError> {
        snapshot.source = Source::SockDiag;
        let tables = match self.dump(Table::Tcp, port, snapshot) {
            Ok(()) => &[Table::Udp4, Table::Udp6][..],
            Err(_) => &[Table::Tcp4, Table::Tcp6, Table::Udp4, Table::Udp6],
        };
        let mut unlisted = 0;
        for &table in tables {
            let Err(refusal) = self.dump(table, port, snapshot) else { continue };
            match self.read(table, snapshot) {
                Ok(()) => note_stand_in(table, refusal, snapshot),
                Err(error) => {
                    unlisted += 1;
                    snapshot.gaps.push(Gap::TableRefused { table, error });
                }
            }
        }
        match snapshot.gaps.last() {
            Some(&Gap::TableRefused { error, .. }) if unlisted == 4 => Err(HostError::new(
                "list the sockets, neither by NETLINK_SOCK_DIAG nor by /proc/thread-self/net",
                error,
            )),
            _ => Ok(()),
        }
    }

    /// By netlink. A flaw that leaves a part of the table is a gap, not an error.
    fn dump(
        &mut self,
        table: Table,
        port: Option<u16>,
        snapshot: &mut Snapshot,
    ) -> Result<(), io::ErrorKind> {
        let netlink = self.netlink.as_mut().map_err(|kind| *kind)?;
        match netlink.dump_port(table, ALL_STATES, port, &mut snapshot.sockets) {
            Ok(()) => {}
            Err(Flaw::Refused(error)) => return Err(error),
            Err(Flaw::Malformed) => return Err(io::ErrorKind::InvalidData),
            Err(Flaw::Interrupted) => snapshot.gaps.push(Gap::DumpInterrupted { table }),
            Err(Flaw::Truncated) => snapshot.gaps.push(Gap::DumpTruncated { table }),
        }
        Ok(())
    }

    /// By netlink alone; /proc/net does not say how a port was bound.
    fn dump_numbered(&mut self) -> Result<Vec<Socket>, Flaw> {
        let Ok(netlink) = &mut self.netlink else { return Err(Flaw::Malformed) };
        let mut sockets = Vec::new();
        if netlink.dump_by_number(Table::Tcp, CONNECTED, &mut sockets).is_err() {
            sockets.clear();
            netlink.dump_by_number(Table::Tcp4, CONNECTED, &mut sockets)?;
            netlink.dump_by_number(Table::Tcp6, CONNECTED, &mut sockets)?;
        }
        Ok(sockets)
    }

    /// A dump that is not whole cannot end it.
    fn end_self_test(&mut self, snapshot: &mut Snapshot) {
        let Some(test) = self.self_test.take() else { return };
        if test.remove_probe(&mut snapshot.sockets) {
            return;
        }
        if snapshot.gaps.is_empty() {
            self.bound_inactive = test.gap(self.machine.kernel.as_str());
        } else {
            self.self_test = Some(test);
        }
    }

    /// Our own socket is dumped by itself, unless it has the very port that was.
    fn end_self_test_of(&mut self, port: u16, snapshot: &mut Snapshot) {
        let own = self.self_test.as_ref().and_then(SelfTest::port);
        if own == Some(port) {
            return self.end_self_test(snapshot);
        }
        let mut alone = Snapshot::empty(Arc::clone(&self.machine), Source::SockDiag);
        if own.is_some() && self.dump(Table::Tcp, own, &mut alone).is_err() {
            return;
        }
        self.end_self_test(&mut alone);
    }

    /// Once all sockets are listed: their order, gaps and policy.
    fn complete(&mut self, snapshot: &mut Snapshot) {
        self.repetitions.remove(&mut snapshot.sockets);
        snapshot.sort();
        if snapshot.source == Source::SockDiag {
            snapshot.gaps.extend(self.bound_inactive.clone());
        }
        snapshot.ephemeral = self.policy.read(&mut snapshot.gaps);
        snapshot.interfaces = interfaces_of(&snapshot.sockets);
    }

    /// What the kernel tells only of sockets that are listed and attributed.
    fn ask_further(&mut self, snapshot: &mut Snapshot) {
        snapshot.name_tunnels(self.tunnels.find(&snapshot.sockets));
        if let (Ok(netlink), Source::SockDiag) = (&mut self.netlink, snapshot.source) {
            snapshot.vitals.by_number = self.by_number.find(netlink, snapshot);
        }
    }

    fn stamp(&mut self, started: Duration, snapshot: &mut Snapshot) {
        self.number += 1;
        snapshot.number = self.number;
        snapshot.machine = Arc::clone(&self.machine);
        snapshot.taken_at = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        snapshot.cost = cpu_time().saturating_sub(started);
    }

    /// From /proc/net.
    fn read(&mut self, table: Table, snapshot: &mut Snapshot) -> Result<(), io::ErrorKind> {
        procfs::read_table(table, &mut self.table).map_err(|error| error.kind())?;
        if procfs::parse_table(table, &self.table, &mut snapshot.sockets).is_err() {
            snapshot.gaps.push(Gap::DumpTruncated { table });
        }
        Ok(())
    }
}

/// Those that sockets are bound to.
fn interfaces_of(sockets: &[Socket]) -> Interfaces {
    let mut indexes: Vec<u32> = sockets.iter().filter_map(|socket| socket.interface).collect();
    indexes.sort_unstable();
    indexes.dedup();
    address::interface_names(indexes).into_iter().collect()
}

/// Says once each what is lost where /proc/net stands in.
fn note_stand_in(table: Table, error: io::ErrorKind, snapshot: &mut Snapshot) {
    let dual_stack = Gap::DualStackUntold { error };
    if matches!(table, Table::Tcp | Table::Tcp4 | Table::Tcp6) && snapshot.source != Source::Procfs
    {
        snapshot.source = Source::Procfs;
        snapshot.gaps.push(Gap::NetlinkRefused { error });
    }
    if matches!(table, Table::Tcp6 | Table::Udp6) && !snapshot.gaps.contains(&dual_stack) {
        snapshot.gaps.push(dual_stack);
    }
}

impl Scanner for LinuxScanner {
    fn scan(&mut self, owners: OwnerDepth, snapshot: &mut Snapshot) -> Result<(), HostError> {
        let started = cpu_time();
        snapshot.clear();
        self.list(None, snapshot)?;
        self.end_self_test(snapshot);
        self.complete(snapshot);
        self.listened.observe(snapshot);
        if owners != OwnerDepth::Skip {
            let holders = self.owners.find(owners, &snapshot.sockets);
            attribute(snapshot, holders);
            self.departed.recall(snapshot);
        }
        self.vitals.read(owners, snapshot);
        self.ask_further(snapshot);
        self.stamp(started, snapshot);
        Ok(())
    }

    /// The kernel sorts the port out; the processes are walked only if one may hold a socket of it.
    fn scan_port(&mut self, port: u16, snapshot: &mut Snapshot) -> Result<(), HostError> {
        let started = cpu_time();
        snapshot.clear();
        self.list(Some(port), snapshot)?;
        self.end_self_test_of(port, snapshot);
        // /proc/net knows no such request.
        snapshot.sockets.retain(|socket| socket.local.port == port);
        self.complete(snapshot);
        if snapshot.sockets.iter().any(|socket| socket.inode.is_some()) {
            attribute(snapshot, self.owners.find(OwnerDepth::Full, &snapshot.sockets));
        } else {
            attribute(snapshot, &Holders::default());
        }
        snapshot.name_tunnels(self.tunnels.find(&snapshot.sockets));
        self.stamp(started, snapshot);
        Ok(())
    }

    fn ask_timestamps(&mut self, snapshot: &mut Snapshot) {
        let Ok(netlink) = &mut self.netlink else { return };
        let started = cpu_time();
        let mut peers = Vec::new();
        // None where nothing is asked: with tcp_tw_reuse 2, as Linux has it, always.
        for place in snapshot.unknown_peers() {
            let socket = &snapshot.sockets[place];
            if netlink.has_timestamps(socket) == Some(true) {
                peers.extend(Destination::of(socket).map(|destination| destination.remote));
            }
        }
        peers.sort_unstable();
        peers.dedup();
        snapshot.stamping_peers = peers;
        snapshot.cost += cpu_time().saturating_sub(started);
    }

    fn ask_numbered(&mut self, snapshot: &mut Snapshot) {
        let started = cpu_time();
        let sockets = self.dump_numbered();
        let ports = sockets.map(|sockets| sockets.iter().map(|socket| socket.local.port).collect());
        snapshot.numbered = ports.ok();
        snapshot.cost += cpu_time().saturating_sub(started);
    }

    /// Of the addresses of this namespace only, where they can be listed.
    fn publications(&mut self, port: u16) -> Publications {
        let mut found = conntrack::publications(port)?;
        if let Ok(found) = &mut found
            && let Ok(own) = RouteSocket::open().and_then(|mut route| route.addresses())
        {
            found.retain(|flow| flow.address.is_loopback() || own.contains(&flow.address));
        }
        Some(found)
    }
}

/// CPU time of the calling thread.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// Removes sockets that were listed twice, because they went from one of the kernel's tables to
/// another during the dump: the row that came last is the newer one.
#[derive(Default)]
struct Repetitions {
    /// (cookie, place), used again for each scan.
    cookies: Vec<(u64, u32)>,
}

impl Repetitions {
    fn remove(&mut self, sockets: &mut Vec<Socket>) {
        self.cookies.clear();
        let places = (0u32..).zip(sockets.iter());
        self.cookies.extend(places.filter_map(|(place, socket)| Some((socket.cookie?, place))));
        self.cookies.sort_unstable();
        let pairs = self.cookies.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        let mut outdated: Vec<u32> = pairs.map(|pair| pair[0].1).collect();
        if outdated.is_empty() {
            return;
        }
        outdated.sort_unstable();
        let mut places = 0u32..;
        sockets.retain(|_| places.next().is_some_and(|p| outdated.binary_search(&p).is_err()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::domain::{Endpoint, Family, Holder, Protocol, State, Timer};

    fn socket(state: State, cookie: Option<u64>) -> Socket {
        Socket {
            protocol: Protocol::Tcp,
            family: Family::Ipv4,
            state,
            timer: Timer::None,
            local: Endpoint { address: IpAddr::from(Ipv4Addr::LOCALHOST), port: 80 },
            remote: None,
            interface: None,
            inode: None,
            uid: None,
            cookie,
            expires_ms: None,
            cgroup: None,
            receive_queue: 0,
            send_queue: 0,
            holder: Holder::NotAsked,
        }
    }

    #[test]
    fn of_a_socket_listed_twice_the_later_row_stays() {
        let mut sockets = vec![
            socket(State::Bound, Some(7)),
            socket(State::Listen, Some(3)),
            socket(State::SynSent, Some(7)),
            socket(State::Established, None),
            socket(State::Established, Some(7)),
            socket(State::Established, None),
        ];
        let expected = [sockets[1], sockets[3], sockets[4], sockets[5]];
        Repetitions::default().remove(&mut sockets);
        assert_eq!(sockets, expected);
    }
}
