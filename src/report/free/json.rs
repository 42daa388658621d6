//! Writes `portscope.free/1`, whose keys and types are a contract.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    domain::action::{ActionChoice, FreePlan, PortAction},
    report::{
        Scan,
        free::{FreeOutcome, FreeReport, FreeSide},
        rows::{self, HostDocument, Instant, Missing, ProcessRow, SocketRow},
    },
};

pub fn write(report: &FreeReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let snapshot = report.scan.snapshot;
    let document = FreeDocument {
        schema: "portscope.free/1",
        taken_at: Instant(snapshot.taken_at),
        host: HostDocument::of(snapshot),
        complete: snapshot.is_complete(),
        missing: Missing(&snapshot.gaps),
        port: report.port,
        protocols: report.sides.iter().map(|side| FreeSideRow::new(report, side)).collect(),
    };
    rows::write(&document, out)
}

#[derive(Serialize)]
struct FreeDocument<'a> {
    schema: &'static str,
    taken_at: Instant,
    host: HostDocument<'a>,
    complete: bool,
    missing: Missing<'a>,
    port: u16,
    protocols: Vec<FreeSideRow<'a>>,
}

#[derive(Serialize)]
struct FreeSideRow<'a> {
    protocol: &'static str,
    /// Null: no socket is listed, but one that is not listed may use the port.
    in_use: Option<bool>,
    sockets: Vec<SocketRow<'a>>,
    actions: Vec<ActionRow<'a>>,
    /// Null: no socket is on the port.
    plan: Option<PlanRow>,
    /// Null: nothing was done.
    result: Option<ResultRow<'a>>,
}

impl<'a> FreeSideRow<'a> {
    fn new(report: &'a FreeReport<'_>, side: &'a FreeSide<'_>) -> Self {
        let scan = report.scan;
        let sockets = scan.snapshot.on_port(side.protocol, report.port);
        Self {
            protocol: side.protocol.name(),
            in_use: (!sockets.is_empty() || !side.may_be_unlisted).then_some(!sockets.is_empty()),
            sockets: sockets.iter().map(|socket| SocketRow::new(scan, socket)).collect(),
            actions: side.choices.iter().map(|choice| ActionRow::new(scan, choice)).collect(),
            plan: side.plan.map(|plan| PlanRow::new(plan, side.choices)),
            result: side.outcome.as_ref().map(ResultRow::new),
        }
    }
}

#[derive(Serialize)]
struct ActionRow<'a> {
    /// `end`, `close`, `drain`, `reserve` or `wait`.
    action: &'static str,
    /// Of `end`: `TERM` or `KILL`.
    signal: Option<&'static str>,
    processes: Vec<ProcessRow<'a>>,
    /// Of `close` and `drain`: the cookies of the sockets.
    cookies: Vec<u64>,
    /// Whether the port is free after it: `yes`, `no` or `unknown`.
    frees: &'static str,
    because: &'a str,
    program_sees: Option<&'a str>,
    other_holders: Vec<ProcessRow<'a>>,
    restart: Option<&'a str>,
    /// The longest time that closed connections keep the port. Null: none remain.
    closed_seconds: Option<u32>,
    command: &'a str,
    /// Why it is not permitted or not possible. Null: it is, or that is unknown.
    refusal: Option<String>,
}

impl<'a> ActionRow<'a> {
    fn new(scan: Scan<'a>, choice: &'a ActionChoice) -> Self {
        let process = |pid: u32| ProcessRow {
            pid,
            name: scan.processes.get(pid).map(|process| process.name.as_str()),
        };
        let (mut processes, mut cookies, mut signal) = (Vec::new(), Vec::new(), None);
        match &choice.action {
            PortAction::End { processes: ended, signal: by, .. } => {
                processes = ended.iter().map(|identity| process(identity.pid)).collect();
                signal = Some(by.name());
            }
            PortAction::Close(sockets) | PortAction::Drain { sockets, .. } => {
                cookies.extend(sockets.iter().filter_map(|socket| socket.cookie));
            }
            PortAction::Reserve | PortAction::Wait => {}
        }
        let forecast = &choice.forecast;
        Self {
            action: choice.action.name(),
            signal,
            processes,
            cookies,
            frees: forecast.frees.name(),
            because: &forecast.because,
            program_sees: forecast.program_sees.as_deref(),
            other_holders: forecast.other_holders.iter().map(|&pid| process(pid)).collect(),
            restart: forecast.restart.as_deref(),
            closed_seconds: forecast.closed_seconds,
            command: &forecast.command,
            refusal: forecast.permission.refusal(),
        }
    }
}

#[derive(Serialize)]
struct PlanRow {
    /// Index in `actions`. Null: no action frees the port.
    action: Option<usize>,
    then_drain: bool,
    frees: &'static str,
    refusal: Option<String>,
}

impl PlanRow {
    fn new(plan: &FreePlan, choices: &[ActionChoice]) -> Self {
        let planned = |choice: &ActionChoice| Some(&choice.action) == plan.action.as_ref();
        Self {
            action: choices.iter().position(planned),
            then_drain: plan.then_drain,
            frees: plan.frees.name(),
            refusal: plan.refusal.clone(),
        }
    }
}

#[derive(Serialize)]
struct ResultRow<'a> {
    steps: Vec<StepRow<'a>>,
    /// Null: an unlisted socket may use the port, or `error`.
    free: Option<bool>,
    /// What still uses the port, in words.
    remaining: Option<&'a str>,
    /// Why it is unknown what uses the port now. Null: that is known.
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct StepRow<'a> {
    what: &'a str,
    done: bool,
}

impl<'a> ResultRow<'a> {
    fn new(outcome: &'a FreeOutcome) -> Self {
        let steps = outcome.steps.iter();
        let remaining = Some(&outcome.remaining).filter(|words| !words.is_empty());
        Self {
            steps: steps.map(|step| StepRow { what: &step.words, done: step.is_done }).collect(),
            free: outcome.is_free,
            remaining: remaining.map(String::as_str),
            error: outcome.error.as_deref(),
        }
    }
}
