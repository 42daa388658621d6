//! Draws the settings of the pool, the use of its bands, and its counters. Does not change them.

use std::time::Duration;

use ratatui::text::Span;

use crate::{
    app::pool::{PoolReport, PoolScreen, Priority, Quarantine},
    domain::notation,
    view::{
        Role,
        allocate::{
            pool::{PoolContext, letter, role, table},
            setup::{LABEL, label},
        },
        heatmap::bar,
        surface::{Surface, first_fitting, fitted},
    },
};

/// Width of the figures of a band, with the gap before them.
const FIGURES_WIDTH: usize = 40;
/// Maximum width of a bar.
const MAX_BAR_WIDTH: usize = 24;

/// Formats as many of the settings as fit on one line of `width` columns.
pub fn setup_words(pool_screen: &PoolScreen, width: usize) -> String {
    let class = format!("next class: {}", pool_screen.class().name());
    fitted(&[&class, &format!("released ports: {}", quarantine_rule(pool_screen))], width)
}

pub fn section(pool_context: PoolContext<'_>, column: &mut Surface<'_>) {
    let pool_screen = pool_context.pool_screen;
    column.rule("Pool", "o: change");
    let room = column.width().saturating_sub(LABEL);
    label("holder", &table::holder(pool_context), column);
    let class = pool_screen.class();
    label("next", &format!("class {} (v): {}", class.name(), may(class)), column);
    label("released", &quarantine_rule(pool_screen), column);
    let Some(report) = pool_screen.report() else {
        let words = if pool_screen.notice().is_some() { "no pool" } else { "opening ..." };
        return label("state", words, column);
    };
    label("low band", &first_fitting(&search(report), room, column.theme), column);
    let failures = may_fail(pool_screen.options().failure_rate);
    label("", &first_fitting(&failures, room, column.theme), column);
    label("so far", &fitted(&done(report).each_ref().map(String::as_str), room), column);
}

/// Draws each band with its ports and their use.
pub fn bands(pool_context: PoolContext<'_>, column: &mut Surface<'_>) {
    let Some(report) = pool_context.pool_screen.report() else { return };
    column.rule("Bands", "a class may also use lower bands");
    let bar_width = column.width().saturating_sub(FIGURES_WIDTH + 20).min(MAX_BAR_WIDTH);
    let head = format!("{:<7} {:<11} {:>bar_width$}", "", "ports", "")
        + "  leased quarantine not leased other use";
    column.text(&head, Role::Dim);
    for class in [Priority::High, Priority::Normal, Priority::Low] {
        let band = &report.bands[class as usize];
        let name = class.name();
        let ports = band.ports.map_or_else(|| "none".to_owned(), |ports| ports.to_string());
        let share = (band.leased + band.quarantined) as f32 / band.size.max(1) as f32;
        let filled = bar(share, bar_width as u16, column.theme);
        let open = bar_width.saturating_sub(filled.chars().count());
        let free = if column.theme.has_color() { " " } else { "." };
        let background = column.theme.color(Role::Available);
        let figures = [band.leased, band.quarantined, band.free()].map(notation::grouped);
        let [leased, quarantined, left] = figures;
        let others = pool_context.others_in(band.ports, report);
        let others = others.map_or_else(|| "-".to_owned(), notation::grouped);
        column.line([
            Span::styled(format!("{name:<7} "), column.theme.style(Role::Text)),
            Span::styled(format!("{ports:<11} "), column.theme.style(Role::Dim)),
            Span::styled(filled, column.theme.style(role(class)).bg(background)),
            Span::styled(free.repeat(open), column.theme.style(Role::Dim).bg(background)),
            Span::raw(format!("  {leased:>6} {quarantined:>10} {left:>10} {others:>9}")),
        ]);
    }
}

/// Draws the bands in a column beside a small map.
pub fn narrow(pool_context: PoolContext<'_>, column: &mut Surface<'_>) {
    let Some(report) = pool_context.pool_screen.report() else { return };
    for class in [Priority::High, Priority::Normal, Priority::Low] {
        let band = &report.bands[class as usize];
        let name = class.name();
        let used = format!("{}/{}", notation::grouped(band.leased), notation::grouped(band.size));
        column.line([
            Span::styled(letter(class), column.theme.badge(role(class))),
            Span::raw(format!(" {name:<7}{used:>12}")),
        ]);
    }
    column.text(&fitted(&[&in_quarantine(report), &attempts(report)], column.width()), Role::Dim);
    let all = report.bands.iter().filter_map(|band| pool_context.others_in(band.ports, report));
    let all = notation::grouped(all.sum::<u32>());
    let others = ["in use by others", "by others"].map(|words| format!("{all} {words}"));
    if pool_context.allocate_context.scan.is_some() {
        column.text(&first_fitting(&others, column.width(), column.theme), Role::Dim);
    }
}

/// Draws a few words, the most important first.
pub fn tiny(pool_screen: &PoolScreen, column: &mut Surface<'_>) {
    if let Some(report) = pool_screen.report() {
        column.text(&notation::counted(report.leases.len() as u64, "lease"), Role::Text);
        column.text(&in_quarantine(report), Role::Text);
    }
    column.text(&setup_words(pool_screen, column.width()), Role::Dim);
}

/// Formats the number of ports in quarantine.
pub fn in_quarantine(report: &PoolReport) -> String {
    format!("{} in quarantine", notation::grouped(report.quarantined.len() as u64))
}

/// Returns the bands that a class may use.
fn may(class: Priority) -> &'static str {
    match class {
        Priority::Low => "low band",
        Priority::Normal => "normal or low band",
        Priority::High => "any band",
    }
}

/// Describes what happens to released ports.
fn quarantine_rule(pool_screen: &PoolScreen) -> String {
    match pool_screen.options().quarantine {
        Quarantine::Time(time) => format!("in quarantine for {}", seconds(time)),
        Quarantine::Drain(time) => {
            format!("bound until no datagram arrives for {}", seconds(time))
        }
    }
}

/// Returns the wordings for the failure rate, longest first.
fn may_fail(rate: f64) -> Vec<String> {
    if rate > 0.0 {
        let leases = notation::grouped((1.0 / rate).round() as u64);
        vec![
            format!("goal: at most 1 of {leases} requests fails while a port is free"),
            format!("goal: at most 1 in {leases} fails while a port is free"),
            format!("goal: at most 1 in {leases} fails"),
        ]
    } else {
        vec![
            "goal: no request fails while a port is free".to_owned(),
            "goal: none fails while a port is free".to_owned(),
            "goal: none fails".to_owned(),
        ]
    }
}

fn seconds(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => notation::duration(time),
        _ => format!("{}s", time.as_secs_f64()),
    }
}

/// Returns the wordings for the next search in the low band, longest first: its maximum number of
/// attempts, and the estimated share of ports in use by others.
fn search(report: &PoolReport) -> [String; 4] {
    let allowed = attempts(report);
    let share = match notation::percent(report.occupied) {
        share if share.starts_with(['<', '>']) => share,
        share => format!("about {share}"),
    };
    [
        format!("{allowed} · {share} in use by others (estimated)"),
        format!("{allowed} · {share} in use by others"),
        format!("{allowed} · others use {share}"),
        allowed,
    ]
}

/// Formats the maximum number of attempts of the next search in the low band.
fn attempts(report: &PoolReport) -> String {
    if report.attempts_allowed == 0 {
        return "no port left in the low band".to_owned();
    }
    format!("at most {}", notation::counted(report.attempts_allowed, "attempt"))
}

fn done(report: &PoolReport) -> [String; 5] {
    let counts = report.counts;
    let reported = |count: u64, words: String| if count == 0 { String::new() } else { words };
    let of =
        |count: u64, what: &str| reported(count, format!("{} {what}", notation::grouped(count)));
    let refused = notation::counted(counts.refused, "attempt") + " refused";
    [
        format!("{} granted", notation::grouped(counts.given)),
        of(counts.released, "released"),
        of(counts.reclaimed, "reclaimed"),
        reported(counts.refused, refused),
        reported(counts.late_datagrams, notation::counted(counts.late_datagrams, "late datagram")),
    ]
}
