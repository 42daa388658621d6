//! Runs the worker threads that access a host on behalf of the caller. Handles no keys and draws
//! nothing on the screen.

pub mod allocation;
mod describer;
pub mod freeing;
pub mod lab;
pub mod lease_server;
pub mod lease_table;
pub mod message;
pub mod permit;
pub mod pool;
mod port_survey;
pub mod race;
pub mod sample;
pub mod scanner;
mod worker;

pub use message::{
    AllocationRequest, AllocatorTarget, FreeNews, FreeOffer, FreeRequest, LabReport, LabRequest,
    LabSetup, LabTarget, Outbox, PoolPlan, PoolReport, PoolRequest, Report, Request, Setup, Speed,
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
    describer::{DescriberLoop, SharedOwnerList},
    freeing::offer::{self, FreeThread},
    lab::LabThread,
    pool::PoolThread,
    scanner::{ScanControl, ScanLoop},
};

/// Maximum time that `drop` waits for the scanner and the describer. A thread that is still stuck
/// in a system call after this time ends with the process.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(300);

/// Handle to the worker threads. Dropping it stops them.
pub struct Engine {
    scan_control: Arc<ScanControl>,
    owner_list: Arc<SharedOwnerList>,
    /// Disconnected once the scanner and the describer have ended.
    workers: Receiver<()>,
    allocation: AllocationThread,
    lab: LabThread,
    pool: PoolThread,
    freeing: FreeThread,
}

impl Engine {
    /// Starts the threads. Scans every `interval` (at least 50 ms), or less often if that would
    /// cost more than 5 % of a core. Each thread reports through an `outbox` of its own.
    ///
    /// Errors: a thread could not be created.
    pub fn start(
        host: Arc<dyn Host>,
        interval: Duration,
        outbox: impl Fn() -> Box<dyn Outbox>,
    ) -> io::Result<Self> {
        let scan_control = Arc::<ScanControl>::default();
        let owner_list = Arc::<SharedOwnerList>::default();
        let (alive, workers) = sync_channel(0);

        let scan = ScanLoop::new(host.clone(), interval, scan_control.clone(), owner_list.clone());
        worker::spawn("scanner", alive.clone(), outbox(), |to| scan.run(to))?;

        let (machine, posted) = (host.clone(), owner_list.clone());
        let describe = move |to: &dyn Outbox| DescriberLoop::new(&*machine, posted).run(to);
        worker::spawn("describer", alive, outbox(), describe)?;

        let allocation = allocation::spawn(host.clone(), outbox())?;
        let lab = lab::spawn(host.clone(), outbox(), outbox())?;
        let pool = pool::spawn(host.clone(), outbox())?;
        let freeing = offer::spawn(host, outbox())?;
        Ok(Self { scan_control, owner_list, workers, allocation, lab, pool, freeing })
    }

    /// Sends a request to its thread. Never blocks. Does nothing if the thread has ended.
    pub fn ask(&self, request: Request) {
        match request {
            Request::ScanNow => self.scan_control.scan_now(),
            Request::ScanSoon => self.scan_control.scan_soon(),
            Request::Freeze(is_paused) => self.scan_control.set_paused(is_paused),
            // If a thread has ended, it has reported why.
            Request::Allocation(request) => _ = self.allocation.send(request),
            Request::Lab(request) => _ = self.lab.send(request),
            Request::Pool(request) => _ = self.pool.send(request),
            Request::Free(request) => _ = self.freeing.send(request),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.scan_control.stop();
        self.owner_list.stop();
        let _ = self.workers.recv_timeout(SHUTDOWN_GRACE);
    }
}
