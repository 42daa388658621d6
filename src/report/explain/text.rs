//! `explain` as text: sentences about holders, binds, connects and what would free the port.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use crate::{
    domain::{
        Endpoint, Errno, Owner, Process, Protocol, Socket, State,
        availability::{Reuse, Verdict, probing::Probed},
        notation,
    },
    report::{
        Explanation, Scan,
        explain::{BindRow, ConnectRow, ProtocolPort},
        paragraph,
        text::NamespaceLine,
    },
};

/// Maximum number of holders, and of destinations, that are described.
const MOST_REPORTED: usize = 10;

const BULLET: &str = "  - ";

pub fn write(explanation: &Explanation<'_>, out: &mut dyn Write) -> io::Result<()> {
    paragraph::write("", &place(explanation), out)?;
    for side in explanation.sides {
        writeln!(out)?;
        write_holders(explanation, side, out)?;
        write_publications(explanation, side, out)?;
        write_binds(side, out)?;
        write_connects(side, out)?;
        if let Some(words) = &side.frees_when {
            paragraph::write(BULLET, &format!("To free it: {words}"), out)?;
        }
    }
    Ok(())
}

/// Writes one network namespace after the other, each under a line with its name.
pub fn write_each(explanations: &[Explanation<'_>], out: &mut dyn Write) -> io::Result<()> {
    for (number, explanation) in explanations.iter().enumerate() {
        let space = if number == 0 { "" } else { "\n" };
        writeln!(out, "{space}{}", NamespaceLine(&explanation.scan.snapshot.machine))?;
        write(explanation, out)?;
    }
    Ok(())
}

/// Describes the port: its class, and whether it is in the ephemeral range.
fn place(explanation: &Explanation<'_>) -> String {
    let ephemeral = &explanation.scan.snapshot.ephemeral;
    let within = if ephemeral.range.contains(explanation.port) { "inside" } else { "outside" };
    let reserved = if explanation.is_reserved() {
        "; it is reserved (ip_local_reserved_ports), so the kernel never chooses it automatically"
    } else {
        ""
    };
    let privileged = if explanation.needs_privilege() {
        "; any bind() to it needs CAP_NET_BIND_SERVICE"
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
    side: &ProtocolPort,
    out: &mut dyn Write,
) -> io::Result<()> {
    let scan = explanation.scan;
    let name = format!("{} {}", upper(side.protocol), explanation.port);
    let service = side.service.as_ref().map(|service| format!(" (registered for {service})"));
    let service = service.unwrap_or_default();
    let sockets = scan.snapshot.on_port(side.protocol, explanation.port);
    if sockets.is_empty() {
        return paragraph::write("", &nothing_listed(explanation, side, &name, &service), out);
    }
    let groups = groups(scan, sockets);
    for (number, group) in groups.iter().take(MOST_REPORTED).enumerate() {
        let (subject, service) = if number == 0 { (&*name, &*service) } else { ("It", "") };
        let also = if number == 0 { "" } else { "also " };
        let sentence =
            format!("{subject}{service} is {also}held by {} ({}).", group.holder, group.what(scan));
        paragraph::write(if number == 0 { "" } else { BULLET }, &sentence, out)?;
    }
    if groups.len() > MOST_REPORTED {
        writeln!(
            out,
            "{BULLET}{} more groups of sockets not shown.",
            groups.len() - MOST_REPORTED
        )?;
    }
    write_ages(scan, sockets, out)
}

fn nothing_listed(
    explanation: &Explanation<'_>,
    side: &ProtocolPort,
    name: &str,
    service: &str,
) -> String {
    let but = if side.has_met_a_socket() {
        ", but an unlisted socket is bound to it: a plain bind() fails with EADDRINUSE"
    } else if explanation.may_be_unlisted(side.protocol) {
        "; an unlisted socket may be bound to it"
    } else {
        return format!("{name}{service} is not in use.");
    };
    format!("No socket is listed on {name}{service}{but}.")
}

/// Writes where DNAT redirects flows to the port. Writes nothing if no flow is tracked.
fn write_publications(
    explanation: &Explanation<'_>,
    side: &ProtocolPort,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(tracked) = explanation.publications else { return Ok(()) };
    let is_held = !explanation.scan.snapshot.on_port(side.protocol, explanation.port).is_empty();
    let consequence = if is_held {
        "they do not reach the sockets on the port"
    } else {
        "the port is not in use and a bind() succeeds, but these flows do not reach it"
    };
    let mut is_published = false;
    for flow in explanation.published(side.protocol).into_iter().flatten().take(MOST_REPORTED) {
        is_published = true;
        let asked = Endpoint { address: flow.address, port: explanation.port };
        let flows = if flow.flows == 1 { "flow" } else { "flows" };
        let sentence = format!(
            "Published by DNAT: traffic to {asked} is redirected to {} ({} {flows} now); \
             {consequence}.",
            flow.to, flow.flows,
        );
        paragraph::write(BULLET, &sentence, out)?;
    }
    if is_published || is_held {
        return Ok(());
    }
    let why = match tracked {
        Ok(_) => "no flow to it is tracked now; check the rules (nft list ruleset)".to_owned(),
        Err(Errno::EACCES | Errno::EPERM) => "reading /proc/net/nf_conntrack needs root".to_owned(),
        Err(error) => format!("/proc/net/nf_conntrack: {error}"),
    };
    paragraph::write(BULLET, &format!("Unknown whether DNAT publishes the port: {why}."), out)
}

/// Sockets with the same holder, state and local address.
struct HolderGroup<'a> {
    holder: String,
    first: &'a Socket,
    count: usize,
}

impl HolderGroup<'_> {
    fn what(&self, scan: Scan<'_>) -> String {
        let Socket { state, remote, .. } = self.first;
        let local = scan.snapshot.interfaces.local(self.first);
        let user = scan.user(self.first).map(|user| format!(", user {user}")).unwrap_or_default();
        if self.count > 1 {
            return format!("{} × {state} on {local}{user}", self.count);
        }
        let remote = remote.map(|remote| format!(" → {remote}")).unwrap_or_default();
        let itself = if self.first.is_self_connected() { ", connected to itself" } else { "" };
        let timer = self.first.expires_ms.filter(|_| *state == State::TimeWait);
        let timer = timer.map(|ms| format!(", {}s left", ms.div_ceil(1000))).unwrap_or_default();
        format!("{state} on {local}{remote}{itself}{user}{timer}")
    }
}

/// Groups sockets of the same kind. Listeners come first, the others in the order of the sockets.
fn groups<'a>(scan: Scan<'a>, sockets: &'a [Socket]) -> Vec<HolderGroup<'a>> {
    let mut groups: Vec<HolderGroup<'_>> = Vec::new();
    let mut places = BTreeMap::new();
    for socket in sockets {
        let owner = scan.snapshot.owner(socket);
        let place = (socket.local.address, socket.interface);
        let key = (socket.state, place, owner.kind(), owner.pids());
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.count += 1,
            None => {
                groups.push(HolderGroup { holder: holder(scan, socket), first: socket, count: 1 });
            }
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
        Owner::Kernel => match scan.snapshot.tunnel_names(socket) {
            Some(tunnels) => format!("the kernel: {tunnels}"),
            None => "the kernel, closed by its process".to_owned(),
        },
        Owner::Hidden => "a process that you may not inspect (try sudo)".to_owned(),
        Owner::Nobody => "no visible process".to_owned(),
        Owner::Unresolved => "a process that opened or closed it during the scan".to_owned(),
        Owner::NotAsked => "an owner not looked up".to_owned(),
    }
}

fn named(pid: u32, process: Option<&Process>) -> String {
    notation::NamedProcess { name: process.map(|process| &process.name), pid }.to_string()
}

/// Writes when the processes started. One scan does not show since when they hold the port.
fn write_ages(scan: Scan<'_>, sockets: &[Socket], out: &mut dyn Write) -> io::Result<()> {
    let mut pids: Vec<u32> =
        sockets.iter().flat_map(|socket| scan.snapshot.owner(socket).pids()).copied().collect();
    pids.sort_unstable();
    pids.dedup();
    let started = pids.iter().take(MOST_REPORTED).filter_map(|&pid| {
        let process = scan.processes.get(pid)?;
        let seconds = i64::try_from(process.started?).ok()?;
        let instant = jiff::Timestamp::from_second(seconds).ok()?;
        Some(format!("{} at {instant}", named(pid, Some(process))))
    });
    let started = started.collect::<Vec<_>>().join(", ");
    let age = match &*started {
        "" => "Open since: unknown.".to_owned(),
        started => format!("Started: {started}. Open since: unknown."),
    };
    paragraph::write(BULLET, &age, out)
}

/// Writes one sentence for each group of rows with the same reuse option and the same answer. If
/// all rows have the same answer, writes one sentence for all of them. Rows with a reuse option are
/// grouped by verdict alone, because earlier sentences name the conflicts of each address.
fn write_binds(side: &ProtocolPort, out: &mut dyn Write) -> io::Result<()> {
    let is_same = |a: &BindRow, b: &BindRow| {
        a.because() == b.because() && a.verdict_name() == b.verdict_name() && a.probed == b.probed
    };
    let is_alike = |a: &BindRow, b: &BindRow| match a.bind.reuse {
        Reuse::None => is_same(a, b),
        Reuse::Address | Reuse::Port => {
            a.verdict_name() == b.verdict_name() && a.refusal == b.refusal && a.probed == b.probed
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

fn rows_with(side: &ProtocolPort, reuse: Reuse) -> Vec<&BindRow> {
    side.binds.iter().filter(|row| row.bind.reuse == reuse).collect()
}

/// Returns the sentence for rows with the same answer.
fn bind_sentence(kind: &str, rows: &[&BindRow]) -> String {
    let addresses: Vec<&str> = rows.iter().map(|row| row.probe.as_str()).collect();
    let addresses = addresses.join(", ");
    let Some(row) = rows.first() else { return String::new() };
    let outcome = match (&row.refusal, row.answer.verdict) {
        (Some(refusal), _) => format!("is refused with {}", refusal.errno),
        (None, Verdict::Free | Verdict::Never) => "succeeds".to_owned(),
        (None, Verdict::InUse) => "fails with EADDRINUSE".to_owned(),
        (None, Verdict::Unknown) => "may succeed or fail".to_owned(),
    };
    let probed = match row.probed {
        Probed::NotAsked => String::new(),
        Probed::Tried(Ok(())) => " Tried: it succeeded.".to_owned(),
        Probed::Tried(Err(errno)) => format!(" Tried: {errno}."),
        Probed::Skipped(skipped) => format!(" Not tried: {}.", skipped.why()),
    };
    format!("{kind} to {addresses} {outcome}{}{probed}", because(row.because()))
}

/// Writes one sentence for all destinations with the same answer.
fn write_connects(side: &ProtocolPort, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<&ConnectRow> = side.connects.iter().collect();
    while let Some(&first) = rows.first() {
        let is_every = rows.len() == side.connects.len() && side.connects.len() > 1;
        let alike: Vec<_> = rows.extract_if(.., |row| row.answer == first.answer).collect();
        let to = if is_every && rows.is_empty() {
            "A connect() to any destination".to_owned()
        } else {
            format!("A connect() {}", destinations(&alike, side.destinations_left_out))
        };
        paragraph::write(BULLET, &connect_sentence(&to, first), out)?;
    }
    Ok(())
}

fn destinations(rows: &[&ConnectRow], left_out: usize) -> String {
    let named = rows.iter().take(MOST_REPORTED).map(|row| match row.destination {
        Some(to) => format!("from {} to {}", to.source, to.remote),
        None => "to a new destination".to_owned(),
    });
    let named = named.collect::<Vec<_>>().join(", ");
    match rows.len().saturating_sub(MOST_REPORTED) {
        0 => named,
        more => format!("{named} and {} more", more + left_out),
    }
}

fn connect_sentence(to: &str, row: &ConnectRow) -> String {
    let outcome = match row.answer.verdict {
        Verdict::Free => "can get this port",
        Verdict::InUse => "cannot get this port",
        Verdict::Unknown => "may or may not get this port",
        Verdict::Never => "never gets this port",
    };
    format!("{to} {outcome}{}", because(&row.answer.because))
}

fn because(words: &str) -> String {
    match words.trim_end_matches('.') {
        "" => ".".to_owned(),
        words => format!(": {words}."),
    }
}
