//! Writes the command, the rows or the groups of the Sockets screen as text. Does not copy it.

use super::{cells, group_table};
use crate::{
    app::App,
    domain::{Snapshot, Socket, notation},
    view::words,
};

/// Maximum number of rows that are copied: more than a clipboard takes.
const MOST_ROWS: usize = 2000;

/// Returns the ss command of the filter, or the selected row if no command lists the same sockets.
pub fn copied(app: &App) -> Option<(String, Vec<String>)> {
    if let Ok(command) = app.sockets().line().filter().as_ss() {
        return Some(("the ss command".to_owned(), vec![command]));
    }
    let (snapshot, socket) = app.selected_socket()?;
    let title = format!("{} {}", socket.protocol.name(), socket.local);
    Some((title, vec![line(app, snapshot, socket)]))
}

/// Returns the marked rows; without marks, all that match. Of groups, all.
pub fn copied_rows(app: &App) -> Option<(String, Vec<String>)> {
    let (scan, list) = (app.scan()?, app.socket_list()?);
    if let Some(groups) = &list.groups {
        let rows = groups.iter().take(MOST_ROWS).map(|group| {
            let sockets = notation::counted(group.sockets, "socket");
            format!(
                "{}: {sockets}, {}",
                group_table::name(app, group),
                notation::counted(group.ports, "ephemeral port")
            )
        });
        let title = notation::counted(groups.len() as u64, "group");
        let rows: Vec<String> = rows.collect();
        return (!rows.is_empty()).then_some((title, rows));
    }
    let sockets = app.sockets();
    let rows = sockets.chosen_rows(list, scan);
    let lines = rows.iter().take(MOST_ROWS).filter_map(|&row| {
        let (snapshot, socket) = sockets.on_row(row, scan)?;
        Some(line(app, snapshot, socket))
    });
    let title = notation::counted(rows.len() as u64, "socket");
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then_some((title, lines))
}

fn line(app: &App, snapshot: &Snapshot, socket: &Socket) -> String {
    let local = snapshot.interfaces.local(socket);
    let remote = socket.remote.map(|remote| format!(" -> {remote}")).unwrap_or_default();
    let owner = words::owner_line(app, snapshot, socket);
    let state = socket.state.name();
    let protocol = cells::protocol(socket);
    format!("{protocol} {state} {local}{remote} {owner}")
}
