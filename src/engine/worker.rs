//! Starts the engine's threads, passes requests to them, and reports their panics. Does not contain
//! their work.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError, SyncSender, TryRecvError},
    thread::{self, Builder},
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{Outbox, Report},
};

/// Maximum time that dropping a handle waits for the thread to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Held by each worker while it runs, so that the engine can wait for all of them to end.
pub type Alive = SyncSender<()>;

/// Handle to a thread that receives requests `R`. Dropping it ends the thread, which releases all
/// that it holds. A thread that has not ended after `SHUTDOWN_TIMEOUT`, for example because it
/// waits for room for a report, ends with the process.
pub struct Worker<R> {
    requests: Option<mpsc::Sender<R>>,
    /// Disconnected once the thread, and those that it started, have ended.
    ended: mpsc::Receiver<()>,
}

impl<R: Send + 'static> Worker<R> {
    /// Starts a thread that does `work`.
    ///
    /// Errors: the thread could not be created.
    pub(super) fn start(
        name: &'static str,
        outbox: Box<dyn Outbox>,
        work: impl FnOnce(Line<'_, R>, Alive) + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let (alive, ended) = mpsc::sync_channel(0);
        let also_alive = alive.clone();
        let work = move |outbox: &dyn Outbox| work(Line { requests: inbox, outbox }, also_alive);
        spawn(name, alive, outbox, work)?;
        Ok(Self { requests: Some(requests), ended })
    }

    /// Sends a request. Never blocks. Returns false if the thread has ended; its last report says
    /// why, if there was still a receiver.
    pub fn send(&self, request: R) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
    }
}

impl<R> Drop for Worker<R> {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.ended.recv_timeout(SHUTDOWN_TIMEOUT);
    }
}

/// A worker's end of its two channels.
pub(super) struct Line<'a, R> {
    requests: mpsc::Receiver<R>,
    outbox: &'a dyn Outbox,
}

/// The thread must end: the sender of requests or the receiver of reports is gone.
pub(super) struct Stop;

impl<R> Line<'_, R> {
    /// Waits for a request until `due`, or without limit if `due` is `None`. Returns `Ok(None)` if
    /// no request arrived in time.
    pub(super) fn receive(&self, due: Option<Instant>) -> Result<Option<R>, Stop> {
        let Some(due) = due else { return self.requests.recv().map(Some).map_err(|_| Stop) };
        let timeout = due.saturating_duration_since(Instant::now());
        if timeout.is_zero() {
            return match self.requests.try_recv() {
                Ok(request) => Ok(Some(request)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(Stop),
            };
        }
        match self.requests.recv_timeout(timeout) {
            Ok(request) => Ok(Some(request)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Stop),
        }
    }

    /// Sends a report if there is room, and returns it otherwise.
    pub(super) fn offer(&self, report: Report) -> Result<(), Report> {
        self.outbox.offer(report)
    }

    /// Sends a report. Waits for room.
    pub(super) fn deliver(&self, report: Report) -> Result<(), Stop> {
        if self.outbox.deliver(report) { Ok(()) } else { Err(Stop) }
    }
}

/// Maximum lag for which late steps are made up. After a longer delay, for example because the
/// process was stopped, earlier steps are skipped.
const LAG: Duration = Duration::from_millis(100);

/// The times at which steps are due at a limited speed.
pub(super) struct Pacer {
    /// When the next step is due.
    pub(super) due: Instant,
}

impl Pacer {
    /// Creates a pacer whose first step is due now.
    pub(super) fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// Makes the next step due after `pause` at the latest.
    pub(super) fn hasten(&mut self, pause: Duration) {
        self.due = self.due.min(Instant::now() + pause);
    }

    /// Returns how many steps are due by now, at most `most`, and sets the time of the next one.
    /// `pause` is the time between two steps.
    pub(super) fn steps_due(&mut self, pause: Duration, most: u32) -> u32 {
        let now = Instant::now();
        self.due = now.checked_sub(LAG).map_or(self.due, |earliest| earliest.max(self.due));
        let mut count = 0;
        while self.due <= now && count < most {
            self.due += pause;
            count += 1;
        }
        count
    }
}

/// Starts a thread whose panic is reported as `WorkerDied`.
///
/// Errors: the thread could not be created.
pub(super) fn spawn(
    name: &'static str,
    alive: Alive,
    outbox: Box<dyn Outbox>,
    work: impl FnOnce(&dyn Outbox) + Send + 'static,
) -> io::Result<()> {
    let body = move || {
        let _alive = alive;
        let watch = PanicGuard { name, outbox };
        work(&*watch.outbox);
    };
    Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

/// Reports a panic of its thread, when it is dropped during unwinding. By then the thread has
/// released what it held.
struct PanicGuard {
    name: &'static str,
    outbox: Box<dyn Outbox>,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            let words = format!("the {} thread panicked", self.name);
            self.outbox.deliver(Report::WorkerDied(Text::scrub(words)));
        }
    }
}
