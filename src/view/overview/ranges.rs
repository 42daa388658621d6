//! Draws how much of the range each protocol and family uses: a bar by state, figures, a sparkline.
//! Does not count the ports.

use ratatui::text::{Line, Span};

use super::{
    OverviewContext, graphs, rule,
    verdict::{level_role, rate},
};
use crate::{
    domain::{Gauge, ProtocolFamily, Subject, notation},
    view::{
        Role, gauges,
        surface::{Surface, below},
        words,
    },
};

/// Width of ` TCP IPv4  `.
const NAME: u16 = 11;
/// Width of the share (8), the count (8) and the rate (10), such as `88.4 %  24,957  +21.5/s`, and
/// one spare column.
const FIGURES: u16 = 27;
/// Width of `no even port free` and a gap.
const HALF: u16 = 19;
const SPARK: u16 = 20;
/// Maximum width of a bar.
const MAX_BAR_WIDTH: u16 = 60;
const MIN_BAR_WIDTH: u16 = 20;

pub fn render(context: &OverviewContext<'_>, surface: &mut Surface<'_>) {
    let ephemeral = &context.scan.snapshot.ephemeral;
    let reserved = ephemeral.reserved_in(ephemeral.range);
    let mut notes = vec![
        ephemeral.range.to_string(),
        format!("{} ports", notation::grouped(ephemeral.range.len())),
    ];
    if reserved > 0 {
        notes.push(format!("{} reserved", notation::grouped(reserved)));
    }
    rule::draw("Ephemeral range: local ports in use", &notes, surface);
    let columns = Columns::within(surface.area.width);
    let (large, small) = by_size(context);
    let mut lines: Vec<Line<'_>> =
        large.iter().map(|gauge| line(context, gauge, &columns)).collect();
    let words = small_gauges(&small);
    lines.extend(
        words::rows(&words, " · ", surface.width().saturating_sub(2))
            .into_iter()
            .map(|words| Line::styled(format!(" {words}"), context.theme.style(Role::Dim))),
    );
    surface.within(below(surface.area, 1)).lines(&lines);
}

/// Returns the height: a rule, a line for each large gauge, and a line for all small ones.
pub fn height(context: &OverviewContext<'_>, width: u16) -> u16 {
    let (large, small) = by_size(context);
    let words = small_gauges(&small);
    let room = usize::from(width.saturating_sub(2));
    let small = if words.is_empty() { 0 } else { words::rows(&words, " · ", room).len() };
    (1 + large.len() + small) as u16
}

/// Share from which a gauge has its own line.
const MIN_SHARE: f64 = 0.01;

/// Returns the gauges with a line of their own, and those that share a line: they used less than
/// `MIN_SHARE` of their ports since the first scan. TCP over IPv4 always has its own line.
fn by_size<'a>(context: &OverviewContext<'a>) -> (Vec<&'a Gauge>, Vec<&'a Gauge>) {
    context.scan.gauges.iter().partition(|gauge| {
        let subject = Subject::ProtocolFamily(gauge.protocol_family);
        let series = context.app.trends().series(subject);
        let most = series.iter().map(|&(_, ports)| ports).max().unwrap_or_default();
        let most = most.max(gauge.occupied);
        gauge.protocol_family == ProtocolFamily::Tcp4
            || f64::from(most) >= f64::from(gauge.size) * MIN_SHARE && most > 0
    })
}

/// Formats the gauges that share a line, those without a port in use together: `UDP IPv4 0.5 % (150)`,
/// `TCP IPv6, UDP IPv6 0 %`.
fn small_gauges(gauges: &[&Gauge]) -> Vec<String> {
    let (used, unused): (Vec<&Gauge>, Vec<&Gauge>) =
        gauges.iter().partition(|gauge| gauge.occupied > 0);
    let mut parts: Vec<String> = used
        .into_iter()
        .map(|gauge| {
            let share = notation::percent_of(gauge.occupied, gauge.size);
            let ports = notation::grouped(gauge.occupied);
            format!("{} {share} ({ports})", gauge.protocol_family.name())
        })
        .collect();
    let names: Vec<&str> = unused.iter().map(|gauge| gauge.protocol_family.name()).collect();
    if let Some(first) = unused.first() {
        let share = notation::percent_of(first.occupied, first.size);
        parts.push(format!("{} {share}", names.join(", ")));
    }
    parts
}

/// Columns that are shown in addition to name and figures. A width is 0 if there is no room.
struct Columns {
    bar: u16,
    has_half: bool,
    spark: u16,
}

impl Columns {
    fn within(width: u16) -> Self {
        let room = width.saturating_sub(NAME + FIGURES + 1);
        let has_half = room >= MIN_BAR_WIDTH + HALF;
        let room = room - if has_half { HALF } else { 0 };
        let spark = if room >= 2 * MIN_BAR_WIDTH + SPARK { SPARK } else { 0 };
        let bar = (room - if spark > 0 { spark + 2 } else { 0 }).min(MAX_BAR_WIDTH);
        // The sparkline gets the columns that the bar does not use.
        let spark = if spark > 0 { room.saturating_sub(bar + 2).min(MAX_BAR_WIDTH) } else { 0 };
        Self { bar, has_half, spark }
    }
}

fn line(context: &OverviewContext<'_>, gauge: &Gauge, columns: &Columns) -> Line<'static> {
    let theme = context.theme;
    let width = usize::from(NAME) - 1;
    let mut line = Line::from(format!(" {:width$}", gauge.protocol_family.name()));
    let bar = usize::from(columns.bar);
    line.extend(gauges::stacked(&gauge.by_class, gauge.size, Role::Class, theme, bar));
    let subject = Subject::ProtocolFamily(gauge.protocol_family);
    let trend = context.app.trends().of(subject);
    let share = notation::percent_of(gauge.occupied, gauge.size);
    let left = gauge.size - gauge.occupied.min(gauge.size);
    let level = context.app.thresholds().level(gauge.share(), left, None);
    line.push_span(Span::styled(format!("{share:>8}"), theme.style(level_role(level))));
    line.push_span(format!("{:>8}", notation::grouped(gauge.occupied)));
    let rate = trend.map_or_else(|| "rate –".to_owned(), |_| rate(trend));
    line.push_span(Span::styled(format!("{rate:>10}"), theme.style(Role::Dim)));
    if columns.has_half {
        line.push_span(half(context, gauge));
    }
    if columns.spark > 0 {
        let series = context.app.trends().series(subject).into_iter();
        let known: Vec<_> = series.map(|(before, ports)| (before, Some(ports))).collect();
        let spark = graphs::spark(&known, gauge.size, usize::from(columns.spark), theme);
        line.push_span("  ");
        line.push_span(Span::styled(spark, theme.style(Role::Dim)));
    }
    line
}

/// Formats how many ports without a socket have the low parity, which connect() tries first. If
/// there are none, connect() may be slower, because it searches all ports of this parity before the
/// others.
fn half(context: &OverviewContext<'_>, gauge: &Gauge) -> Span<'static> {
    let range = context.scan.analysis.range(gauge.protocol_family.protocol());
    if matches!(gauge.protocol_family, ProtocolFamily::Udp4 | ProtocolFamily::Udp6) {
        // UDP does not prefer a parity.
        return Span::raw(" ".repeat(usize::from(HALF)));
    }
    let is_even = range.range.first().is_multiple_of(2);
    let used = if is_even { gauge.occupied_even } else { gauge.occupied - gauge.occupied_even };
    let free = range.low_parity_size.saturating_sub(used);
    let parity = if is_even { "even" } else { "odd" };
    let role = if free == 0 { Role::Warn } else { Role::Dim };
    let text = match free {
        0 if gauge.occupied >= gauge.size => "no port free".to_owned(),
        0 => format!("no {parity} port free"),
        free => format!("{} {parity} free", notation::grouped(free)),
    };
    let width = usize::from(HALF);
    Span::styled(format!("{text:>width$}"), context.theme.style(role))
}
