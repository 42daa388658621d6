//! Draws what the map's colours or glyphs mean, with counts. It always belongs to the lens.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::{App, Extent, Lens, Scan, lens::Tally},
    domain::StateClass,
    view::{
        COLORED_OWNERS, Role, Theme,
        theme::{OTHER_OWNER_LETTER, letter, owner_letter},
        words,
    },
};

/// A mark, its word, its count.
pub struct Entry {
    pub mark: char,
    pub style: Style,
    pub name: String,
    pub count: Option<u32>,
    /// Where not all fit, the highest goes first.
    dropped: u8,
}

/// Owners' names are cut here.
const LONGEST_NAME: usize = 14;

pub fn render(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Some(scan) = app.scan() else { return };
    let entries = match app.map().lens {
        Lens::State if !theme.has_color() => densities(&scan.tally, theme),
        _ => entries(app, scan, theme),
    };
    let room = usize::from(area.width.saturating_sub(1));
    let line = fitted(&entries, app.map().lens.name(), room, theme);
    buffer.set_line(area.x + 1, area.y, &line, area.width.saturating_sub(1));
}

/// What the lens tells apart.
pub fn entries(app: &App, scan: &Scan, theme: &Theme) -> Vec<Entry> {
    match app.map().lens {
        Lens::State | Lens::Protocol | Lens::Age | Lens::Parity | Lens::Density => {
            states(app, scan, theme)
        }
        Lens::Owner => owners(scan, theme),
    }
}

/// How a class is called where ports are counted.
pub fn class_name(class: StateClass) -> &'static str {
    match class {
        StateClass::Listen => "LISTEN",
        StateClass::Closing => "closing",
        StateClass::Bound => "BOUND",
        StateClass::Udp => "UDP",
        StateClass::Established => "ESTABLISHED",
        StateClass::TimeWait => "TIME-WAIT",
    }
}

/// In the order of a socket's life, as people look for them.
pub const CLASSES: [StateClass; 6] = [
    StateClass::Listen,
    StateClass::Established,
    StateClass::TimeWait,
    StateClass::Closing,
    StateClass::Bound,
    StateClass::Udp,
];

fn states(app: &App, scan: &Scan, theme: &Theme) -> Vec<Entry> {
    let entry = |role, letter, name: &str, count, dropped| Entry {
        mark: if theme.needs_whole_cells() { letter } else { '■' },
        style: theme.style(role),
        name: name.to_owned(),
        count: Some(count),
        dropped,
    };
    let available = match app.map().extent {
        Extent::Ephemeral => "available",
        Extent::All | Extent::Ports(_) => "available in range",
    };
    let mut entries =
        vec![entry(Role::Available, theme.glyph('·', '.'), available, scan.tally.available, 2)];
    entries.extend(CLASSES.map(|class| {
        let count = scan.tally.of(class);
        entry(Role::Class(class), letter(class), class_name(class), count, 0)
    }));
    entries.push(entry(Role::Reserved, 'x', "reserved", scan.tally.reserved, 1));
    entries
}

/// Without colour a glyph tells how much of a block is taken.
fn densities(tally: &Tally, theme: &Theme) -> Vec<Entry> {
    let plain = |mark, name: &str, count| Entry {
        mark,
        style: Style::new(),
        name: name.to_owned(),
        count,
        dropped: 0,
    };
    let available = plain(theme.glyph('·', '.'), "available", Some(tally.available));
    let reserved = plain('x', "reserved", Some(tally.reserved));
    let steps: &[(char, &str)] = if theme.ascii {
        &[(':', "few"), ('=', "under half"), ('*', "over half"), ('@', "full")]
    } else {
        &[(':', "<12 %"), ('░', "<40"), ('▒', "<65"), ('▓', "<90"), ('█', "full")]
    };
    let mut entries = vec![available];
    entries.extend(steps.iter().map(|&(mark, name)| plain(mark, name, None)));
    entries.push(reserved);
    entries
}

fn owners(scan: &Scan, theme: &Theme) -> Vec<Entry> {
    let (named, others) = scan.owners.owners.split_at(scan.owners.owners.len().min(COLORED_OWNERS));
    let whole_cells = theme.needs_whole_cells();
    let entry = |role, letter, name: &str, count, dropped| Entry {
        mark: if whole_cells { letter } else { '■' },
        style: theme.style(role),
        name: words::shorten(name, LONGEST_NAME),
        count: Some(count),
        dropped,
    };
    let mut entries: Vec<Entry> = (0u8..)
        .zip(named)
        .map(|(rank, (name, count))| {
            entry(Role::Category(rank), owner_letter(rank), &name.words(), *count, rank)
        })
        .collect();
    if !others.is_empty() {
        let ports = others.iter().map(|(_, ports)| ports).sum();
        let name = words::plural(others.len(), "other");
        entries.push(entry(Role::OtherCategory, OTHER_OWNER_LETTER, &name, ports, 0));
    }
    if entries.is_empty() {
        entries.push(entry(Role::Dim, ' ', "no sockets", 0, 0));
    }
    entries
}

/// The fullest wording that fits: all, those that are not empty, without counts (they stand beside
/// the map too), at last without the entries that everybody guesses.
fn fitted(entries: &[Entry], lens: &str, room: usize, theme: &Theme) -> Line<'static> {
    let mut kept: Vec<&Entry> = entries.iter().collect();
    let full = line(&kept, lens, true, theme);
    if full.width() <= room {
        return full;
    }
    kept.retain(|entry| entry.count != Some(0));
    let filled = line(&kept, lens, true, theme);
    if filled.width() <= room {
        return filled;
    }
    loop {
        let shorter = line(&kept, lens, false, theme);
        if shorter.width() <= room || kept.is_empty() {
            return shorter;
        }
        let guessed = (0..kept.len()).max_by_key(|&i| kept[i].dropped).unwrap_or_default();
        kept.remove(guessed);
    }
}

fn line(entries: &[&Entry], lens: &str, with_counts: bool, theme: &Theme) -> Line<'static> {
    let gap = if with_counts { "  " } else { " " };
    let mut line = Line::styled(format!("{lens}{gap}"), theme.style(Role::Dim));
    for entry in entries {
        line.push_span(Span::styled(format!("{} ", entry.mark), entry.style));
        let count = entry.count.filter(|_| with_counts);
        let count = count.map(|count| format!(" {}", words::thousands(count)));
        let text = format!("{}{}{gap}", entry.name, count.unwrap_or_default());
        line.push_span(Span::styled(text, Style::reset()));
    }
    line
}
