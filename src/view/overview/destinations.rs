//! Draws the table of destinations. The analysis has already sorted them, fullest first.

use std::collections::BTreeSet;

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Span};
use unicode_width::UnicodeWidthStr;

use super::{
    OverviewContext,
    areas::OverviewSize,
    rule,
    table::{self, Align, TableColumn, dim, plain},
    verdict::{in_time, is_near, level_role, rate},
};
use crate::{
    app::{LatestScan, overview::OverviewList},
    domain::{
        DestinationUse, Level, OwnerKey, StateClass, Subject, diagnosis::SubjectStatus, notation,
    },
    view::{
        Role, Theme,
        gauges::{self, Colors},
        heatmap::put,
        words,
    },
};

const NAME: usize = 0;
const BAR: usize = 1;
const OWNER: usize = 7;
/// Maximum width of a destination, in columns; `[2001:db8:1234:5678::17]:65535` has 30.
const MAX_DESTINATION_WIDTH: usize = 34;
const MAX_PAIR_WIDTH: usize = 60;
const MAX_BAR_WIDTH: u16 = 40;
const MAX_OWNER_WIDTH: u16 = 26;

pub fn sources(scan: &LatestScan) -> usize {
    let sources = scan.analysis.destinations.iter().map(|row| row.destination.source);
    sources.collect::<BTreeSet<_>>().len()
}

pub fn render(context: &OverviewContext<'_>, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let theme = context.theme;
    let rows = &context.scan.analysis.destinations;
    let window = table::window(context, OverviewList::Destinations, area);
    let mut notes: Vec<String> = table::shown_of(&window, rows.len()).into_iter().collect();
    notes.push(match context.sources {
        0 => "no connections".to_owned(),
        count => notation::counted(count as u64, "source address"),
    });
    if OverviewSize::of(buffer.area) == OverviewSize::Small {
        rule::draw_lists(context, OverviewList::Destinations, &notes, area, buffer);
    } else {
        notes.push("% of usable ports in use".to_owned());
        rule::draw("Destinations", &notes, theme, area, buffer);
    }
    if rows.is_empty() {
        let text = "no TCP connection to any destination";
        put(buffer, area, area.x + 2, area.y + 1, text, theme.style(Role::Dim));
        return;
    }
    let columns = columns(context, &rows[window.clone()], area.width);
    let kept = table::fitting(&columns, area.width);
    table::draw_head(&columns, &kept, theme, Rect { y: area.y + 1, ..area }, buffer);
    let selected = table::selected_index(context, OverviewList::Destinations);
    for (index, y) in window.zip(area.y + 2..area.bottom()) {
        let is_selected = selected == Some(index);
        let cells =
            kept.iter().map(|&column| cell(context, &rows[index], column, &columns)).collect();
        let line = table::line(&columns, &kept, cells, is_selected, theme);
        table::draw_row(&line, is_selected, theme, area, y, buffer);
    }
}

fn columns(context: &OverviewContext<'_>, rows: &[DestinationUse], width: u16) -> Vec<TableColumn> {
    let names = rows.iter().map(|row| context.destination(&row.destination).width()).max();
    let longest = if context.sources > 1 { MAX_PAIR_WIDTH } else { MAX_DESTINATION_WIDTH };
    let name =
        names.unwrap_or_default().clamp("destination".len(), longest.min(usize::from(width) / 2));
    // A cell that is wider than its column would move the cells at its right.
    let widest = |least: u16, text: &dyn Fn(&DestinationUse) -> String| {
        rows.iter().map(|row| text(row).width() as u16).fold(least, u16::max)
    };
    let share_width = widest(7, &share);
    let left_width = widest(6, &|row| left(row, context.theme));
    let trend =
        |row: &DestinationUse| context.app.trends().of(Subject::Destination(row.destination));
    let rate_width = widest(7, &|row| rate(trend(row), context.theme));
    let owner_width = widest(5, &|row| owner(context, row)).min(MAX_OWNER_WIDTH);
    let column = |title, width, align, dropped| TableColumn { title, width, align, dropped };
    let mut columns = vec![
        column("destination", name as u16, Align::Left, 0),
        column("in use", 8, Align::Left, 3),
        column("", share_width, Align::Right, 0),
        column("left", left_width, Align::Right, 0),
        column("TIME-WAIT", 9, Align::Right, 5),
        column("rate", rate_width, Align::Right, 4),
        column("full in", 7, Align::Right, 1),
        column("owner", owner_width, Align::Left, 2),
    ];
    let kept = table::fitting(&columns, width);
    let spare = table::spare(&columns, &kept, width);
    columns[BAR].width = (columns[BAR].width + spare).min(MAX_BAR_WIDTH);
    columns
}

fn cell(
    context: &OverviewContext<'_>,
    row: &DestinationUse,
    column: usize,
    columns: &[TableColumn],
) -> Vec<Span<'static>> {
    let theme = context.theme;
    let subject_status =
        SubjectStatus::of_destination(row, context.app.trends(), context.app.thresholds());
    let width = usize::from(columns[column].width);
    match column {
        NAME => plain(words::shorten(&context.destination(&row.destination), width)),
        BAR => bar(context, row, width),
        2 => {
            let role = level_role(subject_status.level);
            vec![Span::styled(share(row), theme.style(role))]
        }
        3 => {
            let is_plain = subject_status.level == Level::Ok;
            let style =
                if is_plain { Style::new() } else { theme.style(level_role(subject_status.level)) };
            vec![Span::styled(left(row, theme), style)]
        }
        4 => dim(notation::grouped(row.time_wait), theme),
        5 => dim(rate(subject_status.trend, theme), theme),
        6 => match subject_status.forecast.filter(is_near) {
            _ if subject_status.available == 0 || subject_status.level == Level::Failing => {
                dim("now", theme)
            }
            Some(forecast) => dim(in_time(forecast.seconds), theme),
            None => dim(theme.glyph("–", "-"), theme),
        },
        OWNER => dim(words::shorten(&owner(context, row), width), theme),
        _ => Vec::new(),
    }
}

fn share(row: &DestinationUse) -> String {
    notation::percent_of(row.used, row.capacity)
}

/// Formats the number of ports left: `≥4` if it is at least 4.
fn left(row: &DestinationUse, theme: &Theme) -> String {
    let least = if row.left().is_exact() { "" } else { theme.glyph("≥", ">=") };
    format!("{least}{}", notation::grouped(row.available()))
}

/// Draws a bar of the ports in use: TIME-WAIT in its colour, all other states in the colour of
/// ESTABLISHED, because the analysis does not count them separately. Excludes the TIME-WAIT ports
/// that connect() may reuse, which the percentage in the next column includes.
fn bar(context: &OverviewContext<'_>, row: &DestinationUse, width: usize) -> Vec<Span<'static>> {
    let mut by_class = [0; StateClass::EACH.len()];
    by_class[StateClass::TimeWait as usize] = row.time_wait.saturating_sub(row.reusable);
    by_class[StateClass::Established as usize] = row.used.saturating_sub(row.time_wait);
    gauges::stacked(&by_class, row.capacity, Colors::States, context.theme, width)
}

/// Names one owner and counts the others in `DestinationUse::owners`. Names the process with the
/// most sockets or, without a process, the first owner.
fn owner(context: &OverviewContext<'_>, row: &DestinationUse) -> String {
    let process =
        row.owners.iter().find(|(owner_key, _)| matches!(owner_key, OwnerKey::Process(_)));
    let Some(&(owner_key, _)) = process.or(row.owners.first()) else { return String::new() };
    let name = words::owner_key_name(context.app, owner_key);
    match row.owners.len() {
        1 => name,
        more => format!("{name} +{}", more - 1),
    }
}
