//! The allocation thread: owns the strategy, the binder and all held sockets.

mod delta;
mod run;
pub(super) mod target;
mod worker;

use std::{io, sync::Arc};

pub use delta::merge;
pub use target::simulated_processes;

use crate::{
    engine::{AllocationRequest, Outbox, worker::Worker},
    host::Host,
};

use self::worker::AllocationWorker;

/// Handle to the thread. Dropping it ends the run and releases all held ports.
pub type AllocationThread = Worker<AllocationRequest>;

/// Starts the thread, without a run and without held ports, at four attempts per second.
///
/// Errors: the thread could not be created.
pub fn spawn(host: Arc<dyn Host>, outbox: Box<dyn Outbox>) -> io::Result<AllocationThread> {
    Worker::start("allocation", outbox, move |line, _| AllocationWorker::new(&*host, line).work())
}
