//! Draws the findings of the rules, most severe first, and the selected finding in full. Does not
//! apply the rules.

use std::collections::VecDeque;

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{OverviewContext, page, rule};
use crate::{
    app::overview::{
        OverviewList,
        finding_page::{self, LongCommand},
    },
    domain::{Finding, Severity},
    view::{
        Role, Theme,
        surface::{Surface, below},
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
    let shown = table::shown_of(&window, findings.len());
    if context.overview_list() == OverviewList::Findings {
        rule::draw_list(context, OverviewList::Findings, shown, Vec::new(), surface);
    } else {
        rule::draw("Findings", &shown.into_iter().collect::<Vec<_>>(), surface);
    }
    let mut surface = surface.within(body);
    surface.lines(&lines);
    if findings.is_empty() {
        surface.put(body.x + 2, body.y, "no findings", context.theme.style(Role::Dim));
    }
}

/// Returns the lines of the selected finding in full and of as many neighbours as fit, and the
/// range of the findings shown. If lines are left, the neighbours are shown in full too, the first
/// one first.
fn lines(
    context: &OverviewContext<'_>,
    selected: Option<usize>,
    width: usize,
    height: usize,
) -> (Vec<Line<'static>>, std::ops::Range<usize>) {
    let findings = &context.scan.diagnosis.findings;
    // `most`: lines of a summary that is not selected; None: the finding in full.
    let entry = |index: usize, most: Option<usize>| match most {
        _ if selected == Some(index) => unfolded(&findings[index], context, width, height, true),
        Some(most) => folded(&findings[index], context.theme, width, most),
        None => unfolded(&findings[index], context, width, usize::MAX, false),
    };
    let first = selected.unwrap_or_default();
    if first >= findings.len() {
        return (Vec::new(), 0..0);
    }
    let mut entries = VecDeque::from([entry(first, Some(MAX_LINES))]);
    let mut free = height.saturating_sub(entries[0].len());
    let mut shown = first..first + 1;
    let later = (first + 1..findings.len()).map(|index| (index, true));
    let earlier = (0..first).rev().map(|index| (index, false));
    for (index, is_later) in later.chain(earlier) {
        let next = entry(index, Some(MAX_LINES));
        let is_neighbour = index == shown.end || index + 1 == shown.start;
        if !is_neighbour || next.len() > free {
            continue;
        }
        free -= next.len();
        if is_later {
            entries.push_back(next);
            shown.end += 1;
        } else {
            entries.push_front(next);
            shown.start -= 1;
        }
    }
    for most in [Some(usize::MAX), None] {
        for (index, lines) in shown.clone().zip(&mut entries) {
            let longer = entry(index, most);
            let more = longer.len().saturating_sub(lines.len());
            if more <= free {
                free -= more;
                *lines = longer;
            }
        }
    }
    (entries.into_iter().flatten().collect(), shown)
}

/// Returns the number of lines that all findings need with their full summaries, and the rule.
pub fn height(context: &OverviewContext<'_>, width: u16) -> u16 {
    let findings = &context.scan.diagnosis.findings;
    let width = usize::from(width).saturating_sub(INDENT);
    let lines = findings.iter().map(|finding| words::wrapped(&finding.summary, width).len());
    let lines: usize = lines.sum();
    if lines == 0 { 0 } else { u16::try_from(lines + 1).unwrap_or(u16::MAX) }
}

fn folded(finding: &Finding, theme: &Theme, width: usize, most: usize) -> Vec<Line<'static>> {
    let text = words::wrapped(&theme.own_text(&finding.summary), width.saturating_sub(INDENT));
    let text = words::first_lines(&text, most, width.saturating_sub(INDENT));
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
    is_selected: bool,
) -> Vec<Line<'static>> {
    let theme = context.theme;
    let room = width.saturating_sub(INDENT);
    let bold = Style::reset().bold();
    let mark = if is_selected { theme.glyph("❯ ", "> ") } else { "  " };
    let summary = words::wrapped(&theme.own_text(&finding.summary), room);
    let mut lines = headed(finding, summary, bold, mark, theme);
    // The age of a finding that is not selected would change with each scan.
    let age = context.app.finding_age(finding).filter(|_| is_selected);
    let body = finding_page::body(finding, age, room, LongCommand::Key);
    lines.extend(body.iter().map(|line| page::line(line, INDENT, theme)));
    if lines.len() > height {
        lines.truncate(height.saturating_sub(1));
        lines.push(Line::styled(format!("{:INDENT$}{}", "", more(room)), theme.style(Role::Warn)));
    }
    lines
}

/// Returns the longest text that fits and says where the rest of a finding is.
fn more(width: usize) -> &'static str {
    let texts = ["more: Enter shows all of it", "Enter: all", ".."];
    texts.into_iter().find(|text| text.len() <= width).unwrap_or_default()
}

/// Returns the glyph and the colour of a severity; the glyph makes it readable without colour.
pub fn glyph(severity: Severity, theme: &Theme) -> (&'static str, Role) {
    match severity {
        Severity::Critical => ("!!", Role::Critical),
        Severity::Warning => ("!", Role::Warn),
        Severity::Notice => ("i", Role::Accent),
        Severity::Ok => (theme.glyph("✓", "."), Role::Ok),
    }
}
