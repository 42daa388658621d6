//! Advice that several rules give, in the words of this machine. Decides nothing.

use crate::domain::Ephemeral;

/// How the range could be widened; None: it is as wide as it should be.
///
/// Not below 10,240: most services listen lower. Those that listen in between must be reserved.
pub(super) fn wider_range(ephemeral: &Ephemeral) -> Option<String> {
    let lower = ephemeral.range.first().min(10_240);
    (ephemeral.range.len() < 50_000).then(|| {
        format!(
            "widen the range, once the ports that services listen on in it are reserved \
             (net.ipv4.ip_local_reserved_ports): sysctl -w \
             net.ipv4.ip_local_port_range=\"{lower} 65535\", in this network namespace"
        )
    })
}

/// Against the habit of turning every knob that has TIME-WAIT near its name.
pub(super) const NOT_FIN_TIMEOUT: &str = "do not lower tcp_fin_timeout: it ends FIN-WAIT-2, TIME-WAIT lasts 60 s whatever it says; \
     and tcp_tw_recycle is gone since Linux 4.12";
