//! Draws a small map of the range: occupied ports in grey, the strategy's attempts on top of them.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    app::{
        Grid,
        grid::GUTTER,
        lab::{Attempt, PortView, StrategyReport},
    },
    domain::PortRange,
    view::{
        Role, Theme,
        heatmap::{GlyphMeaning, Heatmap, NoPortFacts, Paint, Pane, Pointed, TakenPorts, put},
    },
};

/// Returns the share (0 to 1) whose glyph is drawn for a fully occupied block. Denser glyphs would
/// hide the digits, and some ASCII glyphs mark attempts on this map.
fn brightest(theme: &Theme) -> f32 {
    match (theme.has_color(), theme.ascii) {
        (_, true) => 0.42,
        (false, false) => 0.64,
        (true, false) => 1.0,
    }
}

/// Returns the width of a map, in terminal columns.
pub fn width(grid: &Grid) -> u16 {
    GUTTER + grid.columns()
}

/// Draws the map. If `reads`, adds the number of the allocated port; the caller sets `reads` at
/// speeds at which the number can be read.
pub fn render(
    strategy_report: &StrategyReport,
    grid: &Grid,
    reads: bool,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let taken =
        |ports: PortRange| ports.ports().filter(|&p| !strategy_report.ports.looks_free(p)).count();
    let share = |ports: PortRange| taken(ports) as f32 / ports.len() as f32;
    let brightest = brightest(theme);
    let paint = |ports: PortRange| {
        let share = Some(share(ports)).filter(|&share| share > 0.0);
        let taken = |share| TakenPorts { role: Role::Muted, share: share * brightest, letter: '#' };
        Paint { free: Role::Available, taken: share.map(taken) }
    };
    let heatmap = Heatmap {
        grid,
        bracket: grid.range(),
        cursor: None,
        glyphs: GlyphMeaning::Density,
        paint: &paint,
        share: &share,
        ports: &NoPortFacts,
        pointed: Pointed::default(),
    };
    heatmap.render_rows(theme, area, buffer);
    let pane = Pane::without_axis(area.intersection(buffer.area), grid);
    for attempt in &strategy_report.last_attempts {
        mark(*attempt, grid, &pane, reads, theme, buffer);
    }
}

fn mark(
    attempt: Attempt,
    grid: &Grid,
    pane: &Pane,
    reads: bool,
    theme: &Theme,
    buffer: &mut Buffer,
) {
    let Some(at) = pane.position(grid, attempt.port) else { return };
    if attempt.refusal.is_some() {
        let digit = if attempt.number <= 9 { attempt.number.to_string() } else { "+".to_owned() };
        put(buffer, pane.cells, at.x, at.y, &digit, theme.badge(Role::Collision));
        return;
    }
    let won = theme.glyph("◆", "*");
    let style = theme.badge(Role::Allocated);
    let called = format!("{won} {}", attempt.port);
    if reads && at.x + called.chars().count() as u16 <= pane.cells.right() {
        put(buffer, pane.cells, at.x, at.y, &called, style);
    } else {
        put(buffer, pane.cells, at.x, at.y, won, style);
    }
}
