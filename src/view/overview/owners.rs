//! Draws the table of owners. The analysis has already sorted them, the one with most ports first.

use ratatui::{buffer::Buffer, layout::Rect, text::Span};
use unicode_width::UnicodeWidthStr;

use super::{
    OverviewContext,
    areas::OverviewSize,
    rule,
    table::{self, Align, TableColumn, dim, plain},
};
use crate::{
    app::overview::OverviewList,
    domain::{OwnerKey, OwnerUse, StateClass, notation},
    view::{Role, gauges, heatmap::put, words},
};

const NAME: usize = 0;
const BAR: usize = 2;
const MAX_NAME_WIDTH: usize = 24;
const MAX_BAR_WIDTH: u16 = 40;

pub fn render(context: &OverviewContext<'_>, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let theme = context.theme;
    let rows = &context.scan.analysis.owners;
    let window = table::window(context, OverviewList::Owners, area);
    let mut notes: Vec<String> = table::shown_of(&window, rows.len()).into_iter().collect();
    notes.push("ephemeral ports in use".to_owned());
    if OverviewSize::of(buffer.area) == OverviewSize::Small {
        rule::draw_lists(context, OverviewList::Owners, &notes, area, buffer);
    } else {
        rule::draw("Owners", &notes, theme, area, buffer);
    }
    if rows.is_empty() {
        let text = "no ephemeral port is in use";
        put(buffer, area, area.x + 2, area.y + 1, text, theme.style(Role::Dim));
        return;
    }
    let columns = columns(context, &rows[window.clone()], area.width);
    let kept = table::fitting(&columns, area.width);
    table::draw_head(&columns, &kept, theme, Rect { y: area.y + 1, ..area }, buffer);
    let selected = table::selected_index(context, OverviewList::Owners);
    for (index, y) in window.zip(area.y + 2..area.bottom()) {
        let is_selected = selected == Some(index);
        let cells =
            kept.iter().map(|&column| cell(context, &rows[index], column, &columns)).collect();
        let line = table::line(&columns, &kept, cells, is_selected, theme);
        table::draw_row(&line, is_selected, theme, area, y, buffer);
    }
}

fn columns(context: &OverviewContext<'_>, rows: &[OwnerUse], width: u16) -> Vec<TableColumn> {
    let names =
        rows.iter().map(|row| words::owner_key_name(context.app, row.owner_key).width()).max();
    let name = names.unwrap_or_default().clamp("owner".len(), MAX_NAME_WIDTH);
    let column = |title, width, align, dropped| TableColumn { title, width, align, dropped };
    let mut columns = vec![
        column("owner", name as u16, Align::Left, 0),
        column("pid", 7, Align::Right, 3),
        column("by state", 12, Align::Left, 1),
        column("ports", 6, Align::Right, 0),
        column("TIME-WAIT", 9, Align::Right, 2),
        column("CLOSE-WAIT", 10, Align::Right, 5),
        column("sockets", 7, Align::Right, 4),
    ];
    let kept = table::fitting(&columns, width);
    let spare = table::spare(&columns, &kept, width);
    columns[BAR].width = (columns[BAR].width + spare).min(MAX_BAR_WIDTH);
    columns
}

fn cell(
    context: &OverviewContext<'_>,
    row: &OwnerUse,
    column: usize,
    columns: &[TableColumn],
) -> Vec<Span<'static>> {
    let theme = context.theme;
    let width = usize::from(columns[column].width);
    match column {
        NAME => plain(words::shorten(&words::owner_key_name(context.app, row.owner_key), width)),
        1 => match row.owner_key {
            OwnerKey::Process(pid) => dim(pid.to_string(), theme),
            _ => Vec::new(),
        },
        // The bar of the largest owner is full, because the bars compare owners with each other.
        BAR => {
            let most = context.scan.analysis.owners.first().map_or(1, |first| first.ports);
            gauges::parts(&row.by_class, most, theme, width)
        }
        3 => plain(notation::grouped(row.ports)),
        4 => dim(notation::grouped(row.by_class[StateClass::TimeWait as usize]), theme),
        5 => dim(notation::grouped(row.close_wait), theme),
        6 => dim(notation::grouped(row.sockets), theme),
        _ => Vec::new(),
    }
}
