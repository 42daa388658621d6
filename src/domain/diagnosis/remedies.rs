//! Advice that several rules share, with the values of this machine.

use crate::domain::{Destination, Ephemeral};

/// Returns how to widen the range, or None if it has at least 50,000 ports.
///
/// Does not lower the first port below 10,240, because most services listen on lower ports. The
/// advice says to reserve the ports of services inside the new range first.
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

/// Returns the settings that let connect() reuse a port in TIME-WAIT, in a few words and in full.
/// Returns None if they are all set already.
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
        "sysctl -w {}: connect() may then reuse a port 1s after it entered TIME-WAIT, if it chose \
         the port itself{peer}",
        settings.join(" ")
    );
    Some((short.collect::<Vec<_>>().join(", "), full))
}

/// Warns against two sysctls whose names suggest an effect on TIME-WAIT that they do not have.
pub(super) const NOT_FIN_TIMEOUT: &str = "do not lower tcp_fin_timeout: it applies to FIN-WAIT-2, \
     TIME-WAIT always lasts 60s; tcp_tw_recycle was removed in Linux 4.12";
