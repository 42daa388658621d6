//! Draws the Map screen: its blocks by the lens, the strip above, the facts beside. The grid itself
//! is drawn by the heat map.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use crate::{
    app::{App, Extent, Grid, Lens, Scan},
    domain::{PortRange, Protocols},
    view::{
        Role, Theme,
        gauges::{self, Colors},
        heatmap::{Glyphs, Heatmap, level, put},
        inspector,
        layout::Areas,
        legend::{self, CLASSES, class_name},
        lens, words,
    },
};

/// Columns of the facts: `ESTABLISHED 28232`.
const FACTS: usize = 17;

pub fn render(app: &App, theme: &Theme, grid: &Grid, areas: &Areas, buffer: &mut Buffer) {
    let Some(scan) = app.scan() else {
        waiting(app, theme, areas, buffer);
        return;
    };
    strip(app, scan, theme, grid, areas, buffer);
    blocks(app, scan, theme, grid, areas.map, buffer);
    facts(app, scan, theme, grid, areas.facts, buffer);
    if !areas.gauges.is_empty() {
        let area = Rect { x: areas.gauges.x + 1, width: areas.gauges.width - 2, ..areas.gauges };
        let colors = Colors::under(app.map().lens);
        gauges::render(&scan.gauges, colors, theme, area, buffer);
    }
    legend::render(app, theme, areas.legend, buffer);
    inspector::render(app, scan, theme, grid, areas, buffer);
}

/// Before the first snapshot.
fn waiting(app: &App, theme: &Theme, areas: &Areas, buffer: &mut Buffer) {
    let area = areas.body;
    match app.failure() {
        None => put(buffer, area, area.x + 1, area.y + 1, "first scan..", theme.style(Role::Dim)),
        Some(why) => {
            let style = theme.style(Role::Critical);
            put(buffer, area, area.x + 1, area.y + 1, "the scan failed", style);
            let lines = words::wrapped(why.as_str(), usize::from(area.width - 2));
            for (line, y) in lines.iter().zip(area.y + 2..area.bottom()) {
                put(buffer, area, area.x + 1, y, line, Style::reset());
            }
        }
    }
}

/// The line above the map: why the last scan failed, else gauges, else what is shown.
fn strip(app: &App, scan: &Scan, theme: &Theme, grid: &Grid, areas: &Areas, buffer: &mut Buffer) {
    let area = areas.strip;
    if let Some(why) = app.failure() {
        let room = usize::from(area.width.saturating_sub(2));
        let parts = [why.to_string(), "what you see is older".to_owned()];
        let text = words::shorten(&words::fitted(&parts, "; ", room), room);
        put(buffer, area, area.x + 1, area.y, &text, theme.style(Role::Critical));
    } else if areas.has_inspector_beside {
        let dim = theme.style(Role::Dim);
        let dot = theme.glyph(" · ", " - ");
        let title = Span::styled(
            format!(" {} {}", extent_name(app), grid.range()),
            Style::reset().add_modifier(Modifier::BOLD),
        );
        let parts = [
            block_size(grid),
            protocols_name(app.map().protocols).to_owned(),
            format!("{} occupied", words::thousands(scan.tally.occupied)),
            words::percent(scan.tally.occupied, scan.tally.size),
        ];
        let room = usize::from(area.width).saturating_sub(title.width());
        let rest = format!("{dot}{}", words::fitted(&parts, dot, room.saturating_sub(4)));
        let line = Line::from(vec![title, Span::styled(rest, dim)]);
        buffer.set_line(area.x, area.y, &line, area.width);
    } else {
        let colors = Colors::under(app.map().lens);
        gauges::render_line(&scan.gauges, colors, theme, area, buffer);
    }
}

fn extent_name(app: &App) -> &'static str {
    match app.map().extent {
        Extent::Ephemeral => "Ephemeral range",
        Extent::All => "All ports",
        Extent::Ports(_) => "Chosen range",
    }
}

fn block_size(grid: &Grid) -> String {
    match grid.per_block() {
        1 => "1 port a block".to_owned(),
        ports => format!("{ports} ports a block"),
    }
}

fn protocols_name(protocols: Protocols) -> &'static str {
    match protocols {
        Protocols::Tcp => "TCP",
        Protocols::Udp => "UDP",
        Protocols::Both => "TCP and UDP",
    }
}

fn blocks(app: &App, scan: &Scan, theme: &Theme, grid: &Grid, area: Rect, buffer: &mut Buffer) {
    let paint = |block: PortRange| lens::paint(app, scan, block);
    let is_density = app.map().lens == Lens::State && !theme.has_color();
    let heatmap = Heatmap {
        grid,
        bracket: scan.snapshot.ephemeral.range,
        cursor: Some(app.map().cursor),
        glyphs: if is_density { Glyphs::Density } else { Glyphs::Letters },
        paint: &paint,
        share: &|ports| app.tally(ports).share(),
    };
    heatmap.render(theme, area, buffer);
}

/// What fits into the column beside a narrow map.
fn facts(app: &App, scan: &Scan, theme: &Theme, grid: &Grid, area: Rect, buffer: &mut Buffer) {
    let tally = &scan.tally;
    let dim = theme.style(Role::Dim);
    let plain = Style::reset();
    let share = words::percent(tally.occupied, tally.size);
    let mut lines = vec![
        (protocols_name(app.map().protocols).to_owned(), plain),
        (block_size(grid), dim),
        (String::new(), plain),
        (format!("{} occupied", words::thousands(tally.occupied)), plain),
        (share, theme.style(level(tally.share()))),
        (format!("{} available", words::thousands(tally.available)), plain),
        (format!("{} reserved", words::thousands(tally.reserved)), plain),
        (String::new(), plain),
    ];
    let counted = legend::entries(app, scan, theme);
    let is_owner = app.map().lens == Lens::Owner;
    lines.extend(counted.into_iter().filter_map(|entry| {
        // The facts above tell what is available and reserved.
        let is_told = !is_owner && !CLASSES.map(class_name).contains(&entry.name.as_str());
        let count = entry.count.filter(|&count| count > 0 && !is_told)?.to_string();
        let mark = if is_owner && theme.needs_whole_cells() { entry.mark } else { ' ' };
        let text = format!("{mark} {}", words::shorten(&entry.name, FACTS - 1 - count.len()));
        let text = words::shorten(text.trim_start(), FACTS - 1 - count.len());
        let width = FACTS.saturating_sub(text.width());
        Some((format!("{text}{count:>width$}"), entry.style))
    }));
    for ((text, style), y) in lines.iter().zip(area.y + 1..area.bottom()) {
        put(buffer, area, area.x + 1, y, text, *style);
    }
}
