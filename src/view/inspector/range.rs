//! Draws the figures of the ephemeral range by state, parity and protocol, and those of the
//! selected span. Does not count the ports.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use super::InspectorContext;
use crate::{
    app::{Lens, lens::LensCounts},
    domain::{Protocols, StateClass, notation},
    view::{
        Role,
        gauges::{self, Colors},
        heatmap::{bar, level},
        legend::{self, CLASSES, class_name},
        theme::letter,
        words,
    },
};

/// Width of ` >99.9 %`.
const SHARE_WIDTH: usize = 8;
/// Width of `even `.
const HALF_WIDTH: usize = 5;

pub fn lines(sight: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let ephemeral = sight.app.ephemeral();
    let tally = tally(sight);
    let mut lines = vec![
        sight.title(&format!("Ephemeral range {ephemeral}"), protocols_name(sight)),
        Line::from(gauges::stacked(&tally.by_class, tally.size, colors(sight), sight.theme, {
            sight.width
        })),
    ];
    let taken = [
        format!("{} of {}", notation::grouped(tally.occupied), notation::grouped(tally.size)),
        format!("in use, {}", notation::percent_of(tally.occupied, tally.size)),
    ];
    lines.extend(words::wrapped(&taken.join(" "), sight.width).into_iter().map(Line::raw));
    lines.extend(if sight.app.map().lens == Lens::State {
        by_state(sight, &tally)
    } else {
        by_lens(sight)
    });
    lines.extend(halves(sight, &tally));
    lines
}

/// Returns the counts of the ephemeral range. If the map shows this range, uses those of the scan.
fn tally(sight: &InspectorContext<'_>) -> LensCounts {
    let ephemeral = sight.app.ephemeral();
    if sight.app.shown() == ephemeral { sight.scan.tally } else { sight.app.tally(ephemeral) }
}

fn colors(sight: &InspectorContext<'_>) -> Colors {
    Colors::under(sight.app.map().lens)
}

fn protocols_name(sight: &InspectorContext<'_>) -> &'static str {
    match sight.app.map().protocols {
        Protocols::Tcp => "TCP",
        Protocols::Udp => "UDP",
        Protocols::Both => "TCP+UDP",
    }
}

/// Returns a row for each state that occurs.
fn by_state(sight: &InspectorContext<'_>, tally: &LensCounts) -> Vec<Line<'static>> {
    let theme = sight.theme;
    let mark = |letter| if theme.needs_whole_cells() { letter } else { '■' };
    let class = |class: StateClass| {
        let style = sight.class_style(class);
        (mark(letter(class)), style, class_name(class), tally.of(class))
    };
    let free = theme.glyph('·', '.');
    let available = (mark(free), theme.style(Role::Available), "available", tally.available);
    let reserved = (mark('x'), theme.style(Role::Reserved), "reserved", tally.reserved);
    let rows = CLASSES.map(class).into_iter().chain([available, reserved]);
    rows.filter(|(.., count)| *count > 0)
        .map(|(mark, style, name, count)| row(sight, mark, style, name, Some(count)))
        .collect()
}

/// Returns the categories of the lens, counted on the whole map.
fn by_lens(sight: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let entries = legend::entries(sight.app, sight.scan, sight.theme);
    let shown = entries.iter().filter(|entry| entry.count.is_some_and(|count| count > 0));
    let rows = shown.map(|entry| row(sight, entry.mark, entry.style, &entry.name, entry.count));
    std::iter::once(sight.dim("on this map")).chain(rows).collect()
}

/// Formats a mark, a name and, at the right end, a count.
fn row(
    sight: &InspectorContext<'_>,
    mark: char,
    style: Style,
    name: &str,
    count: Option<u32>,
) -> Line<'static> {
    let count = count.map(notation::grouped).unwrap_or_default();
    let name = words::shorten(name, sight.width.saturating_sub(3 + count.len()));
    let width = sight.width.saturating_sub(name.width() + 2);
    Line::from(vec![
        Span::styled(format!("{mark} "), style),
        Span::styled(format!("{name}{count:>width$}"), Style::reset()),
    ])
}

/// Shows even and odd ports separately. The kernel's automatic choice prefers one parity, so the
/// ports of this parity may all be in use long before the range is full.
fn halves(sight: &InspectorContext<'_>, tally: &LensCounts) -> Vec<Line<'static>> {
    let track = Style::new().bg(sight.theme.color(Role::Available));
    let half = |name: &str, occupied: u32, size: u32| {
        let share = notation::percent_of(occupied, size);
        let width = sight.width.saturating_sub(HALF_WIDTH + SHARE_WIDTH) as u16;
        let part = occupied as f32 / size.max(1) as f32;
        let style = sight.theme.style(level(part));
        let drawn = bar(part, width, sight.theme);
        let rest = usize::from(width).saturating_sub(drawn.width());
        Line::from(vec![
            Span::raw(format!("{name:HALF_WIDTH$}")),
            Span::styled(drawn, track.patch(style)),
            Span::styled(" ".repeat(rest), track),
            Span::styled(format!("{share:>SHARE_WIDTH$}"), style),
        ])
    };
    let odd = tally.occupied - tally.occupied_even;
    let mut lines = vec![
        half("even", tally.occupied_even, tally.even),
        half("odd", odd, tally.size - tally.even),
    ];
    let order = words::wrapped(&order(sight), sight.width);
    lines.extend(order.into_iter().map(|line| sight.dim(line)));
    lines
}

/// States which parity the kernel prefers: `__inet_hash_connect` begins with the parity of the
/// range's first port, `inet_csk_find_open_port` with the other one; `udp_lib_get_port` ignores
/// parity.
fn order(sight: &InspectorContext<'_>) -> String {
    if sight.app.map().protocols == Protocols::Udp {
        return "UDP uses even and odd ports alike".to_owned();
    }
    let is_even = sight.app.ephemeral().first().is_multiple_of(2);
    let (first, other) = if is_even { ("even", "odd") } else { ("odd", "even") };
    let tcp = if sight.app.map().protocols == Protocols::Both { "TCP " } else { "" };
    format!("{tcp}connect() tries {first} ports first, bind(0) {other} ones")
}

/// Returns how much of the range each protocol and family uses.
pub fn lane_lines(sight: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let lanes = gauges::lines(&sight.scan.gauges, colors(sight), sight.theme, sight.width as u16);
    std::iter::once(sight.title("By protocol", "automatic choice")).chain(lanes).collect()
}

/// Describes the selected span; empty if there is none.
pub fn span_lines(sight: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let Some(span) = sight.app.span() else { return Vec::new() };
    let mut lines = vec![sight.title(&format!("Span {span}"), "measured")];
    let parts = span_parts(sight);
    let rows = words::rows(&parts, ", ", sight.width);
    lines.extend(rows.into_iter().map(Line::raw));
    lines
}

/// Returns the number of ports, used and free ones, then the states that occur.
pub fn span_parts(sight: &InspectorContext<'_>) -> Vec<String> {
    let Some(span) = sight.app.span() else { return Vec::new() };
    let tally = sight.app.tally(span);
    let noun = if tally.size == 1 { "port" } else { "ports" };
    let mut parts = vec![
        format!("{} {noun}", notation::grouped(tally.size)),
        format!("{} used", notation::grouped(tally.occupied)),
        format!("{} free", notation::grouped(tally.size - tally.occupied)),
    ];
    let states = CLASSES.into_iter().filter(|&class| tally.of(class) > 0);
    parts.extend(
        states.map(|class| format!("{} {}", class_name(class), notation::grouped(tally.of(class)))),
    );
    parts
}
