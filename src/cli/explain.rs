//! `portscope explain PORT`: one look, and the kernel's rules applied to what stands on the port.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    cli::{
        args::PlainFormat,
        exit::Verdict,
        namespaces::{self, Choices},
        scan,
        settings::ExplainSettings,
    },
    domain::{
        Destination, Holder, ProcessTable, Protocol, ServiceNames, Snapshot, Source,
        availability::{self, Bind, BindAddress, Reuse},
    },
    engine::sample::describe,
    host::{Host, HostError},
    report::{
        self, Explanation, Scan,
        explain::{BindRow, ConnectRow, Side},
    },
};

/// Destinations of one port that are told, each by itself; a server's port has one for each client.
const MOST_DESTINATIONS: usize = 100;

pub fn run(settings: &ExplainSettings) -> anyhow::Result<Verdict> {
    match &settings.namespaces {
        Choices::One(choice) => {
            let looked = namespaces::run_in(choice, |host| Looked::at(host, settings))??;
            run_on(&looked, settings)
        }
        Choices::All => run_on_each(settings),
    }
}

fn run_on(looked: &Looked, settings: &ExplainSettings) -> anyhow::Result<Verdict> {
    let explanation = looked.explanation(settings);
    settings.destination.write(|out| match settings.format {
        PlainFormat::Text => report::explain::text::write(&explanation, out),
        PlainFormat::Json => report::explain::json::write(&explanation, out),
    })?;
    scan::tell_gaps(&looked.snapshot);
    Ok(verdict(settings, explanation.is_held(), looked.snapshot.is_complete()))
}

fn run_on_each(settings: &ExplainSettings) -> anyhow::Result<Verdict> {
    let each = namespaces::run_in_each(|host| Looked::at(host, settings))?;
    let looked = each.answers.into_iter().collect::<Result<Vec<_>, HostError>>()?;
    let explanations: Vec<_> = looked.iter().map(|looked| looked.explanation(settings)).collect();
    settings.destination.write(|out| match settings.format {
        PlainFormat::Text => report::explain::text::write_each(&explanations, out),
        PlainFormat::Json => report::explain::json::write_each(&explanations, &each.unseen, out),
    })?;
    scan::tell_gaps_of_each(looked.iter().map(|looked| &looked.snapshot), &each.unseen);
    let is_held = explanations.iter().any(Explanation::is_held);
    let is_complete = looked.iter().all(|looked| looked.snapshot.is_complete());
    Ok(verdict(settings, is_held, is_complete && each.unseen.is_empty()))
}

fn verdict(settings: &ExplainSettings, is_held: bool, is_complete: bool) -> Verdict {
    let is_enough = is_complete || !settings.strict;
    if is_held && is_enough { Verdict::Done } else { Verdict::No }
}

/// One network namespace.
struct Looked {
    snapshot: Snapshot,
    processes: ProcessTable,
    sides: Vec<Side>,
}

impl Looked {
    fn at(host: &dyn Host, settings: &ExplainSettings) -> Result<Self, HostError> {
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        host.scanner()?.scan_port(settings.port, &mut snapshot)?;
        keep_asked(&mut snapshot, settings);
        let processes = describe(host, &snapshot);
        let look = Look { host, settings, snapshot: &snapshot, services: &host.services() };
        let asked = Protocol::EACH.into_iter().filter(|&p| settings.protocols.includes(p));
        let sides = asked.map(|protocol| look.side(protocol)).collect();
        Ok(Self { snapshot, processes, sides })
    }

    fn explanation(&self, settings: &ExplainSettings) -> Explanation<'_> {
        let Self { snapshot, processes, sides } = self;
        Explanation { scan: Scan { snapshot, processes }, port: settings.port, sides }
    }
}

/// Forgets what is not asked for, the gaps of it too.
fn keep_asked(snapshot: &mut Snapshot, settings: &ExplainSettings) {
    snapshot.sockets.retain(|socket| settings.protocols.includes(socket.protocol));
    let hidden = snapshot.sockets.iter().filter(|s| s.holder == Holder::Hidden).count() as u32;
    for gap in &mut snapshot.gaps {
        gap.set_hidden_owners(hidden);
    }
    snapshot.gaps.retain(|gap| {
        let is_asked = gap.protocol().is_none_or(|of| settings.protocols.includes(of));
        is_asked && gap.count() != Some(0)
    });
}

/// What the answers are made from.
struct Look<'a> {
    host: &'a dyn Host,
    settings: &'a ExplainSettings,
    snapshot: &'a Snapshot,
    services: &'a ServiceNames,
}

impl Look<'_> {
    fn side(&self, protocol: Protocol) -> Side {
        let port = self.settings.port;
        let (connects, destinations_left_out) = self.connects(protocol);
        Side {
            protocol,
            service: self.services.name(protocol, port).map(str::to_owned),
            binds: self.binds(protocol),
            connects,
            destinations_left_out,
            frees_when: availability::frees_when(self.snapshot, protocol, port),
        }
    }

    fn binds(&self, protocol: Protocol) -> Vec<BindRow> {
        let mut rows = Vec::new();
        for (probe, address) in probes(self.settings.address) {
            for reuse in Reuse::EACH {
                let bind = Bind { protocol, address, reuse };
                rows.push(BindRow {
                    probe: probe.clone(),
                    bind,
                    answer: availability::bind_answer(self.snapshot, self.settings.port, bind),
                    probed: self.settings.probe.then(|| self.host.probe(bind, self.settings.port)),
                });
            }
        }
        rows
    }

    /// To any new destination, then to those that stand on the port, and how many are left out.
    fn connects(&self, protocol: Protocol) -> (Vec<ConnectRow>, usize) {
        let port = self.settings.port;
        let sockets = self.snapshot.on_port(protocol, port);
        let destinations: BTreeSet<_> = sockets.iter().filter_map(Destination::of).collect();
        let left_out = destinations.len().saturating_sub(MOST_DESTINATIONS);
        let told = destinations.into_iter().take(MOST_DESTINATIONS).map(Some);
        let row = |destination: Option<Destination>| ConnectRow {
            destination,
            answer: availability::connect_answer(
                self.snapshot,
                protocol,
                port,
                destination.as_ref(),
            ),
        };
        (std::iter::once(None).chain(told).map(row).collect(), left_out)
    }
}

/// Those of the contract, and the address asked for unless it is one of them.
fn probes(asked: Option<IpAddr>) -> Vec<(String, BindAddress)> {
    let mut probes = vec![
        ("0.0.0.0".to_owned(), BindAddress::Any4),
        ("[::] dual".to_owned(), BindAddress::AnyDual),
        ("[::] v6only".to_owned(), BindAddress::Any6),
        ("127.0.0.1".to_owned(), BindAddress::At(Ipv4Addr::LOCALHOST.into())),
        ("::1".to_owned(), BindAddress::At(Ipv6Addr::LOCALHOST.into())),
    ];
    if let Some(address) = asked.filter(|address| !address.is_unspecified()) {
        let name = address.to_string();
        if probes.iter().all(|(known, _)| *known != name) {
            probes.push((name, BindAddress::At(address)));
        }
    }
    probes
}
