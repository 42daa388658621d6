//! What can be done about sockets that a person selected, and the thread that does it. Does not
//! decide.

use std::{collections::BTreeSet, io, sync::Arc};

use crate::{
    domain::{
        PortRange, Process, ProcessTable, Protocol, Snapshot, Socket, Source, State, Text,
        action::{ActionChoice, ActionFacts, ActionInput, PortAction, ReservedChange, choices_for},
        availability,
    },
    engine::{
        Outbox, Report,
        freeing::{self, END_TIMEOUT, StepResult, describe_parents},
        sample::describe_or_miss,
        worker::Worker,
    },
    host::{Host, HostError, OwnerDepth},
};

/// Maximum number of ports of the selected sockets, because the kernel is asked about each.
pub const MAX_PORTS: usize = 64;

/// Request to look at sockets, or to change what uses them.
#[derive(Clone, Debug, PartialEq)]
pub struct FreeRequest {
    /// Returned in the report.
    pub number: u64,
    /// The selected sockets, as they were shown.
    pub sockets: Arc<[Socket]>,
    /// What to do, as it was shown. None: nothing is done.
    pub choice: Option<Box<ActionChoice>>,
}

/// What can be done about the selected sockets, as a scan shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct FreeOffer {
    /// One for each port, in the order of the sockets.
    pub ports: Vec<OfferedPort>,
    /// The processes that hold the selected sockets, and those that an action would end, ascending
    /// by pid.
    pub holders: Vec<Process>,
    /// Empty: none of the sockets exists any more.
    pub choices: Vec<ActionChoice>,
    pub news: FreeNews,
}

/// The use of a port by all its sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedPort {
    pub protocol: Protocol,
    pub port: u16,
    /// The number of sockets on the port.
    pub sockets: u32,
    /// The state of one of them, and the name of a process that holds it. None: there is no socket.
    pub example: Option<(State, Option<Text>)>,
    /// Whether a socket that is not listed may use the port.
    pub may_be_unlisted: bool,
}

/// What a request has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FreeNews {
    /// Nothing was to be done.
    None,
    /// Nothing was done, because what was shown has changed in this way.
    Changed(Text),
    /// What was done, a sentence for each step, and whether all steps succeeded.
    Done { steps: Vec<Text>, is_done: bool },
}

/// Handle to the thread.
pub type FreeThread = Worker<FreeRequest>;

/// Starts the thread.
///
/// Errors: the thread could not be created.
pub fn spawn(host: Arc<dyn Host>, outbox: Box<dyn Outbox>) -> io::Result<FreeThread> {
    Worker::start("freeing", outbox, move |line, _| {
        while let Ok(Some(request)) = line.receive(None) {
            let offer = answer(&*host, &request).map(Box::new).map_err(Text::from);
            let report = Report::Free { number: request.number, offer };
            if line.deliver(report).is_err() {
                return;
            }
        }
    })
}

/// Looks at the sockets. If there is something to do and a new scan still offers it with the same
/// effect, does it and looks again.
///
/// Errors: the sockets could not be listed, and nothing was done.
pub fn answer(host: &dyn Host, request: &FreeRequest) -> Result<FreeOffer, HostError> {
    let offer = look(host, &request.sockets)?;
    let Some(choice) = &request.choice else { return Ok(offer) };
    if let Some(change) = changed(choice, &offer) {
        return Ok(FreeOffer { news: FreeNews::Changed(Text::scrub(change)), ..offer });
    }
    // The same processes may hold other sockets on the port by now.
    let current = offer.choices.iter().find(|now| is_same(&choice.action, &now.action));
    let action = current.map_or(&choice.action, |now| &now.action);
    let results = perform(host, &offer, action)?;
    let words = results.iter().map(|result| Text::scrub(result.words(&offer.names())));
    let mut steps: Vec<Text> = words.collect();
    let mut is_done = results.iter().all(StepResult::is_done);
    let now = look(host, &request.sockets).unwrap_or_else(|error| {
        // What was done is reported in any case.
        steps.push(Text::scrub(format!("could not look at the sockets again: {error}")));
        is_done = false;
        let (ports, holders, choices) = (Vec::new(), Vec::new(), Vec::new());
        FreeOffer { ports, holders, choices, news: FreeNews::None }
    });
    Ok(FreeOffer { news: FreeNews::Done { steps, is_done }, ..now })
}

fn perform(
    host: &dyn Host,
    offer: &FreeOffer,
    action: &PortAction,
) -> Result<Vec<StepResult>, HostError> {
    let ports: Vec<(Protocol, u16)> =
        offer.ports.iter().map(|port| (port.protocol, port.port)).collect();
    match action {
        PortAction::Wait => Ok(Vec::new()),
        PortAction::Reserve => {
            let ranges = ports.iter().filter_map(|&(_, port)| PortRange::new(port, port).ok());
            let change = ReservedChange::add(ranges.collect());
            Ok(vec![match host.actions()?.reserve(&change) {
                Ok(_) => StepResult::Reserved(change.ports().to_vec()),
                Err(error) => StepResult::Refused { what: "reserve the port".to_owned(), error },
            }])
        }
        action => freeing::free_ports(host, &ports, action, false, END_TIMEOUT),
    }
}

impl FreeOffer {
    fn names(&self) -> ProcessTable {
        self.holders.iter().cloned().collect()
    }
}

/// Scans once, and forecasts what each action would do. Changes nothing.
fn look(host: &dyn Host, asked: &[Socket]) -> Result<FreeOffer, HostError> {
    let mut actions = host.actions()?;
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner()?.scan(OwnerDepth::Full, &mut snapshot)?;
    let mut processes = describe_or_miss(host, &mut snapshot);
    let ports = ports_of(asked);
    let identities: BTreeSet<u64> = asked.iter().map(Socket::identity).collect();
    let on_ports = ports.iter().flat_map(|&(protocol, port)| snapshot.on_port(protocol, port));
    let sockets: Vec<Socket> =
        on_ports.filter(|socket| identities.contains(&socket.identity())).copied().collect();
    let mut each_facts: Vec<ActionFacts> = Vec::new();
    for &(protocol, port) in ports.iter().take(MAX_PORTS) {
        let facts = actions.facts(&pids_on(&snapshot, protocol, port), protocol, port);
        describe_parents(host, &facts, &mut processes);
        each_facts.push(facts);
    }
    let inputs: Vec<ActionInput<'_>> = ports
        .iter()
        .zip(&each_facts)
        .map(|(&(protocol, port), facts)| ActionInput {
            snapshot: &snapshot,
            processes: &processes,
            facts,
            protocol,
            port,
        })
        .collect();
    let choices = choices_for(&inputs, &sockets);
    let held = sockets.iter().flat_map(|socket| snapshot.owner(socket).pids()).copied();
    let holders: BTreeSet<u32> = held.chain(choices.iter().flat_map(ended_pids)).collect();
    Ok(FreeOffer {
        ports: ports.iter().map(|&on| use_of(&snapshot, &processes, on)).collect(),
        holders: holders.iter().filter_map(|&pid| processes.get(pid).cloned()).collect(),
        choices,
        news: FreeNews::None,
    })
}

fn ended_pids(choice: &ActionChoice) -> Vec<u32> {
    match &choice.action {
        PortAction::End { processes, .. } => processes.iter().map(|process| process.pid).collect(),
        _ => Vec::new(),
    }
}

/// Returns the ports of the sockets, each once.
pub fn ports_of(sockets: &[Socket]) -> Vec<(Protocol, u16)> {
    let mut ports: Vec<(Protocol, u16)> = sockets.iter().map(Socket::protocol_port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn pids_on(snapshot: &Snapshot, protocol: Protocol, port: u16) -> BTreeSet<u32> {
    let sockets = snapshot.on_port(protocol, port).iter();
    sockets.flat_map(|socket| snapshot.owner(socket).pids()).copied().collect()
}

fn use_of(
    snapshot: &Snapshot,
    processes: &ProcessTable,
    (protocol, port): (Protocol, u16),
) -> OfferedPort {
    let sockets = snapshot.on_port(protocol, port);
    let held = sockets.iter().find(|socket| !socket.is_closed_by_process());
    let example = held.or(sockets.first()).map(|socket| {
        let pid = snapshot.owner(socket).pids().first().filter(|_| held.is_some());
        let name = pid.map(|&pid| Text::around_scrubbed(processes.named(pid).to_string()));
        (socket.state, name)
    });
    OfferedPort {
        protocol,
        port,
        sockets: sockets.len() as u32,
        example,
        may_be_unlisted: availability::may_be_unlisted(snapshot, protocol, port),
    }
}

/// Returns what has changed since the choice was shown, so that its forecast may be wrong. None: the
/// offer still contains it.
fn changed(choice: &ActionChoice, offer: &FreeOffer) -> Option<String> {
    if matches!(choice.action, PortAction::Drain { .. }) {
        // Each is identified by its cookie. Those that have ended are what was asked for.
        return None;
    }
    let Some(now) = offer.choices.iter().find(|now| is_same(&choice.action, &now.action)) else {
        return Some(match &choice.action {
            _ if offer.choices.is_empty() => "the sockets have ended".to_owned(),
            PortAction::End { .. } => "other processes hold the sockets now".to_owned(),
            PortAction::Close(_) => "a socket has ended or is in another state now".to_owned(),
            _ => "the sockets have ended".to_owned(),
        });
    };
    let is_different = now.forecast.frees != choice.forecast.frees
        || now.forecast.other_holders != choice.forecast.other_holders;
    is_different.then(|| format!("its effect is different now: {}", now.forecast.because))
}

/// Returns whether both actions end the same processes by the same signal, or concern the same sockets
/// in the same state.
fn is_same(shown: &PortAction, now: &PortAction) -> bool {
    match (shown, now) {
        (PortAction::Close(shown), PortAction::Close(now)) => {
            let key = |socket: &Socket| (socket.identity(), socket.state);
            shown.iter().map(key).eq(now.iter().map(key))
        }
        (
            PortAction::End { processes, signal, .. },
            PortAction::End { processes: now, signal: by, .. },
        ) => (processes, signal) == (now, by),
        (shown, now) => shown == now,
    }
}
