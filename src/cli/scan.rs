//! `portscope scan`: prints one snapshot, or one for each network namespace.

use std::collections::BTreeSet;

use crate::{
    cli::{
        args::{ReportArguments, ScanArguments, ScanFormat},
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
        ScannedNamespace::at(host, settings)
    })?;
    let unseen = scanned.unseen.as_deref();
    let scans: Vec<_> = scanned.answers.iter().map(ScannedNamespace::scan).collect();
    let ReportArguments { format, output, .. } = &settings.report;
    output::write_page(output.as_deref(), settings.color.when, |out| match (*format, unseen) {
        (ScanFormat::Text, None) => report::text::write_scan(scans[0], out),
        (ScanFormat::Json, None) => report::json::write_scan(scans[0], out),
        (ScanFormat::Csv, None) => report::csv::write_scan(scans[0], out),
        (ScanFormat::Text, Some(_)) => report::text::write_scans(&scans, out),
        (ScanFormat::Json, Some(unseen)) => report::json::write_scans(&scans, unseen, out),
        (ScanFormat::Csv, Some(_)) => Err(std::io::ErrorKind::Unsupported.into()),
    })?;
    report_gaps(scans.iter().map(|scan| scan.snapshot), unseen);
    let is_found = scanned.answers.iter().any(|scanned| scanned.not_found.is_none());
    let is_complete =
        scanned.are_complete() && scans.iter().all(|scan| scan.snapshot.is_complete());
    report_not_found(scanned.answers.iter().map(|scanned| &scanned.not_found));
    let is_enough = is_complete || !settings.strict;
    Ok(if is_found && is_enough { CommandEnd::Done } else { CommandEnd::No })
}

/// What was found in one network namespace.
struct ScannedNamespace {
    snapshot: Snapshot,
    processes: ProcessTable,
    /// The message that the requested process has no socket. None: it has one, or no process was
    /// requested.
    not_found: Option<String>,
}

impl ScannedNamespace {
    fn at(host: &dyn Host, settings: &ScanArguments) -> Result<Self, HostError> {
        let depth = if settings.no_owners { OwnerDepth::Skip } else { OwnerDepth::Full };
        let mut snapshot = take_snapshot(host, depth)?;
        let range = settings.range.resolve(&snapshot.ephemeral);
        let wanted = settings.target.as_ref().filter(|wanted| wanted.is_process());
        let Some(wanted) = wanted else {
            snapshot.keep_sockets(|socket| settings.includes(socket, range));
            let processes = describe_or_miss(host, &mut snapshot);
            return Ok(Self { snapshot, processes, not_found: None });
        };
        let processes = describe_or_miss(host, &mut snapshot);
        snapshot.keep_sockets(|socket| settings.includes(socket, range));
        let pids = wanted.pids(&processes);
        let is_known = pids.iter().any(|&pid| processes.get(pid).is_some());
        snapshot.keep_owned_by(&pids);
        let are_hidden = snapshot.gaps.iter().any(|gap| gap.hidden_owners().is_some());
        let not_found = (!is_known).then(|| wanted.not_found(&processes, are_hidden));
        Ok(Self { snapshot, processes, not_found })
    }

    fn scan(&self) -> Scan<'_> {
        Scan { snapshot: &self.snapshot, processes: &self.processes }
    }
}

/// Takes one snapshot of the machine. Errors: the sockets could not be listed.
pub fn take_snapshot(host: &dyn Host, depth: OwnerDepth) -> Result<Snapshot, HostError> {
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner()?.scan(depth, &mut snapshot)?;
    Ok(snapshot)
}

/// Prints on stderr that the requested process has no socket, if no network namespace has one of it.
/// None: the namespace has one, or no process was requested. If the messages differ, prints the one
/// that claims least: `no visible process` comes after `no process`.
pub fn report_not_found<'a>(messages: impl Iterator<Item = &'a Option<String>>) {
    let messages: Option<BTreeSet<&String>> = messages.map(Option::as_ref).collect();
    if let Some(message) = messages.as_ref().and_then(BTreeSet::last) {
        exit::print_stderr(format_args!("portscope: {message}"));
    }
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
