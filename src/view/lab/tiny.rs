//! Draws names and figures of the strategies on terminals that are too small for a map.

use crate::{
    app::{LabScreen, lab::StrategyFigures},
    domain::{Text, notation},
    view::{
        Role,
        lab::{LabColumn, figures::number},
        surface::{Surface, fitted},
        words,
    },
};

/// Draws the selected strategy first; each line has the parts that fit in full.
pub fn render(lab: &LabScreen, entries: &[LabColumn<'_>], column: &mut Surface<'_>) {
    let width = column.width();
    let selected = entries.iter().filter(|entry| entry.is_selected);
    let others = entries.iter().filter(|entry| !entry.is_selected);
    for entry in selected.chain(others) {
        let figures = entry.strategy_report.map(|strategy_report| &strategy_report.figures);
        let mean = figures.and_then(StrategyFigures::mean).map(number);
        let model = figures.and_then(|figures| figures.expected);
        let model = model.map(|model| format!("expected {}", number(model.mean_attempts)));
        let failed = figures.and_then(StrategyFigures::failure_rate);
        let failed = failed.map(|failed| format!("failed {}", notation::fine_percent(failed)));
        let mean = mean.unwrap_or_else(|| "-".to_owned());
        let named = format!("{} {mean}", entry.row.name);
        let parts = [named.as_str(), model.as_deref().unwrap_or_default()];
        let parts = [parts[0], parts[1], failed.as_deref().unwrap_or_default()];
        let line = fitted(&parts, width);
        let line = if line.is_empty() { fitted(&[&mean], width) } else { line };
        column.text(&line, if entry.is_selected { Role::Text } else { Role::Dim });
    }
    let used = lab.share().map(|share| format!("{} used", notation::percent(share)));
    let pace = if lab.is_running() { "running" } else { "paused" };
    let notice = lab.notice().map(Text::as_str).unwrap_or_default();
    let line = fitted(&[lab.speed().name(), pace, used.as_deref().unwrap_or_default()], width);
    column.text(&line, Role::Text);
    for line in words::wrapped(notice, width) {
        column.text(&line, Role::Warn);
    }
}
