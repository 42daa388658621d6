//! Draws small graphs: a sparkline, the expiry of TIME-WAIT, and use over time with its forecast.

use std::time::Duration;

use ratatui::layout::Rect;

use super::{OverviewContext, rule, verdict};
use crate::{
    domain::{Level, Protocol, StateClass, Subject, diagnosis::SubjectStatus, notation},
    view::{
        Role, Theme,
        bars::{self, EIGHTHS},
        map,
        surface::{Surface, indented},
        theme::letter,
        words,
    },
};

/// The forecast gets 1 / `FORECAST_DIVISOR` of the width.
const FORECAST_DIVISOR: u16 = 3;
/// Replaces the bar of a sparkline where the number is unknown.
const UNKNOWN: char = '·';
const MIN_WIDTH: u16 = 16;
const MIN_HEIGHT: u16 = 4;

/// Returns a sparkline of `series`: the time before the last snapshot, and the number then. A full
/// cell means `size`, a dot that the number is unknown. Returns an empty string with ASCII glyphs.
pub fn spark(series: &[(Duration, Option<u32>)], size: u32, width: usize, theme: &Theme) -> String {
    if theme.ascii {
        return String::new();
    }
    let eighths = |number: u32| (number * 8).div_ceil(size.max(1)).min(8) as usize;
    let glyph = |number: Option<u32>| number.map_or(UNKNOWN, |number| EIGHTHS[eighths(number)]);
    columns(series, width).into_iter().map(glyph).collect()
}

/// Distributes the series over `width` columns. Each column shows the last value of its interval.
fn columns<N: Copy>(series: &[(Duration, N)], width: usize) -> Vec<N> {
    let Some(&(longest, first)) = series.first() else { return Vec::new() };
    let span = longest.as_secs_f64();
    let mut values = series.iter().peekable();
    let mut value = first;
    let column = |column: usize| {
        let ends = span * (1.0 - (column + 1) as f64 / width.max(1) as f64);
        while let Some((_, next)) =
            values.next_if(|(before, _)| before.as_secs_f64() >= ends - 1e-6)
        {
            value = *next;
        }
        value
    };
    (0..width).map(column).collect()
}

/// Draws how many ports of the ephemeral range leave TIME-WAIT per second during the next minute.
/// Ports that a socket in another state uses, too, are not counted.
pub fn drain(context: &OverviewContext<'_>, surface: &mut Surface<'_>) {
    let area = surface.area;
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        return;
    }
    let freed = &context.scan.drain.freed;
    let all: u32 = freed.iter().sum();
    let title = drain_title(all, usize::from(area.width).saturating_sub(4));
    rule::draw(&title, &["ports freed per second".to_owned()], surface);
    let plot = indented(Rect { y: area.y + 1, height: area.height - 2, ..area });
    if all == 0 {
        return;
    }
    let seconds = 60.max(freed.len());
    let each = |column: u16| {
        let at = |column: u16| usize::from(column) * seconds / usize::from(plot.width);
        let (from, to) = (at(column), at(column + 1).max(at(column) + 1));
        freed.iter().take(to).skip(from).sum::<u32>() / (to - from).max(1) as u32
    };
    let values: Vec<u32> = (0..plot.width).map(each).collect();
    let most = freed.iter().copied().max().unwrap_or_default().max(1);
    let role = Role::Class(StateClass::TimeWait);
    draw_bars(&values, most, (role, letter(StateClass::TimeWait)), &mut surface.within(plot));
    let peak = format!("peak {}/s", notation::grouped(most));
    axis(["now", &peak, "in 60s"], plot, surface);
}

/// Returns the longest title of the drain of `ports` ports that fits into `room` columns.
fn drain_title(ports: u32, room: usize) -> String {
    let free = match ports {
        0 => "no port becomes free".to_owned(),
        1 => "1 port becomes free".to_owned(),
        _ => format!("{} become free", notation::counted(ports, "port")),
    };
    let wordings = [
        format!("TIME-WAIT ends: {free}"),
        format!("TIME-WAIT: {free}"),
        free,
        "TIME-WAIT".to_owned(),
    ];
    wordings.into_iter().find(|title| title.len() <= room).unwrap_or_default()
}

/// Draws a bar per value. `mark` is the colour of the bars, and the letter that replaces them if
/// only whole cells can be drawn.
fn draw_bars(values: &[u32], most: u32, mark: (Role, char), surface: &mut Surface<'_>) {
    let letter = surface.theme.needs_whole_cells().then_some(mark.1);
    let style = surface.theme.style(mark.0);
    for (&value, x) in values.iter().zip(surface.area.left()..) {
        let share = (f64::from(value) / f64::from(most.max(1))).min(1.0);
        bars::vertical(share, x, letter, style, surface);
    }
}

/// Writes three labels below a plot, at the left, in the middle and at the right; drops the middle
/// one if it does not fit.
fn axis([left, middle, right]: [&str; 3], plot: Rect, surface: &mut Surface<'_>) {
    let area = Rect { y: plot.bottom(), height: 1, ..plot };
    let mut surface = surface.within(area);
    let width = surface.width();
    let dim = surface.theme.style(Role::Dim);
    let used = left.len() + right.len() + 2;
    surface.put(area.x, area.y, left, dim);
    surface.put(area.right().saturating_sub(right.len() as u16), area.y, right, dim);
    if used + middle.len() <= width {
        let space = width - used - middle.len();
        let x = area.x + (left.len() + 1 + space / 2) as u16;
        surface.put(x, area.y, middle, dim);
    }
}

/// Draws the ports in use of the headline's range or destination over time, and the forecast.
pub fn usage(context: &OverviewContext<'_>, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        return;
    }
    let subject_status = &context.verdict;
    let series = context.app.trends().series(subject_status.subject);
    let title = match subject_status.subject {
        Subject::Destination(destination) => format!("to {}", destination.remote),
        Subject::Range(protocol) => format!("{} in use", map::protocols_name(protocol.into())),
        Subject::ProtocolFamily(protocol_family) => protocol_family.name().to_owned(),
    };
    let title = words::shorten(&title, usize::from(area.width).saturating_sub(6));
    rule::draw(&title, &[format!("of {}", notation::grouped(subject_status.size))], surface);
    let plot = indented(Rect { y: area.y + 1, height: area.height - 2, ..area });
    if series.len() < 2 {
        surface.within(plot).put(plot.x, plot.y, "needs a second snapshot", theme.style(Role::Dim));
        return;
    }
    let past_area = Rect { width: plot.width - plot.width / FORECAST_DIVISOR, ..plot };
    let forecast_area = Rect { x: past_area.right(), width: plot.width - past_area.width, ..plot };
    let role = match verdict::level_role(subject_status.level) {
        Role::Ok if subject_status.subject == Subject::Range(Protocol::Udp) => {
            Role::Class(StateClass::Udp)
        }
        Role::Ok => Role::Class(StateClass::Established),
        role => role,
    };
    let values = columns(&series, usize::from(past_area.width));
    draw_bars(&values, subject_status.size, (role, '#'), &mut surface.within(past_area));
    draw_full_line(&mut surface.within(plot));
    let seconds_each = series[0].0.as_secs_f64() / f64::from(past_area.width.max(1));
    let last = series.last().map_or(subject_status.used, |&(_, ports)| ports);
    forecast(subject_status, last, seconds_each, &mut surface.within(forecast_area));
    let [start, end] = [start(series[0].0), end(subject_status)];
    axis([&start, "now", &end], plot, surface);
}

/// Returns the label at the left end of the time axis.
fn start(ago: Duration) -> String {
    // A duration in seconds would change at each scan, even if nothing else on the screen did.
    if ago < Duration::from_mins(1) {
        return "start".to_owned();
    }
    format!("{} ago", notation::rounded(ago.as_secs_f64()))
}

/// Returns the label at the right end of the time axis, below the forecast; empty if no port is
/// left.
fn end(subject_status: &SubjectStatus) -> String {
    match subject_status.forecast.filter(verdict::is_near) {
        _ if subject_status.available == 0 => String::new(),
        _ if subject_status.level == Level::Failing => "full at times".to_owned(),
        Some(forecast) => format!("full in {}", verdict::in_time(forecast.seconds)),
        None => "forecast".to_owned(),
    }
}

/// Marks the top of the plot, where all ports are in use.
fn draw_full_line(surface: &mut Surface<'_>) {
    let (theme, plot) = (surface.theme, surface.area);
    for x in plot.left()..plot.right() {
        let cell = &mut surface.buffer[(x, plot.y)];
        if cell.symbol() == " " {
            cell.set_symbol(theme.glyph("┄", "-")).set_style(theme.style(Role::Faint));
        }
    }
}

/// Draws the forecast as dots that continue the columns of the past: from the `last` number of ports
/// in use, and on the same time scale, so that a column shows `seconds_each`.
fn forecast(
    subject_status: &SubjectStatus,
    last: u32,
    seconds_each: f64,
    surface: &mut Surface<'_>,
) {
    let Some(trend) = subject_status.trend else { return };
    let (theme, area) = (surface.theme, surface.area);
    for (step, x) in (1_u32..).zip(area.left()..area.right()) {
        let used = f64::from(last) + trend.per_second * seconds_each * f64::from(step);
        let share = (used / f64::from(subject_status.size.max(1))).clamp(0.0, 1.0);
        let (line, dot) = dot_at(share, area.height, if theme.ascii { &ASCII_DOTS } else { &DOTS });
        let style = theme.style(verdict::level_role(subject_status.level));
        surface.buffer[(x, area.bottom() - 1 - line)].set_char(dot).set_style(style);
    }
}

/// Dots at the heights that a cell can show, from below: with braille and in ASCII.
const DOTS: [char; 4] = ['⡀', '⠄', '⠂', '⠁'];
const ASCII_DOTS: [char; 2] = ['.', '\''];

/// Returns the line, counted from below, and the dot whose upper edge is nearest to the top of a bar
/// that fills `share` (0 to 1) of `height` lines.
fn dot_at(share: f64, height: u16, dots: &[char]) -> (u16, char) {
    let levels = usize::from(height) * dots.len();
    let level = (share * levels as f64).round().max(1.0) as usize - 1;
    ((level / dots.len()) as u16, dots[level % dots.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Background, Depth};

    fn series(ports: &[Option<u32>]) -> Vec<(Duration, Option<u32>)> {
        let last = ports.len() as u64 - 1;
        (0..).zip(ports).map(|(at, &ports)| (Duration::from_secs(last - at), ports)).collect()
    }

    #[test]
    fn a_sparkline_has_the_order_of_its_series() {
        let theme = Theme::new(Depth::True, Background::Dark, false);
        let known = |ports: &[u32]| series(&ports.iter().copied().map(Some).collect::<Vec<_>>());
        assert_eq!(spark(&known(&[0, 1, 2, 4, 8]), 8, 4, &theme), "▁▂▄█");
        assert_eq!(spark(&known(&[5, 5]), 10, 3, &theme), "▄▄▄");
        assert_eq!(spark(&series(&[None, None, Some(0), Some(8)]), 8, 3, &theme), "· █");
        assert_eq!(spark(&[], 8, 3, &theme), "");
    }

    #[test]
    fn a_forecast_continues_at_the_height_of_the_last_bar() {
        let height = 6;
        for eighths in 1..=8 * height {
            let share = f64::from(eighths) / f64::from(8 * height);
            let (line, dot) = dot_at(share, height, &DOTS);
            let quarters = DOTS.iter().position(|&each| each == dot).unwrap() as u16 + 1;
            let top = f64::from(line) + f64::from(quarters) / 4.0;
            assert!((top - f64::from(eighths) / 8.0).abs() <= 0.126, "{eighths}: {top}");
        }
        assert_eq!(dot_at(0.0, height, &DOTS), (0, '⡀'));
        assert_eq!([0.5, 0.6].map(|share| dot_at(share, 6, &ASCII_DOTS)), [(2, '\''), (3, '.')]);
    }
}
