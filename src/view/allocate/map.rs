//! Draws the map of the allocator's range: occupied ports in grey, attempts and held ports on top
//! of them.

use ratatui::{layout::Position, style::Style, text::Span};

use crate::{
    app::{
        Grid,
        allocation::{Allocation, LastScan, Mark, Speed},
    },
    domain::{PortRange, notation},
    view::{
        Role, Theme,
        allocate::heat::{DensityChart, heated},
        attempt_map::{self, badge, digit},
        heatmap::{Paint, Pane, recolor_half},
        surface::{Surface, whole_parts},
        theme::HEAT_TOP,
    },
};

/// The range and the marks on it at one moment.
pub struct AttemptMap<'a> {
    pub allocation: &'a Allocation,
    pub grid: &'a Grid,
    marks: Vec<(u16, Mark)>,
    /// The attempt density, shown instead of single attempts. None: the speed is not `Max`.
    heat: Option<DensityChart>,
}

impl<'a> AttemptMap<'a> {
    pub fn at(now: std::time::Duration, allocation: &'a Allocation, grid: &'a Grid) -> Self {
        let is_dense = allocation.speed() == Speed::Max;
        let heat = is_dense.then(|| DensityChart::count(allocation.heat(now), grid));
        let mut marks = allocation.marks(now);
        // Fading marks are drawn below new ones. The attempts of a sequential scan may share a
        // cell; the first attempt and the result are drawn on top of the others.
        let is_passed = |mark| match mark {
            Mark::Refused { number, .. } => allocation.is_scan() && number > 1,
            _ => false,
        };
        marks.sort_by_key(|&(_, mark)| std::cmp::Reverse((fade(mark), is_passed(mark))));
        Self { allocation, grid, marks, heat }
    }

    pub fn render(&self, scan: LastScan<'_>, surface: &mut Surface<'_>) {
        let protocols = self.allocation.options().protocols;
        let needs_whole_cells = surface.theme.needs_whole_cells();
        let tint = |ports: PortRange, paint: Paint| match &self.heat {
            None => paint,
            Some(heat) => heated(paint, heat.step(ports), needs_whole_cells),
        };
        let pane = attempt_map::of_scan(scan, protocols, self.grid, &tint, surface);
        for &(port, mark) in &self.marks {
            if let Some(at) = pane.position(self.grid, port) {
                self.mark(port, mark, at, &pane, surface);
            }
        }
    }

    fn mark(&self, port: u16, mark: Mark, at: Position, pane: &Pane, surface: &mut Surface<'_>) {
        let theme = surface.theme;
        match mark {
            Mark::Held => {
                surface.within(pane.cells).put(at.x, at.y, held_glyph(theme), held_style(theme));
            }
            Mark::Refused { number, fade } => {
                let last_digit = if self.allocation.is_scan() { 1 } else { 9 };
                badge(&digit(number, last_digit), Role::Collision, fade, at, surface);
            }
            Mark::Won { fade: 0 } if self.allocation.speed() <= Speed::Four => {
                let after = self.attempts_of_scan(port);
                label_port(port, &after, at, pane, surface);
            }
            Mark::Won { fade } => {
                badge(allocated_glyph(theme), Role::Allocated, fade, at, surface);
            }
            Mark::Flash { fade, won } if theme.needs_whole_cells() => {
                let (glyph, role) = if won {
                    (allocated_glyph(theme), Role::Allocated)
                } else {
                    (theme.glyph("×", "x"), Role::Collision)
                };
                badge(glyph, role, fade, at, surface);
            }
            Mark::Flash { fade, won } => {
                let role = if won { Role::Allocated } else { Role::Collision };
                let is_upper = self.grid.block_position(port).is_none_or(|at| at.row % 2 == 0);
                let cell = &mut surface.buffer[at];
                // Another symbol is a badge, which is more important.
                if matches!(cell.symbol(), "▀" | "▄") {
                    recolor_half(cell, is_upper, |below| theme.faded(role, below, fade));
                }
            }
        }
    }

    /// Returns ` after N` with the number of attempts of a finished sequential scan, because its
    /// marks show only the first attempt as a digit. Otherwise returns an empty string.
    fn attempts_of_scan(&self, port: u16) -> String {
        let ended = self.allocation.last().filter(|ended| ended.port == Some(port));
        let scan = ended.filter(|ended| self.allocation.is_scan() && ended.attempts > 1);
        scan.map_or_else(String::new, |ended| {
            format!(" after {}", notation::grouped(ended.attempts))
        })
    }

    /// Draws the legend of the marks.
    pub fn legend(&self, column: &mut Surface<'_>) {
        let (theme, width) = (column.theme, column.width());
        let mut parts: Vec<Vec<Span>> = Vec::new();
        if let Some(heat) = &self.heat {
            parts.push(ramp(heat, theme));
        } else if self.allocation.speed() == Speed::Thousand {
            parts.push(flashes(theme));
        } else {
            let (digits, words) = if self.allocation.is_scan() {
                ("1+", " first, later attempts refused")
            } else {
                (theme.glyph("1…9+", "1..9+"), " attempt n refused")
            };
            let badge = theme.badge(Role::Collision);
            parts.push(vec![Span::styled(digits, badge), Span::raw(words)]);
            let badge = theme.badge(Role::Allocated);
            parts.push(vec![Span::styled(allocated_glyph(theme), badge), Span::raw(" allocated")]);
        }
        let held = Span::styled(held_glyph(theme), held_style(theme));
        parts.push(vec![held, Span::raw(" held by this run")]);
        if self.heat.is_none() || !theme.needs_whole_cells() {
            let (glyph, style) = if theme.needs_whole_cells() {
                (theme.glyph("▒", "="), Style::new())
            } else {
                ("█", theme.style(Role::Muted))
            };
            parts.push(vec![Span::styled(glyph, style), Span::raw(" in use")]);
        }
        // Leaves a gap to what is drawn beside the legend.
        column.line(whole_parts(parts, width.saturating_sub(1)));
    }
}

fn ramp(heat: &DensityChart, theme: &Theme) -> Vec<Span<'static>> {
    let [least, most] = heat.names();
    let mut spans = vec![Span::raw(format!("{least} "))];
    if theme.needs_whole_cells() {
        spans.push(Span::raw(theme.glyph("·░▒▓█", ".-=+*#@")));
    } else {
        spans.extend((1..=HEAT_TOP).map(|step| Span::styled("██", theme.style(Role::Heat(step)))));
    }
    spans.push(Span::raw(format!(" {most} attempts/s per port")));
    spans
}

fn flashes(theme: &Theme) -> Vec<Span<'static>> {
    let (refused, won) = if theme.needs_whole_cells() {
        (theme.glyph("×", "x"), allocated_glyph(theme))
    } else {
        ("▀", "▀")
    };
    let style = |role| {
        if theme.needs_whole_cells() { theme.badge(role) } else { theme.style(role) }
    };
    vec![
        Span::styled(refused, style(Role::Collision)),
        Span::raw(" refused just now  "),
        Span::styled(won, style(Role::Allocated)),
        Span::raw(" allocated"),
    ]
}

fn fade(mark: Mark) -> u8 {
    match mark {
        Mark::Held => u8::MAX,
        Mark::Refused { fade, .. } | Mark::Won { fade } | Mark::Flash { fade, .. } => fade,
    }
}

/// Draws the mark of the allocated port with its number. Used only at speeds at which the number
/// can be read.
fn label_port(port: u16, after: &str, at: Position, pane: &Pane, surface: &mut Surface<'_>) {
    let theme = surface.theme;
    let style = theme.badge(Role::Allocated);
    let words = format!("{port} {}{after}", theme.glyph("✓", "OK"));
    let right = format!("{} {words}", allocated_glyph(theme));
    let width = right.chars().count() as u16;
    if at.x + width <= pane.cells.right() {
        surface.within(pane.cells).put(at.x, at.y, &right, style);
    } else {
        let left = format!("{words} {}", allocated_glyph(theme));
        let x = (at.x + 1).saturating_sub(width).max(pane.cells.x);
        surface.within(pane.cells).put(x, at.y, &left, style);
    }
}

fn allocated_glyph(theme: &Theme) -> &'static str {
    theme.glyph("◆", "*")
}

fn held_glyph(theme: &Theme) -> &'static str {
    theme.glyph("●", "o")
}

fn held_style(theme: &Theme) -> Style {
    theme.badge(Role::Ok)
}
