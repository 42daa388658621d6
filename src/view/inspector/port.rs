//! Describes one port: its kind, its registered service, its sockets. Does not describe its
//! neighbours.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use super::InspectorContext;
use crate::{
    domain::{
        Protocol, Socket, StateClass, notation,
        port::{IANA_DYNAMIC, REGISTERED},
    },
    view::{Role, words},
};

/// Width of `container `.
const LABEL_WIDTH: usize = 10;
/// Maximum number of owners named per socket.
const NAMED_OWNERS: usize = 4;
/// Maximum number of units named per socket.
const NAMED_UNITS: usize = 2;
const COMMAND_LINES: usize = 2;

pub fn lines(sight: &InspectorContext<'_>, room: usize) -> Vec<Line<'static>> {
    let sockets: Vec<&Socket> = sight.app.sockets_on(sight.port).collect();
    let pointer = if sight.is_pointed_at() { " under the pointer" } else { "" };
    let count = notation::counted(sockets.len() as u64, "socket");
    let mut lines = vec![sight.title(&format!("Port {}{pointer}", sight.port), &count)];
    lines.extend(sight.dim_rows(&nature(sight)));
    lines.extend(registered(sight).iter().flat_map(|text| wrapped(sight, text)));
    if let Some(block) = sight.block_words() {
        lines.extend(sight.dim_rows(&[format!("block {block}")]));
    }
    if sockets.is_empty() {
        lines.push(Line::default());
        lines.extend(wrapped(sight, what(sight)));
    }
    for (index, socket) in sockets.iter().enumerate() {
        let next = socket_lines(sight, socket);
        let left = sockets.len() - index;
        let needed = next.len() + usize::from(left > 1);
        if index > 0 && lines.len() + needed > room {
            lines.push(sight.dim(format!("+{}", notation::counted(left as u64, "more socket"))));
            break;
        }
        lines.extend(next);
    }
    cut(sight, &mut lines, room);
    lines
}

/// Cuts the lines to `room`. The last line then shows how many were left out.
fn cut(sight: &InspectorContext<'_>, lines: &mut Vec<Line<'static>>, room: usize) {
    if lines.len() > room.max(1) {
        let more = lines.len() + 1 - room.max(1);
        lines.truncate(room.max(1) - 1);
        lines.push(sight.dim(format!("+{}", notation::counted(more as u64, "more line"))));
    }
}

fn wrapped(sight: &InspectorContext<'_>, text: &str) -> Vec<Line<'static>> {
    words::wrapped(text, sight.width).into_iter().map(Line::raw).collect()
}

/// Returns parity, hexadecimal number and ranges of the port.
pub fn nature(sight: &InspectorContext<'_>) -> Vec<String> {
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

/// Returns the registered service, independent of the actual use: `registered for https`.
pub fn registered(sight: &InspectorContext<'_>) -> Option<String> {
    let services = sight.app.services();
    let [tcp, udp] = Protocol::EACH.map(|protocol| services.name(protocol, sight.port));
    let names = match (tcp, udp) {
        (Some(tcp), Some(udp)) if tcp == udp => tcp.to_owned(),
        (Some(tcp), Some(udp)) => format!("{tcp} over TCP, {udp} over UDP"),
        (Some(tcp), None) => format!("{tcp} over TCP"),
        (None, Some(udp)) => format!("{udp} over UDP"),
        (None, None) => return None,
    };
    Some(format!("registered for {names}"))
}

/// Describes the purpose of a port that has no socket.
pub fn what(sight: &InspectorContext<'_>) -> &'static str {
    let ephemeral = &sight.scan.snapshot.ephemeral;
    let in_range = ephemeral.range.contains(sight.port);
    match (in_range, ephemeral.is_reserved(sight.port)) {
        (true, false) => "available",
        (true, true) => "free, reserved: only bind(port) gets it",
        (false, _) => "free, outside the ephemeral range",
    }
}

pub fn badge(sight: &InspectorContext<'_>, socket: &Socket) -> Span<'static> {
    let role = Role::Class(StateClass::of(socket.state));
    Span::styled(format!(" {} ", socket.state), sight.theme.badge(role))
}

/// Returns the age of a socket and its remaining time.
pub fn times(sight: &InspectorContext<'_>, socket: &Socket) -> Vec<String> {
    let age = sight.app.history().age(socket).and_then(words::lasting);
    let left = words::seconds_left(socket).map(|seconds| format!("{seconds}s left"));
    age.into_iter().chain(left).collect()
}

fn socket_lines(sight: &InspectorContext<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    lines.extend(head(sight, socket));
    let local = sight.scan.snapshot.interfaces.local(socket);
    lines.extend(field(sight, "local", &local.to_string()));
    if let Some(remote) = socket.remote {
        lines.extend(field(sight, "remote", &remote.to_string()));
    }
    lines.extend(owner_lines(sight, socket));
    lines
}

/// Returns state, protocol and times, on several lines if they do not fit on one.
fn head(sight: &InspectorContext<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let badge = badge(sight, socket);
    let lane = format!("{} {}", socket.protocol.name(), socket.family.name());
    let parts = [vec![lane], times(sight, socket)].concat();
    let room = sight.width.saturating_sub(badge.width() + 1);
    let mut rows = words::rows(&parts, ", ", room).into_iter();
    let first = Line::from(vec![badge, Span::raw(format!(" {}", rows.next().unwrap_or_default()))]);
    let rest: Vec<String> = rows.collect();
    let rest = if rest.is_empty() { Vec::new() } else { field(sight, "", &rest.join(", ")) };
    std::iter::once(first).chain(rest).collect()
}

fn owner_lines(sight: &InspectorContext<'_>, socket: &Socket) -> Vec<Line<'static>> {
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
    let command = process.and_then(|process| process.command.as_ref());
    if let Some(command) = command.filter(|command| !command.is_empty()) {
        let room = COMMAND_LINES * sight.width.saturating_sub(LABEL_WIDTH);
        lines.extend(field(sight, "command", &words::shorten(command.as_str(), room)));
    } else if let (true, Some(uid)) = (pids.is_empty(), socket.uid) {
        lines.extend(field(sight, "user", &words::user(snapshot, uid)));
    }
    lines.extend(unit_lines(sight, pids));
    lines
}

/// Returns the systemd units or containers of the owners, each once.
fn unit_lines(sight: &InspectorContext<'_>, pids: &[u32]) -> Vec<Line<'static>> {
    let mut units: Vec<(&'static str, &str)> = Vec::new();
    for &pid in pids {
        let unit = sight.app.processes().get(pid).and_then(|process| process.unit.as_ref());
        if let Some(unit) = unit.map(words::unit).filter(|unit| !units.contains(unit)) {
            units.push(unit);
        }
    }
    let shown = units.len().min(NAMED_UNITS);
    let mut lines: Vec<Line<'static>> =
        units[..shown].iter().flat_map(|(label, name)| field(sight, label, name)).collect();
    if units.len() > shown {
        lines.extend(field(sight, "", &format!("+{} more", units.len() - shown)));
    }
    lines
}

/// Formats a label and its value, on as many lines as the value needs.
fn field(sight: &InspectorContext<'_>, label: &str, value: &str) -> Vec<Line<'static>> {
    let dim = sight.theme.style(Role::Dim);
    let room = sight.width.saturating_sub(LABEL_WIDTH).max(1);
    let is_broken = value.split(' ').any(|word| word.width() > room);
    let pieces = if is_broken { words::pieces(value, room) } else { words::wrapped(value, room) };
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
