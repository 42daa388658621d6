//! `destination-exhausted`: connect() to one destination finds no port, or will soon find none.

use std::collections::BTreeMap;

use crate::domain::{
    Destination, DestinationUse, Evidence, Finding, Level, OwnerKey, Protocol, Socket, State,
    diagnosis::{
        About, Advice, Figure, MAX_FINDINGS, Remedy,
        remedies::{self, AVOID_FIN_TIMEOUT},
        verdict::{SubjectStatus, rows_to_judge},
        wording::{self, Call, client, left, owner_key, ports, ports_are, used_by},
    },
    ephemeral::TupleReuse,
    notation::{counted, grouped, percent},
};

/// Minimum number of used ports to report a destination. With fewer, the share is not significant.
const MIN_PORTS: u32 = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = rows_to_judge(evidence.analysis, evidence.trends, evidence.thresholds);
    rows.into_iter().filter_map(|row| of(evidence, row)).take(MAX_FINDINGS).collect()
}

fn of(evidence: &Evidence<'_>, row: &DestinationUse) -> Option<Finding> {
    let subject_status = evidence.of_destination(row);
    let level = subject_status.level;
    // A destination that was full a moment ago is reported whatever it uses now.
    if level == Level::Ok || (row.used < MIN_PORTS && level != Level::Failing) {
        return None;
    }
    let unclosed = Unclosed::of(evidence, row);
    let (cause, advice) = match &unclosed {
        Some(unclosed) => (unclosed.cause(), unclosed.advice(row)),
        None => (cause(evidence, row), advice(evidence, row)),
    };
    let summary = summary(evidence, row, &subject_status);
    let finding = Finding::new(level.severity(), About::Destination(row.destination), summary)
        .cause(cause)
        .meaning(meaning(evidence, row, &subject_status))
        .figure("source", row.destination.source.to_string())
        .figure("destination", row.destination.remote.to_string())
        .figure("used", row.used)
        .figure("capacity", row.capacity)
        .figure("available", row.available())
        .figure("available_most", row.left().most)
        .figure("share", Figure::Share(row.share()))
        .figure("time_wait", row.time_wait)
        .figure("reusable", row.reusable)
        .figure("others_available", evidence.analysis.unused_capacity())
        .trend(&subject_status)
        .advice(advice)
        .avoid(
            "do not add client threads or retries: each failing connect() searches the whole \
             range, 3ms of CPU or more with the default range",
        )
        .avoid(AVOID_FIN_TIMEOUT);
    Some(finding)
}

fn summary(
    evidence: &Evidence<'_>,
    row: &DestinationUse,
    subject_status: &SubjectStatus,
) -> String {
    format!(
        "TCP {} uses {} of {} ports ({}), {}: {}",
        evidence.snapshot.interfaces.route(&row.destination),
        grouped(row.in_use()),
        grouped(row.capacity),
        percent(row.used_share()),
        used_by(evidence, row),
        left(subject_status, ""),
    )
}

fn meaning(
    evidence: &Evidence<'_>,
    row: &DestinationUse,
    subject_status: &SubjectStatus,
) -> String {
    let others = evidence.analysis.new_destination();
    let suspected = evidence.analysis.range(Protocol::Tcp).suspected;
    let connect = Call {
        name: "connect()",
        is_plural: false,
        errno: "EADDRNOTAVAIL (\"Cannot assign requested address\")",
        time_wait: row.time_wait - row.reusable,
    };
    let elsewhere = match others.most {
        0 if suspected == 0 => "No other destination has ports left either.".to_owned(),
        _ if suspected >= others.most => {
            "A new destination very likely has no port to choose from (see rule \
             bind-before-connect)."
                .to_owned()
        }
        _ if suspected > 0 => format!(
            "A new destination very likely has at most {} to choose from (see \
             rule bind-before-connect).",
            ports(others.most.saturating_sub(suspected))
        ),
        _ if is_only_one(evidence, row) => {
            format!(
                "Other destinations are not affected: {} left for a new one.",
                ports_are(others)
            )
        }
        _ => format!(
            "Each destination has its own limit: {}{} left for a new destination.",
            wording::at_most(evidence.snapshot),
            ports_are(others)
        ),
    };
    let elsewhere = match row.destination.interface {
        Some(_) => {
            format!("Sockets that are not bound to this device can use these ports. {elsewhere}")
        }
        None => elsewhere,
    };
    let uncertainty =
        uncertainty(evidence, row).map(|uncertainty| format!(" {uncertainty}")).unwrap_or_default();
    format!("{}{uncertainty} {elsewhere}{}", connect.fails(subject_status), bind(evidence))
}

/// Returns whether bind() to port 0 fails, as a sentence; empty if the range has ports left for it.
fn bind(evidence: &Evidence<'_>) -> &'static str {
    let range = evidence.analysis.range(Protocol::Tcp);
    let is_full = range.left().most == 0 || range.is_bind_refused;
    if is_full && evidence.snapshot.ephemeral.autobind_reuse == Some(false) {
        " bind() to port 0 on all addresses fails with EADDRINUSE."
    } else if is_full || range.available() == 0 {
        " bind() to port 0 on all addresses may fail with EADDRINUSE."
    } else {
        ""
    }
}

/// Returns whether no other destination is short of ports, and the number of ports left for a new
/// destination is exact.
fn is_only_one(evidence: &Evidence<'_>, row: &DestinationUse) -> bool {
    let analysis = evidence.analysis;
    let mut others = analysis.destinations.iter();
    // The rows are sorted by share.
    let fullest = others.find(|other| other.destination != row.destination);
    fullest.is_none_or(|other| evidence.of_destination(other).level == Level::Ok)
        && analysis.new_destination().is_exact()
        && analysis.range(Protocol::Tcp).numbered == 0
        && wording::at_most(evidence.snapshot).is_empty()
}

/// Returns why the number of ports left is not exact. None: it is exact.
fn uncertainty(evidence: &Evidence<'_>, row: &DestinationUse) -> Option<String> {
    let mut reasons = Vec::new();
    if row.uncertain > 0 {
        reasons.push(format!(
            "{} of other connections can be shared only if connect() chose them, which the \
             kernel does not show",
            ports(row.uncertain)
        ));
    }
    let perhaps = row.reusable - row.surely_reusable.min(row.reusable);
    if perhaps > 0 {
        let peer = match evidence.snapshot.allows_reuse(&row.destination) {
            TupleReuse::Yes => "",
            _ => " and the peer sends timestamps",
        };
        reasons.push(format!(
            "{} in TIME-WAIT can be reused only if connect() chose them{peer}",
            ports(perhaps)
        ));
    }
    if row.unlisted > 0 {
        reasons.push(wording::unlisted(row.unlisted));
    }
    if row.may_miss > 0 {
        reasons.push(format!(
            "the range {} has an odd number of ports, of which each search skips the first or the \
             last",
            evidence.snapshot.ephemeral.range
        ));
    }
    let reasons = reasons.join("; ");
    (!reasons.is_empty()).then(|| format!("The number left is not exact: {reasons}."))
}

fn advice(evidence: &Evidence<'_>, row: &DestinationUse) -> Advice {
    let (ephemeral, remote) = (&evidence.snapshot.ephemeral, row.destination.remote);
    let client = client(evidence, row);
    let waiting = row.time_wait - row.reusable;
    let reuse =
        (waiting * 4 > row.used).then(|| remedies::reuse(ephemeral, &row.destination, waiting));
    let fewer: Remedy = if row.time_wait * 2 > row.used {
        remedies::reuse_connections(&client)
    } else {
        let full = format!(
            "limit the number of connections that {client} opens to {remote} (a pool with a \
             maximum), and look for connections that it does not close"
        );
        (format!("limit the connection pool of {client}"), full).into()
    };
    let address = format!(
        "add a source address to this host and let {client} bind() to it (with \
         IP_BIND_ADDRESS_NO_PORT), or add an address to the server {remote}: each pair of \
         addresses has the whole range"
    );
    Advice::default()
        .change(reuse.flatten())
        .change(remedies::wider_range(evidence))
        .now_if(remedies::find_client(row))
        .for_good(fewer)
        .for_good(("add a source address", address))
}

/// Returns the connections, and who holds them unless it is a single process: the screen names it.
fn cause(evidence: &Evidence<'_>, row: &DestinationUse) -> String {
    let connections = match (row.used - row.time_wait, row.time_wait) {
        (open, 0) => counted(open, "connection"),
        (0, time_wait) => format!("{} in TIME-WAIT", counted(time_wait, "connection")),
        (open, time_wait) => {
            format!("{} and {} in TIME-WAIT", counted(open, "connection"), grouped(time_wait))
        }
    };
    let by = used_by(evidence, row);
    // `the client` if no process is known.
    let is_by_process = by == format!("by {}", client(evidence, row));
    if is_by_process { connections } else { format!("{connections}, {by}") }
}

/// Sockets in CLOSE-WAIT that use most ports of a destination.
struct Unclosed {
    /// The process with most of these sockets, in words.
    name: String,
    /// The number of these sockets that this process holds.
    sockets: u32,
}

impl Unclosed {
    /// Returns None if sockets in CLOSE-WAIT use at most half of the destination's used ports.
    fn of(evidence: &Evidence<'_>, row: &DestinationUse) -> Option<Self> {
        let sockets = evidence.snapshot.of_protocol_in_range(Protocol::Tcp).iter();
        let is_unclosed = |socket: &&Socket| {
            socket.state == State::CloseWait && Destination::of(socket) == Some(row.destination)
        };
        let mut counts: BTreeMap<OwnerKey, u32> = BTreeMap::new();
        for socket in sockets.filter(is_unclosed) {
            *counts.entry(OwnerKey::of(evidence.snapshot, socket)).or_default() += 1;
        }
        let all: u32 = counts.values().sum();
        let (most, sockets) = counts.into_iter().max_by_key(|&(_, sockets)| sockets)?;
        let name =
            if most.is_process() { owner_key(evidence, most) } else { "the client".to_owned() };
        (all > row.used / 2).then_some(Self { name, sockets })
    }

    fn cause(&self) -> String {
        let Self { name, sockets } = self;
        format!("{name} holds {} sockets in CLOSE-WAIT: it does not close them", grouped(*sockets))
    }

    fn advice(&self, row: &DestinationUse) -> Advice {
        let Self { name, sockets } = self;
        let restart =
            format!("restart {name}, which closes its {} sockets in CLOSE-WAIT", grouped(*sockets));
        let close = format!(
            "close sockets when read() returns 0, in {name}: {} has closed these connections",
            row.destination.remote
        );
        Advice::default()
            .now((format!("frees {}: restart {name}", ports(*sockets)), restart))
            .for_good(("close sockets when read() returns 0", close))
    }
}
