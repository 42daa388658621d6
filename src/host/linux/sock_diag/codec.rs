//! Encodes requests to NETLINK_SOCK_DIAG and decodes the sockets in its answers. No I/O.
//!
//! Layouts: `linux/inet_diag.h`, `linux/rtnetlink.h`. Everything is in the byte order of the host,
//! except for ports and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    domain::{Endpoint, Errno, Family, Protocol, Socket, State, Table, Timer},
    host::linux::netlink::{
        self, ALL, Attributes, DONE, ERROR, Messages, NOOP, NetlinkMessage, ONE, push_attribute,
        u32_at,
    },
};

/// All states, including bound-inactive.
pub const ALL_STATES: u32 = u32::MAX;
/// `TCPF_BOUND_INACTIVE`; Linux before 6.8 ignores it (net/ipv4/inet_diag.c).
pub const BOUND_INACTIVE: u32 = 1 << 13;

/// `TCPDIAG_GETSOCK`: both families in one walk of the kernel's table, TCP only.
const GETSOCK: u16 = 18;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `SOCK_DESTROY`, since Linux 4.5.
const DESTROY: u16 = 21;
/// `NLM_F_ACK`.
const ACKNOWLEDGED: u16 = 4;
/// `NLM_F_DUMP_INTR`: the table changed while it was dumped.
const DUMP_INTERRUPTED: u16 = 0x10;
/// `INET_DIAG_SKV6ONLY`, one byte; sent for listening and closed sockets only.
const V6_ONLY: u16 = 11;
/// `INET_DIAG_CGROUP_ID`, eight bytes.
const CGROUP_ID: u16 = 21;

/// `INET_DIAG_REQ_BYTECODE`
const BYTECODE: u16 = 1;
/// `INET_DIAG_BC_AUTO` and `INET_DIAG_BC_JMP`.
const AUTOMATIC: u8 = 6;
const JUMP: u8 = 1;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The states, as bits, in which a TCP socket has a peer and may have been bound to an explicit
/// port. TIME-WAIT is not among them, because the kernel keeps nothing about its bind().
pub const CONNECTED: u32 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;
/// FIN-WAIT-2 and TIME-WAIT, as bits: the states that a TIME-WAIT socket of the kernel can have
/// (`tw_substate`).
pub const CLOSED: u32 = 1 << 5 | 1 << 6;
/// `INET_DIAG_INFO`, requested by bit `INFO - 1`; its value is `struct tcp_info`.
const INFO: u16 = 2;
/// Offset of `tcpi_options` in `struct tcp_info`, and its flag `TCPI_OPT_TIMESTAMPS` (linux/tcp.h).
const INFO_OPTIONS: usize = 5;
const WITH_TIMESTAMPS: u8 = 1;

/// Why a dump is not reliable as a whole, the least severe error first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DumpError {
    /// The table changed during the dump, as reported by the kernel.
    Interrupted,
    /// Some data was lost.
    Truncated,
    /// A message was malformed.
    Malformed,
    /// The kernel returned an error instead of a table.
    Refused(Errno),
}

/// Returns the request for the sockets of `table` that are in one of `states` and have this local
/// port (net/ipv4/inet_diag.c and udp_diag.c compare `idiag_sport`); None: any port.
pub fn request(table: Table, states: u32, port: Option<u16>, sequence: u32) -> Vec<u8> {
    netlink::message(reply_kind(table), ALL, sequence, &body(table, states, port))
}

/// Returns the request for `tcp_info` of one connected TCP socket. None: the socket has no cookie
/// or no peer.
pub fn request_of_info(socket: &Socket, sequence: u32) -> Option<Vec<u8>> {
    socket.remote?;
    let body = body_of(socket, 1 << (INFO - 1))?;
    Some(netlink::message(BY_FAMILY, ONE, sequence, &body))
}

/// Returns the request to close a socket (`SOCK_DESTROY`), which the kernel acknowledges. None: the
/// socket has no cookie.
pub fn request_of_destroy(socket: &Socket, sequence: u32) -> Option<Vec<u8>> {
    Some(netlink::message(DESTROY, ONE | ACKNOWLEDGED, sequence, &body_of(socket, 0)?))
}

/// Returns the answer to `request_of_destroy`: success, or the kernel's errno. None: the datagram is
/// no answer to it.
pub fn destroyed(datagram: &[u8], sequence: u32) -> Option<Result<(), Errno>> {
    let message = Messages(datagram).flatten().find(|message| message.sequence == sequence)?;
    (message.kind == ERROR).then(|| message.error().map_or(Ok(()), Err))
}

/// Returns the body of the request for one socket, with these extensions. None: it has no cookie.
fn body_of(socket: &Socket, extensions: u8) -> Option<Vec<u8>> {
    let cookie = socket.cookie?;
    let table = match (socket.protocol, socket.family) {
        (Protocol::Tcp, Family::Ipv4) => Table::Tcp4,
        (Protocol::Tcp, _) => Table::Tcp6,
        (Protocol::Udp, Family::Ipv4) => Table::Udp4,
        (Protocol::Udp, _) => Table::Udp6,
    };
    let mut body = vec![family_number(table), protocol_number(table), extensions, 0];
    body.extend_from_slice(&ALL_STATES.to_ne_bytes());
    body.extend_from_slice(&socket.local.port.to_be_bytes());
    body.extend_from_slice(&socket.remote.map_or(0, |remote| remote.port).to_be_bytes());
    for address in [Some(socket.local.address), socket.remote.map(|remote| remote.address)] {
        match address {
            Some(IpAddr::V4(address)) => {
                body.extend_from_slice(&address.octets());
                body.extend_from_slice(&[0; 12]);
            }
            Some(IpAddr::V6(address)) => body.extend_from_slice(&address.octets()),
            None => body.extend_from_slice(&[0; 16]),
        }
    }
    body.extend_from_slice(&socket.interface.unwrap_or_default().to_ne_bytes());
    body.extend_from_slice(&(cookie as u32).to_ne_bytes());
    body.extend_from_slice(&((cookie >> 32) as u32).to_ne_bytes());
    Some(body)
}

/// Returns whether the connection uses timestamps, from the answer to `request_of_info`. None: the
/// answer is an error, has no `tcp_info`, or belongs to another request.
pub fn has_timestamps(datagram: &[u8], sequence: u32) -> Option<bool> {
    let message = Messages(datagram).flatten().find(|message| message.sequence == sequence)?;
    let attributes = message.body.get(72..).filter(|_| message.kind == BY_FAMILY)?;
    let (_, info) = Attributes(attributes).find(|&(kind, _)| kind == INFO)?;
    info.get(INFO_OPTIONS).map(|options| options & WITH_TIMESTAMPS != 0)
}

fn body(table: Table, states: u32, port: Option<u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if table == Table::Tcp {
        bytes.extend_from_slice(&[0; 4]); // any family, prefix lengths, no extensions
        push_socket(port, &mut bytes);
        bytes.extend_from_slice(&states.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]); // tables, which no kernel implements
    } else {
        bytes.extend_from_slice(&[family_number(table), protocol_number(table), 0, 0]);
        bytes.extend_from_slice(&states.to_ne_bytes());
        push_socket(port, &mut bytes);
    }
    bytes
}

/// Like `request`, but only for sockets bound to an explicit port: not to one chosen by bind() to
/// port 0, connect(), listen() or the first send (`INET_DIAG_BC_AUTO` tests `SOCK_BINDPORT_LOCK`).
pub fn request_by_number(table: Table, states: u32, port: Option<u16>, sequence: u32) -> Vec<u8> {
    let [a, b] = 8u16.to_ne_bytes();
    // If the port was chosen automatically, continues at the jump. Otherwise goes to the end of the
    // program, which accepts the socket. The jump goes beyond the end, which rejects the socket.
    // Only the "no" offset of the jump may go beyond the end: the kernel requires that each "yes"
    // branch leads to it.
    let program = [AUTOMATIC, 4, a, b, JUMP, 4, a, b];
    let mut body = body(table, states, port);
    push_attribute(BYTECODE, &program, &mut body);
    netlink::message(reply_kind(table), ALL, sequence, &body)
}

/// Appends an `inet_diag_sockid`: the local port (0: any), no remote port, no addresses, no
/// interface, and `INET_DIAG_NOCOOKIE`.
fn push_socket(port: Option<u16>, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&port.unwrap_or_default().to_be_bytes());
    bytes.extend_from_slice(&[0; 38]);
    bytes.extend_from_slice(&[0xff; 8]);
}

/// Returns the message type of a request for `table`, which the replies have too.
fn reply_kind(table: Table) -> u16 {
    if table == Table::Tcp { GETSOCK } else { BY_FAMILY }
}

fn protocol_number(table: Table) -> u8 {
    match table.protocol() {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

fn family_number(table: Table) -> u8 {
    match table {
        Table::Tcp => 0,
        Table::Tcp4 | Table::Udp4 => AF_INET,
        Table::Tcp6 | Table::Udp6 => AF_INET6,
    }
}

/// One dump of one table, decoded datagram by datagram.
#[derive(Debug)]
pub struct SocketDump {
    protocol: Protocol,
    kind: u16,
    sequence: u32,
    dump_error: Option<DumpError>,
    has_ended_connections: bool,
    is_done: bool,
}

impl SocketDump {
    /// Creates a decoder of the answer to `request(table, _, sequence)`.
    pub fn new(table: Table, sequence: u32) -> Self {
        Self {
            protocol: table.protocol(),
            kind: reply_kind(table),
            sequence,
            dump_error: None,
            has_ended_connections: false,
            is_done: false,
        }
    }

    /// Returns whether the kernel has sent the end of the dump.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Returns the most severe error so far; None: there is none.
    pub fn dump_error(&self) -> Option<DumpError> {
        self.dump_error
    }

    /// Returns whether a connection may have become TIME-WAIT during the dump. The kernel first
    /// collects a group of sockets and then reports them (`inet_diag_dump_icsk`). It reports a
    /// connection that ended in between as closed, normally with port 0, and without an inode
    /// unless a process still holds the socket.
    pub fn has_ended_connections(&self) -> bool {
        self.has_ended_connections
    }

    pub fn note(&mut self, dump_error: DumpError) {
        self.dump_error = self.dump_error.max(Some(dump_error));
    }

    /// Appends the sockets of one datagram that have a port. Never fails: an error is noted in
    /// `dump_error`, and the rest is still read, because the kernel refuses a new dump until the
    /// old one is read.
    pub fn take(&mut self, datagram: &[u8], sockets: &mut Vec<Socket>) {
        for message in Messages(datagram) {
            match message {
                // Left over from a dump that was abandoned.
                Some(message) if message.sequence != self.sequence => {}
                Some(message) => self.take_message(&message, sockets),
                None => self.note(DumpError::Malformed),
            }
        }
    }

    fn take_message(&mut self, message: &NetlinkMessage<'_>, sockets: &mut Vec<Socket>) {
        if message.flags & DUMP_INTERRUPTED != 0 {
            self.note(DumpError::Interrupted);
        }
        match message.kind {
            NOOP => {}
            DONE | ERROR => {
                self.is_done = true;
                if let Some(errno) = message.error() {
                    self.note(DumpError::Refused(errno));
                }
            }
            kind if kind == self.kind => match decode_socket(message.body, self.protocol) {
                Some(socket) => {
                    self.has_ended_connections |=
                        socket.state == State::Bound && socket.inode.is_none();
                    if socket.local.port != 0 {
                        sockets.push(socket);
                    }
                }
                None => self.note(DumpError::Malformed),
            },
            _ => self.note(DumpError::Malformed),
        }
    }
}

/// Decodes an `inet_diag_msg` of 72 bytes and its attributes. None: the body is shorter, or its
/// state or family is unknown.
pub fn decode_socket(body: &[u8], protocol: Protocol) -> Option<Socket> {
    let (message, attributes) = body.split_first_chunk::<72>()?;
    let state = decode_state(protocol, message[1])?;
    let timer = decode_timer(message[2]);
    let inode = u32_at(message, 68)?;
    let mut socket = Socket {
        timer,
        remote: state.has_peer().then_some(decode_endpoint(message, 6, 24)?),
        interface: Some(u32_at(message, 40)?).filter(|&index| index != 0),
        inode: Some(inode).filter(|&inode| inode != 0),
        cookie: decode_cookie(u32_at(message, 44)?, u32_at(message, 48)?),
        expires_ms: (timer != Timer::None).then_some(u32_at(message, 52)?),
        receive_queue: u32_at(message, 56)?,
        send_queue: u32_at(message, 60)?,
        ..Socket::new(protocol, state, decode_endpoint(message, 4, 8)?)
    };
    socket.uid = trusted_uid(&socket, u32_at(message, 64)?);
    for (kind, value) in Attributes(attributes) {
        match (kind, value) {
            (V6_ONLY, [0, ..]) if !socket.is_mapped() => socket.family = Family::Dual,
            (CGROUP_ID, value) => {
                socket.cgroup = value.first_chunk().copied().map(u64::from_ne_bytes);
            }
            _ => {}
        }
    }
    Some(socket)
}

/// Decodes the kernel's state numbers (net/tcp_states.h); UDP uses two of them with a different
/// meaning.
pub(in crate::host::linux) fn decode_state(protocol: Protocol, number: u8) -> Option<State> {
    Some(match (protocol, number) {
        (Protocol::Udp, 1) => State::Connected,
        (Protocol::Udp, 7) => State::Unconnected,
        (Protocol::Tcp, 1) => State::Established,
        (Protocol::Tcp, 2) => State::SynSent,
        (Protocol::Tcp, 3 | 12) => State::SynReceived,
        (Protocol::Tcp, 4) => State::FinWait1,
        (Protocol::Tcp, 5) => State::FinWait2,
        (Protocol::Tcp, 6) => State::TimeWait,
        (Protocol::Tcp, 7) => State::Bound,
        (Protocol::Tcp, 8) => State::CloseWait,
        (Protocol::Tcp, 9) => State::LastAck,
        (Protocol::Tcp, 10) => State::Listen,
        (Protocol::Tcp, 11) => State::Closing,
        _ => return None,
    })
}

pub(in crate::host::linux) fn decode_timer(number: u8) -> Timer {
    match number {
        1 => Timer::Retransmit,
        2 => Timer::Keepalive,
        3 => Timer::TimeWait,
        4 => Timer::Persist,
        _ => Timer::None,
    }
}

/// Returns the uid if the kernel still knows it. The kernel reports uid 0 for connections that
/// their process has closed (TIME-WAIT and orphans) and for SYN-RECEIVED. Older kernels also report
/// 0 for connections that are not accepted yet.
pub(in crate::host::linux) fn trusted_uid(socket: &Socket, uid: u32) -> Option<u32> {
    let is_unknown = socket.is_closed_by_process() || (socket.inode.is_none() && uid == 0);
    (!is_unknown).then_some(uid)
}

fn decode_endpoint(message: &[u8; 72], port: usize, address: usize) -> Option<Endpoint> {
    let port = u16::from_be_bytes(*message.get(port..)?.first_chunk()?);
    let bytes = message.get(address..)?;
    let address = match message[0] {
        AF_INET => IpAddr::from(Ipv4Addr::from(*bytes.first_chunk::<4>()?)),
        AF_INET6 => IpAddr::from(Ipv6Addr::from(*bytes.first_chunk::<16>()?)),
        _ => return None,
    };
    Some(Endpoint { address, port })
}

/// Joins the halves of a cookie. None: it is 0 or all ones (`INET_DIAG_NOCOOKIE`), so there is
/// none.
fn decode_cookie(low: u32, high: u32) -> Option<u64> {
    Some(u64::from(low) | u64::from(high) << 32).filter(|&cookie| cookie != 0 && cookie != u64::MAX)
}
