//! The number of ports reported as left for connect() and bind(0), on random sets of sockets,
//! compared with the number that the kernel really assigns. PORTSCOPE_SETS is the number of sets
//! (default 40), PORTSCOPE_SEED selects them (default 1).

use std::{
    fmt::Write as _,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::Command,
    sync::Arc,
    sync::Mutex,
    time::Duration,
};

use portscope::{
    domain::{
        DestinationUse, Endpoint, Left, Protocol, Protocols, Snapshot, Source,
        analysis::Analysis,
        availability::{BindAddress, scopes},
    },
    engine::sample::Sample,
    host::{
        Host as _, OwnerDepth, Scanner as _,
        linux::{LinuxHost, LinuxScanner},
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng, seq::IndexedRandom as _};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::{
    ip_option::{BIND_ADDRESS_NO_PORT, LOCAL_PORT_RANGE, set_ip_option},
    namespace::{in_new_namespace, is_linux_at_least, needs_linux, set_sysctl},
    processes,
};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOCAL6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Ports of three destinations: of most connections, of the others, and of none.
const ASKED: u16 = 5000;
const OTHER: u16 = 5001;
const NEW: u16 = 5002;
/// A port on which no program listens.
const NOBODY: u16 = 5003;

/// The ways in which a port is used.
#[derive(Clone, Copy, Debug)]
enum PortUse {
    Listen,
    Listen6,
    Bound,
    /// bind(127.0.0.1:0), then connect().
    BindZero,
    /// bind() by number, then connect().
    ByNumber,
    ByNumberReused,
    NoPort,
    Connect,
    Connect6,
    Mapped,
    FromOtherSource,
    OnDevice,
    OwnRange,
    Udp,
    TimeWait,
    TimeWaitOfBound,
    TimeWaitOfNumber,
    /// An accepted connection whose listener is closed.
    Accepted,
    /// connect() to a port on which no program listens; the second one after bind().
    Refused,
    RefusedOfBound,
}

const PORT_USES: [PortUse; 20] = [
    PortUse::Listen,
    PortUse::Listen6,
    PortUse::Bound,
    PortUse::BindZero,
    PortUse::ByNumber,
    PortUse::ByNumberReused,
    PortUse::NoPort,
    PortUse::Connect,
    PortUse::Connect6,
    PortUse::Mapped,
    PortUse::FromOtherSource,
    PortUse::OnDevice,
    PortUse::OwnRange,
    PortUse::Udp,
    PortUse::TimeWait,
    PortUse::TimeWaitOfBound,
    PortUse::TimeWaitOfNumber,
    PortUse::Accepted,
    PortUse::Refused,
    PortUse::RefusedOfBound,
];

/// Returns those that this kernel supports.
fn available_port_uses() -> Vec<PortUse> {
    let has_option = is_linux_at_least((6, 3));
    PORT_USES
        .into_iter()
        .filter(|port_use| has_option || !matches!(port_use, PortUse::OwnRange))
        .collect()
}

struct PortUser {
    random: ChaCha8Rng,
    first: u16,
    last: u16,
    servers: Vec<Socket>,
    held: Vec<Socket>,
    log: String,
}

impl PortUser {
    fn set(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let size: u16 = *[16, 17, 31, 32, 64, 65].choose(&mut random).unwrap();
        let first: u16 = random.random_range(40_000..=40_001);
        let last = first + size - 1;
        set_sysctl("ip_local_port_range", &format!("{first} {last}"));
        let count = *[0, 0, 3, size / 3].choose(&mut random).unwrap();
        let reserved: Vec<String> =
            (0..count).map(|_| random.random_range(first..=last).to_string()).collect();
        set_sysctl("ip_local_reserved_ports", &format!("{}\n", reserved.join(",")));
        let timestamps = u8::from(random.random_bool(0.7));
        set_sysctl("tcp_timestamps", &timestamps.to_string());
        let reuse = random.random_range(0..=2u8);
        set_sysctl("tcp_tw_reuse", &reuse.to_string());
        let servers = [ASKED, OTHER, NEW].into_iter().flat_map(|port| {
            [LOCAL, LOCAL6].map(|address| listener(SocketAddr::new(address, port)))
        });
        let servers = servers.collect();
        let log = format!(
            "seed {seed}: {first}-{last}, reserved {reserved:?}, timestamps {timestamps}, \
             tcp_tw_reuse {reuse}"
        );
        let mut port_user = Self { random, first, last, servers, held: Vec::new(), log };
        for _ in 0..port_user.random.random_range(0..=3) {
            let port_use = *available_port_uses().choose(&mut port_user.random).unwrap();
            let times = port_user.random.random_range(1..size / 2);
            write!(port_user.log, ", {port_use:?} {times}").unwrap();
            for _ in 0..times {
                // This may fail, because its port may be in use.
                let _ = port_user.use_port(port_use);
            }
        }
        port_user
    }

    fn port(&mut self) -> u16 {
        self.random.random_range(self.first..=self.last)
    }

    fn use_port(&mut self, port_use: PortUse) -> std::io::Result<()> {
        let port = self.port();
        let kept = match port_use {
            PortUse::Listen => {
                let socket = bound(Type::STREAM, LOCAL, port)?;
                socket.listen(1)?;
                socket
            }
            PortUse::Listen6 => {
                let socket = bound(Type::STREAM, LOCAL6, port)?;
                socket.listen(1)?;
                socket
            }
            PortUse::Bound => bound(Type::STREAM, Ipv4Addr::new(127, 0, 0, 2).into(), 0)?,
            PortUse::Udp => bound(Type::DGRAM, LOCAL, port)?,
            PortUse::BindZero => connected(bound(Type::STREAM, LOCAL, 0)?, LOCAL, OTHER)?,
            PortUse::ByNumber => connected(bound(Type::STREAM, LOCAL, port)?, LOCAL, OTHER)?,
            PortUse::ByNumberReused => {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.bind(&SocketAddr::new(LOCAL, port).into())?;
                connected(socket, LOCAL, ASKED)?
            }
            PortUse::NoPort => connected(without_port(LOCAL)?, LOCAL, ASKED)?,
            PortUse::FromOtherSource => {
                connected(without_port(Ipv4Addr::new(127, 0, 0, 9).into())?, LOCAL, ASKED)?
            }
            PortUse::Connect => {
                connected(Socket::new(Domain::IPV4, Type::STREAM, None)?, LOCAL, ASKED)?
            }
            PortUse::Connect6 => {
                connected(Socket::new(Domain::IPV6, Type::STREAM, None)?, LOCAL6, ASKED)?
            }
            PortUse::Mapped => {
                let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().into();
                connected(Socket::new(Domain::IPV6, Type::STREAM, None)?, mapped, ASKED)?
            }
            PortUse::OnDevice => {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                socket.bind_device(Some(b"lo"))?;
                connected(socket, LOCAL, ASKED)?
            }
            PortUse::OwnRange => {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                let half = u32::from(self.first + (self.last - self.first) / 2);
                let value = half << 16 | u32::from(self.first);
                set_ip_option(&socket, LOCAL_PORT_RANGE, value).unwrap();
                connected(socket, LOCAL, ASKED)?
            }
            PortUse::TimeWait => {
                return self.close_first(Socket::new(Domain::IPV4, Type::STREAM, None)?);
            }
            PortUse::TimeWaitOfBound => return self.close_first(bound(Type::STREAM, LOCAL, 0)?),
            PortUse::TimeWaitOfNumber => {
                return self.close_first(bound(Type::STREAM, LOCAL, port)?);
            }
            PortUse::Accepted => return self.accept_and_close(port),
            PortUse::Refused => refused(Socket::new(Domain::IPV4, Type::STREAM, None)?),
            PortUse::RefusedOfBound => refused(bound(Type::STREAM, LOCAL, port)?),
        };
        self.held.push(kept);
        Ok(())
    }

    fn close_first(&mut self, socket: Socket) -> std::io::Result<()> {
        let client = connected(socket, LOCAL, ASKED)?;
        let local = client.local_addr()?.as_socket().unwrap();
        let (accepted, _) = loop {
            let (accepted, peer) = self.servers[0].accept()?;
            if peer.as_socket() == Some(local) {
                break (accepted, peer);
            }
            self.held.push(accepted);
        };
        drop(client);
        let mut accepted: std::net::TcpStream = accepted.into();
        assert_eq!(accepted.read(&mut [0])?, 0, "the other end was closed");
        Ok(())
    }

    fn accept_and_close(&mut self, port: u16) -> std::io::Result<()> {
        let gone = bound(Type::STREAM, LOCAL, port)?;
        gone.listen(1)?;
        let client = bound(Type::STREAM, Ipv4Addr::new(127, 0, 0, 2).into(), 10_000 + port % 4096)?;
        self.held.push(connected(client, LOCAL, port)?);
        self.held.push(gone.accept()?.0);
        Ok(())
    }
}

fn listener(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_only_v6(address.is_ipv6()).ok();
    socket.bind(&address.into()).unwrap();
    socket.listen(4096).unwrap();
    socket
}

fn bound(kind: Type, address: IpAddr, port: u16) -> std::io::Result<Socket> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn refused(socket: Socket) -> Socket {
    let result = socket.connect(&SocketAddr::new(LOCAL, NOBODY).into());
    let error = result.expect_err("nobody listens there");
    let errno = Errno::from_io_error(&error);
    assert!(matches!(errno, Some(Errno::CONNREFUSED | Errno::ADDRNOTAVAIL)), "{error}");
    socket
}

/// Returns a socket with a bound source address, whose port connect() chooses.
fn without_port(source: IpAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    set_ip_option(&socket, BIND_ADDRESS_NO_PORT, 1).unwrap();
    socket.bind(&SocketAddr::new(source, 0).into())?;
    Ok(socket)
}

fn connected(socket: Socket, address: IpAddr, port: u16) -> std::io::Result<Socket> {
    socket.connect(&SocketAddr::new(address, port).into())?;
    Ok(socket)
}

/// Scans once.
fn scan() -> (Snapshot, Analysis) {
    let sample =
        Sample::take(&LinuxHost::new(), Protocols::Both, Duration::ZERO, &Mutex::default())
            .unwrap();
    (sample.snapshot, sample.analysis)
}

/// Scans as if netlink were refused: bound sockets that neither listen nor are connected are in no
/// table.
fn scan_without_netlink(depth: OwnerDepth) -> (Snapshot, Analysis) {
    let machine = LinuxHost::new().machine();
    let mut snapshot = Snapshot::empty(Arc::clone(&machine), Source::Procfs);
    LinuxScanner::over(machine, Err(portscope::domain::Errno::EACCES))
        .scan(depth, &mut snapshot)
        .unwrap();
    let analysis = Analysis::of(&snapshot);
    (snapshot, analysis)
}

fn row(analysis: &Analysis, port: u16) -> Option<&DestinationUse> {
    let remote: Endpoint = (LOCAL, port).into();
    analysis.destinations.iter().find(|row| {
        let to = row.destination;
        to.remote == remote && to.source == LOCAL && to.interface.is_none()
    })
}

/// Connects until no port is left, and returns the number of connections. They are closed without
/// TIME-WAIT.
fn connections(port: u16) -> u32 {
    let mut held = Vec::new();
    let mut failures = 0;
    while failures < 40 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        match socket.connect(&SocketAddr::new(LOCAL, port).into()) {
            Ok(()) => held.push(socket),
            Err(error) => {
                assert_eq!(Errno::from_io_error(&error), Some(Errno::ADDRNOTAVAIL));
                failures += 1;
            }
        }
    }
    for socket in &held {
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
    held.len() as u32
}

/// Binds port 0 until no port is left, and returns the number of ports.
fn binds(kind: Type, address: IpAddr) -> u32 {
    let mut held = Vec::new();
    let mut failures = 0;
    while failures < 40 {
        match bound(kind, address, 0) {
            Ok(socket) => held.push(socket),
            Err(_) => failures += 1,
        }
    }
    held.len() as u32
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn reported_ports_left_never_exceed_those_the_kernel_gives() {
    let (first, sets) = (number("PORTSCOPE_SEED", 1), number("PORTSCOPE_SETS", 40));
    needs_linux((6, 3), "has IP_LOCAL_PORT_RANGE");
    let _alone = processes::alone();
    for seed in first * 10_000..first * 10_000 + sets {
        let reported = in_new_namespace(|| one_set(seed));
        if reported.is_none() {
            return;
        }
    }
}

fn one_set(seed: u64) {
    let port_user = PortUser::set(seed);
    let scans = [
        ("", scan()),
        (" (no netlink)", scan_without_netlink(OwnerDepth::Full)),
        (" (no netlink, no owners)", scan_without_netlink(OwnerDepth::Skip)),
    ];
    let (snapshot, analysis) = &scans[0].1;
    // TIME-WAIT sockets become old enough for connect() to reuse their ports: then more ports are
    // left.
    let has_time_wait = analysis.destinations.iter().any(|row| row.time_wait > 0);
    // /proc/net does not list devices, so a socket on a device counts for all destinations.
    let has_devices = snapshot.sockets.iter().any(|socket| socket.interface.is_some());
    let check = |what: &str, left: Left, got: u32| {
        let is_right = left.least <= got && (got <= left.most || has_time_wait || has_devices);
        assert!(is_right, "{what}: {left} left, the kernel gave {got}; {}", port_user.log);
    };
    let check_each = |what: &str, left: &dyn Fn(&Analysis) -> Left, got: u32| {
        for (name, (_, analysis)) in &scans {
            check(&format!("{what}{name}"), left(analysis), got);
        }
    };
    let asked = |analysis: &Analysis| {
        row(analysis, ASKED).map_or(analysis.new_destination(), DestinationUse::left)
    };
    let range = |protocol| move |analysis: &Analysis| analysis.range(protocol).left();
    // connect() is tested first, because a bind() may block a port for connect().
    check_each("connect()", &asked, connections(ASKED));
    let new = connections(NEW);
    check_each("connect() to a new destination", &Analysis::new_destination, new);
    let tcp = binds(Type::STREAM, any6());
    check_each("bind(0) on all addresses", &range(Protocol::Tcp), tcp);
    check_each("UDP bind(0)", &range(Protocol::Udp), binds(Type::DGRAM, any6()));
    for scope in scopes(snapshot, Protocol::Tcp) {
        let address = match scope.address {
            Some(BindAddress::Any4) => Ipv4Addr::UNSPECIFIED.into(),
            Some(BindAddress::At(address)) => address,
            Some(_) => continue,
            None => Ipv4Addr::new(127, 9, 9, 9).into(),
        };
        // On each address, bind(0) may skip one end of a range with an odd number of ports.
        let least = scope.left.least.saturating_sub(1);
        let left = Left { least, most: scope.left.most };
        check(&format!("bind({address}, 0)"), left, binds(Type::STREAM, address));
    }
}

fn any6() -> IpAddr {
    Ipv6Addr::UNSPECIFIED.into()
}

#[test]
fn remote_time_wait_counts_as_left_only_with_timestamps() {
    let peer: IpAddr = Ipv4Addr::new(10, 9, 0, 2).into();
    let source: IpAddr = Ipv4Addr::new(10, 9, 0, 1).into();
    let _alone = processes::alone();
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40063");
        set_sysctl("tcp_tw_reuse", "1");
        for address in ["10.9.0.1/24", "10.9.0.2/24"] {
            let words = ["addr", "add", address, "dev", "lo"];
            assert!(Command::new("ip").args(words).status().unwrap().success(), "iproute2");
        }
        let server = listener(SocketAddr::new(peer, ASKED));
        let open = || connected(without_port(source).unwrap(), peer, ASKED).unwrap();
        for _ in 0..24 {
            let client = open();
            let mut accepted: std::net::TcpStream = server.accept().unwrap().0.into();
            drop(client);
            assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
        }
        let left = || {
            let (_, analysis) = scan();
            let row = analysis.destinations.iter().find(|row| row.destination.source == source);
            row.map(|row| (row.reusable, row.left())).unwrap()
        };
        // Waits until all TIME-WAIT sockets are as old as tcp_tw_reuse_delay requires.
        let unknown = loop {
            let (reusable, left) = left();
            if reusable == 24 {
                break left;
            }
        };
        assert_eq!(unknown, Left::new(40, 64), "nothing is known of the peer");
        let _live = open();
        // connect() is known to have chosen the ports, except for about 20, whose parity may be a
        // coincidence.
        let known = left().1;
        assert_eq!(known, Left::new(43, 63), "a connection shows that the peer has timestamps");
        set_sysctl("tcp_timestamps", "0");
        // The open connection may have reused the port of a TIME-WAIT socket.
        let without = left().1;
        assert!((39..=40).contains(&without.most), "{without}");
    });
}
