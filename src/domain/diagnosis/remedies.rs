//! Advice that several rules give, with the values of this machine. Decides nothing.

use crate::domain::{Destination, Ephemeral};

/// Says how to widen the range; None: it is wide enough.
///
/// Does not go below 10,240: most services listen on lower ports. Those on ports in between must be
/// reserved.
pub(super) fn wider_range(ephemeral: &Ephemeral) -> Option<String> {
    let lower = ephemeral.range.first().min(10_240);
    (ephemeral.range.len() < 50_000).then(|| {
        format!(
            "widen the range, after reserving the ports that services listen on in it \
             (net.ipv4.ip_local_reserved_ports): sysctl -w \
             net.ipv4.ip_local_port_range=\"{lower} 65535\", in this network namespace"
        )
    })
}

/// Returns the settings that let connect() reuse a port in TIME-WAIT, in a few words and in full;
/// None: no setting does.
pub(super) fn reuse(ephemeral: &Ephemeral, to: &Destination) -> Option<(String, String)> {
    let is_on = match ephemeral.tw_reuse {
        Some(1) => true,
        Some(2) => to.is_loopback(),
        _ => false,
    };
    let settings: Vec<&str> = [
        (!is_on).then_some("net.ipv4.tcp_tw_reuse=1"),
        (ephemeral.timestamps == Some(0)).then_some("net.ipv4.tcp_timestamps=1"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if settings.is_empty() {
        return None;
    }
    let peer = if to.is_local() { "" } else { " and the peer sends timestamps" };
    let short = settings.iter().map(|setting| setting.trim_start_matches("net.ipv4."));
    let full = format!(
        "sysctl -w {}: connect() may then reuse a port 1 s after it entered TIME-WAIT, if it chose \
         the port itself{peer}",
        settings.join(" ")
    );
    Some((short.collect::<Vec<_>>().join(", "), full))
}

/// Warns against changing every sysctl whose name suggests TIME-WAIT.
pub(super) const NOT_FIN_TIMEOUT: &str = "do not lower tcp_fin_timeout: it applies to FIN-WAIT-2, \
     TIME-WAIT always lasts 60 s; tcp_tw_recycle was removed in Linux 4.12";
