//! The lab thread: compares strategies on a simulated occupancy or on the host's own.

mod curve;
mod ground;
mod machine;
mod races;
mod worker;

use std::{
    io,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{
        LabRequest, Outbox,
        message::{LabReport, LabSetup},
        worker as threads,
    },
    host::Host,
};

use self::{ground::LabBackend, races::Races, worker::LabWorker};

/// How long dropping the handle waits for the lab and for a race to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Number of attempts between two checks whether enough runs have ended.
const BATCH: u32 = 1 << 20;

/// Completes `runs` runs in the calling thread and returns the result.
///
/// Errors, as text: no socket could be created, or no port may be tried.
pub fn complete(host: &dyn Host, setup: &LabSetup, runs: u64) -> Result<LabReport, Text> {
    let mut ground = LabBackend::prepare(host, setup)?;
    let clock = clock();
    while ground.runs() < runs {
        ground.advance(BATCH, runs, &clock)?;
    }
    Ok(ground.report())
}

/// Returns a clock that starts now.
fn clock() -> impl Fn() -> Duration {
    let begun = Instant::now();
    move || begun.elapsed()
}

/// Handle to the thread. Dropping it ends the lab and the race.
pub struct LabThread {
    requests: Option<mpsc::Sender<LabRequest>>,
    /// Disconnected once the lab and all races have ended.
    ended: mpsc::Receiver<()>,
}

/// Starts the thread, with nothing prepared, at full speed. Races report through an outbox of their
/// own.
///
/// Errors: the thread could not be created.
pub fn spawn(
    host: Arc<dyn Host>,
    outbox: Box<dyn Outbox>,
    race_outbox: Box<dyn Outbox>,
) -> io::Result<LabThread> {
    let (requests, inbox) = mpsc::channel();
    let (alive, ended) = mpsc::sync_channel(0);
    let races = Races::new(race_outbox, alive.clone());
    let work = move |outbox: &dyn Outbox| LabWorker::new(&*host, outbox, inbox, races).work();
    threads::spawn("lab", alive, outbox, work)?;
    Ok(LabThread { requests: Some(requests), ended })
}

impl LabThread {
    /// Sends a request. Returns false if the thread has ended; its last report says why, if there
    /// was still a receiver.
    pub fn send(&self, request: LabRequest) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
    }
}

impl Drop for LabThread {
    /// Ends the thread. A thread that still waits for room for a report ends with the process.
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.ended.recv_timeout(SHUTDOWN_TIMEOUT);
    }
}
