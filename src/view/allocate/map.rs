//! The allocator's range: occupancy in grey, attempts and held ports on top. Not the other facts.

use std::collections::BTreeMap;

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
    text::Span,
};

use crate::{
    app::{
        Grid,
        allocation::{Allocation, LastScan, Mark, Speed},
    },
    domain::PortRange,
    view::{
        Role, Theme,
        allocate::column::Column,
        heatmap::{Glyphs, Heatmap, Paint, Pane, Taken, put},
    },
};

pub fn render(
    allocation: &Allocation,
    scan: LastScan<'_>,
    grid: &Grid,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let protocols = allocation.options().protocols;
    let share =
        |ports: PortRange| scan.occupancy.occupied_in(ports, protocols) as f32 / ports.len() as f32;
    let ephemeral = &scan.snapshot.ephemeral;
    let paint = |ports: PortRange| {
        let is_reserved = ephemeral.reserved_in(ports) * 2 > ports.len();
        let taken = Some(share(ports)).filter(|&share| share > 0.0);
        Paint {
            free: if is_reserved { Role::Reserved } else { Role::Available },
            taken: taken.map(|share| Taken { role: Role::Muted, share, letter: '#' }),
        }
    };
    let heatmap = Heatmap {
        grid,
        bracket: grid.range(),
        cursor: None,
        glyphs: Glyphs::Density,
        paint: &paint,
        share: &share,
    };
    heatmap.render(theme, area, buffer);
    let pane = Pane::within(area, grid);
    marks(allocation, grid, &pane, theme, buffer);
}

fn marks(allocation: &Allocation, grid: &Grid, pane: &Pane, theme: &Theme, buffer: &mut Buffer) {
    let mut density: BTreeMap<(u16, u16), u32> = BTreeMap::new();
    let marks = allocation.marks(std::time::Duration::MAX);
    let heat = allocation.heat(std::time::Duration::MAX);
    for port in allocation.options().range.ports().filter(|_| allocation.is_sampled()) {
        let times = heat[usize::from(port)];
        if let (1.., Some(at)) = (times, pane.position(grid, port)) {
            *density.entry((at.x, at.y)).or_default() += times;
        }
    }
    let most = density.values().copied().max().unwrap_or(1);
    for (&at, &times) in &density {
        let glyph = density_glyph(times, most, theme);
        put(buffer, pane.cells, at.0, at.1, glyph, density_style(buffer, at, theme));
    }
    for (port, mark) in marks {
        let Some(at) = pane.position(grid, port) else { continue };
        match mark {
            Mark::Flash { .. } => {}
            Mark::Held => put(buffer, pane.cells, at.x, at.y, held_glyph(theme), held_style(theme)),
            Mark::Refused { number, .. } => {
                let digit = if number <= 9 { number.to_string() } else { "+".to_owned() };
                put(buffer, pane.cells, at.x, at.y, &digit, theme.badge(Role::Collision));
            }
            Mark::Won { .. } => won(port, at, allocation, pane, theme, buffer),
        }
    }
}

/// With its number where there is time to read it.
fn won(
    port: u16,
    at: Position,
    allocation: &Allocation,
    pane: &Pane,
    theme: &Theme,
    buffer: &mut Buffer,
) {
    let style = theme.badge(Role::Allocated);
    if allocation.speed() > Speed::Four {
        put(buffer, pane.cells, at.x, at.y, won_glyph(theme), style);
        return;
    }
    let right = format!("{} {port} {}", won_glyph(theme), theme.glyph("✓", "+"));
    let width = right.chars().count() as u16;
    if at.x + width <= pane.cells.right() {
        put(buffer, pane.cells, at.x, at.y, &right, style);
    } else {
        let left = format!("{port} {} {}", theme.glyph("✓", "+"), won_glyph(theme));
        let x = (at.x + 1).saturating_sub(width).max(pane.cells.x);
        put(buffer, pane.cells, x, at.y, &left, style);
    }
}

/// What the marks mean.
pub fn legend(allocation: &Allocation, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut column = Column::new(theme, area, buffer);
    let mut spans = Vec::new();
    if allocation.is_sampled() {
        spans.push(Span::styled(theme.glyph("░▒▓█", ".:+#"), theme.style(Role::Collision)));
        spans.push(Span::raw(" tried in the last second  "));
    } else {
        spans.push(Span::styled(theme.glyph("1…9+", "1..9+"), theme.badge(Role::Collision)));
        spans.push(Span::raw(" nth attempt refused  "));
        spans.push(Span::styled(won_glyph(theme), theme.badge(Role::Allocated)));
        spans.push(Span::raw(" allocated  "));
    }
    spans.push(Span::styled(held_glyph(theme), held_style(theme)));
    spans.push(Span::raw(" held by this run"));
    column.line(spans);
}

fn won_glyph(theme: &Theme) -> &'static str {
    theme.glyph("◆", "*")
}

fn held_glyph(theme: &Theme) -> &'static str {
    theme.glyph("●", "o")
}

fn held_style(theme: &Theme) -> Style {
    theme.badge(Role::Ok)
}

/// Over what the block shows already, so that occupancy is still to be seen.
fn density_style(buffer: &Buffer, at: (u16, u16), theme: &Theme) -> Style {
    if theme.needs_whole_cells() {
        return theme.badge(Role::Collision);
    }
    theme.style(Role::Collision).bg(buffer[at].fg)
}

fn density_glyph(times: u32, most: u32, theme: &Theme) -> &'static str {
    match f64::from(times) / f64::from(most) {
        share if share <= 0.25 => theme.glyph("░", "."),
        share if share <= 0.5 => theme.glyph("▒", ":"),
        share if share <= 0.75 => theme.glyph("▓", "+"),
        _ => theme.glyph("█", "#"),
    }
}
