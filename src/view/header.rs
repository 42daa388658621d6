//! Draws the first row: name, tabs, machine, age, gaps. Not the screens.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};

use crate::{
    app::{App, Screen},
    domain::{Gap, MachineKind, Snapshot},
    view::{Role, Theme, words},
};

const NAME: &str = " portscope ";
/// Below this names are shortened.
const ROOMY: u16 = 100;
/// A machine's name is cut here.
const LONGEST_NAME: usize = 16;

/// A screen's permanent number, its name, its short name.
const TABS: [(Screen, &str, &str); 2] =
    [(Screen::Map, " 2 Map ", " 2 Map "), (Screen::Allocate, " 4 Allocate ", " 4 Alloc ")];

/// Where the tabs are.
pub fn tabs(header: Rect) -> Vec<(Screen, Rect)> {
    let mut x = header.x.saturating_add(NAME.len() as u16 + 1);
    let mut tabs = Vec::new();
    for (screen, long, short) in TABS {
        let width = if header.width < ROOMY { short.len() } else { long.len() } as u16;
        tabs.push((screen, Rect { x, width, ..header }.intersection(header)));
        x = x.saturating_add(width);
    }
    tabs
}

pub fn render(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let name = theme.badge(Role::Accent).add_modifier(Modifier::BOLD);
    buffer.set_stringn(area.x, area.y, NAME, usize::from(area.width), name);
    for ((screen, tab), (_, long, short)) in tabs(area).into_iter().zip(TABS) {
        let text = if area.width < ROOMY { short } else { long };
        let style = if screen == app.screen() {
            theme.style(Role::Selected).add_modifier(Modifier::BOLD)
        } else {
            Style::new()
        };
        buffer.set_stringn(tab.x, tab.y, text, usize::from(tab.width), style);
        if screen != app.screen() && tab.width > 2 {
            buffer[(tab.x + 1, tab.y)].set_style(theme.style(Role::Accent));
        }
    }
    let start = tabs(area).last().map_or(area.x, |(_, tab)| tab.right() + 1);
    let room = area.right().saturating_sub(start);
    let facts = facts(app, theme, usize::from(room));
    let width = facts.width() as u16;
    if width <= room {
        buffer.set_line(area.right() - width, area.y, &facts, width);
    }
}

/// The machine, as much of it as fits; gaps and age go last.
fn facts(app: &App, theme: &Theme, room: usize) -> Line<'static> {
    let Some(scan) = app.scan() else {
        return Line::styled("no scan yet ", theme.style(Role::Dim));
    };
    let snapshot = &scan.snapshot;
    let dim = theme.style(Role::Dim);
    let namespace = snapshot.machine.network_namespace.map(|inode| format!("net {inode}"));
    // In the order in which they are given up, the first one first.
    let mut optional = [
        namespace.map(|text| Span::styled(text, dim)),
        Some(Span::raw(words::shorten(snapshot.machine.name.as_str(), LONGEST_NAME))),
    ];
    let needed = [gaps(snapshot, theme), Some(kind(app, snapshot, theme))];
    loop {
        let host_first = optional.iter().rev().chain(&needed).flatten();
        let line = joined(host_first.cloned(), theme);
        match optional.iter_mut().find(|part| part.is_some()) {
            Some(part) if line.width() > room => *part = None,
            _ => return line,
        }
    }
}

fn joined(parts: impl Iterator<Item = Span<'static>>, theme: &Theme) -> Line<'static> {
    let dot = Span::styled(theme.glyph(" · ", " - "), theme.style(Role::Faint));
    let mut line = Line::default();
    for part in parts {
        if !line.spans.is_empty() {
            line.push_span(dot.clone());
        }
        line.push_span(part);
    }
    line.push_span(" ");
    line
}

fn kind(app: &App, snapshot: &Snapshot, theme: &Theme) -> Span<'static> {
    let (name, role) = match snapshot.machine.kind {
        _ if app.is_frozen() => ("paused", Role::Warn),
        _ if app.failure().is_some() => ("scan failed", Role::Critical),
        MachineKind::Live => ("live", Role::Ok),
        MachineKind::Simulated => ("simulated", Role::Accent),
        MachineKind::Recorded => ("recorded", Role::Accent),
    };
    let age = app.age().map(words::age).unwrap_or_default();
    let dot = theme.glyph("● ", "");
    Span::styled(format!("{dot}{name} {age}"), theme.style(role))
}

fn gaps(snapshot: &Snapshot, theme: &Theme) -> Option<Span<'static>> {
    let (first, others) = snapshot.gaps.split_first()?;
    let text = match first {
        Gap::OwnersHidden { sockets, .. } => format!("owners hidden: {sockets}"),
        Gap::OwnersUnreadable { sockets, .. } => format!("owners unreadable: {sockets}"),
        Gap::PolicyAssumed { .. } => "policy assumed".to_owned(),
        other => format!("{} missing", other.what()),
    };
    let more = match others.len() {
        0 => String::new(),
        count => format!(" +{}", words::plural(count, "gap")),
    };
    Some(Span::styled(text + &more, theme.style(Role::Warn)))
}
