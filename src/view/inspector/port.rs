//! Describes one port: its owners and their sockets, then its registered service, its block and
//! its ranges. Does not describe its neighbours.

use std::fmt::Write as _;

use ratatui::text::{Line, Span};

use unicode_width::UnicodeWidthStr;

use super::InspectorContext;
use crate::{
    app::inspected_port::{PortOwner, StateSockets, owner_key},
    domain::{
        Family, Owner, Process, Protocol, Socket, StateClass,
        availability::may_be_unlisted,
        notation::{self, NamedProcess},
        port::{IANA_DYNAMIC, REGISTERED},
    },
    view::{Role, surface::labelled_lines, words},
};

/// Width of `container `.
const LABEL_WIDTH: usize = 10;
/// Maximum number of owners described.
const MAX_OWNERS: usize = 20;
/// Maximum number of processes named per owner.
const NAMED_PROCESSES: usize = 8;
/// Maximum number of units named per owner.
const NAMED_UNITS: usize = 2;
/// Maximum number of addresses or peers named per state.
const NAMED_ADDRESSES: usize = 3;
/// Minimum and maximum number of lines of a long command; the maximum applies if lines are free.
const MIN_COMMAND_LINES: usize = 2;
pub const MAX_COMMAND_LINES: usize = 8;

/// Returns the lines below the title, and how many of them must not be left out: all but those of
/// the port itself. Commands have as many lines as fit into `height`.
pub fn lines(context: &InspectorContext<'_>, height: usize) -> (Vec<Line<'static>>, usize) {
    let owners = owners(context);
    let described: Vec<_> = owners.iter().map(|owner| OwnerLines::of(context, owner)).collect();
    let facts: Vec<_> = context.dim_rows(&facts(context)).collect();
    let unused = if described.is_empty() { unused(context) } else { Vec::new() };
    let mut lines: Vec<_> = unused.iter().flat_map(|text| wrapped(context, text)).collect();
    // Blank lines separate the owners, and the facts from what is above them.
    let others = lines.len() + described.len().max(1) + facts.len();
    let height_with = |command_lines| {
        described.iter().map(|owner| owner.height(command_lines)).sum::<usize>() + others
    };
    let mut longer = (MIN_COMMAND_LINES + 1..=MAX_COMMAND_LINES).rev();
    let command_lines =
        longer.find(|&lines| height_with(lines) <= height).unwrap_or(MIN_COMMAND_LINES);
    for owner in described {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(owner.into_lines(context, command_lines));
    }
    let needed = lines.len();
    lines.push(Line::default());
    lines.extend(facts);
    (lines, needed)
}

/// The lines of an owner, of which those of its command may be cut.
struct OwnerLines {
    name: Vec<Line<'static>>,
    /// Empty: no command is known.
    command: Vec<String>,
    /// The sockets, then what else is known of the process.
    rest: Vec<Line<'static>>,
}

impl OwnerLines {
    fn of(context: &InspectorContext<'_>, owner: &PortOwner) -> Self {
        let command = command(context, owner, owner.pids.len() == 1);
        let sockets = owner.states.iter().flat_map(|all| state_lines(context, all));
        let details = details(context, owner);
        let details = details.iter().flat_map(|(label, value)| field(context, label, value));
        Self {
            name: field(context, "owner", &owner_words(context, owner).join(", ")),
            command: command.map(|command| value_lines(context, &command)).unwrap_or_default(),
            rest: sockets.chain(details).collect(),
        }
    }

    /// Returns the number of lines if the command has at most `command_lines`.
    fn height(&self, command_lines: usize) -> usize {
        self.name.len() + self.command.len().min(command_lines) + self.rest.len()
    }

    fn into_lines(
        self,
        context: &InspectorContext<'_>,
        command_lines: usize,
    ) -> impl Iterator<Item = Line<'static>> {
        let Self { name, mut command, rest } = self;
        let is_cut = command.len() > command_lines;
        command.truncate(command_lines);
        if let Some(last) = command.last_mut().filter(|_| is_cut) {
            *last = words::shorten(&format!("{last}.."), value_width(context));
        }
        let command = labelled_lines("command", LABEL_WIDTH, command, context.theme);
        name.into_iter().chain(command).chain(rest)
    }
}

/// Returns the title of the port, with the number of its sockets.
pub fn title(context: &InspectorContext<'_>) -> Line<'static> {
    let pointer = if context.app.hover().is_some() { " under the pointer" } else { "" };
    let states = context.inspected.owners.iter().flat_map(|owner| &owner.states);
    let sockets: u64 = states.map(|all| all.count as u64).sum();
    let count = notation::counted(sockets, "socket");
    context.title(&format!("Port {}{pointer}", context.port), &count)
}

/// Returns the owners of the sockets on the port: that of the selected socket, then the most
/// important one.
pub fn owners<'a>(context: &InspectorContext<'a>) -> Vec<&'a PortOwner> {
    let mut owners: Vec<_> = context.inspected.owners.iter().collect();
    // A socket that has ended refers to an earlier snapshot.
    if let Some((snapshot, selected)) = context.socket.and(context.app.selected_socket()) {
        let key = owner_key(context.app, snapshot, selected);
        owners.sort_by_key(|owner| owner.key != key);
    }
    owners.truncate(MAX_OWNERS);
    owners
}

fn wrapped(context: &InspectorContext<'_>, text: &str) -> Vec<Line<'static>> {
    words::wrapped(text, context.width).into_iter().map(Line::raw).collect()
}

/// Returns the registered service and the block of the port, then parity, hexadecimal number and
/// ranges.
pub fn facts(context: &InspectorContext<'_>) -> Vec<String> {
    let block = context.block_words().map(|block| format!("block {block}"));
    registered(context).into_iter().chain(block).chain(nature(context)).collect()
}

fn nature(context: &InspectorContext<'_>) -> Vec<String> {
    let port = context.port;
    let ephemeral = &context.scan.snapshot.ephemeral;
    let parity = if port.is_multiple_of(2) { "even" } else { "odd" };
    let named = match port {
        _ if IANA_DYNAMIC.contains(port) => "IANA dynamic",
        _ if REGISTERED.contains(port) => "IANA registered",
        _ => "IANA system",
    };
    let mut words = vec![format!("0x{port:04X}")];
    if ephemeral.range.contains(port) {
        words.extend(["ephemeral".to_owned(), parity.to_owned()]);
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
fn registered(context: &InspectorContext<'_>) -> Option<String> {
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

/// Describes a port that has no socket, and the sockets that lead to the same port elsewhere.
pub fn unused(context: &InspectorContext<'_>) -> Vec<String> {
    match &context.inspected.remote {
        Some(remote) => vec!["nothing here uses this port".to_owned(), remote.to_string()],
        None => vec![what(context).to_owned()],
    }
}

/// Describes a port that has no socket: free, reserved, or outside the ephemeral range.
fn what(context: &InspectorContext<'_>) -> &'static str {
    let snapshot = &context.scan.snapshot;
    if Protocol::EACH.into_iter().any(|protocol| may_be_unlisted(snapshot, protocol, context.port))
    {
        return "no socket is listed here, but an unlisted one may use the port";
    }
    let ephemeral = &snapshot.ephemeral;
    let in_range = ephemeral.range.contains(context.port);
    match (in_range, ephemeral.is_reserved(context.port)) {
        (true, false) => "free",
        (true, true) => "free, reserved: only bind(port) gets it",
        (false, _) => "free, outside the ephemeral range",
    }
}

/// Returns a badge with the state, then its sockets, on as many lines as needed.
fn state_lines(context: &InspectorContext<'_>, all: &StateSockets) -> Vec<Line<'static>> {
    let badge = badge(context, all);
    let room = context.width.saturating_sub(badge.width() + 1);
    let mut rows = words::listed(&state_words(context, all), room).into_iter();
    let mut first = rows.next().unwrap_or_default();
    let mut rest: Vec<String> = rows.collect();
    if first.width() > room {
        let mut pieces = words::wrapped(&first, room).into_iter();
        first = pieces.next().unwrap_or_default();
        let remaining = pieces.collect::<Vec<_>>().join(" ");
        rest.insert(0, remaining);
    }
    let first = Line::from(vec![badge, Span::raw(format!(" {first}"))]);
    let rest = if rest.is_empty() { Vec::new() } else { field(context, "", &rest.join(" ")) };
    std::iter::once(first).chain(rest).collect()
}

pub fn badge(context: &InspectorContext<'_>, all: &StateSockets) -> Span<'static> {
    let role = Role::Class(StateClass::of(all.state));
    Span::styled(format!(" {} ", all.state), context.theme.badge(role))
}

/// Names the owner and its users: `nginx[812] root`, `nginx[813] [814] www-data`; `hidden`, `user
/// alice`; `backlog of sshd[7] root`.
pub fn owner_words(context: &InspectorContext<'_>, owner: &PortOwner) -> Vec<String> {
    let snapshot = &context.scan.snapshot;
    let Some(first) = owner.first() else { return Vec::new() };
    let mut named = words::owner(context.app, snapshot, first);
    let mut processes = processes(context, &owner.pids);
    match snapshot.owner(first) {
        Owner::Process(_) | Owner::Backlog(_) if !processes.is_empty() => {
            if matches!(snapshot.owner(first), Owner::Backlog(_)) {
                processes[0].insert_str(0, "backlog of ");
            }
            processes
        }
        Owner::Departed(_) => {
            named.truncate(1);
            named.extend(processes.into_iter().map(|process| format!("was {process}")));
            named
        }
        _ => {
            named.extend(first.uid.map(|uid| format!("user {}", words::user(snapshot, uid))));
            named
        }
    }
}

/// Names the processes. Of those with the same name and user, only the first is named in full.
fn processes(context: &InspectorContext<'_>, pids: &[u32]) -> Vec<String> {
    let table = context.app.processes();
    let same = |one: u32, other: u32| match (table.get(one), table.get(other)) {
        (Some(one), Some(other)) => (&one.name, one.uid) == (&other.name, other.uid),
        _ => false,
    };
    let shown = &pids[..pids.len().min(NAMED_PROCESSES)];
    let name = |run: &[u32]| {
        let (first, others) = run.split_first()?;
        let mut text = table.named(*first).to_string();
        for pid in others {
            // Writing to a String cannot fail.
            let _ = write!(text, " [{pid}]");
        }
        if let Some(uid) = table.get(*first).and_then(|process| process.uid) {
            let _ = write!(text, " {}", words::user(&context.scan.snapshot, uid));
        }
        Some(text)
    };
    let mut names: Vec<String> =
        shown.chunk_by(|&one, &other| same(one, other)).filter_map(name).collect();
    if pids.len() > shown.len() {
        let more = (pids.len() - shown.len()) as u64;
        names.push(notation::counted(more, "more process"));
    }
    names
}

/// Returns the process of the owner that is described. None: none is, or none holds the sockets.
fn described<'a>(context: &InspectorContext<'a>, owner: &PortOwner) -> Option<&'a Process> {
    let is_held = is_held(context.scan.snapshot.owner(owner.first()?));
    owner.pids.iter().filter(|_| is_held).find_map(|&pid| context.app.processes().get(pid))
}

/// Returns the command line, after the pid unless the process is the only one.
pub fn command(context: &InspectorContext<'_>, owner: &PortOwner, is_only: bool) -> Option<String> {
    let process = described(context, owner)?;
    let command = process.command.as_ref().filter(|command| !command.is_empty())?;
    let of = if is_only { String::new() } else { format!("[{}] ", process.pid) };
    Some(format!("{of}{command}"))
}

/// Returns label and value of what is known of the process: when it started, its unit or
/// container, its working directory and its parent.
pub fn details(context: &InspectorContext<'_>, owner: &PortOwner) -> Vec<(&'static str, String)> {
    let Some(process) = described(context, owner) else { return Vec::new() };
    let taken = context.scan.snapshot.taken_at;
    let age = process.started.and_then(|at| taken.checked_sub(std::time::Duration::from_secs(at)));
    let started = age.map(|age| ("started", format!("{} ago", notation::duration(age))));
    let directory = process.directory.as_ref().map(|path| ("directory", path.to_string()));
    let parent = process.parent.as_ref().map(|parent| {
        let named = NamedProcess { name: parent.name.as_ref(), pid: parent.pid };
        ("parent", named.to_string())
    });
    let units = units(context, &owner.pids);
    started.into_iter().chain(units).chain(directory).chain(parent).collect()
}

/// Returns the systemd units or containers of the processes, each once.
fn units(context: &InspectorContext<'_>, pids: &[u32]) -> Vec<(&'static str, String)> {
    let mut units: Vec<(&'static str, &str)> = Vec::new();
    for &pid in pids {
        let unit = context.app.processes().get(pid).and_then(|process| process.unit.as_ref());
        if let Some(unit) = unit.map(words::unit).filter(|unit| !units.contains(unit)) {
            units.push(unit);
        }
    }
    let more = units.len().saturating_sub(NAMED_UNITS);
    let mut named: Vec<_> =
        units.into_iter().take(NAMED_UNITS).map(|(label, name)| (label, name.to_owned())).collect();
    if let Some((_, last)) = named.last_mut().filter(|_| more > 0) {
        let _ = write!(last, ", {more} more");
    }
    named
}

/// Describes the sockets of one owner in one state: protocol and addresses, times, and whether the
/// map hides their protocol.
pub fn state_words(context: &InspectorContext<'_>, all: &StateSockets) -> Vec<String> {
    let protocol = all.protocol.name().to_uppercase();
    let mut parts = match &all.examples[..] {
        [socket] if socket.remote.is_some() => {
            let local = context.scan.snapshot.interfaces.local(socket);
            let arrow = context.theme.glyph("→", "->");
            let remote = socket.remote.map(|remote| format!(" {arrow} {remote}"));
            vec![format!("{protocol} {local}{}", remote.unwrap_or_default())]
        }
        _ if all.peers.is_empty() => vec![format!("{protocol} {}", addresses(context, all))],
        _ => {
            let count = notation::counted(all.count as u64, "socket");
            vec![format!("{protocol} {count}"), peers(all)]
        }
    };
    parts.extend(times(context, all));
    if context.socket.is_none() && !context.app.map().protocols.includes(all.protocol) {
        parts.push(format!("not on this map ({protocol})"));
    }
    parts
}

/// Returns the local addresses without the port: `0.0.0.0 and [::]`, `[::] (IPv4 too)`.
fn addresses(context: &InspectorContext<'_>, all: &StateSockets) -> String {
    let interfaces = &context.scan.snapshot.interfaces;
    let named = all.addresses.iter().take(NAMED_ADDRESSES).map(|(socket, count)| {
        let local = interfaces.local(socket).to_string();
        let address = local.rsplit_once(':').map_or(&*local, |(address, _)| address);
        let too = if socket.family == Family::Dual { " (IPv4 too)" } else { "" };
        match count {
            1 => format!("{address}{too}"),
            _ => format!("{address}{too} ({})", notation::counted(*count, "socket")),
        }
    });
    joined(named.collect(), all.addresses.len().saturating_sub(NAMED_ADDRESSES))
}

/// Returns the peers of several sockets: their endpoints, or their addresses with the number of
/// sockets if there are many.
fn peers(all: &StateSockets) -> String {
    if all.count <= NAMED_ADDRESSES {
        let remotes = all.examples.iter().filter_map(|socket| socket.remote);
        return format!("peers {}", joined(remotes.map(|r| r.to_string()).collect(), 0));
    }
    if let [(address, _)] = all.peers[..] {
        return format!("peer {address}");
    }
    let named = all.peers.iter().take(NAMED_ADDRESSES);
    let named = named.map(|(peer, count)| format!("{peer} ({})", notation::grouped(*count)));
    let more = all.peers.len().saturating_sub(NAMED_ADDRESSES);
    format!("peers {}", joined(named.collect(), more))
}

/// Returns whether the processes hold the sockets now.
pub fn is_held(owner: Owner<'_>) -> bool {
    matches!(owner, Owner::Process(_) | Owner::Backlog(_))
}

/// Joins names: `a and b`, `a, b and 3 more`.
fn joined(mut names: Vec<String>, more: usize) -> String {
    if more > 0 {
        names.push(format!("{} more", notation::grouped(more as u64)));
    }
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// Returns the age of the sockets and their remaining time in TIME-WAIT, as far as they are known
/// and the same for all. Compares few sockets only.
fn times(context: &InspectorContext<'_>, all: &StateSockets) -> Vec<String> {
    let of = |socket: &Socket| {
        let age = context.app.history().age(socket).and_then(words::lasting);
        let left = words::seconds_left(socket).map(|seconds| format!("{seconds}s left"));
        // The remaining time is more important, and the first to be shown.
        left.into_iter().chain(age).collect::<Vec<_>>()
    };
    let Some((first, others)) = all.examples.split_first() else { return Vec::new() };
    if all.count > all.examples.len() {
        return Vec::new();
    }
    let times = of(first);
    if others.iter().all(|socket| of(socket) == times) { times } else { Vec::new() }
}

/// Formats a label and its value, on as many lines as the value needs.
fn field(context: &InspectorContext<'_>, label: &str, value: &str) -> Vec<Line<'static>> {
    labelled_lines(label, LABEL_WIDTH, value_lines(context, value), context.theme)
}

fn value_width(context: &InspectorContext<'_>) -> usize {
    context.width.saturating_sub(LABEL_WIDTH).max(1)
}

fn value_lines(context: &InspectorContext<'_>, value: &str) -> Vec<String> {
    words::command_rows(value, value_width(context))
}
