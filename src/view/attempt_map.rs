//! Draws the map below the marks of attempts and leases: occupied ports in grey. Also the marks
//! that several screens share.

use ratatui::layout::Position;

use crate::{
    app::{Grid, allocation::LastScan},
    domain::{PortRange, Protocols},
    view::{
        Role, Theme,
        heatmap::{GlyphMeaning, Heatmap, Paint, Pane, Pointed, TakenPorts},
        surface::Surface,
    },
};

/// Changes how a block without its marks is drawn.
pub type Tint<'a> = dyn Fn(PortRange, Paint) -> Paint + 'a;

/// Returns the share (0 to 1) whose glyph is drawn for a fully occupied block. Denser glyphs would
/// hide the digits, and some ASCII glyphs mark attempts on this map.
fn brightest(theme: &Theme) -> f32 {
    match (theme.has_color(), theme.ascii) {
        (_, true) => 0.42,
        (false, false) => 0.64,
        (true, false) => 1.0,
    }
}

/// Draws the occupancy of the scan in muted colours, so that the marks are clearly visible, and an
/// axis.
pub fn of_scan(
    scan: LastScan<'_>,
    protocols: Protocols,
    grid: &Grid,
    tint: &Tint<'_>,
    surface: &mut Surface<'_>,
) -> Pane {
    let occupied = |ports| scan.occupancy.occupied_in(ports, protocols);
    let share = |ports: PortRange| occupied(ports) as f32 / ports.len() as f32;
    let ephemeral = &scan.snapshot.ephemeral;
    let tint = |ports: PortRange, paint: Paint| {
        let is_reserved = ephemeral.reserved_in(ports) * 2 > ports.len();
        let free = if is_reserved { Role::Reserved } else { paint.free };
        tint(ports, Paint { free, ..paint })
    };
    muted(grid, &share, &tint, true, surface)
}

/// Draws the occupied share (0 to 1) of each block, without an axis.
pub fn of_share(grid: &Grid, share: &dyn Fn(PortRange) -> f32, surface: &mut Surface<'_>) -> Pane {
    muted(grid, share, &|_, paint| paint, false, surface)
}

fn muted(
    grid: &Grid,
    share: &dyn Fn(PortRange) -> f32,
    tint: &Tint<'_>,
    has_axis: bool,
    surface: &mut Surface<'_>,
) -> Pane {
    let brightest = brightest(surface.theme);
    let paint = |ports: PortRange| {
        let share = Some(share(ports)).filter(|&share| share > 0.0);
        let taken = |share| TakenPorts { role: Role::Muted, share: share * brightest, letter: '#' };
        tint(ports, Paint { free: Role::Available, taken: share.map(taken) })
    };
    let heatmap = Heatmap {
        grid,
        bracket: grid.range(),
        cursor: None,
        glyphs: GlyphMeaning::Density,
        paint: &paint,
        share,
        taken: &|_| 0,
        owner: &|_| String::new(),
        pointed: Pointed::default(),
    };
    if has_axis { heatmap.render(surface) } else { heatmap.render_rows(surface) }
}

/// Returns the mark of a refused attempt: its number, or `+` after `last`.
pub fn digit(number: u32, last: u32) -> String {
    if number <= last { number.to_string() } else { "+".to_owned() }
}

/// Draws a mark that fills a cell. As `fade` grows from 0 to 3, the colour below becomes visible.
pub fn badge(glyph: &str, role: Role, fade: u8, at: Position, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let cell = &mut surface.buffer[at];
    let below = if theme.needs_whole_cells() { cell.bg } else { cell.fg };
    if let Some(style) = theme.faded_badge(role, below, fade) {
        cell.set_symbol(glyph).set_style(style);
    }
}
