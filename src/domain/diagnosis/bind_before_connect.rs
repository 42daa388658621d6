//! `bind-before-connect`: ports that were bound before connect() cannot be shared with other
//! destinations.

use std::cmp::Reverse;

use crate::domain::{
    Evidence, Finding, OwnerKey, PortSet, Protocol, Severity,
    diagnosis::{
        advice::Advice,
        finding::About,
        groups::{OwnerGroup, groups},
        wording::{by, ports},
    },
    notation::percent,
};

/// Minimum number of ports; fewer may be a coincidence.
const MIN_PORTS: u32 = 8;
/// Minimum share of the range (0 to 1); a smaller share does no harm.
const MIN_SHARE: f64 = 0.05;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    by_number(evidence).into_iter().chain(by_order(evidence)).collect()
}

/// Reports ports that were bound by number, according to the kernel.
fn by_number(evidence: &Evidence<'_>) -> Option<Finding> {
    let range = evidence.analysis.range(Protocol::Tcp);
    let asked = evidence.snapshot.numbered.as_ref()?;
    let is_numbered =
        |&port: &u16| asked.contains(port) && evidence.analysis.numbered.contains(port);
    let numbered: PortSet = range.range.ports().filter(is_numbered).collect();
    let (count, share) = (numbered.len(), share(evidence, numbered.len()));
    if count < MIN_PORTS || share < MIN_SHARE {
        return None;
    }
    let left = evidence.analysis.new_destination();
    let owners_by_ports = owners_by_ports(evidence, &numbered);
    let most = most(&owners_by_ports);
    let program = program(most);
    let about = most.map_or(About::Machine, |group| About::Owner(group.first()));
    let summary = format!(
        "{} with connections were given to bind() before connect() ({} of the range), {}",
        ports(count),
        percent(share),
        used_by(&owners_by_ports, most)
    );
    let finding = Finding::new(severity(evidence, count + range.unconnectable), about, summary)
        .cause(format!(
            "{program} gives ports to bind() before connect(): no other connect() can use them"
        ))
        .meaning(format!(
            "No other connect() can use a port given to bind(), whatever the destination. A new \
             destination has {left} ports to choose from. Once none is left, connect() fails with \
             EADDRNOTAVAIL."
        ))
        .figure("numbered", count)
        .figure("unconnectable", range.unconnectable)
        .figure("size", range.size)
        .figure("others_available", left.least)
        .figure("others_available_most", left.most)
        .figures(most.iter().flat_map(|group| group.figures()))
        .advice(no_number(&program))
        .avoid(format!(
            "do not give {program} more ports: each of them is lost to all other programs"
        ));
    Some(finding)
}

fn no_number(program: &str) -> Advice {
    let late = format!(
        "in {program}: bind only the source address, with setsockopt(fd, IPPROTO_IP, \
         IP_BIND_ADDRESS_NO_PORT, 1) and port 0 (Linux 4.2): connect() then chooses the port and \
         shares it between destinations"
    );
    let reserve = "if it needs these ports: reserve them (net.ipv4.ip_local_reserved_ports), so \
                   that the kernel gives them to no other program";
    Advice::default()
        .now(("let connect() choose the port", late))
        .now(("or reserve the ports that it binds", reserve.to_owned()))
}

fn share(evidence: &Evidence<'_>, ports: u32) -> f64 {
    f64::from(ports) / f64::from(evidence.analysis.range(Protocol::Tcp).size.max(1))
}

/// Returns the severity for the number of ports that are lost to other destinations; at least
/// `Warning`.
fn severity(evidence: &Evidence<'_>, lost: u32) -> Severity {
    let left = evidence.analysis.range(Protocol::Tcp).size.saturating_sub(lost);
    let level = evidence.thresholds.level(share(evidence, lost), left, None);
    level.severity().max(Severity::Warning)
}

/// Reports ports that were probably bound by bind() to port 0, judged by the order of their use.
fn by_order(evidence: &Evidence<'_>) -> Option<Finding> {
    let range = evidence.analysis.range(Protocol::Tcp);
    let share = share(evidence, range.suspected);
    if range.suspected < MIN_PORTS || share < MIN_SHARE {
        return None;
    }
    let lost = range.suspected + range.unconnectable;
    let left = range.size.saturating_sub(lost);
    let owners_by_ports = owners_by_ports(evidence, &evidence.analysis.suspected);
    let most = most(&owners_by_ports);
    let program = program(most);
    let about = most.map_or(About::Machine, |group| About::Owner(group.first()));
    let summary = format!(
        "{} with connections were very likely bound before connect() ({} of the range), {}",
        ports(range.suspected),
        percent(share),
        used_by(&owners_by_ports, most)
    );
    let finding = Finding::new(severity(evidence, lost), about, summary)
        .cause(format!("{program} binds before connect(): no other connect() can use these ports"))
        .meaning(format!(
            "A port that bind() chose cannot be shared between destinations: any other connect() \
             has about {} left, and fails with EADDRNOTAVAIL once none is left. This is inferred, \
             because the kernel's tables do not show it: connect() uses ports of one parity first, \
             bind() to port 0 those of the other, and these ports are in the order of bind().",
            ports(left)
        ))
        .figure("suspected", range.suspected)
        .figure("unconnectable", range.unconnectable)
        .figure("size", range.size)
        .figure("others_available", left)
        .figures(most.iter().flat_map(|group| group.figures()))
        .advice(late_choice(&program))
        .avoid("do not set SO_REUSEADDR instead: bind() to port 0 still gives each port only once");
    Some(finding)
}

fn late_choice(program: &str) -> Advice {
    let late = format!(
        "in {program}: setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) before \
         bind(address, 0) (Linux 4.2): connect() then chooses the port and shares it between \
         destinations"
    );
    let omit = "if the source address does not matter: omit bind()".to_owned();
    Advice::default()
        .now(("set IP_BIND_ADDRESS_NO_PORT before bind()", late))
        .now(("or omit bind()", omit))
}

/// Groups the owners of the connections on these ports, with the number of their connections.
fn owners_by_ports(evidence: &Evidence<'_>, ports: &PortSet) -> Vec<OwnerGroup<u32>> {
    let mut owners_by_ports: Vec<(OwnerKey, u32)> = Vec::new();
    for socket in &evidence.snapshot.sockets {
        let is_on = socket.protocol == Protocol::Tcp
            && socket.remote.is_some()
            && ports.contains(socket.local.port);
        if !is_on {
            continue;
        }
        let owner_key = OwnerKey::of(evidence.snapshot, socket);
        match owners_by_ports.iter_mut().find(|(known, _)| *known == owner_key) {
            Some((_, sockets)) => *sockets += 1,
            None => owners_by_ports.push((owner_key, 1)),
        }
    }
    groups(evidence, owners_by_ports, |sockets| sockets)
}

/// Returns the group with most connections. Known processes precede unknown owners. None: no group.
fn most(owners_by_ports: &[OwnerGroup<u32>]) -> Option<&OwnerGroup<u32>> {
    owners_by_ports.iter().min_by_key(|group| {
        let is_process = matches!(group.first(), OwnerKey::Process(_));
        Reverse((is_process, group.sum(|sockets| sockets)))
    })
}

fn program(most: Option<&OwnerGroup<u32>>) -> String {
    most.map_or_else(|| "an unknown process".to_owned(), |group| group.program.clone())
}

/// Names the owner of most connections, in the words of `by`.
fn used_by(owners_by_ports: &[OwnerGroup<u32>], most: Option<&OwnerGroup<u32>>) -> String {
    let sockets = |group: &OwnerGroup<u32>| group.sum(|sockets| sockets);
    match most {
        Some(group) => by(&group.name, sockets(group), owners_by_ports.iter().map(sockets).sum()),
        None => "by an unknown process".to_owned(),
    }
}
