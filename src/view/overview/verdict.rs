//! The first lines: how it stands in words, why, what to do. Words only, from verdict and findings.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::Sight;
use crate::{
    domain::{
        Destination, Finding, Forecast, Level, Protocol, Severity, Subject, Trend,
        diagnosis::{About, Standing},
    },
    view::{Role, Theme, words},
};

pub fn render(lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) {
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        buffer.set_line(area.x + 1, y, line, area.width.saturating_sub(2));
    }
}

/// At most so many, of the width of an area.
pub fn lines(sight: &Sight<'_>, width: u16, most: u16) -> Vec<Line<'static>> {
    let width = usize::from(width.saturating_sub(2));
    let finding = telling(sight);
    let told = finding.filter(|finding| {
        // Something else than ports is short, and that is worse.
        finding.severity > sight.verdict.level.severity().max(Severity::Notice)
    });
    let level = sight.verdict.level;
    let (badge, role, headlines) = if let Some(finding) = told {
        let (badge, role) = severity_badge(finding.severity);
        (badge, role, vec![finding.summary.clone()])
    } else {
        let words = headline(&sight.verdict, sight.sources, sight.theme);
        (level.name(), level_role(level), words)
    };
    let marks = match role {
        Role::Ok => "",
        Role::Warn => "! ",
        _ => "!! ",
    };
    let badge = Span::styled(
        format!(" {marks}{badge} "),
        sight.theme.badge(role).add_modifier(Modifier::BOLD),
    );
    let room = width.saturating_sub(badge.width() + 2);
    let text = headlines.iter().find(|text| text.width() <= room).cloned();
    let text = text.unwrap_or_else(|| whole_words(headlines.last(), room));
    let bold = Style::reset().add_modifier(Modifier::BOLD);
    let mut lines = vec![Line::from(vec![badge, Span::raw("  "), Span::styled(text, bold)])];
    lines.extend(explanation(sight, finding, told.is_some(), width, most));
    lines
}

/// Of the most severe findings one about the verdict's own subject, else the first.
fn telling<'a>(sight: &Sight<'a>) -> Option<&'a Finding> {
    let findings = &sight.scan.diagnosis.findings;
    let worst = findings.iter().map(|finding| finding.severity).max()?;
    let mut severe = findings.iter().filter(|finding| finding.severity == worst);
    let own = severe.clone().find(|finding| is_own(finding, sight));
    own.or_else(|| severe.next()).filter(|_| worst >= Severity::Notice)
}

/// Whether it is about what the verdict is about.
fn is_own(finding: &Finding, sight: &Sight<'_>) -> bool {
    finding.about
        == match sight.verdict.subject {
            Subject::Destination(destination) => About::Destination(destination),
            Subject::Range(protocol) => About::Range(protocol),
            Subject::Lane(lane) => About::Range(lane.protocol()),
        }
}

/// Who has most of the destination's ports.
fn holder(sight: &Sight<'_>) -> Option<String> {
    let Subject::Destination(destination) = sight.verdict.subject else { return None };
    let row = sight.scan.analysis.destination(&destination)?;
    let &(party, ports) = row.owners.first()?;
    let [ports, used] = [ports, row.used].map(words::thousands);
    let held = if ports == used { "all of them".to_owned() } else { format!("{ports} of {used}") };
    Some(format!("{} has {held}. ", words::party(sight.app, party)))
}

/// `why` and `do`, so that the lines are used and no word is cut.
fn explanation(
    sight: &Sight<'_>,
    finding: Option<&Finding>,
    is_summary_told: bool,
    width: usize,
    height: u16,
) -> Vec<Line<'static>> {
    let room = usize::from(height).saturating_sub(1);
    let Some(finding) = finding else { return vec![labelled("note", quiet(sight), sight.theme)] };
    let why = if finding.severity == Severity::Notice { "note" } else { "why" };
    let reason = if is_summary_told {
        finding.meaning.clone()
    } else if is_own(finding, sight) {
        // The headline has told what its summary tells.
        let cause = match finding.cause.as_str() {
            "" => holder(sight).unwrap_or_default(),
            cause => format!("{cause}. "),
        };
        format!("{cause}{}", finding.meaning)
    } else {
        let cause = if finding.cause.is_empty() { &finding.summary } else { &finding.cause };
        format!("{}. {}", cause.trim_end_matches('.'), finding.meaning)
    };
    let text_width = width.saturating_sub(LABEL);
    let todo = advice(finding, text_width, (room / 2).max(1));
    let left = room.saturating_sub(todo.len()).max(1);
    let reason = words::wrapped(&reason, text_width);
    let reason = first_lines(&reason, left, text_width);
    let mut lines = block(why, reason, sight.theme);
    lines.extend(block("do", todo, sight.theme));
    lines
}

/// Of label and gap.
const LABEL: usize = 6;

fn labelled(label: &str, text: String, theme: &Theme) -> Line<'static> {
    let label = format!("{label:LABEL$}");
    Line::from(vec![Span::styled(label, theme.style(Role::Dim)), Span::raw(text)])
}

fn block(label: &str, lines: Vec<String>, theme: &Theme) -> Vec<Line<'static>> {
    let label = |at| if at == 0 { label } else { "" };
    lines.into_iter().enumerate().map(|(at, text)| labelled(label(at), text, theme)).collect()
}

/// Numbered, as many as fit whole; of the first one as much as there is room for.
fn advice(finding: &Finding, width: usize, height: usize) -> Vec<String> {
    let numbered: Vec<String> =
        (1..).zip(short(finding)).map(|(number, text)| format!("{number} {text}")).collect();
    let Some(first) = numbered.first() else { return Vec::new() };
    let alone = words::wrapped(first, width);
    if alone.len() > height {
        return first_lines(&alone, height, width);
    }
    let mut kept = alone;
    let mut text = first.clone();
    for next in &numbered[1..] {
        let longer = format!("{text}  {next}");
        let lines = words::wrapped(&longer, width);
        if lines.len() > height {
            break;
        }
        (kept, text) = (lines, longer);
    }
    kept
}

/// The advice in few words, where there is such.
fn short(finding: &Finding) -> &[String] {
    if finding.steps.is_empty() { &finding.advice } else { &finding.steps }
}

/// The last one says when there is more.
pub fn first_lines(lines: &[String], most: usize, width: usize) -> Vec<String> {
    let mut kept: Vec<String> = lines.iter().take(most).cloned().collect();
    if let Some(last) = kept.last_mut().filter(|_| lines.len() > most) {
        while last.width() + 3 > width && last.contains(' ') {
            last.truncate(last.rfind(' ').unwrap_or_default());
        }
        last.push_str(" ..");
    }
    kept
}

fn whole_words(text: Option<&String>, width: usize) -> String {
    let lines = text.map(|text| words::wrapped(text, width)).unwrap_or_default();
    first_lines(&lines, 1, width).pop().unwrap_or_default()
}

/// Where there is nothing to find.
fn quiet(sight: &Sight<'_>) -> String {
    if sight.scan.snapshot.sockets.is_empty() {
        return "this snapshot shows no socket at all".to_owned();
    }
    let left = sight.scan.analysis.new_destination();
    format!("a new TCP destination has {left} ports to choose from")
}

fn severity_badge(severity: Severity) -> (&'static str, Role) {
    match severity {
        Severity::Ok | Severity::Notice => ("OK", Role::Ok),
        Severity::Warning => ("WARNING", Role::Warn),
        Severity::Critical => ("CRITICAL", Role::Critical),
    }
}

pub fn level_role(level: Level) -> Role {
    match level {
        Level::Ok => Role::Ok,
        Level::Watch => Role::Warn,
        Level::Exhausting | Level::Exhausted => Role::Critical,
    }
}

/// In words from full to short.
pub fn headline(standing: &Standing, sources: usize, theme: &Theme) -> Vec<String> {
    let share = percent(standing.share, standing.size);
    let size = words::thousands(standing.size);
    let arrow = theme.glyph("→", "to");
    let (subject, short, verb, ports) = match standing.subject {
        Subject::Destination(Destination { source, remote, .. }) => {
            let from = if sources > 1 { format!("{source} ") } else { String::new() };
            let subject = format!("TCP {from}{arrow} {remote}");
            (subject, format!("{arrow} {remote}"), "holds", "usable ports")
        }
        Subject::Range(protocol) => both(name(protocol), "takes", "ports of the range"),
        Subject::Lane(lane) => both(lane.name(), "takes", "ports of the range"),
    };
    if standing.level == Level::Ok {
        return vec![
            format!("nothing is short; the fullest: {subject} {verb} {share} of {size} {ports}"),
            format!("nothing is short; {subject} {verb} {share} of {size}"),
            format!("fullest: {short} {share}"),
            format!("{short} {share}"),
            share,
        ];
    }
    let rate = standing.trend.map(|trend| format!(", {}", rate(Some(trend), theme)));
    let rate = rate.unwrap_or_default();
    let [surely, end] = [Spread::Told, Spread::Left].map(|spread| ending(standing, spread, theme));
    vec![
        format!("{subject} {verb} {share} of {size} {ports}{rate}{surely}"),
        format!("{subject} {verb} {share} of {size} {ports}{rate}{end}"),
        format!("{subject} {verb} {share} of {size} {ports}{end}"),
        format!("{subject} {verb} {share} of {size}{rate}{end}"),
        format!("{subject} {verb} {share} of {size}{end}"),
        format!("{short} {share}{end}"),
        format!("{short} {share}"),
        share,
    ]
}

fn both(
    name: &str,
    verb: &'static str,
    ports: &'static str,
) -> (String, String, &'static str, &'static str) {
    (name.to_owned(), name.to_owned(), verb, ports)
}

pub fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

/// Whether a forecast tells how far it may be off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    Told,
    Left,
}

/// When it is full, if that can be said.
fn ending(standing: &Standing, spread: Spread, theme: &Theme) -> String {
    if standing.available == 0 {
        return ": none left".to_owned();
    }
    let left = || format!(": {} left", words::thousands(standing.available));
    let Some(forecast) = standing.forecast.filter(is_near) else { return left() };
    let about = theme.glyph("≈ ", "about ");
    let earliest = in_time(forecast.earliest);
    let spread = match forecast.latest.filter(|&latest| latest <= FAR).map(in_time) {
        _ if spread == Spread::Left => String::new(),
        Some(latest) if latest == earliest => String::new(),
        Some(latest) => format!(" ({earliest} to {latest})"),
        None => format!(" ({earliest} at the earliest)"),
    };
    format!(": full in {about}{}{spread}", in_time(forecast.seconds))
}

/// Seconds; what is further off is not foretold.
const FAR: f64 = 172_800.0;

pub fn is_near(forecast: &Forecast) -> bool {
    forecast.seconds <= FAR
}

pub fn in_time(seconds: f64) -> String {
    words::age(Duration::from_secs_f64(seconds.clamp(0.0, FAR)))
}

/// As `words::percent`, of a share.
pub fn percent(share: f64, size: u32) -> String {
    words::percent((share * 1e6).round() as u32, 1_000_000 * u32::from(size > 0))
}

/// `+21/s`, `−3/s`, `0/s`; `–` before it is known.
pub fn rate(trend: Option<Trend>, theme: &Theme) -> String {
    let Some(Trend { per_second, .. }) = trend else { return theme.glyph("–", "-").to_owned() };
    let digits = usize::from(per_second.abs() < 9.95);
    let number = format!("{:.digits$}", per_second.abs());
    let number = number.strip_suffix(".0").unwrap_or(&number);
    match number {
        "0" => "0/s".to_owned(),
        _ if per_second < 0.0 => format!("{}{number}/s", theme.glyph("−", "-")),
        _ => format!("+{number}/s"),
    }
}
