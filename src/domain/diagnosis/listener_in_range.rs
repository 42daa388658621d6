//! `listener-in-range`: a service has its port inside the ephemeral range, unreserved.

use crate::domain::{
    Evidence, Finding, PortRange, Protocol, Severity,
    diagnosis::{
        finding::{About, Figure},
        reservation::{self, list, single},
        service_ports::{Service, services},
        wording::{grouped, process, steps},
    },
};

/// Maximum number of services named in the summary. The command contains all.
const MOST: usize = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let ephemeral = &evidence.snapshot.ephemeral;
    let range = ephemeral.range;
    let services = services(evidence, |port| range.contains(port) && !ephemeral.is_reserved(port));
    let Some(first) = services.first() else { return Vec::new() };
    let ports = PortRange::merged(services.iter().map(|service| single(service.port)).collect());
    let command = reservation::command(ephemeral, ports.iter().copied());
    let mut avoid =
        vec!["do not set the sysctl to the new ports alone: it replaces the list".to_owned()];
    if reservation::is_too_long(&command) {
        avoid.push(
            "do not write so long a list with sysctl(8) or into sysctl.d: only its first 4,095 \
             bytes take effect, without an error; there, give ranges that cover the ports"
                .to_owned(),
        );
    }
    vec![Finding {
        rule: "listener-in-range",
        severity: Severity::Notice,
        about: About::Port(first.protocol, first.port),
        summary: summary(evidence, &services),
        cause: String::new(),
        steps: steps(&["reserve the ports", "or move the service"]),
        meaning: meaning(evidence),
        evidence: vec![
            ("listeners", Figure::Count(of(&services, Protocol::Tcp).count() as u64)),
            ("udp_services", Figure::Count(of(&services, Protocol::Udp).count() as u64)),
            ("ports", Figure::List(services.iter().map(|s| s.port.to_string()).collect())),
            ("ranges", Figure::Text(list(&ports))),
        ],
        advice: vec![
            format!(
                "reserve their ports, which keeps automatic choice away and bind() by number free: \
                 {command}"
            ),
            format!("or move them below {}", range.first()),
        ],
        avoid,
    }]
}

fn of<'a, 'b>(
    services: &'b [Service<'a>],
    protocol: Protocol,
) -> impl Iterator<Item = &'b Service<'a>> {
    services.iter().filter(move |service| service.protocol == protocol)
}

fn summary(evidence: &Evidence<'_>, services: &[Service<'_>]) -> String {
    let names: Vec<String> =
        services.iter().take(MOST).map(|service| named(evidence, service)).collect();
    let more = match services.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {} more", grouped(more as u64)),
    };
    let verb = if services.len() == 1 { "service listens" } else { "services listen" };
    format!(
        "{} {verb} inside the ephemeral range {}, not reserved: {}{more}",
        grouped(services.len() as u64),
        evidence.snapshot.ephemeral.range,
        names.join(", ")
    )
}

fn meaning(evidence: &Evidence<'_>) -> String {
    let known = match evidence.snapshot.vitals.by_number {
        Some(_) => {
            "Sockets that asked for any port (bind to 0) are not among them: the next one gets \
             another port."
        }
        None => {
            "Nothing is wrong with a listener that asked for any port (bind to 0): without \
             netlink the kernel does not say which ones did, and UDP services are not known."
        }
    };
    format!(
        "While a service is down, any outgoing connection, or UDP socket, may be given its port: \
         its next start then fails with EADDRINUSE. {known}"
    )
}

/// `40010 nginx (pid 812)`, `udp 51820 WireGuard tunnel wg0`
fn named(evidence: &Evidence<'_>, service: &Service<'_>) -> String {
    let snapshot = evidence.snapshot;
    let protocol = if service.protocol == Protocol::Udp { "udp " } else { "" };
    let pid = snapshot.owner(service.socket).pids().first();
    let owner = match (snapshot.tunnel_names(service.socket), pid) {
        (Some(tunnel), _) => format!(" {tunnel}"),
        (None, Some(&pid)) => format!(" {}", process(evidence, pid)),
        (None, None) => String::new(),
    };
    format!("{protocol}{}{owner}", service.port)
}
