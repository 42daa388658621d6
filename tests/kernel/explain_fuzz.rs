//! Random sets of sockets on one port: what `explain` reports for each bind() and connect(),
//! compared with what the kernel does with the same set on another port. Never uses the machine's
//! own ports.
//!
//! `PORTSCOPE_FUZZ_SETS` is the number of sets, `PORTSCOPE_FUZZ_SEED` the seed.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    process::Command,
    sync::Arc,
    time::Duration,
};

use portscope::{
    domain::{
        Destination, Errno, Protocol, Snapshot, Source,
        availability::{
            Bind, BindAddress, Reuse, Verdict, bind_answer, connect_answer,
            probing::{self, Probed},
        },
    },
    host::{
        Host as _, Scanner as _,
        linux::{LinuxHost, LinuxScanner, probe},
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng, seq::IndexedRandom as _};
use rustix::io::Errno as Code;
use socket2::{Socket, Type};

use crate::{
    holders::{self, ANY4, ANY6, LOCAL4, LOCAL6, SocketOption},
    namespace::{in_new_namespace, is_linux_at_least, set_sysctl},
};

const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const SECOND4: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const LAN4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
/// Port of the peers to which clients connect.
const PEER: u16 = 1000;
/// The ports of the sets, used one after the other; and the port of the clients of listeners.
const PORTS: (u16, u16) = (20_000, 59_999);
const CLIENTS: u16 = 60_999;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HolderAddress {
    Any4,
    Local4,
    Second4,
    Lan4,
    Dual,
    Any6,
    Local6,
    Mapped,
    MappedAny,
    /// fe80::1 on this interface.
    Link(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Listening,
    Bound,
    /// An accepted connection; the listener is closed.
    Accepted,
    /// A listener and the connection that it accepted.
    Served,
    /// The accepted connection was closed first and is in TIME-WAIT.
    TimeWaitOfServer,
    /// Bound to the port by number, then connected.
    ClientBound,
    /// connect() chose the port.
    ClientAutomatic,
    /// As `ClientAutomatic`, but in TIME-WAIT, because the client closed first.
    TimeWaitOfClient,
    /// As `TimeWaitOfClient`, but the server has not closed.
    FinWait2,
    Connected,
    ConnectedAutomatic,
}

/// One holder of a set.
#[derive(Clone, Copy, Debug)]
struct Holder {
    address: HolderAddress,
    kind: Kind,
    reuse_address: bool,
    reuse_port: bool,
    user_1000: bool,
    device: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Set {
    protocol: Protocol,
    holders: Vec<Holder>,
}

impl Set {
    /// Whether a bind() of a holder has left a mark on the port by which the kernel allows binds
    /// with SO_REUSEPORT that conflict with a socket. A bind() by portscope without this option
    /// removes the mark.
    fn has_lenient_mark(&self) -> bool {
        let is_shared = |holder: &&Holder| holder.reuse_port;
        let shared = self.holders.iter().filter(is_shared).count();
        self.protocol == Protocol::Tcp && shared > 0 && self.holders.len() > 1
    }

    /// Whether connect() chose the port and a listener accepted a connection on it. connect() can
    /// use such a port again once the listener is closed, but not if another bind() follows
    /// (`inet_bind2_bucket_destroy`).
    fn is_shared_by_accident(&self) -> bool {
        let has = |kinds: &[Kind]| self.holders.iter().any(|h| kinds.contains(&h.kind));
        has(&[Kind::ClientAutomatic, Kind::TimeWaitOfClient, Kind::FinWait2])
            && has(&[Kind::Accepted, Kind::TimeWaitOfServer])
    }
}

/// The network namespace in which the sets are created.
struct FuzzSetup {
    random: ChaCha8Rng,
    next_port: u16,
    peers: Vec<Socket>,
    links: Vec<(&'static str, u32)>,
    has_automatic: bool,
    scanner: LinuxScanner,
    snapshot: Snapshot,
}

impl FuzzSetup {
    fn new(seed: u64) -> Self {
        let links = devices();
        set_sysctl("ip_local_port_range", &format!("{} {CLIENTS}", PORTS.0));
        let peers = [LOCAL4, LOCAL6, LAN4].map(|address| {
            let socket = holders::open(Type::STREAM, address, &[SocketOption::ReuseAddress]);
            let bound = socket.bind(&SocketAddr::new(address, PEER).into());
            bound.is_ok().then(|| {
                socket.listen(4096).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            })
        });
        let machine = LinuxHost::new().machine();
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            next_port: PORTS.0,
            peers: peers.into_iter().flatten().collect(),
            links,
            has_automatic: is_linux_at_least((6, 3)),
            scanner: LinuxScanner::new(Arc::clone(&machine)),
            snapshot: Snapshot::empty(machine, Source::SockDiag),
        }
    }

    fn port(&mut self) -> u16 {
        self.next_port = if self.next_port == PORTS.1 { PORTS.0 } else { self.next_port + 1 };
        self.next_port
    }

    fn set(&mut self) -> Set {
        let protocol =
            *[Protocol::Tcp, Protocol::Tcp, Protocol::Udp].choose(&mut self.random).unwrap();
        let count = *[1, 1, 2, 2, 3].choose(&mut self.random).unwrap();
        Set { protocol, holders: (0..count).map(|_| self.holder(protocol)).collect() }
    }

    fn holder(&mut self, protocol: Protocol) -> Holder {
        use HolderAddress::*;
        use Kind::*;
        let mut holder_addresses =
            vec![Any4, Local4, Second4, Lan4, Dual, Any6, Local6, Mapped, MappedAny];
        holder_addresses.extend(self.links.iter().map(|&(name, _)| Link(name)));
        let kinds: &[Kind] = match (protocol, self.has_automatic) {
            (Protocol::Tcp, true) => &[
                Listening,
                Listening,
                Bound,
                Bound,
                Accepted,
                Served,
                TimeWaitOfServer,
                ClientBound,
                ClientAutomatic,
                ClientAutomatic,
                TimeWaitOfClient,
                FinWait2,
            ],
            (Protocol::Tcp, false) => {
                &[Listening, Bound, Accepted, Served, TimeWaitOfServer, ClientBound]
            }
            (Protocol::Udp, true) => &[Bound, Connected, ConnectedAutomatic],
            (Protocol::Udp, false) => &[Bound, Connected],
        };
        let random = &mut self.random;
        let devices = [None, None, None, None, Some("lo"), Some("v0")];
        let has_devices = !self.links.is_empty();
        let kind = *kinds.choose(random).unwrap();
        // The kernel clears the user of a closed socket, but not at once.
        let may_have_user = !matches!(kind, FinWait2 | TimeWaitOfClient | TimeWaitOfServer);
        Holder {
            address: *holder_addresses.choose(random).unwrap(),
            kind,
            reuse_address: random.random_ratio(1, 3),
            reuse_port: random.random_ratio(1, 3),
            user_1000: random.random_ratio(1, 8) && may_have_user,
            device: devices.choose(random).unwrap().filter(|_| has_devices),
        }
    }

    fn index(&self, name: &str) -> u32 {
        self.links.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Creates the sockets of the set on this port. None: the kernel refuses one of them.
    fn build(&self, set: &Set, port: u16) -> Option<Vec<Socket>> {
        let made = set.holders.iter().map(|holder| self.make(set.protocol, *holder, port));
        made.collect::<io::Result<Vec<_>>>().ok().map(|kept| kept.into_iter().flatten().collect())
    }

    fn make(&self, protocol: Protocol, holder: Holder, port: u16) -> io::Result<Vec<Socket>> {
        let (family, at) = self.address(holder.address, port);
        let kind = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
        let mut with = family.to_vec();
        with.extend(holder.reuse_address.then_some(SocketOption::ReuseAddress));
        with.extend(holder.reuse_port.then_some(SocketOption::ReusePort));
        with.extend(holder.user_1000.then_some(SocketOption::User1000));
        // A link-local address already binds the socket to an interface.
        let device = holder.device.filter(|_| !matches!(holder.address, HolderAddress::Link(_)));
        with.extend(device.map(SocketOption::Device));
        let automatic = matches!(
            holder.kind,
            Kind::ClientAutomatic
                | Kind::TimeWaitOfClient
                | Kind::FinWait2
                | Kind::ConnectedAutomatic
        );
        with.extend(automatic.then_some(SocketOption::OnlyPort(port)));
        let socket = holders::open(kind, at.ip(), &with);
        if !automatic {
            socket.bind(&at.into())?;
        }
        let peer = peer_of(holder.address);
        match holder.kind {
            Kind::Bound => {}
            Kind::Listening => socket.listen(8)?,
            Kind::Connected | Kind::ConnectedAutomatic => {
                socket.connect(&SocketAddr::new(peer.ip(), 9).into())?;
            }
            Kind::ClientBound | Kind::ClientAutomatic => {
                begin_to_connect(&socket, peer)?;
                socket.set_linger(Some(Duration::ZERO))?;
            }
            Kind::TimeWaitOfClient | Kind::FinWait2 => {
                begin_to_connect(&socket, peer)?;
                drop(socket);
                if holder.kind == Kind::TimeWaitOfClient {
                    self.peers.iter().for_each(drain);
                }
                return Ok(Vec::new());
            }
            Kind::Accepted | Kind::Served | Kind::TimeWaitOfServer => {
                return serve(socket, at, holder);
            }
        }
        Ok(vec![socket])
    }

    /// Returns the address, with the scope of a link-local one, and the options that its family
    /// needs.
    fn address(&self, address: HolderAddress, port: u16) -> (&'static [SocketOption], SocketAddr) {
        let mapped = |address: Ipv4Addr| IpAddr::V6(address.to_ipv6_mapped());
        let dual: &[SocketOption] = &[SocketOption::Dual];
        match address {
            HolderAddress::Any4 => (&[], SocketAddr::new(ANY4, port)),
            HolderAddress::Local4 => (&[], SocketAddr::new(LOCAL4, port)),
            HolderAddress::Second4 => (&[], SocketAddr::new(SECOND4, port)),
            HolderAddress::Lan4 => (&[], SocketAddr::new(LAN4, port)),
            HolderAddress::Dual => (dual, SocketAddr::new(ANY6, port)),
            HolderAddress::Any6 => (&[SocketOption::V6Only], SocketAddr::new(ANY6, port)),
            HolderAddress::Local6 => (&[], SocketAddr::new(LOCAL6, port)),
            HolderAddress::Mapped => (dual, SocketAddr::new(mapped(Ipv4Addr::LOCALHOST), port)),
            HolderAddress::MappedAny => {
                (dual, SocketAddr::new(mapped(Ipv4Addr::UNSPECIFIED), port))
            }
            HolderAddress::Link(name) => {
                (&[], SocketAddrV6::new(LINK_LOCAL, port, 0, self.index(name)).into())
            }
        }
    }

    /// Returns the binds that `explain` checks, and those to each link-local address.
    fn binds(&self, protocol: Protocol) -> Vec<Bind> {
        let links = self
            .links
            .iter()
            .map(|&(_, interface)| BindAddress::Scoped { address: LINK_LOCAL, interface });
        let plain = [
            BindAddress::Any4,
            BindAddress::AnyDual,
            BindAddress::Any6,
            BindAddress::At(LOCAL4),
            BindAddress::At(LOCAL6),
            BindAddress::At(SECOND4),
        ];
        let addresses: Vec<BindAddress> = plain.into_iter().chain(links).collect();
        let each =
            |&address: &BindAddress| Reuse::EACH.map(|reuse| Bind { protocol, address, reuse });
        addresses.iter().flat_map(each).collect()
    }

    fn scan(&mut self, port: u16) {
        self.scanner.scan_port(port, &mut self.snapshot).unwrap();
    }
}

fn serve(listener: Socket, at: SocketAddr, holder: Holder) -> io::Result<Vec<Socket>> {
    listener.listen(8)?;
    let to = match holder.address {
        HolderAddress::Any4
        | HolderAddress::Dual
        | HolderAddress::Mapped
        | HolderAddress::MappedAny => LOCAL4,
        HolderAddress::Any6 => LOCAL6,
        _ => at.ip(),
    };
    let to = match at {
        SocketAddr::V6(at) if at.scope_id() > 0 => at.into(),
        at => SocketAddr::new(to, at.port()),
    };
    // The client uses a port of its own, so that the ports of the sets stay free.
    let with: &[SocketOption] =
        if is_linux_at_least((6, 3)) { &[SocketOption::OnlyPort(CLIENTS)] } else { &[] };
    let client = holders::open(Type::STREAM, to.ip(), with);
    client.set_nonblocking(true)?;
    let _ = client.connect(&to.into());
    listener.set_nonblocking(true)?;
    let (accepted, _) = listener.accept()?;
    if holder.kind == Kind::TimeWaitOfServer {
        drop(accepted);
        drop(client);
        return Ok(Vec::new());
    }
    for socket in [&client, &accepted] {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    let kept = if holder.kind == Kind::Served { Some(listener) } else { None };
    Ok([accepted, client].into_iter().chain(kept).collect())
}

/// Starts to connect. Without an answer, as on another interface, the socket stays in SYN-SENT.
fn begin_to_connect(socket: &Socket, peer: SocketAddr) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() == Some(Code::INPROGRESS.raw_os_error()) => Ok(()),
        result => result,
    }
}

fn peer_of(address: HolderAddress) -> SocketAddr {
    let address = match address {
        HolderAddress::Any6 | HolderAddress::Local6 | HolderAddress::Link(_) => LOCAL6,
        HolderAddress::Lan4 => LAN4,
        HolderAddress::Dual | HolderAddress::Mapped | HolderAddress::MappedAny => {
            IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())
        }
        HolderAddress::Any4 | HolderAddress::Local4 | HolderAddress::Second4 => LOCAL4,
    };
    SocketAddr::new(address, PEER)
}

/// Accepts and closes all waiting connections.
fn drain(listener: &Socket) {
    while listener.accept().is_ok() {}
}

/// Creates two interfaces with the same link-local address; one also has an IPv4 address. Returns
/// none without iproute2.
fn devices() -> Vec<(&'static str, u32)> {
    let words = [
        "link add v0 type veth peer name v1",
        "link set v0 addrgenmode none up",
        "link set v1 addrgenmode none up",
        "addr add fe80::1/64 dev v0 nodad",
        "addr add fe80::1/64 dev v1 nodad",
        "addr add 10.9.0.1/24 dev v0",
    ];
    let is_made = words.iter().all(|words| {
        Command::new("ip").args(words.split(' ')).status().is_ok_and(|status| status.success())
    });
    assert!(is_made || std::env::var_os("CI").is_none(), "CI needs a pair of devices, by iproute2");
    if !is_made {
        eprintln!("not tested here: link-local addresses, which need a pair of devices");
        return Vec::new();
    }
    let socket = holders::open(Type::DGRAM, LOCAL4, &[]);
    let index = |name| rustix::net::netdevice::name_to_index(&socket, name).unwrap();
    vec![("v0", index("v0")), ("v1", index("v1"))]
}

/// Returns whether a real connect() that can use only this port gets it. No program listens at
/// `to`.
fn connects(protocol: Protocol, port: u16, to: SocketAddr) -> bool {
    let kind = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
    let connected = holders::choosing(port, || {
        holders::open(kind, to.ip(), &[SocketOption::OnlyPort(port)]).connect(&to.into())
    });
    match connected.map_err(|error| error.raw_os_error()) {
        Ok(()) => true,
        Err(Some(code)) if code == Code::CONNREFUSED.raw_os_error() => true,
        Err(Some(code)) if code == Code::ADDRNOTAVAIL.raw_os_error() => false,
        Err(Some(code)) if code == Code::AGAIN.raw_os_error() => false,
        Err(other) => panic!("connect to {to}: {other:?}"),
    }
}

/// The comparison of the answers with what the kernel did.
#[derive(Default)]
struct Figures {
    sets: u32,
    certain: u32,
    unknown: u32,
    probed: u32,
    not_probed: u32,
    /// Probes that were refused, although a mark of other sockets would have allowed them.
    stricter: u32,
    wrong: Vec<String>,
}

impl Figures {
    /// `claimed`: whether the call succeeds according to portscope; `does`: whether it really does.
    fn count(&mut self, what: impl FnOnce() -> String, claimed: Option<bool>, does: bool) {
        match claimed {
            None => self.unknown += 1,
            Some(claimed) if claimed == does => self.certain += 1,
            Some(claimed) => self.wrong.push(format!("{}: {claimed}, the kernel: {does}", what())),
        }
    }
}

fn claim(verdict: Verdict) -> Option<bool> {
    match verdict {
        Verdict::Free => Some(true),
        Verdict::InUse | Verdict::Never => Some(false),
        Verdict::Unknown => None,
    }
}

/// Compares the binds of one set: the answers, the kernel, the results of --probe, and the kernel
/// after --probe.
fn try_binds(setup: &mut FuzzSetup, set: &Set, figures: &mut Figures) -> bool {
    let port = setup.port();
    let Some(_kept) = setup.build(set, port) else { return false };
    setup.scan(port);
    let binds = setup.binds(set.protocol);
    let mut does = Vec::new();
    for &bind in &binds {
        let fresh = setup.port();
        let Some(_kept) = setup.build(set, fresh) else { return false };
        match probe::bind(bind, fresh) {
            Ok(()) => does.push(true),
            Err(Errno::EADDRINUSE) => does.push(false),
            Err(errno) => panic!("{set:?} {bind:?}: {errno}"),
        }
    }
    for (&bind, &does) in binds.iter().zip(&does) {
        let answer = bind_answer(&setup.snapshot, port, bind);
        let what = || format!("{set:?} {bind:?}: {answer:?}");
        figures.count(what, claim(answer.verdict), does);
    }
    let is_lenient = |bind: Bind| bind.reuse == Reuse::Port && set.has_lenient_mark();
    let probed = probing::probe_each(&setup.snapshot, port, &binds, |bind| probe::bind(bind, port));
    for ((&bind, &does), probed) in binds.iter().zip(&does).zip(probed) {
        match probed {
            Probed::Tried(Err(_)) if does && is_lenient(bind) => figures.stricter += 1,
            Probed::Tried(result) if result.is_ok() != does => {
                figures.wrong.push(format!("{set:?} {bind:?}: tried {result:?}, fresh {does}"));
            }
            Probed::Tried(_) => figures.probed += 1,
            Probed::Skipped(_) | Probed::NotAsked => figures.not_probed += 1,
        }
    }
    let after = setup.random.random_range(0..binds.len());
    let bind = binds[after];
    let result_after = probe::bind(bind, port).is_ok();
    if result_after != does[after] && (result_after || !is_lenient(bind)) {
        figures.wrong.push(format!("{set:?} {bind:?}: other after --probe than before"));
    }
    true
}

/// Compares the connects of one set, and checks that --probe does not take the port from connect().
fn try_connects(setup: &mut FuzzSetup, set: &Set, figures: &mut Figures) -> bool {
    if !setup.has_automatic {
        return true;
    }
    let holder_addresses =
        [(LOCAL4, 9), (LOCAL6, 9)].map(|(address, port)| SocketAddr::new(address, port));
    for to in holder_addresses {
        let port = setup.port();
        let Some(kept) = setup.build(set, port) else { return false };
        setup.scan(port);
        let does = connects(set.protocol, port, to);
        let destination =
            Destination { source: to.ip(), remote: (to.ip(), to.port()).into(), interface: None };
        for destination in [None, Some(&destination)] {
            let answer = connect_answer(&setup.snapshot, set.protocol, port, destination);
            let what = || format!("{set:?} connect {destination:?}: {answer:?}");
            figures.count(what, claim(answer.verdict), does);
        }
        let fresh = setup.port();
        drop(kept);
        let Some(_kept) = setup.build(set, fresh) else { return false };
        setup.scan(fresh);
        let binds = setup.binds(set.protocol);
        probing::probe_each(&setup.snapshot, fresh, &binds, |bind| probe::bind(bind, fresh));
        if connects(set.protocol, fresh, to) != does && !set.is_shared_by_accident() {
            figures.wrong.push(format!("{set:?} connect {to}: {does}, the reverse after --probe"));
        }
    }
    true
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn answers_never_claim_more_than_the_kernel_allows() {
    let sets = variable("PORTSCOPE_FUZZ_SETS", 80);
    let seed = variable("PORTSCOPE_FUZZ_SEED", 1);
    in_new_namespace(|| {
        let mut setup = FuzzSetup::new(seed);
        let mut figures = Figures::default();
        while u64::from(figures.sets) < sets {
            set_sysctl("tcp_timestamps", if setup.random.random_ratio(1, 4) { "0" } else { "1" });
            set_sysctl("tcp_tw_reuse", ["0", "1", "2"].choose(&mut setup.random).unwrap());
            let last = CLIENTS - setup.random.random_range(0..2);
            set_sysctl("ip_local_port_range", &format!("{} {last}", PORTS.0));
            let set = setup.set();
            if try_binds(&mut setup, &set, &mut figures) {
                try_connects(&mut setup, &set, &mut figures);
                figures.sets += 1;
            }
        }
        let Figures { sets, certain, unknown, probed, not_probed, stricter, wrong } = figures;
        eprintln!(
            "seed {seed}: {sets} sets, {certain} answers certain, {unknown} unknown, {} wrong; \
             {probed} probed, {not_probed} not, {stricter} stricter than the kernel's marks",
            wrong.len()
        );
        assert!(
            wrong.is_empty(),
            "{} of seed {seed}: {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(20)]
        );
    });
}
