//! The allocation thread: owns the strategy, the binder and all held sockets.

mod delta;
mod run;
pub(super) mod site;
mod worker;

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

pub use delta::merge;
pub use site::simulated_processes;

use crate::{
    domain::Text,
    engine::{AllocationRequest, Outbox, Report},
    host::Host,
};

/// How long dropping the handle waits for the thread to release what it holds.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Handle to the thread. Dropping it ends the run and releases all held ports.
pub struct AllocationThread {
    requests: Option<mpsc::Sender<AllocationRequest>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Disconnected once the thread has ended.
    ended: mpsc::Receiver<()>,
}

/// Starts the thread, with nothing prepared, nothing held, and four attempts a second.
///
/// Errors: the thread could not be created.
pub fn spawn(host: Arc<dyn Host>, outbox: Box<dyn Outbox>) -> io::Result<AllocationThread> {
    let (requests, inbox) = mpsc::channel();
    let (alive, ended) = mpsc::channel();
    let body = move || {
        let _alive = alive;
        let watch = AllocationDeathWatch(outbox);
        worker::AllocationWorker::new(&*host, &*watch.0, inbox).work();
    };
    let thread = thread::Builder::new().name("allocation".to_owned()).spawn(body)?;
    Ok(AllocationThread { requests: Some(requests), thread: Some(thread), ended })
}

impl AllocationThread {
    /// Sends a request. Returns false if the thread has ended; its last report says why, if there
    /// was still a receiver.
    pub fn send(&self, request: AllocationRequest) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
    }
}

impl Drop for AllocationThread {
    /// Ends the thread. A thread that still waits for room for a report ends with the process.
    fn drop(&mut self) {
        self.requests = None;
        let has_ended =
            self.ended.recv_timeout(SHUTDOWN_TIMEOUT) == Err(mpsc::RecvTimeoutError::Disconnected);
        if let Some(thread) = self.thread.take().filter(|_| has_ended) {
            // `AllocationDeathWatch` has reported a panic.
            let _ = thread.join();
        }
    }
}

/// Reports a panic of its thread. When it is dropped, the thread has already released its ports.
struct AllocationDeathWatch(Box<dyn Outbox>);

impl Drop for AllocationDeathWatch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.deliver(Report::WorkerDied(Text::scrub("the allocation thread panicked")));
        }
    }
}
