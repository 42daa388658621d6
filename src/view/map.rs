//! Draws the Map screen: the blocks under the current lens, the line above the map, the facts
//! beside it, and the parts below it. `heatmap` draws the grid.

use ratatui::{
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use crate::{
    app::{
        App, Extent, FoundProcesses, Grid, LatestScan, Lens, Plan, PointerTarget, Resolution, Size,
        lens::LensCounts,
    },
    domain::{PortRange, Protocols, notation},
    view::{
        Role, Theme, gauges,
        heatmap::{GlyphMeaning, Heatmap, Pane, Pointed, level, occupied},
        inspector,
        layout::FrameAreas,
        legend::{self, LegendEntry},
        lens, loupe,
        surface::{Surface, indented},
        words,
    },
};

/// Width of the facts: `ESTABLISHED 28.2k`.
const FACTS: usize = 17;

/// Draws the screen, if the terminal has room for a map.
pub fn render(app: &App, areas: &FrameAreas, surface: &mut Surface<'_>) {
    let Some(plan) = plan(app, surface.area) else { return };
    let grid = &plan.grid;
    let Some(scan) = app.scan() else {
        waiting(app, &mut surface.within(areas.body));
        return;
    };
    strip(app, scan, grid, areas, &mut surface.within(areas.strip));
    ports(app, scan, &plan, areas, surface);
    facts(app, scan, grid, &mut surface.within(areas.facts));
    gauges(app, scan, &mut surface.within(areas.gauges));
    legend::render(app, grid.resolution(), &mut surface.within(areas.legend));
    inspector::render(app, scan, grid, areas, surface);
}

fn plan(app: &App, area: Rect) -> Option<Plan> {
    app.plan(Size { columns: area.width, rows: area.height })
}

/// Returns the ports of the block at a position of the map or the loupe.
pub fn hit(app: &App, area: Rect, areas: &FrameAreas, at: Position) -> Option<PointerTarget> {
    let plan = plan(app, area)?;
    let on_map = Pane::within(areas.map, &plan.grid).block_at(&plan.grid, at);
    on_map.or_else(|| loupe::port_at(app, &plan, areas.loupe, at)).map(PointerTarget::Ports)
}

/// Draws each gauge on its own line, or all on one line if the area has only one.
fn gauges(app: &App, scan: &LatestScan, surface: &mut Surface<'_>) {
    let lens = app.map().lens;
    match surface.area.height {
        0 => {}
        1 => gauges::render_line(&scan.gauges, lens, surface),
        _ => {
            let mut surface = surface.within(indented(surface.area));
            let lines = gauges::lines(&scan.gauges, lens, surface.theme, surface.area.width);
            surface.lines(&lines);
        }
    }
}

/// Draws a message while there is no snapshot yet.
pub fn waiting(app: &App, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    match app.failure() {
        None => surface.put(area.x + 1, area.y + 1, "first scan..", theme.style(Role::Dim)),
        Some(why) => {
            let style = theme.style(Role::Critical);
            surface.put(area.x + 1, area.y + 1, "scan failed", style);
            let lines = words::wrapped(why.as_str(), usize::from(area.width.saturating_sub(2)));
            for (line, y) in lines.iter().zip(area.y + 2..area.bottom()) {
                surface.put(area.x + 1, y, line, Style::reset());
            }
        }
    }
}

/// Draws the line above the map: the error of the last scan, the process that was not found, the
/// gauges, or the range and counts of the map.
fn strip(app: &App, scan: &LatestScan, grid: &Grid, areas: &FrameAreas, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let room = usize::from(area.width.saturating_sub(2));
    if let Some(why) = app.failure() {
        let parts = [why.to_string(), "showing older data".to_owned()];
        let text = words::whole_words(&words::fitted(&parts, "; ", room), room);
        surface.put(area.x + 1, area.y, &text, theme.style(Role::Critical));
    } else if let Some(find) = app.not_found() {
        let text = words::whole_words(&words::not_found(app, scan, find), room);
        surface.put(area.x + 1, area.y, &text, theme.style(Role::Warn));
    } else if let Some(found) = app.found() {
        let text = words::whole_words(&found_ports(app, found, room), room);
        surface.put(area.x + 1, area.y, &text, theme.style(Role::Text));
    } else if !areas.gauges.is_empty() || areas.has_inspector_beside {
        let line = title(app, scan, theme, grid, usize::from(area.width));
        surface.lines([&line]);
    } else {
        gauges::render_line(&scan.gauges, app.map().lens, surface);
    }
}

/// Formats the ports of the processes that the command line names: as many as fit, then the number
/// of the others.
fn found_ports(app: &App, found: &FoundProcesses, room: usize) -> String {
    let count = notation::counted(found.ports.len() as u64, "port");
    with_ports(format!("{}: {count}:", found.words(app.processes())), &found.ports, room)
}

/// Adds as many ports as fit into `room` columns, at least one, then the number of the others.
fn with_ports(mut text: String, ports: &[u16], room: usize) -> String {
    for (index, port) in ports.iter().enumerate() {
        let separator = if index == 0 { " " } else { ", " };
        let longer = format!("{text}{separator}{port}");
        let more = |left: usize| match left {
            0 => String::new(),
            left => format!(" and {} more", notation::grouped(left as u64)),
        };
        let left = ports.len() - index;
        if index > 0 && longer.width() + more(left - 1).len() > room {
            return text + &more(left);
        }
        text = longer;
    }
    text
}

/// Returns the range and counts of the map, or of the selected span.
fn title(app: &App, scan: &LatestScan, theme: &Theme, grid: &Grid, width: usize) -> Line<'static> {
    let (name, range) = match app.span() {
        Some(range) => ("Span", range),
        None => (extent_name(app, grid), grid.range()),
    };
    let title = Span::styled(format!(" {name} {range}"), Style::reset().bold());
    let parts = match app.span() {
        Some(measured) => span_words(app, measured),
        None => vec![
            block_size(grid),
            format!("{} in use", notation::grouped(scan.lens_counts.occupied)),
            notation::percent_of(scan.lens_counts.occupied, scan.lens_counts.size),
            shown_protocols(app),
            format!("{} per row", notation::grouped(grid.row_length())),
        ],
    };
    let room = width.saturating_sub(title.width() + 4);
    let rest = format!(" · {}", words::fitted(&parts, " · ", room));
    Line::from(vec![title, Span::styled(rest, theme.style(Role::Dim))])
}

/// Names the ports that the map shows. A part of an extent, after zooming in, has no name.
fn extent_name(app: &App, grid: &Grid) -> &'static str {
    match app.map().extent {
        _ if grid.range() != app.map().range(app.ephemeral()) => "Ports",
        Extent::Ephemeral => "Ephemeral range",
        Extent::All => "All ports",
        Extent::Ports(_) => "Chosen range",
    }
}

/// Formats how many ports a block or dot of the map shows.
pub fn block_size(grid: &Grid) -> String {
    match (grid.resolution(), grid.per_block()) {
        (Resolution::Dots, _) => "1 port/dot".to_owned(),
        (Resolution::Letters | Resolution::Numbers(_), _) | (Resolution::Blocks, 1) => {
            "1 port/block".to_owned()
        }
        (Resolution::Blocks, ports) => format!("{ports} ports/block"),
    }
}

/// Returns the counts of the selected span.
fn span_words(app: &App, span: PortRange) -> Vec<String> {
    let LensCounts { size, occupied, .. } = app.lens_counts(span);
    let counts = [(size, "ports"), (occupied, "in use"), (size - occupied, "free")];
    counts.map(|(ports, what)| format!("{} {what}", notation::grouped(ports))).into()
}

/// Names the protocols of the map: `TCP only`.
fn shown_protocols(app: &App) -> String {
    let name = protocols_name(app.map().protocols);
    match app.map().protocols {
        Protocols::Both => name.to_owned(),
        Protocols::Tcp | Protocols::Udp => format!("{name} only"),
    }
}

pub fn protocols_name(protocols: Protocols) -> &'static str {
    match protocols {
        Protocols::Tcp => "TCP",
        Protocols::Udp => "UDP",
        Protocols::Both => "TCP and UDP",
    }
}

/// Draws the map and, below it, the loupe.
fn ports(app: &App, scan: &LatestScan, plan: &Plan, areas: &FrameAreas, surface: &mut Surface<'_>) {
    let paint = |block: PortRange| lens::paint(app, scan, block);
    let is_density = app.map().lens == Lens::State && !surface.theme.has_color();
    let heatmap = Heatmap {
        grid: &plan.grid,
        bracket: scan.snapshot.ephemeral.range,
        cursor: Some(app.map().cursor),
        glyphs: if is_density { GlyphMeaning::Density } else { GlyphMeaning::Letters },
        paint: &paint,
        share: &|ports| share(app, scan, ports),
        taken: &|block| taken(app, scan, block),
        owner: &|port| owner(app, scan, port),
        pointed: Pointed { hover: app.hover(), span: app.span() },
    };
    heatmap.render(&mut surface.within(areas.map));
    loupe::render(app, plan, &heatmap, &mut surface.within(areas.loupe));
}

/// Returns the share (0 to 1) of a line's ports that are in use or, under connect and bind, marked
/// by the lens.
fn share(app: &App, scan: &LatestScan, ports: PortRange) -> f32 {
    if app.map().lens.marks_ports() {
        return scan.categories.marked(ports).map_or(0.0, |(_, share)| share);
    }
    scan.occupancy.occupied_in(ports, app.map().protocols) as f32 / ports.len() as f32
}

/// Returns which ports of a block of eight are in use or, under connect and bind, marked by the
/// lens.
fn taken(app: &App, scan: &LatestScan, block: PortRange) -> u8 {
    if !app.map().lens.marks_ports() {
        return occupied(&scan.occupancy, app.map().protocols, block);
    }
    let is_marked = |port| {
        let alone = PortRange::new(port, port).ok();
        alone.and_then(|port| scan.categories.marked(port)).is_some()
    };
    block.ports().fold(0, |bits, port| bits | u8::from(is_marked(port)) << (port % 8))
}

fn owner(app: &App, scan: &LatestScan, port: u16) -> String {
    let protocols = app.map().protocols;
    let mut sockets = app.sockets_on(port).filter(|s| protocols.includes(s.protocol));
    let pid = sockets.find_map(|s| scan.snapshot.owner(s).pids().first().copied());
    let process = pid.and_then(|pid| app.processes().get(pid));
    process.map_or_else(String::new, |process| process.name.to_string())
}

/// Draws the facts that fit into the column beside a narrow map.
fn facts(app: &App, scan: &LatestScan, grid: &Grid, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    if area.is_empty() {
        return;
    }
    let lens_counts = &scan.lens_counts;
    let dim = theme.style(Role::Dim);
    let plain = Style::reset();
    let share = notation::percent_of(lens_counts.occupied, lens_counts.size);
    let mut lines = vec![
        (shown_protocols(app), plain),
        (block_size(grid), dim),
        (String::new(), plain),
        (format!("{} in use", notation::grouped(lens_counts.occupied)), plain),
        (share, theme.style(level(lens_counts.share()))),
        (format!("{} free", notation::grouped(lens_counts.available)), plain),
    ];
    if app.map().extent != Extent::Ephemeral {
        lines.push(("in the range".to_owned(), dim));
    }
    lines.push((format!("{} reserved", notation::grouped(lens_counts.reserved)), plain));
    lines.push((String::new(), plain));
    let entries = legend::entries(app, scan, theme);
    let is_state = app.map().lens == Lens::State;
    lines.extend(entries.into_iter().filter_map(|entry| {
        // The facts above already include free and reserved ports.
        let count = entry.count.filter(|&count| count > 0 && !entry.is_reported_beside())?;
        let mark = if !is_state && theme.needs_whole_cells() { entry.mark } else { ' ' };
        Some((counted(format!("{mark} ").trim_start(), &entry, count), entry.style))
    }));
    let rows = area.y + 1..area.bottom();
    if lines.len() > rows.len() {
        lines.retain(|(text, _)| !text.is_empty());
    }
    for ((text, style), y) in lines.iter().zip(rows) {
        surface.put(area.x + 1, y, text, *style);
    }
}

/// Formats a mark, the name of its entry and, at the right end of the facts, its count. Rounds the
/// count if the name then fits in full, else takes a shorter name.
fn counted(mark: &str, entry: &LegendEntry, count: u32) -> String {
    let names = std::iter::once(&*entry.name).chain(entry.short_names.iter().copied());
    let counts = [notation::grouped(count), legend::rounded(count)];
    let mut wordings =
        names.flat_map(|name| counts.iter().map(move |count| (format!("{mark}{name}"), count)));
    let fitting = wordings.find(|(name, count)| name.width() + 1 + count.len() <= FACTS);
    let (name, count) = fitting.unwrap_or_else(|| {
        let room = FACTS.saturating_sub(1 + counts[0].len());
        (words::short_name(&format!("{mark}{}", entry.name), room), &counts[0])
    });
    let width = FACTS.saturating_sub(name.width());
    format!("{name}{count:>width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ports_has_whole_numbers_and_the_number_of_the_others() {
        let ports: Vec<u16> = (40_000..42_000).collect();
        let text = with_ports("x:".to_owned(), &ports, 40);
        assert_eq!(text, "x: 40000, 40001, 40002 and 1,997 more");
        assert_eq!(with_ports("x:".to_owned(), &ports[..2], 40), "x: 40000, 40001");
    }
}
