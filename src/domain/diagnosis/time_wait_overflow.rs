//! `time-wait-overflow`: the kernel's limit of TIME-WAIT sockets is reached.

use crate::domain::{
    Evidence, Finding, Severity,
    diagnosis::{About, Advice, Counter, advice::marked},
    notation::{elapsed_seconds, grouped},
};

/// Share of `tcp_max_tw_buckets` (0 to 1) from which the limit counts as nearly reached.
const NEAR: f64 = 0.90;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let vitals = &evidence.snapshot.vitals;
    let overflow = Counter::of(evidence, |vitals| vitals.time_wait_overflow);
    let (now, max) = (vitals.time_wait, vitals.max_time_wait);
    let is_near =
        now.zip(max).is_some_and(|(now, max)| f64::from(now) >= NEAR * f64::from(max) && now > 0);
    let severity = match overflow {
        Counter::Growing { .. } => Severity::Warning,
        _ if is_near => Severity::Warning,
        Counter::Past { .. } => Severity::Notice,
        Counter::Still => return Vec::new(),
    };
    let finding = Finding::new(severity, About::Machine, summary(now, max, overflow))
        .meaning(
            "Above tcp_max_tw_buckets a closed connection leaves no TIME-WAIT: its port is free at \
             once, and no call fails. But without TIME-WAIT a late segment of the old connection \
             may reset or reach a new one on the same ports.",
        )
        .figure_if("time_wait", now)
        .figure_if("max_time_wait", max)
        .figures(overflow.figures("overflows", "overflows_per_second"))
        .advice(advice(max))
        .avoid(
            "do not lower tcp_max_tw_buckets to free ports: new connections may then break without \
             a visible cause (ip-sysctl.rst forbids it, too)",
        );
    vec![finding]
}

fn summary(now: Option<u32>, max: Option<u32>, overflow: Counter) -> String {
    let known = |number: Option<u32>| number.map_or_else(|| "unknown".to_owned(), grouped);
    let (in_use, limit) = (known(now), known(max));
    match overflow {
        Counter::Growing { added, seconds, .. } => format!(
            "{} connections were closed without TIME-WAIT in the last {}: the limit of {limit} \
             is reached",
            grouped(added),
            elapsed_seconds(seconds),
        ),
        Counter::Past { total } if now.zip(max).is_none_or(|(now, max)| now < max) => format!(
            "{} connections were closed without TIME-WAIT since the counter started; now {in_use} \
             of {limit} are in use",
            grouped(total),
        ),
        _ => format!("{in_use} of {limit} TIME-WAIT sockets are in use"),
    }
}

fn advice(max: Option<u32>) -> Advice {
    let double = max.map_or(262_144, |max| max.saturating_mul(2).max(4096));
    Advice::default()
        .now(format!(
            "raise the limit: {} (about 0.25 KiB of memory each)",
            marked(format_args!("sysctl -w net.ipv4.tcp_max_tw_buckets={double}")),
        ))
        .for_good(
            "keep connections open and reuse them (a connection pool, HTTP keep-alive), or let the \
             other end close first: the end that closes first gets TIME-WAIT",
        )
        .setting(format!("net.ipv4.tcp_max_tw_buckets = {double}"))
}
