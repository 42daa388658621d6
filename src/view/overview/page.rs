//! Draws a finding in full, on the whole screen between header and footer.

use ratatui::{
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Widget},
};

use super::{findings::glyph, rule};
use crate::{
    app::{
        App, Overlay, Size,
        overview::finding_page::{FindingLine, FindingPage, FindingText, LABEL_WIDTH},
    },
    domain::notation,
    view::{
        Role, Theme,
        surface::{Surface, below, indented, lines_of},
    },
};

pub fn render(app: &App, surface: &mut Surface<'_>) {
    let (area, theme) = (surface.area, surface.theme);
    if !matches!(app.overlay(), Overlay::Finding(_)) {
        return;
    }
    let body = lines_of(area, 1, area.height.saturating_sub(2));
    Clear.render(body, surface.buffer);
    let mut surface = surface.within(body);
    let size = Size { columns: area.width, rows: area.height };
    let (Some((index, page)), Some(scan)) = (app.finding_page(size), app.scan()) else {
        rule::draw("Finding", &[], &mut surface);
        let gone = "the latest scan no longer has this finding";
        surface.put(body.x + 2, body.y + 1, gone, theme.style(Role::Dim));
        return;
    };
    let findings = &scan.diagnosis.findings;
    let (glyph, role) = glyph(findings[index].severity, theme);
    let title = format!("Finding {} of {}", index + 1, findings.len());
    rule::draw(&title, &position(&page), &mut surface);
    let badge = format!(" {glyph} ");
    surface.put(body.x + 3 + title.len() as u16, body.y, &badge, theme.style(role).bold());
    let lines: Vec<Line<'_>> =
        page.lines.iter().skip(page.first).map(|shown| line(shown, 0, theme)).collect();
    surface.within(indented(indented(below(body, 1)))).lines(&lines);
}

/// Returns which lines are shown; nothing if all are.
fn position(page: &FindingPage) -> Vec<String> {
    let (all, last) = (page.lines.len(), page.first + page.height);
    let words = |number: usize| notation::grouped(number as u64);
    let range = format!("lines {}-{} of {}", page.first + 1, last.min(all), words(all));
    page.scrolls().then_some(range).into_iter().collect()
}

/// Formats a line of a finding, after `indent` blanks.
pub fn line(line: &FindingLine, indent: usize, theme: &Theme) -> Line<'static> {
    let (label_width, style) = match line.kind {
        FindingText::Summary => (0, Style::reset().bold()),
        FindingText::Plain => (LABEL_WIDTH, Style::new()),
        FindingText::Command => (0, theme.style(Role::Accent)),
    };
    let label = format!("{:indent$}{:label_width$}", "", line.label);
    Line::from(vec![
        Span::styled(label, theme.style(Role::Dim)),
        Span::styled(theme.own_text(&line.text), style),
    ])
}
