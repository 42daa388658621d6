//! Writes the report of `diagnose` as text: the verdict in one line, two tables, and the findings.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use crate::{
    domain::{
        Destination, DestinationUse, Finding, Forecast, Gap, LastMinute, Left, Level, Protocol,
        RangeUse, Subject, Trend,
        diagnosis::{About, SubjectStatus, at_most, span},
        notation,
    },
    report::{Health, Status, columns, paragraph, text},
};

/// Maximum number of destinations listed if `Health::top` is None.
const MAX_SHOWN: usize = 10;
/// Maximum number of owners shown per destination.
const OWNERS_SHOWN: usize = 2;

pub fn write(health: &Health<'_>, out: &mut dyn Write) -> io::Result<()> {
    let status = health.status().name().to_uppercase();
    writeln!(out, "{status}  {}", verdict(health))?;
    if health.status() == Status::Ok {
        writeln!(out, "    {}", room(health))?;
    }
    writeln!(out)?;
    write_ranges(health, out)?;
    if health.destinations().next().is_some() {
        writeln!(out)?;
        write_destinations(health, out)?;
    }
    for finding in &health.diagnosis.findings {
        writeln!(out)?;
        write_finding(finding, out)?;
    }
    Ok(())
}

/// Writes one network namespace after the other, each under a line with its name.
pub fn write_each(healths: &[Health<'_>], out: &mut dyn Write) -> io::Result<()> {
    text::write_each(healths, |health| health.scan, write, out)
}

/// Returns the text of the first line: what could not be read if the status is UNKNOWN, the worst
/// problem, or the use of each range if there is none.
fn verdict(health: &Health<'_>) -> String {
    match (health.status(), health.unlisted()) {
        (Status::Unknown, Some(gap)) => gap.to_string(),
        (Status::Unknown, None) if !health.knows_range() => assumed_range(health),
        (Status::Ok | Status::Unknown, _) => {
            let ranges = health.ranges().map(|row| used(health, &health.of_range(row)));
            ranges.collect::<Vec<_>>().join(", ")
        }
        (Status::Warning | Status::Critical, _) => {
            if let Some(worst) = worst_finding(health) {
                return worst.summary.clone();
            }
            let worst = health.worst();
            format!("{}, {} left", used(health, &worst), worst.left)
        }
    }
}

/// Returns the first gap of an assumed sysctl, as the reason why the range is unknown. Empty: there
/// is none.
fn assumed_range(health: &Health<'_>) -> String {
    let gaps = &health.scan.snapshot.gaps;
    let gap = gaps.iter().find(|gap| gap.hides_capacity());
    gap.map(Gap::to_string).unwrap_or_default()
}

/// Returns a finding with the same severity as the status: the first one about a destination, else
/// the first one. A destination is preferred because a finding about a full range does not name the
/// owner that fills it. None: no finding has this severity.
fn worst_finding<'a>(health: &Health<'a>) -> Option<&'a Finding> {
    let severity = health.severity();
    let severe = || health.diagnosis.findings.iter().filter(move |f| f.severity == severity);
    let of_destination = severe().find(|finding| matches!(finding.about, About::Destination(_)));
    of_destination.or_else(|| severe().next())
}

/// Formats the used ports: `TCP uses 12 of 28,232 ports (<0.1 %)`.
fn used(health: &Health<'_>, subject_status: &SubjectStatus) -> String {
    // Not `SubjectStatus::share`, which counts as used all ports that may be unavailable.
    let share = notation::percent_of(subject_status.used, subject_status.size);
    let subject = match subject_status.subject {
        Subject::Destination(destination) => format!("TCP {}", route(health, &destination)),
        Subject::Range(protocol) => protocol.name().to_uppercase(),
        Subject::ProtocolFamily(protocol_family) => protocol_family.name().to_owned(),
    };
    let [used, size] = [subject_status.used, subject_status.size].map(notation::grouped);
    format!("{subject} uses {used} of {size} ports ({share})")
}

/// Formats the number of ports left, for the second line, which is written if the status is OK.
fn room(health: &Health<'_>) -> String {
    if !health.includes(Protocol::Tcp) {
        let left = health.ranges().map(RangeUse::available).sum::<u32>();
        return format!("ports left: {} for all destinations together", notation::grouped(left));
    }
    let new = health.analysis.new_destination();
    match health.destinations().next() {
        None => format!("ports left: {} for any destination", between(new)),
        Some(fullest) => format!(
            "ports left: {} for the fullest destination ({}), {} for a new destination",
            between(fullest.left()),
            route(health, &fullest.destination),
            match at_most(health.scan.snapshot) {
                "" => between(new),
                at_most => format!("{at_most}{}", notation::grouped(new.most)),
            },
        ),
    }
}

/// Formats `28,232`, or `between 24 and 64`.
fn between(left: Left) -> String {
    let Left { least, most } = left;
    if left.is_exact() {
        return notation::grouped(most);
    }
    format!("between {} and {}", notation::grouped(least), notation::grouped(most))
}

fn write_ranges(health: &Health<'_>, out: &mut dyn Write) -> io::Result<()> {
    // The parity that connect() tries first is that of the range's first port.
    let is_even = health.scan.snapshot.ephemeral.range.first().is_multiple_of(2);
    let (parity_left, parity) = if is_even { ("EVEN LEFT", "even") } else { ("ODD LEFT", "odd") };
    let header = [
        "PROTOCOL",
        "RANGE",
        "LEVEL",
        "SIZE",
        "USED",
        "TIME-WAIT",
        "LEFT",
        parity_left,
        "GROWTH",
        "FULL IN",
    ];
    let rows: Vec<_> = health.ranges().map(|row| range_cells(health, row)).collect();
    columns::write(header, &rows, out)?;
    let order =
        if health.includes(Protocol::Tcp) { "; TCP connect() tries them first" } else { "" };
    let legend = format!(
        "LEFT: for bind() to port 0. {parity_left}: {parity} ports without a socket{order}."
    );
    paragraph::write("", &legend, out)
}

fn range_cells(health: &Health<'_>, row: &RangeUse) -> [String; 10] {
    let subject_status = health.of_range(row);
    [
        row.protocol.name().to_owned(),
        row.range.to_string(),
        health.level_name(&subject_status).to_owned(),
        notation::grouped(row.size),
        format!("{} ({})", notation::grouped(row.occupied), notation::percent(row.used_share())),
        notation::grouped(row.time_wait),
        row.left().to_string(),
        notation::grouped(row.low_parity_available()),
        growth(subject_status.trend),
        full_in(&subject_status),
    ]
}

fn write_destinations(health: &Health<'_>, out: &mut dyn Write) -> io::Result<()> {
    let header = [
        "DESTINATION",
        "LEVEL",
        "USED",
        "OF",
        "LEFT",
        "TIME-WAIT",
        "GROWTH",
        "FULL IN",
        "OWNERS (SOCKETS)",
    ];
    let most = health.top.unwrap_or(MAX_SHOWN);
    let shown = health.destinations().take(most);
    let rows: Vec<_> = shown.map(|row| destination_cells(health, row)).collect();
    columns::write(header, &rows, out)?;
    match health.destinations().skip(most).count() {
        0 => Ok(()),
        more => writeln!(out, "and {}", notation::counted(more as u64, "more destination")),
    }
}

fn destination_cells(health: &Health<'_>, row: &DestinationUse) -> [String; 9] {
    let subject_status = health.of_destination(row);
    [
        route(health, &row.destination),
        health.level_name(&subject_status).to_owned(),
        format!("{} ({})", notation::grouped(row.used), notation::percent(row.used_share())),
        notation::grouped(row.capacity),
        row.left().to_string(),
        notation::grouped(row.time_wait),
        growth(subject_status.trend),
        full_in(&subject_status),
        owners(health, row),
    ]
}

/// Formats the owners with most sockets: `nginx[812] 64, hidden (user ann) 2, and others`.
fn owners(health: &Health<'_>, row: &DestinationUse) -> String {
    let mut reported = String::new();
    for (number, &(owner_key, sockets)) in row.owners.iter().take(OWNERS_SHOWN).enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        write!(
            reported,
            "{separator}{} {}",
            health.owner_key(owner_key),
            notation::grouped(sockets)
        )
        .expect("writing to a String cannot fail");
    }
    if row.owners.len() > OWNERS_SHOWN {
        reported.push_str(", and others");
    }
    reported
}

fn write_finding(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let severity = finding.severity.name().to_uppercase();
    paragraph::write(&format!("{severity:<8}  "), &finding.summary, out)?;
    paragraph::write("          ", &finding.meaning, out)?;
    for advice in &finding.advice {
        paragraph::write("  do      ", advice, out)?;
    }
    for avoid in &finding.avoid {
        match avoid.strip_prefix("do not ") {
            Some(avoid) => paragraph::write("  do not  ", avoid, out)?,
            None => paragraph::write("  note    ", avoid, out)?,
        }
    }
    writeln!(out, "  rule    {}", finding.rule)
}

fn route(health: &Health<'_>, destination: &Destination) -> String {
    health.scan.snapshot.interfaces.route(destination)
}

fn growth(trend: Option<Trend>) -> String {
    trend.map_or_else(|| "-".to_owned(), |trend| notation::rate(trend.per_second))
}

/// Formats when no port will be left: `now`, `perhaps now`, `now and then (1 of 5 scans)`,
/// `7s (5s to 10s)`; `-` if nothing is forecast.
fn full_in(subject_status: &SubjectStatus) -> String {
    if subject_status.available == 0 {
        return if subject_status.left.most == 0 { "now" } else { "perhaps now" }.to_owned();
    }
    if let (Level::Failing, Some(LastMinute { scans, full: full @ 1.., .. })) =
        (subject_status.level, subject_status.last_minute)
    {
        let scans = notation::counted(scans, "scan");
        return format!("now and then ({} of {scans})", notation::grouped(full));
    }
    match subject_status.forecast {
        None => "-".to_owned(),
        Some(Forecast { latest: Some(..1.0), .. }) => "<1s".to_owned(),
        Some(forecast) => format!("{} ({})", notation::rounded(forecast.seconds), span(forecast)),
    }
}
