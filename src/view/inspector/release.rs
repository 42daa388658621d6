//! Describes what the sockets of a port block, and what frees the port. Does not describe the
//! sockets.

use ratatui::text::Line;

use super::InspectorContext;
use crate::{
    app::inspected_port::PortEffects,
    domain::{Socket, availability::Verdict},
    view::{surface::labelled_lines, words},
};

/// Width of `  blocks `.
const LABEL: usize = 9;

/// Returns the lines for the port of a socket.
pub fn lines(context: &InspectorContext<'_>, socket: &Socket) -> Vec<Line<'static>> {
    let snapshot = &context.scan.snapshot;
    let effects = context.inspected.effects(context.app, snapshot, socket.protocol);
    let frees = effects.release.as_ref().map(|frees| {
        let commands = frees.commands.iter().chain(&frees.if_restarted);
        let commands: Vec<String> = commands.map(|command| format!("`{command}`")).collect();
        match commands.len() {
            0 => frees.words.clone(),
            _ => format!("{} {}", frees.words, commands.join(", or ")),
        }
    });
    let parts = [("  frees", frees), ("  blocks", blocks(effects))];
    let room = context.width.saturating_sub(LABEL).max(1);
    let line = |(label, text): (&str, Option<String>)| {
        let rows = text.map(|text| words::wrapped(&text, room)).unwrap_or_default();
        labelled_lines(label, LABEL, rows, context.theme)
    };
    parts.into_iter().flat_map(line).collect()
}

/// Says which calls do not get the port. None: no socket is on it.
fn blocks(effects: &PortEffects) -> Option<String> {
    effects.release.as_ref()?;
    let [without, options @ ..] = effects.binds;
    let options = [(options[0], "SO_REUSEADDR"), (options[1], "SO_REUSEPORT")];
    let with = |wanted: Verdict| -> Vec<&'static str> {
        let found = options.into_iter().filter(|&(verdict, _)| verdict == wanted);
        found.map(|(_, name)| name).collect()
    };
    let mut parts = vec![match (without, with(Verdict::InUse)) {
        (Verdict::InUse, options) if options.is_empty() => {
            "bind() to [::] (all addresses) without socket options".to_owned()
        }
        (Verdict::InUse, options) => {
            format!("bind() to [::] (all addresses), also with {}", options.join(" or "))
        }
        (Verdict::Unknown, _) => "unknown for bind() to [::] (all addresses)".to_owned(),
        _ => "no bind()".to_owned(),
    }];
    let unknown = with(Verdict::Unknown);
    if !unknown.is_empty() && without == Verdict::InUse {
        parts.push(format!("unknown with {}", unknown.join(" or ")));
    }
    if effects.blocks_connect {
        parts.push("connect() to any destination".to_owned());
    }
    Some(parts.join("; "))
}
