//! `listener-in-range`: a service listens inside the ephemeral range, unreserved.

use crate::domain::{
    Evidence, Finding, PortRange, Protocol, Severity, Socket, State,
    diagnosis::{
        finding::{About, Figure},
        wording::{grouped, process, steps},
    },
};

/// Named at most.
const MOST: usize = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let ephemeral = &evidence.snapshot.ephemeral;
    let is_exposed = |socket: &&Socket| {
        let port = socket.local.port;
        socket.protocol == Protocol::Tcp
            && socket.state == State::Listen
            && ephemeral.range.contains(port)
            && !ephemeral.is_reserved(port)
    };
    let mut listeners: Vec<&Socket> = evidence.snapshot.sockets.iter().filter(is_exposed).collect();
    // Sorted by port: several sockets of one port are one service.
    listeners.dedup_by_key(|socket| socket.local.port);
    let Some(first) = listeners.first() else { return Vec::new() };
    let names: Vec<String> =
        listeners.iter().take(MOST).map(|socket| named(evidence, socket)).collect();
    let more = match listeners.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {} more", grouped(more as u64)),
    };
    let services = if listeners.len() == 1 { "service listens" } else { "services listen" };
    vec![Finding {
        rule: "listener-in-range",
        severity: Severity::Notice,
        about: About::Port(Protocol::Tcp, first.local.port),
        summary: format!(
            "{} {services} inside the ephemeral range {}, not reserved: {}{more}",
            grouped(listeners.len() as u64),
            ephemeral.range,
            names.join(", ")
        ),
        cause: String::new(),
        steps: steps(&["reserve the ports", "or move the service"]),
        meaning:
            "While a service is down, any outgoing connection may be given its port: its next \
                  start then fails with EADDRINUSE. Nothing is wrong with one that asked for any \
                  port (bind to 0); the tables do not tell these apart."
                .to_owned(),
        evidence: vec![
            ("listeners", Figure::Count(listeners.len() as u64)),
            ("ports", Figure::List(ports(&listeners).map(|port| port.to_string()).collect())),
        ],
        advice: vec![
            format!(
                "reserve their ports, which keeps automatic choice away and bind() by number free: \
                 sysctl -w net.ipv4.ip_local_reserved_ports={}",
                list(ephemeral.reserved(), ports(&listeners).take(MOST))
            ),
            format!("or move them below {}", ephemeral.range.first()),
        ],
        avoid: vec![
            "do not set the sysctl to the new ports alone: it replaces the list".to_owned(),
        ],
    }]
}

fn ports<'a>(listeners: &'a [&Socket]) -> impl Iterator<Item = u16> + 'a {
    listeners.iter().map(|socket| socket.local.port)
}

/// What is reserved already, and the ports.
fn list(reserved: &[PortRange], ports: impl Iterator<Item = u16>) -> String {
    let written = reserved.iter().map(|range| match range.len() {
        1 => range.first().to_string(),
        _ => range.to_string(),
    });
    written.chain(ports.map(|port| port.to_string())).collect::<Vec<_>>().join(",")
}

fn named(evidence: &Evidence<'_>, socket: &Socket) -> String {
    let pid = evidence.snapshot.owner(socket).pids().first();
    let owner = pid.map(|&pid| format!(" {}", process(evidence, pid))).unwrap_or_default();
    format!("{}{owner}", socket.local.port)
}
