//! `explain` for people: sentences about holders, binds, connects and what would free the port.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use crate::{
    domain::{
        Owner, Process, Protocol, Socket, State,
        availability::{Reuse, Verdict},
    },
    report::{
        Explanation, Scan,
        explain::{BindRow, ConnectRow, Side},
        paragraph,
        text::{Name, Namespace},
    },
};

/// Holders, and destinations, that get a sentence each.
const MOST_TOLD: usize = 10;

const BULLET: &str = "  - ";

pub fn write(explanation: &Explanation<'_>, out: &mut dyn Write) -> io::Result<()> {
    paragraph::write("", &place(explanation), out)?;
    for side in explanation.sides {
        writeln!(out)?;
        write_holders(explanation, side, out)?;
        write_binds(side, out)?;
        write_connects(side, out)?;
        if let Some(words) = &side.frees_when {
            paragraph::write(BULLET, &format!("Free again: {words}"), out)?;
        }
    }
    Ok(())
}

/// One network namespace after the other, under a line that names it.
pub fn write_each(explanations: &[Explanation<'_>], out: &mut dyn Write) -> io::Result<()> {
    for (number, explanation) in explanations.iter().enumerate() {
        let space = if number == 0 { "" } else { "\n" };
        writeln!(out, "{space}{}", Namespace(&explanation.scan.snapshot.machine))?;
        write(explanation, out)?;
    }
    Ok(())
}

/// Where the port lies.
fn place(explanation: &Explanation<'_>) -> String {
    let ephemeral = &explanation.scan.snapshot.ephemeral;
    let within = if ephemeral.range.contains(explanation.port) { "inside" } else { "outside" };
    let reserved = if explanation.is_reserved() {
        "; it is reserved (ip_local_reserved_ports), so the kernel never chooses it by itself"
    } else {
        ""
    };
    let privileged = if explanation.needs_privilege() {
        "; whatever the answers below, a bind() needs CAP_NET_BIND_SERVICE"
    } else {
        ""
    };
    format!(
        "Port {} is a {} port, {within} the ephemeral range {}{reserved}{privileged}.",
        explanation.port,
        explanation.class(),
        ephemeral.range
    )
}

fn upper(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

fn write_holders(
    explanation: &Explanation<'_>,
    side: &Side,
    out: &mut dyn Write,
) -> io::Result<()> {
    let scan = explanation.scan;
    let name = format!("{} {}", upper(side.protocol), explanation.port);
    let service = side.service.as_ref().map(|service| format!(" (registered for {service})"));
    let service = service.unwrap_or_default();
    let sockets = scan.snapshot.on_port(side.protocol, explanation.port);
    if sockets.is_empty() {
        return paragraph::write("", &format!("Nothing stands on {name}{service}."), out);
    }
    let groups = groups(scan, sockets);
    for (number, group) in groups.iter().take(MOST_TOLD).enumerate() {
        let (subject, service) = if number == 0 { (&*name, &*service) } else { ("It", "") };
        let also = if number == 0 { "" } else { "also " };
        let sentence =
            format!("{subject}{service} is {also}held by {} ({}).", group.holder, group.what(scan));
        paragraph::write(if number == 0 { "" } else { BULLET }, &sentence, out)?;
    }
    if groups.len() > MOST_TOLD {
        writeln!(out, "{BULLET}And by {} kinds of holders more.", groups.len() - MOST_TOLD)?;
    }
    write_ages(scan, sockets, out)
}

/// Sockets of one holder, state and local address.
struct Group<'a> {
    holder: String,
    first: &'a Socket,
    count: usize,
}

impl Group<'_> {
    fn what(&self, scan: Scan<'_>) -> String {
        let Socket { state, local, remote, .. } = self.first;
        let user = scan.user(self.first).map(|user| format!(", user {user}")).unwrap_or_default();
        if self.count > 1 {
            return format!("{} × {state} on {local}{user}", self.count);
        }
        let remote = remote.map(|remote| format!(" → {remote}")).unwrap_or_default();
        let timer = self.first.expires_ms.filter(|_| *state == State::TimeWait);
        let timer = timer.map(|ms| format!(", {} s left", ms.div_ceil(1000))).unwrap_or_default();
        format!("{state} on {local}{remote}{user}{timer}")
    }
}

/// Listeners first, else in the order of the sockets; many of a kind are one group.
fn groups<'a>(scan: Scan<'a>, sockets: &'a [Socket]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places = BTreeMap::new();
    for socket in sockets {
        let owner = scan.snapshot.owner(socket);
        let key = (socket.state, socket.local.address, owner.kind(), owner.pids());
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.count += 1,
            None => groups.push(Group { holder: holder(scan, socket), first: socket, count: 1 }),
        }
    }
    groups.sort_by_key(|group| group.first.state != State::Listen);
    groups
}

fn holder(scan: Scan<'_>, socket: &Socket) -> String {
    let names = scan.owners(socket).map(|(pid, process)| named(pid, process));
    let names = names.collect::<Vec<_>>().join(", ");
    match scan.snapshot.owner(socket) {
        Owner::Process(_) => names,
        Owner::Backlog(_) => format!("{names}, not accepted yet"),
        Owner::Departed(_) => format!("the kernel, closed by {names}"),
        Owner::Kernel => "the kernel, closed by its process".to_owned(),
        Owner::Hidden => "a process that we may not see".to_owned(),
        Owner::Nobody => "no process that can be seen".to_owned(),
        Owner::Unresolved => "a process that opened or closed it during the scan".to_owned(),
        Owner::NotAsked => "somebody".to_owned(),
    }
}

fn named(pid: u32, process: Option<&Process>) -> String {
    format!("{}[{pid}]", Name(process.map(|process| &process.name)))
}

/// Since when, as far as one look can tell.
fn write_ages(scan: Scan<'_>, sockets: &[Socket], out: &mut dyn Write) -> io::Result<()> {
    let mut pids: Vec<u32> =
        sockets.iter().flat_map(|socket| scan.snapshot.owner(socket).pids()).copied().collect();
    pids.sort_unstable();
    pids.dedup();
    let started = pids.iter().take(MOST_TOLD).filter_map(|&pid| {
        let process = scan.processes.get(pid)?;
        let seconds = i64::try_from(process.started?).ok()?;
        let instant = jiff::Timestamp::from_second(seconds).ok()?;
        Some(format!("{} runs since {instant}", named(pid, Some(process))))
    });
    let mut told = started.collect::<Vec<_>>().join(", ");
    if !told.is_empty() {
        told.push_str("; ");
    }
    let age = format!("{told}since when the port is held is not known from one look.");
    paragraph::write(BULLET, &capitalized(&age), out)
}

/// A process keeps its name as it is.
fn capitalized(sentence: &str) -> String {
    match sentence.strip_prefix("since") {
        Some(rest) => format!("Since{rest}"),
        None => sentence.to_owned(),
    }
}

/// Rows of one option with the same answer are one sentence; all rows are, where none differs. With
/// a reuse option the same verdict is enough: what is in the way of which address is told before.
fn write_binds(side: &Side, out: &mut dyn Write) -> io::Result<()> {
    let is_same = |a: &BindRow, b: &BindRow| (&a.answer, a.probed) == (&b.answer, b.probed);
    let is_alike = |a: &BindRow, b: &BindRow| match a.bind.reuse {
        Reuse::None => is_same(a, b),
        Reuse::Address | Reuse::Port => {
            (a.answer.verdict, a.probed) == (b.answer.verdict, b.probed)
        }
    };
    if side.binds.windows(2).all(|pair| is_same(&pair[0], &pair[1])) {
        let plain = rows_with(side, Reuse::None);
        return paragraph::write(BULLET, &bind_sentence("Any bind()", &plain), out);
    }
    for (reuse, kind) in [
        (Reuse::None, "A plain bind()"),
        (Reuse::Address, "A bind() with SO_REUSEADDR"),
        (Reuse::Port, "A bind() with SO_REUSEPORT"),
    ] {
        let mut rows = rows_with(side, reuse);
        while let Some(&first) = rows.first() {
            let alike: Vec<_> = rows.extract_if(.., |row| is_alike(row, first)).collect();
            paragraph::write(BULLET, &bind_sentence(kind, &alike), out)?;
        }
    }
    Ok(())
}

fn rows_with(side: &Side, reuse: Reuse) -> Vec<&BindRow> {
    side.binds.iter().filter(|row| row.bind.reuse == reuse).collect()
}

/// Of rows with the same answer.
fn bind_sentence(kind: &str, rows: &[&BindRow]) -> String {
    let addresses: Vec<&str> = rows.iter().map(|row| row.probe.as_str()).collect();
    let addresses = addresses.join(", ");
    let Some(row) = rows.first() else { return String::new() };
    let outcome = match row.answer.verdict {
        Verdict::Free | Verdict::Never => "succeeds",
        Verdict::InUse => "fails with EADDRINUSE",
        Verdict::Unknown => "may succeed or fail",
    };
    let probed = match row.probed {
        None => String::new(),
        Some(Ok(())) => " Tried: it succeeded.".to_owned(),
        Some(Err(errno)) => format!(" Tried: {errno}."),
    };
    format!("{kind} to {addresses} {outcome}{}{probed}", because(&row.answer.because))
}

/// Destinations with the same answer are one sentence.
fn write_connects(side: &Side, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<&ConnectRow> = side.connects.iter().collect();
    while let Some(&first) = rows.first() {
        let is_every = rows.len() == side.connects.len() && side.connects.len() > 1;
        let alike: Vec<_> = rows.extract_if(.., |row| row.answer == first.answer).collect();
        let to = if is_every && rows.is_empty() {
            "A connect(), whatever its destination,".to_owned()
        } else {
            format!("A connect() {}", destinations(&alike, side.destinations_left_out))
        };
        paragraph::write(BULLET, &connect_sentence(&to, first), out)?;
    }
    Ok(())
}

fn destinations(rows: &[&ConnectRow], left_out: usize) -> String {
    let told = rows.iter().take(MOST_TOLD).map(|row| match row.destination {
        Some(to) => format!("from {} to {}", to.source, to.remote),
        None => "to a new destination".to_owned(),
    });
    let told = told.collect::<Vec<_>>().join(", ");
    match rows.len().saturating_sub(MOST_TOLD) {
        0 => told,
        more => format!("{told} and {} more", more + left_out),
    }
}

fn connect_sentence(to: &str, row: &ConnectRow) -> String {
    let outcome = match row.answer.verdict {
        Verdict::Free => "can be given this port",
        Verdict::InUse => "cannot be given this port",
        Verdict::Unknown => "may be given this port or not",
        Verdict::Never => "is never given this port",
    };
    format!("{to} {outcome}{}", because(&row.answer.because))
}

fn because(words: &str) -> String {
    match words.trim_end_matches('.') {
        "" => ".".to_owned(),
        words => format!(": {words}."),
    }
}
