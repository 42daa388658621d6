//! The thread that owns a pool of leased ports. It handles requests, ends quarantines, reclaims the
//! ports of ended processes, and reports.

mod open;
mod worker;

use std::{
    io,
    sync::{Arc, mpsc},
    time::Duration,
};

use crate::{
    engine::{Outbox, PoolRequest, worker as threads},
    host::Host,
};

use self::worker::PoolWorker;

/// How long dropping the handle waits for the thread to release what it holds.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Handle to the thread. Dropping it ends the thread, which releases every port it held.
pub struct PoolThread {
    requests: Option<mpsc::Sender<PoolRequest>>,
    /// Disconnected once the thread has ended.
    ended: mpsc::Receiver<()>,
}

impl PoolThread {
    /// Sends a request. Never blocks.
    pub fn send(&self, request: PoolRequest) {
        if let Some(requests) = &self.requests {
            // If the thread has ended, it has reported why.
            let _ = requests.send(request);
        }
    }
}

/// Starts the thread, without a pool.
///
/// Errors: the thread could not be created.
pub fn spawn(host: Arc<dyn Host>, outbox: Box<dyn Outbox>) -> io::Result<PoolThread> {
    let (requests, inbox) = mpsc::channel();
    let (alive, ended) = mpsc::sync_channel(0);
    let work = move |outbox: &dyn Outbox| PoolWorker::new(&*host, outbox, inbox).work();
    threads::spawn("pool", alive, outbox, work)?;
    Ok(PoolThread { requests: Some(requests), ended })
}

impl Drop for PoolThread {
    /// Ends the thread. A thread that still waits for room for a report ends with the process.
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.ended.recv_timeout(SHUTDOWN_TIMEOUT);
    }
}
