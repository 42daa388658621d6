//! The thread that owns a pool of leased ports. It handles requests, ends quarantines, reclaims the
//! ports of ended processes, and reports.

mod open;
mod worker;

use std::{io, sync::Arc};

use crate::{
    engine::{Outbox, PoolRequest, worker::Worker},
    host::Host,
};

use self::worker::PoolWorker;

/// Handle to the thread. Dropping it ends the thread, which releases every port it held.
pub type PoolThread = Worker<PoolRequest>;

/// Starts the thread, without a pool.
///
/// Errors: the thread could not be created.
pub fn spawn(host: Arc<dyn Host>, outbox: Box<dyn Outbox>) -> io::Result<PoolThread> {
    Worker::start("pool", outbox, move |line, _| PoolWorker::new(&*host, line).work())
}
