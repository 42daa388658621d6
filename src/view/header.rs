//! Draws the first row: name, tabs, machine, gaps and age of the scan. Does not draw the screens.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::{App, Screen},
    domain::{Gap, MachineKind, Snapshot, notation},
    view::{Role, Theme, screen_views, surface::Surface, words},
};

const NAME: &str = " portscope ";
/// Minimum width for the long labels of the tabs.
const MIN_WIDTH_LONG_LABELS: u16 = 100;
/// The name of the machine is cut to this width, in columns.
const MAX_NAME_LENGTH: usize = 16;

/// Returns the label of a tab in a header of this width.
fn label(screen: Screen, width: u16) -> &'static str {
    screen_views::view(screen).tab[usize::from(width < MIN_WIDTH_LONG_LABELS)]
}

/// Returns the area of each tab.
pub fn tabs(header: Rect) -> Vec<(Screen, Rect)> {
    let mut x = header.x.saturating_add(NAME.len() as u16 + 1);
    let tab = |screen| {
        let width = label(screen, header.width).len() as u16;
        let tab = Rect { x, width, ..header }.intersection(header);
        x = x.saturating_add(width);
        (screen, tab)
    };
    Screen::EACH.into_iter().map(tab).collect()
}

pub fn render(app: &App, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let name = theme.badge(Role::Accent).bold();
    surface.put(area.x, area.y, NAME, name);
    for (screen, tab) in tabs(area) {
        let style =
            if screen == app.screen() { theme.style(Role::Selected).bold() } else { Style::new() };
        surface.within(tab).put(tab.x, tab.y, label(screen, area.width), style);
        if screen != app.screen() && tab.width > 2 {
            surface.buffer[(tab.x + 1, tab.y)].set_style(theme.style(Role::Accent));
        }
    }
    let start = tabs(area).last().map_or(area.x, |(_, tab)| tab.right() + 1);
    let room = area.right().saturating_sub(start);
    let facts = facts(app, theme, usize::from(room));
    let width = facts.width() as u16;
    if width <= room {
        surface.buffer.set_line(area.right() - width, area.y, &facts, width);
    }
}

/// Returns the machine's name, its namespace, the gaps and the age of the scan, as far as they fit
/// into `room` columns. Drops the namespace first, then either the mouse note or the name, then
/// both; last, reduces the gaps to their number. Returns an empty line if the number and the age do
/// not fit.
fn facts(app: &App, theme: &Theme, room: usize) -> Line<'static> {
    let Some(scan) = app.scan() else {
        return Line::styled("no scan yet ", theme.style(Role::Dim));
    };
    let machine = &scan.snapshot.machine;
    let name = Span::raw(words::shorten(machine.name.as_str(), MAX_NAME_LENGTH));
    let namespace = machine.network_namespace.map(|inode| format!("netns {inode}"));
    let namespace = namespace.map(|text| Span::styled(text, theme.style(Role::Dim)));
    let kind = Some(kind(app, &scan.snapshot, theme));
    let gaps = gaps(&scan.snapshot, theme);
    let few_words = gaps.is_some().then(|| {
        let count = notation::counted(scan.snapshot.gaps.len() as u64, "gap");
        Span::styled(count, theme.style(Role::Warn))
    });
    // Shown only while the mouse is off, because it is on by default.
    let mouse = app.is_mouse_off().then(|| Span::styled("mouse off", theme.style(Role::Dim)));
    let wordings = [
        vec![Some(name.clone()), namespace, mouse.clone(), gaps.clone(), kind.clone()],
        vec![Some(name.clone()), mouse.clone(), gaps.clone(), kind.clone()],
        vec![Some(name), gaps.clone(), kind.clone()],
        vec![mouse, gaps.clone(), kind.clone()],
        vec![gaps, kind.clone()],
        vec![few_words, kind],
    ];
    let mut lines = wordings.into_iter().map(|parts| joined(parts.into_iter().flatten(), theme));
    lines.find(|line| line.width() <= room).unwrap_or_default()
}

fn joined(parts: impl Iterator<Item = Span<'static>>, theme: &Theme) -> Line<'static> {
    let dot = Span::styled(" · ", theme.style(Role::Faint));
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

/// Returns the state of the scans, or the kind of the machine: `live`, `paused`.
pub fn state_name(app: &App, snapshot: &Snapshot) -> (&'static str, Role) {
    match snapshot.machine.kind {
        _ if app.is_frozen() => ("paused", Role::Warn),
        _ if app.failure().is_some() => ("scan failed", Role::Critical),
        MachineKind::Live => ("live", Role::Ok),
        MachineKind::Simulated => ("simulated", Role::Accent),
        MachineKind::Recorded => ("recorded", Role::Accent),
    }
}

fn kind(app: &App, snapshot: &Snapshot, theme: &Theme) -> Span<'static> {
    let (name, role) = state_name(app, snapshot);
    let age = app.age().map(notation::duration).unwrap_or_default();
    let dot = theme.glyph("● ", "");
    Span::styled(format!("{dot}{name} {age}"), theme.style(role))
}

fn gaps(snapshot: &Snapshot, theme: &Theme) -> Option<Span<'static>> {
    let (first, others) = snapshot.gaps.split_first()?;
    let text = match first {
        Gap::OwnersUnreadable { sockets: 0, .. } => "owners unreadable".to_owned(),
        Gap::OwnersUnreadable { sockets, .. } => {
            format!("owners unreadable: {}", notation::grouped(*sockets))
        }
        Gap::PolicyAssumed { .. } => "sysctl unread".to_owned(),
        other => match other.hidden_owners() {
            Some(sockets) => format!("owners hidden: {}", notation::grouped(sockets)),
            None => format!("{} missing", other.what()),
        },
    };
    let more = match others.len() {
        0 => String::new(),
        count => format!(" +{}", notation::counted(count as u64, "gap")),
    };
    Some(Span::styled(text + &more, theme.style(Role::Warn)))
}
