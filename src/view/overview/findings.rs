//! Draws the findings of the rules, most severe first, and the selected finding in full. Does not
//! apply the rules.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{OverviewContext, rule, verdict::first_lines};
use crate::{
    app::overview::OverviewList,
    domain::{Age, Finding, Severity, notation},
    view::{
        Role, Theme,
        surface::{Surface, below, labelled_lines},
        table, words,
    },
};

/// Width of the selection mark and the severity glyph before each line.
const INDENT: usize = 5;
/// Maximum number of lines of a finding that is not selected.
const MAX_LINES: usize = 2;

pub fn render(context: &OverviewContext<'_>, surface: &mut Surface<'_>) {
    if surface.area.is_empty() {
        return;
    }
    let findings = &context.scan.diagnosis.findings;
    let body = below(surface.area, 1);
    let selected = context.selected_index(OverviewList::Findings);
    let [width, height] = [body.width, body.height].map(usize::from);
    let (lines, window) = lines(context, selected, width, height);
    let notes: Vec<String> = table::shown_of(&window, findings.len()).into_iter().collect();
    rule::draw_list(context, OverviewList::Findings, &notes, surface);
    let mut surface = surface.within(body);
    surface.lines(&lines);
    if findings.is_empty() {
        surface.put(body.x + 2, body.y, "no findings", context.theme.style(Role::Dim));
    }
}

/// Returns the lines of the selected finding in full and of as many neighbours as fit, and the
/// range of the findings shown.
fn lines(
    context: &OverviewContext<'_>,
    selected: Option<usize>,
    width: usize,
    height: usize,
) -> (Vec<Line<'static>>, std::ops::Range<usize>) {
    let findings = &context.scan.diagnosis.findings;
    let entry = |index: usize| match selected {
        Some(at) if at == index => unfolded(&findings[index], context, width, height),
        _ => folded(&findings[index], context.theme, width),
    };
    let first = selected.unwrap_or_default();
    if first >= findings.len() {
        return (Vec::new(), 0..0);
    }
    let mut lines = entry(first);
    let (mut start, mut end) = (first, first + 1);
    while end < findings.len() {
        let next = entry(end);
        if lines.len() + next.len() > height {
            break;
        }
        lines.extend(next);
        end += 1;
    }
    while start > 0 {
        let mut before = entry(start - 1);
        if lines.len() + before.len() > height {
            break;
        }
        before.append(&mut lines);
        lines = before;
        start -= 1;
    }
    (lines, start..end)
}

fn folded(finding: &Finding, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let text = words::wrapped(&theme.own_text(&finding.summary), width.saturating_sub(INDENT));
    let text = first_lines(&text, MAX_LINES, width.saturating_sub(INDENT));
    headed(finding, text, Style::reset(), "  ", theme)
}

/// Puts the severity before the first line of the summary.
fn headed(
    finding: &Finding,
    text: Vec<String>,
    style: Style,
    mark: &'static str,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let (glyph, role) = glyph(finding.severity, theme);
    let first = [
        Span::styled(mark, theme.style(Role::Accent)),
        Span::styled(format!("{glyph:<3}"), theme.style(role).bold()),
    ];
    let below = [Span::raw(" ".repeat(INDENT)), Span::raw("")];
    let heads = std::iter::once(first).chain(std::iter::repeat(below));
    let line = |(head, text)| {
        let [mark, glyph]: [Span<'static>; 2] = head;
        Line::from(vec![mark, glyph, Span::styled(text, style)])
    };
    heads.zip(text).map(line).collect()
}

fn unfolded(
    finding: &Finding,
    context: &OverviewContext<'_>,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let theme = context.theme;
    let room = width.saturating_sub(INDENT);
    let bold = Style::reset().bold();
    let summary = words::wrapped(&theme.own_text(&finding.summary), room);
    let mut lines = headed(finding, summary, bold, theme.glyph("❯ ", "> "), theme);
    let mut part = |label: &str, text: &str| {
        let label_width = "do not ".len();
        let text = words::wrapped(&theme.own_text(text), room.saturating_sub(label_width));
        let label = format!("{:INDENT$}{label}", "");
        lines.extend(labelled_lines(&label, INDENT + label_width, text, theme));
    };
    if let Some(age) = context.app.finding_age(finding) {
        part("since", &since(age));
    }
    part("means", &finding.meaning);
    for (number, advice) in (1..).zip(&finding.advice) {
        part(if number == 1 { "do" } else { "" }, &format!("{number} {advice}"));
    }
    let mut previous = "";
    for text in &finding.avoid {
        let (label, text) = match text.strip_prefix("do not ") {
            Some(rest) => ("do not", rest),
            None => ("note", text.as_str()),
        };
        part(if label == previous { "" } else { label }, text);
        previous = label;
    }
    part("rule", finding.rule);
    if lines.len() > height {
        lines.truncate(height.saturating_sub(1));
        lines.push(Line::styled(format!("{:INDENT$}{}", "", more(room)), theme.style(Role::Warn)));
    }
    lines
}

/// Formats since when a finding has been found without interruption.
fn since(age: Age) -> String {
    match age {
        Age::Exactly(age) => format!("{} ago", notation::duration(age)),
        Age::AtLeast(age) => format!("before the first scan ({} ago)", notation::duration(age)),
    }
}

/// Returns the longest text that fits and says where the rest of a finding is.
fn more(width: usize) -> &'static str {
    let texts =
        ["more on a larger terminal or in portscope diagnose", "more in portscope diagnose", ".."];
    texts.into_iter().find(|text| text.len() <= width).unwrap_or_default()
}

/// Returns the glyph and the colour of a severity; the glyph makes it readable without colour.
fn glyph(severity: Severity, theme: &Theme) -> (&'static str, Role) {
    match severity {
        Severity::Critical => ("!!", Role::Critical),
        Severity::Warning => ("!", Role::Warn),
        Severity::Notice => ("i", Role::Accent),
        Severity::Ok => (theme.glyph("✓", "."), Role::Ok),
    }
}
