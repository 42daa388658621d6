//! Draws how much of the automatic ports each protocol and family takes. Counts nothing.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::Lens,
    domain::{Gauge, Lane},
    view::{
        Role, Theme,
        heatmap::{level, put},
        legend::CLASSES,
        theme::letter,
        words,
    },
};

/// Bars grow no wider.
const WIDEST: u16 = 60;
/// `TCP IPv4 `
const NAME_WIDTH: u16 = 9;
/// ` 28,232 of 28,232 >99.9 %`
const FIGURES_WIDTH: u16 = 26;
/// Where a range begins to run out (screens.md, "Overview").
const TICKS: [f32; 2] = [0.70, 0.85];
/// In shorter bars the ticks would stand side by side.
const TICKED_WIDTH: u16 = 12;

/// Whether a bar's colours tell the states, or another lens has taken the colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    States,
    None,
}

impl Colors {
    pub fn under(lens: Lens) -> Self {
        if lens == Lens::State { Self::States } else { Self::None }
    }
}

/// A line a lane: name, stacked bar, figures.
pub fn render(gauges: &[Gauge], colors: Colors, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let with_counts = area.width >= NAME_WIDTH + FIGURES_WIDTH + 10;
    let figures_width = if with_counts { FIGURES_WIDTH } else { 8 };
    let bar = area.width.saturating_sub(NAME_WIDTH + figures_width).min(WIDEST);
    for (gauge, y) in gauges.iter().zip(area.top()..area.bottom()) {
        put(buffer, area, area.x, y, gauge.lane.name(), Style::reset());
        let bar = Rect { x: area.x + NAME_WIDTH, y, width: bar, height: 1 };
        stacked(gauge, colors, theme, bar.intersection(area), buffer);
        let share = words::percent(gauge.occupied, gauge.size);
        let role = level(share_of(gauge));
        put(buffer, area, bar.right(), y, &format!("{share:>8}"), theme.style(role));
        if with_counts {
            let counts = format!(
                "  {} of {}",
                words::thousands(gauge.occupied),
                words::thousands(gauge.size)
            );
            put(buffer, area, bar.right() + 8, y, &counts, theme.style(Role::Dim));
        }
    }
}

/// All lanes on one line: name, bar, percentage.
pub fn render_line(
    gauges: &[Gauge],
    colors: Colors,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let each = area.width.saturating_sub(1) / gauges.len().max(1) as u16;
    for (gauge, x) in gauges.iter().zip((area.x + 1..area.right()).step_by(usize::from(each))) {
        let name = short_name(gauge.lane);
        let share = words::percent(gauge.occupied, gauge.size);
        put(buffer, area, x, area.y, name, Style::reset());
        let bar_start = x + name.len() as u16 + 1;
        let width = each.saturating_sub(name.len() as u16 + 1 + 9);
        let bar = Rect { x: bar_start, y: area.y, width, height: 1 };
        stacked(gauge, colors, theme, bar.intersection(area), buffer);
        let style = theme.style(level(share_of(gauge)));
        put(buffer, area, bar.right() + 1, area.y, &share, style);
    }
}

/// As text, for terminals too small for bars.
pub fn line(gauge: &Gauge, theme: &Theme) -> Line<'static> {
    let share = words::percent(gauge.occupied, gauge.size);
    Line::from(vec![
        Span::raw(format!("{} ", gauge.lane.name())),
        Span::styled(share, theme.style(level(share_of(gauge)))),
    ])
}

fn short_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Tcp4 => "TCP4",
        Lane::Tcp6 => "TCP6",
        Lane::Udp4 => "UDP4",
        Lane::Udp6 => "UDP6",
    }
}

fn share_of(gauge: &Gauge) -> f32 {
    gauge.occupied as f32 / gauge.size.max(1) as f32
}

/// Each state's part of the bar in its colour, or as its letter; ticks where a range runs out.
fn stacked(gauge: &Gauge, colors: Colors, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let width = f32::from(area.width);
    let mut taken = 0;
    let mut cells = Vec::new();
    for class in CLASSES {
        taken += gauge.by_class[class as usize];
        let end = (taken as f32 / gauge.size.max(1) as f32 * width).round() as usize;
        cells.resize(cells.len().max(end), Some(class));
    }
    if cells.is_empty() && gauge.occupied > 0 {
        cells.push(CLASSES.into_iter().find(|&class| gauge.by_class[class as usize] > 0));
    }
    cells.resize(usize::from(area.width), None);
    let ticks = TICKS.map(|tick| (tick * width) as u16);
    let role = |class| if colors == Colors::States { Role::Class(class) } else { Role::Muted };
    for (x, class) in (0..area.width).zip(cells) {
        let free = Style::new().bg(theme.color(Role::Available));
        let (symbol, style) = match class {
            Some(class) if theme.needs_whole_cells() => (letter(class), theme.style(role(class))),
            Some(class) => ('█', theme.style(role(class))),
            None if area.width >= TICKED_WIDTH && ticks.contains(&x) => {
                (theme.glyph('╎', '|'), free.patch(theme.style(Role::Dim)))
            }
            None if theme.has_color() => (' ', free),
            None => (theme.glyph('·', '.'), Style::new()),
        };
        if let Some(cell) = buffer.cell_mut((area.x + x, area.y)) {
            cell.set_char(symbol).set_style(style);
        }
    }
}
