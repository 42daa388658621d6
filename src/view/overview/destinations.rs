//! Draws the table of destinations. The analysis has already sorted them, fullest first.

use ratatui::{style::Style, text::Span};
use unicode_width::UnicodeWidthStr;

use super::{
    OverviewContext,
    areas::size_class,
    list::{ListColumn, ListTable},
    verdict::{in_time, is_near, level_role, rate},
    who,
};
use crate::{
    app::{App, overview::OverviewList},
    domain::{DestinationUse, Level, StateClass, Subject, diagnosis::SubjectStatus, notation},
    view::{
        Role, Theme, gauges,
        size_class::SizeClass,
        surface::Surface,
        table::{TableColumn, dim, plain},
        words,
    },
};

/// Maximum width of a destination, in columns; `[2001:db8:1234:5678::17]:65535` has 30.
const MAX_DESTINATION_WIDTH: usize = 34;
const MAX_PAIR_WIDTH: usize = 60;
const MAX_BAR_WIDTH: u16 = 40;
/// Width of the columns that are never dropped, besides name and owner: mark, share, ports left,
/// and the gaps between them.
const OTHERS_WIDTH: usize = 22;

pub fn render(context: &OverviewContext<'_>, surface: &mut Surface<'_>) {
    let mut notes = vec![match context.scan.sources {
        0 => "no connections".to_owned(),
        count => notation::counted(count as u64, "source address"),
    }];
    if size_class(surface.buffer.area) > SizeClass::Small {
        notes.push("% of usable ports in use".to_owned());
    }
    let table = ListTable {
        list: OverviewList::Destinations,
        rows: &context.scan.analysis.destinations,
        notes,
        empty: "no TCP connection to any destination",
        detail: None,
        columns,
    };
    table.render(context, surface);
}

/// Returns the destination, its share, the ports left and the owner, for terminals too small for a
/// table.
pub fn parts(app: &App, row: &DestinationUse, theme: &Theme) -> [String; 4] {
    let left = format!("{} left", left(row, theme));
    [row.destination.remote.to_string(), share(row), left, who::owners(app, row)]
}

fn columns<'a>(
    context: &OverviewContext<'a>,
    rows: &[DestinationUse],
    width: u16,
) -> Vec<ListColumn<'a, DestinationUse>> {
    let names = rows.iter().map(|row| context.destination(&row.destination).width()).max();
    let longest = if context.scan.sources > 1 { MAX_PAIR_WIDTH } else { MAX_DESTINATION_WIDTH };
    // A cell that is wider than its column would move the cells at its right.
    let widest = |least: u16, text: &dyn Fn(&DestinationUse) -> String| {
        rows.iter().map(|row| text(row).width() as u16).fold(least, u16::max)
    };
    let trend =
        |row: &DestinationUse| context.app.trends().of(Subject::Destination(row.destination));
    let rate_width = widest(7, &|row| rate(trend(row)));
    // The owner is never cut.
    let owner_width = widest(5, &|row| who::owners(context.app, row));
    let room = usize::from(width.saturating_sub(owner_width)).saturating_sub(OTHERS_WIDTH);
    let least = "destination".len();
    let name = names.unwrap_or_default().clamp(least, longest.min(room).max(least));
    vec![
        TableColumn::left("destination", name as u16, 0, |context, row, width| {
            plain(words::shorten(&context.destination(&row.destination), width))
        }),
        TableColumn::left("in use", 8, 3, bar).up_to(MAX_BAR_WIDTH),
        TableColumn::right("", widest(7, &share), 0, |context, row, _| {
            let role = level_role(status(context, row).level);
            vec![Span::styled(share(row), context.theme.style(role))]
        }),
        TableColumn::right("left", widest(6, &|row| left(row, context.theme)), 0, left_cell),
        TableColumn::right("TIME-WAIT", 9, 5, |context, row, _| {
            dim(notation::grouped(row.time_wait), context.theme)
        }),
        TableColumn::right("rate", rate_width, 4, |context, row, _| {
            dim(rate(status(context, row).trend), context.theme)
        }),
        TableColumn::right("full in", 7, 1, full_in),
        TableColumn::left("owner", owner_width, 0, |context, row, width| {
            dim(words::shorten(&who::owners(context.app, row), width), context.theme)
        }),
    ]
}

fn status(context: &OverviewContext<'_>, row: &DestinationUse) -> SubjectStatus {
    SubjectStatus::of_destination(row, context.app.trends(), context.app.thresholds())
}

fn left_cell(context: &OverviewContext<'_>, row: &DestinationUse, _: usize) -> Vec<Span<'static>> {
    let level = status(context, row).level;
    let style = match level {
        Level::Ok => Style::new(),
        level => context.theme.style(level_role(level)),
    };
    vec![Span::styled(left(row, context.theme), style)]
}

fn full_in(context: &OverviewContext<'_>, row: &DestinationUse, _: usize) -> Vec<Span<'static>> {
    let (status, theme) = (status(context, row), context.theme);
    match status.forecast.filter(is_near) {
        _ if status.available == 0 || status.level == Level::Failing => dim("now", theme),
        Some(forecast) => dim(in_time(forecast.seconds), theme),
        None => dim("–", theme),
    }
}

fn share(row: &DestinationUse) -> String {
    notation::percent_of(row.in_use(), row.capacity)
}

/// Formats the number of ports left: `≥4` if it is at least 4.
fn left(row: &DestinationUse, theme: &Theme) -> String {
    let least = if row.left().is_exact() { "" } else { theme.glyph("≥", ">=") };
    format!("{least}{}", notation::grouped(row.available()))
}

/// Draws a bar of the ports in use: TIME-WAIT in its colour, all other states in the colour of
/// ESTABLISHED, because the analysis does not count them separately.
fn bar(context: &OverviewContext<'_>, row: &DestinationUse, width: usize) -> Vec<Span<'static>> {
    let mut by_class = [0; StateClass::EACH.len()];
    by_class[StateClass::TimeWait as usize] = row.time_wait.saturating_sub(row.surely_reusable);
    by_class[StateClass::Established as usize] = row.used.saturating_sub(row.time_wait);
    gauges::stacked(&by_class, row.capacity, Role::Class, context.theme, width)
}
