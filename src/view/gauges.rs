//! Draws how much of the ephemeral range each protocol and family uses. Does not count the ports.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::Lens,
    domain::{Gauge, ProtocolFamily, StateClass, notation},
    view::{Role, Theme, heatmap::level, legend::CLASSES, surface::Surface, theme::letter, words},
};

/// Maximum width of a bar.
const MAX_BAR_WIDTH: u16 = 60;
/// Width of `TCP IPv4 `.
const NAME_WIDTH: u16 = 9;
/// Width of ` >99.9 %  28,232 of 28,232`.
const FIGURES_WIDTH: u16 = 26;
/// Used shares that are marked on the bars: the defaults of `Thresholds`.
const TICKS: [f32; 2] = [0.70, 0.85];
/// Minimum width of a bar with ticks. In most shorter ones, the two ticks would touch.
const TICKED_WIDTH: u16 = 12;
/// Minimum width of a gauge with its full name, if all gauges are on one line.
const NAMED_WIDTH: u16 = 26;

/// Returns the colours of the state classes in a bar: grey under lenses that use the colours for
/// something else.
pub fn roles_under(lens: Lens) -> fn(StateClass) -> Role {
    if lens == Lens::State { Role::Class } else { |_| Role::Muted }
}

/// Returns one line per protocol and family: name, stacked bar, figures.
pub fn lines(gauges: &[Gauge], lens: Lens, theme: &Theme, width: u16) -> Vec<Line<'static>> {
    let with_counts = width >= NAME_WIDTH + FIGURES_WIDTH + 10;
    let figures_width = if with_counts { FIGURES_WIDTH } else { 8 };
    let bar = usize::from(width.saturating_sub(NAME_WIDTH + figures_width).min(MAX_BAR_WIDTH));
    let name_width = usize::from(NAME_WIDTH);
    let line = |gauge: &Gauge| {
        let name = format!("{:name_width$}", gauge.protocol_family.name());
        let mut line = Line::from(Span::styled(name, Style::reset()));
        line.spans.extend(stacked(&gauge.by_class, gauge.size, roles_under(lens), theme, bar));
        let share = notation::percent_of(gauge.occupied, gauge.size);
        let style = theme.style(level(gauge.share() as f32));
        line.push_span(Span::styled(format!("{share:>8}"), style));
        if with_counts {
            let counts = format!("  {}", words::of(gauge.occupied, gauge.size));
            line.push_span(Span::styled(counts, theme.style(Role::Dim)));
        }
        line
    };
    gauges.iter().map(line).collect()
}

/// Draws all protocols and families on one line, each with name, bar and percentage.
pub fn render_line(gauges: &[Gauge], lens: Lens, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let each = area.width.saturating_sub(1) / gauges.len().max(1) as u16;
    for (gauge, x) in gauges.iter().zip((area.x + 1..area.right()).step_by(usize::from(each))) {
        let name = if each < NAMED_WIDTH {
            short_name(gauge.protocol_family)
        } else {
            gauge.protocol_family.name()
        };
        let share = notation::percent_of(gauge.occupied, gauge.size);
        surface.put(x, area.y, name, Style::reset());
        let bar_start = x + name.len() as u16 + 1;
        let width = each.saturating_sub(name.len() as u16 + 1 + 9);
        let bar = Rect { x: bar_start, y: area.y, width, height: 1 }.intersection(area);
        let width = usize::from(bar.width);
        let spans = stacked(&gauge.by_class, gauge.size, roles_under(lens), theme, width);
        surface.buffer.set_line(bar.x, bar.y, &Line::from(spans), bar.width);
        let style = theme.style(level(gauge.share() as f32));
        surface.put(bar.right() + 1, area.y, &share, style);
    }
}

/// Formats a gauge as text, for terminals too small for bars.
pub fn line(gauge: &Gauge, theme: &Theme) -> Line<'static> {
    let share = notation::percent_of(gauge.occupied, gauge.size);
    Line::from(vec![
        Span::raw(format!("{} ", gauge.protocol_family.name())),
        Span::styled(share, theme.style(level(gauge.share() as f32))),
    ])
}

fn short_name(protocol_family: ProtocolFamily) -> &'static str {
    match protocol_family {
        ProtocolFamily::Tcp4 => "TCP4",
        ProtocolFamily::Tcp6 => "TCP6",
        ProtocolFamily::Udp4 => "UDP4",
        ProtocolFamily::Udp6 => "UDP6",
    }
}

/// Returns a bar of `width` columns that shows the part of each state class, in its colour or as
/// its letter. Wide bars have ticks at `TICKS`.
pub fn stacked(
    by_class: &[u32; StateClass::EACH.len()],
    size: u32,
    role: fn(StateClass) -> Role,
    theme: &Theme,
    width: usize,
) -> Vec<Span<'static>> {
    let ticks = TICKS.map(|tick| (tick * width as f32) as usize);
    let is_ticked = |x| width >= usize::from(TICKED_WIDTH) && ticks.contains(&x);
    let free = Style::new().bg(theme.color(Role::Available));
    let cell = |(x, class): (usize, Option<StateClass>)| {
        let (symbol, style) = match class {
            Some(class) if theme.needs_whole_cells() => (letter(class), theme.style(role(class))),
            Some(class) => ('█', theme.style(role(class))),
            None if is_ticked(x) => (theme.glyph('╎', '|'), free.patch(theme.style(Role::Dim))),
            None if theme.has_color() => (' ', free),
            None => (theme.glyph('·', '.'), Style::new()),
        };
        (symbol, style)
    };
    spans(cells(by_class, size, width).into_iter().enumerate().map(cell))
}

/// Returns a bar like [`stacked`], but without background and ticks, so that bars can be compared
/// by their lengths.
pub fn parts(
    by_class: &[u32; StateClass::EACH.len()],
    size: u32,
    theme: &Theme,
    width: usize,
) -> Vec<Span<'static>> {
    let cell = |class: Option<StateClass>| match class {
        Some(class) => {
            let symbol = if theme.needs_whole_cells() { letter(class) } else { '█' };
            (symbol, theme.style(Role::Class(class)))
        }
        None => (' ', Style::new()),
    };
    spans(cells(by_class, size, width).into_iter().map(cell))
}

/// Returns a span for each run of cells of one style.
fn spans(cells: impl Iterator<Item = (char, Style)>) -> Vec<Span<'static>> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (symbol, style) in cells {
        match spans.last_mut() {
            Some(last) if last.style == style => last.content.to_mut().push(symbol),
            _ => spans.push(Span::styled(symbol.to_string(), style)),
        }
    }
    spans
}

/// Returns the state class of each cell. None: the cell is empty. If all parts round to zero cells,
/// one cell shows the first class that occurs.
fn cells(
    by_class: &[u32; StateClass::EACH.len()],
    size: u32,
    width: usize,
) -> Vec<Option<StateClass>> {
    let mut taken = 0;
    let mut cells = Vec::new();
    for class in CLASSES {
        taken += by_class[class as usize];
        let end = (taken as f32 / size.max(1) as f32 * width as f32).round() as usize;
        cells.resize(cells.len().max(end), Some(class));
    }
    if cells.is_empty() && taken > 0 {
        cells.push(CLASSES.into_iter().find(|&class| by_class[class as usize] > 0));
    }
    cells.resize(width, None);
    cells
}
