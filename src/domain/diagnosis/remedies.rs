//! Advice that several rules share, with the values of this machine.

use std::time::Duration;

use crate::domain::{
    Destination, Drain, Ephemeral, PortRange, Snapshot,
    notation::{duration, elapsed, grouped, rounded},
    port::LINUX_DEFAULT,
};

/// A change of sysctls, for a finding that advises it.
pub(super) struct SysctlChange {
    /// The change in a few words: `set tcp_tw_reuse to 1`.
    pub step: String,
    /// The command and its effect.
    pub command: String,
    /// The settings for `kept`.
    pub lines: Vec<String>,
}

/// Returns how to widen the ephemeral range. None: it has at least 50,000 ports.
///
/// Does not lower the first port below 10,240, because most services listen on lower ports. The
/// advice says to reserve the ports of services inside the new range first.
pub(super) fn wider_range(ephemeral: &Ephemeral) -> Option<SysctlChange> {
    if ephemeral.range.len() >= 50_000 {
        return None;
    }
    // The last port, 65535, is odd. With an even first port, the range has an even number of ports.
    let first = ephemeral.range.first().min(10_240).next_multiple_of(2);
    let range = PortRange::new(first, u16::MAX).ok()?;
    let usable = range.len() - ephemeral.reserved_in(range);
    Some(SysctlChange {
        step: format!("widen ip_local_port_range to {first} 65535"),
        command: format!(
            "reserve the ports of {range} that services use (net.ipv4.ip_local_reserved_ports), \
             then widen the range: sysctl -w net.ipv4.ip_local_port_range=\"{first} 65535\" ({} \
             ports; takes effect at once, in this network namespace)",
            grouped(usable)
        ),
        lines: vec![
            format!("net.ipv4.ip_local_port_range = {first} 65535"),
            "the new value of net.ipv4.ip_local_reserved_ports".to_owned(),
        ],
    })
}

/// Returns how to widen the ephemeral range if it is narrower than the default of Linux. None: it
/// is not narrower.
pub(super) fn instead_of_narrow(ephemeral: &Ephemeral) -> Option<SysctlChange> {
    if ephemeral.range.len() < LINUX_DEFAULT.len() { wider_range(ephemeral) } else { None }
}

/// Returns the settings that let connect() to this destination reuse ports in TIME-WAIT. None: they
/// are all set.
pub(super) fn reuse(ephemeral: &Ephemeral, to: &Destination) -> Option<SysctlChange> {
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
    let peer = if to.is_local() { "" } else { ", and only if the peer sends timestamps" };
    Some(SysctlChange {
        step: format!("set {} to 1", names.join(" and ")),
        command: format!(
            "let connect() reuse ports in TIME-WAIT: sysctl -w {} (a port {}, only if connect(), \
             not bind(), chose it{peer})",
            assignments.join(" "),
            reuse_delay(ephemeral)
        ),
        lines: names.iter().map(|name| format!("net.ipv4.{name} = 1")).collect(),
    })
}

/// Returns when a port can be reused: `1s after it entered TIME-WAIT`.
fn reuse_delay(ephemeral: &Ephemeral) -> String {
    let delay = ephemeral.tw_reuse_delay_ms.map_or("tcp_tw_reuse_delay".to_owned(), age);
    format!("{delay} after it entered TIME-WAIT")
}

/// Formats an age in milliseconds: `1s`, `250ms`.
pub(super) fn age(milliseconds: u32) -> String {
    let age = Duration::from_millis(milliseconds.into());
    if age.subsec_nanos() == 0 { duration(age) } else { elapsed(age) }
}

/// Warns against tcp_fin_timeout, which does not affect TIME-WAIT, and tcp_tw_recycle, which no
/// longer exists.
pub(super) const AVOID_FIN_TIMEOUT: &str = "do not lower tcp_fin_timeout: it applies to FIN-WAIT-2, \
     and TIME-WAIT always lasts 60s (tcp_tw_recycle was removed in Linux 4.12)";

/// Returns the advice against many connections that end in TIME-WAIT, in a few words and in full.
pub(super) fn reuse_connections(client: &str) -> (String, String) {
    let full = format!(
        "keep connections open and reuse them in {client} (keep-alive, a pool), or let the other \
         end close first"
    );
    (format!("reuse connections in {client}"), full)
}

/// Returns the seconds until half of `time_wait` ports are free if no connection is added.
/// `time_wait` is the number of ports in TIME-WAIT of `destination`, or of the whole range if
/// `destination` is None. None: fewer than half of `time_wait` ports are in TIME-WAIT.
pub(super) fn half_free_in(
    snapshot: &Snapshot,
    destination: Option<&Destination>,
    time_wait: u32,
) -> Option<u32> {
    Drain::of(snapshot, destination).seconds_until(time_wait.div_ceil(2))
}

/// Returns the advice to wait for the end of TIME-WAIT, in a few words and in full. `half_free_in`
/// is in seconds.
pub(super) fn wait(time_wait: u32, half_free_in: u32) -> (String, String) {
    let when = rounded(half_free_in.into());
    let full = format!(
        "wait: half of the {} ports in TIME-WAIT are free in {when} if no connection is added",
        grouped(time_wait)
    );
    (format!("wait {when}"), full)
}

/// Sysctls of the whole machine. A container cannot set them.
const OF_MACHINE: [&str; 2] = ["net.ipv4.tcp_max_orphans", "net.netfilter.nf_conntrack_max"];

/// Returns how to keep these settings after a reboot. None: there are no settings.
pub(super) fn kept<S: AsRef<str>>(settings: &[S]) -> Option<String> {
    let settings: Vec<&str> = settings.iter().map(AsRef::as_ref).collect();
    let list = match settings.split_last()? {
        (last, []) => (*last).to_owned(),
        (last, others) => format!("{} and {last}", others.join(", ")),
    };
    let place = if OF_MACHINE.iter().any(|name| list.contains(name)) {
        "on the host, not in a container"
    } else {
        "(for a container: to the sysctl options of its runtime)"
    };
    Some(format!(
        "add {list} to /etc/sysctl.d/90-ports.conf {place}, because a reboot undoes sysctl -w"
    ))
}

/// Returns the advice of a finding, what helps at once first. Marks each item with `now:` or
/// `for good:` if there are both kinds.
pub(super) fn marked(now: Vec<String>, for_good: Vec<String>) -> Vec<String> {
    if now.is_empty() || for_good.is_empty() {
        return [now, for_good].concat();
    }
    let now = now.into_iter().map(|text| format!("now: {text}"));
    now.chain(for_good.into_iter().map(|text| format!("for good: {text}"))).collect()
}

/// Like `marked`, for items in a few words and in full. Returns the steps and the advice. `kept`
/// has no short form and becomes the last item.
pub(super) fn with_steps(
    now: Vec<(String, String)>,
    for_good: Vec<(String, String)>,
    kept: Option<String>,
) -> (Vec<String>, Vec<String>) {
    let (mut steps, now): (Vec<String>, Vec<String>) = now.into_iter().unzip();
    let (later_steps, mut for_good): (Vec<String>, Vec<String>) = for_good.into_iter().unzip();
    steps.extend(later_steps);
    for_good.extend(kept);
    (steps, marked(now, for_good))
}
