//! `self-connected`: a connection whose two ends are the same socket holds a server's port.

use crate::domain::{
    Evidence, Finding, Party, Protocol, Severity, Socket, State,
    diagnosis::{
        finding::{About, Figure},
        reservation::{self, single},
        wording::{party, steps},
    },
    notation::grouped,
};

/// Maximum number of findings.
const MOST: usize = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let sockets = evidence.snapshot.sockets.iter();
    sockets
        .filter(|socket| socket.is_self_connected())
        .take(MOST)
        .map(|socket| of(evidence, socket))
        .collect()
}

fn of(evidence: &Evidence<'_>, socket: &Socket) -> Finding {
    let owner = Party::of(evidence.snapshot, socket);
    let is_over = socket.is_closed_by_process();
    let mut figures = vec![
        ("endpoint", Figure::Text(socket.local.to_string())),
        ("state", Figure::Text(socket.state.name().to_owned())),
    ];
    if let Party::Process(pid) = owner {
        figures.push(("pid", Figure::Count(pid.into())));
    }
    let left = socket.expires_ms.filter(|_| socket.state == State::TimeWait);
    figures.extend(left.map(|ms| ("seconds_left", Figure::Seconds(f64::from(ms) / 1000.0))));
    Finding {
        rule: "self-connected",
        // A connection that its process has closed ends within a minute.
        severity: if is_over { Severity::Notice } else { Severity::Warning },
        about: About::Port(Protocol::Tcp, socket.local.port),
        summary: summary(evidence, socket, owner),
        cause: String::new(),
        steps: steps(&["end that connection", "reserve the port", "check the client's endpoints"]),
        meaning: meaning(evidence, socket),
        evidence: figures,
        advice: advice(evidence, socket),
        avoid: vec![
            "do not only restart the client: its port then stays in TIME-WAIT for 60s".to_owned(),
            "do not set SO_REUSEADDR on the server for this: it has no effect unless the other \
             socket has it, too"
                .to_owned(),
            "do not treat a successful connect() as proof that the server runs".to_owned(),
        ],
    }
}

fn summary(evidence: &Evidence<'_>, socket: &Socket, owner: Party) -> String {
    let Socket { local, state, .. } = socket;
    let who = match owner {
        Party::Process(_) | Party::Hidden(_) => party(evidence, owner),
        _ => "a client".to_owned(),
    };
    let port = local.port;
    match (socket.is_closed_by_process(), socket.expires_ms) {
        (false, _) => format!(
            "{who} is connected to itself: both ends of its connection are {local} ({state}), so \
             no server can listen there or on all addresses"
        ),
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

fn meaning(evidence: &Evidence<'_>, socket: &Socket) -> String {
    let ephemeral = &evidence.snapshot.ephemeral;
    let port = socket.local.port;
    let size = evidence.analysis.range(Protocol::Tcp).low_parity_size;
    let is_low = ephemeral.range.first() % 2 == port % 2;
    let is_chosen = ephemeral.range.contains(port) && !ephemeral.is_reserved(port) && is_low;
    let why = if is_chosen {
        format!(
            "This happens when a program retries connect() to a port of the ephemeral range on \
             this host while nothing listens there: about one attempt in {} gets the same port as \
             its source port, and TCP accepts the simultaneous open. connect() uses {} ports \
             first, so servers on ports of the other parity are not affected.",
            grouped(size),
            if is_low && port.is_multiple_of(2) { "even" } else { "odd" },
        )
    } else {
        "connect() does not choose this port by itself: the program bound it by number, or limits \
         its ports (IP_LOCAL_PORT_RANGE), and connected to it while nothing listened."
            .to_owned()
    };
    format!(
        "bind() or listen() of the server fails with EADDRINUSE, and the client receives what it \
         sends. {why}"
    )
}

fn advice(evidence: &Evidence<'_>, socket: &Socket) -> Vec<String> {
    let port = socket.local.port;
    let state = match socket.state {
        State::TimeWait => "state time-wait ",
        State::Established => "state established ",
        _ => "",
    };
    let since = if socket.state == State::TimeWait { "; not on Linux 5.10" } else { "" };
    vec![
        format!(
            "end the connection, so that the server can start at once (as root{since}): ss --kill \
             {state}'sport = :{port} and dport = :{port}'"
        ),
        format!(
            "reserve the server's port, so that connect() never chooses it: {}",
            reservation::command(&evidence.snapshot.ephemeral, [single(port)])
        ),
        "in the client: after connect() compare getsockname() with getpeername(), and close the \
         socket if both are equal"
            .to_owned(),
    ]
}
