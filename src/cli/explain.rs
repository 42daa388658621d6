//! `portscope explain`: scans once and applies the kernel's rules to the sockets on a port, or on
//! each port of a process.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    cli::{
        args::{ExplainArguments, PlainFormat, ReportArguments},
        exit::CommandEnd,
        namespaces, output, scan,
        target::Wanted,
    },
    domain::{
        AddressRefusal, Destination, Errno, Filter, Gap, LocalAddress, ProcessTable, Protocol,
        Protocols, RemotePortUse, ServiceNames, Snapshot, Socket, Source, State,
        availability::{
            self, Answer, Bind, BindAddress, Reuse, Verdict as Allowed,
            probing::{self, Probed},
        },
    },
    engine::sample::describe_or_miss,
    host::{Host, HostError, OwnerDepth, Publications, Scanner},
    report::{
        self, Explanation, Scan,
        explain::{BindRow, ConnectRow, ProtocolPort, Reasons},
    },
};

/// Maximum number of destinations that are reported one by one. A server's port has one destination
/// for each connection.
const MAX_DESTINATIONS: usize = 100;

/// Maximum number of ports of a process that are explained.
const MAX_PORTS: usize = 10;

/// Addresses that are always checked, because the output format promises them.
const PROBES: [BindAddress; 5] = [
    BindAddress::Any4,
    BindAddress::AnyDual,
    BindAddress::Any6,
    BindAddress::At(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    BindAddress::At(IpAddr::V6(Ipv6Addr::LOCALHOST)),
];

/// The sysctl that sets the lowest port that bind() allows without CAP_NET_BIND_SERVICE.
const START: &str = "ip_unprivileged_port_start";

pub fn run(settings: &ExplainArguments) -> anyhow::Result<CommandEnd> {
    let explained = namespaces::run_in_chosen(settings.netns.as_deref(), 1, |host| {
        ExplainedNamespace::at(host, settings)
    })?;
    let unseen = explained.unseen.as_deref();
    let answers: Vec<_> = explained.answers.iter().map(ExplainedNamespace::answer).collect();
    let ReportArguments { format, output, .. } = &settings.report;
    let reasons = if settings.why { Reasons::Shown } else { Reasons::Omitted };
    output::write_page(output.as_deref(), settings.color.when, |out| match (format, unseen) {
        (PlainFormat::Text, None) => report::explain::text::write(&answers[0], reasons, out),
        (PlainFormat::Json, None) => report::explain::json::write(&answers[0], out),
        (PlainFormat::Text, Some(_)) => report::explain::text::write_each(&answers, reasons, out),
        (PlainFormat::Json, Some(unseen)) => {
            report::explain::json::write_each(&answers, unseen, out)
        }
    })?;
    let snapshots = || explained.answers.iter().map(|explained| &explained.snapshot);
    scan::report_gaps(snapshots(), unseen);
    scan::report_not_found(explained.answers.iter().map(|explained| &explained.not_found));
    let is_held = answers.iter().flat_map(|answer| &answer.ports).any(Explanation::is_held);
    let is_complete = explained.are_complete() && snapshots().all(Snapshot::is_complete);
    let is_enough = is_complete || !settings.strict;
    Ok(if is_held && is_enough { CommandEnd::Done } else { CommandEnd::No })
}

/// What one scan of a network namespace shows about a port, or about each port of a process.
struct ExplainedNamespace {
    snapshot: Snapshot,
    processes: ProcessTable,
    /// One, or those of the requested process.
    ports: Vec<ExplainedPort>,
    /// Number of ports of the process that are not in `ports`. None: no process was requested.
    left_out: Option<usize>,
    /// The message that the requested process has no socket. None: it has one, or no process was
    /// requested.
    not_found: Option<String>,
}

impl ExplainedNamespace {
    fn at(host: &dyn Host, settings: &ExplainArguments) -> Result<Self, HostError> {
        let mut question = PortQuestion {
            port: 0,
            protocols: settings.protocol,
            address: settings.address,
            probe: settings.probe,
        };
        match settings.target {
            Wanted::Ports(range, protocols) => {
                question.port = range.first();
                question.restrict(protocols);
            }
            Wanted::Endpoint(endpoint, protocols) => {
                question.port = endpoint.port;
                question.address = question.address.or(Some(endpoint.address.into()));
                question.restrict(protocols);
            }
            Wanted::Process(_) | Wanted::Pid(_) => {
                return Self::of_process(host, question, settings);
            }
        }
        let mut scanner = host.scanner()?;
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        scanner.scan_port(question.port, &mut snapshot)?;
        ask_numbered(&mut *scanner, &mut snapshot);
        keep_asked(&mut snapshot, question.protocols);
        let table = describe_or_miss(host, &mut snapshot);
        let (processes, services) = (&table, &host.services());
        let elsewhere = if snapshot.sockets.is_empty() {
            all_sockets(&mut *scanner, host)?
        } else {
            Vec::new()
        };
        let input = ExplainInput {
            host,
            question,
            snapshot: snapshot.clone(),
            elsewhere,
            processes,
            services,
        };
        let ports = vec![input.explain(&mut *scanner)];
        Ok(Self { snapshot, processes: table, ports, left_out: None, not_found: None })
    }

    /// Explains each port of the requested process: those on which it waits for peers first.
    fn of_process(
        host: &dyn Host,
        question: PortQuestion,
        settings: &ExplainArguments,
    ) -> Result<Self, HostError> {
        let mut scanner = host.scanner()?;
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        scanner.scan(OwnerDepth::Full, &mut snapshot)?;
        keep_asked(&mut snapshot, question.protocols);
        let processes = describe_or_miss(host, &mut snapshot);
        let mut theirs = snapshot.clone();
        theirs.keep_matching(&Filter::all([settings.target.term(&processes)]), &processes);
        let are_hidden = snapshot.gaps.iter().any(|gap| gap.hidden_owners().is_some());
        let not_found =
            theirs.sockets.is_empty().then(|| settings.target.not_found(&processes, are_hidden));
        let mut questions = ports_of(&theirs.sockets);
        let left_out = Some(questions.len().saturating_sub(MAX_PORTS));
        questions.truncate(MAX_PORTS);
        let is_explained = |port: u16| questions.iter().any(|&(explained, _)| explained == port);
        snapshot.sockets.retain(|socket| is_explained(socket.local.port));
        ask_numbered(&mut *scanner, &mut snapshot);
        let services = &host.services();
        let ports = questions.into_iter().map(|(port, protocols)| {
            let question = PortQuestion { port, protocols, ..question };
            let (snapshot, processes) = (snapshot.clone(), &processes);
            let elsewhere = Vec::new();
            ExplainInput { host, question, snapshot, elsewhere, processes, services }
                .explain(&mut *scanner)
        });
        let ports = ports.collect();
        Ok(Self { snapshot: theirs, processes, ports, left_out, not_found })
    }

    fn answer(&self) -> report::explain::Explanations<'_> {
        let processes = &self.processes;
        report::explain::Explanations {
            scan: Scan { snapshot: &self.snapshot, processes },
            ports: self.ports.iter().map(|port| port.explanation(processes)).collect(),
            left_out: self.left_out,
        }
    }
}

/// Returns the ports of a process and the protocols on each: first the ports on which it waits for
/// peers, then those on which it only has connections.
fn ports_of(sockets: &[Socket]) -> Vec<(u16, Protocols)> {
    let mut by_port: BTreeMap<u16, (bool, Protocols)> = BTreeMap::new();
    for socket in sockets {
        let is_connected = !matches!(socket.state, State::Listen | State::Unconnected);
        let protocol = Protocols::from(socket.protocol);
        let port = by_port.entry(socket.local.port).or_insert((is_connected, protocol));
        port.0 &= is_connected;
        if port.1 != protocol {
            port.1 = Protocols::Both;
        }
    }
    let mut ports: Vec<_> = by_port.into_iter().collect();
    ports.sort_by_key(|&(port, (is_connected, _))| (is_connected, port));
    ports.into_iter().map(|(port, (_, protocols))| (port, protocols)).collect()
}

/// Returns the sockets on all ports. Does not look up their owners.
fn all_sockets(scanner: &mut dyn Scanner, host: &dyn Host) -> Result<Vec<Socket>, HostError> {
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    scanner.scan(OwnerDepth::Skip, &mut snapshot)?;
    Ok(snapshot.sockets)
}

/// Reads which ports were bound by number, if there is a connection.
fn ask_numbered(scanner: &mut dyn Scanner, snapshot: &mut Snapshot) {
    if snapshot.sockets.iter().any(|socket| socket.remote.is_some()) {
        scanner.ask_numbered(snapshot);
    }
}

/// What is asked about a port.
#[derive(Clone, Copy)]
struct PortQuestion {
    port: u16,
    protocols: Protocols,
    /// An address to check in addition to `PROBES`.
    address: Option<LocalAddress>,
    /// Whether to verify the answers with real binds.
    probe: bool,
}

impl PortQuestion {
    /// Restricts the question to the protocols of the argument, which has none if it is `Both`.
    fn restrict(&mut self, protocols: Protocols) {
        if protocols != Protocols::Both {
            self.protocols = protocols;
        }
    }
}

/// What was found out about one port.
struct ExplainedPort {
    port: u16,
    snapshot: Snapshot,
    publications: Publications,
    sides: Vec<ProtocolPort>,
}

impl ExplainedPort {
    fn explanation<'a>(&'a self, processes: &'a ProcessTable) -> Explanation<'a> {
        let Self { port, snapshot, publications, sides } = self;
        Explanation { scan: Scan { snapshot, processes }, port: *port, publications, sides }
    }
}

/// Removes the sockets and the gaps of protocols that were not asked for.
fn keep_asked(snapshot: &mut Snapshot, protocols: Protocols) {
    snapshot.keep_sockets(|socket| protocols.includes(socket.protocol));
    snapshot.gaps.retain(|gap| {
        let is_asked = gap.protocol().is_none_or(|of| protocols.includes(of));
        is_asked && gap.count() != Some(0)
    });
}

/// The input of the answers about bind() and connect().
struct ExplainInput<'a> {
    host: &'a dyn Host,
    question: PortQuestion,
    /// May have sockets on other ports too.
    snapshot: Snapshot,
    /// The sockets on all ports. Empty if the port is in use.
    elsewhere: Vec<Socket>,
    processes: &'a ProcessTable,
    services: &'a ServiceNames,
}

impl ExplainInput<'_> {
    fn explain(mut self, scanner: &mut dyn Scanner) -> ExplainedPort {
        let PortQuestion { port, protocols, .. } = self.question;
        self.snapshot.sockets.retain(|socket| socket.local.port == port);
        keep_asked(&mut self.snapshot, protocols);
        let asked = Protocol::EACH.into_iter().filter(|&p| protocols.includes(p));
        let sides = asked.map(|protocol| self.side(protocol)).collect();
        let publications = scanner.publications(port);
        ExplainedPort { port, snapshot: self.snapshot, publications, sides }
    }

    fn side(&self, protocol: Protocol) -> ProtocolPort {
        let port = self.question.port;
        let (connects, destinations_left_out) = self.connects(protocol);
        ProtocolPort {
            protocol,
            service: self.services.name(protocol, port).map(str::to_owned),
            binds: self.binds(protocol),
            connects,
            destinations_left_out,
            remote: RemotePortUse::count(&self.elsewhere, port, |of| of == protocol),
            frees_when: availability::frees_when(&self.snapshot, self.processes, protocol, port),
        }
    }

    fn binds(&self, protocol: Protocol) -> Vec<BindRow> {
        let mut rows = Vec::new();
        for Asked { probe, address, refusal } in self.addresses(protocol) {
            for reuse in Reuse::EACH {
                let bind = Bind { protocol, address, reuse };
                let answer = availability::bind_answer(&self.snapshot, self.question.port, bind);
                let (answer, refusal) = combined_answer(answer, refusal.clone());
                let probe = probe.clone();
                rows.push(BindRow { probe, bind, answer, refusal, probed: Probed::NotAsked });
            }
        }
        if self.question.probe {
            self.try_each(&mut rows);
        }
        rows
    }

    /// Probes the rows with real binds, except those whose address names an interface that does not
    /// exist (ENODEV) and those that `probe_each` skips.
    fn try_each(&self, rows: &mut [BindRow]) {
        let is_nameless = |row: &BindRow| {
            row.refusal.as_ref().is_some_and(|refusal| refusal.errno == Errno::ENODEV)
        };
        let mut rows: Vec<_> = rows.iter_mut().filter(|row| !is_nameless(row)).collect();
        let binds: Vec<Bind> = rows.iter().map(|row| row.bind).collect();
        let port = self.question.port;
        let probed =
            probing::probe_each(&self.snapshot, port, &binds, |bind| self.host.probe(bind, port));
        rows.iter_mut().zip(probed).for_each(|(row, probed)| row.probed = probed);
    }

    /// Returns the addresses of `PROBES` and that of --address, unless it is one of them or
    /// unspecified.
    fn addresses(&self, protocol: Protocol) -> Vec<Asked> {
        let missing_right = self.missing_right();
        let asked = |probe: String, address| {
            let refusal = self.host.address_refusal(protocol, address);
            Asked { probe, address, refusal: refusal.or_else(|| missing_right.clone()) }
        };
        let mut all: Vec<Asked> = PROBES.iter().map(|&a| asked(a.to_string(), a)).collect();
        let wanted = self.question.address.filter(|wanted| !wanted.address.is_unspecified());
        let Some(wanted) = wanted else { return all };
        let probe = wanted.to_string();
        if all.iter().all(|known| known.probe != probe) {
            all.push(match self.host.bind_address(Some(wanted)) {
                Ok(address) => asked(probe, address),
                Err(refusal) => {
                    let address = BindAddress::At(wanted.address);
                    Asked { probe, address, refusal: Some(refusal) }
                }
            });
        }
        all
    }

    /// Returns a refusal if this process lacks the right to bind the port on any address. None: it
    /// has the right, or that is unknown.
    fn missing_right(&self) -> Option<AddressRefusal> {
        let start = self.snapshot.ephemeral.unprivileged_start;
        let is_read = !self.snapshot.gaps.iter().any(
            |gap| matches!(gap, Gap::PolicyAssumed { sysctl, .. } if sysctl.as_str().ends_with(START)),
        );
        let is_privileged = self.question.port < start && is_read;
        (is_privileged && self.host.may_bind_privileged() == Some(false))
            .then(|| AddressRefusal::missing_right(start))
    }

    /// Returns one row for a new destination and one for each destination of the port's sockets,
    /// and how many destinations were left out.
    fn connects(&self, protocol: Protocol) -> (Vec<ConnectRow>, usize) {
        let port = self.question.port;
        let sockets = self.snapshot.on_port(protocol, port);
        let destinations: BTreeSet<_> = sockets.iter().filter_map(Destination::of).collect();
        let left_out = destinations.len().saturating_sub(MAX_DESTINATIONS);
        let reported = destinations.into_iter().take(MAX_DESTINATIONS).map(Some);
        let row = |destination: Option<Destination>| ConnectRow {
            destination,
            answer: availability::connect_answer(
                &self.snapshot,
                protocol,
                port,
                destination.as_ref(),
            ),
        };
        (std::iter::once(None).chain(reported).map(row).collect(), left_out)
    }
}

/// An address to check; `probe` is its name in the output.
struct Asked {
    probe: String,
    address: BindAddress,
    /// The reason why this port, or any port of the address, cannot be bound; None: none is known.
    refusal: Option<AddressRefusal>,
}

/// Combines the answer for the port with the refusal of its address. A policy (EACCES, EPERM) was
/// tested with port 0 only and may allow this port, so its refusal makes a free port unknown
/// instead of refused.
fn combined_answer(
    answer: Answer,
    refusal: Option<AddressRefusal>,
) -> (Answer, Option<AddressRefusal>) {
    match refusal {
        Some(refusal) if refusal.is_policy() && answer.verdict == Allowed::Free => {
            let because = format!("{}, but {refusal}", answer.because);
            (Answer { verdict: Allowed::Unknown, because }, None)
        }
        Some(refusal) if refusal.is_policy() => (answer, None),
        refusal => (answer, refusal),
    }
}
