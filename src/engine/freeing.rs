//! Looks at a port, performs an action on it, and looks again.

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
        notation,
    },
    engine::{sample::describe_or_miss, scanner::COST_FACTOR},
    host::{
        Host, HostError, OwnerDepth, Scanner,
        actions::{ActionError, EndingProcess, HostActions},
    },
};

/// Time for processes to end after a signal, unless the user sets another one.
pub const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for connections to end after an action, for example for the answer of a peer.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// Minimum time between two looks at a port.
const MIN_PAUSE: Duration = Duration::from_millis(20);

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
            sides.push(SurveyedSide { protocol, facts, choices, plan });
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
    /// Number of sockets that were closed.
    Closed { sockets: u32 },
    /// The ports are reserved now.
    Reserved(Vec<PortRange>),
    /// The step was not possible.
    Refused { what: String, error: ActionError },
}

impl StepResult {
    pub fn is_done(&self) -> bool {
        match self {
            Self::Signalled { after, .. } => after.is_some(),
            Self::Closed { .. } | Self::Reserved(_) => true,
            Self::Refused { .. } => false,
        }
    }

    /// Describes the result in a sentence without its full stop.
    pub fn words(&self, processes: &ProcessTable) -> String {
        match self {
            Self::Signalled { pid, after: Some(after) } => {
                format!("{} ended after {}", processes.named(*pid), notation::elapsed(*after))
            }
            Self::Signalled { pid, after: None } => {
                format!("{} received the signal and has not ended", processes.named(*pid))
            }
            Self::Closed { sockets } => {
                format!("closed {}", notation::counted(*sockets, "socket"))
            }
            Self::Reserved(ports) => format!("reserved {} until the next boot", port_list(ports)),
            Self::Refused { what, error } => format!("could not {what}: {error}"),
        }
    }
}

/// Performs an action that ends processes or sockets, and waits until no socket is on the ports, at
/// most for `SETTLE_TIMEOUT`. `then_drain`: also ends the closed connections that remain.
///
/// Errors: the network namespace cannot be entered, or the sockets could not be listed.
pub fn free_ports(
    host: &dyn Host,
    ports: &[(Protocol, u16)],
    action: &PortAction,
    then_drain: bool,
    timeout: Duration,
) -> Result<Vec<StepResult>, HostError> {
    let mut actions = host.actions()?;
    let mut results = perform(&mut *actions, action, timeout);
    let mut watch = PortWatch::new(host)?;
    loop {
        let snapshot = match ports {
            &[(_, port)] => watch.look(port)?,
            _ => watch.scan()?,
        };
        let on_ports = ports.iter().flat_map(|&(protocol, port)| snapshot.on_port(protocol, port));
        let sockets: Vec<Socket> = on_ports.copied().collect();
        let is_closed = sockets.iter().all(Socket::is_closed_by_process);
        if then_drain && is_closed && !sockets.is_empty() {
            let drain = PortAction::Drain { sockets: sockets.clone(), destination: None };
            results.extend(perform(&mut *actions, &drain, timeout));
        }
        if sockets.is_empty() || !watch.pause(Some(SETTLE_TIMEOUT)) {
            return Ok(results);
        }
    }
}

/// Performs an action that ends processes or sockets, and waits until the processes have ended, at
/// most for `timeout`. Performs nothing else: `Reserve` and `Wait` have no steps.
pub fn perform(
    actions: &mut dyn HostActions,
    action: &PortAction,
    timeout: Duration,
) -> Vec<StepResult> {
    match action {
        PortAction::End { processes, signal } => {
            let started = Instant::now();
            let sent = processes.iter().map(|&process| (process, actions.end(process, *signal)));
            // All receive the signal before the first is waited for.
            let sent: Vec<_> = sent.collect();
            let ended = sent.into_iter().map(|(process, sent)| match sent {
                Ok(mut ending) => {
                    let is_ended = wait(&mut *ending, started, timeout);
                    StepResult::Signalled {
                        pid: process.pid,
                        after: is_ended.then(|| started.elapsed()),
                    }
                }
                Err(error) => {
                    StepResult::Refused { what: format!("end pid {}", process.pid), error }
                }
            });
            ended.collect()
        }
        PortAction::Close(sockets) | PortAction::Drain { sockets, .. } => {
            close_each(actions, sockets)
        }
        PortAction::Reserve | PortAction::Wait => Vec::new(),
    }
}

fn wait(ending: &mut dyn EndingProcess, started: Instant, timeout: Duration) -> bool {
    ending.wait(timeout.saturating_sub(started.elapsed()))
}

/// Closes the sockets. A socket that has ended by itself counts as closed.
fn close_each(actions: &mut dyn HostActions, sockets: &[Socket]) -> Vec<StepResult> {
    let mut closed = 0;
    let mut refused = None;
    for socket in sockets {
        match actions.close(socket) {
            Ok(()) => closed += 1,
            Err(ActionError::SocketGone) if socket.is_closed_by_process() => closed += 1,
            Err(error) => {
                let what = format!("close the socket in {} on {}", socket.state, socket.local);
                refused = Some(StepResult::Refused { what, error });
            }
        }
    }
    let closed = (closed > 0).then_some(StepResult::Closed { sockets: closed });
    closed.into_iter().chain(refused).collect()
}

/// Watches one port without a connection to it.
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

    /// Returns the time since `new`.
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
    /// time since `new` is `limit` or more; None: there is no limit.
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
