//! `portscope scan`: prints one snapshot, or one for each network namespace.

use crate::{
    cli::{
        args::{ScanArguments, ScanFormat},
        exit::{self, CommandEnd},
        namespaces, output,
    },
    domain::{ProcessTable, Snapshot, Source, UnseenNamespaces},
    engine::sample::describe_or_miss,
    host::{Host, HostError, OwnerDepth},
    report::{self, Scan},
};

pub fn run(settings: &ScanArguments) -> anyhow::Result<CommandEnd> {
    let scanned = namespaces::run_in_chosen(settings.netns.as_deref(), |host| {
        take_requested_snapshot(host, settings)
    })?;
    let unseen = scanned.unseen.as_deref();
    let scans = scanned.answers.iter().map(|(snapshot, processes)| Scan { snapshot, processes });
    let scans: Vec<_> = scans.collect();
    output::write_page(settings.output.as_deref(), settings.color.when, |out| {
        match (settings.format, unseen) {
            (ScanFormat::Text, None) => report::text::write_scan(scans[0], out),
            (ScanFormat::Json, None) => report::json::write_scan(scans[0], out),
            (ScanFormat::Csv, None) => report::csv::write_scan(scans[0], out),
            (ScanFormat::Text, Some(_)) => report::text::write_scans(&scans, out),
            (ScanFormat::Json, Some(unseen)) => report::json::write_scans(&scans, unseen, out),
            (ScanFormat::Csv, Some(_)) => Err(std::io::ErrorKind::Unsupported.into()),
        }
    })?;
    report_gaps(scans.iter().map(|scan| scan.snapshot), unseen);
    let is_complete =
        scanned.are_complete() && scans.iter().all(|scan| scan.snapshot.is_complete());
    Ok(if is_complete || !settings.strict { CommandEnd::Done } else { CommandEnd::No })
}

fn take_requested_snapshot(
    host: &dyn Host,
    settings: &ScanArguments,
) -> Result<(Snapshot, ProcessTable), HostError> {
    let depth = if settings.no_owners { OwnerDepth::Skip } else { OwnerDepth::Full };
    let mut snapshot = take_snapshot(host, depth)?;
    keep_wanted(&mut snapshot, settings);
    let processes = describe_or_miss(host, &mut snapshot);
    Ok((snapshot, processes))
}

/// Takes one snapshot of the machine. Errors: the sockets could not be listed.
pub fn take_snapshot(host: &dyn Host, depth: OwnerDepth) -> Result<Snapshot, HostError> {
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner()?.scan(depth, &mut snapshot)?;
    Ok(snapshot)
}

/// Prints the gaps of the snapshots on stderr. If `unseen` is some, also prints the network
/// namespace of each gap, and why namespaces may be missing.
pub fn report_gaps<'a>(
    snapshots: impl IntoIterator<Item = &'a Snapshot>,
    unseen: Option<&[UnseenNamespaces]>,
) {
    exit::report_partial(unseen.unwrap_or_default());
    for snapshot in snapshots {
        let namespace = report::text::NamespaceLine(&snapshot.machine);
        if unseen.is_some() {
            exit::report_partial(snapshot.gaps.iter().map(|gap| format!("{namespace}: {gap}")));
        } else {
            exit::report_partial(&snapshot.gaps);
        }
    }
}

/// Removes the sockets that were not requested. The gaps about owners no longer count them.
fn keep_wanted(snapshot: &mut Snapshot, settings: &ScanArguments) {
    let range = settings.range.resolve(&snapshot.ephemeral);
    snapshot.keep_sockets(|socket| {
        settings.protocol.includes(socket.protocol) && range.contains(socket.local.port)
    });
}
