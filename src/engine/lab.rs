//! The lab thread: strategies side by side, on a simulated occupancy or on the machine's own.

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

use self::{ground::Ground, races::Races, worker::Worker};

/// How long dropping the handle waits for the lab and for a race to end.
const GOODBYE: Duration = Duration::from_secs(1);

/// Attempts between two looks at whether enough runs have ended.
const BATCH: u32 = 1 << 20;

/// So many runs at once, without a thread: for those who wait for the result.
///
/// Errors, in words: no socket could be made, or no port may be tried.
pub fn complete(host: &dyn Host, setup: &LabSetup, runs: u64) -> Result<LabReport, Text> {
    let mut ground = Ground::prepare(host, setup)?;
    let clock = clock();
    while ground.runs() < runs {
        ground.advance(BATCH, runs, &clock)?;
    }
    Ok(ground.report())
}

/// Tells the time since it was made.
fn clock() -> impl Fn() -> Duration {
    let begun = Instant::now();
    move || begun.elapsed()
}

/// The thread and the way to it. Dropping it ends the lab and the race.
pub struct LabThread {
    requests: Option<mpsc::Sender<LabRequest>>,
    /// Hangs up when the lab and all races have ended.
    ended: mpsc::Receiver<()>,
}

/// Starts the thread, with nothing prepared, at full speed. Races report through an outbox of their
/// own.
///
/// Errors: the system gives no thread.
pub fn spawn(
    host: Arc<dyn Host>,
    outbox: Box<dyn Outbox>,
    race_outbox: Box<dyn Outbox>,
) -> io::Result<LabThread> {
    let (requests, inbox) = mpsc::channel();
    let (alive, ended) = mpsc::sync_channel(0);
    let races = Races::new(race_outbox, alive.clone());
    let work = move |outbox: &dyn Outbox| Worker::new(&*host, outbox, inbox, races).work();
    threads::spawn("lab", alive, outbox, work)?;
    Ok(LabThread { requests: Some(requests), ended })
}

impl LabThread {
    /// False: the thread has ended; its last report says why, unless nobody listened any more.
    pub fn send(&self, request: LabRequest) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
    }
}

impl Drop for LabThread {
    /// A thread that still waits for someone to take its report is left to the end of the process.
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.ended.recv_timeout(GOODBYE);
    }
}
