//! `portscope scan`: one snapshot, printed.

use crate::{
    cli::{
        args::ScanFormat,
        exit::{self, Verdict},
        settings::ScanSettings,
    },
    domain::{Snapshot, Source},
    engine::sample::describe,
    host::{Host, HostError, OwnerDepth},
    report::{self, Scan},
};

pub fn run(host: &dyn Host, settings: &ScanSettings) -> anyhow::Result<Verdict> {
    let depth = if settings.owners { OwnerDepth::Full } else { OwnerDepth::Skip };
    let mut snapshot = look(host, depth)?;
    keep_wanted(&mut snapshot, settings);
    let processes = describe(host, &snapshot);
    let scan = Scan { snapshot: &snapshot, processes: &processes };
    settings.destination.write(|out| match settings.format {
        ScanFormat::Text => report::text::write_scan(scan, out),
        ScanFormat::Json => report::json::write_scan(scan, out),
        ScanFormat::Csv => report::csv::write_scan(scan, out),
    })?;
    tell_gaps(&snapshot);
    let is_enough = snapshot.is_complete() || !settings.strict;
    Ok(if is_enough { Verdict::Done } else { Verdict::No })
}

/// One look at the machine.
pub fn look(host: &dyn Host, depth: OwnerDepth) -> Result<Snapshot, HostError> {
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner()?.scan(depth, &mut snapshot)?;
    Ok(snapshot)
}

pub fn tell_gaps(snapshot: &Snapshot) {
    for gap in &snapshot.gaps {
        exit::tell(format_args!("portscope: partial: {gap}"));
    }
}

fn keep_wanted(snapshot: &mut Snapshot, settings: &ScanSettings) {
    let range = settings.range.resolve(&snapshot.ephemeral);
    snapshot.sockets.retain(|socket| {
        settings.protocols.includes(socket.protocol) && range.contains(socket.local.port)
    });
}
