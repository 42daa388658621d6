//! Draws the settings of a run: target, occupancy, limits, seed, speed, and whether ports are held.
//! Does not change them.

use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

use crate::{
    app::allocation::{Allocation, AllocatorRow, AllocatorTarget, OccupancyCounts},
    domain::{MachineKind, notation},
    view::{
        Role, Theme,
        allocate::AllocateContext,
        bars, speeds,
        surface::{Surface, fitted},
        words,
    },
};

/// Maximum width of a bar.
const MAX_BAR_WIDTH: usize = 60;
/// Width of a label.
pub const LABEL: usize = 10;

/// Draws the settings on one line.
pub fn line(allocation: &Allocation, column: &mut Surface<'_>) {
    let limit = format!("limit {}", notation::grouped(allocation.options().max_attempts));
    let seed = format!("seed {}", allocation.options().seed);
    let [long, short] = hold_words(allocation);
    let whole = [pace(allocation), &long, &seed, &limit].join(" · ");
    let rest = |room| {
        let hold = if whole.width() <= room { &long } else { &short };
        fitted(&[pace(allocation), hold, &seed, &limit], room)
    };
    speeds::line(allocation.speed(), rest, column);
}

pub fn section(context: AllocateContext<'_>, column: &mut Surface<'_>) {
    let allocation = context.allocation;
    let options = allocation.options();
    column.rule("Setup", "o: change");
    let address = match options.address {
        Some(address) => format!("on {address}"),
        None => "on all addresses".to_owned(),
    };
    let (protocols, range) = (options.protocols.name(), options.range.to_string());
    let attempts = notation::counted(options.max_attempts, "attempt");
    let room = column.width().saturating_sub(LABEL);
    let seeds = ["(Backspace: start again)", "(Backspace: again)", ""]
        .map(|again| format!("seed {} {again}", options.seed).trim_end().to_owned());
    let fits = |seed: &&String| attempts.len() + 3 + seed.len() <= room;
    let seed = seeds.iter().find(fits).map_or("", String::as_str);
    let target = target(context).into_iter().find(|words| words.len() <= room).unwrap_or_default();
    label("target", target, column);
    label("strategy", &strategy(allocation.row(), room), column);
    label("ports", &fitted(&[protocols, &range, &address], room), column);
    occupancy(allocation, column);
    label("limit", &fitted(&[&attempts, seed], room), column);
    let mut spans =
        vec![Span::styled(format!("{:<LABEL$}", "speed"), column.theme.style(Role::Dim))];
    spans.extend(speeds::names(allocation.speed(), column.theme));
    column.line(spans);
    label("hold", &hold(allocation, room), column);
}

pub fn label(label: &str, value: &str, column: &mut Surface<'_>) {
    column.labelled(&format!("{label:<LABEL$}"), value);
}

/// Returns the strategy's name, and as many clauses of its summary as fit into `room` columns.
fn strategy(row: &AllocatorRow, room: usize) -> String {
    let left = room.saturating_sub(row.name.len() + 3);
    let ends = row.summary.rmatch_indices([',', ':', '(']).map(|(end, _)| end);
    let ends = [row.summary.len()].into_iter().chain(ends);
    let mut clauses = ends.filter_map(|end| row.summary.get(..end)).map(str::trim_end);
    let clauses = clauses.find(|clauses| clauses.len() <= left).unwrap_or_default();
    fitted(&[row.name, clauses], room)
}

/// Returns the wordings for the target and the keys that change it, longest first.
fn target(context: AllocateContext<'_>) -> [&'static str; 2] {
    let machine = context.scan.map(|scan| &scan.snapshot.machine);
    match (context.allocation.target(), machine.map(|m| (m.kind, m.is_isolated))) {
        (AllocatorTarget::Simulated { .. }, _) => {
            ["simulated (t: real; + -: occupancy)", "simulated"]
        }
        (AllocatorTarget::Machine, Some((MachineKind::Live, true))) => {
            ["this network namespace (t: simulated)", "this network namespace"]
        }
        (AllocatorTarget::Machine, _) => ["this machine (t: simulated)", "this machine"],
    }
}

fn occupancy(allocation: &Allocation, column: &mut Surface<'_>) {
    let Some(occupancy_counts) = allocation.occupancy_counts() else {
        label("occupancy", "unknown until the first scan", column);
        return;
    };
    let share = notation::percent(occupancy_counts.share());
    let of = words::of(occupancy_counts.occupied, occupancy_counts.candidates);
    let room = column.width().saturating_sub(LABEL);
    // Leaves at least 12 columns to the bar: a shorter one would show less than the counts do.
    let figures = fitted(&[&share, &of], room.saturating_sub(13));
    let width = room.saturating_sub(figures.chars().count() + 1).min(MAX_BAR_WIDTH);
    let mut spans =
        vec![Span::styled(format!("{:<LABEL$}", "occupancy"), column.theme.style(Role::Dim))];
    spans.extend(gauge(occupancy_counts, width, column.theme));
    spans.push(Span::raw(format!(" {figures}")));
    column.line(spans);
}

/// Draws the occupancy as the first line of the narrow facts.
pub fn narrow_occupancy(allocation: &Allocation, column: &mut Surface<'_>) {
    let Some(occupancy_counts) = allocation.occupancy_counts() else {
        column.text("occupancy unknown", Role::Dim);
        return;
    };
    let share = notation::percent(occupancy_counts.share());
    let width = column.width().saturating_sub(7 + 8).min(MAX_BAR_WIDTH);
    let mut spans = vec![Span::styled("in use ", column.theme.style(Role::Dim))];
    spans.extend(gauge(occupancy_counts, width, column.theme));
    spans.push(Span::raw(format!("{share:>8}")));
    column.line(spans);
}

fn gauge(counts: OccupancyCounts, width: usize, theme: &Theme) -> [Span<'static>; 2] {
    bars::track(counts.share() as f32, width as u16, Role::Muted, theme)
}

/// Describes whether allocated ports are held: on or off, the number of held ports, its limit, and
/// as many of the ports as fit.
fn hold(allocation: &Allocation, room: usize) -> String {
    let switch = if allocation.keeps_bound_ports() { "on" } else { "off" };
    let held = allocation.held();
    let count = allocation.hold_limit().map_or_else(String::new, |_| held_ports(allocation));
    let start = fitted(&[switch, &count], room);
    let mut ports = String::new();
    for (index, port) in held.iter().enumerate() {
        let more = held.len() - index - 1;
        let tail = if more == 0 { String::new() } else { format!(" +{more}") };
        let longer = format!("{ports} {port}");
        if start.chars().count() + 2 + longer.len() + tail.len() > room {
            let tail = format!(" +{}", more + 1);
            return if ports.is_empty() { start } else { format!("{start} ·{ports}{tail}") };
        }
        ports = longer;
    }
    if ports.is_empty() { start } else { format!("{start} ·{ports}") }
}

/// Describes whether allocated ports are held, in a long and a short wording.
pub fn hold_words(allocation: &Allocation) -> [String; 2] {
    let count = allocation.held().len() as u64;
    if count == 0 && !allocation.keeps_bound_ports() {
        return ["ports not held", "hold off"].map(str::to_owned);
    }
    [held_ports(allocation), format!("{} held", notation::grouped(count))]
}

/// Formats the number of held ports, and the limit if there is one: `19 ports held (limit 1,638)`.
fn held_ports(allocation: &Allocation) -> String {
    let count = notation::counted(allocation.held().len() as u64, "port");
    match allocation.hold_limit() {
        Some(limit) => format!("{count} held (limit {})", notation::grouped(limit)),
        None => format!("{count} held"),
    }
}

pub fn pace(allocation: &Allocation) -> &'static str {
    if allocation.is_running() { "running" } else { "paused" }
}
