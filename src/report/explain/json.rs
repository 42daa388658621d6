//! Writes `portscope.explain/1`, whose keys and types are a contract.

use std::{
    borrow::Cow,
    io::{self, Write},
    net::IpAddr,
    time::Duration,
};

use serde::Serialize;

use crate::{
    domain::{
        Endpoint, Errno, ParentProcess, Process, Publication, RemotePortUse, Snapshot, Text,
        UnseenNamespaces, availability,
    },
    report::{
        Explanation, Scan, User,
        explain::{BindRow, ConnectRow, Explanations, ProtocolPort},
        rows::{self, Collection, HostDocument, Instant, Missing, ProcessRow, SocketRow},
    },
};

const SCHEMA: &str = "portscope.explain/1";

pub fn write(answer: &Explanations<'_>, out: &mut dyn Write) -> io::Result<()> {
    rows::write(&AnswerDocument::of(answer), out)
}

/// Writes the answers for several network namespaces, and why some may be missing.
pub fn write_each(
    answers: &[Explanations<'_>],
    unseen: &[UnseenNamespaces],
    out: &mut dyn Write,
) -> io::Result<()> {
    let is_complete = answers.iter().all(|answer| answer.scan.snapshot.is_complete());
    let documents = answers.iter().map(AnswerDocument::of).collect();
    rows::write(&Collection::new(SCHEMA, documents, is_complete, unseen), out)
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnswerDocument<'a> {
    Port(Box<ExplainDocument<'a>>),
    Process(PortsDocument<'a>),
}

impl<'a> AnswerDocument<'a> {
    fn of(answer: &'a Explanations<'_>) -> Self {
        let Explanations { scan: Scan { snapshot, .. }, ports, left_out } = answer;
        let mut documents = ports.iter().map(ExplainDocument::of);
        match (left_out, documents.next()) {
            (None, Some(document)) => Self::Port(Box::new(document)),
            (left_out, first) => Self::Process(PortsDocument {
                head: DocumentHead::of(snapshot),
                ports: first.into_iter().chain(documents).collect(),
                ports_left_out: left_out.unwrap_or_default(),
            }),
        }
    }
}

/// The keys with which each document begins.
#[derive(Serialize)]
struct DocumentHead<'a> {
    schema: &'static str,
    taken_at: Instant,
    host: HostDocument<'a>,
    complete: bool,
    missing: Missing<'a>,
}

impl<'a> DocumentHead<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            schema: SCHEMA,
            taken_at: Instant(snapshot.taken_at),
            host: HostDocument::of(snapshot),
            complete: snapshot.is_complete(),
            missing: Missing(&snapshot.gaps),
        }
    }
}

#[derive(Serialize)]
struct PortsDocument<'a> {
    #[serde(flatten)]
    head: DocumentHead<'a>,
    ports: Vec<ExplainDocument<'a>>,
    ports_left_out: usize,
}

#[derive(Serialize)]
struct ExplainDocument<'a> {
    #[serde(flatten)]
    head: DocumentHead<'a>,
    port: u16,
    /// Null, as the next keys: it depends on a sysctl that could not be read.
    ranges: Option<Vec<&'static str>>,
    class: &'static str,
    reserved: Option<bool>,
    /// Whether a bind() needs CAP_NET_BIND_SERVICE.
    privileged: Option<bool>,
    protocols: Vec<SideRow<'a>>,
}

impl<'a> ExplainDocument<'a> {
    fn of(explanation: &'a Explanation<'_>) -> Self {
        let sides = explanation.sides.iter();
        Self {
            head: DocumentHead::of(explanation.scan.snapshot),
            port: explanation.port,
            ranges: explanation.ranges(),
            class: explanation.class(),
            reserved: explanation.is_reserved(),
            privileged: explanation.needs_privilege(),
            protocols: sides.map(|side| SideRow::new(explanation, side)).collect(),
        }
    }
}

#[derive(Serialize)]
struct SideRow<'a> {
    protocol: &'static str,
    service: Option<&'a str>,
    holders: Vec<HolderRow<'a>>,
    /// Commands that free the port. Empty: it is not in use, or no command surely frees it.
    free_with: Vec<String>,
    frees_when: Option<&'a str>,
    bind: Vec<ExplainRow<'a>>,
    connect: Vec<ConnectReported<'a>>,
    connect_left_out: usize,
    /// Where DNAT sends the flows that arrive for the port; null: no flow is tracked, or the flows
    /// could not be read.
    published: Option<Vec<PublishedRow>>,
    sockets: Vec<SocketRow<'a>>,
    /// The sockets that lead to the same port elsewhere; null: there is none, or the port is in use.
    remote: Option<RemoteRow>,
}

/// The sockets that lead to a remote port, and where they lead.
#[derive(Serialize)]
struct RemoteRow {
    sockets: u32,
    destinations: Vec<RemoteDestinationRow>,
}

#[derive(Serialize)]
struct RemoteDestinationRow {
    destination: IpAddr,
    sockets: u32,
}

impl From<&RemotePortUse> for RemoteRow {
    fn from(remote: &RemotePortUse) -> Self {
        let row = |&(endpoint, sockets): &(Endpoint, u32)| RemoteDestinationRow {
            destination: endpoint.address,
            sockets,
        };
        Self {
            sockets: remote.sockets,
            destinations: remote.destinations.iter().map(row).collect(),
        }
    }
}

impl<'a> SideRow<'a> {
    fn new(explanation: &'a Explanation<'_>, side: &'a ProtocolPort) -> Self {
        let scan = explanation.scan;
        let sockets = scan.snapshot.on_port(side.protocol, explanation.port);
        let holders = scan.pids(sockets).into_iter().filter_map(|pid| scan.processes.get(pid));
        let release =
            availability::release(scan.snapshot, scan.processes, side.protocol, explanation.port);
        let flow = |flow: &Publication| PublishedRow {
            address: flow.address,
            to: flow.to,
            flows: flow.flows,
        };
        Self {
            protocol: side.protocol.name(),
            service: side.service.as_deref(),
            holders: holders.map(|holder| HolderRow::new(scan, holder)).collect(),
            free_with: release.map(|release| release.commands).unwrap_or_default(),
            frees_when: side.frees_when.as_deref(),
            bind: side.binds.iter().map(ExplainRow::from).collect(),
            connect: side.connects.iter().map(ConnectReported::from).collect(),
            connect_left_out: side.destinations_left_out,
            published: explanation.published(side.protocol).map(|flows| flows.map(flow).collect()),
            sockets: sockets.iter().map(|socket| SocketRow::new(scan, socket)).collect(),
            remote: side.remote.as_ref().map(RemoteRow::from),
        }
    }
}

/// Where DNAT sends the flows that arrive for the port on one address of this machine.
#[derive(Serialize)]
struct PublishedRow {
    address: IpAddr,
    to: Endpoint,
    flows: u32,
}

/// A process with a socket on the port. One scan does not show since when it has the socket.
#[derive(Serialize)]
struct HolderRow<'a> {
    pid: u32,
    name: &'a str,
    uid: Option<u32>,
    /// None: unknown, or the uid represents unmapped users.
    user: Option<String>,
    /// When the process started. None: unknown.
    started: Option<Instant>,
    /// The same as `started`.
    started_at: Option<Instant>,
    /// None: it could not be read.
    command: Option<&'a str>,
    cwd: Option<&'a str>,
    unit: Option<&'a str>,
    /// None: it has no parent that is visible here.
    parent: Option<ProcessRow<'a>>,
}

impl<'a> HolderRow<'a> {
    fn new(scan: Scan<'_>, process: &'a Process) -> Self {
        let started = || process.started.map(|seconds| Instant(Duration::from_secs(seconds)));
        let user = process.uid.map(|uid| scan.user_of(uid)).filter(User::is_known);
        let parent = |parent: &'a ParentProcess| ProcessRow {
            pid: parent.pid,
            name: parent.name.as_ref().map(Text::as_str),
        };
        Self {
            pid: process.pid,
            name: process.name.as_str(),
            uid: process.uid,
            user: user.map(|user| user.to_string()),
            started: started(),
            started_at: started(),
            command: process.command.as_ref().map(Text::as_str),
            cwd: process.directory.as_ref().map(Text::as_str),
            unit: process.unit.as_ref().map(Text::as_str),
            parent: process.parent.as_ref().map(parent),
        }
    }
}

#[derive(Serialize)]
struct ExplainRow<'a> {
    probe: &'a str,
    reuse: &'static str,
    verdict: &'static str,
    because: &'a str,
    probed: Option<&'static str>,
    /// Why --probe skipped this row. None: it did not skip the row, or there was no --probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_probed: Option<&'static str>,
    errno: Option<Cow<'static, str>>,
}

impl<'a> From<&'a BindRow> for ExplainRow<'a> {
    fn from(row: &'a BindRow) -> Self {
        Self {
            probe: &row.probe,
            reuse: row.bind.reuse.name(),
            verdict: row.verdict_name(),
            because: row.because(),
            probed: row.probed_name(),
            not_probed: row.not_probed(),
            errno: row.errno().map(Errno::name),
        }
    }
}

/// In one row, source, destination and port are null: that row is for all destinations to which no
/// socket on the port is connected.
#[derive(Serialize)]
struct ConnectReported<'a> {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    port: Option<u16>,
    verdict: &'static str,
    because: &'a str,
}

impl<'a> From<&'a ConnectRow> for ConnectReported<'a> {
    fn from(row: &'a ConnectRow) -> Self {
        Self {
            source: row.destination.map(|to| to.source),
            destination: row.destination.map(|to| to.remote.address),
            port: row.destination.map(|to| to.remote.port),
            verdict: row.answer.verdict.name(),
            because: &row.answer.because,
        }
    }
}
