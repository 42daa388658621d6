//! Writes the rows of the Sockets screen to a file, as `scan` writes them. Chooses no name.

use std::{io, path::Path};

use crate::{
    app::{
        App,
        sockets::{ListRow, RowsFile, RowsFormat},
    },
    cli::output,
    domain::notation,
    report::{self, ListedGroups, ListedSockets, Scan},
};

/// Writes the marked rows, or all if none is marked; of groups, all. Sockets that have ended are not
/// written. Follows no symbolic link, writes to no pipe or device, which could block the screen,
/// and replaces only a file that portscope wrote. Returns what was written, or why nothing was.
pub fn write(app: &App, file: &RowsFile) -> Result<String, String> {
    let nothing = || "no row to write".to_owned();
    let (latest, list) = app.scan().zip(app.socket_list()).ok_or_else(nothing)?;
    let scan = Scan { snapshot: &latest.snapshot, processes: app.processes() };
    let (rows, what): (Rows<'_>, String) = if let Some(groups) = &list.groups {
        let group_by = app.sockets().group_by();
        let (services, sockets) = (app.services(), list.matches);
        let listed = ListedGroups { scan, services, group_by, groups, sockets };
        (Rows::Groups(listed), notation::counted(groups.len() as u64, "group"))
    } else {
        let chosen = app.sockets().chosen_rows(list, latest).into_iter();
        let indexes = chosen.filter_map(|row| match row {
            ListRow::Listed(index) => Some(index),
            ListRow::Ended(_) => None,
        });
        let indexes: Vec<u32> = indexes.collect();
        if indexes.is_empty() && list.marked > 0 {
            return Err("no row to write: the filter excludes the marked sockets".to_owned());
        }
        let what = notation::counted(indexes.len() as u64, "socket");
        (Rows::Sockets(scan, indexes), what)
    };
    let mark = match (file.format, &rows) {
        (RowsFormat::Json, _) => report::json::BEGINNING,
        (RowsFormat::Csv, Rows::Sockets(..)) => report::csv::HEADER,
        (RowsFormat::Csv, Rows::Groups(_)) => report::csv::GROUP_HEADER,
    };
    output::write_regular(Path::new(&file.name), mark, |out| rows.write(file.format, out))
        .map_err(|error| error.to_string())?;
    Ok(format!("wrote {what} to {}", file.name))
}

/// The rows to write.
enum Rows<'a> {
    Sockets(Scan<'a>, Vec<u32>),
    Groups(ListedGroups<'a>),
}

impl Rows<'_> {
    fn write(&self, format: RowsFormat, out: &mut dyn io::Write) -> io::Result<()> {
        match (self, format) {
            (Self::Sockets(scan, order), format) => {
                let listed = ListedSockets { scan: *scan, order: Some(order) };
                match format {
                    RowsFormat::Csv => report::csv::write_scan(listed, out),
                    RowsFormat::Json => report::json::write_scan(listed, out),
                }
            }
            (Self::Groups(listed), RowsFormat::Csv) => report::csv::write_groups(*listed, out),
            (Self::Groups(listed), RowsFormat::Json) => report::json::write_groups(*listed, out),
        }
    }
}
