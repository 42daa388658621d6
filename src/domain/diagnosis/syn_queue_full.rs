//! `syn-queue-full`: a listener has more half-open connections than allowed, so that SYNs are
//! dropped or answered with a cookie.
//!
//! The kernel (`tcp_conn_request`, net/ipv4/tcp_input.c) checks the number of half-open connections
//! of the listener. Above the listener's backlog (the argument of listen()), the kernel answers a
//! SYN with a cookie (`TCPReqQFullDoCookies`), or drops it if `tcp_syncookies` is 0
//! (`TCPReqQFullDrop`). If `tcp_syncookies` is 0 and less than a quarter of `tcp_max_syn_backlog`
//! is left, the kernel also drops SYNs of clients that never connected before; only `ListenDrops`
//! counts these. For the accept queue see `listen-overflow`.

mod queues;

use crate::domain::{
    Endpoint, Evidence, Finding, Protocol, Severity, Source, SynQueue,
    diagnosis::{About, Advice, Counter, Figure, advice::marked, remedies, wording::process},
    notation::{counted, grouped},
};

use self::queues::{Queue, queues};

/// Maximum number of listeners named.
const MAX_LISTENERS: usize = 16;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let snapshot = evidence.snapshot;
    let syn = &snapshot.vitals.syn_queue;
    let Some(drops) = Drops::of(evidence) else { return Vec::new() };
    // /proc/net/tcp does not show a listener's backlog.
    let is_shown = snapshot.source != Source::Procfs;
    let full = queues(snapshot).into_iter().filter(|queue| is_shown && queue.is_full(syn));
    let named: Vec<Finding> =
        full.take(MAX_LISTENERS).map(|queue| of_listener(evidence, &queue, drops)).collect();
    if named.is_empty() { of_machine(evidence, drops).into_iter().collect() } else { named }
}

/// What the kernel does with SYNs that arrive while a SYN queue is full.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drops {
    /// The kernel drops them.
    Lost(Counter),
    /// The kernel answers them with a cookie.
    Cookies(Counter),
}

impl Drops {
    /// Returns None if there were none, or if there is no SYN queue.
    fn of(evidence: &Evidence<'_>) -> Option<Self> {
        let syn = &evidence.snapshot.vitals.syn_queue;
        let lost = Counter::of(evidence, |vitals| vitals.syn_queue.dropped);
        // `ListenDrops` includes the overflows of accept queues, so these are subtracted.
        let others = Counter::of(evidence, |vitals| {
            vitals.listen_drops?.checked_sub(vitals.listen_overflows?)
        });
        let cookies = Counter::of(evidence, |vitals| vitals.syn_queue.cookies_for_full);
        let drops = match syn.cookies {
            // With tcp_syncookies 2, the kernel answers each SYN with a cookie and uses no SYN
            // queue.
            Some(2) => return None,
            Some(0) if !lost.is_growing() && others != Counter::Still => Self::Lost(others),
            Some(0) => Self::Lost(lost),
            _ if cookies != Counter::Still => Self::Cookies(cookies),
            _ => Self::Lost(lost),
        };
        (drops.counter() != Counter::Still).then_some(drops)
    }

    fn counter(self) -> Counter {
        let (Self::Lost(counter) | Self::Cookies(counter)) = self;
        counter
    }

    fn figures(self) -> Vec<(&'static str, Figure)> {
        match self {
            Self::Lost(counter) => counter.figures("syns_dropped", "syns_dropped_per_second"),
            Self::Cookies(counter) => counter.figures("syn_cookies", "syn_cookies_per_second"),
        }
    }

    fn severity(self) -> Severity {
        match self {
            Self::Lost(Counter::Growing { .. }) => Severity::Critical,
            Self::Lost(_) | Self::Cookies(Counter::Growing { .. }) => Severity::Warning,
            Self::Cookies(_) => Severity::Notice,
        }
    }

    /// Returns `480 SYNs/s are dropped`, for example.
    fn words(self) -> String {
        let done = match self {
            Self::Lost(_) => "dropped",
            Self::Cookies(_) => "answered with SYN cookies",
        };
        match (self.counter(), self.counter().events()) {
            (Counter::Growing { per_second: Some(per_second), .. }, _) if per_second >= 1.0 => {
                format!("{} SYNs/s are {done}", grouped(per_second.round() as u64))
            }
            (_, Some((count, when))) => format!("{} SYNs were {done} {when}", grouped(count)),
            (_, None) => format!("SYNs may be {done}"),
        }
    }
}

fn of_listener(evidence: &Evidence<'_>, queue: &Queue<'_>, drops: Drops) -> Finding {
    let syn = &evidence.snapshot.vitals.syn_queue;
    let local = queue.listener.local;
    let pids = evidence.snapshot.owner(queue.listener).pids();
    let owner = pids.first().map(|&pid| process(evidence, pid));
    let summary = format!(
        "the SYN queue of {} on {local} is full: {}, {}; {}",
        owner.as_deref().unwrap_or("an unknown process"),
        counted(queue.half_open, "half-open connection"),
        limit(queue, syn),
        drops.words(),
    );
    Finding::new(drops.severity(), About::Port(Protocol::Tcp, local.port), summary)
        .meaning(meaning(drops))
        .figure("listener", local.to_string())
        .figure("half_open", queue.half_open)
        .figure("backlog", queue.backlog)
        .figure("listeners", queue.members)
        .figure_if("pid", pids.first().copied())
        .figures(figures(syn, drops))
        .advice(advice(evidence, Some(local), drops))
        .avoid(AVOID)
}

/// Returns which of the kernel's limits is reached.
fn limit(queue: &Queue<'_>, syn: &SynQueue) -> String {
    match (syn.cookies, syn.max_syn_backlog) {
        (Some(0), Some(max)) if queues::limit_without_cookies(max) < queue.backlog => {
            format!("limit 3/4 of tcp_max_syn_backlog {}, SYN cookies off", grouped(max))
        }
        (Some(0), _) => format!("backlog {}, SYN cookies off", grouped(queue.backlog)),
        _ => format!("backlog {}", grouped(queue.backlog)),
    }
}

/// Returns the settings of the kernel that are known, and what was dropped.
fn figures(syn: &SynQueue, drops: Drops) -> Vec<(&'static str, Figure)> {
    let counts = [
        ("tcp_syncookies", syn.cookies.map(u64::from)),
        ("tcp_max_syn_backlog", syn.max_syn_backlog.map(u64::from)),
        ("syn_cookies_failed", syn.cookies_failed),
    ];
    let known = counts.into_iter().filter_map(|(name, count)| Some((name, count?.into())));
    known.chain(drops.figures()).collect()
}

fn meaning(drops: Drops) -> &'static str {
    match drops {
        Drops::Cookies(_) => {
            "Clients can still connect: a SYN cookie uses no memory until the client's ACK \
             arrives. Without TCP timestamps, such a connection has no window scaling and no SACK. \
             Ports are not exhausted, and the accept queue is not full: clients, or a SYN flood, \
             leave handshakes unfinished."
        }
        Drops::Lost(_) => {
            "New clients get no answer to their SYN: connect() hangs, and fails with ETIMEDOUT if \
             the queue stays full. This looks like port exhaustion but is not: the client has its \
             port, and the accept queue is not full. Clients, or a SYN flood, leave handshakes \
             unfinished."
        }
    }
}

fn advice(evidence: &Evidence<'_>, listener: Option<Endpoint>, drops: Drops) -> Advice {
    let of_port = listener.map_or(String::new(), |local| format!(" 'sport = :{}'", local.port));
    let mut advice = Advice::default();
    if matches!(drops, Drops::Lost(_)) {
        advice = advice
            .now(format!(
                "turn SYN cookies on, so that clients can connect while the queue is full: {} \
                 (takes effect at once)",
                marked("sysctl -w net.ipv4.tcp_syncookies=1"),
            ))
            .setting("net.ipv4.tcp_syncookies = 1");
    }
    let advice = advice.now(format!(
        "find the clients that leave handshakes unfinished: {}; if these addresses never answer, it \
         is a SYN flood: filter it in front of this host",
        marked(format_args!("ss -tn state syn-recv{of_port}")),
    ));
    let vitals = &evidence.snapshot.vitals;
    let limits = [
        ("net.core.somaxconn", vitals.max_backlog),
        ("net.ipv4.tcp_max_syn_backlog", vitals.syn_queue.max_syn_backlog),
    ];
    let increase = "if it is real load: increase the backlog";
    remedies::larger_backlog(advice, increase, "the listener", 4096, &limits)
}

/// Reports drops if no queue is known to be full now: the procfs source does not show backlogs.
/// None: something other than a SYN queue caused them.
fn of_machine(evidence: &Evidence<'_>, drops: Drops) -> Option<Finding> {
    let syn = &evidence.snapshot.vitals.syn_queue;
    // Without half-open connections, `ListenDrops` grows for other reasons (no route, no memory).
    let is_by_queue = syn.dropped.is_some_and(|count| count > 0)
        || matches!(drops, Drops::Cookies(_))
        || queues(evidence.snapshot).iter().any(|queue| queue.half_open > 0);
    let severity = if drops.counter().is_growing() { Severity::Warning } else { Severity::Notice };
    let summary =
        format!("a listener's SYN queue was full: {}; none is known to be full now", drops.words());
    is_by_queue.then(|| {
        Finding::new(severity, About::Machine, summary)
            .meaning(meaning(drops))
            .figures(figures(syn, drops))
            .advice(advice(evidence, None, drops))
            .avoid(AVOID)
    })
}

const AVOID: &str = "do not widen the ephemeral range, and do not rely on faster accept(): these \
    connections have not reached accept()";
