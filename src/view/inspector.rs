//! Draws the inspector: all that is known about the port under the pointer or the cursor. Does not
//! draw the map.

mod below;
mod neighbours;
mod port;
mod port_history;
mod range;
mod release;

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use crate::{
    app::{App, Grid, LatestScan, Lens, inspected_port::InspectedPort},
    domain::{PortRange, Socket, StateClass},
    view::{
        Role, Theme,
        layout::FrameAreas,
        surface::{Surface, indented},
        words,
    },
};

/// Minimum width for two columns beside the map, and maximum width of the neighbours and the range.
const WIDE: u16 = 60;
/// Minimum width for two columns below the map.
const WIDE_BELOW: u16 = 76;
/// Minimum height for two columns below the map. On fewer lines, the port needs the whole width.
const COLUMN_LINES: u16 = 14;
const COLUMN_GAP: u16 = 2;
/// Maximum width of the right column. Wider bars would show nothing more.
const RIGHT_WIDTH: u16 = 46;
/// Number of lines of a port with a typical socket. They are reserved, so that the lines below do
/// not move when the pointer moves to another port.
const PORT_LINES: usize = 14;
/// Minimum height for one wide column: enough for the port and for all sections below it.
const HIGH: usize = 50;
/// Width of the text that is copied, so that few command lines are cut.
const TEXT_WIDTH: usize = 400;

/// Data from which the parts of the inspector are drawn.
#[derive(Clone, Copy)]
struct InspectorContext<'a> {
    app: &'a App,
    scan: &'a LatestScan,
    theme: &'a Theme,
    port: u16,
    /// What was found in the sockets of the port.
    inspected: &'a InspectedPort,
    /// The block of the map that contains the port. None: the map does not show the port.
    block: Option<PortRange>,
    /// The socket that is selected on a screen without a map; its owner comes first. None: the
    /// port is inspected.
    socket: Option<&'a Socket>,
    width: usize,
}

pub fn render(
    app: &App,
    scan: &LatestScan,
    grid: &Grid,
    areas: &FrameAreas,
    surface: &mut Surface<'_>,
) {
    let theme = surface.theme;
    let port = app.inspected();
    let Some(inspected) = app.inspected_port(port) else { return };
    let block = app.hover().or_else(|| grid.block(grid.block_position(port)?));
    let area = areas.inspector;
    let width = usize::from(area.width.saturating_sub(2));
    let context = InspectorContext {
        app,
        scan,
        theme,
        port,
        inspected: &inspected,
        block,
        socket: None,
        width,
    };
    let has_families = areas.gauges.is_empty();
    if areas.has_inspector_beside {
        let rule = theme.glyph("│", "|");
        for y in area.top()..area.bottom() {
            surface.buffer.set_string(area.x, y, rule, theme.style(Role::Border));
        }
        let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
        columns(context, has_families, &mut surface.within(inner));
    } else if area.width >= WIDE_BELOW && area.height >= COLUMN_LINES {
        // The line above or below the map already has the gauges.
        columns(context, false, &mut surface.within(indented(area)));
    } else {
        let height = usize::from(area.height);
        let (lines, needed) = below::lines(&context, height);
        surface.within(area).lines(&page(&context, lines, needed, height));
    }
}

/// Draws what is known about the port of a socket, the owner of the socket first, and what frees
/// the port.
pub fn render_socket(app: &App, scan: &LatestScan, socket: &Socket, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let port = socket.local.port;
    let Some(inspected) = app.inspected_port(port) else { return };
    let context = InspectorContext {
        app,
        scan,
        theme,
        port,
        inspected: &inspected,
        block: None,
        socket: Some(socket),
        width: usize::from(area.width),
    };
    let height = usize::from(area.height);
    let (lines, needed) = below::lines(&context, height);
    surface.lines(&page(&context, lines, needed, height));
}

/// Returns all that is known about the port, as lines of text without a frame.
pub fn text(app: &App, scan: &LatestScan, theme: &Theme) -> Vec<String> {
    let port = app.inspected();
    let Some(inspected) = app.inspected_port(port) else { return Vec::new() };
    let context = InspectorContext {
        app,
        scan,
        theme,
        port,
        inspected: &inspected,
        block: None,
        socket: None,
        width: TEXT_WIDTH,
    };
    let [port_lines, history_lines] =
        [port::lines(&context, usize::MAX).0, port_history::lines(&context)];
    let rows = |lines: Vec<Line<'static>>| {
        let text = |line: Line<'static>| line.to_string().trim_end().to_owned();
        lines.into_iter().map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>()
    };
    let mut lines = vec![format!("port {port}")];
    lines.extend(rows(port_lines));
    // The first line is a title with a rule.
    let history_rows = rows(history_lines.into_iter().skip(1).collect());
    if !history_rows.is_empty() {
        lines.push("history (changes between scans)".to_owned());
        lines.extend(history_rows);
    }
    lines
}

/// Draws the port and its surroundings one below the other. On an area that is wide but not high,
/// draws them side by side.
fn columns(context: InspectorContext<'_>, has_families: bool, surface: &mut Surface<'_>) {
    let area = surface.area;
    let height = usize::from(area.height);
    if area.width >= WIDE && height < HIGH {
        let width = RIGHT_WIDTH.min((area.width - COLUMN_GAP) / 2);
        let left = Rect { width: area.width - COLUMN_GAP - width, ..area };
        let right = Rect { x: left.right() + COLUMN_GAP, width, ..area };
        let context = context.as_wide_as(left);
        surface.within(left).lines(&PortLines::of(&context, height).page(&context, height));
        let range_lines = range_and_neighbours(&context.as_wide_as(right), has_families, height);
        surface.within(right).lines(&range_lines);
    } else {
        let narrow = Rect { width: area.width.min(WIDE), ..area };
        let context = context.as_wide_as(area);
        let port_lines = PortLines::of(&context, PORT_LINES);
        // The sections below the port get only lines that it does not need.
        let least = PORT_LINES.max(port_lines.head.len() + port_lines.needed);
        let mut range_lines = range_and_neighbours(
            &context.as_wide_as(narrow),
            has_families,
            height.saturating_sub(least + 1),
        );
        if !range_lines.is_empty() {
            range_lines.insert(0, Line::default());
        }
        let top = Rect { height: area.height.saturating_sub(range_lines.len() as u16), ..area };
        let room = usize::from(top.height);
        let port_lines = PortLines::of(&context, room.max(PORT_LINES));
        surface.within(top).lines(&port_lines.page(&context, room));
        let bottom = Rect { y: top.bottom(), height: area.height - top.height, ..area };
        surface.within(bottom).lines(&range_lines);
    }
}

/// What is known about the port.
struct PortLines {
    /// The selected span, and the title of the port.
    head: Vec<Line<'static>>,
    /// The port and its history.
    lines: Vec<Line<'static>>,
    /// How many of `lines` must not be left out.
    needed: usize,
}

impl PortLines {
    /// Long commands have as many lines as fit into `room` lines.
    fn of(context: &InspectorContext<'_>, room: usize) -> Self {
        let mut head = range::span_lines(context);
        if !head.is_empty() {
            head.push(Line::default());
        }
        head.push(port::title(context));
        let mut history_lines = port_history::lines(context);
        if !history_lines.is_empty() {
            history_lines.insert(0, Line::default());
        }
        let room = room.saturating_sub(head.len() + history_lines.len());
        let (mut lines, needed) = port::lines(context, room);
        lines.extend(history_lines);
        Self { head, lines, needed }
    }

    /// Returns the head and the current page of the lines, `room` lines in all.
    fn page(self, context: &InspectorContext<'_>, room: usize) -> Vec<Line<'static>> {
        let Self { mut head, lines, needed } = self;
        let room = room.saturating_sub(head.len());
        head.extend(page(context, lines, needed, room));
        head
    }
}

/// Returns the lines of the current page. The first page has no number if the `needed` first lines
/// fit; the others show the numbers of their lines, behind the last one if all pages have room there,
/// else below.
fn page(
    context: &InspectorContext<'_>,
    mut lines: Vec<Line<'static>>,
    needed: usize,
    room: usize,
) -> Vec<Line<'static>> {
    let all = lines.len();
    let numbers = |start: usize, end| {
        context.dim(format!(" lines {}-{end} of {all} · J K scroll", start + 1))
    };
    let room_behind =
        |line: &Line<'_>| context.width.checked_sub(line.width() + numbers(all, all).width());
    let is_behind =
        lines.chunks(room.max(1)).all(|page| page.last().and_then(room_behind).is_some());
    let each = room.saturating_sub(usize::from(!is_behind)).max(1);
    let first_page = if needed <= room { room.max(1) } else { each };
    let pages = 1 + all.saturating_sub(first_page).div_ceil(each);
    let number = context.app.inspector_page().rem_euclid(pages.cast_signed()) as usize;
    let (start, length) = match number {
        0 => (0, first_page),
        _ => (first_page + (number - 1) * each, each),
    };
    let end = all.min(start + length);
    let mut page: Vec<_> = lines.drain(start..end).collect();
    if room > 1 && pages > 1 && (number > 0 || needed > room) {
        let numbers = numbers(start, end);
        match page.last_mut().filter(|_| is_behind) {
            Some(last) => {
                let width = context.width - numbers.width() - last.width();
                last.push_span(Span::raw(" ".repeat(width)));
                last.push_span(Span::styled(numbers.to_string(), numbers.style));
            }
            None => page.push(numbers),
        }
    }
    page.truncate(room);
    page
}

/// Returns the lines of the neighbours, the range, and its use by protocol and family. Leaves out
/// each section that does not fit in full.
fn range_and_neighbours(
    context: &InspectorContext<'_>,
    has_families: bool,
    room: usize,
) -> Vec<Line<'static>> {
    let by_family = if has_families { range::family_lines(context) } else { Vec::new() };
    let mut lines: Vec<Line<'static>> = Vec::new();
    for mut section in [neighbours::lines(context), range::lines(context), by_family] {
        let gap = usize::from(!lines.is_empty());
        if section.is_empty() || lines.len() + gap + section.len() > room {
            continue;
        }
        if gap > 0 {
            lines.push(Line::default());
        }
        lines.append(&mut section);
    }
    lines
}

impl InspectorContext<'_> {
    fn as_wide_as(self, area: Rect) -> Self {
        Self { width: usize::from(area.width), ..self }
    }

    /// Formats a title: `Port 49152 ------- 2 sockets`. Drops the right part if there is no room
    /// for both.
    fn title(&self, left: &str, right: &str) -> Line<'static> {
        let rule = self.theme.glyph("─", "-");
        let fits = left.width() + right.width() + 3 <= self.width && !right.is_empty();
        let right = if fits { format!(" {right}") } else { String::new() };
        let length = self.width.saturating_sub(left.width() + 1 + right.width());
        Line::from(vec![
            Span::styled(words::shorten(left, self.width), Style::reset().bold()),
            Span::styled(format!(" {}", rule.repeat(length)), self.theme.style(Role::Border)),
            Span::raw(right),
        ])
    }

    fn dim(&self, text: impl Into<String>) -> Line<'static> {
        Line::styled(text.into(), self.theme.style(Role::Dim))
    }

    /// Puts the parts on as many lines as needed. Splits a part only if it is longer than a line.
    fn dim_rows(&self, parts: &[String]) -> impl Iterator<Item = Line<'static>> {
        let rows = words::rows(parts, " · ", self.width).into_iter();
        let lines = rows.flat_map(|row| words::wrapped(&row, self.width.max(1)));
        lines.map(|line| self.dim(line))
    }

    /// Returns the style of a state: its colour under the state lens, else that of plain text,
    /// because the colours then mean something else.
    fn class_style(&self, class: StateClass) -> Style {
        let is_state = self.socket.is_some() || self.app.map().lens == Lens::State;
        self.theme.style(if is_state { Role::Class(class) } else { Role::Text })
    }

    /// Formats `40200-40219: 12 of 20 in use`. None: the block is a single port, or the map does
    /// not show the port.
    fn block_words(&self) -> Option<String> {
        let block = self.block.filter(|block| block.len() > 1)?;
        let lens_counts = self.app.lens_counts(block);
        Some(format!("{block}: {} of {} in use", lens_counts.occupied, lens_counts.size))
    }
}
