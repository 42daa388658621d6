//! Takes snapshots of the machine that this program runs on. Does not decode messages, and does not
//! evaluate the snapshots.

mod recheck;
mod repetitions;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    domain::{
        Destination, Errno, Gap, Holders, Machine, Protocol, Snapshot, Socket, Source, State,
        Table,
        attribution::{Departed, attribute},
        snapshot::Listened,
    },
    host::{
        HostError, OwnerDepth, Publications, Scanner,
        linux::{
            address, ascending,
            by_number::ByNumber,
            owners::OwnerFinder,
            policy::PolicyReader,
            procfs, rtnetlink,
            scanner::repetitions::Repetitions,
            self_test::SelfTest,
            sock_diag::{ALL_STATES, CONNECTED, DiagSocket, DumpError},
            tunnels::TunnelFinder,
            unlisted::UnlistedFinder,
            vitals::{VitalsReader, conntrack},
        },
    },
};

/// Dumps the sockets of the network namespace in which it was created. Everything else, such as the
/// policy, /proc/net and the interface names, is that of the calling thread's network namespace.
pub struct LinuxScanner {
    machine: Arc<Machine>,
    /// The netlink socket, or why there is none.
    netlink: Result<DiagSocket, Errno>,
    /// The self-test, until it has a result.
    self_test: Option<SelfTest>,
    /// Result of the self-test. None: there is none yet, or the kernel lists bound-inactive
    /// sockets.
    bound_inactive: Option<Gap>,
    /// `Snapshot::refused_bind` of the next scan.
    refused_bind: Option<Errno>,
    unlisted: UnlistedFinder,
    /// `UnlistedRest::judged` of the current scan.
    judged: u32,
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
        Self::over(machine, DiagSocket::open().map_err(Errno::from))
    }

    /// Creates a scanner with the caller's netlink socket, or with the reason why there is none.
    pub fn over(machine: Arc<Machine>, netlink: Result<DiagSocket, Errno>) -> Self {
        let test = SelfTest::start();
        Self {
            machine,
            refused_bind: test.refusal(),
            self_test: netlink.is_ok().then_some(test),
            netlink,
            bound_inactive: None,
            unlisted: UnlistedFinder::default(),
            judged: 0,
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

    /// Fills in the sockets (of one port or of all), the gaps and the source. A table from
    /// /proc/net has all ports. Errors: no table could be read.
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
                Ok(()) => note_fallback(table, refusal, snapshot),
                Err(error) => {
                    unlisted += 1;
                    snapshot.gaps.push(Gap::TableRefused { table, error });
                }
            }
        }
        match snapshot.gaps.last() {
            Some(&Gap::TableRefused { error, .. }) if unlisted == 4 => Err(HostError::new(
                "list the sockets through NETLINK_SOCK_DIAG or from /proc/thread-self/net",
                error,
            )),
            _ => Ok(()),
        }
    }

    /// Dumps a table through netlink. An incomplete table is a gap, not an error.
    fn dump(
        &mut self,
        table: Table,
        port: Option<u16>,
        snapshot: &mut Snapshot,
    ) -> Result<(), Errno> {
        let netlink = self.netlink.as_mut().map_err(|errno| *errno)?;
        match netlink.dump(table, ALL_STATES, port, &mut snapshot.sockets) {
            Ok(()) => {}
            Err(DumpError::Refused(error)) => return Err(error),
            Err(DumpError::Malformed) => return Err(Errno::EBADMSG),
            Err(DumpError::Interrupted) => snapshot.gaps.push(Gap::DumpInterrupted { table }),
            Err(DumpError::Truncated) => snapshot.gaps.push(Gap::DumpTruncated { table }),
        }
        Ok(())
    }

    /// Dumps the connected TCP sockets that were bound to an explicit port. Uses netlink alone,
    /// because /proc/net does not show how a port was bound.
    fn dump_numbered(&mut self) -> Result<Vec<Socket>, DumpError> {
        let Ok(netlink) = &mut self.netlink else { return Err(DumpError::Malformed) };
        let mut sockets = Vec::new();
        if netlink.dump_by_number(Table::Tcp, CONNECTED, None, &mut sockets).is_err() {
            sockets.clear();
            netlink.dump_by_number(Table::Tcp4, CONNECTED, None, &mut sockets)?;
            netlink.dump_by_number(Table::Tcp6, CONNECTED, None, &mut sockets)?;
        }
        Ok(sockets)
    }

    /// Ends the self-test if its socket was listed, or if the dump of TCP is complete. If an
    /// incomplete dump does not list the socket, the self-test continues.
    fn end_self_test(&mut self, snapshot: &mut Snapshot) {
        let Some(test) = self.self_test.take() else { return };
        if test.remove_probe(&mut snapshot.sockets) {
            self.bound_inactive = None;
            return;
        }
        if snapshot.gaps.iter().all(|gap| gap.protocol() != Some(Protocol::Tcp)) {
            self.bound_inactive = test.gap(self.machine.kernel.as_str());
        } else {
            self.self_test = Some(test);
        }
    }

    /// Ends the self-test after a dump of one port. If the test's own socket has another port,
    /// dumps that port first.
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

    /// Finds the owners of the sockets, of one port or of all. Call it after all sockets are
    /// listed. If the kernel does not list bound-inactive sockets, searches the descriptors for
    /// them.
    fn find_owners(&mut self, depth: OwnerDepth, port: Option<u16>, snapshot: &mut Snapshot) {
        let hides_some = snapshot.hides_bound_inactive();
        if hides_some {
            self.find_unlisted(snapshot);
        }
        if let Some(port) = port {
            // /proc/net cannot be filtered by port.
            snapshot.sockets.retain(|socket| socket.local.port == port);
        }
        self.complete(snapshot);
        let mut inodes = snapshot.sockets.iter().filter_map(|socket| socket.inode);
        if port.is_some() && inodes.next().is_none() {
            return attribute(snapshot, &Holders::default());
        }
        if !hides_some {
            self.owners.find(depth, &snapshot.sockets);
        }
        self.recheck(snapshot);
        attribute(snapshot, self.owners.holders());
    }

    /// Adds bound-inactive sockets, and gaps for the sockets whose port is unread or in doubt. If
    /// all descriptor tables were read, removes the gap for all bound-inactive sockets.
    fn find_unlisted(&mut self, snapshot: &mut Snapshot) {
        let socket_descriptors = self.owners.find_descriptors(&snapshot.sockets);
        let rest = self.unlisted.find(socket_descriptors, &mut snapshot.sockets);
        if let Some(test) = &self.self_test {
            test.remove_probe(&mut snapshot.sockets);
        }
        if self.owners.holders().show_all() {
            snapshot.gaps.retain(|gap| !gap.hides_bound_inactive());
        }
        snapshot.unlisted = rest.unread();
        self.judged = rest.judged;
        snapshot.gaps.extend(rest.gaps());
    }

    /// Estimates how many TCP sockets are neither listed nor examined by `UnlistedFinder`; a
    /// process that is not visible may hold them. The estimate is an upper bound, because the
    /// kernel's total includes all network namespaces; it is `u32::MAX` if the total is unknown.
    fn count_unlisted(&mut self, depth: OwnerDepth, snapshot: &mut Snapshot) {
        let judged = std::mem::take(&mut self.judged);
        let is_whole = depth != OwnerDepth::Skip && self.owners.holders().show_all();
        if is_whole || !snapshot.hides_bound_inactive() {
            return;
        }
        let sockets = || snapshot.sockets.iter().filter(|socket| socket.protocol == Protocol::Tcp);
        let listed = ascending(sockets().filter_map(|socket| socket.inode));
        // Connections waiting for accept() have no inode, and are not listed after a reset.
        let listeners = sockets().filter(|socket| socket.state == State::Listen);
        let waiting = listeners.map(|listener| u64::from(listener.receive_queue)).sum::<u64>();
        let orphans = snapshot.vitals.orphans.unwrap_or(0);
        let known = listed.len() as u64 + u64::from(judged) + u64::from(orphans) + waiting;
        let rest = |total: u32| u64::from(total).saturating_sub(known) as u32;
        let rest = snapshot.vitals.allocated.map(rest);
        snapshot.unlisted = snapshot.unlisted.max(rest.unwrap_or(u32::MAX));
    }

    /// Removes repeated sockets, sorts the others, and fills in the policy and the names of the
    /// interfaces that sockets are bound to. Call it after all sockets are listed.
    fn complete(&mut self, snapshot: &mut Snapshot) {
        self.repetitions.remove(&mut snapshot.sockets);
        snapshot.sort();
        snapshot.ephemeral = self.policy.read(&mut snapshot.gaps);
        let indexes = snapshot.sockets.iter().filter_map(|socket| socket.interface);
        snapshot.interfaces = address::interface_names(ascending(indexes)).into_iter().collect();
    }

    /// Repeats the bind() of the self-test while it is refused, so that `refused_bind` is current.
    /// Called only for a scan with a full walk, because the bind() takes 10 ms if the range is
    /// full.
    fn bind_again(&mut self) {
        if self.number == 0 || self.refused_bind.is_none() {
            return;
        }
        let test = SelfTest::start();
        self.refused_bind = test.refusal();
        if self.refused_bind.is_none() && self.netlink.is_ok() {
            self.self_test = Some(test);
        }
    }

    fn note_unlisted(&self, snapshot: &mut Snapshot) {
        if snapshot.source == Source::SockDiag {
            snapshot.gaps.extend(self.bound_inactive.clone());
        }
    }

    /// Adds the names of tunnels, and which ports were bound by number. Call it after the sockets
    /// are listed and attributed.
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
        snapshot.refused_bind = self.refused_bind;
        snapshot.cost = cpu_time().saturating_sub(started);
    }

    /// Reads a table from /proc/net.
    fn read(&mut self, table: Table, snapshot: &mut Snapshot) -> Result<(), Errno> {
        procfs::read_table(table, &mut self.table)?;
        if procfs::parse_table(table, &self.table, &mut snapshot.sockets).is_err() {
            snapshot.gaps.push(Gap::DumpTruncated { table });
        }
        Ok(())
    }
}

/// Adds a gap, once each, for the data that is missing because /proc/net replaces netlink.
fn note_fallback(table: Table, error: Errno, snapshot: &mut Snapshot) {
    let dual_stack = Gap::DualStackUnknown { error };
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
        if owners == OwnerDepth::Full {
            self.bind_again();
        }
        self.list(None, snapshot)?;
        self.end_self_test(snapshot);
        self.note_unlisted(snapshot);
        if owners == OwnerDepth::Skip {
            self.complete(snapshot);
        } else {
            self.find_owners(owners, None, snapshot);
            self.departed.restore_owners(snapshot);
        }
        self.listened.observe(snapshot);
        self.vitals.read(owners, snapshot);
        self.count_unlisted(owners, snapshot);
        self.ask_further(snapshot);
        self.stamp(started, snapshot);
        Ok(())
    }

    /// Lets the kernel filter by port, unless it does not list bound-inactive sockets. If it lists
    /// them, walks the processes only if a socket of the port has an inode.
    fn scan_port(&mut self, port: u16, snapshot: &mut Snapshot) -> Result<(), HostError> {
        let started = cpu_time();
        snapshot.clear();
        self.bind_again();
        self.list(Some(port), snapshot)?;
        self.end_self_test_of(port, snapshot);
        if self.bound_inactive.is_some() && snapshot.source == Source::SockDiag {
            // Only complete tables show which sockets are in no table.
            snapshot.clear();
            self.list(None, snapshot)?;
        }
        self.note_unlisted(snapshot);
        self.find_owners(OwnerDepth::Full, Some(port), snapshot);
        snapshot.name_tunnels(self.tunnels.find(&snapshot.sockets));
        self.stamp(started, snapshot);
        Ok(())
    }

    /// Like `scan_port` if netlink is refused, or if the kernel does not list bound-inactive sockets:
    /// only the processes show them.
    fn list_port(&mut self, port: u16, snapshot: &mut Snapshot) -> Result<(), HostError> {
        if self.netlink.is_err() || self.bound_inactive.is_some() || self.self_test.is_some() {
            return self.scan_port(port, snapshot);
        }
        let started = cpu_time();
        snapshot.clear();
        self.list(Some(port), snapshot)?;
        snapshot.sockets.retain(|socket| socket.local.port == port);
        self.complete(snapshot);
        self.stamp(started, snapshot);
        Ok(())
    }

    fn ask_timestamps(&mut self, snapshot: &mut Snapshot) {
        let Ok(netlink) = &mut self.netlink else { return };
        let started = cpu_time();
        // `unknown_peers` is always empty if tcp_tw_reuse is 2, the default since Linux 4.19.
        let sockets = snapshot.unknown_peers().into_iter().map(|index| &snapshot.sockets[index]);
        let with_timestamps = sockets.filter(|socket| netlink.has_timestamps(socket) == Some(true));
        let peers = with_timestamps.filter_map(|socket| Some(Destination::of(socket)?.remote));
        snapshot.timestamp_peers = ascending(peers);
        snapshot.cost += cpu_time().saturating_sub(started);
    }

    fn ask_numbered(&mut self, snapshot: &mut Snapshot) {
        let started = cpu_time();
        let sockets = self.dump_numbered();
        let ports = sockets.map(|sockets| sockets.iter().map(|socket| socket.local.port).collect());
        snapshot.numbered = ports.ok();
        snapshot.cost += cpu_time().saturating_sub(started);
    }

    /// Returns only flows to addresses of this namespace, if these can be listed.
    fn publications(&mut self, port: u16) -> Publications {
        let mut found = conntrack::publications(port)?;
        if let Ok(found) = &mut found
            && let Ok(own) = rtnetlink::addresses()
        {
            found.retain(|flow| flow.address.is_loopback() || own.contains(&flow.address));
        }
        Some(found)
    }
}

/// Returns the CPU time of the calling thread.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
