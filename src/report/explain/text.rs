//! Writes the report of `explain` as text: the answers, and the reasons as sentences about what would
//! free the port, bind() and connect().

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    slice,
};

use crate::{
    domain::{
        Endpoint, Errno, Gap, Owner, Protocol, Socket, State,
        availability::{self, BindAddress, Reuse, Verdict, probing::Probed},
        notation::{counted, grouped},
        port,
    },
    report::{
        Explanation, Page, Scan,
        explain::{BindRow, ConnectRow, Explanations, ProtocolPort, Reasons, answer},
        paragraph, text,
    },
};

/// Maximum number of items of each kind that are described: groups of sockets, flows, processes,
/// destinations.
pub(super) const MAX_REPORTED: usize = 10;

pub(in crate::report) const BULLET: &str = "  - ";

/// Writes the explanations of one network namespace, one after the other.
pub fn write(answer: &Explanations<'_>, reasons: Reasons, out: &mut Page<'_>) -> io::Result<()> {
    write_ports(answer, reasons, out)?;
    write_hint(slice::from_ref(answer), reasons, out)
}

/// Writes one network namespace after the other, each under a line with its name. Leaves out those
/// in which the process has no port.
pub fn write_each(
    answers: &[Explanations<'_>],
    reasons: Reasons,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let explained: Vec<_> = answers.iter().filter(|answer| !answer.ports.is_empty()).collect();
    let write = |answer: &&Explanations<'_>, out: &mut Page<'_>| write_ports(answer, reasons, out);
    text::write_each(&explained, |answer| answer.scan, write, out)?;
    write_hint(answers, reasons, out)
}

fn write_ports(answer: &Explanations<'_>, reasons: Reasons, out: &mut Page<'_>) -> io::Result<()> {
    for (number, explanation) in answer.ports.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        write_one(explanation, reasons, out)?;
    }
    match answer.left_out {
        None | Some(0) => Ok(()),
        Some(left_out) => {
            let more = counted(left_out as u64, "more port");
            writeln!(out, "\n{more} not shown: portscope scan lists all sockets of a process.")
        }
    }
}

fn write_hint(
    answers: &[Explanations<'_>],
    reasons: Reasons,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let is_empty = answers.iter().all(|answer| answer.ports.is_empty());
    match reasons {
        Reasons::Omitted if !is_empty => writeln!(out, "\n--why shows the reason for each answer."),
        Reasons::Omitted | Reasons::Shown => Ok(()),
    }
}

fn write_one(
    explanation: &Explanation<'_>,
    reasons: Reasons,
    out: &mut Page<'_>,
) -> io::Result<()> {
    for (number, side) in explanation.sides.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        write_holders(explanation, side, out)?;
        answer::write_processes(explanation, side, out)?;
        answer::write_release(explanation, side, out)?;
        write_publications(explanation, side, out)?;
        answer::write_binds(side, out)?;
        match reasons {
            Reasons::Omitted => {
                write_probe_hint(side, out)?;
                write_new_connect(side, out)?;
            }
            Reasons::Shown => {
                write_when_freed(explanation, side, out)?;
                write_binds(side, out)?;
                write_connects(side, out)?;
            }
        }
    }
    writeln!(out)?;
    paragraph::write("", &summary(explanation), out)
}

/// Describes the port: its class, whether it is in the ephemeral range, whether it is reserved, and
/// whether bind() needs a capability.
fn summary(explanation: &Explanation<'_>) -> String {
    let snapshot = explanation.scan.snapshot;
    let range = snapshot.ephemeral.range;
    let within = if range.contains(explanation.port) { "inside" } else { "outside" };
    let assumed = if snapshot.assumes(Gap::RANGE) { " (assumed)" } else { "" };
    let reserved = match explanation.is_reserved() {
        Some(true) => {
            "; it is reserved (ip_local_reserved_ports): neither connect() nor bind() to port 0 \
             chooses it"
        }
        Some(false) => "",
        None => "; whether it is reserved is unknown (ip_local_reserved_ports)",
    };
    let privileged = match explanation.needs_privilege() {
        Some(true) => "; any bind() to it needs CAP_NET_BIND_SERVICE",
        None if explanation.class() == "system" => {
            "; bind() to it needs CAP_NET_BIND_SERVICE (assumed)"
        }
        Some(false) | None => "",
    };
    let class = match explanation.class() {
        "dynamic" => format!("in the dynamic range of IANA ({}) and", port::IANA_DYNAMIC),
        class => format!("a {class} port,"),
    };
    format!(
        "Port {} is {class} {within} the ephemeral range {range}{assumed}{reserved}{privileged}.",
        explanation.port
    )
}

fn write_holders(
    explanation: &Explanation<'_>,
    side: &ProtocolPort,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let scan = explanation.scan;
    let name = format!("{} {}", side.protocol.name().to_uppercase(), explanation.port);
    let service = side.service.as_ref().map(|service| format!(" (registered for {service})"));
    let service = service.unwrap_or_default();
    let sockets = scan.snapshot.on_port(side.protocol, explanation.port);
    if sockets.is_empty() {
        paragraph::write("", &nothing_listed(explanation, side, &name, &service), out)?;
        let remote = side.remote.as_ref().map(|remote| format!("{remote}."));
        return remote.map_or(Ok(()), |text| paragraph::write(BULLET, &text, out));
    }
    write_groups(scan, sockets, &format!("{name}{service}"), out)
}

/// Describes what holds the port on one line: `node[812] (LISTEN on 127.0.0.1:8080)`.
pub fn holders_in_words(scan: Scan<'_>, protocol: Protocol, port: u16) -> String {
    let groups = groups(scan, scan.snapshot.on_port(protocol, port));
    let held = |group: &HolderGroup<'_>| format!("{} ({})", group.holder(scan), group.what(scan));
    let mut words: Vec<String> = groups.iter().take(MAX_REPORTED).map(held).collect();
    if let Some(more) = groups.len().checked_sub(MAX_REPORTED).filter(|&more| more > 0) {
        words.push(format!("{} of sockets", counted(more as u64, "more group")));
    }
    words.join("; ")
}

/// Writes which processes hold these sockets of the port `name`.
pub(in crate::report) fn write_groups(
    scan: Scan<'_>,
    sockets: &[Socket],
    name: &str,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let groups = groups(scan, sockets);
    for (number, group) in groups.iter().take(MAX_REPORTED).enumerate() {
        let held = format!("held by {} ({}).", group.holder(scan), group.what(scan));
        match number {
            0 => paragraph::write("", &format!("{name} is {held}"), out)?,
            _ => paragraph::write(BULLET, &format!("It is also {held}"), out)?,
        }
    }
    if let Some(more) = groups.len().checked_sub(MAX_REPORTED).filter(|&more| more > 0) {
        writeln!(out, "{BULLET}{} of sockets not shown.", counted(more as u64, "more group"))?;
    }
    Ok(())
}

/// Writes in full what must happen before the port is free, and that it is unknown since when it is
/// in use.
fn write_when_freed(
    explanation: &Explanation<'_>,
    side: &ProtocolPort,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let Some(words) = &side.frees_when else { return Ok(()) };
    paragraph::write(BULLET, &format!("Before it is free: {words}"), out)?;
    let scan = explanation.scan;
    write_ages(scan, scan.snapshot.on_port(side.protocol, explanation.port), out)
}

fn nothing_listed(
    explanation: &Explanation<'_>,
    side: &ProtocolPort,
    name: &str,
    service: &str,
) -> String {
    let (snapshot, port) = (explanation.scan.snapshot, explanation.port);
    let but = if side.has_met_a_socket() {
        ", but an unlisted socket is bound to it: a bind() without reuse options fails with \
         EADDRINUSE"
    } else if availability::may_be_unlisted(snapshot, side.protocol, port) {
        "; an unlisted socket may be bound to it"
    } else {
        return format!("{name}{service} is not in use.");
    };
    format!("No socket is listed on {name}{service}{but}.")
}

/// Writes where DNAT sends the flows that arrive for the port, or why this is unknown. Writes
/// nothing if no flow is tracked, or if the port has a socket and no redirected flow.
fn write_publications(
    explanation: &Explanation<'_>,
    side: &ProtocolPort,
    out: &mut Page<'_>,
) -> io::Result<()> {
    let Some(tracked) = explanation.publications else { return Ok(()) };
    let is_held = !explanation.scan.snapshot.on_port(side.protocol, explanation.port).is_empty();
    let consequence = if is_held {
        "they do not reach the sockets on the port"
    } else {
        "the port is not in use, and a socket bound to it would not get these flows"
    };
    let mut is_published = false;
    for flow in explanation.published(side.protocol).into_iter().flatten().take(MAX_REPORTED) {
        is_published = true;
        let asked = Endpoint { address: flow.address, port: explanation.port };
        let sentence = format!(
            "Published by DNAT: traffic to {asked} is redirected to {} ({} now); {consequence}.",
            flow.to,
            counted(flow.flows, "flow"),
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

/// Sockets with the same holder, state, local address and device, or single sockets that differ only
/// in these two.
struct HolderGroup<'a> {
    first: &'a Socket,
    count: usize,
    /// Sockets without a peer, one on each of these further addresses.
    others: Vec<&'a Socket>,
}

impl HolderGroup<'_> {
    fn holder(&self, scan: Scan<'_>) -> String {
        let names = scan.names(self.first);
        let [connection, its_process_has, it] = match self.count + self.others.len() {
            1 => ["a connection", "its process has", "the socket"],
            _ => ["connections", "the processes have", "the sockets"],
        };
        match scan.snapshot.owner(self.first) {
            Owner::Process(_) => names,
            Owner::Backlog(_) => format!("{connection} not yet accepted by {names}"),
            Owner::Departed([_]) => format!("the kernel: {names} has closed {it}"),
            Owner::Departed(_) => format!("the kernel: {names} have closed {it}"),
            Owner::Kernel => match scan.snapshot.tunnel_names(self.first) {
                Some(tunnels) => format!("the kernel: {tunnels}"),
                None => format!("the kernel: {its_process_has} closed {it}"),
            },
            Owner::Hidden => {
                availability::hidden_process(&scan.snapshot.machine.users, self.first.uid)
            }
            Owner::Nobody => "a socket without a visible process".to_owned(),
            Owner::Unresolved => format!("a process that opened or closed {it} during the scan"),
            Owner::NotAsked => "an owner that was not looked up".to_owned(),
        }
    }

    fn what(&self, scan: Scan<'_>) -> String {
        let Socket { state, remote, .. } = self.first;
        let mut sockets: Vec<&Socket> = self.others.iter().copied().chain([self.first]).collect();
        sockets.sort_by_key(|socket| socket.local);
        let local = |socket: &Socket| scan.snapshot.interfaces.local(socket).to_string();
        let locals: Vec<String> = sockets.into_iter().map(local).collect();
        let local = joined(locals, "and");
        // For a hidden process, `holder` already names the user.
        let is_hidden = scan.snapshot.owner(self.first) == Owner::Hidden;
        let user = scan.user(self.first).filter(|_| !is_hidden);
        let user = user.map(|user| format!(", user {user}")).unwrap_or_default();
        if self.count > 1 {
            return format!("{} × {state} on {local}{user}", grouped(self.count as u64));
        }
        let remote = remote.map(|remote| format!(" → {remote}")).unwrap_or_default();
        let itself = if self.first.is_self_connected() { ", connected to itself" } else { "" };
        let timer = self.first.expires_ms.filter(|_| *state == State::TimeWait);
        let timer = timer.map(|ms| format!(", {}s left", ms.div_ceil(1000))).unwrap_or_default();
        format!("{state} on {local}{remote}{itself}{user}{timer}")
    }
}

/// Groups sockets as `HolderGroup` does. Listeners come first, the others in the order of the
/// sockets.
fn groups<'a>(scan: Scan<'a>, sockets: &'a [Socket]) -> Vec<HolderGroup<'a>> {
    let mut groups: Vec<HolderGroup<'_>> = Vec::new();
    let mut index_by_key = BTreeMap::new();
    for socket in sockets {
        let owner = scan.snapshot.owner(socket);
        let endpoint = (socket.local.address, socket.interface);
        let user = socket.uid.filter(|_| owner == Owner::Hidden);
        let key = (socket.state, endpoint, owner.kind(), owner.pids(), user);
        let index = *index_by_key.entry(key).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.count += 1,
            None => groups.push(HolderGroup { first: socket, count: 1, others: Vec::new() }),
        }
    }
    groups.sort_by_key(|group| group.first.state != State::Listen);
    merged(scan, groups)
}

/// Merges groups of one socket without a peer that differ only in their address.
fn merged<'a>(scan: Scan<'_>, groups: Vec<HolderGroup<'a>>) -> Vec<HolderGroup<'a>> {
    let mut all: Vec<HolderGroup<'_>> = Vec::new();
    for group in groups {
        let is_single = |group: &HolderGroup<'_>| group.count == 1 && group.first.remote.is_none();
        let key = |group: &HolderGroup<'_>| {
            let owner = scan.snapshot.owner(group.first);
            (group.first.state, group.first.uid, owner)
        };
        let is_same = |other: &&mut HolderGroup<'_>| is_single(other) && key(other) == key(&group);
        match all.iter_mut().find(is_same).filter(|_| is_single(&group)) {
            Some(other) => other.others.push(group.first),
            None => all.push(group),
        }
    }
    all
}

/// Writes when the processes started. One scan does not show since when they hold the port.
fn write_ages(scan: Scan<'_>, sockets: &[Socket], out: &mut Page<'_>) -> io::Result<()> {
    let started = scan.pids(sockets).into_iter().take(MAX_REPORTED).filter_map(|pid| {
        let process = scan.processes.get(pid)?;
        let seconds = i64::try_from(process.started?).ok()?;
        let instant = jiff::Timestamp::from_second(seconds).ok()?;
        Some(format!("{} at {instant}", scan.processes.named(pid)))
    });
    let started = started.collect::<Vec<_>>().join(", ");
    let age = match &*started {
        "" => "Open since: unknown.".to_owned(),
        started => format!("Started: {started}. Open since: unknown."),
    };
    paragraph::write(BULLET, &age, out)
}

/// Writes one sentence for each group of rows with the same reuse option, verdict, reason and probe
/// result. If all rows have the same answer, writes one sentence for all of them.
fn write_binds(side: &ProtocolPort, out: &mut Page<'_>) -> io::Result<()> {
    let is_same = |a: &BindRow, b: &BindRow| {
        a.because() == b.because() && a.verdict_name() == b.verdict_name() && a.probed == b.probed
    };
    if side.binds.windows(2).all(|pair| is_same(&pair[0], &pair[1])) {
        let plain = rows_with(side, Reuse::None);
        paragraph::write(BULLET, &bind_sentence(side, ["Any bind()", ""], &plain), out)?;
        return write_probe_hint(side, out);
    }
    let is_alike = |a: &BindRow, b: &BindRow| {
        let is_same_reason = reason(side, a) == reason(side, b);
        is_same_reason && a.verdict_name() == b.verdict_name() && a.probed == b.probed
    };
    for (reuse, option) in [
        (Reuse::None, " without reuse options"),
        (Reuse::Address, " with SO_REUSEADDR"),
        (Reuse::Port, " with SO_REUSEPORT"),
    ] {
        let mut rows = rows_with(side, reuse);
        while let Some(&first) = rows.first() {
            let alike: Vec<_> = rows.extract_if(.., |row| is_alike(row, first)).collect();
            paragraph::write(BULLET, &bind_sentence(side, ["A bind()", option], &alike), out)?;
        }
    }
    write_probe_hint(side, out)
}

fn rows_with(side: &ProtocolPort, reuse: Reuse) -> Vec<&BindRow> {
    side.binds.iter().filter(|row| row.bind.reuse == reuse).collect()
}

/// Returns the reason of a row. For a row with a reuse option, leaves out the part that it has in
/// common with the row without one: that part differs between addresses, and another sentence
/// already contains it.
fn reason<'a>(side: &'a ProtocolPort, row: &'a BindRow) -> &'a str {
    let is_plain = |other: &&BindRow| other.bind.reuse == Reuse::None && other.probe == row.probe;
    let plain = side.binds.iter().find(is_plain).map_or("", BindRow::because);
    let after_conflict = || row.because().strip_prefix(plain)?.strip_prefix("; ");
    after_conflict().unwrap_or(row.because())
}

/// Returns the sentence for rows with the same answer: `start`, the addresses, `option`, the
/// outcome and the reason. Empty: there are no rows.
fn bind_sentence(side: &ProtocolPort, [start, option]: [&str; 2], rows: &[&BindRow]) -> String {
    let addresses = either(rows.iter().map(|row| address(row)).collect());
    let Some(row) = rows.first() else { return String::new() };
    let outcome = match (&row.refusal, row.answer.verdict, row.probed) {
        (Some(refusal), ..) => format!("is refused with {}", refusal.errno),
        (None, Verdict::Free | Verdict::Never, _) => "succeeds".to_owned(),
        (None, Verdict::InUse, _) => "fails with EADDRINUSE".to_owned(),
        (None, Verdict::Unknown, Probed::Tried(Ok(()))) => "succeeded when tried".to_owned(),
        (None, Verdict::Unknown, Probed::Tried(Err(errno))) => {
            format!("failed with {errno} when tried")
        }
        (None, Verdict::Unknown, _) => "may succeed or fail".to_owned(),
    };
    // If the verdict is unknown, `outcome` already is the result of the probe.
    let is_known = row.refusal.is_some() || row.answer.verdict != Verdict::Unknown;
    let probed = match row.probed {
        Probed::Tried(Ok(())) if is_known => " Tried: it succeeded.".to_owned(),
        Probed::Tried(Err(errno)) if is_known => format!(" Tried: {errno}."),
        Probed::Skipped(skipped) => format!(" Not tried: {}.", skipped.why()),
        Probed::NotAsked | Probed::Tried(_) => String::new(),
    };
    format!("{start} to {addresses}{option} {outcome}{}{probed}", because(reason(side, row)))
}

/// Joins alternatives: `0.0.0.0, 127.0.0.1 or ::1`.
fn either(alternatives: Vec<String>) -> String {
    joined(alternatives, "or")
}

fn joined(mut words: Vec<String>, before_last: &str) -> String {
    let Some(last) = words.pop() else { return String::new() };
    if words.is_empty() {
        return last;
    }
    format!("{} {before_last} {last}", words.join(", "))
}

/// Returns the address of a row in the words of the sentences.
pub(super) fn address(row: &BindRow) -> String {
    match row.bind.address {
        wildcard @ (BindAddress::AnyDual | BindAddress::Any6) => wildcard.in_words(),
        _ => row.probe.clone(),
    }
}

/// Writes that --probe would decide the rows whose verdict is unknown, if there are any.
fn write_probe_hint(side: &ProtocolPort, out: &mut Page<'_>) -> io::Result<()> {
    let is_open = |row: &BindRow| {
        let is_unknown = row.refusal.is_none() && row.answer.verdict == Verdict::Unknown;
        is_unknown && row.probed == Probed::NotAsked
    };
    if !side.binds.iter().any(is_open) {
        return Ok(());
    }
    paragraph::write(BULLET, "Use --probe to try each bind() whose result is unknown.", out)
}

/// Writes whether connect() to a new destination can get the port.
fn write_new_connect(side: &ProtocolPort, out: &mut Page<'_>) -> io::Result<()> {
    let Some(row) = side.connects.iter().find(|row| row.destination.is_none()) else {
        return Ok(());
    };
    paragraph::write(BULLET, &connect_sentence("A connect() to a new destination", row), out)
}

/// Writes one sentence for each group of destinations with the same answer.
fn write_connects(side: &ProtocolPort, out: &mut Page<'_>) -> io::Result<()> {
    // `Verdict::Never` holds for every destination, also for those that were not checked.
    let is_never = side.connects.iter().any(|row| row.answer.verdict == Verdict::Never);
    let left_out = if is_never { 0 } else { side.destinations_left_out };
    let mut rows: Vec<&ConnectRow> = side.connects.iter().collect();
    while let Some(&first) = rows.first() {
        let is_every =
            rows.len() == side.connects.len() && side.connects.len() > 1 && left_out == 0;
        let alike: Vec<_> = rows.extract_if(.., |row| row.answer == first.answer).collect();
        let to = if is_every && rows.is_empty() {
            "A connect() to any destination".to_owned()
        } else {
            format!("A connect() {}", destinations(&alike))
        };
        paragraph::write(BULLET, &connect_sentence(&to, first), out)?;
    }
    if left_out > 0 {
        let others = counted(left_out as u64, "more destination");
        paragraph::write(BULLET, &format!("Not checked: {others}."), out)?;
    }
    Ok(())
}

fn destinations(rows: &[&ConnectRow]) -> String {
    let named = rows.iter().take(MAX_REPORTED).map(|row| match row.destination {
        Some(to) => format!("from {} to {}", to.source, to.remote),
        None => "to a new destination".to_owned(),
    });
    let mut named: Vec<String> = named.collect();
    if let Some(more) = rows.len().checked_sub(MAX_REPORTED).filter(|&more| more > 0) {
        named.push(format!("to {}", counted(more as u64, "more destination")));
    }
    either(named)
}

fn connect_sentence(to: &str, row: &ConnectRow) -> String {
    let outcome = match row.answer.verdict {
        Verdict::Free => "can get this port",
        Verdict::InUse | Verdict::Never => "cannot get this port",
        Verdict::Unknown => "may or may not get this port",
    };
    format!("{to} {outcome}{}", because(&row.answer.because))
}

fn because(words: &str) -> String {
    match words.trim_end_matches('.') {
        "" => ".".to_owned(),
        words => format!(": {words}."),
    }
}
