//! Describes what the sockets of a port block, and what frees the port. Does not describe the
//! sockets.

use ratatui::text::Line;

use super::InspectorContext;
use crate::{
    domain::{
        Socket,
        availability::{Bind, BindAddress, Reuse, Verdict, bind_answer, release},
    },
    view::{surface::labelled_lines, words},
};

/// Width of `  blocks `.
const LABEL: usize = 9;

/// Returns the lines for the port of a socket.
pub fn lines(context: &InspectorContext<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let snapshot = &context.scan.snapshot;
    let frees = release(snapshot, context.app.processes(), socket.protocol, socket.local.port);
    let frees = frees.map(|frees| {
        let commands = frees.commands.into_iter().chain(frees.if_restarted);
        let commands: Vec<String> = commands.map(|command| format!("`{command}`")).collect();
        match commands.len() {
            0 => frees.words,
            _ => format!("{} {}", frees.words, commands.join(", or ")),
        }
    });
    let parts = [("  frees", frees), ("  blocks", blocks(context, socket))];
    let room = context.width.saturating_sub(LABEL).max(1);
    let line = |(label, text): (&str, Option<String>)| {
        let rows = text.map(|text| words::wrapped(&text, room)).unwrap_or_default();
        labelled_lines(label, LABEL, rows, context.theme)
    };
    parts.into_iter().flat_map(line).collect()
}

/// Says which calls do not get the port. None: no socket is on it.
fn blocks(context: &InspectorContext<'_>, socket: &Socket) -> Option<String> {
    let snapshot = &context.scan.snapshot;
    let on_port = snapshot.on_port(socket.protocol, socket.local.port);
    if on_port.is_empty() {
        return None;
    }
    let verdict = |reuse| {
        let bind = Bind { protocol: socket.protocol, address: BindAddress::AnyDual, reuse };
        bind_answer(snapshot, socket.local.port, bind).verdict
    };
    let without = verdict(Reuse::None);
    let options = [(Reuse::Address, "SO_REUSEADDR"), (Reuse::Port, "SO_REUSEPORT")];
    let options = options.map(|(reuse, name)| (verdict(reuse), name));
    let with = |wanted: Verdict| -> Vec<&'static str> {
        let found = options.into_iter().filter(|&(verdict, _)| verdict == wanted);
        found.map(|(_, name)| name).collect()
    };
    let mut parts = vec![match (without, with(Verdict::InUse)) {
        (Verdict::InUse, options) if options.is_empty() => {
            "bind() on all addresses without options".to_owned()
        }
        (Verdict::InUse, options) => {
            format!("bind() on all addresses, also with {}", options.join(" or "))
        }
        (Verdict::Unknown, _) => "unknown for bind() on all addresses".to_owned(),
        _ => "no bind()".to_owned(),
    }];
    let unknown = with(Verdict::Unknown);
    if !unknown.is_empty() && without == Verdict::InUse {
        parts.push(format!("unknown with {}", unknown.join(" or ")));
    }
    let is_automatic = snapshot.ephemeral.range.contains(socket.local.port);
    if is_automatic && on_port.iter().any(|socket| socket.state.blocks_connect()) {
        parts.push("connect() to any destination".to_owned());
    }
    Some(parts.join("; "))
}
