//! Draws a table of all strategies, for terminals with room for only one strategy's panel, and a
//! line for each on terminals that are too small for a map.

use ratatui::{style::Style, text::Span};

use crate::{
    app::{LabScreen, lab::StrategyFigures},
    domain::{Text, notation},
    view::{
        Role,
        lab::{
            LabColumn,
            figures::{failure_role, guess_role, known, mean_role, number, quantile},
        },
        surface::{Surface, fitted},
        words::wrapped,
    },
};

/// Width of mark, shape and the longest name.
const NAME: usize = 20;
/// Minimum width for the long names of the figures.
const WIDE: usize = 87;
/// A figure: its name, its width, its value and its role.
type Cell = (&'static str, usize, String, Role);

pub fn render(lab: &LabScreen, entries: &[LabColumn<'_>], column: &mut Surface<'_>) {
    if column.left() == 0 {
        return;
    }
    let dim = column.theme.style(Role::Dim);
    let is_wide = column.width() >= WIDE;
    let rows: Vec<Vec<Cell>> = entries.iter().map(|entry| cells(lab, entry, is_wide)).collect();
    // Figures that do not fit are left out, from the right.
    let mut used = NAME;
    let fits = |cell: &&Cell| {
        used += cell.1;
        used <= column.width()
    };
    let count = rows.first().into_iter().flatten().take_while(fits).count();
    let mut head = vec![Span::styled(format!("{:<NAME$}", "  strategy"), dim)];
    for (name, width, ..) in rows.iter().flatten().take(count) {
        head.push(Span::styled(format!("{name:>width$}"), dim));
    }
    column.line(head);
    for (entry, row) in entries.iter().zip(&rows) {
        line(entry, &row[..count], column);
    }
}

fn line(entry: &LabColumn<'_>, cells: &[Cell], column: &mut Surface<'_>) {
    let theme = column.theme;
    let background = if entry.is_selected { theme.style(Role::Selected) } else { Style::new() };
    let pointer = if entry.is_selected { theme.glyph("❯", ">") } else { " " };
    let shape = theme.style(entry.role()).patch(background);
    let width = NAME - 4;
    let mut spans = vec![
        Span::styled(format!("{pointer} "), theme.style(Role::Accent).patch(background)),
        Span::styled(format!("{} ", entry.shape(theme)), shape),
        Span::styled(format!("{:<width$}", entry.row.name), Style::new().bold().patch(background)),
    ];
    for (_, width, words, role) in cells {
        let style = theme.style(*role).patch(background);
        spans.push(Span::styled(format!("{words:>width$}"), style));
    }
    column.line(spans);
}

fn cells(lab: &LabScreen, entry: &LabColumn<'_>, is_wide: bool) -> Vec<Cell> {
    let none = || "-".to_owned();
    let figures = entry.figures();
    let expected = figures.and_then(|figures| figures.expected);
    let mean = figures.and_then(StrategyFigures::mean).map_or_else(none, number);
    let model = expected.map_or_else(none, |model| number(model.mean_attempts));
    let limit = lab.options().max_attempts;
    let p99 = figures.map_or_else(none, |figures| quantile(figures, 0.99, limit));
    let failed =
        figures.and_then(StrategyFigures::failure_rate).map_or_else(none, notation::fine_percent);
    let failure = expected.map_or_else(none, |model| notation::fine_percent(model.failure_rate));
    let known = figures.and_then(|figures| known(lab, &figures.predictability));
    let time = figures.and_then(StrategyFigures::time_of_success);
    let time = time.map_or_else(none, notation::elapsed);
    let [(model_name, model_width), (failure_name, failure_width), (time_name, time_width)] =
        if is_wide {
            [("expected", 9), ("expected", 10), ("time/success", 13)]
        } else {
            [("expected", 9), ("expected", 9), ("time", 8)]
        };
    vec![
        ("mean", if is_wide { 7 } else { 6 }, mean, figures.map_or(Role::Text, mean_role)),
        (model_name, model_width, model, Role::Dim),
        ("p99", 7, p99, Role::Text),
        ("failed", 9, failed, figures.map_or(Role::Text, failure_role)),
        (failure_name, failure_width, failure, Role::Dim),
        (
            "predictable",
            12,
            known.map_or_else(none, notation::percent),
            known.map_or(Role::Text, guess_role),
        ),
        (time_name, time_width, time, Role::Text),
    ]
}

/// Draws the selected strategy first; each line has the parts that fit in full.
pub fn tiny(lab: &LabScreen, entries: &[LabColumn<'_>], column: &mut Surface<'_>) {
    let width = column.width();
    let selected = entries.iter().filter(|entry| entry.is_selected);
    let others = entries.iter().filter(|entry| !entry.is_selected);
    for entry in selected.chain(others) {
        let figures = entry.figures();
        let mean = figures.and_then(StrategyFigures::mean).map_or_else(|| "-".to_owned(), number);
        let model = figures.and_then(|figures| figures.expected);
        let model = model.map(|model| format!("expected {}", number(model.mean_attempts)));
        let failed = figures.and_then(StrategyFigures::failure_rate);
        let failed = failed.map(|failed| format!("failed {}", notation::fine_percent(failed)));
        let [model, failed] = [model, failed].map(Option::unwrap_or_default);
        let line = fitted(&[&format!("{} {mean}", entry.row.name), &model, &failed], width);
        let line = if line.is_empty() { fitted(&[&mean], width) } else { line };
        column.text(&line, if entry.is_selected { Role::Text } else { Role::Dim });
    }
    let used = lab.share().map(|share| format!("{} used", notation::percent(share)));
    let pace = if lab.is_running() { "running" } else { "paused" };
    let line = fitted(&[lab.speed().name(), pace, used.as_deref().unwrap_or_default()], width);
    column.text(&line, Role::Text);
    for line in wrapped(lab.notice().map(Text::as_str).unwrap_or_default(), width) {
        column.text(&line, Role::Warn);
    }
}
