//! `slow-zone`: connect() to one destination searches many ports before it finds one.

use crate::domain::{
    DestinationUse, Evidence, Finding, Left, Protocol, Severity, Socket,
    diagnosis::{
        About, Advice, Figure, MAX_FINDINGS,
        wording::{client, main_owner, parity, ports_are, used_by},
    },
    notation::{elapsed_seconds, grouped},
};

/// Minimum time that connect() spends on a port that it cannot take, and its factor for kernels
/// before Linux 6.15. Measured on Linux 6.18: 91 to 117 ns. Older kernels take 1.7 to 2 times as
/// long, because they lock each bucket during the search (until commit 86c2bc293b81).
const WALK_NANOSECONDS: f64 = 90.0;
const WALK_WITH_LOCKS: f64 = 1.7;
const WITHOUT_LOCKS: (u32, u32) = (6, 15);
/// Additional time per port for each connection in a bucket of the kernel's connection table.
/// Measured with 256 buckets and 28,000 connections: 2,000 to 4,500 ns per port.
const CHAIN_NANOSECONDS: f64 = 18.0;
/// Duration of a connect() on loopback that finds a port at once.
const USUAL_NANOSECONDS: f64 = 13_500.0;
/// Minimum mean number of searched ports to report. A search of fewer takes at most about 0.1 ms,
/// unless the buckets of the connection table are crowded.
const MIN_SEARCHED: u32 = 512;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = evidence.analysis.destinations.iter();
    rows.filter(|row| is_slow(row)).map(|row| of(evidence, row)).take(MAX_FINDINGS).collect()
}

/// Returns whether connect() finds a port only after a long search; false if no port is left.
fn is_slow(row: &DestinationUse) -> bool {
    searched(row) >= MIN_SEARCHED && row.available() > 0
}

/// Returns the mean number of ports that connect() searches without success. It starts 1 to 8
/// low-parity ports (those with the parity of the first port of the range) after the last one that
/// it chose, takes the first one that is left or reusable, and searches the other parity only if
/// there is none (`__inet_hash_connect`). N such ports at random places divide the low-parity ports
/// into N + 1 parts.
fn searched(row: &DestinationUse) -> u32 {
    let usable = row.low_parity_available() + row.reusable;
    row.low_parity_capacity.saturating_sub(usable) / (usable + 1)
}

fn of(evidence: &Evidence<'_>, row: &DestinationUse) -> Finding {
    let chain = chain(evidence);
    let a_port = nanoseconds_a_port(evidence, chain);
    let searched = searched(row);
    let walk = f64::from(searched) * a_port;
    let times = (walk + USUAL_NANOSECONDS) / USUAL_NANOSECONDS;
    let remote = row.destination.remote;
    let parity = parity(evidence.snapshot.ephemeral.range.first());
    let summary = format!(
        "TCP → {remote}: {} of {} {parity} ports are left, so a connect() takes on average at least \
         {} longer ({} ports are used, {})",
        grouped(row.low_parity_available()),
        grouped(row.low_parity_capacity),
        elapsed_seconds(walk / 1e9),
        grouped(row.used),
        used_by(evidence, row),
    );
    Finding::new(Severity::Warning, About::Destination(row.destination), summary)
        .cause(format!(
            "each connect() of {} searches {} ports first, on average",
            main_owner(evidence, row),
            grouped(searched)
        ))
        .meaning(format!(
            "connect() searches the {parity} ports before the others. Each port takes at least \
             {}{}. A search of {} ports makes connect() take at least {times:.0} times as much \
             CPU, although {} left. No call fails. Connections to other destinations are \
             not affected.",
            elapsed_seconds(a_port / 1e9),
            small_table(evidence, chain),
            grouped(searched),
            ports_are(Left::new(row.available(), row.available())),
        ))
        .figure("source", row.destination.source.to_string())
        .figure("destination", remote.to_string())
        .figure("low_parity_capacity", row.low_parity_capacity)
        .figure("low_parity_available", row.low_parity_available())
        .figure("available", row.available())
        .figure("walk_seconds", Figure::Seconds(walk / 1e9))
        .advice(advice(evidence, row))
        .avoid(
            "do not only widen the range: once the new ports are used up as well, the search is \
             longer",
        )
}

fn advice(evidence: &Evidence<'_>, row: &DestinationUse) -> Advice {
    let reuse = format!(
        "reuse connections to {}, or open fewer at once, in {}",
        row.destination.remote,
        client(evidence, row)
    );
    let addresses =
        "use more source or destination addresses: each pair of addresses has the whole range";
    let option = "set a port range in the program: setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, \
                  ...) makes connect() ignore the parity (Linux 6.8)";
    Advice::default()
        .now(("reuse connections", reuse))
        .now(("add a source address", addresses.to_owned()))
        .now(("set IP_LOCAL_PORT_RANGE", option.to_owned()))
}

/// Returns the mean number of connections in a bucket of the kernel's connection table; 0 if the
/// number of buckets is unknown. Does not count the connections of other network namespaces that
/// share the table.
fn chain(evidence: &Evidence<'_>) -> f64 {
    let buckets = evidence.snapshot.vitals.hash_buckets.map_or(0, i64::unsigned_abs);
    if buckets == 0 {
        return 0.0;
    }
    let is_in_it = |socket: &&Socket| socket.protocol == Protocol::Tcp && socket.remote.is_some();
    let sockets = evidence.snapshot.sockets.iter().filter(is_in_it).count();
    sockets as f64 / buckets as f64
}

fn nanoseconds_a_port(evidence: &Evidence<'_>, chain: f64) -> f64 {
    let locks = match evidence.snapshot.machine.is_at_least(WITHOUT_LOCKS) {
        Some(false) => WALK_WITH_LOCKS,
        Some(true) | None => 1.0,
    };
    WALK_NANOSECONDS * locks + CHAIN_NANOSECONDS * chain
}

fn small_table(evidence: &Evidence<'_>, chain: f64) -> String {
    match evidence.snapshot.vitals.hash_buckets {
        Some(buckets) if chain >= 1.0 => format!(
            " (the kernel's connection table has only {} buckets, net.ipv4.tcp_ehash_entries)",
            grouped(buckets.unsigned_abs())
        ),
        _ => String::new(),
    }
}
