//! `portscope explain PORT`: scans once and applies the kernel's rules to the sockets on the port.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    cli::{
        args::{ExplainArguments, PlainFormat, ReportArguments},
        exit::CommandEnd,
        namespaces, output, scan,
    },
    domain::{
        AddressRefusal, Destination, Errno, Gap, ProcessTable, Protocol, ServiceNames, Snapshot,
        Source,
        availability::{
            self, Answer, Bind, BindAddress, Reuse, Verdict as Allowed,
            probing::{self, Probed},
        },
    },
    engine::sample::describe_or_miss,
    host::{Host, HostError, Publications},
    report::{
        self, Explanation, Scan,
        explain::{BindRow, ConnectRow, ProtocolPort},
    },
};

/// Maximum number of destinations that are reported one by one. A server's port has one destination
/// for each connection.
const MAX_DESTINATIONS: usize = 100;

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
    let explanations = explained.answers.iter().map(|explained| explained.explanation(settings));
    let explanations: Vec<_> = explanations.collect();
    let ReportArguments { format, output } = &settings.report;
    output::write_page(output.as_deref(), settings.color.when, |out| match (format, unseen) {
        (PlainFormat::Text, None) => report::explain::text::write(&explanations[0], out),
        (PlainFormat::Json, None) => report::explain::json::write(&explanations[0], out),
        (PlainFormat::Text, Some(_)) => report::explain::text::write_each(&explanations, out),
        (PlainFormat::Json, Some(unseen)) => {
            report::explain::json::write_each(&explanations, unseen, out)
        }
    })?;
    scan::report_gaps(explained.answers.iter().map(|explained| &explained.snapshot), unseen);
    let is_held = explanations.iter().any(Explanation::is_held);
    let is_complete = explained.are_complete()
        && explained.answers.iter().all(|explained| explained.snapshot.is_complete());
    let is_enough = is_complete || !settings.strict;
    Ok(if is_held && is_enough { CommandEnd::Done } else { CommandEnd::No })
}

/// What was found in one network namespace.
struct ExplainedNamespace {
    snapshot: Snapshot,
    processes: ProcessTable,
    publications: Publications,
    sides: Vec<ProtocolPort>,
}

impl ExplainedNamespace {
    fn at(host: &dyn Host, settings: &ExplainArguments) -> Result<Self, HostError> {
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        let mut scanner = host.scanner()?;
        scanner.scan_port(settings.port, &mut snapshot)?;
        if snapshot.sockets.iter().any(|socket| socket.remote.is_some()) {
            scanner.ask_numbered(&mut snapshot);
        }
        let publications = scanner.publications(settings.port);
        keep_asked(&mut snapshot, settings);
        let processes = describe_or_miss(host, &mut snapshot);
        let input = ExplainInput {
            host,
            settings,
            snapshot: &snapshot,
            processes: &processes,
            services: &host.services(),
        };
        let asked = Protocol::EACH.into_iter().filter(|&p| settings.protocol.includes(p));
        let sides = asked.map(|protocol| input.side(protocol)).collect();
        Ok(Self { snapshot, processes, publications, sides })
    }

    fn explanation(&self, settings: &ExplainArguments) -> Explanation<'_> {
        let Self { snapshot, processes, publications, sides } = self;
        let scan = Scan { snapshot, processes };
        Explanation { scan, port: settings.port, publications, sides }
    }
}

/// Removes the sockets and the gaps of protocols that were not asked for.
fn keep_asked(snapshot: &mut Snapshot, settings: &ExplainArguments) {
    snapshot.keep_sockets(|socket| settings.protocol.includes(socket.protocol));
    snapshot.gaps.retain(|gap| {
        let is_asked = gap.protocol().is_none_or(|of| settings.protocol.includes(of));
        is_asked && gap.count() != Some(0)
    });
}

/// The input of the answers about bind() and connect().
struct ExplainInput<'a> {
    host: &'a dyn Host,
    settings: &'a ExplainArguments,
    snapshot: &'a Snapshot,
    processes: &'a ProcessTable,
    services: &'a ServiceNames,
}

impl ExplainInput<'_> {
    fn side(&self, protocol: Protocol) -> ProtocolPort {
        let port = self.settings.port;
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
                let answer = availability::bind_answer(self.snapshot, self.settings.port, bind);
                let (answer, refusal) = combined_answer(answer, refusal.clone());
                let probe = probe.clone();
                rows.push(BindRow { probe, bind, answer, refusal, probed: Probed::NotAsked });
            }
        }
        if self.settings.probe {
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
        let port = self.settings.port;
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
        let wanted = self.settings.address.filter(|wanted| !wanted.address.is_unspecified());
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
        let is_privileged = self.settings.port < start && is_read;
        (is_privileged && self.host.may_bind_privileged() == Some(false))
            .then(|| AddressRefusal::missing_right(start))
    }

    /// Returns one row for a new destination and one for each destination of the port's sockets,
    /// and how many destinations were left out.
    fn connects(&self, protocol: Protocol) -> (Vec<ConnectRow>, usize) {
        let port = self.settings.port;
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
