//! `listener-in-range`: a service uses an unreserved port of the ephemeral range.

use crate::domain::{
    Evidence, Finding, PortRange, Protocol, Severity, Socket,
    diagnosis::{
        About, Advice,
        advice::marked,
        reservation::{self, list, single},
        service_ports::services,
        wording::process,
    },
    notation::grouped,
};

/// Maximum number of services named in the summary. The command contains the ports of all services.
const MAX_SERVICES: usize = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    // The command would replace the real list of reserved ports by an assumed one.
    if !evidence.snapshot.knows_range() {
        return Vec::new();
    }
    let ephemeral = &evidence.snapshot.ephemeral;
    let range = ephemeral.range;
    let services = services(evidence, |port| range.contains(port) && !ephemeral.is_reserved(port));
    let Some(first) = services.first() else { return Vec::new() };
    let ports = PortRange::merged(services.iter().map(|s| single(s.local.port)).collect());
    let command = reservation::command(ephemeral, ports.iter().copied());
    let count = |protocol| services.iter().filter(|s| s.protocol == protocol).count() as u64;
    let about = About::Port(first.protocol, first.local.port);
    let finding = Finding::new(Severity::Notice, about, summary(evidence, &services))
        .meaning(meaning(evidence))
        .figure("listeners", count(Protocol::Tcp))
        .figure("udp_services", count(Protocol::Udp))
        .figure("ports", services.iter().map(|s| s.local.port.to_string()).collect::<Vec<_>>())
        .figure("ranges", list(&ports))
        .advice(advice(range, services.len() == 1, &command))
        .avoid("do not set the sysctl to the new ports only: the value replaces the whole list");
    if !reservation::is_too_long(&command) {
        return vec![finding];
    }
    vec![finding.avoid(
        "do not set a list this long with sysctl(8) or in sysctl.d: only its first 4,095 bytes \
         take effect, without an error; a shorter list works, of ranges that cover the ports",
    )]
}

fn advice(range: PortRange, is_one: bool, command: &str) -> Advice {
    let (ports, them, steps) = if is_one {
        ("its port", "it", ["reserve the port", "or move the service"])
    } else {
        ("their ports", "them", ["reserve the ports", "or move the services"])
    };
    let reserve = format!(
        "reserve {ports}, so that the kernel never chooses {them} (bind() to {them} still works): \
         {}",
        marked(command)
    );
    let moved = if is_one {
        format!("move the service to a port below {}", range.first())
    } else {
        format!("move the services to ports below {}", range.first())
    };
    let advice = Advice::default().now((steps[0], reserve)).for_good((steps[1], moved));
    reservation::keep(advice, command)
}

fn summary(evidence: &Evidence<'_>, services: &[&Socket]) -> String {
    let names: Vec<String> =
        services.iter().take(MAX_SERVICES).map(|service| named(evidence, service)).collect();
    let more = match services.len().saturating_sub(MAX_SERVICES) {
        0 => String::new(),
        more => format!(" and {} more", grouped(more as u64)),
    };
    let listen = match services.len() {
        1 => "service listens on an unreserved port",
        _ => "services listen on unreserved ports",
    };
    format!(
        "{} {listen} of the ephemeral range {}: {}{more}",
        grouped(services.len() as u64),
        evidence.snapshot.ephemeral.range,
        names.join(", ")
    )
}

fn meaning(evidence: &Evidence<'_>) -> String {
    let known = match evidence.snapshot.vitals.by_number {
        Some(_) => {
            "Sockets that were bound to port 0 are not included: they get another port after a \
             restart."
        }
        None => {
            "The list may include listeners that were bound to port 0, which are not affected: \
             only netlink shows which they are. UDP services are unknown."
        }
    };
    format!(
        "While a service is down, the kernel may give its port to any outgoing connection or UDP \
         socket: the service then fails to start with EADDRINUSE. {known}"
    )
}

/// Returns `TCP 40010 nginx[812]` or `UDP 51820 WireGuard tunnel wg0`.
fn named(evidence: &Evidence<'_>, service: &Socket) -> String {
    let snapshot = evidence.snapshot;
    let protocol = service.protocol.name().to_uppercase();
    let pid = snapshot.owner(service).pids().first();
    let owner = match (snapshot.tunnel_names(service), pid) {
        (Some(tunnel), _) => format!(" {tunnel}"),
        (None, Some(&pid)) => format!(" {}", process(evidence, pid)),
        (None, None) => String::new(),
    };
    format!("{protocol} {}{owner}", service.local.port)
}
