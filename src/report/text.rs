//! Writes a scan as text: aligned columns as in `ss`, one line per socket, with the owner last.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    iter,
    net::IpAddr,
};

use crate::{
    domain::{Endpoint, Machine, Socket},
    report::{Scan, User},
};

pub fn write_scan(scan: Scan<'_>, out: &mut dyn Write) -> io::Result<()> {
    let widths = Widths::fitting(scan);
    let Widths { local, remote, user } = widths;
    writeln!(
        out,
        "PROTOCOL FAMILY STATE        {:<local$} {:<remote$} {:<user$} OWNER",
        "LOCAL", "REMOTE", "USER"
    )?;
    let mut line = String::new();
    for socket in &scan.snapshot.sockets {
        line.clear();
        push_socket(&mut line, scan, socket, widths).expect("writing to a String cannot fail");
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Writes one table per network namespace, each under a line with its name.
pub fn write_scans(scans: &[Scan<'_>], out: &mut dyn Write) -> io::Result<()> {
    write_each(scans, |&scan| scan, |&scan, out| write_scan(scan, out), out)
}

/// Writes one report per network namespace, each under a line with its name.
pub(super) fn write_each<'a, R>(
    reports: &'a [R],
    scan: impl Fn(&'a R) -> Scan<'a>,
    write: impl Fn(&'a R, &mut dyn Write) -> io::Result<()>,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (number, report) in reports.iter().enumerate() {
        let space = if number == 0 { "" } else { "\n" };
        writeln!(out, "{space}{}", NamespaceLine(&scan(report).snapshot.machine))?;
        write(report, out)?;
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

fn push_socket(line: &mut String, scan: Scan<'_>, socket: &Socket, widths: Widths) -> fmt::Result {
    push_column(line, socket.protocol.name(), 8)?;
    push_column(line, socket.family.name(), 6)?;
    push_column(line, socket.state.name(), 12)?;
    push_column(line, scan.snapshot.interfaces.local(socket), widths.local)?;
    push_column(line, OrDash(socket.remote), widths.remote)?;
    push_column(line, OrDash(scan.user(socket)), widths.user)?;
    push_owner(line, scan, socket)?;
    line.write_char('\n')
}

/// Appends a value, padded with spaces to the width of its column plus one.
fn push_column(line: &mut String, value: impl fmt::Display, width: usize) -> fmt::Result {
    let start = line.len();
    write!(line, "{value}")?;
    let shown = line.get(start..).map_or(0, |value| value.chars().count());
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

/// Widths of the columns that depend on their content.
#[derive(Clone, Copy)]
struct Widths {
    local: usize,
    remote: usize,
    user: usize,
}

impl Widths {
    fn fitting(scan: Scan<'_>) -> Self {
        let mut widths = Self { local: 5, remote: 6, user: 4 };
        let mut measured_uid = None;
        for socket in &scan.snapshot.sockets {
            widths.local = widths.local.max(local_width(scan, socket));
            widths.remote = widths.remote.max(socket.remote.as_ref().map_or(1, endpoint_width));
            if socket.uid.is_some() && socket.uid != measured_uid {
                measured_uid = socket.uid;
                let user = scan.user(socket);
                widths.user = widths.user.max(user.as_ref().map_or(1, width::<User<'_>>));
            }
        }
        widths
    }
}

/// Returns the width of the local endpoint, including the interface that the socket is bound to.
fn local_width(scan: Scan<'_>, socket: &Socket) -> usize {
    match socket.interface {
        None => endpoint_width(&socket.local),
        Some(_) => width(&scan.snapshot.interfaces.local(socket)),
    }
}

/// Returns the width of an endpoint as shown. Returns the largest possible width for IPv4, because
/// measuring each of 200,000 endpoints takes longer than writing a few spaces.
fn endpoint_width(endpoint: &Endpoint) -> usize {
    match endpoint.address {
        IpAddr::V4(_) => "255.255.255.255:65535".len(),
        IpAddr::V6(_) => width(endpoint),
    }
}

/// Counts the characters of a value as shown; allocates nothing.
fn width<T: fmt::Display>(value: &T) -> usize {
    struct Count(usize);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.chars().count();
            Ok(())
        }
    }
    let mut count = Count(0);
    write!(count, "{value}").expect("counting cannot fail");
    count.0
}
