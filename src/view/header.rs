//! Draws the first row: name, tabs, machine, gaps and age of the scan. Does not draw the screens.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::{App, Lens, Screen},
    domain::{Gap, MachineKind, Protocols, Snapshot, notation},
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

/// Returns the settings of the map, the machine's name, its namespace, the gaps and the age of the
/// scan, as far as they fit into `room` columns. Keeps longest: the age, the protocol of the map, the
/// number of the gaps. Returns an empty line if the number and the age do not fit.
fn facts(app: &App, theme: &Theme, room: usize) -> Line<'static> {
    let Some(scan) = app.scan() else {
        return Line::styled("no scan yet ", theme.style(Role::Dim));
    };
    let machine = &scan.snapshot.machine;
    let name = Some(Span::raw(words::shorten(machine.name.as_str(), MAX_NAME_LENGTH)));
    let namespace = machine.namespace_label.as_ref().map(|label| format!("netns {label}"));
    let namespace = namespace.map(|text| Span::styled(text, theme.style(Role::Dim)));
    let kind = Some(kind(app, &scan.snapshot, theme));
    let gaps = gaps(&scan.snapshot, theme);
    let few_words = gaps.is_some().then(|| {
        let count = notation::counted(scan.snapshot.gaps.len() as u64, "gap");
        Span::styled(count, theme.style(Role::Warn))
    });
    let [only, lens] = map_settings(app).map(|setting| {
        setting.map(|text| Span::styled(format!(" {text} "), theme.badge(Role::Accent)))
    });
    // Shown only while the mouse is off, because it is on by default.
    let mouse = app.is_mouse_off().then(|| Span::styled("mouse off", theme.style(Role::Dim)));
    let parts = [only, lens, name, namespace, mouse, gaps, few_words, kind];
    let wordings = WORDINGS.iter().map(|wording| {
        let of = |part: &HeaderPart| parts[*part as usize].clone();
        joined(wording.iter().filter_map(of), theme)
    });
    wordings.into_iter().find(|line| line.width() <= room).unwrap_or_default()
}

/// A part of the header's right end.
#[derive(Clone, Copy)]
enum HeaderPart {
    Only,
    Lens,
    Name,
    Namespace,
    Mouse,
    Gaps,
    FewWords,
    Kind,
}

/// The wordings of the header's right end, longest first.
const WORDINGS: &[&[HeaderPart]] = {
    use HeaderPart::{FewWords, Gaps, Kind, Lens, Mouse, Name, Namespace, Only};
    &[
        &[Only, Lens, Name, Namespace, Mouse, Gaps, Kind],
        &[Only, Lens, Namespace, Mouse, Gaps, Kind],
        &[Only, Lens, Name, Mouse, Gaps, Kind],
        &[Only, Lens, Name, Gaps, Kind],
        &[Only, Lens, Mouse, Gaps, Kind],
        &[Only, Lens, Gaps, Kind],
        &[Only, Lens, FewWords, Kind],
        &[Only, Gaps, Kind],
        &[Only, FewWords, Kind],
        &[FewWords, Kind],
    ]
};

/// Returns the settings of the map that differ from the default: `UDP only`, `lens owner`. Other
/// screens do not depend on them.
fn map_settings(app: &App) -> [Option<String>; 2] {
    let map = app.map();
    let is_shown = app.screen() == Screen::Map;
    let only = match map.protocols {
        Protocols::Both => None,
        Protocols::Tcp => Some("TCP only"),
        Protocols::Udp => Some("UDP only"),
    };
    let only = only.filter(|_| is_shown).map(str::to_owned);
    let lens =
        (is_shown && map.lens != Lens::default()).then(|| format!("lens {}", map.lens.name()));
    [only, lens]
}

/// Joins the parts with ` · `. A badge brings a blank of its own.
fn joined(parts: impl Iterator<Item = Span<'static>>, theme: &Theme) -> Line<'static> {
    let mut line = Line::default();
    for part in parts {
        if let Some(last) = line.spans.last() {
            let before = if last.content.ends_with(' ') { "" } else { " " };
            let after = if part.content.starts_with(' ') { "" } else { " " };
            line.push_span(Span::styled(format!("{before}·{after}"), theme.style(Role::Faint)));
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
        count => format!(" +{count} more"),
    };
    Some(Span::styled(text + &more, theme.style(Role::Warn)))
}
