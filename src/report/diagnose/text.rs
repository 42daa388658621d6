//! Writes the report of `diagnose` as text: the verdict, two tables, and the findings.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use crate::{
    domain::{
        Destination, DestinationUse, Finding, Forecast, Gap, LastMinute, Left, Level, Protocol,
        RangeUse, Subject, Trend,
        diagnosis::{About, AdvicePart, SubjectStatus, at_most, span},
        notation,
    },
    report::{
        Health, Page, Status,
        columns::{Legend, TextCell, TextColumn, TextTable, UNKNOWN},
        page::Emphasis,
        paragraph, text,
    },
};

/// Maximum number of destinations listed if `Health::top` is None.
const MAX_SHOWN: usize = 10;
/// Maximum number of owners shown per destination.
const OWNERS_SHOWN: usize = 2;
/// Indent of the text of a finding.
const INDENT: &str = "          ";

/// How much of the findings is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedFindings {
    /// The first finding in full, and the summaries of the others.
    FirstInFull,
    AllInFull,
}

pub fn write(health: &Health<'_>, detail: ReportedFindings, page: &mut Page<'_>) -> io::Result<()> {
    write_verdict(health, page)?;
    if health.status() == Status::Ok {
        paragraph::write("    ", &room(health), page)?;
    }
    writeln!(page)?;
    let mut legend = write_ranges(health, page)?;
    if health.destinations().next().is_some() {
        writeln!(page)?;
        legend = legend.and(write_destinations(health, page)?);
    }
    legend.write(page)?;
    if let Some(filter) = health.filter {
        let limit = format!(
            "Filter: {filter}. Destinations, owners and ports of other sockets are left out; the \
             ranges count all sockets."
        );
        writeln!(page)?;
        paragraph::write("", &limit, page)?;
    }
    write_findings(health, detail, page)
}

/// Writes one network namespace after the other, each under a line with its name.
pub fn write_each(
    healths: &[Health<'_>],
    detail: ReportedFindings,
    page: &mut Page<'_>,
) -> io::Result<()> {
    text::write_each(
        healths,
        |health| health.scan,
        |health, page| write(health, detail, page),
        page,
    )
}

/// Writes the status and the verdict. Without a terminal they are one line, which programs read.
fn write_verdict(health: &Health<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let status = health.status().name().to_uppercase();
    let emphasis = match health.status() {
        Status::Ok => Emphasis::Good,
        Status::Warning | Status::Unknown => Emphasis::Caution,
        Status::Critical => Emphasis::Alarm,
    };
    if page.known_width().is_some() {
        return paragraph::write_emphasized(
            &format!("{status}  "),
            emphasis,
            &verdict(health),
            page,
        );
    }
    let status = page.emphasized(&status, emphasis);
    page.line(&format!("{status}  {}", verdict(health)))
}

/// Returns the text of the first line. UNKNOWN: what could not be read; otherwise the worst
/// problem; without a problem, the use of each range.
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

/// Returns which sysctl could not be read first, as the reason why the range is unknown. Empty: all
/// were read.
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

fn write_ranges(health: &Health<'_>, page: &mut Page<'_>) -> io::Result<Legend> {
    // The parity that connect() tries first is that of the range's first port.
    let is_even = health.scan.snapshot.ephemeral.range.first().is_multiple_of(2);
    let parity_left = match (is_even, health.includes(Protocol::Tcp)) {
        (true, true) => TextColumn::number("EVEN LEFT")
            .about("even ports without a socket; TCP connect() tries them first"),
        (true, false) => TextColumn::number("EVEN LEFT").about("even ports without a socket"),
        (false, true) => TextColumn::number("ODD LEFT")
            .about("odd ports without a socket; TCP connect() tries them first"),
        (false, false) => TextColumn::number("ODD LEFT").about("odd ports without a socket"),
    };
    let columns = [
        TextColumn::text("PROTOCOL"),
        TextColumn::text("RANGE").left_out(5),
        TextColumn::text("LEVEL"),
        TextColumn::number("SIZE").left_out(2),
        TextColumn::number("USED"),
        TextColumn::number("SHARE").left_out(6),
        TextColumn::number("TIME-WAIT").left_out(4),
        TextColumn::number("LEFT").about("for bind() to port 0"),
        parity_left.left_out(1),
        TextColumn::number("GROWTH").left_out(3),
        TextColumn::number("FULL IN").left_out(7),
    ];
    let rows = health.ranges().map(|row| range_cells(health, row)).collect();
    let table = TextTable::new(columns, rows, page);
    table.write(page)?;
    Ok(table.legend())
}

fn range_cells(health: &Health<'_>, row: &RangeUse) -> [TextCell; 11] {
    let subject_status = health.of_range(row);
    let counted = |count: String| {
        let count = if health.lists(row.protocol) { count } else { "?".to_owned() };
        TextCell::from(count)
    };
    [
        row.protocol.name().into(),
        row.range.to_string().into(),
        level(health, &subject_status),
        notation::grouped(row.size).into(),
        counted(notation::grouped(row.occupied)),
        counted(notation::percent(row.used_share())),
        counted(notation::grouped(row.time_wait)),
        counted(row.left().to_string()),
        counted(notation::grouped(row.low_parity_available())),
        counted(growth(subject_status.trend)),
        counted(full_in(&subject_status)),
    ]
}

fn level(health: &Health<'_>, subject_status: &SubjectStatus) -> TextCell {
    let emphasis = if health.is_unknown(subject_status) {
        Emphasis::Caution
    } else {
        subject_status.level.into()
    };
    TextCell::new(health.level_name(subject_status), emphasis)
}

const DESTINATION_COLUMNS: [TextColumn; 10] = [
    TextColumn::text("DESTINATION"),
    TextColumn::text("LEVEL"),
    TextColumn::number("USED"),
    TextColumn::number("SHARE").left_out(4),
    TextColumn::number("OF").left_out(1),
    TextColumn::number("LEFT"),
    TextColumn::number("TIME-WAIT").left_out(3),
    TextColumn::number("GROWTH").left_out(2),
    TextColumn::number("FULL IN").left_out(5),
    TextColumn::text("OWNERS (SOCKETS)"),
];

fn write_destinations(health: &Health<'_>, page: &mut Page<'_>) -> io::Result<Legend> {
    let most = health.top.unwrap_or(MAX_SHOWN);
    let shown = health.destinations().take(most);
    let rows = shown.map(|row| destination_cells(health, row)).collect();
    let table = TextTable::new(DESTINATION_COLUMNS, rows, page);
    table.write(page)?;
    match health.destinations().skip(most).count() {
        0 => {}
        more => {
            page.line(&format!("and {}", notation::counted(more as u64, "more destination")))?;
        }
    }
    Ok(table.legend())
}

fn destination_cells(health: &Health<'_>, row: &DestinationUse) -> [TextCell; 10] {
    let subject_status = health.of_destination(row);
    [
        route(health, &row.destination).into(),
        level(health, &subject_status),
        notation::grouped(row.in_use()).into(),
        notation::percent(row.used_share()).into(),
        notation::grouped(row.capacity).into(),
        row.left().to_string().into(),
        notation::grouped(row.time_wait).into(),
        growth(subject_status.trend).into(),
        full_in(&subject_status).into(),
        owners(health, row).into(),
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

/// Writes the findings; first the one that the verdict is about, without its summary.
fn write_findings(
    health: &Health<'_>,
    detail: ReportedFindings,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let findings = &health.diagnosis.findings;
    let verdict = worst_finding(health).filter(|_| says_finding(health));
    let others =
        findings.iter().filter(|finding| !verdict.is_some_and(|v| std::ptr::eq(v, *finding)));
    let mut is_first = true;
    let mut shortened = 0u32;
    for finding in verdict.into_iter().chain(others) {
        if is_first || detail == ReportedFindings::AllInFull {
            writeln!(page)?;
            let is_verdict = is_first && verdict.is_some();
            write_finding(finding, is_verdict, page)?;
        } else {
            if shortened == 0 {
                writeln!(page)?;
            }
            shortened += 1;
            write_head(finding, &finding.summary, page)?;
        }
        is_first = false;
    }
    if shortened > 0 {
        let others = notation::counted(shortened, "finding");
        let note = format!("{others} in short; --all shows what to do about each.");
        paragraph::write(INDENT, &note, page)?;
    }
    Ok(())
}

/// Returns whether the status comes from a problem, which a finding may describe.
fn says_finding(health: &Health<'_>) -> bool {
    matches!(health.status(), Status::Warning | Status::Critical)
}

fn write_head(finding: &Finding, words: &str, page: &mut Page<'_>) -> io::Result<()> {
    let severity = finding.severity.name().to_uppercase();
    let first = format!("{severity:<8}  ");
    paragraph::write_emphasized(&first, finding.severity.into(), words, page)
}

/// Writes a finding. `is_verdict`: the verdict has shown its summary.
fn write_finding(finding: &Finding, is_verdict: bool, page: &mut Page<'_>) -> io::Result<()> {
    if is_verdict {
        write_head(finding, &finding.meaning, page)?;
    } else {
        write_head(finding, &finding.summary, page)?;
        paragraph::write(INDENT, &finding.meaning, page)?;
    }
    for advice in finding.advice_parts() {
        write_advice(advice, page)?;
    }
    for avoid in &finding.avoid {
        match avoid.strip_prefix("do not ") {
            Some(avoid) => paragraph::write("  do not  ", avoid, page)?,
            None => paragraph::write("  note    ", avoid, page)?,
        }
    }
    page.line(&format!("  rule    {}", finding.rule))
}

/// Writes an item of advice. Each command has a line of its own, which is not wrapped, so that it
/// can be copied.
fn write_advice(advice: Vec<AdvicePart<'_>>, page: &mut Page<'_>) -> io::Result<()> {
    let mut first = "  do      ";
    for part in advice {
        match part {
            AdvicePart::Words(words) => paragraph::write(first, words, page)?,
            AdvicePart::Command(command) => {
                let command = page.emphasized(command, Emphasis::Strong).into_owned();
                page.line(&format!("{first}{command}"))?;
            }
        }
        first = INDENT;
    }
    Ok(())
}

fn route(health: &Health<'_>, destination: &Destination) -> String {
    health.scan.snapshot.interfaces.route(destination)
}

fn growth(trend: Option<Trend>) -> String {
    trend.map_or_else(|| UNKNOWN.to_owned(), |trend| notation::rate(trend.per_second))
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
        None => UNKNOWN.to_owned(),
        Some(Forecast { latest: Some(..1.0), .. }) => "<1s".to_owned(),
        Some(forecast) => format!("{} ({})", notation::rounded(forecast.seconds), span(forecast)),
    }
}
