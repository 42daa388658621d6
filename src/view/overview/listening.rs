//! Draws the table of listeners: ports, addresses, owners, queues. The app has already sorted them
//! by port.

use std::time::Duration;

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::{
    OverviewContext, graphs,
    list::{ListColumn, ListTable},
    who,
};
use crate::{
    app::{App, overview::OverviewList},
    domain::{Age, ListenerUse, OwnerKey, Process, notation},
    view::{
        Role,
        surface::Surface,
        table::{TableColumn, dim, plain},
        words,
    },
};

const MAX_ADDRESS_WIDTH: u16 = 39;
/// Minimum width of a list with sparklines.
const MIN_SPARK_LIST: u16 = 100;
const SPARK: u16 = 16;

pub fn render(context: &OverviewContext<'_>, surface: &mut Surface<'_>) {
    let table = ListTable {
        list: OverviewList::Listening,
        rows: &context.scan.listeners,
        notes: Vec::new(),
        empty: "nothing listens",
        detail: Some(detail),
        columns,
    };
    table.render(context, surface);
}

/// Returns the port, the address, the queue and the owner, for terminals too small for a table.
pub fn parts(app: &App, row: &ListenerUse) -> [String; 4] {
    [port(row), address(row), queue(row), owner(app, row)]
}

fn columns<'a>(
    context: &OverviewContext<'a>,
    rows: &[ListenerUse],
    width: u16,
) -> Vec<ListColumn<'a, ListenerUse>> {
    let widest = |least: &str, text: &dyn Fn(&ListenerUse) -> String| {
        rows.iter().map(|row| text(row).width()).fold(least.len(), usize::max) as u16
    };
    let owner_width = widest("owner", &|row| owner(context.app, row));
    // Mark, port and the gaps.
    let others = 2 + 9 + 2 + 2 + owner_width;
    let address_width = widest("address", &address)
        .min(MAX_ADDRESS_WIDTH)
        .min(width.saturating_sub(others).max("address".len() as u16));
    let mut columns: Vec<ListColumn<'a, ListenerUse>> = vec![
        TableColumn::left("port", 9, 0, |_, row, _| plain(port(row))),
        TableColumn::left("address", address_width, 0, |context, row, width| {
            dim(words::shorten(&address(row), width), context.theme)
        }),
        TableColumn::left("owner", owner_width, 0, |context, row, width| {
            plain(words::shorten(&owner(context.app, row), width))
        }),
        TableColumn::right("started", 11, 2, |context, row, _| {
            dim(started(context, row).unwrap_or_default(), context.theme)
        }),
        TableColumn::right("queue", widest("queue", &queue), 1, |context, row, _| {
            let is_full = row
                .queue
                .is_some_and(|queue| queue.limit.is_some_and(|limit| queue.waiting >= limit));
            match row.queue.map_or(0, |queue| queue.waiting) {
                0 => dim(queue(row), context.theme),
                _ if is_full => {
                    vec![Span::styled(queue(row), context.theme.style(Role::Critical))]
                }
                _ => plain(queue(row)),
            }
        }),
        TableColumn::right("incoming", 8, 3, |context, row, _| {
            let rate = row.connections_per_second.map(notation::frequency);
            dim(rate.unwrap_or_else(|| context.theme.glyph("–", "-").to_owned()), context.theme)
        }),
    ];
    if width >= MIN_SPARK_LIST && !context.theme.ascii {
        // All rows have the same scale, so that they can be compared.
        columns.push(TableColumn::left("over time", SPARK, 4, |context, row, width| {
            let series = context.app.listener_series();
            dim(
                graphs::spark(&series.of(row.key), series.peak(), width, context.theme),
                context.theme,
            )
        }));
    }
    columns
}

fn port(row: &ListenerUse) -> String {
    format!("{} {}", row.key.protocol.name(), row.key.port)
}

fn address(row: &ListenerUse) -> String {
    let Some(first) = row.addresses.first().filter(|_| !row.is_on_all) else {
        return "all".to_owned();
    };
    match row.addresses.len() {
        1 => first.to_string(),
        more => format!("{first} +{}", more - 1),
    }
}

fn owner(app: &App, row: &ListenerUse) -> String {
    words::with_others(words::owner_key(app, row.key.owner_key), row.processes as u64)
}

fn process<'a>(context: &OverviewContext<'a>, row: &ListenerUse) -> Option<&'a Process> {
    let OwnerKey::Process(pid) = row.key.owner_key else { return None };
    context.app.processes().get(pid)
}

/// Formats how long ago the process of the owner was started. None: not known.
fn started(context: &OverviewContext<'_>, row: &ListenerUse) -> Option<String> {
    let started = process(context, row)?.started?;
    let ago = context.scan.snapshot.taken_at.checked_sub(Duration::from_secs(started))?;
    Some(format!("{} ago", notation::duration(ago)))
}

/// Formats the connections that wait for accept(), and their limit: `0/511`.
fn queue(row: &ListenerUse) -> String {
    let Some(queue) = row.queue else { return String::new() };
    match queue.limit {
        Some(limit) => format!("{}/{limit}", queue.waiting),
        None => queue.waiting.to_string(),
    }
}

/// Returns the lines below the rows: what is known of the selected listener and has no column. Cuts
/// it to one line if not all fit.
fn detail(
    context: &OverviewContext<'_>,
    row: &ListenerUse,
    [width, height]: [usize; 2],
) -> Vec<Line<'static>> {
    let mut parts = who::facts(context.app, context.scan, row.key.owner_key);
    // The command comes before the unit, which the owner's name already suggests.
    parts.reverse();
    if let Some(Age::Exactly(age)) = row.age {
        parts.push(format!("listens for {}", notation::rounded(age.as_secs_f64())));
    }
    if row.addresses.len() > 1 {
        let addresses: Vec<String> = row.addresses.iter().map(ToString::to_string).collect();
        parts.push(addresses.join(", "));
    }
    let room = width.saturating_sub(4);
    let rows = words::rows(&parts, " · ", room).into_iter();
    let mut rows: Vec<String> = rows.flat_map(|row| words::wrapped(&row, room)).collect();
    if rows.len() > height {
        rows = vec![words::shorten(&words::fitted(&parts, " · ", room), room)];
    }
    let line = |row| Line::styled(format!("    {row}"), context.theme.style(Role::Dim));
    rows.into_iter().map(line).collect()
}
