//! Every kind of socket that holds a port, or seems to. Does not say what they refuse. Use only in
//! a network namespace of the calling thread.

use std::{
    fs,
    io::IoSlice,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use portscope::domain::{Protocol, State};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use socket2::{Domain, Socket, Type};

use crate::ip_option::{BIND_ADDRESS_NO_PORT, LOCAL_PORT_RANGE, set_ip_option};

pub const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
pub const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
pub const LOCAL4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const LOCAL6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const SECOND4: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const MPTCP: i32 = 262;
const NAMESPACE_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// First port, in the ephemeral range. Each row uses one port, in order.
const FIRST_PORT: u16 = 40_000;
/// Distance to the port of the peer, which is below the ephemeral range.
const PEER_BELOW: u16 = 20_000;

/// A kind of holder, with its open sockets.
pub struct Holder {
    pub name: &'static str,
    pub protocol: Protocol,
    pub port: u16,
    /// One of the states of the sockets on the port; None: the port is not in use.
    pub state: Option<State>,
    _kept: Vec<OwnedFd>,
}

/// Options set before bind() or connect().
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SocketOption {
    ReuseAddress,
    ReusePort,
    V6Only,
    Dual,
    /// IP_BIND_ADDRESS_NO_PORT
    NoPort,
    /// The kernel can choose only this port (IP_LOCAL_PORT_RANGE). Use within `choosing`.
    OnlyPort(u16),
    /// The socket belongs to uid 1000.
    User1000,
    Device(&'static str),
}

use SocketOption::{Device, Dual, NoPort, OnlyPort, ReuseAddress, ReusePort, User1000, V6Only};

/// Creates all rows that are possible here. Creates the devices v0 and v1 first, and sets the
/// reserved ports last.
pub fn all() -> Vec<Holder> {
    let has_devices = is_there("a pair of devices, by iproute2", make_devices());
    let mut rows = Rows { next: FIRST_PORT, holders: Vec::new() };
    if has_devices {
        on_devices(&mut rows);
    }
    tcp_standing(&mut rows);
    tcp_connected(&mut rows);
    tcp_departing(&mut rows);
    tcp_odd(&mut rows);
    udp_bound(&mut rows);
    udp_connected(&mut rows);
    reserve(&mut rows);
    rows.holders
}

struct Rows {
    next: u16,
    holders: Vec<Holder>,
}

impl Rows {
    fn add<K>(
        &mut self,
        protocol: Protocol,
        name: &'static str,
        state: Option<State>,
        make: impl FnOnce(u16) -> K,
    ) where
        K: IntoIterator<Item: Into<OwnedFd>>,
    {
        let port = self.next;
        self.next += 1;
        let kept = choosing(port, || make(port)).into_iter().map(Into::into).collect();
        self.holders.push(Holder { name, protocol, port, state, _kept: kept });
    }

    fn tcp<K>(&mut self, name: &'static str, state: State, make: impl FnOnce(u16) -> K)
    where
        K: IntoIterator<Item: Into<OwnedFd>>,
    {
        self.add(Protocol::Tcp, name, Some(state), make);
    }

    fn udp<K>(&mut self, name: &'static str, state: State, make: impl FnOnce(u16) -> K)
    where
        K: IntoIterator<Item: Into<OwnedFd>>,
    {
        self.add(Protocol::Udp, name, Some(state), make);
    }
}

/// A socket of the family of `address`, not bound.
pub fn open(kind: Type, address: IpAddr, with: &[SocketOption]) -> Socket {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, kind, None).unwrap();
    set(&socket, with);
    socket
}

fn set(socket: &Socket, with: &[SocketOption]) {
    for option in with {
        match *option {
            ReuseAddress => socket.set_reuse_address(true).unwrap(),
            ReusePort => socket.set_reuse_port(true).unwrap(),
            V6Only => socket.set_only_v6(true).unwrap(),
            Dual => socket.set_only_v6(false).unwrap(),
            NoPort => set_ip_option(socket, BIND_ADDRESS_NO_PORT, 1).unwrap(),
            OnlyPort(port) if has_port_range_option() => {
                set_ip_option(socket, LOCAL_PORT_RANGE, u32::from(port) << 16 | u32::from(port))
                    .unwrap();
            }
            OnlyPort(port) => assert!(range_of_namespace().starts_with(&format!("{port}\t{port}"))),
            User1000 => {
                let user = rustix::fs::Uid::from_raw(1000);
                rustix::fs::fchown(socket, Some(user), None).unwrap();
            }
            Device(name) => socket.bind_device(Some(name.as_bytes())).unwrap(),
        }
    }
}

/// Runs `choose`, in which a socket with `SocketOption::OnlyPort(port)` is connected, or bound to
/// port 0. Without IP_LOCAL_PORT_RANGE (before Linux 6.3), sets the range of the namespace to this
/// port for this time.
pub fn choosing<T>(port: u16, choose: impl FnOnce() -> T) -> T {
    if has_port_range_option() {
        return choose();
    }
    let before = range_of_namespace();
    fs::write(NAMESPACE_RANGE, format!("{port} {port}")).unwrap();
    let chosen = choose();
    fs::write(NAMESPACE_RANGE, before).unwrap();
    chosen
}

fn range_of_namespace() -> String {
    fs::read_to_string(NAMESPACE_RANGE).unwrap()
}

fn has_port_range_option() -> bool {
    static HAS_IT: OnceLock<bool> = OnceLock::new();
    *HAS_IT.get_or_init(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        set_ip_option(&socket, LOCAL_PORT_RANGE, 0).is_ok()
    })
}

fn bound(kind: Type, address: IpAddr, port: u16, with: &[SocketOption]) -> Socket {
    let socket = open(kind, address, with);
    socket.bind(&SocketAddr::new(address, port).into()).unwrap();
    socket
}

fn tcp(address: IpAddr, port: u16, with: &[SocketOption]) -> Socket {
    bound(Type::STREAM, address, port, with)
}

fn udp(address: IpAddr, port: u16, with: &[SocketOption]) -> Socket {
    bound(Type::DGRAM, address, port, with)
}

fn listening(address: IpAddr, port: u16, with: &[SocketOption]) -> Socket {
    let socket = tcp(address, port, with);
    socket.listen(8).unwrap();
    socket
}

/// Connects a socket to a new listener on loopback, closes the listener, and returns the accepted
/// socket.
fn answer(client: &Socket, address: IpAddr, port: u16) -> Socket {
    let peer = SocketAddr::new(address, port - PEER_BELOW);
    let listener = listening(address, peer.port(), &[]);
    client.connect(&peer.into()).unwrap();
    listener.accept().unwrap().0
}

/// A client whose port connect() chose, and the accepted socket.
fn implicit(address: IpAddr, port: u16, with: &[SocketOption]) -> [Socket; 2] {
    let client = open(Type::STREAM, address, with);
    set(&client, &[OnlyPort(port)]);
    let server = answer(&client, address, port);
    [client, server]
}

/// A client that was bound before connect(), and the accepted socket.
fn explicit(port: u16, with: &[SocketOption]) -> [Socket; 2] {
    let client = tcp(LOCAL4, port, with);
    let server = answer(&client, LOCAL4, port);
    [client, server]
}

/// The listener on `port`, the socket that it accepted, and the client.
fn served(port: u16, with: &[SocketOption]) -> [Socket; 3] {
    let listener = listening(ANY4, port, with);
    let client = tcp(LOCAL4, port - PEER_BELOW, &[]);
    client.connect(&SocketAddr::new(LOCAL4, port).into()).unwrap();
    let (server, _) = listener.accept().unwrap();
    [listener, server, client]
}

fn refused(client: Socket) -> [Socket; 1] {
    client.connect(&SocketAddr::new(LOCAL4, 9).into()).expect_err("nobody listens");
    [client]
}

/// The peer of the first socket resets the connection.
fn reset([client, server]: [Socket; 2]) -> [Socket; 1] {
    server.set_linger(Some(Duration::ZERO)).unwrap();
    [client]
}

fn none() -> [Socket; 0] {
    []
}

fn on_devices(rows: &mut Rows) {
    rows.tcp("listen 0.0.0.0 dev v1", State::Listen, |p| [listening(ANY4, p, &[Device("v1")])]);
    rows.udp("bound 0.0.0.0 dev v1", State::Unconnected, |p| [udp(ANY4, p, &[Device("v1")])]);
    rows.tcp("SYN-SENT implicit", State::SynSent, |p| {
        let client = open(Type::STREAM, ANY4, &[OnlyPort(p)]);
        client.set_nonblocking(true).unwrap();
        let nobody = SocketAddr::from(([10, 9, 0, 99], 80));
        client.connect(&nobody.into()).expect_err("it goes on");
        [client]
    });
}

fn tcp_standing(rows: &mut Rows) {
    use State::{Bound, Listen};
    rows.add(Protocol::Tcp, "none", None, |_| none());
    rows.tcp("listen 0.0.0.0", Listen, |p| [listening(ANY4, p, &[])]);
    rows.tcp("listen 0.0.0.0 +RA", Listen, |p| [listening(ANY4, p, &[ReuseAddress])]);
    rows.tcp("listen 0.0.0.0 +RP", Listen, |p| [listening(ANY4, p, &[ReusePort])]);
    rows.tcp("listen 0.0.0.0 +RP uid1000", Listen, |p| {
        [listening(ANY4, p, &[ReusePort, User1000])]
    });
    rows.tcp("listen 127.0.0.1", Listen, |p| [listening(LOCAL4, p, &[])]);
    rows.tcp("listen 127.0.0.2", Listen, |p| [listening(SECOND4, p, &[])]);
    rows.tcp("listen [::] dual", Listen, |p| [listening(ANY6, p, &[Dual])]);
    rows.tcp("listen [::] V6ONLY", Listen, |p| [listening(ANY6, p, &[V6Only])]);
    rows.tcp("listen [::1]", Listen, |p| [listening(LOCAL6, p, &[])]);
    rows.tcp("listen [::ffff:127.0.0.1]", Listen, |p| {
        [listening(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), p, &[])]
    });
    rows.tcp("listen 0.0.0.0 dev lo", Listen, |p| [listening(ANY4, p, &[Device("lo")])]);
    rows.tcp("bound 0.0.0.0", Bound, |p| [tcp(ANY4, p, &[])]);
    rows.tcp("bound 0.0.0.0 +RA", Bound, |p| [tcp(ANY4, p, &[ReuseAddress])]);
    rows.tcp("bound 0.0.0.0 +RP", Bound, |p| [tcp(ANY4, p, &[ReusePort])]);
    rows.tcp("bound 127.0.0.1", Bound, |p| [tcp(LOCAL4, p, &[])]);
    rows.tcp("bound [::] dual", Bound, |p| [tcp(ANY6, p, &[Dual])]);
    rows.tcp("bound [::1]", Bound, |p| [tcp(LOCAL6, p, &[])]);
    rows.add(Protocol::Tcp, "bind(NO_PORT) not connected", None, |p| {
        [tcp(LOCAL4, 0, &[NoPort, OnlyPort(p)])]
    });
}

fn tcp_connected(rows: &mut Rows) {
    use State::Established;
    rows.tcp("client implicit", Established, |p| implicit(LOCAL4, p, &[]));
    rows.tcp("client implicit +RA", Established, |p| implicit(LOCAL4, p, &[ReuseAddress]));
    rows.tcp("client bind(127.0.0.1:0)", Established, |p| {
        let client = tcp(LOCAL4, 0, &[OnlyPort(p)]);
        let server = answer(&client, LOCAL4, p);
        [client, server]
    });
    rows.tcp("client bind(127.0.0.1:P)+RA", Established, |p| explicit(p, &[ReuseAddress]));
    rows.tcp("client BIND_NO_PORT", Established, |p| {
        let client = tcp(LOCAL4, 0, &[NoPort, OnlyPort(p)]);
        let server = answer(&client, LOCAL4, p);
        [client, server]
    });
    rows.tcp("client implicit v6", Established, |p| implicit(LOCAL6, p, &[]));
    rows.tcp("client implicit v6 V6ONLY", Established, |p| implicit(LOCAL6, p, &[V6Only]));
    rows.tcp("accepted +RA, listener closed", Established, |p| {
        served(p, &[ReuseAddress]).into_iter().skip(1)
    });
    rows.tcp("accepted, listener closed", Established, |p| served(p, &[]).into_iter().skip(1));
    rows.tcp("listener and accepted +RA", State::Listen, |p| served(p, &[ReuseAddress]));
}

fn tcp_departing(rows: &mut Rows) {
    use State::{CloseWait, FinWait2, TimeWait};
    rows.tcp("FIN-WAIT-2 with descriptor", FinWait2, |p| {
        let ends = implicit(LOCAL4, p, &[]);
        ends[0].shutdown(Shutdown::Write).unwrap();
        ends
    });
    rows.tcp("CLOSE-WAIT with descriptor", CloseWait, |p| {
        let ends = implicit(LOCAL4, p, &[]);
        ends[1].shutdown(Shutdown::Write).unwrap();
        ends
    });
    rows.tcp("FIN-WAIT-2 orphan implicit", FinWait2, |p| {
        implicit(LOCAL4, p, &[]).into_iter().skip(1)
    });
    rows.tcp("FIN-WAIT-2 orphan bind(P)", FinWait2, |p| explicit(p, &[]).into_iter().skip(1));
    rows.tcp("TIME-WAIT client implicit", TimeWait, |p| closed(implicit(LOCAL4, p, &[])));
    rows.tcp("TIME-WAIT client bind(P)", TimeWait, |p| closed(explicit(p, &[])));
    rows.tcp("TIME-WAIT client bind(P) +RA", TimeWait, |p| closed(explicit(p, &[ReuseAddress])));
    rows.tcp("TIME-WAIT server +RA", TimeWait, |p| closed_server(served(p, &[ReuseAddress])));
    rows.tcp("TIME-WAIT server", TimeWait, |p| closed_server(served(p, &[])));
}

/// Closes both sockets, the first one first.
fn closed([client, server]: [Socket; 2]) -> [Socket; 0] {
    drop(client);
    drop(server);
    none()
}

fn closed_server([listener, server, client]: [Socket; 3]) -> [Socket; 0] {
    drop(listener);
    closed([server, client])
}

fn tcp_odd(rows: &mut Rows) {
    use State::{Bound, Listen};
    rows.add(Protocol::Tcp, "connect refused, implicit", None, |p| {
        refused(open(Type::STREAM, ANY4, &[OnlyPort(p)]))
    });
    rows.tcp("connect refused, bind(P)", Bound, |p| refused(tcp(LOCAL4, p, &[])));
    rows.add(Protocol::Tcp, "peer RST, implicit", None, |p| reset(implicit(LOCAL4, p, &[])));
    rows.tcp("peer RST, bind(P)", Bound, |p| reset(explicit(p, &[])));
    rows.tcp("listener after shutdown", Bound, |p| {
        let listener = listening(ANY4, p, &[]);
        listener.shutdown(Shutdown::Both).unwrap();
        [listener]
    });
    rows.tcp("listener in flight (SCM_RIGHTS)", Listen, |p| in_flight(&listening(ANY4, p, &[])));
    if is_there("MPTCP", Socket::new(Domain::IPV4, Type::STREAM, Some(MPTCP.into())).is_ok()) {
        rows.tcp("MPTCP bound", Bound, |p| [mptcp(p)]);
        rows.tcp("MPTCP listen", Listen, |p| {
            let listener = mptcp(p);
            listener.listen(8).unwrap();
            [listener]
        });
    }
}

fn mptcp(port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(MPTCP.into())).unwrap();
    socket.bind(&SocketAddr::new(ANY4, port).into()).unwrap();
    socket
}

/// Sends the socket through a pair of Unix sockets that no process reads.
fn in_flight(socket: &Socket) -> [UnixStream; 2] {
    let (near, far) = UnixStream::pair().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [socket.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    rustix::net::sendmsg(&near, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
    [near, far]
}

fn udp_bound(rows: &mut Rows) {
    use State::Unconnected;
    let mut row = |name, address, with: &[SocketOption]| {
        rows.udp(name, Unconnected, |p| [udp(address, p, with)]);
    };
    row("bound 0.0.0.0", ANY4, &[]);
    row("bound 0.0.0.0 +RA", ANY4, &[ReuseAddress]);
    row("bound 0.0.0.0 +RP", ANY4, &[ReusePort]);
    row("bound 0.0.0.0 +RP uid1000", ANY4, &[ReusePort, User1000]);
    row("bound 127.0.0.1", LOCAL4, &[]);
    row("bound 127.0.0.2", SECOND4, &[]);
    row("bound [::] dual", ANY6, &[Dual]);
    row("bound [::] V6ONLY", ANY6, &[V6Only]);
    row("bound [::1]", LOCAL6, &[]);
    row("bound 224.0.0.251", GROUP.into(), &[]);
    row("bound 224.0.0.251 +RA", GROUP.into(), &[ReuseAddress]);
    row("bound 0.0.0.0 dev lo", ANY4, &[Device("lo")]);
    rows.udp("bound 0.0.0.0 +RA, group joined", Unconnected, |p| {
        let socket = udp(ANY4, p, &[ReuseAddress]);
        socket.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
        [socket]
    });
}

fn udp_connected(rows: &mut Rows) {
    use State::{Connected, Unconnected};
    let to = |socket: Socket, address: IpAddr| {
        socket.connect(&SocketAddr::new(address, 9).into()).unwrap();
        [socket]
    };
    let free = |address, port| open(Type::DGRAM, address, &[OnlyPort(port)]);
    rows.add(Protocol::Udp, "none", None, |_| none());
    rows.udp("connect() implicit", Connected, |p| to(free(LOCAL4, p), LOCAL4));
    rows.udp("connect() implicit v6", Connected, |p| to(free(LOCAL6, p), LOCAL6));
    rows.udp("bind(127.0.0.1:P)+connect", Connected, |p| to(udp(LOCAL4, p, &[]), LOCAL4));
    rows.udp("bind(0.0.0.0:P)+connect", Connected, |p| to(udp(ANY4, p, &[]), LOCAL4));
    rows.udp("sendto() autobind", Unconnected, |p| {
        let socket = free(LOCAL4, p);
        socket.send_to(b"x", &SocketAddr::new(LOCAL4, 9).into()).unwrap();
        [socket]
    });
    let apart = |[socket]: [Socket; 1]| {
        rustix::net::connect_unspec(&socket).unwrap();
        [socket]
    };
    rows.add(Protocol::Udp, "implicit then connect(AF_UNSPEC)", None, |p| {
        apart(to(free(LOCAL4, p), LOCAL4))
    });
    rows.udp("bind(P) then connect(AF_UNSPEC)", Unconnected, |p| {
        apart(to(udp(LOCAL4, p, &[]), LOCAL4))
    });
}

/// Adds the rows of ip_local_reserved_ports.
fn reserve(rows: &mut Rows) {
    let first = rows.next;
    rows.add(Protocol::Tcp, "reserved", None, |_| none());
    rows.add(Protocol::Udp, "reserved", None, |_| none());
    let list = format!("{first}-{}", first + 1);
    std::fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", list).unwrap();
}

/// Creates a pair of devices. No host answers at 10.9.0.99, which is behind them.
fn make_devices() -> bool {
    [
        "link add v0 type veth peer name v1",
        "addr add 10.9.0.1/24 dev v0",
        "link set v0 up",
        "link set v1 up",
        "neigh add 10.9.0.99 lladdr 02:00:00:00:00:63 dev v0 nud permanent",
    ]
    .iter()
    .all(|words| Command::new("ip").args(words.split(' ')).status().is_ok_and(|s| s.success()))
}

/// Prints which rows are missing, or panics if `CI` is set.
fn is_there(what: &str, is_there: bool) -> bool {
    assert!(is_there || std::env::var_os("CI").is_none(), "CI needs {what}");
    if !is_there {
        eprintln!("not tested here: what needs {what}");
    }
    is_there
}
