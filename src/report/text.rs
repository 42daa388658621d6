//! Writes a scan as text: aligned columns as in `ss`, one line per socket, with the owner last; below
//! the others if the terminal is too narrow. Writes groups of sockets as a table.

use std::{
    fmt::{self, Write as _},
    io, iter,
    net::IpAddr,
};

use crate::{
    domain::{Endpoint, Machine, Socket, StateClass, listing::GroupBy, notation::grouped},
    report::{
        ListedGroups, ListedSockets, Page, Scan, User,
        columns::{TextCell, TextColumn, TextTable},
        page::{Emphasis, columns_of},
        paragraph,
    },
};

/// Width of `PROTOCOL`, `STATE` and the spaces after the columns, without `FAMILY` and `USER`.
const FIXED_WIDTH: usize = 8 + 12 + 4;
const FAMILY_WIDTH: usize = 6;
/// Indent of an owner on a line of its own.
const BELOW: &str = "  ";

/// Writes all columns, unless the terminal is too narrow for them. An owner for which a line has no
/// room is on the next line.
pub fn write_scan<'a>(listed: impl Into<ListedSockets<'a>>, page: &mut Page<'_>) -> io::Result<()> {
    let listed = listed.into();
    let scan = listed.scan;
    let widths = Widths::fitting(listed, page.known_width());
    let Widths { local, remote, .. } = widths;
    let family = if widths.has_family { "FAMILY " } else { "" };
    let user = widths.user.map(|user| format!("{:<user$} ", "USER")).unwrap_or_default();
    let header = format!(
        "PROTOCOL {family}STATE        {:<local$} {:<remote$} {user}OWNER",
        "LOCAL", "REMOTE"
    );
    let header = page.emphasized(&header, Emphasis::Strong).into_owned();
    page.line(&header)?;
    let mut line = String::new();
    for socket in listed.sockets() {
        line.clear();
        let columns = push_socket(&mut line, scan, socket, widths);
        let columns = columns.expect("writing to a String cannot fail");
        let is_wide = |width| columns_of(&line) > width;
        match line.split_at_checked(columns) {
            Some((columns, owner)) if page.known_width().is_some_and(is_wide) => {
                page.line(columns.trim_end())?;
                paragraph::write(BELOW, owner, page)?;
            }
            _ => page.line(&line)?,
        }
    }
    Ok(())
}

/// Writes one table per network namespace, each under a line with its name.
pub fn write_scans(scans: &[ListedSockets<'_>], page: &mut Page<'_>) -> io::Result<()> {
    write_each(scans, |listed| listed.scan, |&listed, page| write_scan(listed, page), page)
}

/// Writes a table with a row for each group.
pub fn write_groups(listed: ListedGroups<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let columns = [
        TextColumn::text(match listed.group_by {
            GroupBy::Nothing => "GROUP",
            GroupBy::Owner => "OWNER",
            GroupBy::Destination => "DESTINATION",
            GroupBy::State => "STATE",
            GroupBy::Port => "PORT",
            GroupBy::User => "USER",
            GroupBy::Unit => "UNIT",
            GroupBy::Container => "CONTAINER",
        }),
        TextColumn::number("SOCKETS"),
        TextColumn::number("LISTEN").left_out(2),
        TextColumn::number("ESTABLISHED").left_out(3),
        TextColumn::number("TIME-WAIT").left_out(4),
        TextColumn::number("OTHER").left_out(1),
        TextColumn::number("PORTS"),
    ];
    let rows = listed.groups.iter().map(|group| {
        let count = |count: u32| TextCell::from(grouped(count));
        [
            group.name(listed.source(), listed.services).into(),
            count(group.sockets),
            count(group.of_class(StateClass::Listen)),
            count(group.established),
            count(group.of_class(StateClass::TimeWait)),
            count(group.others()),
            count(group.ports),
        ]
    });
    let table = TextTable::new(columns, rows.collect(), page);
    table.write(page)?;
    table.legend().write(page)
}

/// Writes one table per network namespace, each under a line with its name.
pub fn write_all_groups(groups: &[ListedGroups<'_>], page: &mut Page<'_>) -> io::Result<()> {
    write_each(groups, |listed| listed.scan, |&listed, page| write_groups(listed, page), page)
}

/// Writes one report per network namespace, each under a line with its name.
pub(super) fn write_each<'a, R>(
    reports: &'a [R],
    scan: impl Fn(&'a R) -> Scan<'a>,
    write: impl Fn(&'a R, &mut Page<'_>) -> io::Result<()>,
    page: &mut Page<'_>,
) -> io::Result<()> {
    for (number, report) in reports.iter().enumerate() {
        let space = if number == 0 { "" } else { "\n" };
        let name = NamespaceLine(&scan(report).snapshot.machine);
        page.line(&format!("{space}{name}"))?;
        write(report, page)?;
    }
    Ok(())
}

/// The line above the report of a namespace, with its name and inode number: `namespace blue (net
/// 4026532250)`. Unknown values are `-`.
pub struct NamespaceLine<'a>(pub &'a Machine);

impl fmt::Display for NamespaceLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { namespace_name, network_namespace, .. } = self.0;
        write!(
            f,
            "namespace {} (net {})",
            OrDash(namespace_name.as_ref()),
            OrDash(*network_namespace)
        )
    }
}

/// Appends the columns of a socket and its owner. Returns the length of the columns.
fn push_socket(
    line: &mut String,
    scan: Scan<'_>,
    socket: &Socket,
    widths: Widths,
) -> Result<usize, fmt::Error> {
    push_column(line, socket.protocol.name(), 8)?;
    if widths.has_family {
        push_column(line, socket.family.name(), FAMILY_WIDTH)?;
    }
    push_column(line, socket.state.name(), 12)?;
    push_column(line, scan.snapshot.interfaces.local(socket), widths.local)?;
    push_column(line, OrDash(socket.remote), widths.remote)?;
    if let Some(user) = widths.user {
        push_column(line, OrDash(scan.user(socket)), user)?;
    }
    let columns = line.len();
    push_owner(line, scan, socket)?;
    Ok(columns)
}

/// Appends a value, padded with spaces to the width of its column plus one.
fn push_column(line: &mut String, value: impl fmt::Display, width: usize) -> fmt::Result {
    let start = line.len();
    write!(line, "{value}")?;
    let shown = line.get(start..).map_or(0, columns_of);
    line.extend(iter::repeat_n(' ', width.saturating_sub(shown) + 1));
    Ok(())
}

fn push_owner(line: &mut String, scan: Scan<'_>, socket: &Socket) -> fmt::Result {
    if let Some(tunnels) = scan.snapshot.tunnel_names(socket) {
        return write!(line, "kernel: {tunnels}");
    }
    let owner = scan.snapshot.owner(socket);
    line.write_str(owner.kind().map_or("-", before_names))?;
    for (number, &pid) in owner.pids().iter().enumerate() {
        let separator = if number == 0 { "" } else { ", " };
        write!(line, "{separator}{}", scan.processes.named(pid))?;
    }
    Ok(())
}

/// Returns the text before the names of the processes of an owner of this kind.
pub(super) fn before_names(kind: &str) -> &str {
    match kind {
        "process" => "",
        "backlog" => "not yet accepted by ",
        "departed" => "kernel, closed by ",
        kind => kind,
    }
}

/// A value, or `-` for None.
struct OrDash<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_char('-'),
        }
    }
}

/// Widths of the columns that depend on their content, and which columns are shown.
#[derive(Clone, Copy)]
struct Widths {
    local: usize,
    remote: usize,
    /// None: left out.
    user: Option<usize>,
    has_family: bool,
}

impl Widths {
    /// Measures the columns. Leaves out FAMILY, then USER, if the lines do not fit `width`.
    fn fitting(listed: ListedSockets<'_>, width: Option<usize>) -> Self {
        let all = Self::all(listed, endpoint_width);
        let Some(width) = width else { return all };
        let owner = owner_width(listed);
        if all.sum() + owner <= width {
            return all;
        }
        let exact = Self::all(listed, self::width::<Endpoint>);
        let narrower = [
            exact,
            Self { has_family: false, ..exact },
            Self { has_family: false, user: None, ..exact },
        ];
        let fits = narrower.iter().find(|widths| widths.sum() + owner <= width);
        fits.copied().unwrap_or(narrower[2])
    }

    fn all(listed: ListedSockets<'_>, endpoint_width: fn(&Endpoint) -> usize) -> Self {
        let scan = listed.scan;
        let (mut local, mut remote, mut user) = (5, 6, 4);
        let mut measured_uid = None;
        for socket in listed.sockets() {
            local = local.max(match socket.interface {
                None => endpoint_width(&socket.local),
                Some(_) => width(&scan.snapshot.interfaces.local(socket)),
            });
            remote = remote.max(socket.remote.as_ref().map_or(1, endpoint_width));
            if socket.uid.is_some() && socket.uid != measured_uid {
                measured_uid = socket.uid;
                user = user.max(scan.user(socket).as_ref().map_or(1, width::<User<'_>>));
            }
        }
        Self { local, remote, user: Some(user), has_family: true }
    }

    /// Returns the width of all columns before the owner.
    fn sum(&self) -> usize {
        let user = self.user.map_or(0, |user| user + 1);
        let family = if self.has_family { FAMILY_WIDTH + 1 } else { 0 };
        FIXED_WIDTH + family + self.local + self.remote + user
    }
}

/// Returns the width of the widest owner.
fn owner_width(listed: ListedSockets<'_>) -> usize {
    let scan = listed.scan;
    let owner = |socket| {
        fmt::from_fn(move |f| {
            let mut line = String::new();
            push_owner(&mut line, scan, socket)?;
            f.write_str(&line)
        })
    };
    let widths = listed.sockets().map(|socket| width(&owner(socket)));
    widths.max().unwrap_or_default()
}

/// Returns the width of an endpoint as shown. Returns the largest possible width for IPv4, because
/// measuring each of 200,000 endpoints takes longer than writing a few spaces.
fn endpoint_width(endpoint: &Endpoint) -> usize {
    match endpoint.address {
        IpAddr::V4(_) => "255.255.255.255:65535".len(),
        IpAddr::V6(_) => width(endpoint),
    }
}

/// Counts the columns of a value as shown; allocates nothing.
fn width<T: fmt::Display>(value: &T) -> usize {
    struct Count(usize);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += columns_of(text);
            Ok(())
        }
    }
    let mut count = Count(0);
    write!(count, "{value}").expect("counting cannot fail");
    count.0
}
