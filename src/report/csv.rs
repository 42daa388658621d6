//! Writes a scan as comma-separated values: one header, then one line per socket or group. Quotes
//! fields as RFC 4180 does, but ends lines with LF.
//!
//! A user or process name that a spreadsheet would evaluate as a formula gets a leading apostrophe.

use std::{
    fmt::{Display, Write as _},
    io::{self, Write},
};

use csv::{Terminator, Writer, WriterBuilder};

use crate::{
    domain::{Socket, StateClass, listing::RowGroup},
    report::{ListedGroups, ListedSockets, Scan, User, listed::group_kind},
};

/// The first line of a list of sockets.
pub const HEADER: &str = "protocol,family,state,local_address,local_port,remote_address,remote_port,uid,\
    user,inode,cookie,expires_ms,owner_kind,pids,names";

/// The first line of a list of groups.
pub const GROUP_HEADER: &str = "kind,name,sockets,listen,established,time_wait,other,ports";

pub fn write_scan<'a>(listed: impl Into<ListedSockets<'a>>, out: &mut dyn Write) -> io::Result<()> {
    let listed = listed.into();
    let mut table = CsvTable::new(HEADER, out)?;
    for socket in listed.sockets() {
        table.write_socket(listed.scan, socket).map_err(into_io)?;
    }
    table.writer.flush()
}

/// Writes a line for each group.
pub fn write_groups(listed: ListedGroups<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut table = CsvTable::new(GROUP_HEADER, out)?;
    for group in listed.groups {
        table.write_group(listed, group).map_err(into_io)?;
    }
    table.writer.flush()
}

struct CsvTable<W: Write> {
    writer: Writer<W>,
    /// Buffer for one field, reused for every field.
    field: String,
}

impl<W: Write> CsvTable<W> {
    /// Writes the header.
    fn new(header: &str, out: W) -> io::Result<Self> {
        let writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(out);
        let mut table = Self { writer, field: String::new() };
        table.writer.write_record(header.split(',')).map_err(into_io)?;
        Ok(table)
    }

    fn write_group(&mut self, listed: ListedGroups<'_>, group: &RowGroup) -> csv::Result<()> {
        self.write(group_kind(&group.id))?;
        self.write_text(std::iter::once(group.plain_name(listed.source())))?;
        let counts = [
            group.sockets,
            group.of_class(StateClass::Listen),
            group.established,
            group.of_class(StateClass::TimeWait),
            group.others(),
            group.ports,
        ];
        for count in counts {
            self.write(Some(count))?;
        }
        self.writer.write_record(None::<&[u8]>)
    }

    fn write_socket(&mut self, scan: Scan<'_>, socket: &Socket) -> csv::Result<()> {
        self.writer.write_field(socket.protocol.name())?;
        self.writer.write_field(socket.family.name())?;
        self.writer.write_field(socket.state.name())?;
        self.write(Some(socket.local.address))?;
        self.write(Some(socket.local.port))?;
        self.write(socket.remote.map(|remote| remote.address))?;
        self.write(socket.remote.map(|remote| remote.port))?;
        self.write(socket.uid)?;
        self.write_text(scan.user(socket).filter(User::is_known).into_iter())?;
        self.write(socket.inode)?;
        self.write(socket.cookie)?;
        self.write(socket.expires_ms)?;
        self.write(scan.snapshot.owner(socket).kind())?;
        self.write_list(scan.owners(socket).map(|(pid, _)| pid))?;
        self.write_text(
            scan.owners(socket)
                .map(|(_, process)| ListedName(process.map_or("", |p| p.name.as_str()))),
        )?;
        self.writer.write_record(None::<&[u8]>)
    }

    /// Writes one value; None becomes an empty field.
    fn write(&mut self, value: Option<impl Display>) -> csv::Result<()> {
        self.write_list(value.into_iter())
    }

    fn write_list(&mut self, values: impl Iterator<Item = impl Display>) -> csv::Result<()> {
        self.join(values);
        self.writer.write_field(&self.field)
    }

    /// Writes names from outside the program, separated by semicolons. Anyone who starts a process
    /// can choose its name, so a field that looks like a formula gets a leading apostrophe.
    fn write_text(&mut self, values: impl Iterator<Item = impl Display>) -> csv::Result<()> {
        self.join(values);
        if self.field.starts_with(['=', '+', '-', '@']) {
            self.field.insert(0, '\'');
        }
        self.writer.write_field(&self.field)
    }

    /// Fills `field` with the values, separated by semicolons.
    fn join(&mut self, values: impl Iterator<Item = impl Display>) {
        self.field.clear();
        for (number, value) in values.enumerate() {
            let separator = if number == 0 { "" } else { ";" };
            write!(self.field, "{separator}{value}").expect("writing to a String cannot fail");
        }
    }
}

/// A name in a list. Escapes its semicolons as `\u{3b}`, so that it does not look like two names.
struct ListedName<'a>(&'a str);

impl Display for ListedName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, part) in self.0.split(';').enumerate() {
            f.write_str(if number == 0 { "" } else { "\\u{3b}" })?;
            f.write_str(part)?;
        }
        Ok(())
    }
}

/// Converts an error. Returns an I/O error unchanged, so that the caller recognizes a closed pipe.
fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
