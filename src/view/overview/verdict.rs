//! Draws the first lines of the Overview: the state in words, the reason and the advice. Does not
//! compute the verdict or the findings.

use std::time::Duration;

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{OverviewContext, who};
use crate::{
    app::{
        App, LatestScan,
        overview::headline::{Headline, is_about},
    },
    domain::{
        Destination, Finding, Forecast, LastMinute, Left, Level, Severity, Subject, Trend,
        diagnosis::{About, SubjectStatus},
        notation,
    },
    view::{Role, Theme, map, surface::labelled_lines, words},
};

/// Returns at most `height` lines for an area of this width.
pub fn lines(context: &OverviewContext<'_>, width: u16, height: u16) -> Vec<Line<'static>> {
    let width = usize::from(width.saturating_sub(2));
    let own = context.headline.own_finding(context.scan);
    let (badge, role) = badge(own, context.verdict.level);
    let marks = match role {
        Role::Ok => "",
        Role::Warn => "! ",
        _ => "!! ",
    };
    let badge = Span::styled(format!(" {marks}{badge} "), context.theme.badge(role).bold());
    let room = width.saturating_sub(badge.width() + 2);
    let text = match own {
        Some(finding) => words::whole_clauses(&finding.summary, room),
        None => fitting(&context.verdict, context.scan.sources, context.theme, room),
    };
    let bold = Style::reset().bold();
    let mut lines = vec![Line::from(vec![badge, Span::raw("  "), Span::styled(text, bold)])];
    let below = usize::from(height).saturating_sub(1);
    lines.extend(explanation(context.app, context.theme, width, below));
    lines
}

/// Returns the lines `who`, `why` and `do`: the owner, the reason and the advice of the finding that
/// explains the headline. A finding of severity `Notice` has `note` instead of `why`, and no `who`;
/// without a finding there is only a `note`. Each part has the same lines whatever its text is, so
/// that nothing moves when a text gets shorter. Cuts no word.
pub fn explanation(app: &App, theme: &Theme, width: usize, height: usize) -> Vec<Line<'static>> {
    let (Some(scan), Some(headline)) = (app.scan(), app.headline()) else { return Vec::new() };
    let width = width.saturating_sub(LABEL);
    let Some(finding) = headline.why(scan) else {
        let note = words::wrapped(&quiet(scan), width);
        return labelled_lines("note", LABEL, words::first_lines(&note, height, width), theme);
    };
    let reason = reason(scan, headline, finding);
    if finding.severity == Severity::Notice {
        return note(&reason, finding, theme, width, height);
    }
    let who = who::words(app, scan, headline, width).filter(|_| height >= MIN_HEIGHT_OF_WHO);
    let mut lines = labelled_lines("who", LABEL, who, theme);
    let left = height.saturating_sub(lines.len());
    let todo = advice(finding, width, (left / 2).clamp(1, MAX_ADVICE_LINES));
    let most = left.saturating_sub((left / 2).min(MAX_ADVICE_LINES).max(todo.len())).max(1);
    let mut reason = whole_sentences(&reason, most, width);
    reason.resize(most, String::new());
    lines.extend(labelled_lines("why", LABEL, reason, theme));
    lines.extend(labelled_lines("do", LABEL, todo, theme));
    lines
}

/// Minimum number of lines for the line `who`: it, the reason and the advice.
const MIN_HEIGHT_OF_WHO: usize = 3;
const MAX_ADVICE_LINES: usize = 2;

/// Returns the lines of a finding of severity `Notice`. If the reason fits, the advice gets only the
/// remaining lines.
fn note(
    reason: &str,
    finding: &Finding,
    theme: &Theme,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let reason = words::wrapped(reason, width);
    let most = height.checked_sub(reason.len()).unwrap_or((height / 2).max(1));
    let todo = advice(finding, width, most);
    let left = height.saturating_sub(todo.len()).max(1);
    let mut reason = words::first_lines(&reason, left, width);
    reason.resize(left, String::new());
    let mut lines = labelled_lines("note", LABEL, reason, theme);
    lines.extend(labelled_lines("do", LABEL, todo, theme));
    lines
}

/// Returns the first sentences that fit in full; a sentence may end at its colon. If not even the
/// first one fits, cuts it. The text of an error is not cut: if it would be, what follows it in its
/// sentence is left out, or the sentences before it.
fn whole_sentences(text: &str, most: usize, width: usize) -> Vec<String> {
    let error = text.find(ERROR_TEXT);
    let sentences = text.match_indices(". ").map(|(at, _)| at + 1);
    let parts = text.match_indices(": ").map(|(at, _)| at);
    let first = text.find(". ").unwrap_or(text.len());
    let parts = parts.filter(|&at| error.unwrap_or(first) < at);
    // Without an error, the first sentence is the most important one.
    let later = sentences.clone().map(|end| end + 1).filter(|_| error.is_some());
    let starts = std::iter::once(0).chain(later);
    let mut ends: Vec<usize> = sentences.chain(parts).chain([text.len()]).collect();
    ends.sort_unstable_by(|a, b| b.cmp(a));
    for start in starts {
        let candidates = ends.iter().filter_map(|&end| text.get(start..end));
        let has_error = |part: &&str| error.is_none() || part.contains(ERROR_TEXT);
        let mut lines = candidates.filter(has_error).map(|part| words::wrapped(part, width));
        if let Some(lines) = lines.find(|lines| lines.len() <= most) {
            return lines;
        }
    }
    words::first_lines(&words::wrapped(text, width), most, width)
}

/// The text for which people search.
const ERROR_TEXT: &str = "\"Cannot assign requested address\"";

/// Returns the cause and the meaning of the finding. Omits what the headline already says.
fn reason(scan: &LatestScan, headline: &Headline, finding: &Finding) -> String {
    let subject = headline.subject_status.subject;
    if headline.own_finding(scan).is_some() {
        finding.meaning.clone()
    } else if is_about(finding, subject) {
        // The summary would only repeat the headline.
        let cause = match finding.cause.as_str() {
            "" => String::new(),
            cause => format!("{cause}. "),
        };
        format!("{cause}{}", finding.meaning)
    } else {
        // The cause of an exhausted destination does not name the process.
        let is_named = !matches!(finding.about, About::Destination(_));
        let has_cause = !finding.cause.is_empty() && is_named;
        let cause = if has_cause { &finding.cause } else { &finding.summary };
        format!("{}. {}", cause.trim_end_matches('.'), finding.meaning)
    }
}

/// Width of a label and the gap after it.
const LABEL: usize = 6;

/// Numbers the steps or, without steps, the advice, and puts as many of them on the lines as fit, up
/// to the first that does not. A step that fits on a line is not wrapped, so that its command can be copied. If not even the first
/// step fits, cuts it.
fn advice(finding: &Finding, width: usize, height: usize) -> Vec<String> {
    let steps = if finding.steps.is_empty() { &finding.advice } else { &finding.steps };
    let mut lines: Vec<String> = Vec::new();
    for (number, step) in (1..).zip(steps) {
        let step = format!("{number} {step}");
        let alone = words::wrapped(&step, width);
        let left = height.saturating_sub(lines.len());
        match lines.last_mut() {
            Some(last) if last.width() + 2 + step.width() <= width => {
                last.push_str("  ");
                last.push_str(&step);
            }
            None if alone.len() > left => return words::first_lines(&alone, left, width),
            _ if alone.len() <= left => lines.extend(alone),
            _ => break,
        }
    }
    lines
}

/// Returns the note that is shown if no finding explains the headline.
fn quiet(scan: &LatestScan) -> String {
    if scan.snapshot.sockets.is_empty() {
        return "no sockets in this snapshot".to_owned();
    }
    let left = scan.analysis.new_destination();
    let (bound, ports) = match left.least {
        least if left.is_exact() => ("", least),
        0 => ("at most ", left.most),
        least => ("at least ", least),
    };
    let verb = if ports == 1 { "is" } else { "are" };
    let ports = notation::counted(ports, "port");
    format!("{bound}{ports} {verb} free for a connection to any new destination")
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
pub fn headline(subject_status: &SubjectStatus, sources: usize, theme: &Theme) -> Vec<String> {
    let share = notation::percent_of(subject_status.used, subject_status.size);
    let size = notation::grouped(subject_status.size);
    let arrow = theme.glyph("→", "to");
    let used = notation::grouped(subject_status.used);
    let noun = |ports| if ports == "ports" { "TCP ports" } else { ports };
    let (subject, short, ports) = match subject_status.subject {
        Subject::Destination(Destination { source, remote, .. }) => {
            let from = if sources > 1 { format!("{source} ") } else { String::new() };
            let subject = format!("TCP {from}{arrow} {remote}");
            (subject, format!("{arrow} {remote}"), "ports")
        }
        Subject::Range(protocol) => both(map::protocols_name(protocol.into())),
        Subject::ProtocolFamily(protocol_family) => both(protocol_family.name()),
    };
    if subject_status.level == Level::Ok {
        return vec![
            format!("no shortage: {subject} uses {used} of {size} {ports}"),
            format!("no shortage: {subject} uses {used} of {size}"),
            format!("no shortage: {short} {share}"),
            format!("{short} {share}"),
            share,
        ];
    }
    let (rate, [end, brief]) = (pace(subject_status), endings(subject_status, theme));
    vec![
        format!("{subject} uses {used} of {size} {ports} ({share}){rate}{end}"),
        format!("{subject} uses {used} of {size} {ports} ({share}){end}"),
        format!("{subject} uses {share} of {size}{rate}{end}"),
        format!("{subject} uses {share} of {size}{end}"),
        format!("{short} uses {used} of {size} {} ({share}){end}", noun(ports)),
        format!("{short} uses {used} of {size} {ports}{end}"),
        format!("{short} uses {used} of {size}{end}"),
        format!("{short} {share}{end}"),
        format!("{short} {share}{brief}"),
        format!("{short} {share}"),
        share,
    ]
}

/// Returns the longest wording that would fit even with the longest usual numbers. As a result, the
/// wording does not change while the level stays the same.
fn fitting(subject_status: &SubjectStatus, sources: usize, theme: &Theme, room: usize) -> String {
    let mut words = headline(subject_status, sources, theme);
    let is_narrow = |words: &Vec<String>, index: usize| words[index].width() <= room;
    let widest =
        widest(subject_status).map(|subject_status| headline(&subject_status, sources, theme));
    let all_fit = |&index: &usize| widest.iter().all(|words| is_narrow(words, index));
    let index = (0..words.len()).find(all_fit).unwrap_or_default();
    words.drain(..index);
    words.into_iter().find(|text| text.width() <= room).unwrap_or_default()
}

/// Returns the status with the longest usual numbers, first with a forecast, then without one.
fn widest(subject_status: &SubjectStatus) -> [SubjectStatus; 2] {
    let SubjectStatus { size, trend, last_minute, .. } = *subject_status;
    let rate = f64::from(size.clamp(10, 999));
    let forecast = Forecast { seconds: 599.0, earliest: 599.0, latest: Some(599.0) };
    let is_full = subject_status.level == Level::Exhausted;
    let filling = SubjectStatus {
        share: if is_full { subject_status.share } else { 0.9999 },
        used: size,
        left: if is_full { subject_status.left } else { Left::new(size, size) },
        available: if is_full { 0 } else { size },
        trend: trend.map(|trend| Trend { per_second: -rate, opened_per_second: rate, ..trend }),
        forecast: trend.map(|_| forecast),
        last_minute: last_minute.map(|last| LastMinute { scans: 60, full: 60, ..last }),
        ..*subject_status
    };
    [filling, SubjectStatus { forecast: None, ..filling }]
}

fn both(name: &str) -> (String, String, &'static str) {
    (name.to_owned(), name.to_owned(), "ephemeral ports")
}

/// Formats the rate of change; empty if it is unknown or if no port is left. For `Failing` (full at
/// some of the last scans), formats the rate at which ports are opened instead.
fn pace(subject_status: &SubjectStatus) -> String {
    match subject_status.trend {
        None => String::new(),
        Some(_) if subject_status.left.most == 0 => String::new(),
        Some(trend) if subject_status.level == Level::Failing => {
            format!(", opens {}", notation::frequency(trend.opened_per_second))
        }
        trend => format!(", {}", rate(trend)),
    }
}

/// Formats the number of ports left, and how often none was left or the forecast, if there is one,
/// in a long and a short wording. Within a level, only the numbers change.
fn endings(subject_status: &SubjectStatus, theme: &Theme) -> [String; 2] {
    let left = format!(": {} left", subject_status.left);
    match (subject_status.level, subject_status.last_minute) {
        (Level::Exhausted, _) if subject_status.left.most > 0 => [left.clone(), left],
        (Level::Exhausted, _) => [(); 2].map(|()| ": none left".to_owned()),
        (Level::Failing, Some(LastMinute { scans, full: full @ 1.., .. })) => {
            let end = format!("{left}, full at {full} of the last {scans} scans");
            [end, format!("{left}, full at {full} of {scans} scans")]
        }
        _ => [(); 2].map(|()| format!("{left}{}", full_in(subject_status, theme))),
    }
}

/// Formats the time until all ports are in use; empty if this is not forecast within two days. The
/// findings state the uncertainty of this time.
fn full_in(subject_status: &SubjectStatus, theme: &Theme) -> String {
    let Some(forecast) = subject_status.forecast.filter(is_near) else { return String::new() };
    let about = theme.glyph("≈ ", "about ");
    format!(", full in {about}{}", in_time(forecast.seconds))
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
pub fn rate(trend: Option<Trend>) -> String {
    trend.map_or_else(|| "–".to_owned(), |trend| notation::rate(trend.per_second))
}
