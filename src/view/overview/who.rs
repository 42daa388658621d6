//! Names the owner that the headline is about, and what is known of it. Does not draw.

use crate::{
    app::{App, LatestScan, overview::headline::Headline},
    domain::{
        Destination, DestinationUse, OwnerKey, OwnerUse, Protocol, StateClass, Subject,
        diagnosis::{About, Figure},
        notation,
    },
    view::words,
};

/// Maximum number of owners of a range that are named: more than fit on a line.
const NAMED_OWNERS: usize = 20;

/// Returns the owner with as many facts as fit. None: the headline is about no owner.
pub fn words(app: &App, scan: &LatestScan, headline: &Headline, width: usize) -> Option<String> {
    let parts = match about(scan, headline) {
        About::Destination(destination) => of_destination(app, scan, &destination)?,
        About::Range(protocol) => of_range(app, scan, protocol),
        About::Owner(owner_key) => {
            let name = words::owner_key(app, owner_key);
            let mut parts = vec![words::with_others(name, processes(scan, headline))];
            parts.extend(facts(app, scan, owner_key));
            parts
        }
        About::Port(protocol, port) => {
            let socket = scan.snapshot.on_port(protocol, port).first()?;
            let owner_key = OwnerKey::of(&scan.snapshot, socket);
            let mut parts = vec![words::owner_key(app, owner_key)];
            parts.extend(facts(app, scan, owner_key));
            parts
        }
        About::Machine => return None,
    };
    let text = words::fitted(&parts, " · ", width);
    (!text.is_empty()).then(|| words::shorten(&text, width))
}

fn about(scan: &LatestScan, headline: &Headline) -> About {
    match (headline.own_finding(scan), headline.subject_status.subject) {
        (Some(finding), _) => finding.about,
        (None, Subject::Destination(destination)) => About::Destination(destination),
        (None, Subject::Range(protocol)) => About::Range(protocol),
        (None, Subject::ProtocolFamily(family)) => About::Range(family.protocol()),
    }
}

/// Returns the number of processes that the finding of the headline is about.
fn processes(scan: &LatestScan, headline: &Headline) -> u64 {
    let evidence = headline.own_finding(scan).map(|finding| finding.evidence.as_slice());
    let count = evidence.unwrap_or_default().iter().find_map(|(name, figure)| match figure {
        Figure::Count(count) if *name == "processes" => Some(*count),
        _ => None,
    });
    count.unwrap_or(1)
}

/// Names the main owner of the destination and counts the others; empty if it has none.
pub fn owners(app: &App, row: &DestinationUse) -> String {
    let name = row.owners.main().map(|(owner_key, _)| words::owner_key(app, owner_key));
    words::with_others(name.unwrap_or_default(), u64::from(row.owners.others()) + 1)
}

fn of_destination(app: &App, scan: &LatestScan, to: &Destination) -> Option<Vec<String>> {
    let row = scan.analysis.destination(to)?;
    let (owner_key, _) = row.owners.main()?;
    let mut parts = vec![owners(app, row)];
    let mut facts = facts(app, scan, owner_key).into_iter();
    // The name of the unit is worth more than the rates.
    parts.extend(facts.next());
    if let Some(trend) = app.trends().of(Subject::Destination(*to)) {
        let opens = notation::frequency(trend.opened_per_second);
        // Each port that is opened and does not add to those in use replaces one that got free.
        let frees = notation::frequency((trend.opened_per_second - trend.per_second).max(0.0));
        parts.push(format!("opens {opens}, frees {frees}"));
    }
    parts.extend(facts);
    Some(parts)
}

/// Returns the owners with most ports of the range, with the number of their ports.
fn of_range(app: &App, scan: &LatestScan, protocol: Protocol) -> Vec<String> {
    let of_protocol = |row: &OwnerUse| {
        let udp = row.by_class[StateClass::Udp as usize];
        match protocol {
            Protocol::Tcp => row.ports - udp,
            Protocol::Udp => udp,
        }
    };
    let rows = scan.analysis.owners.iter();
    let mut rows: Vec<_> = rows.map(|row| (of_protocol(row), row.owner_key)).collect();
    rows.retain(|&(ports, _)| ports > 0);
    rows.sort_by_key(|&(ports, _)| std::cmp::Reverse(ports));
    rows.into_iter()
        .take(NAMED_OWNERS)
        .map(|(ports, owner_key)| {
            let name = words::owner_key(app, owner_key);
            format!("{name} {}", notation::counted(ports, "port"))
        })
        .collect()
}

/// Returns what is known of a process, what is worth most first: its unit or container, its user,
/// its command.
pub fn facts(app: &App, scan: &LatestScan, owner_key: OwnerKey) -> Vec<String> {
    let OwnerKey::Process(pid) = owner_key else { return Vec::new() };
    let Some(process) = app.processes().get(pid) else { return Vec::new() };
    let unit = process.unit.as_ref().map(|unit| {
        let (label, name) = words::unit(unit);
        format!("{label} {name}")
    });
    let user = process.uid.map(|uid| format!("user {}", words::user(&scan.snapshot, uid)));
    let command = process.command.as_ref().map(ToString::to_string);
    [unit, user, command].into_iter().flatten().collect()
}
