//! Draws the first lines of the Overview: the state in words, the reason and the advice. Does not
//! compute the verdict or the findings.

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::OverviewContext;
use crate::{
    app::overview::headline::is_about,
    domain::{
        Destination, Finding, Forecast, LastMinute, Left, Level, Protocol, Severity, Subject,
        Trend, diagnosis::Standing, notation,
    },
    view::{Role, Theme, words},
};

pub fn render(lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) {
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        buffer.set_line(area.x + 1, y, line, area.width.saturating_sub(2));
    }
}

/// Returns at most `height` lines for an area of this width.
pub fn lines(sight: &OverviewContext<'_>, width: u16, height: u16) -> Vec<Line<'static>> {
    let width = usize::from(width.saturating_sub(2));
    let own = sight.headline.own_finding(sight.scan);
    let (badge, role) = badge(own, sight.verdict.level);
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
    let text = match own {
        Some(finding) => whole_words(&finding.summary, room),
        None => fitting(&sight.verdict, sight.sources, sight.theme, room),
    };
    let bold = Style::reset().add_modifier(Modifier::BOLD);
    let mut lines = vec![Line::from(vec![badge, Span::raw("  "), Span::styled(text, bold)])];
    lines.extend(explanation(sight, own.is_some(), width, usize::from(height)));
    lines
}

/// Returns a sentence about the owner with most of the destination's ports. Returns `None` if the
/// verdict is not about a destination.
fn holder(sight: &OverviewContext<'_>) -> Option<String> {
    let Subject::Destination(destination) = sight.verdict.subject else { return None };
    let row = sight.scan.analysis.destination(&destination)?;
    let &(party, ports) = row.owners.first()?;
    let [ports, used] = [ports, row.used].map(notation::grouped);
    let held = if ports == used { "all of them".to_owned() } else { format!("{ports} of {used}") };
    Some(format!("{} uses {held}. ", words::party(sight.app, party)))
}

/// Returns the lines `why` and `do`, or one line `note` if there is no finding. With a finding it
/// fills all lines, so that `do` does not move when the reason gets shorter. Cuts no word.
fn explanation(
    sight: &OverviewContext<'_>,
    is_summary_reported: bool,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let Some(finding) = sight.headline.why(sight.scan) else {
        return vec![labelled("note", quiet(sight), sight.theme)];
    };
    let text_width = width.saturating_sub(LABEL);
    let room = height.saturating_sub(1);
    let todo = advice(finding, text_width, (room / 2).max(1));
    let left = room.saturating_sub(todo.len()).max(1);
    let reason = words::wrapped(&reason(sight, finding, is_summary_reported), text_width);
    let mut reason = first_lines(&reason, left, text_width);
    reason.resize(left, String::new());
    let why = if finding.severity == Severity::Notice { "note" } else { "why" };
    let mut lines = block(why, reason, sight.theme);
    lines.extend(block("do", todo, sight.theme));
    lines
}

fn reason(sight: &OverviewContext<'_>, finding: &Finding, is_summary_reported: bool) -> String {
    if is_summary_reported {
        finding.meaning.clone()
    } else if is_about(finding, sight.verdict.subject) {
        // The summary would only repeat the headline.
        let cause = match finding.cause.as_str() {
            "" => holder(sight).unwrap_or_default(),
            cause => format!("{cause}. "),
        };
        format!("{cause}{}", finding.meaning)
    } else {
        let cause = if finding.cause.is_empty() { &finding.summary } else { &finding.cause };
        format!("{}. {}", cause.trim_end_matches('.'), finding.meaning)
    }
}

/// Width of a label and the gap after it.
const LABEL: usize = 6;

fn labelled(label: &str, text: String, theme: &Theme) -> Line<'static> {
    let label = format!("{label:LABEL$}");
    Line::from(vec![Span::styled(label, theme.style(Role::Dim)), Span::raw(text)])
}

fn block(label: &str, lines: Vec<String>, theme: &Theme) -> Vec<Line<'static>> {
    let label = |at| if at == 0 { label } else { "" };
    lines.into_iter().enumerate().map(|(at, text)| labelled(label(at), text, theme)).collect()
}

/// Numbers the steps and joins as many as fit in full. If not even the first step fits, cuts it.
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

/// Returns the short form of the advice if there is one.
fn short(finding: &Finding) -> &[String] {
    if finding.steps.is_empty() { &finding.advice } else { &finding.steps }
}

/// Returns the first lines; the last one ends with `..` if lines were left out.
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

/// Shortens a text to the whole words that fit on one line.
pub fn whole_words(text: &str, width: usize) -> String {
    first_lines(&words::wrapped(text, width), 1, width).pop().unwrap_or_default()
}

/// Returns the note that is shown when there is no finding.
fn quiet(sight: &OverviewContext<'_>) -> String {
    if sight.scan.snapshot.sockets.is_empty() {
        return "no sockets in this snapshot".to_owned();
    }
    let left = sight.scan.analysis.new_destination();
    format!("a new TCP destination can use {left} ports")
}

/// Returns the word of the first line: the severity of the headline's own finding, or else the
/// level of the range or destination.
pub fn badge(own: Option<&Finding>, level: Level) -> (&'static str, Role) {
    match own.map(|finding| finding.severity) {
        None => (level.name(), level_role(level)),
        Some(Severity::Ok | Severity::Notice) => ("OK", Role::Ok),
        Some(Severity::Warning) => ("WARNING", Role::Warn),
        Some(Severity::Critical) => ("CRITICAL", Role::Critical),
    }
}

pub fn level_role(level: Level) -> Role {
    match level {
        Level::Ok => Role::Ok,
        Level::Watch => Role::Warn,
        Level::Exhausting | Level::Failing | Level::Exhausted => Role::Critical,
    }
}

/// Returns the wordings of the headline, longest first.
pub fn headline(standing: &Standing, sources: usize, theme: &Theme) -> Vec<String> {
    let share = notation::percent_of(standing.used, standing.size);
    let size = notation::grouped(standing.size);
    let arrow = theme.glyph("→", "to");
    let used = notation::grouped(standing.used);
    let (subject, short, ports) = match standing.subject {
        Subject::Destination(Destination { source, remote, .. }) => {
            let from = if sources > 1 { format!("{source} ") } else { String::new() };
            let subject = format!("TCP {from}{arrow} {remote}");
            (subject, format!("{arrow} {remote}"), "ports")
        }
        Subject::Range(protocol) => both(name(protocol)),
        Subject::Lane(lane) => both(lane.name()),
    };
    if standing.level == Level::Ok {
        return vec![
            format!("no shortage; fullest: {subject}, {used} of {size} {ports} in use"),
            format!("no shortage; {subject}: {used} of {size} in use"),
            format!("fullest: {short} {share}"),
            format!("{short} {share}"),
            share,
        ];
    }
    let (rate, [end, brief]) = (pace(standing, theme), endings(standing, theme));
    vec![
        format!("{subject} uses {used} of {size} {ports} ({share}){rate}{end}"),
        format!("{subject} uses {used} of {size} {ports} ({share}){end}"),
        format!("{subject} uses {share} of {size}{rate}{end}"),
        format!("{subject} uses {share} of {size}{end}"),
        format!("{short} {share}{end}"),
        format!("{short} {share}{brief}"),
        format!("{short} {share}"),
        share,
    ]
}

/// Returns the longest wording that would fit even with the longest usual numbers. So the wording
/// does not change while the level stays the same.
fn fitting(standing: &Standing, sources: usize, theme: &Theme, room: usize) -> String {
    let mut words = headline(standing, sources, theme);
    let is_narrow = |words: &Vec<String>, index: usize| words[index].width() <= room;
    let widest = widest(standing).map(|standing| headline(&standing, sources, theme));
    let all_fit = |&index: &usize| widest.iter().all(|words| is_narrow(words, index));
    let index = (0..words.len()).find(all_fit).unwrap_or_default();
    words.drain(..index);
    words.into_iter().find(|text| text.width() <= room).unwrap_or_default()
}

/// Returns the standing with the longest usual numbers, first with a forecast, then without one.
fn widest(standing: &Standing) -> [Standing; 2] {
    let Standing { size, trend, last_minute, .. } = *standing;
    let rate = f64::from(size.clamp(10, 999));
    let forecast = Forecast { seconds: 599.0, earliest: 599.0, latest: Some(599.0) };
    let is_full = standing.level == Level::Exhausted;
    let filling = Standing {
        share: if is_full { standing.share } else { 0.9999 },
        used: size,
        left: if is_full { standing.left } else { Left::new(size, size) },
        available: if is_full { 0 } else { size },
        trend: trend.map(|trend| Trend { per_second: -rate, opened_per_second: rate, ..trend }),
        forecast: trend.map(|_| forecast),
        last_minute: last_minute.map(|last| LastMinute { scans: 60, full: 60, ..last }),
        ..*standing
    };
    [filling, Standing { forecast: None, ..filling }]
}

fn both(name: &str) -> (String, String, &'static str) {
    (name.to_owned(), name.to_owned(), "ephemeral ports")
}

pub fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

/// Formats the rate of change. For `Failing` (full at some of the last scans), formats the rate at
/// which ports are opened instead.
fn pace(standing: &Standing, theme: &Theme) -> String {
    match standing.trend {
        None => String::new(),
        Some(trend) if standing.level == Level::Failing => {
            format!(", opens {:.0}/s", trend.opened_per_second)
        }
        trend => format!(", {}", rate(trend, theme)),
    }
}

/// Formats the number of ports left and the time until none is left, in a long and a short wording.
/// Within a level only the numbers differ.
fn endings(standing: &Standing, theme: &Theme) -> [String; 2] {
    let left = format!(": {} left", standing.left);
    match (standing.level, standing.last_minute) {
        (Level::Exhausted, _) if standing.left.most > 0 => [left.clone(), left],
        (Level::Exhausted, _) => [(); 2].map(|()| ": none left".to_owned()),
        (Level::Failing, Some(LastMinute { scans, full, .. })) => {
            let end = format!("{left}, full at {full} of the last {scans} scans");
            [end, format!("{left}, full at {full} of {scans} scans")]
        }
        _ if standing.trend.is_none() => [left.clone(), left],
        _ => [(); 2].map(|()| format!("{left}, full in {}", full_in(standing, theme))),
    }
}

/// Formats the time until all ports are in use. The findings state its uncertainty.
fn full_in(standing: &Standing, theme: &Theme) -> String {
    match standing.forecast.filter(is_near) {
        Some(forecast) => format!("{}{}", theme.glyph("≈ ", "about "), in_time(forecast.seconds)),
        None => theme.glyph("–", "-").to_owned(),
    }
}

/// Longest forecast that is shown, in seconds (two days).
const FAR: f64 = 172_800.0;

pub fn is_near(forecast: &Forecast) -> bool {
    forecast.seconds <= FAR
}

pub fn in_time(seconds: f64) -> String {
    notation::duration(Duration::from_secs_f64(seconds.clamp(0.0, FAR)))
}

/// Formats a trend; `–` if it is not known yet.
pub fn rate(trend: Option<Trend>, theme: &Theme) -> String {
    trend.map_or_else(|| theme.glyph("–", "-").to_owned(), |trend| notation::rate(trend.per_second))
}
