//! Draws the settings of the pool, the use of its bands, and its counters. Does not change them.

use std::time::Duration;

use ratatui::text::Span;

use crate::{
    app::pool::{Leasing, PoolReport, Priority, Quarantine},
    domain::notation,
    view::{
        Role,
        allocate::{
            column::{TextColumn, fitted},
            pool::{Scene, letter, role, table},
        },
        heatmap::bar,
    },
};

const LABEL: usize = 10;
/// Maximum width of a bar.
const WIDEST: usize = 24;

/// Formats the settings on one line.
pub fn terms(leasing: &Leasing) -> String {
    let class = format!("next: {}", leasing.class().name());
    [class, format!("released: {}", rest(leasing))].join(" · ")
}

pub fn section(scene: Scene<'_>, column: &mut TextColumn<'_>) {
    let leasing = scene.leasing;
    column.rule("Pool", "o");
    let room = column.width().saturating_sub(LABEL);
    label("holder", &table::holder(scene), column);
    label(
        "next",
        &format!("class {} (c), {}", leasing.class().name(), may(leasing.class())),
        column,
    );
    label("released", &rest(leasing), column);
    let Some(report) = leasing.report() else {
        let words = if leasing.notice().is_some() { "no pool" } else { "opening ..." };
        return label("state", words, column);
    };
    let allowed = attempts(report);
    let others = format!("{} in use by others", notation::percent(report.occupied));
    label("attempts", &fitted(&[&allowed, &others], room), column);
    label("", &may_give_up(leasing.options().failure_rate), column);
    label("so far", &fitted(&done(report).each_ref().map(String::as_str), room), column);
}

/// Draws each band with its ports and their use.
pub fn bands(leasing: &Leasing, column: &mut TextColumn<'_>) {
    let Some(report) = leasing.report() else { return };
    column.rule("Bands", "ports reserved per class");
    let bar_width = column.width().saturating_sub(50).min(WIDEST);
    let head = format!("{:<7} {:<11} {:>bar_width$}  leased quarantined   free", "", "ports", "");
    column.text(&head, Role::Dim);
    for class in [Priority::High, Priority::Normal, Priority::Low] {
        let band = &report.bands[class as usize];
        let name = if class == Priority::Low { "shared" } else { class.name() };
        let ports = band.ports.map_or_else(|| "none".to_owned(), |ports| ports.to_string());
        let share = (band.leased + band.resting) as f32 / band.size.max(1) as f32;
        let filled = bar(share, bar_width as u16, column.theme);
        let open = bar_width.saturating_sub(filled.chars().count());
        let free = if column.theme.has_color() { " " } else { "." };
        let ground = column.theme.color(Role::Available);
        let figures = [band.leased, band.resting, band.free()].map(notation::grouped);
        let [leased, resting, left] = figures;
        column.line([
            Span::styled(format!("{name:<7} "), column.theme.style(Role::Text)),
            Span::styled(format!("{ports:<11} "), column.theme.style(Role::Dim)),
            Span::styled(filled, column.theme.style(role(class)).bg(ground)),
            Span::styled(free.repeat(open), column.theme.style(Role::Dim).bg(ground)),
            Span::raw(format!("  {leased:>6} {resting:>11} {left:>6}")),
        ]);
    }
}

/// Draws the bands in a column beside a small map.
pub fn narrow(leasing: &Leasing, column: &mut TextColumn<'_>) {
    let Some(report) = leasing.report() else { return };
    for class in [Priority::High, Priority::Normal, Priority::Low] {
        let band = &report.bands[class as usize];
        let name = if class == Priority::Low { "shared" } else { class.name() };
        let used = format!("{}/{}", notation::grouped(band.leased), notation::grouped(band.size));
        column.line([
            Span::styled(letter(class), column.theme.badge(role(class))),
            Span::raw(format!(" {name:<7}{used:>12}")),
        ]);
    }
    let resting = format!("{} quarantined", notation::grouped(report.resting.len() as u64));
    column.text(&fitted(&[&resting, &attempts(report)], column.width()), Role::Dim);
}

/// Draws a few words, the most important first.
pub fn tiny(leasing: &Leasing, column: &mut TextColumn<'_>) {
    if let Some(report) = leasing.report() {
        column.text(&notation::counted(report.leases.len() as u64, "lease"), Role::Text);
        column.text(&format!("{} quarantined", report.resting.len()), Role::Text);
    }
    column.text(&terms(leasing), Role::Dim);
}

fn label(label: &str, value: &str, column: &mut TextColumn<'_>) {
    column.pair(&format!("{label:<LABEL$}"), Role::Dim, value, Role::Text);
}

fn may(class: Priority) -> &'static str {
    match class {
        Priority::Low => "shared band",
        Priority::Normal => "normal or shared band",
        Priority::High => "any band",
    }
}

fn rest(leasing: &Leasing) -> String {
    match leasing.options().quarantine {
        Quarantine::Time(time) => format!("closed, in quarantine for {}", seconds(time)),
        Quarantine::Drain(time) => {
            format!("bound until {} without a datagram", seconds(time))
        }
    }
}

fn may_give_up(rate: f64) -> String {
    if rate > 0.0 {
        format!("1 of {} may fail with a port free", notation::grouped((1.0 / rate) as u64))
    } else {
        "none fails while a port is free".to_owned()
    }
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

fn attempts(report: &PoolReport) -> String {
    if report.attempts_allowed == 0 {
        return "none: no port left in the shared band".to_owned();
    }
    format!("at most {}", notation::counted(report.attempts_allowed, "attempt"))
}

fn done(report: &PoolReport) -> [String; 5] {
    let counts = report.counts;
    let reported = |count: u64, what: &str| match count {
        0 => String::new(),
        count => format!("{} {what}", notation::grouped(count)),
    };
    [
        format!("{} granted", notation::grouped(counts.given)),
        reported(counts.released, "released"),
        reported(counts.reclaimed, "reclaimed"),
        reported(counts.refused, "binds refused"),
        reported(counts.strays, "stray datagrams"),
    ]
}
