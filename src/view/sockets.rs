//! Draws the Sockets screen: the filter, the table of sockets or groups, the inspector, the command
//! of ss(8).

mod cells;
mod copied;
mod filter_line;
mod group_table;
mod socket_table;

use ratatui::{
    layout::{Position, Rect},
    text::Span,
};

use crate::{
    app::{
        App, LatestScan, PointerTarget, Size,
        sockets::{ListRow, SocketList, SocketsPlan},
    },
    domain::{listing::GroupBy, notation},
    view::{
        Role, Theme, inspector, map,
        surface::{Surface, first_fitting, take},
        table, words,
    },
};

pub use copied::{copied, copied_rows};

/// Data from which each part of the screen is drawn.
struct SocketsContext<'a> {
    app: &'a App,
    scan: &'a LatestScan,
    theme: &'a Theme,
    list: &'a SocketList,
}

/// The areas of the parts.
#[derive(Clone, Copy)]
struct SocketsAreas {
    filter: Rect,
    /// With the titles of the columns.
    table: Rect,
    inspector: Rect,
    command: Rect,
}

impl SocketsAreas {
    fn of(plan: SocketsPlan, body: Rect) -> Self {
        let mut free = body;
        Self {
            filter: take(&mut free, 1),
            table: take(&mut free, plan.rows + table::HEAD),
            inspector: take(&mut free, plan.inspector),
            command: take(&mut free, plan.command),
        }
    }

    fn within(app: &App, body: Rect) -> Self {
        // The body has all lines but those of the header and the footer.
        let size = Size { columns: body.width, rows: body.height + 2 };
        let rows = app.socket_list().map_or(0, SocketList::len);
        Self::of(app.sockets().plan(size).for_rows(rows), body)
    }
}

pub fn render(app: &App, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let (Some(scan), Some(list)) = (app.scan(), app.socket_list()) else {
        map::waiting(app, surface);
        return;
    };
    let context = SocketsContext { app, scan, theme, list };
    let areas = SocketsAreas::within(app, area);
    filter_line::render(&context, &mut surface.within(areas.filter));
    match &list.groups {
        Some(groups) => group_table::render(&context, groups, &mut surface.within(areas.table)),
        None => socket_table::render(&context, &mut surface.within(areas.table)),
    }
    render_inspector(&context, &mut surface.within(areas.inspector));
    render_command(&context, &mut surface.within(areas.command));
}

/// Returns what a click at this position selects: a row, or the column that has its title there.
pub fn target_at(app: &App, body: Rect, at: Position) -> Option<PointerTarget> {
    let table = SocketsAreas::within(app, body).table;
    if at.y != table.y || !table.contains(at) {
        return row_at(app, body, at).map(PointerTarget::Row);
    }
    let x = at.x - table.x;
    let column = match app.socket_list()?.groups {
        Some(_) => group_table::column_at(app, table.width, x),
        None => socket_table::column_at(app, table.width, x),
    };
    column.map(PointerTarget::Column)
}

/// Returns the row at this position, counted from 0.
fn row_at(app: &App, body: Rect, at: Position) -> Option<usize> {
    let list = app.socket_list()?;
    let table = SocketsAreas::within(app, body).table;
    let line = at.y.checked_sub(table.y + table::HEAD)?;
    let row = list.first + usize::from(line);
    (table.contains(at) && row < list.len()).then_some(row)
}

impl SocketsContext<'_> {
    /// Returns the position of the selected row: `3 of 2,396`.
    fn position(&self) -> String {
        match self.list.selected {
            Some(index) => words::of(index as u64 + 1, self.list.len() as u64),
            None => String::new(),
        }
    }
}

fn render_inspector(context: &SocketsContext<'_>, surface: &mut Surface<'_>) {
    let area = surface.area;
    if area.is_empty() {
        return;
    }
    if context.list.groups.is_some() {
        group_table::render_selected(context, surface);
        return;
    }
    let Some((_, socket)) = context.app.selected_socket() else {
        if area.height > 1 {
            surface.rule("", "");
        }
        return;
    };
    if area.height > 1 {
        let port = socket.local.port;
        let service = context.app.services().name(socket.protocol, port);
        let service = service.map(|name| format!(", {name}")).unwrap_or_default();
        let ended = match context.app.selected_row() {
            Some(ListRow::Ended(_)) => ", the socket has ended",
            _ => "",
        };
        let protocol = socket.protocol.name().to_uppercase();
        surface.rule(&format!("{protocol} {port}{service}{ended}"), &context.position());
    }
    let rest = surface.rest();
    inspector::render_socket(context.app, context.scan, socket, &mut surface.within(rest));
}

/// Draws the command of ss(8) that lists the same sockets, or what is wrong with the filter.
fn render_command(context: &SocketsContext<'_>, surface: &mut Surface<'_>) {
    let (theme, width) = (context.theme, surface.width());
    let line = context.app.sockets().line();
    if let Some(error) = line.error() {
        let message = error.to_string();
        let with_tab = match &error.suggestion {
            Some(_) => format!("{message} Tab takes it"),
            None => message.clone(),
        };
        let shown = format!("{with_tab} · the list shows the last valid filter");
        let wordings = [shown, with_tab, message];
        surface.text(&first_fitting(&wordings, width, theme), Role::Critical);
        return;
    }
    let is_flat = context.app.sockets().group_by() == GroupBy::Nothing;
    let (words, note) = match line.filter().as_ss() {
        Ok(command) if context.list.has_bound => {
            (format!("same sockets, BOUND only with a recent ss, as  {command}"), "y copies it")
        }
        Ok(command) => (format!("same sockets as  {command}"), "y copies it"),
        Err(reason) if context.list.is_empty() => (reason.to_string(), ""),
        Err(reason) if is_flat => (reason.to_string(), "y copies the socket"),
        Err(reason) => (reason.to_string(), "Y copies the table"),
    };
    let title = first_fitting(&[words], width.saturating_sub(note.len() + 4), theme);
    let note = vec![Span::styled(note, theme.style(Role::Dim))];
    surface.rule_with(&title, note);
}

/// Formats `2,396 of 51,962 sockets`, with what is new, marked or unknown, as far as it fits.
fn count(context: &SocketsContext<'_>) -> [String; 3] {
    let (list, sockets) = (context.list, context.app.sockets());
    let all = context.scan.snapshot.sockets.len() as u64;
    let line = sockets.line();
    let is_search = line.search().is_some() && list.groups.is_none();
    let part = if is_search {
        Some(list.found.len() as u64)
    } else {
        (!line.filter().is_empty()).then(|| list.matches.into())
    };
    let found = if is_search { " found" } else { "" };
    let all = notation::counted(all, "socket");
    let of = match part {
        Some(part) => format!("{} of {all}{found}", notation::grouped(part)),
        None => all,
    };
    let some = |count: u64, what: &str| {
        (count > 0).then(|| format!(" · {} {what}", notation::grouped(count)))
    };
    let unknown = some(list.unknown.into(), "unknown").unwrap_or_default();
    let marked = some(list.marked.into(), "marked").unwrap_or_default();
    let changes =
        [some(sockets.recent().new_count() as u64, "new"), some(list.ended.into(), "ended")];
    let changes = changes.into_iter().flatten().collect::<String>();
    [
        format!("{of}{unknown}{marked}{changes}"),
        format!("{of}{unknown}{marked}"),
        format!("{}{unknown}", notation::grouped(part.unwrap_or(list.matches.into()))),
    ]
}
