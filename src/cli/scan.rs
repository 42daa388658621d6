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
    let choice = settings.netns.as_deref();
    if namespaces::are_all(choice) {
        return run_on_each(settings);
    }
    namespaces::run_in(choice, |host| run_on(host, settings))?
}

fn run_on(host: &dyn Host, settings: &ScanArguments) -> anyhow::Result<CommandEnd> {
    let (snapshot, processes) = take_requested_snapshot(host, settings)?;
    let scan = Scan { snapshot: &snapshot, processes: &processes };
    output::write(settings.output.as_deref(), |out| match settings.format {
        ScanFormat::Text => report::text::write_scan(scan, out),
        ScanFormat::Json => report::json::write_scan(scan, out),
        ScanFormat::Csv => report::csv::write_scan(scan, out),
    })?;
    report_gaps(&snapshot);
    Ok(verdict(settings, snapshot.is_complete()))
}

fn run_on_each(settings: &ScanArguments) -> anyhow::Result<CommandEnd> {
    let each = namespaces::run_in_each(|host| take_requested_snapshot(host, settings))?;
    let all_snapshots = each.answers.into_iter().collect::<Result<Vec<_>, HostError>>()?;
    let scans: Vec<_> =
        all_snapshots.iter().map(|(snapshot, processes)| Scan { snapshot, processes }).collect();
    output::write(settings.output.as_deref(), |out| match settings.format {
        ScanFormat::Text => report::text::write_scans(&scans, out),
        ScanFormat::Json => report::json::write_scans(&scans, &each.unseen, out),
        ScanFormat::Csv => Err(std::io::ErrorKind::Unsupported.into()),
    })?;
    report_gaps_of_each(all_snapshots.iter().map(|(snapshot, _)| snapshot), &each.unseen);
    let is_complete = all_snapshots.iter().all(|(snapshot, _)| snapshot.is_complete());
    Ok(verdict(settings, is_complete && each.unseen.is_empty()))
}

fn verdict(settings: &ScanArguments, is_complete: bool) -> CommandEnd {
    if is_complete || !settings.strict { CommandEnd::Done } else { CommandEnd::No }
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

/// Prints the gaps of a snapshot on stderr.
pub fn report_gaps(snapshot: &Snapshot) {
    for gap in &snapshot.gaps {
        exit::print_stderr(format_args!("portscope: partial: {gap}"));
    }
}

/// Prints the gaps of several network namespaces on stderr, and why namespaces may be missing.
pub fn report_gaps_of_each<'a>(
    snapshots: impl Iterator<Item = &'a Snapshot>,
    unseen: &[UnseenNamespaces],
) {
    for unseen in unseen {
        exit::print_stderr(format_args!("portscope: partial: {unseen}"));
    }
    for snapshot in snapshots {
        let namespace = report::text::NamespaceLine(&snapshot.machine);
        for gap in &snapshot.gaps {
            exit::print_stderr(format_args!("portscope: partial: {namespace}: {gap}"));
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
