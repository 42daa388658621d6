//! `portscope explain`: scans once and applies the kernel's rules to the sockets on a port, or on
//! each port of a process.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    cli::{
        args::{ExplainArguments, PlainFormat, ReportArguments},
        exit::{self, CommandEnd},
        namespaces, output, scan,
        target::Wanted,
    },
    domain::{
        AddressRefusal, Destination, Errno, Gap, LocalAddress, ProcessTable, Protocol, Protocols,
        ServiceNames, Snapshot, Socket, Source, State,
        availability::{
            self, Answer, Bind, BindAddress, Reuse, Verdict as Allowed,
            probing::{self, Probed},
        },
    },
    engine::sample::describe_or_miss,
    host::{Host, HostError, OwnerDepth, Publications},
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
    let explained = namespaces::run_in_chosen(settings.netns.as_deref(), |host| {
        ExplainedNamespace::at(host, settings)
    })?;
    let unseen = explained.unseen.as_deref();
    let ports = || explained.answers.iter().flat_map(|explained| &explained.ports);
    let explanations: Vec<_> = ports().map(ExplainedPort::explanation).collect();
    let ReportArguments { format, output, .. } = &settings.report;
    let left_out = explained.answers.iter().map(|explained| explained.left_out).sum();
    let reasons = if settings.why { Reasons::Shown } else { Reasons::Omitted };
    let searched = explained.answers.first().and_then(|explained| explained.searched.as_ref());
    output::write_page(output.as_deref(), settings.color.when, |out| {
        match (format, unseen, searched) {
            (PlainFormat::Text, None, _) => {
                report::explain::text::write(&explanations, reasons, left_out, out)
            }
            (PlainFormat::Text, Some(_), _) => {
                report::explain::text::write_each(&explanations, reasons, out)
            }
            (PlainFormat::Json, None, Some(searched)) => {
                report::explain::json::write_ports(&explanations, searched, left_out, out)
            }
            (PlainFormat::Json, None, None) => report::explain::json::write(&explanations[0], out),
            (PlainFormat::Json, Some(unseen), _) => {
                report::explain::json::write_each(&explanations, unseen, out)
            }
        }
    })?;
    let snapshots = || explained.answers.iter().flat_map(ExplainedNamespace::snapshots);
    scan::report_gaps(snapshots(), unseen);
    for message in explained.answers.iter().filter_map(|explained| explained.not_found.as_ref()) {
        exit::print_stderr(format_args!("portscope: {message}"));
    }
    let is_held = explanations.iter().any(Explanation::is_held);
    let is_complete = explained.are_complete() && snapshots().all(Snapshot::is_complete);
    let is_enough = is_complete || !settings.strict;
    Ok(if is_held && is_enough { CommandEnd::Done } else { CommandEnd::No })
}

/// What was found in one network namespace.
struct ExplainedNamespace {
    /// One, or those of the requested process.
    ports: Vec<ExplainedPort>,
    /// Number of ports of the process that are not in `ports`.
    left_out: usize,
    /// The snapshot in which the process was searched, and the message that it has no socket. None:
    /// it was found, or no process was requested.
    not_found: Option<String>,
    searched: Option<Snapshot>,
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
        let ports = vec![ExplainedPort::at(host, question)?];
        Ok(Self { ports, left_out: 0, not_found: None, searched: None })
    }

    /// Explains each port of the requested process: those on which it waits for peers first.
    fn of_process(
        host: &dyn Host,
        question: PortQuestion,
        settings: &ExplainArguments,
    ) -> Result<Self, HostError> {
        let mut snapshot = scan::take_snapshot(host, OwnerDepth::Full)?;
        let processes = describe_or_miss(host, &mut snapshot);
        let are_hidden = snapshot.gaps.iter().any(|gap| gap.hidden_owners().is_some());
        snapshot.keep_owned_by(&settings.target.pids(&processes));
        let asked = |socket: &&Socket| settings.protocol.includes(socket.protocol);
        // Whether the process only has connections on the port, and the protocols, by port.
        let mut by_port: BTreeMap<u16, (bool, Protocols)> = BTreeMap::new();
        for socket in snapshot.sockets.iter().filter(asked) {
            let is_connected = !matches!(socket.state, State::Listen | State::Unconnected);
            let protocol = Protocols::from(socket.protocol);
            let port = by_port.entry(socket.local.port).or_insert((is_connected, protocol));
            port.0 &= is_connected;
            if port.1 != protocol {
                port.1 = Protocols::Both;
            }
        }
        let mut questions: Vec<_> = by_port.into_iter().collect();
        questions.sort_by_key(|&(port, (is_connected, _))| (is_connected, port));
        let left_out = questions.len().saturating_sub(MAX_PORTS);
        let ports = questions.into_iter().take(MAX_PORTS).map(|(port, (_, protocols))| {
            ExplainedPort::at(host, PortQuestion { port, protocols, ..question })
        });
        let ports: Vec<_> = ports.collect::<Result<_, _>>()?;
        let not_found =
            snapshot.sockets.is_empty().then(|| settings.target.not_found(&processes, are_hidden));
        Ok(Self { ports, left_out, not_found, searched: Some(snapshot) })
    }

    /// Returns the snapshots whose gaps are reported.
    fn snapshots(&self) -> Vec<&Snapshot> {
        match &self.searched {
            Some(snapshot) => vec![snapshot],
            None => self.ports.iter().map(|port| &port.snapshot).collect(),
        }
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
    processes: ProcessTable,
    publications: Publications,
    sides: Vec<ProtocolPort>,
}

impl ExplainedPort {
    fn at(host: &dyn Host, question: PortQuestion) -> Result<Self, HostError> {
        let PortQuestion { port, protocols, .. } = question;
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        let mut scanner = host.scanner()?;
        scanner.scan_port(port, &mut snapshot)?;
        if snapshot.sockets.iter().any(|socket| socket.remote.is_some()) {
            scanner.ask_numbered(&mut snapshot);
        }
        let publications = scanner.publications(port);
        keep_asked(&mut snapshot, protocols);
        let processes = describe_or_miss(host, &mut snapshot);
        let input = ExplainInput {
            host,
            question,
            snapshot: &snapshot,
            processes: &processes,
            services: &host.services(),
        };
        let asked = Protocol::EACH.into_iter().filter(|&p| protocols.includes(p));
        let sides = asked.map(|protocol| input.side(protocol)).collect();
        Ok(Self { port, snapshot, processes, publications, sides })
    }

    fn explanation(&self) -> Explanation<'_> {
        let Self { port, snapshot, processes, publications, sides } = self;
        let scan = Scan { snapshot, processes };
        Explanation { scan, port: *port, publications, sides }
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
    snapshot: &'a Snapshot,
    processes: &'a ProcessTable,
    services: &'a ServiceNames,
}

impl ExplainInput<'_> {
    fn side(&self, protocol: Protocol) -> ProtocolPort {
        let port = self.question.port;
        let (connects, destinations_left_out) = self.connects(protocol);
        ProtocolPort {
            protocol,
            service: self.services.name(protocol, port).map(str::to_owned),
            binds: self.binds(protocol),
            connects,
            destinations_left_out,
            frees_when: availability::frees_when(self.snapshot, self.processes, protocol, port),
        }
    }

    fn binds(&self, protocol: Protocol) -> Vec<BindRow> {
        let mut rows = Vec::new();
        for Asked { probe, address, refusal } in self.addresses(protocol) {
            for reuse in Reuse::EACH {
                let bind = Bind { protocol, address, reuse };
                let answer = availability::bind_answer(self.snapshot, self.question.port, bind);
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
            probing::probe_each(self.snapshot, port, &binds, |bind| self.host.probe(bind, port));
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
                self.snapshot,
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
