//! What can be done about a port, and what each action would do to it. Performs nothing.
//!
//! A forecast follows from a snapshot of all sockets and from facts about the processes. It covers
//! the moment after the action: a supervisor may start the program again later.

mod command;
mod fate;
mod forecast;
mod plan;
mod protection;
mod reserved;
mod restart;
mod several;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Endpoint, ProcessTable, Protocol, Snapshot, Socket, Text};

pub use crate::domain::reserved_list::list as port_list;
pub use fate::SocketFate;
pub use plan::{FreePlan, plan};
pub use protection::Protection;
pub use reserved::{ReservedChange, ReservedPorts, without};
pub use restart::{RestartPolicy, Supervisor};
pub use several::choices_for;

/// A process and its start time, which together identify it: the kernel reuses pids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessIdentity {
    pub pid: u32,
    /// As in `Running::started` of the host.
    pub started: u64,
}

/// The signal that ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndSignal {
    /// SIGTERM, which a process can handle, ignore or block.
    Term,
    /// SIGKILL, which ends any process.
    Kill,
}

impl EndSignal {
    /// The name in kill(1): `TERM`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Kill => "KILL",
        }
    }
}

/// An action on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortAction {
    /// Ends processes by a signal.
    End {
        processes: Vec<ProcessIdentity>,
        signal: EndSignal,
        /// The inodes of the sockets on the ports, ascending. A process that holds none of them by
        /// then receives no signal.
        inodes: Vec<u32>,
    },
    /// Closes sockets by SOCK_DESTROY. Their processes keep the descriptors.
    Close(Vec<Socket>),
    /// Ends sockets that their process has closed, such as TIME-WAIT, by SOCK_DESTROY.
    Drain {
        sockets: Vec<Socket>,
        /// The remote endpoint of all sockets. None: they are those of a local port.
        destination: Option<Endpoint>,
    },
    /// Adds the port to `ip_local_reserved_ports`.
    Reserve,
    /// Waits until no socket uses the port.
    Wait,
}

impl PortAction {
    /// Returns whether the action ends closed connections whose data the peer has not received yet.
    pub fn drains_data(&self) -> bool {
        matches!(self, Self::Drain { sockets, .. } if sockets.iter().any(Socket::has_undelivered_data))
    }

    /// The name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::End { .. } => "end",
            Self::Close(_) => "close",
            Self::Drain { .. } => "drain",
            Self::Reserve => "reserve",
            Self::Wait => "wait",
        }
    }
}

/// Whether the port will be free after an action: whether a bind() to it on all addresses, without
/// reuse options, will succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frees {
    Yes,
    No,
    Unknown,
}

impl Frees {
    /// The name in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether this process may perform an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    Granted,
    /// A capability is missing.
    Missing {
        capability: &'static str,
        /// Where or for what it is missing: `to signal a process of another user`.
        what: &'static str,
    },
    /// The machine cannot do it, for this reason.
    Unsupported(&'static str),
    Unknown,
}

impl Permission {
    /// Returns why the action is not possible. None: it is, or that is unknown.
    pub fn refusal(&self) -> Option<String> {
        match self {
            Self::Granted | Self::Unknown => None,
            Self::Missing { capability, what } => Some(format!("needs {capability} {what}")),
            Self::Unsupported(why) => Some((*why).to_owned()),
        }
    }
}

/// What SIGTERM does to a process (proc_pid_status(5): SigBlk, SigIgn, SigCgt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermReaction {
    /// The process ends.
    Ends,
    /// A handler runs, which normally ends the process.
    Handles,
    Ignores,
    /// The signal is blocked: the process may wait for it with sigwait() or signalfd().
    Blocks,
    /// The process is stopped: the signal has an effect once it continues.
    IsStopped,
    Unknown,
}

/// What an action on a process depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    pub identity: ProcessIdentity,
    pub reaction: TermReaction,
    pub supervisor: Supervisor,
    /// Why the process is never ended. None: it may be.
    pub protection: Option<Protection>,
    pub permission: Permission,
}

/// What the forecasts need to know beside a snapshot.
#[derive(Clone, Debug)]
pub struct ActionFacts {
    /// By pid. A process that is absent has ended, or could not be read.
    pub processes: BTreeMap<u32, ProcessFacts>,
    /// The cookies of the sockets on the port that were bound by its number
    /// (`SOCK_BINDPORT_LOCK`). None: unknown.
    pub by_number: Option<BTreeSet<u64>>,
    pub may_close: Permission,
    pub may_reserve: Permission,
    /// The pid of this process, which is never ended.
    pub own_pid: u32,
}

/// The input of the forecasts for one port of one protocol.
#[derive(Clone, Copy)]
pub struct ActionInput<'a> {
    /// A sorted scan with owners of all sockets, not only of those on the port: the other end of a
    /// connection may be on this machine.
    pub snapshot: &'a Snapshot,
    pub processes: &'a ProcessTable,
    pub facts: &'a ActionFacts,
    pub protocol: Protocol,
    pub port: u16,
}

impl<'a> ActionInput<'a> {
    /// Returns the sockets on the port.
    pub fn sockets(&self) -> &'a [Socket] {
        self.snapshot.on_port(self.protocol, self.port)
    }

    /// Returns the processes with a socket on the port, ascending. They include the processes of a
    /// listener for connections that are not accepted yet, and exclude those that have closed their
    /// socket.
    pub fn holders(&self) -> BTreeSet<u32> {
        let held = self.sockets().iter().filter(|socket| !socket.is_closed_by_process());
        held.flat_map(|socket| self.snapshot.owner(socket).pids()).copied().collect()
    }

    /// Names the port: `TCP 8080`.
    pub fn name(&self) -> String {
        format!("{} {}", self.protocol.name().to_uppercase(), self.port)
    }

    fn facts_of(&self, pid: u32) -> Option<&'a ProcessFacts> {
        self.facts.processes.get(&pid)
    }
}

/// What an action would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionForecast {
    /// The effect if the action is performed, whether or not it is permitted.
    pub frees: Frees,
    /// Why, in one sentence.
    pub because: String,
    /// What the programs see, such as an errno, in one sentence. None: nothing.
    pub program_sees: Option<String>,
    /// The processes that hold the same sockets and are not ended.
    pub other_holders: Vec<u32>,
    /// What a supervisor does afterwards, in one sentence. None: nothing is ended.
    pub restart: Option<String>,
    /// The longest time in seconds that closed connections may keep the port. None: none remain.
    pub closed_seconds: Option<u32>,
    /// The command that does the same.
    pub command: String,
    pub permission: Permission,
}

impl ActionForecast {
    /// Returns whether the action frees the port and is not known to be refused.
    pub fn is_useful(&self) -> bool {
        self.frees == Frees::Yes && self.permission.refusal().is_none()
    }
}

/// An action and its forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionChoice {
    pub action: PortAction,
    pub forecast: ActionForecast,
}

/// Maximum number of sockets whose closing is offered one by one.
const MAX_CLOSED: usize = 4;

/// Returns the actions that are possible on the port, in the order of a list for people. Empty if
/// no socket is on the port.
pub fn choices(input: &ActionInput<'_>) -> Vec<ActionChoice> {
    if input.sockets().is_empty() {
        return Vec::new();
    }
    let mut actions = Vec::new();
    actions.extend(ends(endable(input, input.holders()), &inodes(&[*input])));
    let is_open = |socket: &&Socket| !socket.is_closed_by_process() && socket.cookie.is_some();
    let open = input.sockets().iter().filter(is_open);
    actions.extend(open.take(MAX_CLOSED).map(|socket| PortAction::Close(vec![*socket])));
    actions.extend(drains(&closed_sockets(input)));
    if may_reserve(input) {
        actions.push(PortAction::Reserve);
    }
    actions.push(PortAction::Wait);
    actions
        .into_iter()
        .map(|action| ActionChoice { forecast: forecast(input, &action), action })
        .collect()
}

/// Returns whether the port can be added to the reserved ones: the kernel may choose it. False if the
/// present list is only assumed, because the new list would replace the real one.
fn may_reserve(input: &ActionInput<'_>) -> bool {
    input.snapshot.knows_range() && input.snapshot.ephemeral.may_choose(input.port)
}

/// Returns what the action would do to the port.
pub fn forecast(input: &ActionInput<'_>, action: &PortAction) -> ActionForecast {
    forecast::of(input, action)
}

/// Returns the actions that end closed connections: those without undelivered data and, if there are
/// others, all. Empty if there are none.
fn drains(closed: &[Socket]) -> Vec<PortAction> {
    let without_data = closed.iter().filter(|socket| !socket.has_undelivered_data());
    let without_data: Vec<Socket> = without_data.copied().collect();
    let has_data = without_data.len() < closed.len();
    let all = if has_data { closed.to_vec() } else { Vec::new() };
    let drains = [without_data, all].into_iter().filter(|sockets| !sockets.is_empty());
    drains.map(|sockets| PortAction::Drain { sockets, destination: None }).collect()
}

/// Returns the action that ends the closed connections to a remote endpoint, except those with
/// undelivered data. None: there are none.
pub fn drain_destination(snapshot: &Snapshot, destination: Endpoint) -> Option<PortAction> {
    let is_asked = |socket: &&Socket| {
        socket.remote == Some(destination)
            && socket.is_closed_by_process()
            && !socket.has_undelivered_data()
    };
    let sockets: Vec<Socket> = snapshot.sockets.iter().filter(is_asked).copied().collect();
    (!sockets.is_empty()).then_some(PortAction::Drain { sockets, destination: Some(destination) })
}

/// Returns the sockets on the port that their process has closed.
fn closed_sockets(input: &ActionInput<'_>) -> Vec<Socket> {
    input.sockets().iter().filter(|socket| socket.is_closed_by_process()).copied().collect()
}

/// Returns the processes that may be ended.
fn endable(input: &ActionInput<'_>, pids: BTreeSet<u32>) -> Vec<ProcessIdentity> {
    let pids = pids.into_iter().filter(|&pid| protection::is_endable(input, pid));
    pids.filter_map(|pid| Some(input.facts_of(pid)?.identity)).collect()
}

/// Returns the actions that end the processes. Empty if there are none. `inodes`: those of the
/// sockets on the ports.
fn ends(processes: Vec<ProcessIdentity>, inodes: &[u32]) -> impl Iterator<Item = PortAction> {
    let signals = if processes.is_empty() { &[][..] } else { &[EndSignal::Term, EndSignal::Kill] };
    signals.iter().map(move |&signal| PortAction::End {
        processes: processes.clone(),
        signal,
        inodes: inodes.to_vec(),
    })
}

/// Returns the inodes of the sockets on the ports, ascending.
fn inodes(inputs: &[ActionInput<'_>]) -> Vec<u32> {
    let sockets = inputs.iter().flat_map(ActionInput::sockets);
    let inodes: BTreeSet<u32> = sockets.filter_map(|socket| socket.inode).collect();
    inodes.into_iter().collect()
}

/// A process as a person sees it.
fn named(input: &ActionInput<'_>, pid: u32) -> Text {
    Text::around_scrubbed(input.processes.named(pid).to_string())
}
