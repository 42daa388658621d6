//! Draws the table of sockets. The app has sorted them; only visible rows are formatted.

use ratatui::text::Span;

use super::{SocketsContext, cells};
use crate::{
    app::{
        App, Size,
        sockets::{ListRow, order},
    },
    domain::{Snapshot, Socket, StateClass, listing::SocketColumn, notation},
    view::{
        Role,
        surface::Surface,
        table::{self, TableColumn, TableLayout, dim, plain},
    },
};

/// Minimum width for endpoints that are not cut.
const WIDE: u16 = 150;

/// A row, and the snapshot that its owner refers to.
struct TableRow<'a> {
    snapshot: &'a Snapshot,
    socket: &'a Socket,
    /// Index of the socket in the latest snapshot. None: the socket has ended.
    index: Option<usize>,
    /// Whether the search finds the socket.
    is_found: bool,
}

type SocketTableColumn<'a> = TableColumn<SocketsContext<'a>, TableRow<'a>>;

pub fn render(context: &SocketsContext<'_>, surface: &mut Surface<'_>) {
    let list = context.list;
    let room = usize::from(surface.area.height.saturating_sub(table::HEAD));
    let visible = list.rows.iter().enumerate().skip(list.first).take(room);
    let rows: Vec<TableRow<'_>> = visible
        .filter_map(|(position, &row)| {
            let (snapshot, socket) = context.app.sockets().on_row(row, context.scan)?;
            let index = match row {
                ListRow::Listed(index) => Some(index as usize),
                ListRow::Ended(_) => None,
            };
            Some(TableRow { snapshot, socket, index, is_found: list.is_found(position) })
        })
        .collect();
    let selected = list.selected.and_then(|index| index.checked_sub(list.first));
    let layout = layout(context.app, surface.area.width);
    table::draw(context, layout, &rows, selected, surface);
    if rows.is_empty() {
        let line = context.app.sockets().line();
        let words = match line.offered_word() {
            _ if line.filter().is_empty() => "no sockets".to_owned(),
            _ if list.unknown > 0 => {
                let unknown = notation::counted(list.unknown, "socket");
                format!("no known match; of {unknown} it is not known")
            }
            _ if line.error().is_some() => "no socket matches the last valid filter".to_owned(),
            Some(word) => format!("no socket matches the filter; Tab completes it to {word}"),
            None => "no socket matches the filter".to_owned(),
        };
        let at = surface.area;
        surface.put(at.x + 2, at.y + table::HEAD, &words, context.theme.style(Role::Dim));
    }
}

/// Returns the sign of a row: marked by the user, ended, new, or found by the search.
fn flag<'a>(context: &SocketsContext<'a>, row: &TableRow<'a>) -> Span<'static> {
    let (sockets, theme) = (context.app.sockets(), context.theme);
    let (mark, role) = match row {
        row if sockets.is_marked(row.socket) => (theme.glyph("✓", "*"), Role::Accent),
        row if row.index.is_none() => (theme.glyph("−", "-"), Role::Warn),
        row if sockets.recent().is_new(row.socket, context.app.now()) => ("+", Role::Ok),
        row if row.is_found => (theme.glyph("•", "o"), Role::Accent),
        _ => return Span::raw(" "),
    };
    Span::styled(mark, theme.style(role).bold())
}

/// Returns the index of the column whose title is at this position, see `order::shown`.
pub fn column_at(app: &App, width: u16, x: u16) -> Option<usize> {
    let title = layout(app, width).title_at(width, x)?;
    let shown = order::shown(Size { columns: width, rows: 0 });
    shown.iter().position(|column| column.name() == title)
}

fn layout(app: &App, width: u16) -> TableLayout<SocketsContext<'_>, TableRow<'_>> {
    TableLayout::dense(columns(app, width), flag)
}

fn columns(app: &App, width: u16) -> Vec<SocketTableColumn<'_>> {
    let sorted = app.sockets().order();
    // An IPv6 endpoint needs more room than an owner, but few sockets have one.
    let widest = if width < WIDE { 24 } else { 40 };
    let shown = order::shown(Size { columns: width, rows: 0 }).iter();
    let each = shown.map(|&column| {
        let table_column = of_column(column, widest);
        if column == sorted.column {
            table_column.sorting(!sorted.is_reversed)
        } else {
            table_column
        }
    });
    each.collect()
}

/// Returns the column; `widest`: the maximum width of an endpoint.
fn of_column<'a>(column: SocketColumn, widest: u16) -> SocketTableColumn<'a> {
    let title = column.name();
    match column {
        SocketColumn::Protocol => SocketTableColumn::<'a>::left(title, 5, 3, |_, row, _| {
            plain(cells::protocol(row.socket))
        }),
        SocketColumn::State => SocketTableColumn::<'a>::left(title, 13, 0, state),
        SocketColumn::Local => SocketTableColumn::<'a>::left(title, 18, 0, |_, row, width| {
            plain(cells::local(row.snapshot, row.socket, width))
        })
        .up_to(widest),
        SocketColumn::Remote => {
            SocketTableColumn::<'a>::left(title, 20, 1, |context, row, width| {
                let none = context.theme.glyph("–", "-");
                plain(cells::remote(row.socket.remote, none, width))
            })
            .up_to(widest)
        }
        SocketColumn::Owner => {
            SocketTableColumn::<'a>::left(title, 15, 0, |context, row, width| {
                plain(cells::owner(context.app, row.snapshot, row.socket, width))
            })
            .up_to(28)
        }
        SocketColumn::User => SocketTableColumn::<'a>::left(title, 8, 4, |_, row, width| {
            plain(cells::user(row.snapshot, row.socket, width))
        })
        .up_to(14),
        SocketColumn::Unit => SocketTableColumn::<'a>::left(title, 18, 5, |context, row, width| {
            plain(cells::unit(context.app, row.snapshot, row.socket, width))
        })
        .up_to(40),
        SocketColumn::Queue => SocketTableColumn::<'a>::right(title, 9, 3, |_, row, _| {
            plain(cells::queue(row.snapshot, row.socket))
        }),
        SocketColumn::Age => SocketTableColumn::<'a>::right(title, 8, 2, |context, row, _| {
            let age = match row.index {
                Some(index) => cells::age(context.app, row.socket, index),
                None => "ended".to_owned(),
            };
            dim(age, context.theme)
        }),
    }
}

/// Draws a bar in the colour of the state, then its name.
fn state<'a>(context: &SocketsContext<'a>, row: &TableRow<'a>, _: usize) -> Vec<Span<'static>> {
    let class = StateClass::of(row.socket.state);
    let bar = Span::styled(context.theme.glyph("▌", "|"), context.theme.style(Role::Class(class)));
    vec![bar, Span::raw(row.socket.state.name())]
}
