//! Draws the table of destinations. The analysis has already sorted them, most exhausted first.

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
    domain::{DestinationUse, Level, Party, StateClass, diagnosis::Standing, notation},
    view::{
        Role,
        gauges::{self, Colors},
        heatmap::put,
        words,
    },
};

const NAME: usize = 0;
const BAR: usize = 1;
const OWNER: usize = 7;
/// Maximum width of a destination; `[2001:db8:1234:5678::17]:65535` has 30 columns.
const LONGEST: usize = 34;
const LONGEST_PAIR: usize = 60;
const WIDEST_BAR: u16 = 40;
const LONGEST_OWNER: u16 = 26;

pub fn sources(scan: &LatestScan) -> usize {
    let sources = scan.analysis.destinations.iter().map(|row| row.destination.source);
    sources.collect::<BTreeSet<_>>().len()
}

pub fn render(sight: &OverviewContext<'_>, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let theme = sight.theme;
    let rows = &sight.scan.analysis.destinations;
    let window = table::window(sight, OverviewList::Destinations, area);
    let mut notes: Vec<String> = table::shown_of(&window, rows.len()).into_iter().collect();
    notes.push(match sight.sources {
        0 => "no connections".to_owned(),
        1 => "from 1 source address".to_owned(),
        count => format!("from {count} source addresses"),
    });
    if OverviewSize::of(buffer.area) == OverviewSize::Small {
        rule::draw_lists(sight, OverviewList::Destinations, &notes, area, buffer);
    } else {
        notes.push("used / usable".to_owned());
        rule::draw("Destinations", &notes, theme, area, buffer);
    }
    if rows.is_empty() {
        let text = "no TCP connection to any destination";
        put(buffer, area, area.x + 2, area.y + 1, text, theme.style(Role::Dim));
        return;
    }
    let columns = columns(sight, &rows[window.clone()], area.width);
    let kept = table::fitting(&columns, area.width);
    table::draw_head(&columns, &kept, theme, Rect { y: area.y + 1, ..area }, buffer);
    let selected = table::selected_index(sight, OverviewList::Destinations);
    for (index, y) in window.zip(area.y + 2..area.bottom()) {
        let is_selected = selected == Some(index);
        let cells =
            kept.iter().map(|&column| cell(sight, &rows[index], column, &columns)).collect();
        let line = table::line(&columns, &kept, cells, is_selected, theme);
        table::draw_row(&line, is_selected, theme, area, y, buffer);
    }
}

fn columns(sight: &OverviewContext<'_>, rows: &[DestinationUse], width: u16) -> Vec<TableColumn> {
    let names = rows.iter().map(|row| sight.destination(&row.destination).width()).max();
    let longest = if sight.sources > 1 { LONGEST_PAIR } else { LONGEST };
    let name =
        names.unwrap_or_default().clamp("destination".len(), longest.min(usize::from(width) / 2));
    let owners = rows.iter().map(|row| owner(sight, row).width()).max().unwrap_or_default();
    let column = |title, width, align, dropped| TableColumn { title, width, align, dropped };
    let mut columns = vec![
        column("destination", name as u16, Align::Left, 0),
        column("used", 8, Align::Left, 3),
        column("", 7, Align::Right, 0),
        column("left", 6, Align::Right, 0),
        column("TIME-WAIT", 9, Align::Right, 5),
        column("rate", 7, Align::Right, 4),
        column("full in", 7, Align::Right, 1),
        column("owner", (owners as u16).clamp(5, LONGEST_OWNER), Align::Left, 2),
    ];
    let kept = table::fitting(&columns, width);
    let spare = table::spare(&columns, &kept, width);
    columns[BAR].width = (columns[BAR].width + spare).min(WIDEST_BAR);
    columns
}

fn cell(
    sight: &OverviewContext<'_>,
    row: &DestinationUse,
    column: usize,
    columns: &[TableColumn],
) -> Vec<Span<'static>> {
    let theme = sight.theme;
    let standing = Standing::of_destination(row, sight.app.trends(), sight.app.thresholds());
    let width = usize::from(columns[column].width);
    match column {
        NAME => plain(words::shorten(&sight.destination(&row.destination), width)),
        BAR => bar(sight, row, width),
        2 => {
            let role = level_role(standing.level);
            vec![Span::styled(notation::percent_of(row.used, row.capacity), theme.style(role))]
        }
        3 => {
            // `4+` means at least 4: more ports may be left.
            let more = if row.left().is_exact() { "" } else { "+" };
            let left = format!("{}{more}", notation::grouped(row.available()));
            let is_plain = standing.level == Level::Ok;
            let style =
                if is_plain { Style::new() } else { theme.style(level_role(standing.level)) };
            vec![Span::styled(left, style)]
        }
        4 => dim(notation::grouped(row.time_wait), theme),
        5 => dim(rate(standing.trend, theme), theme),
        6 => match standing.forecast.filter(is_near) {
            _ if standing.available == 0 => dim("full", theme),
            _ if standing.level == Level::Failing => dim("now", theme),
            Some(forecast) => dim(in_time(forecast.seconds), theme),
            None => dim(theme.glyph("–", "-"), theme),
        },
        OWNER => dim(words::shorten(&owner(sight, row), width), theme),
        _ => Vec::new(),
    }
}

/// Draws a bar of connections and TIME-WAIT sockets in their colours. Like the percentage in the
/// next column, it excludes the TIME-WAIT sockets whose ports connect() may reuse.
fn bar(sight: &OverviewContext<'_>, row: &DestinationUse, width: usize) -> Vec<Span<'static>> {
    let mut by_class = [0; StateClass::EACH.len()];
    by_class[StateClass::TimeWait as usize] = row.time_wait.saturating_sub(row.reusable);
    by_class[StateClass::Established as usize] = row.used.saturating_sub(row.time_wait);
    gauges::stacked(&by_class, row.capacity, Colors::States, sight.theme, width)
}

/// Names one owner and counts the others. Names the process with the most sockets; without a
/// process, the first other owner.
fn owner(sight: &OverviewContext<'_>, row: &DestinationUse) -> String {
    let process = row.owners.iter().find(|(party, _)| matches!(party, Party::Process(_)));
    let Some(&(party, _)) = process.or(row.owners.first()) else { return String::new() };
    let name = words::party_name(sight.app, party);
    match row.owners.len() {
        1 => name,
        more => format!("{name} +{}", more - 1),
    }
}
