//! Looks at a port, performs an action on it, and looks again.

mod closing;
mod ending;
pub mod offer;

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use crate::{
    domain::{
        PortRange, ProcessTable, Protocol, Snapshot, Socket, Source,
        action::{
            ActionChoice, ActionFacts, ActionInput, EndSignal, FreePlan, PortAction, choices, plan,
            port_list,
        },
        availability, notation,
    },
    engine::{sample::describe_or_miss, scanner::COST_FACTOR},
    host::{
        Host, HostError, OwnerDepth, Scanner,
        actions::{ActionError, HostActions},
    },
};

/// Time for processes to end after a signal, unless the user sets another one.
pub const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for connections to end after an action; some wait for an answer of the peer.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// Minimum time between two looks at a port.
const MIN_PAUSE: Duration = Duration::from_millis(20);
/// Minimum time to the end of a process that is reported. Below it, the process may have ended
/// before the time was first read.
const LEAST_TOLD: Duration = Duration::from_millis(1);

/// What one scan shows about a port, and what can be done about it.
pub struct FreeSurvey {
    pub port: u16,
    /// All sockets of the network namespace, with owners.
    pub snapshot: Snapshot,
    pub processes: ProcessTable,
    /// One for each requested protocol.
    pub sides: Vec<SurveyedSide>,
}

/// What can be done about the port on one protocol.
pub struct SurveyedSide {
    pub protocol: Protocol,
    pub facts: ActionFacts,
    pub choices: Vec<ActionChoice>,
    /// None: no socket is on the port.
    pub plan: Option<FreePlan>,
    /// Whether a socket that is not listed may use the port.
    pub may_be_unlisted: bool,
}

impl FreeSurvey {
    /// Scans once, and forecasts each action. Changes nothing.
    pub fn take(
        host: &dyn Host,
        port: u16,
        protocols: &[Protocol],
        signal: EndSignal,
    ) -> Result<Self, HostError> {
        let mut actions = host.actions()?;
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        host.scanner()?.scan(OwnerDepth::Full, &mut snapshot)?;
        let mut processes = describe_or_miss(host, &mut snapshot);
        let mut sides = Vec::new();
        for &protocol in protocols {
            let sockets = snapshot.on_port(protocol, port).iter();
            let pids: BTreeSet<u32> =
                sockets.flat_map(|socket| snapshot.owner(socket).pids()).copied().collect();
            let facts = actions.facts(&pids, protocol, port);
            describe_parents(host, &facts, &mut processes);
            let input = ActionInput {
                snapshot: &snapshot,
                processes: &processes,
                facts: &facts,
                protocol,
                port,
            };
            let choices = choices(&input);
            let plan = (!choices.is_empty()).then(|| plan(&input, &choices, signal));
            let may_be_unlisted = availability::may_be_unlisted(&snapshot, protocol, port);
            sides.push(SurveyedSide { protocol, facts, choices, plan, may_be_unlisted });
        }
        Ok(Self { port, snapshot, processes, sides })
    }

    /// Returns the input of the forecasts for one protocol.
    pub fn input<'a>(&'a self, side: &'a SurveyedSide) -> ActionInput<'a> {
        ActionInput {
            snapshot: &self.snapshot,
            processes: &self.processes,
            facts: &side.facts,
            protocol: side.protocol,
            port: self.port,
        }
    }
}

/// Adds the parents that may start a process again, so that they have a name.
fn describe_parents(host: &dyn Host, facts: &ActionFacts, processes: &mut ProcessTable) {
    let parents = facts.processes.values().filter_map(|facts| facts.supervisor.parent());
    let unknown: Vec<u32> = parents.filter(|&pid| processes.get(pid).is_none()).collect();
    if !unknown.is_empty() {
        host.describer().describe(&unknown).into_iter().for_each(|found| processes.insert(found));
    }
}

/// What became of one step of an action.
#[derive(Debug)]
pub enum StepResult {
    /// The process received the signal. `after`: the time until it ended; None: it has not ended.
    Signalled { pid: u32, after: Option<Duration> },
    /// The process had ended before, so that it received no signal.
    Ended { pid: u32 },
    /// Number of sockets that were closed, and of those that had ended before.
    Closed { sockets: u32, gone: u32 },
    /// The ports are reserved now.
    Reserved(Vec<PortRange>),
    /// The step was not possible.
    Refused { what: String, error: ActionError },
}

impl StepResult {
    pub fn is_done(&self) -> bool {
        match self {
            Self::Signalled { after, .. } => after.is_some(),
            Self::Ended { .. } | Self::Closed { .. } | Self::Reserved(_) => true,
            Self::Refused { .. } => false,
        }
    }

    /// Describes the result in a sentence without its full stop.
    pub fn words(&self, processes: &ProcessTable) -> String {
        match self {
            Self::Signalled { pid, after: Some(after) } if *after < LEAST_TOLD => {
                format!("{} ended at once", processes.named(*pid))
            }
            Self::Signalled { pid, after: Some(after) } => {
                format!("{} ended after {}", processes.named(*pid), notation::elapsed(*after))
            }
            Self::Signalled { pid, after: None } => {
                format!("{} received the signal and has not ended", processes.named(*pid))
            }
            Self::Ended { pid } => format!("{} had ended before", processes.named(*pid)),
            Self::Closed { sockets, gone: 0 } => {
                format!("closed {}", notation::counted(*sockets, "socket"))
            }
            Self::Closed { sockets: 0, gone } => {
                format!("{} had ended before", notation::counted(*gone, "socket"))
            }
            Self::Closed { sockets, gone } => {
                format!("closed {}; {gone} had ended before", notation::counted(*sockets, "socket"))
            }
            Self::Reserved(ports) => format!("reserved {} until the next boot", port_list(ports)),
            Self::Refused { what, error } => format!("could not {what}: {error}"),
        }
    }
}

/// Performs an action that ends processes or sockets, and waits until no socket is on the ports, at
/// most for `SETTLE_TIMEOUT`. `then_drain`: also ends the closed connections that remain; those with
/// undelivered data only if the action ends processes by SIGKILL.
///
/// Errors: the network namespace cannot be entered, and nothing was done. If the sockets cannot be
/// listed later, only the wait ends, and what was done is returned.
pub fn free_ports(
    host: &dyn Host,
    ports: &[(Protocol, u16)],
    action: &PortAction,
    then_drain: bool,
    timeout: Duration,
) -> Result<Vec<StepResult>, HostError> {
    let mut actions = host.actions()?;
    // The first look of a new scanner may bind a port. It comes before the action, so that it
    // cannot take a port that was just freed.
    let mut watch = PortWatch::new(host);
    if let Ok(watch) = &mut watch {
        let _ = watch.look_at(ports);
    }
    let mut results = perform(&mut *actions, action, timeout);
    let loses_data = matches!(action, PortAction::End { signal: EndSignal::Kill, .. });
    let mut drained = closing::CloseCounts::default();
    let mut tried: BTreeSet<u64> = BTreeSet::new();
    let drain = |sockets: &[Socket]| {
        let is_drained = |socket: &&Socket| loses_data || !socket.has_undelivered_data();
        for socket in sockets.iter().filter(|_| then_drain).filter(is_drained) {
            if socket.cookie.is_some_and(|cookie| tried.insert(cookie)) {
                drained.close(&mut *actions, socket);
            }
        }
    };
    let _ = watch.and_then(|watch| settle(watch, ports, drain));
    results.extend(drained.into_steps());
    Ok(results)
}

/// Looks at the ports until no socket is on them, at most for `SETTLE_TIMEOUT`. Calls `visit` at
/// each look that finds only sockets closed by their processes.
fn settle(
    mut watch: PortWatch,
    ports: &[(Protocol, u16)],
    mut visit: impl FnMut(&[Socket]),
) -> Result<(), HostError> {
    watch.started = Instant::now();
    loop {
        let snapshot = watch.look_at(ports)?;
        let on_ports = ports.iter().flat_map(|&(protocol, port)| snapshot.on_port(protocol, port));
        let sockets: Vec<Socket> = on_ports.copied().collect();
        if sockets.is_empty() {
            return Ok(());
        }
        if sockets.iter().all(Socket::is_closed_by_process) {
            visit(&sockets);
        }
        if !watch.pause(Some(SETTLE_TIMEOUT)) {
            return Ok(());
        }
    }
}

/// Performs an action that ends processes or sockets, and waits until the processes have ended, at
/// most for `timeout`. Does nothing for `Reserve` and `Wait`.
pub fn perform(
    actions: &mut dyn HostActions,
    action: &PortAction,
    timeout: Duration,
) -> Vec<StepResult> {
    match action {
        PortAction::End { processes, signal, inodes } => {
            let end = |process| actions.end(process, *signal, inodes);
            ending::end_each(processes, end, timeout)
        }
        PortAction::Close(sockets) | PortAction::Drain { sockets, .. } => {
            let mut counts = closing::CloseCounts::default();
            for socket in sockets {
                counts.close(actions, socket);
            }
            counts.into_steps()
        }
        PortAction::Reserve | PortAction::Wait => Vec::new(),
    }
}

/// Watches ports without a connection to them.
pub struct PortWatch {
    scanner: Box<dyn Scanner>,
    snapshot: Snapshot,
    started: Instant,
    due: Instant,
}

impl PortWatch {
    pub fn new(host: &dyn Host) -> Result<Self, HostError> {
        let snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        let now = Instant::now();
        Ok(Self { scanner: host.scanner()?, snapshot, started: now, due: now })
    }

    /// Returns the time since `new`, or since `settle` began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Lists the sockets on the port, without owners.
    pub fn look(&mut self, port: u16) -> Result<&Snapshot, HostError> {
        let started = Instant::now();
        self.scanner.list_port(port, &mut self.snapshot)?;
        self.due = started + MIN_PAUSE.max(self.snapshot.cost * COST_FACTOR);
        Ok(&self.snapshot)
    }

    /// Lists the sockets on one port, or scans all if there are several ports.
    fn look_at(&mut self, ports: &[(Protocol, u16)]) -> Result<&Snapshot, HostError> {
        match ports {
            &[(_, port)] => self.look(port),
            _ => self.scan(),
        }
    }

    /// Scans all sockets, without owners.
    pub fn scan(&mut self) -> Result<&Snapshot, HostError> {
        let started = Instant::now();
        self.scanner.scan(OwnerDepth::Skip, &mut self.snapshot)?;
        self.due = started + MIN_PAUSE.max(self.snapshot.cost * COST_FACTOR);
        Ok(&self.snapshot)
    }

    /// Returns what the last look or scan found.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Sleeps until the next look is due: looks cost at most 5 % of a core. Returns false if the
    /// time of `elapsed` is `limit` or more; None: there is no limit.
    pub fn pause(&self, limit: Option<Duration>) -> bool {
        let now = Instant::now();
        let end = limit.and_then(|limit| self.started.checked_add(limit));
        if end.is_some_and(|end| now >= end) {
            return false;
        }
        let until = end.map_or(self.due, |end| end.min(self.due));
        thread::sleep(until.saturating_duration_since(now));
        true
    }
}
