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
        Role, gauges,
        heatmap::bar,
        legend::{self, CLASSES, CLOSING_STATES, class_name},
        map,
        theme::letter,
        words,
    },
};

/// Width of ` >99.9 %`.
const SHARE_WIDTH: usize = 8;
/// Width of `even `.
const HALF_WIDTH: usize = 5;

pub fn lines(context: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let ephemeral = context.app.ephemeral();
    // If the map shows this range, the scan has already counted it.
    let is_counted = context.app.shown() == ephemeral;
    let counts = || context.app.lens_counts(ephemeral);
    let lens_counts = if is_counted { context.scan.lens_counts } else { counts() };
    let LensCounts { occupied, size, .. } = lens_counts;
    let map = context.app.map();
    let title = format!("Ephemeral range {ephemeral}");
    let mut lines = vec![context.title(&title, map::protocols_name(map.protocols))];
    let roles = gauges::roles_under(map.lens);
    let bar = gauges::stacked(&lens_counts.by_class, size, roles, context.theme, context.width);
    lines.push(Line::from(bar));
    let share = notation::percent_of(occupied, size);
    let taken = format!("{} in use, {share}", words::of(occupied, size));
    lines.extend(words::wrapped(&taken, context.width).into_iter().map(Line::raw));
    lines.extend(if map.lens == Lens::State {
        by_state(context, &lens_counts)
    } else {
        by_lens(context)
    });
    lines.extend(halves(context, &lens_counts));
    lines
}

/// Returns a row for each state class that occurs, then for free and reserved ports.
fn by_state(context: &InspectorContext<'_>, lens_counts: &LensCounts) -> Vec<Line<'static>> {
    let theme = context.theme;
    let mark = |letter| if theme.needs_whole_cells() { letter } else { '■' };
    let class = |class: StateClass| {
        let style = context.class_style(class);
        let count = lens_counts.of(class);
        let room = context.width.saturating_sub(3 + notation::grouped(count).len());
        let name = match class {
            StateClass::Closing if CLOSING_STATES.len() <= room => CLOSING_STATES,
            class => class_name(class),
        };
        (mark(letter(class)), style, name, count)
    };
    let free = theme.glyph('·', '.');
    let available = (mark(free), theme.style(Role::Available), "free", lens_counts.available);
    let reserved = (mark('x'), theme.style(Role::Reserved), "reserved", lens_counts.reserved);
    let rows = CLASSES.map(class).into_iter().chain([available, reserved]);
    rows.filter(|(.., count)| *count > 0)
        .map(|(mark, style, name, count)| row(context, mark, style, name, Some(count)))
        .collect()
}

/// Returns a row for each category of the lens that occurs, counted on the whole map.
fn by_lens(context: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let entries = legend::entries(context.app, context.scan, context.theme);
    let shown = entries.iter().filter(|entry| entry.count.is_some_and(|count| count > 0));
    let rows = shown.map(|entry| row(context, entry.mark, entry.style, &entry.name, entry.count));
    std::iter::once(context.dim("on this map")).chain(rows).collect()
}

/// Formats a mark, a name and, at the right end, a count.
fn row(
    context: &InspectorContext<'_>,
    mark: char,
    style: Style,
    name: &str,
    count: Option<u32>,
) -> Line<'static> {
    let count = count.map(notation::grouped).unwrap_or_default();
    let name = words::short_name(name, context.width.saturating_sub(3 + count.len()));
    let width = context.width.saturating_sub(name.width() + 2);
    Line::from(vec![
        Span::styled(format!("{mark} "), style),
        Span::styled(format!("{name}{count:>width$}"), Style::reset()),
    ])
}

/// Shows even and odd ports separately, without the colours of a warning: the kernel's automatic
/// choice prefers one parity, so it is normal that the ports of this parity are in use first.
fn halves(context: &InspectorContext<'_>, lens_counts: &LensCounts) -> Vec<Line<'static>> {
    let track = Style::new().bg(context.theme.color(Role::Available));
    let style = context.theme.style(Role::Dim);
    let half = |name: &str, occupied: u32, size: u32| {
        let share = notation::percent_of(occupied, size);
        let width = context.width.saturating_sub(HALF_WIDTH + SHARE_WIDTH) as u16;
        let part = occupied as f32 / size.max(1) as f32;
        let drawn = bar(part, width, context.theme);
        let rest = usize::from(width).saturating_sub(drawn.width());
        Line::from(vec![
            Span::raw(format!("{name:HALF_WIDTH$}")),
            Span::styled(drawn, track.patch(style)),
            Span::styled(" ".repeat(rest), track),
            Span::styled(format!("{share:>SHARE_WIDTH$}"), style),
        ])
    };
    let odd = lens_counts.occupied - lens_counts.occupied_even;
    let mut lines = vec![
        half("even", lens_counts.occupied_even, lens_counts.even),
        half("odd", odd, lens_counts.size - lens_counts.even),
    ];
    let order = words::wrapped(&order(context), context.width);
    lines.extend(order.into_iter().map(|line| context.dim(line)));
    lines
}

/// States which parity the kernel prefers: `__inet_hash_connect` begins with the parity of the
/// range's first port, `inet_csk_find_open_port` with the other one; `udp_lib_get_port` ignores
/// parity.
fn order(context: &InspectorContext<'_>) -> String {
    if context.app.map().protocols == Protocols::Udp {
        return "UDP uses even and odd ports alike".to_owned();
    }
    let is_even = context.app.ephemeral().first().is_multiple_of(2);
    let (first, other) = if is_even { ("even", "odd") } else { ("odd", "even") };
    let tcp = if context.app.map().protocols == Protocols::Both { "TCP " } else { "" };
    format!("{tcp}connect() tries {first} ports first, bind(0) {other} ones")
}

/// Returns how much of the range each protocol and family uses.
pub fn family_lines(context: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let InspectorContext { app, scan, theme, width, .. } = *context;
    let protocol_families = gauges::lines(&scan.gauges, app.map().lens, theme, width as u16);
    std::iter::once(context.title("By protocol", "ephemeral range"))
        .chain(protocol_families)
        .collect()
}

/// Describes the selected span. Empty: no span is selected.
pub fn span_lines(context: &InspectorContext<'_>) -> Vec<Line<'static>> {
    let Some(span) = context.app.span() else { return Vec::new() };
    let mut lines = vec![context.title(&format!("Span {span}"), "measured")];
    let parts = span_parts(context);
    lines.extend(words::listed(&parts, context.width).into_iter().map(Line::raw));
    lines
}

/// Formats the numbers of all, used and free ports of the selected span, then those of the state
/// classes that occur.
pub fn span_parts(context: &InspectorContext<'_>) -> Vec<String> {
    let Some(span) = context.app.span() else { return Vec::new() };
    let lens_counts = context.app.lens_counts(span);
    let mut parts = vec![
        notation::counted(lens_counts.size, "port"),
        format!("{} in use", notation::grouped(lens_counts.occupied)),
        format!("{} free", notation::grouped(lens_counts.size - lens_counts.occupied)),
    ];
    let states = CLASSES.into_iter().filter(|&class| lens_counts.of(class) > 0);
    parts.extend(states.map(|class| {
        format!("{} {}", class_name(class), notation::grouped(lens_counts.of(class)))
    }));
    parts
}
