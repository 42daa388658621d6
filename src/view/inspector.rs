//! Draws all that is known of the port under the cursor. Not the map.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use crate::{
    app::{App, Grid, Lens, Scan, lens::Tally},
    domain::{
        PortRange, Socket, StateClass,
        port::{IANA_DYNAMIC, REGISTERED},
    },
    view::{
        Role, Theme,
        gauges::{self, Colors},
        layout::Areas,
        legend,
        theme::letter,
        words,
    },
};

/// `remote  `
const LABEL_WIDTH: usize = 8;
/// Owners of one socket that are named.
const NAMED_OWNERS: usize = 4;
const COMMAND_LINES: usize = 2;

/// What the drawing functions share.
struct Sight<'a> {
    app: &'a App,
    scan: &'a Scan,
    theme: &'a Theme,
    port: u16,
    block: PortRange,
    width: usize,
}

pub fn render(
    app: &App,
    scan: &Scan,
    theme: &Theme,
    grid: &Grid,
    areas: &Areas,
    buffer: &mut Buffer,
) {
    let port = app.map().cursor;
    let block = grid.place(port).and_then(|place| grid.block(place));
    let Some(block) = block else { return };
    let area = areas.inspector;
    let width = usize::from(area.width.saturating_sub(2));
    let sight = Sight { app, scan, theme, port, block, width };
    if areas.has_inspector_beside {
        beside(&sight, areas, buffer);
    } else {
        below(&sight, area, buffer);
    }
}

/// A column of its own.
fn beside(sight: &Sight<'_>, areas: &Areas, buffer: &mut Buffer) {
    let area = areas.inspector;
    let rule = sight.theme.glyph("│", "|");
    for y in area.top()..area.bottom() {
        buffer.set_string(area.x, y, rule, sight.theme.style(Role::Border));
    }
    let inner = Rect { x: area.x + 2, width: area.width.saturating_sub(2), ..area };
    let range = range_lines(sight);
    let has_lanes = areas.gauges.is_empty();
    let lanes_height = if has_lanes { 1 + sight.scan.gauges.len() as u16 } else { 0 };
    // The port comes first: the range gets what a socket of the usual kind leaves.
    let for_range = inner.height.saturating_sub(12 + lanes_height);
    let range_height = if for_range >= range.len() as u16 { range.len() as u16 } else { 0 };
    let port_height = inner.height - range_height - lanes_height.min(inner.height);
    let top = Rect { height: port_height, ..inner };
    draw(&port_lines(sight, usize::from(port_height)), top, buffer);
    let middle = Rect { y: inner.y + port_height, height: range_height, ..inner };
    draw(&range, middle, buffer);
    if has_lanes {
        let bottom = Rect { y: middle.bottom(), height: lanes_height, ..inner };
        draw(&[title(sight, "Ephemeral range", "")], bottom, buffer);
        let lanes = Rect { y: bottom.y + 1, height: bottom.height - 1, ..bottom };
        let colors = Colors::under(sight.app.map().lens);
        let lanes = lanes.intersection(inner);
        gauges::render(&sight.scan.gauges, colors, sight.theme, lanes, buffer);
    }
}

/// Lines under the map: the port, then a socket a line.
fn below(sight: &Sight<'_>, area: Rect, buffer: &mut Buffer) {
    let sockets: Vec<&Socket> = sight.app.sockets_on(sight.port).collect();
    let dot = sight.theme.glyph(" · ", " - ");
    let mut first = Line::from(vec![
        Span::raw(" "),
        Span::styled(format!(" {} ", sight.port), sight.theme.badge(Role::Cursor)),
        Span::raw(" "),
    ]);
    if let (1, Some(socket)) = (area.height, sockets.first()) {
        first.spans.extend(socket_spans(sight, socket));
        if sockets.len() > 1 {
            first.push_span(format!(" +{} more", sockets.len() - 1));
        }
    } else {
        let parts = [vec![what(sight, sockets.len()), block_words(sight)], nature(sight)].concat();
        first.push_span(words::fitted(&parts, dot, sight.width.saturating_sub(8)));
    }
    let mut lines = vec![first];
    let room = usize::from(area.height.saturating_sub(1));
    let shown = if sockets.len() > room { room.saturating_sub(1) } else { sockets.len() };
    for socket in &sockets[..shown] {
        let mut line = Line::from("  ");
        line.spans.extend(socket_spans(sight, socket));
        lines.push(line);
    }
    if room > 0 && shown < sockets.len() {
        let more = format!("  +{}", words::plural(sockets.len() - shown, "more socket"));
        lines.push(Line::styled(more, sight.theme.style(Role::Dim)));
    }
    draw(&lines, area, buffer);
}

fn draw(lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) {
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        buffer.set_line(area.x, y, line, area.width);
    }
}

/// `Port 49152 ------- 2 sockets`
fn title(sight: &Sight<'_>, left: &str, right: &str) -> Line<'static> {
    let rule = sight.theme.glyph("─", "-");
    let right = if right.is_empty() { String::new() } else { format!(" {right}") };
    let length = sight.width.saturating_sub(left.len() + 1 + right.len());
    Line::from(vec![
        Span::styled(left.to_owned(), Style::reset().add_modifier(Modifier::BOLD)),
        Span::styled(format!(" {}", rule.repeat(length)), sight.theme.style(Role::Border)),
        Span::raw(right),
    ])
}

fn port_lines(sight: &Sight<'_>, room: usize) -> Vec<Line<'static>> {
    let sockets: Vec<&Socket> = sight.app.sockets_on(sight.port).collect();
    let count = words::plural(sockets.len(), "socket");
    let mut lines = vec![title(sight, &format!("Port {}", sight.port), &count)];
    let dim = sight.theme.style(Role::Dim);
    let dot = sight.theme.glyph(" · ", " - ");
    let nature = words::rows(&nature(sight), dot, sight.width);
    lines.extend(nature.into_iter().map(|text| Line::styled(text, dim)));
    lines.push(Line::styled(format!("block {}", block_words(sight)), dim));
    if sockets.is_empty() {
        lines.push(Line::default());
        lines.push(Line::raw(what(sight, 0)));
    }
    for (index, socket) in sockets.iter().enumerate() {
        let next = socket_lines(sight, socket);
        let left = sockets.len() - index;
        let needed = next.len() + usize::from(left > 1);
        if index > 0 && lines.len() + needed > room {
            lines.push(Line::styled(format!("+{left} more"), dim));
            return lines;
        }
        lines.extend(next);
    }
    lines.extend(neighbours(sight, room.saturating_sub(lines.len())));
    lines
}

/// Even or odd, and which ranges it is in.
fn nature(sight: &Sight<'_>) -> Vec<String> {
    let port = sight.port;
    let ephemeral = &sight.scan.snapshot.ephemeral;
    let parity = if port.is_multiple_of(2) { "even" } else { "odd" };
    let named = match port {
        _ if IANA_DYNAMIC.contains(port) => "IANA dynamic",
        _ if REGISTERED.contains(port) => "IANA registered",
        _ => "IANA system",
    };
    let mut words = vec![parity.to_owned(), format!("0x{port:04X}")];
    if ephemeral.range.contains(port) {
        words.push("ephemeral".to_owned());
    }
    words.push(named.to_owned());
    if ephemeral.is_reserved(port) {
        words.push("reserved".to_owned());
    }
    if port < ephemeral.unprivileged_start {
        words.push("privileged".to_owned());
    }
    words
}

fn what(sight: &Sight<'_>, sockets: usize) -> String {
    let ephemeral = &sight.scan.snapshot.ephemeral;
    if sockets > 0 {
        return words::plural(sockets, "socket");
    }
    let in_range = ephemeral.range.contains(sight.port);
    match (in_range, ephemeral.is_reserved(sight.port)) {
        (true, false) => "available",
        (true, true) => "no socket, skipped by automatic choice",
        (false, _) => "no socket, outside of the range",
    }
    .to_owned()
}

/// `40200-40219: 12 of 20 used`
fn block_words(sight: &Sight<'_>) -> String {
    let Tally { occupied, size, .. } = sight.app.tally(sight.block);
    format!("{}: {occupied} of {size} used", sight.block)
}

fn state_badge(sight: &Sight<'_>, socket: &Socket) -> Span<'static> {
    let role = Role::Class(StateClass::of(socket.state));
    Span::styled(format!(" {} ", socket.state), sight.theme.badge(role))
}

fn socket_lines(sight: &Sight<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let lane = format!(" {} {}", socket.protocol.name(), socket.family.name());
    let mut head = Line::from(vec![state_badge(sight, socket), Span::raw(lane)]);
    if let Some(seconds) = words::seconds_left(socket) {
        head.push_span(Span::raw(format!(", {seconds} s left")));
    }
    let mut lines = vec![Line::default(), head];
    lines.extend(field(sight, "local", &socket.local.to_string()));
    if let Some(remote) = socket.remote {
        lines.extend(field(sight, "remote", &remote.to_string()));
    }
    lines.extend(owner_lines(sight, socket));
    lines
}

fn owner_lines(sight: &Sight<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let snapshot = &sight.scan.snapshot;
    let owners = words::owner(sight.app, snapshot, socket);
    let mut lines = Vec::new();
    for (index, owner) in owners.iter().take(NAMED_OWNERS).enumerate() {
        lines.extend(field(sight, if index == 0 { "owner" } else { "" }, owner));
    }
    if owners.len() > NAMED_OWNERS {
        lines.extend(field(sight, "", &format!("+{} more", owners.len() - NAMED_OWNERS)));
    }
    let pids = snapshot.owner(socket).pids();
    let process = pids.first().and_then(|&pid| sight.app.processes().get(pid));
    if let Some(process) = process.filter(|p| !p.command.is_empty()) {
        let room = COMMAND_LINES * (sight.width - LABEL_WIDTH);
        lines.extend(field(sight, "command", &words::shorten(process.command.as_str(), room)));
    } else if let (true, Some(uid)) = (pids.is_empty(), socket.uid) {
        lines.extend(field(sight, "user", &words::user(snapshot, uid)));
    }
    lines
}

/// A label and its value, on as many lines as the value needs.
fn field(sight: &Sight<'_>, label: &str, value: &str) -> Vec<Line<'static>> {
    let dim = sight.theme.style(Role::Dim);
    let pieces = words::pieces(value, sight.width.saturating_sub(LABEL_WIDTH));
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    labels
        .zip(pieces)
        .map(|(label, piece)| {
            Line::from(vec![
                Span::styled(format!("{label:LABEL_WIDTH$}"), dim),
                Span::styled(piece, Style::reset()),
            ])
        })
        .collect()
}

/// The other occupied ports of the block under the cursor.
fn neighbours(sight: &Sight<'_>, room: usize) -> Vec<Line<'static>> {
    let use_of = |port: u16| {
        let protocols = sight.app.map().protocols;
        sight.scan.occupancy.port(port).most_telling(protocols)
    };
    let others: Vec<(u16, StateClass)> = sight
        .block
        .ports()
        .filter(|&port| port != sight.port)
        .filter_map(|port| Some((port, use_of(port)?)))
        .collect();
    if others.is_empty() || room < 3 {
        return Vec::new();
    }
    let mut lines = vec![Line::default(), title(sight, "In this block", "")];
    let room = room - 2;
    let shown = if others.len() > room { room - 1 } else { others.len() };
    // Under another lens the colours of the states mean something else.
    let is_state = sight.app.map().lens == Lens::State;
    let role = |class| if is_state { Role::Class(class) } else { Role::Text };
    for &(port, class) in &others[..shown] {
        // The socket that the letter stands for.
        let told = sight.app.sockets_on(port).find(|s| StateClass::of(s.state) == class);
        let owner = told.map(|s| words::owner_line(sight.app, &sight.scan.snapshot, s));
        let text = format!(" {port:>5} {}", owner.unwrap_or_default());
        lines.push(Line::from(vec![
            Span::styled(letter(class).to_string(), sight.theme.style(role(class))),
            Span::raw(words::shorten(&text, sight.width - 1)),
        ]));
    }
    if shown < others.len() {
        let more = format!("+{} more", others.len() - shown);
        lines.push(Line::styled(more, sight.theme.style(Role::Dim)));
    }
    lines
}

/// What the map shows in figures: a line a state or owner, then even and odd halves.
fn range_lines(sight: &Sight<'_>) -> Vec<Line<'static>> {
    let tally = &sight.scan.tally;
    let theme = sight.theme;
    let mut lines = vec![Line::default(), title(sight, "On this map", "ports")];
    for entry in legend::entries(sight.app, sight.scan, theme) {
        let count = entry.count.map(words::thousands).unwrap_or_default();
        let width = sight.width.saturating_sub(entry.name.width() + 2);
        lines.push(Line::from(vec![
            Span::styled(format!("{} ", entry.mark), entry.style),
            Span::raw(format!("{}{count:>width$}", entry.name)),
        ]));
    }
    let halves = [
        ("even", tally.occupied_even, tally.even),
        ("odd", tally.occupied - tally.occupied_even, tally.size - tally.even),
    ];
    for (name, occupied, all) in halves {
        let share = words::percent(occupied, all);
        let width = sight.width - name.len();
        lines.push(Line::raw(format!("{name}{share:>width$}")));
    }
    lines
}

/// A socket on one line: of its endpoints as many as fit whole.
fn socket_spans(sight: &Sight<'_>, socket: &Socket) -> Vec<Span<'static>> {
    let snapshot = &sight.scan.snapshot;
    let dim = sight.theme.style(Role::Dim);
    let mut line = Line::from(vec![
        state_badge(sight, socket),
        Span::raw(format!(" {}", words::owner_line(sight.app, snapshot, socket))),
    ]);
    if let Some(seconds) = words::seconds_left(socket) {
        line.push_span(Span::styled(format!(" {seconds} s left"), dim));
    }
    let arrow = sight.theme.glyph("→", "->");
    let remote = socket.remote.map(|remote| format!(" {arrow} {remote}")).unwrap_or_default();
    let protocol = socket.protocol.name();
    let room = sight.width.saturating_sub(line.width() + 1);
    let wordings =
        [format!(" {protocol} {}{remote}", socket.local), format!(" {protocol}{remote}")];
    let fitting = wordings.into_iter().find(|text| text.width() <= room);
    line.push_span(Span::styled(fitting.unwrap_or_else(|| format!(" {protocol}")), dim));
    line.spans
}
