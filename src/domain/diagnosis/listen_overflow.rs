//! `listen-overflow`: a listener's queue of unaccepted connections is full.

use crate::domain::{
    Evidence, Finding, Protocol, Severity, Socket, Source, State,
    diagnosis::{
        About, Advice, Counter, advice::marked, remedies::larger_backlog, wording::process,
    },
    notation::grouped,
};

/// Maximum number of listeners reported. Hundreds of listeners may share a port.
const MAX_LISTENERS: usize = 16;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let snapshot = evidence.snapshot;
    let overflows = Counter::of(evidence, |vitals| vitals.listen_overflows);
    // /proc/net/tcp does not show the maximum length of a listener's queue.
    let is_reported = snapshot.source != Source::Procfs;
    let full =
        snapshot.sockets.iter().filter(|socket| is_reported && is_full(socket)).take(MAX_LISTENERS);
    let named: Vec<Finding> = full.map(|socket| of_listener(evidence, socket, overflows)).collect();
    if named.is_empty() { of_machine(evidence, overflows).into_iter().collect() } else { named }
}

/// Returns whether the accept queue is full, or has room for only one more connection. For a
/// listener, the receive queue is `sk_ack_backlog` and the send queue is `sk_max_ack_backlog`
/// (net/ipv4/tcp_diag.c).
fn is_full(socket: &Socket) -> bool {
    socket.state == State::Listen
        && socket.receive_queue > 0
        && socket.receive_queue >= socket.send_queue
}

/// Reports one listener. The kernel refuses a connection only if more connections than the backlog
/// wait, so `backlog + 1` can wait (include/net/sock.h, `sk_acceptq_is_full`).
fn of_listener(evidence: &Evidence<'_>, socket: &Socket, overflows: Counter) -> Finding {
    let (waiting, backlog) = (socket.receive_queue, socket.send_queue);
    let has_refused = waiting > backlog && overflows != Counter::Still;
    let pids = evidence.snapshot.owner(socket).pids();
    let owner = pids.first().map(|&pid| process(evidence, pid));
    let severity = if has_refused { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "{} accepts too slowly on {}: {}, its backlog is {}",
        owner.as_deref().unwrap_or("an unknown process"),
        socket.local,
        match waiting {
            1 => "1 connection waits".to_owned(),
            waiting => format!("{} connections wait", grouped(waiting)),
        },
        grouped(backlog),
    );
    Finding::new(severity, About::Port(Protocol::Tcp, socket.local.port), summary)
        .meaning(MEANING)
        .figure("listener", socket.local.to_string())
        .figure("waiting", waiting)
        .figure("backlog", backlog)
        .figure_if("pid", pids.first().copied())
        .figures(overflows.figures("listen_overflows", "listen_overflows_per_second"))
        .advice(advice(evidence, owner.as_deref().unwrap_or("the listener"), backlog))
        .avoid(AVOID)
}

const MEANING: &str = "While the accept queue is full the kernel drops SYNs: connect() hangs, and \
    fails with ETIMEDOUT if the queue stays full. If tcp_abort_on_overflow is set, a connection \
    whose handshake ends while the queue is full is reset: connect() succeeds, but read() or \
    write() fails with ECONNRESET. This looks like port exhaustion but is not: the client has its \
    port, but the server does not call accept() in time.";

const AVOID: &str = "do not set tcp_abort_on_overflow to 1: it resets connections (ECONNRESET) that \
    the server would accept once its queue has room";

fn advice(evidence: &Evidence<'_>, owner: &str, backlog: u32) -> Advice {
    let larger = backlog.saturating_mul(4).max(4096);
    let limits = [("net.core.somaxconn", evidence.snapshot.vitals.max_backlog)];
    let check = format!("check that {owner} is not stopped and not out of descriptors");
    let advice = Advice::default().now(check);
    larger_backlog(advice, "increase the backlog", owner, larger, &limits)
        .for_good(format!(
            "make {owner} accept faster: more threads or processes in accept(), and no slow work \
             between two calls"
        ))
        .for_good("spread the load over several listeners with SO_REUSEPORT")
}

/// Reports overflows if no queue is full now. None: there were none.
fn of_machine(evidence: &Evidence<'_>, overflows: Counter) -> Option<Finding> {
    let (severity, times) = overflows.severity_and_times()?;
    let summary =
        format!("a listener's accept queue overflowed {times}; none is known to be full now");
    let advice = Advice::default().now(format!(
        "find the accept queue that fills (Recv-Q reaches Send-Q): {}",
        marked("watch -n 0.2 'ss -ltn'"),
    ));
    let limits = [("net.core.somaxconn", evidence.snapshot.vitals.max_backlog)];
    let increase = "increase the backlog of that listener";
    let advice = larger_backlog(advice, increase, "it", 4096, &limits);
    let finding = Finding::new(severity, About::Machine, summary)
        .meaning(MEANING)
        .figures(overflows.figures("listen_overflows", "listen_overflows_per_second"))
        .figure_if("listen_drops", evidence.snapshot.vitals.listen_drops)
        .advice(advice)
        .avoid(AVOID);
    Some(finding)
}
