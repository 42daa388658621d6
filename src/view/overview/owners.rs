//! Draws the table of owners. The analysis has already sorted them, the one with most ports first.

use unicode_width::UnicodeWidthStr;

use super::{
    OverviewContext,
    list::{ListColumn, ListTable},
};
use crate::{
    app::overview::OverviewList,
    domain::{OwnerUse, StateClass, notation},
    view::{
        gauges,
        surface::Surface,
        table::{TableColumn, dim, plain},
        words,
    },
};

const MAX_BAR_WIDTH: u16 = 40;

pub fn render(context: &OverviewContext<'_>, surface: &mut Surface<'_>) {
    let table = ListTable {
        list: OverviewList::Owners,
        rows: &context.scan.analysis.owners,
        notes: vec!["ephemeral ports in use".to_owned()],
        empty: "no ephemeral port is in use",
        detail: None,
        columns,
    };
    table.render(context, surface);
}

fn columns<'a>(
    context: &OverviewContext<'a>,
    rows: &[OwnerUse],
    _: u16,
) -> Vec<ListColumn<'a, OwnerUse>> {
    let names = rows.iter().map(|row| words::owner_key(context.app, row.owner_key).width());
    let name = names.fold("owner".len(), usize::max) as u16;
    vec![
        TableColumn::left("owner", name, 0, |context, row, width| {
            plain(words::shorten(&words::owner_key(context.app, row.owner_key), width))
        }),
        TableColumn::left(
            "by state",
            12,
            1,
            |context: &OverviewContext<'a>, row: &OwnerUse, width| {
                // The bar of the largest owner is full, because the bars compare owners with each
                // other.
                let most = context.scan.analysis.owners.first().map_or(1, |first| first.ports);
                gauges::parts(&row.by_class, most, context.theme, width)
            },
        )
        .up_to(MAX_BAR_WIDTH),
        TableColumn::right("ports", 6, 0, |_, row, _| plain(notation::grouped(row.ports))),
        TableColumn::right("TIME-WAIT", 9, 2, |context, row, _| {
            dim(notation::grouped(row.by_class[StateClass::TimeWait as usize]), context.theme)
        }),
        TableColumn::right("CLOSE-WAIT", 10, 5, |context, row, _| {
            dim(notation::grouped(row.close_wait), context.theme)
        }),
        TableColumn::right("sockets", 7, 4, |context, row, _| {
            dim(notation::grouped(row.sockets), context.theme)
        }),
    ]
}
