//! Draws a small map of the range: occupied ports in grey, the strategy's attempts on top of them.

use ratatui::layout::{Position, Rect};

use crate::{
    app::{
        Grid,
        lab::{Attempt, PortView, StrategyReport},
    },
    domain::PortRange,
    view::{
        Role,
        attempt_map::{self, digit},
        surface::Surface,
    },
};

/// Draws the map. If `reads`, adds the number of the allocated port; the caller sets `reads` at
/// speeds at which the number can be read.
pub fn render(
    strategy_report: &StrategyReport,
    grid: &Grid,
    reads: bool,
    surface: &mut Surface<'_>,
) {
    let taken =
        |ports: PortRange| ports.ports().filter(|&p| !strategy_report.ports.looks_free(p)).count();
    let share = |ports: PortRange| taken(ports) as f32 / ports.len() as f32;
    let pane = attempt_map::of_share(grid, &share, surface);
    for attempt in &strategy_report.last_attempts {
        if let Some(at) = pane.position(grid, attempt.port) {
            mark(*attempt, at, pane.cells, reads, surface);
        }
    }
}

fn mark(attempt: Attempt, at: Position, cells: Rect, reads: bool, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    if attempt.refusal.is_some() {
        let style = theme.badge(Role::Collision);
        surface.within(cells).put(at.x, at.y, &digit(attempt.number, 9), style);
        return;
    }
    let won = theme.glyph("◆", "*");
    let named = format!("{won} {}", attempt.port);
    let fits = reads && at.x + named.chars().count() as u16 <= cells.right();
    let words = if fits { &named } else { won };
    surface.within(cells).put(at.x, at.y, words, theme.badge(Role::Allocated));
}
