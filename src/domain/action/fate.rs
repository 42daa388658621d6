//! What happens to one socket by an action. Does not combine the sockets of a port.

use std::collections::BTreeSet;

use crate::domain::{
    Endpoint, Owner, Socket, State, action::ActionInput, availability::ReleaseKind,
    ephemeral::TIME_WAIT_MS, socket::canonical,
};

/// What an action does to a socket, and so to its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketFate {
    /// The socket ends, and its hold on the port with it.
    Released,
    /// The kernel keeps the closed connection, at most for this many seconds after the peer has
    /// closed.
    KeptByKernel { seconds: u32 },
    /// These processes hold the socket too, or do not end.
    HeldBy(Vec<u32>),
    /// The action does not affect the socket.
    Untouched,
    /// The socket stays bound to the port until its process closes it.
    StaysBound,
    /// The tables do not show it, for this reason.
    Unknown(&'static str),
}

/// Returns what happens to a socket if these processes end.
pub fn of_end(input: &ActionInput<'_>, socket: &Socket, ended: &BTreeSet<u32>) -> SocketFate {
    let kind = ReleaseKind::of(input.snapshot, socket);
    if !kind.ends_with_process() {
        return left_alone(socket);
    }
    match input.snapshot.owner(socket) {
        Owner::Process(pids) | Owner::Backlog(pids) => {
            let others: Vec<u32> =
                pids.iter().filter(|pid| !ended.contains(pid)).copied().collect();
            if !others.is_empty() {
                SocketFate::HeldBy(others)
            } else if input.snapshot.may_have_unread_holder(socket, input.processes) {
                SocketFate::Unknown("a process that is not visible here may hold it, too")
            } else {
                after_close(input, socket, kind, ended)
            }
        }
        Owner::Kernel | Owner::Departed(_) => left_alone(socket),
        Owner::Hidden => {
            SocketFate::Unknown("a process that is not visible here has a socket on it")
        }
        Owner::Nobody if socket.state == State::SynReceived => of_listener(input, socket, ended),
        Owner::Nobody => SocketFate::Unknown(
            "a socket on it has no visible process: the kernel holds it, or it is in flight",
        ),
        Owner::Unresolved | Owner::NotAsked => {
            SocketFate::Unknown("the processes of a socket on it were not found")
        }
    }
}

/// Returns what happens to a socket that an action does not concern.
fn left_alone(socket: &Socket) -> SocketFate {
    if socket.is_closed_by_process() {
        SocketFate::KeptByKernel { seconds: seconds(socket) }
    } else {
        SocketFate::Untouched
    }
}

/// Returns what happens to a connection in SYN-RECEIVED, which ends with its listener.
fn of_listener(input: &ActionInput<'_>, socket: &Socket, ended: &BTreeSet<u32>) -> SocketFate {
    let mut listeners =
        input.sockets().iter().filter(|other| other.state == State::Listen).peekable();
    if listeners.peek().is_none() {
        return SocketFate::Unknown("a connection on it waits for a listener that is not listed");
    }
    let mut fates = listeners.map(|listener| of_end(input, listener, ended));
    match fates.find(|fate| *fate != SocketFate::Released) {
        Some(fate) => fate,
        None if socket.state == State::SynReceived => SocketFate::Released,
        None => SocketFate::Untouched,
    }
}

/// Returns what follows when the last descriptor of a socket is closed (`tcp_close`, net/ipv4/tcp.c).
/// SO_LINGER with a time of 0, which the tables do not show, would release the port at once.
fn after_close(
    input: &ActionInput<'_>,
    socket: &Socket,
    kind: ReleaseKind,
    ended: &BTreeSet<u32>,
) -> SocketFate {
    if has_unread_data(socket) {
        return SocketFate::Released;
    }
    if socket.waits_for_acknowledgement() {
        return SocketFate::Unknown("the peer must acknowledge first");
    }
    if !kind.leaves_time_wait() {
        return SocketFate::Released;
    }
    if socket.is_self_connected() {
        return SocketFate::KeptByKernel { seconds: TIME_WAIT_MS / 1000 };
    }
    match other_end(input, socket) {
        Some(peer) if of_end_of_peer(input, peer, ended) => SocketFate::Unknown(
            "the process holds both ends of a connection; the end that is closed first stays in \
             TIME-WAIT, and which one is not known",
        ),
        _ => SocketFate::KeptByKernel { seconds: TIME_WAIT_MS / 1000 },
    }
}

/// Returns whether closing the socket resets the connection, because received data was not read.
/// The queue counts a FIN that was not read as one byte.
fn has_unread_data(socket: &Socket) -> bool {
    let has_fin = matches!(socket.state, State::CloseWait | State::Closing | State::LastAck);
    let of_fin = u32::from(has_fin);
    socket.state.has_peer() && socket.receive_queue > of_fin
}

/// Returns whether the processes alone hold the other end, and have not closed it.
fn of_end_of_peer(input: &ActionInput<'_>, peer: &Socket, ended: &BTreeSet<u32>) -> bool {
    let pids = input.snapshot.owner(peer).pids();
    !peer.is_closed_by_process() && !pids.is_empty() && pids.iter().all(|pid| ended.contains(pid))
}

/// Returns the other end of a connection. None: it is not in this network namespace.
fn other_end<'a>(input: &ActionInput<'a>, socket: &Socket) -> Option<&'a Socket> {
    let plain = |end: Endpoint| (canonical(end.address), end.port);
    let (local, remote) = (plain(socket.local), plain(socket.remote?));
    let sockets = input.snapshot.on_port(socket.protocol, remote.1).iter();
    sockets
        .into_iter()
        .find(|peer| plain(peer.local) == remote && peer.remote.map(plain) == Some(local))
}

/// Returns what SOCK_DESTROY does to a socket (`tcp_abort`, net/ipv4/tcp.c; `udp_abort`,
/// net/ipv4/udp.c).
pub fn of_destroy(input: &ActionInput<'_>, socket: &Socket) -> SocketFate {
    match ReleaseKind::of(input.snapshot, socket) {
        ReleaseKind::Bound => SocketFate::StaysBound,
        ReleaseKind::Tunnel => SocketFate::Untouched,
        ReleaseKind::TimeWait | ReleaseKind::Orphan(State::FinWait2) => {
            since(input, (6, 0), left_alone(socket))
        }
        ReleaseKind::Orphan(_) => since(
            input,
            (6, 12),
            SocketFate::Unknown("kernels before Linux 6.12 may leave a closed connection behind"),
        ),
        ReleaseKind::Waiting => SocketFate::Released,
        ReleaseKind::Listening
        | ReleaseKind::Datagram
        | ReleaseKind::Connected(_)
        | ReleaseKind::SelfConnected(_) => match is_by_number(input, socket) {
            Some(true) => SocketFate::StaysBound,
            Some(false) => SocketFate::Released,
            None => SocketFate::Unknown(
                "the kernel did not report whether the socket was bound by its number",
            ),
        },
    }
}

/// Returns `Released` if the kernel has at least this version, or else `before`.
fn since(input: &ActionInput<'_>, version: (u32, u32), before: SocketFate) -> SocketFate {
    match input.snapshot.machine.is_at_least(version) {
        Some(true) => SocketFate::Released,
        Some(false) => before,
        None => SocketFate::Unknown("the version of the kernel is unknown"),
    }
}

/// Returns whether the port was given to bind() by its number. None: unknown.
pub fn is_by_number(input: &ActionInput<'_>, socket: &Socket) -> Option<bool> {
    let by_number = input.facts.by_number.as_ref()?;
    Some(by_number.contains(&socket.cookie?))
}

/// Returns the seconds until the timer of a closed connection fires, rounded up; 60 if it has none.
pub fn seconds(socket: &Socket) -> u32 {
    socket.expires_ms.unwrap_or(TIME_WAIT_MS).div_ceil(1000)
}
