//! Advice that several rules share, with the values of this machine.

use crate::domain::{
    Destination, DestinationUse, Drain, Ephemeral, Evidence, Level, PortRange, Snapshot,
    diagnosis::{Advice, Remedy, advice::marked, service_ports::services, verdict::rows_to_judge},
    notation::{age, counted, grouped, rounded},
    port::{LINUX_DEFAULT, SERVICES},
};

/// The lowest first port of the ranges that the advice proposes.
pub(super) const ABOVE_SERVICES: u16 = 10_240;

/// A change of sysctls, for `Advice::change`.
pub(super) struct SysctlChange {
    /// The effect and the command: `+27,064 ports: sysctl -w …`.
    pub step: String,
    /// What the command does, the command, and what to know about it.
    pub full: String,
    pub command: String,
    /// The settings to keep after a reboot.
    pub lines: Vec<String>,
}

/// Returns the command that sets the ephemeral range.
pub(super) fn set_range(range: PortRange) -> String {
    format!("sysctl -w net.ipv4.ip_local_port_range=\"{}\"", as_sysctl(range))
}

/// Formats a range as ip_local_port_range does: `32768 60999`.
pub(super) fn as_sysctl(range: PortRange) -> String {
    format!("{} {}", range.first(), range.last())
}

/// Returns how to widen the ephemeral range. None: it has at least 50,000 ports.
///
/// The new range starts below 10,240 only if the present one does and has no unreserved port of
/// `SERVICES`. The advice says to reserve the ports of services inside the new range first.
pub(super) fn wider_range(evidence: &Evidence<'_>) -> Option<SysctlChange> {
    let ephemeral = &evidence.snapshot.ephemeral;
    if ephemeral.range.len() >= 50_000 {
        return None;
    }
    let highest = if has_service_ports(ephemeral) { u16::MAX } else { ephemeral.range.first() };
    // The last port, 65535, is odd. With an even first port, the range has an even number of ports.
    let first = highest.min(lowest_first(ephemeral)).next_multiple_of(2);
    let range = PortRange::new(first, u16::MAX).ok()?;
    let usable = range.len() - ephemeral.reserved_in(range);
    let is_at_risk = |port: u16| range.contains(port) && !ephemeral.is_reserved(port);
    let has_services = !services(evidence, is_at_risk).is_empty();
    let more = grouped(usable.saturating_sub(ephemeral.automatic_capacity()));
    let command = set_range(range);
    let step = if has_services {
        format!("+{more} ports: reserve service ports, then widen the range")
    } else {
        format!("+{more} ports: {command}")
    };
    Some(SysctlChange {
        step,
        full: format!(
            "reserve the ports of {range} that services use (net.ipv4.ip_local_reserved_ports), \
             then widen the range: {} ({} ports in all; takes effect at once, in this network \
             namespace)",
            marked(&command),
            grouped(usable)
        ),
        command,
        lines: vec![
            format!("net.ipv4.ip_local_port_range = {}", as_sysctl(range)),
            "the new value of net.ipv4.ip_local_reserved_ports".to_owned(),
        ],
    })
}

/// Returns how to widen the ephemeral range if it is narrower than the default of Linux. None: it
/// is not narrower.
pub(super) fn instead_of_narrow(evidence: &Evidence<'_>) -> Option<SysctlChange> {
    let is_narrow = evidence.snapshot.ephemeral.range.len() < LINUX_DEFAULT.len();
    if is_narrow { wider_range(evidence) } else { None }
}

/// Returns how to widen the ephemeral range. A rule that changes the range for another reason uses
/// this, so that all rules advise the same range. None: the range has at least 50,000 ports; or it
/// is not narrower than the default of Linux, and neither it nor a destination is short of ports.
pub(super) fn widening(evidence: &Evidence<'_>) -> Option<SysctlChange> {
    let is_short = || {
        let rows = rows_to_judge(evidence.analysis, evidence.trends, evidence.thresholds);
        let mut ranges = evidence.analysis.ranges.iter().filter(|range| range.size > 0);
        ranges.any(|range| evidence.of_range(range).level != Level::Ok)
            || rows.into_iter().any(|row| evidence.of_destination(row).level != Level::Ok)
    };
    instead_of_narrow(evidence).or_else(|| if is_short() { wider_range(evidence) } else { None })
}

/// Returns whether connect() and bind() to port 0 may choose a port of `SERVICES`.
pub(super) fn has_service_ports(ephemeral: &Ephemeral) -> bool {
    let part = ephemeral.range.intersection(SERVICES);
    part.is_some_and(|part| ephemeral.reserved_in(part) < part.len())
}

/// Returns the range to use instead of one with ports of `SERVICES`. It has an even number of ports,
/// at least 10,240 if there are as many above its first one.
pub(super) fn range_above_services(evidence: &Evidence<'_>) -> PortRange {
    let first = lowest_first(&evidence.snapshot.ephemeral);
    let last = match widening(evidence) {
        Some(_) => u16::MAX,
        None => evidence.snapshot.ephemeral.range.last().max(first.saturating_add(10_239)) | 1,
    };
    PortRange::new(first, last).expect("the last port is not before the first one")
}

/// Returns the lowest port at which a proposed range starts above `SERVICES`; it is even. The kernel
/// refuses a range that starts below `ip_unprivileged_port_start` (`ipv4_local_port_range`).
pub(super) fn lowest_first(ephemeral: &Ephemeral) -> u16 {
    ephemeral.unprivileged_start.clamp(ABOVE_SERVICES, u16::MAX - 1).next_multiple_of(2)
}

/// Returns the settings that let connect() to this destination reuse ports in TIME-WAIT, of which
/// there are `waiting`. None: they are all set.
pub(super) fn reuse(ephemeral: &Ephemeral, to: &Destination, waiting: u32) -> Option<SysctlChange> {
    let is_on = match ephemeral.tw_reuse {
        Some(1) => true,
        Some(2) => to.is_loopback(),
        _ => false,
    };
    let names: Vec<&str> = [
        (!is_on).then_some("tcp_tw_reuse"),
        (ephemeral.timestamps == Some(0)).then_some("tcp_timestamps"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if names.is_empty() {
        return None;
    }
    let assignments: Vec<String> = names.iter().map(|name| format!("net.ipv4.{name}=1")).collect();
    let command = format!("sysctl -w {}", assignments.join(" "));
    let peer = if to.is_local() { "" } else { "; the peer must send timestamps" };
    Some(SysctlChange {
        // Some ports may have been chosen by bind(), so the effect is an upper bound.
        step: format!("frees up to {}: {command}", counted(waiting, "port")),
        full: format!(
            "let connect() reuse ports in TIME-WAIT, each {}: {} (ports chosen by bind() cannot \
             be reused{peer})",
            reuse_delay(ephemeral),
            marked(&command),
        ),
        command,
        lines: names.iter().map(|name| format!("net.ipv4.{name} = 1")).collect(),
    })
}

/// Returns when a port can be reused: `1s after it entered TIME-WAIT`.
fn reuse_delay(ephemeral: &Ephemeral) -> String {
    let delay = ephemeral.tw_reuse_delay_ms.map_or("tcp_tw_reuse_delay".to_owned(), age);
    format!("{delay} after it entered TIME-WAIT")
}

/// Warns against tcp_fin_timeout, which does not affect TIME-WAIT, and tcp_tw_recycle, which no
/// longer exists.
pub(super) const AVOID_FIN_TIMEOUT: &str = "do not lower tcp_fin_timeout: it applies to FIN-WAIT-2, \
     and TIME-WAIT always lasts 60s (tcp_tw_recycle was removed in Linux 4.12)";

/// Returns the advice against many connections that end in TIME-WAIT.
pub(super) fn reuse_connections(client: &str) -> Remedy {
    let full = format!(
        "keep connections open and reuse them in {client} (keep-alive, a pool), or let the other \
         end close first"
    );
    (format!("reuse connections in {client}"), full).into()
}

/// Adds the advice to `increase` the backlog of `listener`, and those of its limits that are lower or
/// unknown. `limits` are sysctls with their values.
pub(super) fn larger_backlog(
    advice: Advice,
    increase: &str,
    listener: &str,
    backlog: u32,
    limits: &[(&str, Option<u32>)],
) -> Advice {
    let is_low = |value: Option<u32>| value.is_none_or(|value| value < backlog);
    let low: Vec<&str> =
        limits.iter().filter(|(_, value)| is_low(*value)).map(|(name, _)| *name).collect();
    let set: Vec<String> = low.iter().map(|name| format!("{name}={backlog}")).collect();
    let command = marked(format_args!("sysctl -w {}", set.join(" ")));
    let limit = match low.len() {
        0 => " (net.core.somaxconn allows it)".to_owned(),
        _ if limits.iter().any(|(_, value)| value.is_none()) => {
            format!(", and its limit if that is lower, {command}")
        }
        1 => format!(", and its limit, {command}"),
        _ => format!(", and its limits, {command}"),
    };
    let full = format!("{increase}, listen(fd, {backlog}){limit}; then restart {listener}");
    low.iter().fold(advice.now(full), |advice, name| advice.setting(format!("{name} = {backlog}")))
}

/// Returns the advice to find the client of this destination. None: its process is known.
pub(super) fn find_client(row: &DestinationUse) -> Option<Remedy> {
    if row.owners.process().is_some() {
        return None;
    }
    let command = format!("ss -tnp dst {}", row.destination.remote);
    let full = format!(
        "find the client: run {} as root while the client has connections open (no process holds \
         a socket in TIME-WAIT)",
        marked(&command)
    );
    Some((format!("find the client: {command}"), full).into())
}

/// Returns the seconds until half of `time_wait` ports are free if no connection is added.
/// `time_wait` is the number of ports in TIME-WAIT of `destination`, or of the whole range if
/// `destination` is None. None: `Drain` counts fewer ports than half of `time_wait`.
pub(super) fn half_free_in(
    snapshot: &Snapshot,
    destination: Option<&Destination>,
    time_wait: u32,
) -> Option<u32> {
    Drain::of(snapshot, destination).seconds_until(time_wait.div_ceil(2))
}

/// Returns the advice to wait for the end of TIME-WAIT. `half_free_in` is in seconds.
pub(super) fn wait(time_wait: u32, half_free_in: u32) -> Remedy {
    let when = rounded(half_free_in.into());
    let full = format!(
        "wait: half of the {} ports in TIME-WAIT are free in {when} if no connection is added",
        grouped(time_wait)
    );
    (format!("wait {when} without new connections"), full).into()
}
