//! A strategy's range: occupancy in grey, the attempts of its allocation on top. Not its figures.

use ratatui::{buffer::Buffer, layout::Rect};

use super::Sight;
use crate::{
    app::{
        Grid, RowsPerLine,
        lab::{Attempt, Sight as _},
    },
    domain::PortRange,
    view::{
        Role,
        heatmap::{AXIS, GUTTER, Glyphs, Heatmap, NoPortFacts, Paint, Pane, Pointed, Taken, put},
    },
};

/// As what share of a block a full one is drawn where glyphs say it, so that digits stand out.
const BRIGHTEST_GLYPH: f32 = 0.6;

pub fn render(sight: &Sight<'_>, rows: RowsPerLine, area: Rect, buffer: &mut Buffer) {
    let range = sight.lab.options().range;
    let columns = area.width.saturating_sub(GUTTER);
    let lines = area.height.saturating_sub(AXIS);
    let Some(grid) = Grid::fit(range, columns, lines, rows) else { return };
    let share = |ports: PortRange| {
        let Some(contender) = sight.contender else { return 0.0 };
        let taken = ports.ports().filter(|&port| !contender.ports.looks_free(port)).count();
        taken as f32 / ports.len() as f32
    };
    let theme = sight.theme;
    let brightest = if theme.needs_whole_cells() { BRIGHTEST_GLYPH } else { 1.0 };
    let paint = |ports: PortRange| Paint {
        free: Role::Available,
        taken: Some(share(ports)).filter(|&share| share > 0.0).map(|share| Taken {
            role: Role::Muted,
            share: share * brightest,
            letter: '#',
        }),
    };
    let heatmap = Heatmap {
        grid: &grid,
        bracket: range,
        cursor: None,
        glyphs: Glyphs::Density,
        paint: &paint,
        share: &share,
        ports: &NoPortFacts,
        pointed: Pointed::default(),
    };
    // No row bars: their colours would outshine the attempts.
    let area = Rect { width: GUTTER + grid.columns(), ..area }.intersection(area);
    heatmap.render(theme, area, buffer);
    let pane = Pane::within(area, &grid);
    for attempt in sight.contender.into_iter().flat_map(|contender| &contender.trail) {
        mark(sight, attempt, &grid, &pane, buffer);
    }
}

/// A refused one is the number of its try, one that bound a diamond.
fn mark(sight: &Sight<'_>, attempt: &Attempt, grid: &Grid, pane: &Pane, buffer: &mut Buffer) {
    let Some(at) = pane.position(grid, attempt.port) else { return };
    let theme = sight.theme;
    let (glyph, role) = match (attempt.refusal, attempt.number) {
        (None, _) => (theme.glyph("◆", "*").to_owned(), Role::Allocated),
        (Some(_), number @ 1..=9) => (number.to_string(), Role::Collision),
        (Some(_), _) => ("+".to_owned(), Role::Collision),
    };
    put(buffer, pane.cells, at.x, at.y, &glyph, theme.badge(role));
}
