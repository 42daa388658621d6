//! `no-source-address`: EADDRNOTAVAIL because an address is missing, not a port.

use crate::domain::{
    Evidence, Finding, Ipv6, Severity, SourceAddresses,
    diagnosis::{About, Advice, advice::marked},
};

const REFUSAL: &str = "EADDRNOTAVAIL (\"Cannot assign requested address\")";

/// Returns at most one finding for IPv6 and one for IPv4.
pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(addresses) = &evidence.snapshot.vitals.addresses else { return Vec::new() };
    // Without sockets, no program uses the network in this network namespace.
    let is_used = !evidence.snapshot.sockets.is_empty();
    [ipv6(addresses, is_used), ipv4(addresses, is_used)].into_iter().flatten().collect()
}

/// Why `::1` is missing.
enum Cause<'a> {
    LoopbackDown,
    /// IPv6 is disabled on `lo`. Contains those of `all`, `default` and `lo` for which
    /// `disable_ipv6` is 1.
    Disabled(&'a [&'static str]),
    /// `lo` is up or in an unknown state, and IPv6 is not disabled on it.
    Removed,
}

fn ipv6(addresses: &SourceAddresses, is_used: bool) -> Option<Finding> {
    let Ipv6::Listed { has_loopback: false, usable, disabled } = &addresses.ipv6 else {
        return None;
    };
    let cause = match addresses.is_loopback_up {
        _ if disabled.contains(&"lo") => Cause::Disabled(disabled),
        Some(false) => Cause::LoopbackDown,
        _ => Cause::Removed,
    };
    let is_down = matches!(cause, Cause::LoopbackDown);
    let what = match usable {
        0 => "connect() to any IPv6 address, and bind() to ::1, fail with",
        _ => "bind() to ::1 fails with",
    };
    // lo is rarely down on purpose, but IPv6 is often disabled on purpose.
    let severity = if is_down && is_used { Severity::Warning } else { Severity::Notice };
    let disabled: Vec<String> = disabled.iter().map(|name| (*name).to_owned()).collect();
    let finding = finding(severity, format!("{what} {REFUSAL}: {}", cause.words()))
        .meaning(meaning(*usable, &cause))
        .figure("family", "ipv6")
        .figure("usable_addresses", *usable)
        .figure("disabled", disabled)
        .advice(cause.advice());
    Some(finding)
}

fn meaning(usable: u32, cause: &Cause<'_>) -> String {
    let reach = match usable {
        0 => {
            "Without a source address, connect() to any IPv6 destination fails with EADDRNOTAVAIL, \
             although ports are left. bind() to [::] and listen() there still succeed."
        }
        _ => {
            "connect() to ::1 fails with ENETUNREACH, or uses a default route and gets no answer. \
             Other IPv6 addresses are not affected."
        }
    };
    let ipv4 = match cause {
        Cause::LoopbackDown => {
            " IPv4 is affected, too: connect() to 127.0.0.1 fails with ENETUNREACH or gets no \
             answer."
        }
        _ => " A client that tries ::1 before 127.0.0.1 for localhost is delayed or fails.",
    };
    format!("{reach}{ipv4}")
}

impl Cause<'_> {
    fn words(&self) -> String {
        match self {
            Self::LoopbackDown => "the interface lo is down".to_owned(),
            Self::Disabled(names) if names.contains(&"all") => {
                "IPv6 is disabled on all interfaces (net.ipv6.conf.all.disable_ipv6 = 1)".to_owned()
            }
            Self::Disabled(_) => {
                "IPv6 is disabled on lo (net.ipv6.conf.lo.disable_ipv6 = 1)".to_owned()
            }
            Self::Removed => "lo has no address ::1".to_owned(),
        }
    }

    fn advice(&self) -> Advice {
        let advice = Advice::default();
        let use_ipv4 = "make the clients use 127.0.0.1 instead of localhost and ::1";
        let other_step = "or use 127.0.0.1";
        match self {
            Self::LoopbackDown => advice.now(command("ip link set lo up")),
            Self::Removed => advice
                .now(command("ip address add ::1/128 dev lo"))
                .now((other_step, format!("or {use_ipv4}"))),
            Self::Disabled(names) => {
                // `all` comes last, because the kernel also sets the others when `all` is written.
                let order = ["default", "lo", "all"].into_iter();
                let set = order.filter(|name| names.contains(name));
                let set: Vec<String> =
                    set.map(|name| format!("net.ipv6.conf.{name}.disable_ipv6")).collect();
                let enable = marked(format_args!("sysctl -w {}=0", set.join("=0 ")));
                let enable = format!("enable IPv6: {enable}");
                let advice = advice
                    .now(("enable IPv6", enable))
                    .for_good((other_step, format!("if IPv6 is disabled on purpose, {use_ipv4}")));
                set.iter().fold(advice, |advice, name| advice.setting(format!("{name} = 0")))
            }
        }
    }
}

fn command(words: &str) -> (&str, String) {
    (words, marked(words))
}

/// Reports that 127.0.0.1 is missing, or that `lo` is down if the IPv6 finding does not report it.
fn ipv4(addresses: &SourceAddresses, is_used: bool) -> Option<Finding> {
    let is_said = matches!(&addresses.ipv6, Ipv6::Listed { has_loopback: false, disabled, .. }
        if !disabled.contains(&"lo"));
    let is_down = addresses.is_loopback_up == Some(false);
    let (summary, remedy) = if addresses.has_ipv4_loopback == Some(false) {
        let summary =
            format!("bind() to 127.0.0.1 fails with {REFUSAL}: lo does not have this address");
        (summary, "ip address add 127.0.0.1/8 dev lo")
    } else if is_down && !is_said {
        let summary = "connect() to 127.0.0.1 fails with ENETUNREACH (\"Network is unreachable\") \
                       or gets no answer: the interface lo is down";
        (summary.to_owned(), "ip link set lo up")
    } else {
        return None;
    };
    let severity = if is_used { Severity::Warning } else { Severity::Notice };
    let finding = finding(severity, summary)
        .meaning("Connections between programs on this host fail, although ports are left.")
        .figure("family", "ipv4")
        .figure("loopback_up", (!is_down).to_string())
        .advice(Advice::default().now(command(remedy)));
    Some(finding)
}

/// Returns what both findings share.
fn finding(severity: Severity, summary: String) -> Finding {
    Finding::new(severity, About::Machine, summary + ". This is not exhaustion.").avoid(
        "do not widen the ephemeral range or tune TIME-WAIT: an address is missing, not a port",
    )
}
