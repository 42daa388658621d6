//! `bind-before-connect`: ports that were bound before connect() cannot be shared with other
//! destinations.

use std::cmp::Reverse;

use crate::domain::{
    Evidence, Finding, OwnerKey, PortSet, Protocol, Severity,
    diagnosis::{
        About, Advice, OwnerGroup, groups,
        wording::{by, ports, ports_left},
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
    let owners = PortOwners::of(evidence, &numbered);
    let program = owners.program();
    let summary = format!(
        "{} with connections were given to bind() before connect() ({} of the range), {}",
        ports(count),
        percent(share),
        owners.used_by()
    );
    let finding = Finding::new(
        severity(evidence, count + range.unconnectable),
        owners.about(),
        summary,
    )
    .cause(format!(
        "{program} gives ports to bind() before connect(): no other connect() can use them"
    ))
    .meaning(format!(
        "No other connect() can use a port given to bind(), whatever the destination. A new \
             destination has {} to choose from. Once none is left, connect() fails with \
             EADDRNOTAVAIL.",
        ports_left(left)
    ))
    .figure("numbered", count)
    .figure("unconnectable", range.unconnectable)
    .figure("size", range.size)
    .figure("others_available", left.least)
    .figure("others_available_most", left.most)
    .figures(owners.most().iter().flat_map(|group| group.figures()))
    .advice(no_number(program))
    .avoid(format!("do not configure more ports for {program}: no other program can use them"));
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
    let owners = PortOwners::of(evidence, &evidence.analysis.suspected);
    let program = owners.program();
    let summary = format!(
        "{} with connections were very likely bound before connect() ({} of the range), {}",
        ports(range.suspected),
        percent(share),
        owners.used_by()
    );
    let finding = Finding::new(severity(evidence, lost), owners.about(), summary)
        .cause(format!("{program} binds before connect(): no other connect() can use these ports"))
        .meaning(format!(
            "A port that bind() chose cannot be shared between destinations: any other connect() \
             has about {} left, and fails with EADDRNOTAVAIL once none is left. The kernel's \
             tables do not show which call chose a port; this is inferred: connect() uses ports of \
             one parity first, bind() to port 0 those of the other, and the parity or the age of \
             these ports matches bind().",
            ports(left)
        ))
        .figure("suspected", range.suspected)
        .figure("unconnectable", range.unconnectable)
        .figure("size", range.size)
        .figure("others_available", left)
        .figures(owners.most().iter().flat_map(|group| group.figures()))
        .advice(late_choice(program))
        .avoid(
            "do not set SO_REUSEADDR instead: bind() to port 0 still gives each port only once, \
             unless ip_autobind_reuse is 1",
        );
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

/// The owners of the connections on some ports, in groups, with the number of their connections.
struct PortOwners(Vec<OwnerGroup<u32>>);

impl PortOwners {
    fn of(evidence: &Evidence<'_>, ports: &PortSet) -> Self {
        let mut owners: Vec<(OwnerKey, u32)> = Vec::new();
        for socket in &evidence.snapshot.sockets {
            let is_on = socket.protocol == Protocol::Tcp
                && socket.remote.is_some()
                && ports.contains(socket.local.port);
            if !is_on {
                continue;
            }
            let owner_key = OwnerKey::of(evidence.snapshot, socket);
            match owners.iter_mut().find(|(known, _)| *known == owner_key) {
                Some((_, sockets)) => *sockets += 1,
                None => owners.push((owner_key, 1)),
            }
        }
        Self(groups(evidence, owners, |sockets| sockets))
    }

    /// Returns the group with most connections. Known processes precede unknown owners. None: no
    /// group.
    fn most(&self) -> Option<&OwnerGroup<u32>> {
        self.0.iter().min_by_key(|group| {
            Reverse((group.first().pid().is_some(), group.sum(|sockets| sockets)))
        })
    }

    fn about(&self) -> About {
        self.most().map_or(About::Machine, |group| About::Owner(group.first()))
    }

    fn program(&self) -> &str {
        self.most().map_or("an unknown process", |group| &group.program)
    }

    /// Names the owner of most connections, in the words of `by`.
    fn used_by(&self) -> String {
        let sockets = |group: &OwnerGroup<u32>| group.sum(|sockets| sockets);
        match self.most() {
            Some(group) => by(&group.name, sockets(group), self.0.iter().map(sockets).sum()),
            None => "by an unknown process".to_owned(),
        }
    }
}
