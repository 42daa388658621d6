//! `orphans-high`: the number of orphaned TCP connections is near the kernel's limit.

use crate::domain::{
    Evidence, Finding, Severity,
    diagnosis::{About, Advice, Counter, Figure, advice::marked},
    notation::grouped,
};

/// Minimum share of `tcp_max_orphans` (0 to 1) for each severity. For an orphan whose peer is
/// silent, the kernel compares twice or four times the number of orphans with the limit
/// (net/ipv4/tcp_timer.c, `tcp_out_of_resources`). It may therefore reset such connections from a
/// half or a quarter of the limit.
const WARNING: f64 = 0.50;
const CRITICAL: f64 = 0.75;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let vitals = &evidence.snapshot.vitals;
    let (Some(orphans), Some(max)) = (vitals.orphans, vitals.max_orphans) else {
        return Vec::new();
    };
    let share = f64::from(orphans) / f64::from(max.max(1));
    if share < WARNING {
        return Vec::new();
    }
    let killed = Counter::of(evidence, |vitals| vitals.orphans_killed);
    let is_critical = share >= CRITICAL || killed.is_growing();
    let severity = if is_critical { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "{} of at most {} orphaned connections: their processes have closed them, but TCP has not \
         finished",
        grouped(orphans),
        grouped(max),
    );
    let finding = Finding::new(severity, About::Machine, summary)
        .meaning(
            "Near the limit the kernel resets closed connections that still have data to send: \
             close() returns no error, the peer gets ECONNRESET and loses the end of the data. \
             Orphans keep their ports until the peer answers or the retries end.",
        )
        .figure("orphans", orphans)
        .figure("max_orphans", max)
        .figure("orphans_share", Figure::Share(share))
        .figures(killed.figures("aborted_on_memory", "aborted_on_memory_per_second"))
        .advice(advice(max))
        .avoid(
            "do not close with SO_LINGER 0 to avoid orphans: this resets the connection and \
             discards data",
        );
    vec![finding]
}

fn advice(max: u32) -> Advice {
    let larger = max.saturating_mul(2);
    Advice::default()
        .now(format!(
            "raise the limit: {} (up to 64 KiB of memory per orphan)",
            marked(format_args!("sysctl -w net.ipv4.tcp_max_orphans={larger}")),
        ))
        .now(format!(
            "give up on silent peers earlier: {} (0, the default, means 8)",
            marked("sysctl -w net.ipv4.tcp_orphan_retries=2"),
        ))
        .now(format!(
            "find the silent peers (Send-Q: bytes that they have not acknowledged): {}",
            marked("ss -tno state fin-wait-1"),
        ))
        .setting(format!("net.ipv4.tcp_max_orphans = {larger}"))
        .setting("net.ipv4.tcp_orphan_retries = 2")
}
