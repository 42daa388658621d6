//! Describes one port: its kind, its registered service, its sockets. Does not describe its
//! neighbours.

use ratatui::text::{Line, Span};

use unicode_width::UnicodeWidthStr;

use super::InspectorContext;
use crate::{
    domain::{
        Family, Protocol, Socket, StateClass, notation,
        port::{IANA_DYNAMIC, REGISTERED},
    },
    view::{Role, surface::labelled_lines, words},
};

/// Width of `container `.
const LABEL_WIDTH: usize = 10;
/// Maximum number of owners named per socket.
const NAMED_OWNERS: usize = 4;
/// Maximum number of units named per socket.
const NAMED_UNITS: usize = 2;
const COMMAND_LINES: usize = 2;

pub fn lines(context: &InspectorContext<'_>, room: usize) -> Vec<Line<'static>> {
    let sockets: Vec<&Socket> = context.app.sockets_on(context.port).collect();
    let pointer = if context.app.hover().is_some() { " under the pointer" } else { "" };
    let count = notation::counted(sockets.len() as u64, "socket");
    let mut lines = vec![context.title(&format!("Port {}{pointer}", context.port), &count)];
    lines.extend(context.dim_rows(&nature(context)));
    lines.extend(registered(context).iter().flat_map(|text| wrapped(context, text)));
    if let Some(block) = context.block_words() {
        lines.extend(context.dim_rows(&[format!("block {block}")]));
    }
    if sockets.is_empty() {
        lines.push(Line::default());
        lines.extend(wrapped(context, what(context)));
    }
    for (index, socket) in sockets.iter().enumerate() {
        let next = socket_lines(context, socket);
        let left = sockets.len() - index;
        let needed = next.len() + usize::from(left > 1);
        if index > 0 && lines.len() + needed > room {
            lines.push(context.dim(format!("+{}", notation::counted(left as u64, "more socket"))));
            break;
        }
        lines.extend(next);
    }
    cut(context, &mut lines, room);
    lines
}

/// Cuts the lines to `room`. The last line then shows how many were left out.
fn cut(context: &InspectorContext<'_>, lines: &mut Vec<Line<'static>>, room: usize) {
    if lines.len() > room.max(1) {
        let more = lines.len() + 1 - room.max(1);
        lines.truncate(room.max(1) - 1);
        lines.push(context.dim(format!("+{}", notation::counted(more as u64, "more line"))));
    }
}

fn wrapped(context: &InspectorContext<'_>, text: &str) -> Vec<Line<'static>> {
    words::wrapped(text, context.width).into_iter().map(Line::raw).collect()
}

/// Returns parity, hexadecimal number and ranges of the port.
pub fn nature(context: &InspectorContext<'_>) -> Vec<String> {
    let port = context.port;
    let ephemeral = &context.scan.snapshot.ephemeral;
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

/// Returns the registered service, which may differ from the actual use: `registered for https`.
/// None: no service is registered.
pub fn registered(context: &InspectorContext<'_>) -> Option<String> {
    let services = context.app.services();
    let [tcp, udp] = Protocol::EACH.map(|protocol| services.name(protocol, context.port));
    let names = match (tcp, udp) {
        (Some(tcp), Some(udp)) if tcp == udp => tcp.to_owned(),
        (Some(tcp), Some(udp)) => format!("{tcp} over TCP, {udp} over UDP"),
        (Some(tcp), None) => format!("{tcp} over TCP"),
        (None, Some(udp)) => format!("{udp} over UDP"),
        (None, None) => return None,
    };
    Some(format!("registered for {names}"))
}

/// Describes a port that has no socket: free, reserved, or outside the ephemeral range.
pub fn what(context: &InspectorContext<'_>) -> &'static str {
    let ephemeral = &context.scan.snapshot.ephemeral;
    let in_range = ephemeral.range.contains(context.port);
    match (in_range, ephemeral.is_reserved(context.port)) {
        (true, false) => "free",
        (true, true) => "free, reserved: only bind(port) gets it",
        (false, _) => "free, outside the ephemeral range",
    }
}

pub fn badge(context: &InspectorContext<'_>, socket: &Socket) -> Span<'static> {
    let role = Role::Class(StateClass::of(socket.state));
    Span::styled(format!(" {} ", socket.state), context.theme.badge(role))
}

/// Returns the age of a socket and its remaining time in TIME-WAIT, as far as they are known.
pub fn times(context: &InspectorContext<'_>, socket: &Socket) -> Vec<String> {
    let age = context.app.history().age(socket).and_then(words::lasting);
    let left = words::seconds_left(socket).map(|seconds| format!("{seconds}s left"));
    age.into_iter().chain(left).collect()
}

fn socket_lines(context: &InspectorContext<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    lines.extend(head(context, socket));
    let local = context.scan.snapshot.interfaces.local(socket);
    lines.extend(field(context, "local", &local.to_string()));
    if let Some(remote) = socket.remote {
        lines.extend(field(context, "remote", &remote.to_string()));
    }
    lines.extend(owner_lines(context, socket));
    lines
}

/// Formats the protocol and the family of a socket: `TCP IPv4`.
fn protocol_family(socket: &Socket) -> String {
    let family = match socket.family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
        Family::Dual => "dual-stack",
    };
    format!("{} {family}", socket.protocol.name().to_uppercase())
}

/// Returns state, protocol and times, on several lines if they do not fit on one.
fn head(context: &InspectorContext<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let badge = badge(context, socket);
    let protocol_family = protocol_family(socket);
    let parts = [vec![protocol_family], times(context, socket)].concat();
    let room = context.width.saturating_sub(badge.width() + 1);
    let mut rows = words::listed(&parts, room).into_iter();
    let first = Line::from(vec![badge, Span::raw(format!(" {}", rows.next().unwrap_or_default()))]);
    let rest: Vec<String> = rows.collect();
    let rest = if rest.is_empty() { Vec::new() } else { field(context, "", &rest.join(" ")) };
    std::iter::once(first).chain(rest).collect()
}

fn owner_lines(context: &InspectorContext<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let snapshot = &context.scan.snapshot;
    let owners = words::owner(context.app, snapshot, socket);
    let mut lines = Vec::new();
    for (index, owner) in owners.iter().take(NAMED_OWNERS).enumerate() {
        lines.extend(field(context, if index == 0 { "owner" } else { "" }, owner));
    }
    if owners.len() > NAMED_OWNERS {
        lines.extend(field(context, "", &format!("+{} more", owners.len() - NAMED_OWNERS)));
    }
    let pids = snapshot.owner(socket).pids();
    let process = pids.first().and_then(|&pid| context.app.processes().get(pid));
    let command = process.and_then(|process| process.command.as_ref());
    if let Some(command) = command.filter(|command| !command.is_empty()) {
        let room = COMMAND_LINES * context.width.saturating_sub(LABEL_WIDTH);
        lines.extend(field(context, "command", &words::shorten(command.as_str(), room)));
    } else if let (true, Some(uid)) = (pids.is_empty(), socket.uid) {
        lines.extend(field(context, "user", &words::user(snapshot, uid)));
    }
    lines.extend(unit_lines(context, pids));
    lines
}

/// Returns the systemd units or containers of the owners, each once.
fn unit_lines(context: &InspectorContext<'_>, pids: &[u32]) -> Vec<Line<'static>> {
    let mut units: Vec<(&'static str, &str)> = Vec::new();
    for &pid in pids {
        let unit = context.app.processes().get(pid).and_then(|process| process.unit.as_ref());
        if let Some(unit) = unit.map(words::unit).filter(|unit| !units.contains(unit)) {
            units.push(unit);
        }
    }
    let shown = units.len().min(NAMED_UNITS);
    let mut lines: Vec<Line<'static>> =
        units[..shown].iter().flat_map(|(label, name)| field(context, label, name)).collect();
    if units.len() > shown {
        lines.extend(field(context, "", &format!("+{} more", units.len() - shown)));
    }
    lines
}

/// Formats a label and its value, on as many lines as the value needs.
fn field(context: &InspectorContext<'_>, label: &str, value: &str) -> Vec<Line<'static>> {
    let room = context.width.saturating_sub(LABEL_WIDTH).max(1);
    let is_broken = value.split(' ').any(|word| word.width() > room);
    let pieces = if is_broken { words::pieces(value, room) } else { words::wrapped(value, room) };
    labelled_lines(label, LABEL_WIDTH, pieces, context.theme)
}
