//! `portscope scan`: prints the sockets of one snapshot, or groups of them, or those of each network
//! namespace.

use std::{collections::BTreeSet, io};

use crate::{
    cli::{
        args::{ReportArguments, ScanArguments, ScanFormat},
        exit::{self, CommandEnd},
        namespaces::{self, Answers},
        output,
        range::RangeChoice,
        target::Wanted,
    },
    domain::{
        Gap, ProcessTable, Protocol, ServiceNames, Snapshot, Source, UnseenNamespaces,
        listing::{GroupBy, ListingSource, RowGroup},
        port,
    },
    engine::sample::describe_or_miss,
    host::{Host, HostError, OwnerDepth, linux::services},
    report::{self, ListedGroups, ListedSockets, Page, Scan},
};

pub fn run(settings: &ScanArguments) -> anyhow::Result<CommandEnd> {
    let scanned = namespaces::run_in_chosen(settings.netns.as_deref(), 1, |host| {
        ScannedNamespace::at(host, settings)
    })?;
    let ReportArguments { output, .. } = &settings.report;
    output::write_page(output.as_deref(), settings.color.when, |out| {
        match settings.listing.group {
            None => write_sockets(settings, &scanned, out),
            Some(group_by) => write_groups(settings, &scanned, group_by, out),
        }
    })?;
    let unseen = scanned.unseen.as_deref();
    report_gaps(scanned.answers.iter().map(|scanned| &scanned.snapshot), unseen);
    let is_process = settings.target.as_ref().is_some_and(Wanted::is_process);
    let is_found = !is_process || scanned.answers.iter().any(|scanned| scanned.not_found.is_none());
    let is_complete = scanned.are_complete()
        && scanned.answers.iter().all(|scanned| scanned.snapshot.is_complete());
    report_not_found(scanned.answers.iter().map(|scanned| &scanned.not_found));
    let is_enough = is_complete || !settings.strict;
    Ok(if is_found && is_enough { CommandEnd::Done } else { CommandEnd::No })
}

fn write_sockets(
    settings: &ScanArguments,
    scanned: &Answers<ScannedNamespace>,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let listed: Vec<_> = scanned.answers.iter().map(ScannedNamespace::sockets).collect();
    match (settings.report.format, &scanned.unseen) {
        (ScanFormat::Text, None) => report::text::write_scan(listed[0], out),
        (ScanFormat::Json, None) => report::json::write_scan(listed[0], out),
        (ScanFormat::Csv, None) => report::csv::write_scan(listed[0], out),
        (ScanFormat::Text, Some(_)) => report::text::write_scans(&listed, out),
        (ScanFormat::Json, Some(unseen)) => report::json::write_scans(&listed, unseen, out),
        (ScanFormat::Csv, Some(_)) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn write_groups(
    settings: &ScanArguments,
    scanned: &Answers<ScannedNamespace>,
    group_by: GroupBy,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let services = services::read();
    let listed = scanned.answers.iter().map(|scanned| scanned.groups(group_by, &services));
    let listed: Vec<_> = listed.collect();
    match (settings.report.format, &scanned.unseen) {
        (ScanFormat::Text, None) => report::text::write_groups(listed[0], out),
        (ScanFormat::Json, None) => report::json::write_groups(listed[0], out),
        (ScanFormat::Csv, None) => report::csv::write_groups(listed[0], out),
        (ScanFormat::Text, Some(_)) => report::text::write_all_groups(&listed, out),
        (ScanFormat::Json, Some(unseen)) => report::json::write_all_groups(&listed, unseen, out),
        (ScanFormat::Csv, Some(_)) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// What was found in one network namespace.
struct ScannedNamespace {
    snapshot: Snapshot,
    processes: ProcessTable,
    /// Indexes of the sockets, if they are printed in another order than that of the snapshot.
    order: Option<Vec<u32>>,
    /// Empty without --group.
    groups: Vec<RowGroup>,
    /// The message that the requested process, ports or endpoint have no socket. None: they have
    /// one, or none were requested.
    not_found: Option<String>,
}

impl ScannedNamespace {
    fn at(host: &dyn Host, settings: &ScanArguments) -> Result<Self, HostError> {
        let depth = if settings.looks_up_owners() { OwnerDepth::Full } else { OwnerDepth::Skip };
        let mut snapshot = take_snapshot(host, depth)?;
        let range = settings.range.resolve(&snapshot.ephemeral);
        if !settings.needs_owners() {
            // Only the owners of the sockets to list are described.
            let nothing = ProcessTable::default();
            snapshot.keep_matching(&settings.selection(range, &nothing), &nothing);
            let not_found = none_at(settings, &snapshot);
            let processes = describe_or_miss(host, &mut snapshot);
            return Ok(Self::listed(settings, snapshot, processes, not_found));
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
        Ok(Self::listed(settings, snapshot, processes, not_found))
    }

    /// Sorts or groups the sockets of the snapshot, all of which are to be listed.
    fn listed(
        settings: &ScanArguments,
        snapshot: Snapshot,
        processes: ProcessTable,
        not_found: Option<String>,
    ) -> Self {
        let source = ListingSource { snapshot: &snapshot, processes: &processes };
        let listing = &settings.listing;
        let groups = listing.group.map(|group_by| {
            source.grouped(group_by, snapshot.sockets.iter(), listing.group_order())
        });
        let order = listing.socket_order().filter(|_| listing.group.is_none());
        let order = order.map(|order| source.sorted(order));
        Self { groups: groups.unwrap_or_default(), order, snapshot, processes, not_found }
    }

    fn scan(&self) -> Scan<'_> {
        Scan { snapshot: &self.snapshot, processes: &self.processes }
    }

    fn sockets(&self) -> ListedSockets<'_> {
        ListedSockets { scan: self.scan(), order: self.order.as_deref() }
    }

    fn groups<'a>(&'a self, group_by: GroupBy, services: &'a ServiceNames) -> ListedGroups<'a> {
        let sockets = self.snapshot.sockets.len() as u32;
        ListedGroups { scan: self.scan(), services, group_by, groups: &self.groups, sockets }
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
