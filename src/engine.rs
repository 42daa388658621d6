//! Runs the worker threads that access a host on behalf of the caller. Handles no keys and draws
//! nothing on the screen.

pub mod allocation;
mod describer;
pub mod lab;
pub mod lease_server;
mod look;
pub mod message;
pub mod permit;
pub mod pool;
pub mod race;
pub mod sample;
pub mod scanner;
mod worker;

pub use message::{
    AllocationRequest, LabReport, LabRequest, LabSetup, LabSite, Outbox, PoolPlan, PoolReport,
    PoolRequest, Report, Request, Setup, Site, Speed,
};

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use crate::host::Host;

use self::{
    allocation::AllocationThread,
    describer::{DescriberLoop, Roster},
    lab::LabThread,
    pool::PoolThread,
    scanner::{Orders, ScanLoop},
};

/// Maximum time that `drop` waits for the scanner and the describer. A thread that is still stuck
/// in a system call after this time ends with the process.
const FAREWELL: Duration = Duration::from_millis(300);

/// Handle to the worker threads. Dropping it stops them.
pub struct Engine {
    orders: Arc<Orders>,
    roster: Arc<Roster>,
    /// Disconnected once the scanner and the describer have ended.
    workers: Receiver<()>,
    allocation: AllocationThread,
    lab: LabThread,
    pool: PoolThread,
}

impl Engine {
    /// Starts the threads. Scans every `interval`, or less often if that would cost over 5 % of a
    /// core. Each thread reports through an `outbox` of its own.
    ///
    /// Errors: a thread could not be created.
    pub fn start(
        host: Arc<dyn Host>,
        interval: Duration,
        outbox: impl Fn() -> Box<dyn Outbox>,
    ) -> io::Result<Self> {
        let orders = Arc::<Orders>::default();
        let roster = Arc::<Roster>::default();
        let (alive, workers) = sync_channel(0);

        let scan = ScanLoop::new(host.clone(), interval, orders.clone(), roster.clone());
        worker::spawn("scanner", alive.clone(), outbox(), |to| scan.run(to))?;

        let (machine, posted) = (host.clone(), roster.clone());
        let describe = move |to: &dyn Outbox| DescriberLoop::new(&*machine, posted).run(to);
        worker::spawn("describer", alive, outbox(), describe)?;

        let allocation = allocation::spawn(host.clone(), outbox())?;
        let lab = lab::spawn(host.clone(), outbox(), outbox())?;
        let pool = pool::spawn(host, outbox())?;
        Ok(Self { orders, roster, workers, allocation, lab, pool })
    }

    /// Sends a request. Never blocks.
    pub fn ask(&self, request: Request) {
        match request {
            Request::ScanNow => self.orders.scan_now(),
            Request::Freeze(frozen) => self.orders.freeze(frozen),
            Request::Allocation(request) => {
                // If the thread has ended, it has reported why.
                self.allocation.send(request);
            }
            Request::Lab(request) => {
                self.lab.send(request);
            }
            Request::Pool(request) => {
                self.pool.send(request);
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.orders.stop();
        self.roster.stop();
        let _ = self.workers.recv_timeout(FAREWELL);
    }
}
