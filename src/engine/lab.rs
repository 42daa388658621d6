//! The lab thread: compares strategies on a simulated occupancy or on the host's own.

mod backend;
mod curve;
mod machine;
mod races;
mod worker;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{
        LabRequest, Outbox,
        message::{LabReport, LabSetup},
        worker::Worker,
    },
    host::Host,
};

use self::{backend::LabBackend, races::Races, worker::LabWorker};

/// Number of attempts in one call of `LabBackend::advance`, which stops earlier if enough runs are
/// complete.
const BATCH: u32 = 1 << 20;

/// Completes `runs` runs of each strategy in the calling thread, and returns the result.
///
/// Errors, as text: no strategy is selected or can take part, no candidate can be bound, the host's
/// policy could not be read, or sockets could not be created or listed.
pub fn complete(host: &dyn Host, setup: &LabSetup, runs: u64) -> Result<LabReport, Text> {
    let mut backend = LabBackend::prepare(host, setup)?;
    let clock = clock();
    while backend.runs() < runs {
        backend.advance(BATCH, runs, &clock)?;
    }
    Ok(backend.report())
}

/// Returns a clock that starts now.
fn clock() -> impl Fn() -> Duration {
    let begun = Instant::now();
    move || begun.elapsed()
}

/// Handle to the thread. Dropping it ends the lab and the race.
pub type LabThread = Worker<LabRequest>;

/// Starts the thread, without a lab, at full speed. Races report through `race_outbox`.
///
/// Errors: the thread could not be created.
pub fn spawn(
    host: Arc<dyn Host>,
    outbox: Box<dyn Outbox>,
    race_outbox: Box<dyn Outbox>,
) -> io::Result<LabThread> {
    Worker::start("lab", outbox, move |line, alive| {
        let races = Races::new(Arc::clone(&host), race_outbox, alive);
        LabWorker::new(&*host, line, races).work();
    })
}
