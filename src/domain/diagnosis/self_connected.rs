//! `self-connected`: a connection whose two ends are the same socket holds a server's port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::{
    Endpoint, Evidence, Finding, OwnerKey, Protocol, Severity, Socket, State,
    diagnosis::{
        About, Advice, Figure, MAX_FINDINGS,
        advice::marked,
        reservation::{self, single},
        wording::{owner_key, parity},
    },
    notation::grouped,
    socket::canonical,
};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let sockets = evidence.snapshot.sockets.iter();
    sockets
        .filter(|socket| socket.is_self_connected())
        .take(MAX_FINDINGS)
        .map(|socket| of(evidence, socket))
        .collect()
}

fn of(evidence: &Evidence<'_>, socket: &Socket) -> Finding {
    let owner = OwnerKey::of(evidence.snapshot, socket);
    // A connection that its process has closed ends within a minute.
    let severity = if socket.is_closed_by_process() { Severity::Notice } else { Severity::Warning };
    let left = socket.expires_ms.filter(|_| socket.state == State::TimeWait);
    let about = About::Port(Protocol::Tcp, socket.local.port);
    Finding::new(severity, about, summary(evidence, socket, owner))
        .meaning(meaning(evidence, socket))
        .figure("endpoint", socket.local.to_string())
        .figure("state", socket.state.name())
        .figure_if("pid", owner.pid())
        .figure_if("seconds_left", left.map(|ms| Figure::Seconds(f64::from(ms) / 1000.0)))
        .advice(advice(evidence, socket))
        .avoid("do not only restart the client: its port then stays in TIME-WAIT for 60s")
        .avoid(
            "do not set SO_REUSEADDR on the server for this: it has no effect unless the other \
             socket has it, too",
        )
        .avoid("do not treat a successful connect() as proof that the server runs")
}

fn summary(evidence: &Evidence<'_>, socket: &Socket, owner: OwnerKey) -> String {
    let Socket { local, state, .. } = socket;
    let who = if owner.is_process() { owner_key(evidence, owner) } else { "a client".to_owned() };
    let port = local.port;
    match (socket.is_closed_by_process(), socket.expires_ms) {
        (false, _) => {
            let [own, any] = servers(socket);
            format!(
                "{who} is connected to itself: both ends of its connection are {local} ({state}), \
                 so no server can listen on {own} or {any}"
            )
        }
        (true, Some(ms)) if *state == State::TimeWait => format!(
            "{who} was connected to itself on {local}: TIME-WAIT keeps servers off port {port} \
             for another {}s",
            ms.div_ceil(1000)
        ),
        (true, _) => format!(
            "{who} was connected to itself on {local}: {state} still blocks port {port} for servers"
        ),
    }
}

/// Returns the endpoints on which no server can listen: that of the socket, and the same port on
/// all addresses.
fn servers(socket: &Socket) -> [Endpoint; 2] {
    let address = canonical(socket.local.address);
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    [address, any].map(|address| Endpoint { address, port: socket.local.port })
}

/// Returns whether the client bound the port by number. None: unknown, because the kernel shows
/// this only for open connections.
fn is_bound_by_number(evidence: &Evidence<'_>, socket: &Socket) -> Option<bool> {
    let is_numbered = evidence.snapshot.numbered.as_ref()?.contains(socket.local.port);
    (is_numbered || !socket.is_closed_by_process()).then_some(is_numbered)
}

fn meaning(evidence: &Evidence<'_>, socket: &Socket) -> String {
    let ephemeral = &evidence.snapshot.ephemeral;
    let port = socket.local.port;
    let may_be_chosen = ephemeral.may_choose(port) && ephemeral.has_low_parity(port);
    let why = match is_bound_by_number(evidence, socket) {
        Some(true) => {
            "The client gave this port to bind(), and connected to it while nothing listened."
                .to_owned()
        }
        Some(false) if may_be_chosen => format!("The usual cause is {}", retries(evidence, port)),
        None if may_be_chosen => format!(
            "Unless the client gave the port to bind(), the usual cause is {}",
            retries(evidence, port)
        ),
        _ => {
            "connect() does not usually choose this port by itself: the client bound it, or limits \
             its ports (IP_LOCAL_PORT_RANGE), and connected to it while nothing listened."
                .to_owned()
        }
    };
    format!(
        "bind() or listen() of the server fails with EADDRINUSE, and the client receives what it \
         sends. {why}"
    )
}

/// Explains how connect() comes to choose its destination port as source port.
fn retries(evidence: &Evidence<'_>, port: u16) -> String {
    format!(
        "a program that retries connect() to a port of the ephemeral range on this host while \
         nothing listens there: about one attempt in {} gets the same port as its source port, and \
         TCP accepts the simultaneous open. connect() uses {} ports first, so servers on ports of \
         the other parity are hardly affected.",
        grouped(evidence.analysis.range(Protocol::Tcp).low_parity_size),
        parity(port),
    )
}

fn advice(evidence: &Evidence<'_>, socket: &Socket) -> Advice {
    let port = socket.local.port;
    let state = match socket.state {
        State::TimeWait => "state time-wait ",
        State::Established => "state established ",
        _ => "",
    };
    let end = format!(
        "end the connection without TIME-WAIT (as root{}): {}",
        condition(evidence, socket),
        marked(format_args!("ss --kill {state}'sport = :{port} and dport = :{port}'")),
    );
    let in_client = "in the client: after connect() compare getsockname() with getpeername(), and \
                     close the socket if both are equal";
    let in_client = ("check for it in the client", in_client.to_owned());
    let advice = Advice::default().now(("end the connection", end));
    // The command would replace the real list of reserved ports by an assumed one.
    if !evidence.snapshot.knows_range() {
        return advice.for_good(in_client);
    }
    let reserve = reservation::command(&evidence.snapshot.ephemeral, [single(port)]);
    let reserved = format!(
        "reserve the server's port, so that connect() never chooses it: {}",
        marked(&reserve)
    );
    let advice = advice.now(("reserve the port", reserved)).for_good(in_client);
    reservation::keep(advice, &reserve)
}

/// Returns the condition under which `ss --kill` does not free the port; empty if there is none.
fn condition(evidence: &Evidence<'_>, socket: &Socket) -> &'static str {
    match is_bound_by_number(evidence, socket) {
        _ if socket.state == State::TimeWait => "; needs Linux 6.0 or newer",
        _ if socket.is_closed_by_process() => "",
        Some(true) => {
            "; then stop the client as well: it gave the port to bind(), so the port stays bound \
             until the client closes the socket"
        }
        None => {
            "; if the client gave the port to bind(), then stop the client as well: the port stays \
             bound until the client closes the socket"
        }
        Some(false) => "",
    }
}
