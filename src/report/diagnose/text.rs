//! `diagnose` for people: the verdict in one line, two tables, the findings in words.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use crate::{
    domain::{
        Destination, DestinationUse, Diagnosis, Finding, Forecast, Protocol, RangeUse, Subject,
        diagnosis::About,
    },
    report::{Health, Status, columns, paragraph},
};

/// The others are told in JSON.
const MOST_SHOWN: usize = 10;
/// Of a destination.
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

/// The worst finding, or the figures that show that all is well.
fn verdict(health: &Health<'_>) -> String {
    if let (Status::Unknown, Some(gap)) = (health.status(), health.unlisted()) {
        return gap.to_string();
    }
    if let (Status::Warning | Status::Critical, Some(worst)) = (health.status(), worst(health)) {
        return worst.summary.clone();
    }
    let ranges = health.ranges().map(|row| {
        let share = percent(row.share());
        format!("{} uses {} of {} ports ({share})", row.protocol.name(), row.occupied, row.size)
    });
    ranges.collect::<Vec<_>>().join(", ")
}

/// Of the most severe findings one about a destination, else the first: a full range is less telling
/// than who fills it.
fn worst<'a>(health: &Health<'a>) -> Option<&'a Finding> {
    let severe = || {
        let Diagnosis { severity, findings } = health.diagnosis;
        findings.iter().filter(move |finding| finding.severity == *severity)
    };
    let of_destination = severe().find(|finding| matches!(finding.about, About::Destination(_)));
    of_destination.or_else(|| severe().next())
}

/// What is left, where nothing is wrong.
fn room(health: &Health<'_>) -> String {
    if !health.includes(Protocol::Tcp) {
        let left = health.ranges().map(RangeUse::available).sum::<u32>();
        return format!("left: {left} ports for all destinations together");
    }
    let new = health.analysis.unused_capacity();
    match health.destinations().next() {
        None => format!("left: {new} ports towards any destination"),
        Some(fullest) => format!(
            "left: {} ports towards the fullest destination ({}), {new} towards a new one",
            fullest.available(),
            arrow(&fullest.destination)
        ),
    }
}

fn write_ranges(health: &Health<'_>, out: &mut dyn Write) -> io::Result<()> {
    let header = [
        "RANGE",
        "PORTS",
        "LEVEL",
        "SIZE",
        "USED",
        "TIME-WAIT",
        "LEFT FOR BIND(0)",
        "LOW PARITY LEFT",
        "GROWTH",
        "FULL IN",
    ];
    let rows: Vec<_> = health.ranges().map(|row| range_cells(health, row)).collect();
    columns::write(header, &rows, out)
}

fn range_cells(health: &Health<'_>, row: &RangeUse) -> [String; 10] {
    let subject = Subject::Range(row.protocol);
    [
        row.protocol.name().to_owned(),
        row.range.to_string(),
        health.range_level(row).name().to_owned(),
        row.size.to_string(),
        format!("{} ({})", row.occupied, percent(row.share())),
        row.time_wait.to_string(),
        row.available().to_string(),
        row.low_parity_available().to_string(),
        growth(health.growth(subject)),
        full_in(row.available(), health.forecast(subject, row.available())),
    ]
}

fn write_destinations(health: &Health<'_>, out: &mut dyn Write) -> io::Result<()> {
    let header =
        ["DESTINATION", "LEVEL", "USED", "OF", "LEFT", "TIME-WAIT", "GROWTH", "FULL IN", "OWNERS"];
    let shown = health.destinations().take(MOST_SHOWN);
    let rows: Vec<_> = shown.map(|row| destination_cells(health, row)).collect();
    columns::write(header, &rows, out)?;
    match health.destinations().skip(MOST_SHOWN).count() {
        0 => Ok(()),
        1 => writeln!(out, "and 1 destination more"),
        more => writeln!(out, "and {more} destinations more"),
    }
}

fn destination_cells(health: &Health<'_>, row: &DestinationUse) -> [String; 9] {
    let subject = Subject::Destination(row.destination);
    [
        arrow(&row.destination),
        health.destination_level(row).name().to_owned(),
        format!("{} ({})", row.used, percent(row.share())),
        row.capacity.to_string(),
        row.available().to_string(),
        row.time_wait.to_string(),
        growth(health.growth(subject)),
        full_in(row.available(), health.forecast(subject, row.available())),
        owners(health, row),
    ]
}

fn owners(health: &Health<'_>, row: &DestinationUse) -> String {
    let mut told = String::new();
    for (number, &(party, sockets)) in row.owners.iter().take(OWNERS_SHOWN).enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        write!(told, "{separator}{} {sockets}", health.party(party))
            .expect("writing to a String cannot fail");
    }
    if row.owners.len() > OWNERS_SHOWN {
        told.push_str(", …");
    }
    told
}

fn write_finding(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let severity = finding.severity.name().to_uppercase();
    paragraph::write(&format!("{severity:<8}  "), &finding.summary, out)?;
    paragraph::write("          ", &finding.meaning, out)?;
    for advice in &finding.advice {
        paragraph::write("  do      ", advice, out)?;
    }
    for avoid in &finding.avoid {
        paragraph::write("  do not  ", avoid, out)?;
    }
    writeln!(out, "  rule    {}", finding.rule)
}

fn arrow(destination: &Destination) -> String {
    format!("{} → {}", destination.source, destination.remote)
}

/// Nothing that is used is shown as 0 %, and nothing that is left as 100 %.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 1.0 => "<1 %".to_owned(),
        p if p > 99.0 && p < 100.0 => ">99 %".to_owned(),
        p => format!("{p:.0} %"),
    }
}

fn growth(per_second: Option<f64>) -> String {
    match per_second {
        None => "-".to_owned(),
        Some(rate) if rate.abs() < 0.05 => "0/s".to_owned(),
        Some(rate) => format!("{rate:+.1}/s"),
    }
}

fn full_in(available: u32, forecast: Option<Forecast>) -> String {
    let Some(forecast) = forecast else {
        return if available == 0 { "now" } else { "-" }.to_owned();
    };
    let Forecast { seconds, earliest, latest } = forecast;
    let spread = match latest {
        Some(latest) => format!("{} to {}", lasting(earliest), lasting(latest)),
        None => format!("{} or later", lasting(earliest)),
    };
    format!("{} ({spread})", lasting(seconds))
}

fn lasting(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
