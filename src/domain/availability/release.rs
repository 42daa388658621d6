//! Describes what would free a port. Frees nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    Owner, ProcessTable, Protocol, Snapshot, Socket, State, Users, ephemeral::TIME_WAIT_MS,
    notation::counted,
};

/// Maximum number of processes that are printed. The others are only counted.
const MAX_PIDS: usize = 4;

/// Maximum number of processes in a `kill` command.
const MAX_KILLED: usize = 20;

/// Describes the effect of SOCK_DESTROY on a connected socket. The kernel keeps a port that was
/// bound by number (SOCK_BINDPORT_LOCK).
const KILL: &str = "`ss --kill` ends a connection at once, but a socket whose port was given to \
                    bind() stays bound until its process closes it.";

/// Says that the visible holders may not be all.
const UNREAD_HOLDER: &str = "A process that is not visible here may hold a socket on it, too.";

/// Describes in sentences what must happen before a bind() to the port on all addresses, without
/// options, can succeed. The first one continues a line and starts without a capital. None: no
/// listed socket uses the port.
pub fn frees_when(
    snapshot: &Snapshot,
    processes: &ProcessTable,
    protocol: Protocol,
    port: u16,
) -> Option<String> {
    let mut by_kind: BTreeMap<ReleaseKind, KindSockets> = BTreeMap::new();
    for socket in snapshot.on_port(protocol, port) {
        by_kind.entry(ReleaseKind::of(snapshot, socket)).or_default().add(snapshot, socket);
    }
    let mut kinds = by_kind.iter();
    let first = kinds.next().map(|(kind, sockets)| kind.words(sockets, processes));
    let others = kinds.map(|(kind, sockets)| kind.sentence(sockets, processes));
    let mut sentences: Vec<String> = first.into_iter().chain(others).collect();
    if may_be_shared(snapshot, processes, protocol, port) {
        sentences.push(UNREAD_HOLDER.to_owned());
    }
    if by_kind
        .keys()
        .any(|kind| matches!(kind, ReleaseKind::Connected(_) | ReleaseKind::SelfConnected(_)))
    {
        sentences.push(KILL.to_owned());
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// What a person can do to free a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRelease {
    /// In sentences, like those of `frees_when`: who must do what, and when the port is free then.
    pub words: String,
    /// Commands that end the processes with a socket on the port. Empty: not all of them are
    /// visible, or no process has one.
    pub commands: Vec<String>,
    /// A command for the case that the service manager starts the process again. None: the process
    /// is in no unit or container that a command stops.
    pub if_restarted: Option<String>,
}

/// Describes what frees the port. Like `frees_when`, but shorter, and with commands if processes
/// hold the port that are all visible. None: no listed socket uses the port.
pub fn release(
    snapshot: &Snapshot,
    processes: &ProcessTable,
    protocol: Protocol,
    port: u16,
) -> Option<PortRelease> {
    let mut held = KindSockets::default();
    let mut others: BTreeMap<ReleaseKind, KindSockets> = BTreeMap::new();
    let (mut leaves_time_wait, mut waits_for_peer) = (false, false);
    for socket in snapshot.on_port(protocol, port) {
        let kind = ReleaseKind::of(snapshot, socket);
        if kind.ends_with_process() {
            held.add(snapshot, socket);
            leaves_time_wait |= kind.leaves_time_wait();
            waits_for_peer |= socket.waits_for_acknowledgement();
        } else {
            others.entry(kind).or_default().add(snapshot, socket);
        }
    }
    let is_certain = held.hidden.is_empty()
        && !held.nobody
        && !held.unresolved
        && !may_be_shared(snapshot, processes, protocol, port);
    let has_commands = is_certain && (1..=MAX_KILLED).contains(&held.pids.len());
    if !has_commands {
        let mut words = frees_when(snapshot, processes, protocol, port)?;
        let short = words.strip_suffix(KILL).map(|short| short.trim_end().to_owned());
        words = short.unwrap_or(words);
        return Some(PortRelease { words, commands: Vec::new(), if_restarted: None });
    }
    let after = match (leaves_time_wait, others.is_empty()) {
        (true, _) => "; TIME-WAIT may then keep the port for 60s",
        (false, _) if waits_for_peer => "; the peer must then acknowledge",
        (false, true) => "; the port is then free at once",
        (false, false) => "",
    };
    let who = held.who(processes);
    let sentences = others.iter().map(|(kind, sockets)| kind.sentence(sockets, processes));
    let words: Vec<String> =
        std::iter::once(format!("{who} must exit{after}.")).chain(sentences).collect();
    let pids: Vec<String> = held.pids.iter().map(u32::to_string).collect();
    Some(PortRelease {
        words: words.join(" "),
        commands: vec![format!("kill {}", pids.join(" "))],
        if_restarted: stop_command(&held.pids, processes),
    })
}

/// Returns whether a process that was not read may hold a socket on the port, beside visible ones.
fn may_be_shared(
    snapshot: &Snapshot,
    processes: &ProcessTable,
    protocol: Protocol,
    port: u16,
) -> bool {
    let mut sockets = snapshot.on_port(protocol, port).iter();
    sockets.any(|socket| snapshot.may_have_unread_holder(socket, processes))
}

/// Returns the command that stops the unit or container of these processes. None: they are not all
/// in the same one, or it is that of a user's whole session.
pub(in crate::domain) fn stop_command(
    pids: &BTreeSet<u32>,
    processes: &ProcessTable,
) -> Option<String> {
    let unit_of = |pid: &u32| processes.get(*pid).and_then(|process| process.unit.as_ref());
    let unit = pids.first().and_then(unit_of)?;
    if !pids.iter().all(|pid| unit_of(pid) == Some(unit)) {
        return None;
    }
    let name = unit.as_str();
    match name.strip_prefix("docker ") {
        Some(id) if id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Some(format!("docker stop {id}"))
        }
        _ if name.ends_with(".service") && !name.starts_with("user@") => {
            Some(format!("systemctl stop {name}"))
        }
        _ => None,
    }
}

/// Names the owner of a socket whose process is not visible: `a hidden process of user root`.
pub fn hidden_process(users: &Users, uid: Option<u32>) -> String {
    let Some(uid) = uid else { return "a hidden process".to_owned() };
    match (users.name(uid), users.unmapped(uid)) {
        (Some(name), _) => format!("a hidden process of user {name}"),
        (None, Some(words)) => format!("a hidden process of an {words}"),
        (None, None) => format!("a hidden process of user {uid}"),
    }
}

/// A kind of sockets that are released in the same way. The order is that of the sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::domain) enum ReleaseKind {
    Listening,
    Bound,
    Datagram,
    /// A UDP socket that the kernel holds for a tunnel.
    Tunnel,
    /// A connection that its process has not closed.
    Connected(State),
    /// A connection whose two ends are the same socket.
    SelfConnected(State),
    /// A connection that is not accepted yet.
    Waiting,
    /// A connection that its process has closed, while the kernel still waits for the peer.
    Orphan(State),
    TimeWait,
}

impl ReleaseKind {
    pub(in crate::domain) fn of(snapshot: &Snapshot, socket: &Socket) -> Self {
        match socket.state {
            State::Unconnected | State::Connected if !snapshot.tunnels(socket).is_empty() => {
                Self::Tunnel
            }
            State::Unconnected | State::Connected => Self::Datagram,
            State::Listen => Self::Listening,
            State::Bound => Self::Bound,
            State::TimeWait => Self::TimeWait,
            State::SynReceived => Self::Waiting,
            _ if matches!(snapshot.owner(socket), Owner::Backlog(_)) || socket.is_in_backlog() => {
                Self::Waiting
            }
            state if socket.is_closed_by_process() => Self::Orphan(state),
            state if socket.is_self_connected() => Self::SelfConnected(state),
            state => Self::Connected(state),
        }
    }

    /// Returns whether such sockets end with their process.
    pub(in crate::domain) fn ends_with_process(self) -> bool {
        !matches!(self, Self::Tunnel | Self::Orphan(_) | Self::TimeWait)
    }

    /// Returns whether TIME-WAIT may follow if the process of such a socket exits.
    pub(in crate::domain) fn leaves_time_wait(self) -> bool {
        match self {
            Self::Connected(state) => {
                !matches!(state, State::CloseWait | State::LastAck | State::SynSent)
            }
            Self::SelfConnected(_) => true,
            _ => false,
        }
    }

    /// Returns `words` as a sentence of its own. Does not change the name of a process.
    fn sentence(self, kind_sockets: &KindSockets, processes: &ProcessTable) -> String {
        let words = self.words(kind_sockets, processes);
        let is_name =
            kind_sockets.pids.len() == 1 && words.starts_with(&kind_sockets.named(processes));
        let mut letters = words.chars();
        match letters.next() {
            Some(first) if !is_name => first.to_uppercase().chain(letters).collect(),
            _ => words,
        }
    }

    /// Describes what ends such sockets: the process, the peer, a timer of the kernel, or
    /// SOCK_DESTROY (`ss --kill`). Starts without a capital.
    fn words(self, kind_sockets: &KindSockets, processes: &ProcessTable) -> String {
        let who = kind_sockets.who(processes);
        let it = kind_sockets.all("socket");
        match self {
            Self::Listening => format!(
                "{who} must close {it} in LISTEN, or exit; shutdown() and `ss --kill` do not \
                 release a port given to bind()."
            ),
            Self::Bound => format!(
                "{who} must close {it} in BOUND, or exit; `ss --kill` does not release the port."
            ),
            Self::Datagram => format!(
                "{who} must close {}, or exit; `ss --kill` does not release a port given to \
                 bind().",
                kind_sockets.all("UDP socket")
            ),
            Self::Tunnel => kind_sockets.tunnel(),
            Self::SelfConnected(state) => format!(
                "{who} must close {it} in {state} that {}. TIME-WAIT then keeps the port for 60s.",
                match kind_sockets.sockets {
                    1 => "is connected to itself",
                    _ => "are connected to themselves",
                }
            ),
            Self::Connected(state) => connected(state, kind_sockets, processes),
            Self::Waiting => format!(
                "{who} must accept and close {}, or close the listening socket.",
                kind_sockets.all("unaccepted connection")
            ),
            Self::Orphan(state) => orphan(state, kind_sockets),
            Self::TimeWait => format!(
                "TIME-WAIT ends by itself in at most {}s; `ss --kill` ends it at once (needs Linux \
                 6.0 or newer).",
                kind_sockets.seconds()
            ),
        }
    }
}

/// Describes what ends connections that a process has open.
fn connected(state: State, kind_sockets: &KindSockets, processes: &ProcessTable) -> String {
    let who = kind_sockets.who(processes);
    let must_close = format!("must close {} in {state}", kind_sockets.all("socket"));
    match state {
        State::CloseWait | State::LastAck => {
            format!("the peer has closed; {who} {must_close}, which starts no TIME-WAIT.")
        }
        State::SynSent => {
            format!("{who} {must_close}, which starts no TIME-WAIT.")
        }
        State::FinWait1 | State::FinWait2 | State::Closing => {
            format!(
                "once the peer has acknowledged and closed, TIME-WAIT keeps the port for 60s; \
                 {who} {must_close} as well."
            )
        }
        _ => format!(
            "{who} {must_close}. If this end closes first, TIME-WAIT then keeps the port for 60s."
        ),
    }
}

/// Describes what ends connections that their process has closed.
fn orphan(state: State, kind_sockets: &KindSockets) -> String {
    let closed = match kind_sockets.sockets {
        1 => format!("the socket in {state} was closed by its process"),
        sockets => {
            format!("{} in {state} were closed by their processes", counted(sockets, "socket"))
        }
    };
    match state {
        State::FinWait2 => format!(
            "{closed}: the kernel gives up in at most {}s (tcp_fin_timeout); if the peer closes \
             before that, 60s of TIME-WAIT follow.",
            kind_sockets.seconds()
        ),
        State::LastAck => format!(
            "{closed}: the peer must acknowledge, or the kernel gives up (tcp_orphan_retries)."
        ),
        _ => format!(
            "{closed}: 60s of TIME-WAIT follow once the peer has acknowledged and closed; \
             otherwise the kernel gives up (tcp_orphan_retries)."
        ),
    }
}

/// The sockets of one kind.
#[derive(Debug, Default)]
struct KindSockets {
    sockets: u32,
    pids: BTreeSet<u32>,
    /// The texts of `hidden_process`.
    hidden: BTreeSet<String>,
    /// Whether the owner of a socket is `Owner::Nobody`.
    nobody: bool,
    /// The names of kernel tunnels.
    tunnels: BTreeSet<String>,
    devices: BTreeSet<String>,
    /// Whether a tunnel does not report its port.
    is_probable: bool,
    unresolved: bool,
    /// The longest time until a timer of the sockets fires, in milliseconds. None: no timer is
    /// known.
    longest_ms: Option<u32>,
}

impl KindSockets {
    fn add(&mut self, snapshot: &Snapshot, socket: &Socket) {
        self.sockets += 1;
        let owner = snapshot.owner(socket);
        self.pids.extend(owner.pids());
        match owner {
            Owner::Hidden => {
                self.hidden.insert(hidden_process(&snapshot.machine.users, socket.uid));
            }
            Owner::Nobody => self.nobody = true,
            Owner::Unresolved => self.unresolved = true,
            _ => {}
        }
        for tunnel in snapshot.tunnels(socket) {
            self.tunnels.insert(tunnel.to_string());
            self.devices.insert(tunnel.device.to_string());
            self.is_probable |= tunnel.port.is_none();
        }
        self.longest_ms = self.longest_ms.max(socket.expires_ms);
    }

    /// Describes what ends the sockets of tunnels. Several tunnels may share a port.
    fn tunnel(&self) -> String {
        let join = |set: &BTreeSet<String>, with| {
            set.iter().map(String::as_str).collect::<Vec<_>>().join(with)
        };
        let devices: Vec<String> =
            self.devices.iter().map(|device| format!("ip link set {device} down")).collect();
        let (tunnels, down) = (join(&self.tunnels, " and "), devices.join("; "));
        if self.is_probable {
            format!(
                "no process holds the UDP port, which is {tunnels}: `{down}` may free it, or `ip \
                 link delete`."
            )
        } else {
            format!(
                "the kernel uses the UDP port for {tunnels}. No process can free it: `{down}` frees \
                 it, or `ip link delete`."
            )
        }
    }

    /// Returns `longest_ms` in seconds, rounded up; 60, the length of TIME-WAIT, if it is None.
    fn seconds(&self) -> u32 {
        self.longest_ms.unwrap_or(TIME_WAIT_MS).div_ceil(1000)
    }

    /// Returns `the socket` or `all 3 sockets` for the noun `socket`.
    fn all(&self, noun: &str) -> String {
        match self.sockets {
            1 => format!("the {noun}"),
            sockets => format!("all {}", counted(sockets, noun)),
        }
    }

    fn who(&self, processes: &ProcessTable) -> String {
        let mut parts = Vec::new();
        if !self.pids.is_empty() {
            parts.push(self.named(processes));
        }
        match self.hidden.len() {
            0 | 1 => parts.extend(self.hidden.first().cloned()),
            users => parts.push(format!("the hidden processes of {users} users")),
        }
        if self.nobody {
            parts.push(
                "a holder without a visible process (the kernel, or a descriptor in flight)"
                    .to_owned(),
            );
        }
        if self.unresolved {
            parts.push(
                "a process that was not found (it may have opened or closed the socket during the \
                 scan)"
                    .to_owned(),
            );
        }
        match (parts.is_empty(), self.sockets) {
            (false, _) => parts.join(" and "),
            (true, 1) => "its process".to_owned(),
            (true, _) => "their processes".to_owned(),
        }
    }

    /// Names up to `MAX_PIDS` processes and counts the others. A shared socket exists until all of
    /// them have closed it.
    fn named(&self, processes: &ProcessTable) -> String {
        let named = |&pid: &u32| processes.named(pid).to_string();
        let first: Vec<String> = self.pids.iter().take(MAX_PIDS).map(named).collect();
        let list = first.join(", ");
        match self.pids.len() {
            1 => list,
            count if count <= MAX_PIDS => format!("each of {list}"),
            count => format!("each of {list} and {} more", count - MAX_PIDS),
        }
    }
}
