//! `portscope scan`: prints one snapshot, or one for each network namespace.

use std::collections::BTreeSet;

use crate::{
    cli::{
        args::{ReportArguments, ScanArguments, ScanFormat},
        exit::{self, CommandEnd},
        namespaces, output,
        range::RangeChoice,
        target::Wanted,
    },
    domain::{Gap, ProcessTable, Protocol, Snapshot, Source, UnseenNamespaces, port},
    engine::sample::describe_or_miss,
    host::{Host, HostError, OwnerDepth},
    report::{self, Scan},
};

pub fn run(settings: &ScanArguments) -> anyhow::Result<CommandEnd> {
    let scanned = namespaces::run_in_chosen(settings.netns.as_deref(), 1, |host| {
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
    let is_process = settings.target.as_ref().is_some_and(Wanted::is_process);
    let is_found = !is_process || scanned.answers.iter().any(|scanned| scanned.not_found.is_none());
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
    /// The message that the requested process, ports or endpoint have no socket. None: they have
    /// one, or none were requested.
    not_found: Option<String>,
}

impl ScannedNamespace {
    fn at(host: &dyn Host, settings: &ScanArguments) -> Result<Self, HostError> {
        let depth = if settings.no_owners { OwnerDepth::Skip } else { OwnerDepth::Full };
        let mut snapshot = take_snapshot(host, depth)?;
        let range = settings.range.resolve(&snapshot.ephemeral);
        if !settings.needs_owners() {
            // Only the owners of the sockets to list are described.
            let nothing = ProcessTable::default();
            snapshot.keep_matching(&settings.selection(range, &nothing), &nothing);
            let not_found = none_at(settings, &snapshot);
            let processes = describe_or_miss(host, &mut snapshot);
            return Ok(Self { snapshot, processes, not_found });
        }
        let processes = describe_or_miss(host, &mut snapshot);
        snapshot.keep_matching(&settings.selection(range, &processes), &processes);
        let not_found = match &settings.target {
            Some(wanted) if wanted.is_process() => {
                let is_known =
                    wanted.pids(&processes).iter().any(|&pid| processes.get(pid).is_some());
                (!is_known).then(|| wanted.not_found(&processes, has_hidden_owners(&snapshot)))
            }
            _ => none_at(settings, &snapshot),
        };
        Ok(Self { snapshot, processes, not_found })
    }

    fn scan(&self) -> Scan<'_> {
        Scan { snapshot: &self.snapshot, processes: &self.processes }
    }
}

fn has_hidden_owners(snapshot: &Snapshot) -> bool {
    snapshot.gaps.iter().any(|gap| gap.hidden_owners().is_some())
}

/// Formats the message that none of the sockets to list has the ports or the endpoint of the
/// argument, or matches the filter. None: the snapshot has one, or neither was requested.
fn none_at(settings: &ScanArguments, snapshot: &Snapshot) -> Option<String> {
    let place = match &settings.target {
        _ if !snapshot.sockets.is_empty() => return None,
        Some(Wanted::Ports(range, _)) if range.len() == 1 => format!(" on port {}", range.first()),
        Some(Wanted::Ports(range, _)) => format!(" on ports {range}"),
        Some(Wanted::Endpoint(endpoint, _)) => format!(" has the endpoint {endpoint}"),
        Some(Wanted::Process(_) | Wanted::Pid(_)) | None => String::new(),
    };
    let filter = match &settings.filter {
        None if place.is_empty() => return None,
        None => "",
        Some(_) if place.starts_with(" has") => " and matches the filter",
        Some(_) => " matches the filter",
    };
    let is_listed = |protocol| settings.lists(protocol);
    let hides = |gap: &Gap| gap.protocol().is_some_and(is_listed);
    let is_partial =
        snapshot.gaps.iter().any(hides) || (settings.needs_owners() && has_hidden_owners(snapshot));
    let visible = if is_partial { "visible " } else { "" };
    let protocol = match Protocol::EACH.map(is_listed) {
        [true, false] => "TCP ",
        [false, true] => "UDP ",
        _ => "",
    };
    let kind = if settings.listening { "listening or unconnected " } else { "" };
    let within = match settings.range {
        RangeChoice::Ports(port::ALL) => String::new(),
        _ => " within --range".to_owned(),
    };
    Some(format!("no {visible}{kind}{protocol}socket{place}{within}{filter}"))
}

/// Takes one snapshot of the machine. Errors: the sockets could not be listed.
pub fn take_snapshot(host: &dyn Host, depth: OwnerDepth) -> Result<Snapshot, HostError> {
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner()?.scan(depth, &mut snapshot)?;
    Ok(snapshot)
}

/// Prints on stderr that what was requested has no socket, if no network namespace has one of it.
/// None: the namespace has one, or nothing was requested. If the messages differ, prints the one
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
