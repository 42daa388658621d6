//! What an analysis counts in a snapshot, compared with a plain recount and with examples.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use portscope::{
    domain::{
        Analysis, Destination, DestinationUse, Endpoint, Ephemeral, Family, Holder, OwnerKey,
        OwnerUse, PortRange, Protocol, RangeUse, Snapshot, Socket, Source, State, StateClass,
        Timer,
        analysis::{Left, TopOwners},
        owner::Span,
    },
    host::{Host as _, simulated::SimulatedHost},
};
use proptest::prelude::*;

const SERVER: Endpoint = Endpoint { address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)), port: 443 };

/// Returns a snapshot in which holders may refer to the pids 1 to 100.
fn snapshot(ephemeral: Ephemeral, sockets: &[Socket]) -> Snapshot {
    let machine = SimulatedHost::builder().build().machine();
    let mut snapshot = Snapshot::empty(Arc::clone(&machine), Source::Simulated);
    snapshot.ephemeral = ephemeral;
    snapshot.pids = (1..=100).collect();
    snapshot.sockets.extend_from_slice(sockets);
    snapshot.sort();
    snapshot
}

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

fn hundred() -> Ephemeral {
    Ephemeral::new(range(40_000, 40_099), Vec::new())
}

fn reusing(tw_reuse: Option<u8>, mut ephemeral: Ephemeral) -> Ephemeral {
    ephemeral.tw_reuse = tw_reuse;
    ephemeral
}

fn pid(pid: u32) -> Span {
    Span { first: pid - 1, length: 1 }
}

fn tcp(port: u16, state: State) -> Socket {
    let has_remote = !matches!(state, State::Listen | State::Bound);
    let is_closed = state == State::TimeWait;
    Socket {
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        state,
        timer: if is_closed { Timer::TimeWait } else { Timer::None },
        local: ([10, 0, 0, 1], port).into(),
        remote: has_remote.then_some(SERVER),
        interface: None,
        inode: (!is_closed).then_some(u32::from(port)),
        uid: None,
        cookie: None,
        expires_ms: is_closed.then_some(30_000),
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        holder: if is_closed { Holder::Kernel } else { Holder::Process(pid(1)) },
    }
}

/// Returns connections on these ports, created in this order.
fn clients(ports: impl IntoIterator<Item = u16>) -> Vec<Socket> {
    let ports = (1..).zip(ports);
    ports.map(|(inode, port)| with_inode(tcp(port, State::Established), inode)).collect()
}

fn with_inode(socket: Socket, inode: u32) -> Socket {
    Socket { inode: Some(inode), ..socket }
}

/// Returns the ports in an order that looks random, as bind(0) uses them, but is always the same.
fn shuffled(ports: impl IntoIterator<Item = u16>) -> Vec<u16> {
    let mut ports: Vec<u16> = ports.into_iter().collect();
    ports.sort_unstable_by_key(|port| u32::from(*port).wrapping_mul(2_654_435_761));
    ports
}

fn even(first: u16, last: u16) -> impl Iterator<Item = u16> {
    (first..=last).filter(|port| port % 2 == 0)
}

fn odd(first: u16, last: u16) -> impl Iterator<Item = u16> {
    (first..=last).filter(|port| port % 2 == 1)
}

fn suspected(sockets: &[Socket]) -> u32 {
    Analysis::of(&snapshot(hundred(), sockets)).range(Protocol::Tcp).suspected
}

#[test]
fn a_listening_port_is_unusable_for_all_destinations() {
    let listener = Socket { local: (Ipv6Addr::LOCALHOST, 40_003).into(), ..tcp(1, State::Listen) };
    let accepted = tcp(40_003, State::Established);
    let sockets = [listener, accepted, tcp(40_004, State::Bound), tcp(40_005, State::Established)];
    let analysis = Analysis::of(&snapshot(hundred(), &sockets));
    let row = &analysis.destinations[0];
    assert_eq!((row.capacity, row.used, row.low_parity_capacity), (98, 1, 49));
    // Nothing shows that connect() chose the port of the only connection.
    assert_eq!(analysis.new_destination(), Left::new(97, 98));
    assert!(analysis.unconnectable.contains(40_003) && analysis.unconnectable.contains(40_004));
    assert_eq!(analysis.range(Protocol::Udp).occupied, 0);
}

#[test]
fn ports_that_others_bound_by_number_are_of_neither_parity_available() {
    // Another program gave 16 even ports to bind(), and connected them to another destination.
    let other = Endpoint { port: 9000, ..SERVER };
    let foreign = even(40_000, 40_031)
        .map(|port| Socket { remote: Some(other), ..tcp(port, State::Established) });
    let own = tcp(40_063, State::Established);
    let sockets: Vec<Socket> = foreign.chain([own]).collect();
    let mut snapshot = snapshot(Ephemeral::new(range(40_000, 40_063), Vec::new()), &sockets);
    snapshot.numbered = Some(even(40_000, 40_031).collect());
    let analysis = Analysis::of(&snapshot);
    let row = analysis.destination(&Destination::of(&own).unwrap()).unwrap();
    assert_eq!((row.capacity, row.used, row.low_parity_used), (48, 1, 0));
    assert_eq!((row.low_parity_available(), row.high_parity_available()), (16, 31));
    // connect() searches the foreign ports, too.
    assert_eq!(row.low_parity_capacity, 32);
    let bound = Destination { remote: other, ..row.destination };
    let row = analysis.destination(&bound).unwrap();
    assert_eq!((row.low_parity_available(), row.high_parity_available()), (16, 32));
}

#[test]
fn ports_without_a_socket_are_left_however_uncertain_the_others_are() {
    // The order of the TIME-WAIT ports of another destination does not show how they were chosen,
    // so some of them count as uncertain although it is unknown which.
    let other = Endpoint { port: 9000, ..SERVER };
    let closed = even(40_000, 40_089).chain(odd(40_000, 40_009));
    let closed = closed.map(|port| Socket { remote: Some(other), ..tcp(port, State::TimeWait) });
    let sockets: Vec<Socket> = clients(even(40_000, 40_039)).into_iter().chain(closed).collect();
    let analysis = Analysis::of(&snapshot(hundred(), &sockets));
    let row = analysis.destination(&Destination::of(&sockets[0]).unwrap()).unwrap();
    assert_eq!((row.used, row.left()), (20, Left::new(50, 80)));
}

#[test]
fn further_owners_of_a_process_are_processes() {
    let of = |keys: &[OwnerKey]| {
        let mut owners = TopOwners::default();
        for &key in keys {
            owners.insert(key, 1);
        }
        owners.others()
    };
    let processes: Vec<OwnerKey> = (1..=6).map(OwnerKey::Process).collect();
    assert_eq!(of(&processes), 5);
    assert_eq!(of(&[OwnerKey::Process(1), OwnerKey::Kernel]), 0);
    assert_eq!(of(&[OwnerKey::Kernel, OwnerKey::Nobody]), 1);
    assert_eq!(of(&[]), 0);
}

#[test]
fn time_wait_reuse_follows_tcp_tw_reuse() {
    let old = tcp(40_000, State::TimeWait);
    let young = Socket { expires_ms: Some(58_981), ..tcp(40_002, State::TimeWait) };
    let undecided = Socket { expires_ms: None, ..tcp(40_004, State::TimeWait) };
    let local = Socket { local: ([127, 0, 0, 1], 40_006).into(), ..old };
    let reusable = |tw_reuse, sockets: &[Socket]| {
        let ephemeral = reusing(tw_reuse, hundred());
        Analysis::of(&snapshot(ephemeral, sockets)).destinations[0].reusable
    };
    assert_eq!(reusable(Some(1), &[old, young, undecided]), 1);
    assert_eq!(reusable(Some(2), &[old]), 0);
    assert_eq!(reusable(Some(2), &[local]), 1);
    assert_eq!(reusable(Some(0), &[local]), 0);
    // The sysctl is unknown: the port may be reusable.
    assert_eq!(reusable(None, &[local]), 1);
}

#[test]
fn mapped_and_ipv4_addresses_are_one_destination() {
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    };
    let plain = tcp(40_000, State::Established);
    let other = tcp(40_002, State::Established);
    let remote = Endpoint { address: mapped(SERVER.address), ..SERVER };
    let local = Endpoint { address: mapped(other.local.address), ..other.local };
    let other = Socket { family: Family::Ipv6, local, remote: Some(remote), ..other };
    let analysis = Analysis::of(&snapshot(hundred(), &[plain, other]));
    assert_eq!(analysis.destinations.len(), 1);
    assert_eq!(analysis.destinations[0].used, 2);
}

#[test]
fn low_parity_is_that_of_the_first_port() {
    let ephemeral = Ephemeral::new(range(40_001, 40_100), vec![range(40_001, 40_003)]);
    let analysis = Analysis::of(&snapshot(ephemeral, &[tcp(40_005, State::Established)]));
    let tcp = analysis.range(Protocol::Tcp);
    assert_eq!((tcp.size, tcp.low_parity_size, tcp.low_parity_occupied), (97, 48, 1));
}

#[test]
fn random_ports_of_the_other_parity_are_suspected_while_the_low_one_is_free() {
    assert_eq!(suspected(&clients(shuffled(odd(40_000, 40_059)))), 30);
    assert_eq!(suspected(&clients(shuffled(even(40_000, 40_059)))), 0);
}

#[test]
fn few_ports_or_balanced_parities_are_not_suspected() {
    assert_eq!(suspected(&clients(shuffled(odd(40_000, 40_019)))), 0);
    assert_eq!(suspected(&clients(shuffled(40_000..=40_059))), 0);
}

#[test]
fn few_ports_per_destination_are_suspected_together() {
    let mut sockets = clients(shuffled(odd(40_000, 40_059)));
    for (socket, host) in sockets.iter_mut().zip((1..=10).cycle()) {
        socket.remote = Some(([10, 0, 1, host], 443).into());
    }
    assert_eq!(suspected(&sockets), 30);
}

#[test]
fn the_rest_of_a_burst_of_connects_is_not_suspected() {
    // The low parity was full when connect() chose these ports in ascending order.
    let left = odd(40_041, 40_099).chain(odd(40_001, 40_031));
    assert_eq!(suspected(&clients(left)), 0);
}

#[test]
fn order_of_creation_decides_in_a_full_range() {
    let bound = shuffled(odd(40_000, 40_099)).into_iter().chain(shuffled(even(40_000, 40_099)));
    assert_eq!(suspected(&clients(bound)), 100);
    let connected = shuffled(even(40_000, 40_099)).into_iter().chain(shuffled(odd(40_000, 40_099)));
    assert_eq!(suspected(&clients(connected)), 0);
    assert_eq!(suspected(&clients(shuffled(40_000..=40_099))), 0);
}

#[test]
fn a_process_that_changed_cpu_is_not_misjudged() {
    let bound = || shuffled(odd(40_000, 40_099)).into_iter().chain(shuffled(even(40_000, 40_099)));
    let connected =
        || shuffled(even(40_000, 40_099)).into_iter().chain(shuffled(odd(40_000, 40_099)));
    // The first 35 sockets have later inodes, because another CPU assigned them.
    let moved = |ports: Vec<u16>| {
        let made = (2049..2084).chain(1025..).zip(ports);
        made.map(|(inode, port)| with_inode(tcp(port, State::Established), inode))
            .collect::<Vec<_>>()
    };
    assert_eq!(suspected(&moved(bound().collect())), 100);
    assert_eq!(suspected(&moved(connected().collect())), 0);
}

#[test]
fn a_port_with_two_connections_was_not_bound() {
    let mut sockets = clients(shuffled(odd(40_000, 40_059)));
    let elsewhere = Some(([10, 0, 1, 1], 443).into());
    sockets.extend(sockets.clone().iter().map(|s| Socket { remote: elsewhere, ..*s }));
    assert_eq!(suspected(&sockets), 0);
}

#[test]
fn only_the_process_that_binds_is_suspected() {
    let mut sockets = clients(shuffled(odd(40_000, 40_059)));
    let of_second = clients(even(40_000, 40_059));
    let holder = Holder::Process(pid(2));
    sockets.extend(of_second.iter().map(|socket| Socket { holder, ..*socket }));
    let analysis = Analysis::of(&snapshot(hundred(), &sockets));
    assert!(odd(40_000, 40_059).all(|port| analysis.suspected.contains(port)));
    assert_eq!(analysis.suspected.len(), 30);
}

#[test]
fn closed_connections_of_a_suspected_process_are_suspected() {
    let mut sockets = clients(shuffled(odd(40_000, 40_059)));
    let closed = [
        Socket { holder: Holder::Departed(pid(1)), ..tcp(40_061, State::TimeWait) },
        tcp(40_063, State::TimeWait),
    ];
    sockets.extend(closed);
    let ephemeral = reusing(Some(1), hundred());
    let analysis = Analysis::of(&snapshot(ephemeral, &sockets));
    assert!(analysis.suspected.contains(40_061) && !analysis.suspected.contains(40_063));
    let row = &analysis.destinations[0];
    assert_eq!((row.used, row.time_wait, row.reusable), (32, 2, 1));
}

#[test]
fn sockets_with_unknown_holders_are_not_suspected() {
    let mut sockets = clients(shuffled(odd(40_000, 40_059)));
    for socket in &mut sockets {
        socket.holder = Holder::NotAsked;
    }
    assert_eq!(suspected(&sockets), 0);
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        Just(IpAddr::from([10, 0, 0, 1])),
        Just(IpAddr::from([127, 0, 0, 1])),
        Just(IpAddr::from(Ipv6Addr::LOCALHOST)),
        Just(IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped())),
    ]
}

fn any_holder() -> impl Strategy<Value = Holder> {
    let span = (0u32..4, 1u32..3).prop_map(|(first, length)| Span { first, length });
    prop_oneof![
        span.clone().prop_map(Holder::Process),
        span.clone().prop_map(Holder::Departed),
        span.prop_map(Holder::Backlog),
        Just(Holder::Kernel),
        Just(Holder::Hidden),
        Just(Holder::Nobody),
    ]
}

prop_compose! {
    fn any_socket()(
        // So few ports that most have several sockets.
        port in 39_990u16..40_030,
        state in prop::sample::select(&State::EACH[..]),
        (local, remote) in (any_address(), any_address()),
        remote_port in 1u16..4,
        holder in any_holder(),
        uid in prop::option::of(0u32..3),
        (inode, cookie) in (prop::option::of(1u32..1000), any::<u64>()),
        expires_ms in prop::option::of(58_970u32..58_990),
    ) -> Socket {
        let is_udp = matches!(state, State::Unconnected | State::Connected);
        let has_remote = !matches!(state, State::Listen | State::Bound | State::Unconnected);
        Socket {
            protocol: if is_udp { Protocol::Udp } else { Protocol::Tcp },
            local: (local, port).into(),
            remote: has_remote.then(|| (remote, remote_port).into()),
            cookie: Some(cookie),
            inode,
            uid,
            expires_ms,
            holder,
            ..tcp(port, state)
        }
    }
}

prop_compose! {
    fn any_snapshot()(
        sockets in prop::collection::vec(any_socket(), 0..150),
        first in 39_995u16..40_005,
        reserved in prop::collection::vec((39_990u16..40_040, 0u16..4), 0..3),
        tw_reuse in prop::option::of(0u8..3),
    ) -> Snapshot {
        let mut reserved: Vec<_> =
            reserved.into_iter().map(|(first, more)| range(first, first + more)).collect();
        reserved.sort_unstable();
        reserved.dedup_by(|next, before| next.first() <= before.last());
        let ephemeral = reusing(tw_reuse, Ephemeral::new(range(first, 40_024), reserved));
        snapshot(ephemeral, &sockets)
    }
}

/// Counts each figure by iterating over all sockets again.
struct Recount<'a>(&'a Snapshot);

impl Recount<'_> {
    fn automatic(&self) -> Vec<u16> {
        let ephemeral = &self.0.ephemeral;
        ephemeral.range.ports().filter(|&port| !ephemeral.is_reserved(port)).collect()
    }

    fn on(&self, protocol: Protocol, port: u16) -> Vec<&Socket> {
        let is_on = |s: &&Socket| s.protocol == protocol && s.local.port == port;
        self.0.sockets.iter().filter(is_on).collect()
    }

    fn is_unconnectable(&self, port: u16) -> bool {
        let makes_unconnectable = |s: &&Socket| matches!(s.state, State::Listen | State::Bound);
        self.on(Protocol::Tcp, port).iter().any(makes_unconnectable)
    }

    fn is_low(&self, port: u16) -> bool {
        port % 2 == self.0.ephemeral.range.first() % 2
    }

    fn range(&self, protocol: Protocol) -> RangeUse {
        let automatic = self.automatic();
        let count =
            |is: &dyn Fn(u16) -> bool| automatic.iter().filter(|&&port| is(port)).count() as u32;
        let is_occupied = |port| !self.on(protocol, port).is_empty();
        let is_unconnectable = |port| protocol == Protocol::Tcp && self.is_unconnectable(port);
        let is_time_wait = |port| {
            let all = self.on(protocol, port).iter().all(|s| s.state == State::TimeWait);
            is_occupied(port) && all
        };
        RangeUse {
            protocol,
            range: self.0.ephemeral.range,
            size: automatic.len() as u32,
            occupied: count(&is_occupied),
            time_wait: count(&is_time_wait),
            low_parity_size: count(&|port| self.is_low(port)),
            low_parity_occupied: count(&|port| self.is_low(port) && is_occupied(port)),
            unconnectable: count(&is_unconnectable),
            low_parity_unconnectable: count(&|port| self.is_low(port) && is_unconnectable(port)),
            suspected: 0,
            numbered: 0,
            low_parity_numbered: 0,
            uncertain: 0,
            unlisted: 0,
            is_bind_refused: false,
            bind_may_miss: u32::from(protocol == Protocol::Tcp && self.odd_ends(&is_occupied) > 0),
            connect_may_miss: u32::from(
                protocol == Protocol::Tcp && self.odd_ends(&is_unconnectable) > 0,
            ),
        }
    }

    /// Counts the ends of a range with an odd number of ports for which `is_gone` is false.
    fn odd_ends(&self, is_gone: &dyn Fn(u16) -> bool) -> usize {
        let range = self.0.ephemeral.range;
        let ends = [range.first(), range.last()];
        let is_open = |port: &u16| range.len() % 2 == 1 && self.automatic().contains(port);
        ends.into_iter().filter(|port| is_open(port) && !is_gone(*port)).count()
    }

    fn destinations(&self) -> Vec<DestinationUse> {
        let ports: Vec<u16> =
            self.automatic().into_iter().filter(|&port| !self.is_unconnectable(port)).collect();
        let sockets = ports.iter().flat_map(|&port| self.on(Protocol::Tcp, port));
        let all: BTreeSet<Destination> = sockets.filter_map(Destination::of).collect();
        let mut rows: Vec<_> =
            all.into_iter().map(|destination| self.destination(destination, &ports)).collect();
        rows.sort_by_key(|row| row.destination);
        rows
    }

    fn destination(&self, destination: Destination, ports: &[u16]) -> DestinationUse {
        let of_port = |port: u16| {
            let mut sockets = self.on(Protocol::Tcp, port);
            sockets.retain(|socket| Destination::of(socket) == Some(destination));
            sockets
        };
        let count = |is: &dyn Fn(u16, &[&Socket]) -> bool| {
            let used = ports.iter().map(|&port| (port, of_port(port)));
            used.filter(|(port, all)| !all.is_empty() && is(*port, all)).count() as u32
        };
        let is_on = match self.0.ephemeral.tw_reuse {
            Some(2) => destination.is_loopback(),
            // Unknown (None) counts as on.
            value => matches!(value, None | Some(1)),
        };
        let is_old = |s: &&Socket| s.expires_ms.is_some_and(|left| left <= 58_980);
        let is_time_wait =
            |_: u16, all: &[&Socket]| all.iter().all(|socket| socket.state == State::TimeWait);
        let mut owners: BTreeMap<OwnerKey, u32> = BTreeMap::new();
        for socket in ports.iter().flat_map(|&port| of_port(port)) {
            *owners.entry(OwnerKey::of(self.0, socket)).or_default() += 1;
        }
        let mut owners: Vec<(OwnerKey, u32)> = owners.into_iter().collect();
        owners.sort_by_key(|&(_, sockets)| Reverse(sockets));
        let mut top_owners = TopOwners::default();
        for (owner_key, sockets) in owners {
            top_owners.insert(owner_key, sockets);
        }
        DestinationUse {
            destination,
            capacity: ports.len() as u32,
            used: count(&|_, _| true),
            time_wait: count(&is_time_wait),
            reusable: count(&|port, all| {
                is_on && is_time_wait(port, all) && all.iter().all(is_old)
            }),
            surely_reusable: 0,
            uncertain: 0,
            unlisted: 0,
            may_miss: u32::from(
                self.odd_ends(&|port| {
                    let all = of_port(port);
                    let is_reusable = is_on && is_time_wait(port, &all) && all.iter().all(is_old);
                    self.is_unconnectable(port) || !all.is_empty() && !is_reusable
                }) > 0,
            ),
            low_parity_capacity: ports.iter().filter(|&&port| self.is_low(port)).count() as u32,
            low_parity_foreign: 0,
            low_parity_used: count(&|port, _| self.is_low(port)),
            owners: top_owners,
        }
    }

    fn owners(&self) -> Vec<OwnerUse> {
        let all: BTreeSet<OwnerKey> =
            self.0.sockets.iter().map(|socket| OwnerKey::of(self.0, socket)).collect();
        let mut rows: Vec<OwnerUse> =
            all.into_iter().map(|owner_key| self.owner(owner_key)).collect();
        rows.sort_by_key(|row| (Reverse(row.ports), Reverse(row.sockets), row.owner_key));
        rows
    }

    fn owner(&self, owner_key: OwnerKey) -> OwnerUse {
        let is_owned = |socket: &&Socket| OwnerKey::of(self.0, socket) == owner_key;
        let count = |is: &dyn Fn(&Socket) -> bool| {
            self.0.sockets.iter().filter(is_owned).filter(|socket| is(socket)).count() as u32
        };
        let mut classes: Vec<StateClass> = Vec::new();
        for protocol in Protocol::EACH {
            for port in self.automatic() {
                let mut sockets = self.on(protocol, port);
                sockets.retain(is_owned);
                classes.extend(sockets.iter().map(|s| StateClass::of(s.state)).min());
            }
        }
        let of_class = |class| classes.iter().filter(|&&other| other == class).count() as u32;
        OwnerUse {
            owner_key,
            ports: classes.len() as u32,
            by_class: StateClass::EACH.map(of_class),
            sockets: count(&|_| true),
            close_wait: count(&|socket| socket.state == State::CloseWait),
            bound: count(&|socket| socket.state == State::Bound),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_count_equals_a_naive_recount(snapshot in any_snapshot()) {
        let analysis = Analysis::of(&snapshot);
        let recount = Recount(&snapshot);
        let [mut tcp, udp] = analysis.ranges;
        let uncertain = std::mem::take(&mut tcp.uncertain);
        prop_assert_eq!(uncertain, analysis.uncertain.len());
        prop_assert_eq!([tcp, udp], Protocol::EACH.map(|protocol| recount.range(protocol)));
        prop_assert!(analysis.destinations.is_sorted_by(|a, b| a.share() >= b.share() - 1e-4));
        let mut rows = analysis.destinations.clone();
        for row in &mut rows {
            prop_assert!(row.surely_reusable <= row.reusable && row.uncertain <= uncertain);
            prop_assert!(row.left().least <= row.left().most);
            let unused = tcp.size - tcp.occupied;
            prop_assert!(row.left().least + row.unlisted + row.may_miss >= unused);
            (row.surely_reusable, row.uncertain) = (0, 0);
        }
        rows.sort_by_key(|row| row.destination);
        prop_assert_eq!(&rows, &recount.destinations());
        prop_assert_eq!(&analysis.owners, &recount.owners());
        for port in 39_990..40_030 {
            prop_assert_eq!(analysis.unconnectable.contains(port), recount.is_unconnectable(port));
        }
    }
}
