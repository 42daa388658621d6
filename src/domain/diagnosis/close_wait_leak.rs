//! `close-wait-leak`: a process does not close connections that its peers have closed.

use crate::domain::{
    Endpoint, Evidence, Finding, OwnerKey, OwnerUse, Protocol, Severity, Socket, State,
    diagnosis::{About, Advice, OwnerGroup, groups},
    notation::{counted, grouped},
    socket::canonical,
};

/// Minimum number of sockets in CLOSE-WAIT of one owner. A few are normal at any time.
const MIN_SOCKETS: u32 = 32;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let size = evidence.analysis.range(Protocol::Tcp).size;
    let leaks = |owner: &&OwnerUse| {
        owner.owner_key.is_process()
            && owner.close_wait >= MIN_SOCKETS
            && (owner.close_wait * 10 >= owner.sockets || owner.close_wait * 20 >= size)
    };
    let owners =
        evidence.analysis.owners.iter().filter(leaks).map(|owner| (owner.owner_key, owner));
    let groups = groups(evidence, owners, |owner| owner.close_wait);
    groups.iter().map(|group| of(evidence, group)).collect()
}

fn of(evidence: &Evidence<'_>, group: &OwnerGroup<&OwnerUse>) -> Finding {
    let program = &group.program;
    let ends = CommonEnds::of(evidence, group);
    let restart = format!("restart {program}, which closes all of these sockets at once");
    let close = format!(
        "fix {program}: close the socket when read() returns 0, on every path, errors included \
         (the usual cause in HTTP clients: a response body that is not read to its end, or not \
         closed)"
    );
    let step = match ends.on_own_port {
        0 => format!("restart {program}"),
        own => format!("frees {}: restart {program}", counted(own, "port")),
    };
    let advice = Advice::default()
        .now((step, restart))
        .for_good(("close sockets when read() returns 0", close));
    Finding::new(Severity::Warning, About::Owner(group.first()), summary(group, &ends))
        .cause(format!("{program} does not call close()"))
        .meaning(meaning(&ends))
        .figure("close_wait", group.sum(|owner| owner.close_wait))
        .figure("sockets", group.sum(|owner| owner.sockets))
        .figures(group.figures())
        .advice(advice)
        .avoid("do not tune tcp_fin_timeout or keep-alive instead: neither closes a descriptor")
}

fn summary(group: &OwnerGroup<&OwnerUse>, ends: &CommonEnds) -> String {
    let name = &group.name;
    let close_wait = grouped(group.sum(|owner| owner.close_wait));
    let sockets = grouped(group.sum(|owner| owner.sockets));
    let place = ends.words();
    if group.is_single() {
        format!("{name} leaves {close_wait} of its {sockets} sockets in CLOSE-WAIT{place}")
    } else {
        format!(
            "{name}: {close_wait} of {sockets} sockets in CLOSE-WAIT ({}){place}",
            group.each(|owner| owner.close_wait)
        )
    }
}

fn meaning(ends: &CommonEnds) -> String {
    let keep_alive = "(SO_KEEPALIVE may free the port, but not the descriptor)";
    let (held, errors) = match ends.on_own_port {
        // The connections of a server share its ports, so the leak uses no further ports.
        0 => ("a descriptor".to_owned(), "accept() and socket() fail with EMFILE"),
        own if own == ends.sockets => (
            format!("a descriptor and a port {keep_alive}"),
            "connect() fails with EADDRNOTAVAIL, or socket() with EMFILE",
        ),
        own => (
            format!(
                "a descriptor, and {} of them a port of the ephemeral range {keep_alive}",
                grouped(own)
            ),
            "connect() fails with EADDRNOTAVAIL, or accept() and socket() with EMFILE",
        ),
    };
    format!(
        "The peers have closed these connections, but close() was not called on this side. Until \
         it is called, each of them holds {held}. If the leak goes on, {errors}."
    )
}

/// The ends that all CLOSE-WAIT sockets of a group have in common. None: they differ.
#[derive(Clone, Copy, Default)]
struct CommonEnds {
    /// The number of these sockets.
    sockets: u32,
    /// Of `sockets`: those on a port of the ephemeral range on which no socket listens. The others
    /// were accepted, or bound to a port outside the range.
    on_own_port: u32,
    local_port: Option<u16>,
    local: Option<Endpoint>,
    remote: Option<Endpoint>,
}

impl CommonEnds {
    fn of(evidence: &Evidence<'_>, group: &OwnerGroup<&OwnerUse>) -> Self {
        let is_in_group = |socket: &&Socket| {
            socket.protocol == Protocol::Tcp
                && socket.state == State::CloseWait
                && group.has(OwnerKey::of(evidence.snapshot, socket))
        };
        let sockets = evidence.snapshot.sockets.iter().filter(is_in_group);
        let mut ends = Self::default();
        for socket in sockets {
            let (local, remote) = (plain(socket.local), socket.remote.map(plain));
            if ends.sockets == 0 {
                (ends.local_port, ends.local) = (Some(local.port), Some(local));
                ends.remote = remote;
            }
            ends.sockets += 1;
            ends.on_own_port += u32::from(is_own_port(evidence, local.port));
            ends.local_port = ends.local_port.filter(|&port| port == local.port);
            ends.local = ends.local.filter(|&common| common == local);
            ends.remote = ends.remote.filter(|&common| Some(common) == remote);
        }
        ends
    }

    /// Returns `, on 127.0.0.1:7000`, `, on port 7000` or `, to 10.0.3.17:443`; empty if all ends
    /// differ.
    fn words(self) -> String {
        match (self.local, self.local_port, self.remote) {
            (Some(local), ..) => format!(", on {local}"),
            (None, Some(port), _) => format!(", on port {port}"),
            (None, None, Some(remote)) => format!(", to {remote}"),
            (None, None, None) => String::new(),
        }
    }
}

/// Returns whether the TCP port is in the ephemeral range and no socket listens on it.
fn is_own_port(evidence: &Evidence<'_>, port: u16) -> bool {
    let snapshot = evidence.snapshot;
    snapshot.ephemeral.range.contains(port)
        && snapshot.on_port(Protocol::Tcp, port).iter().all(|s| s.state != State::Listen)
}

/// Returns the endpoint with an IPv4-mapped address as IPv4.
fn plain(Endpoint { address, port }: Endpoint) -> Endpoint {
    Endpoint { address: canonical(address), port }
}
