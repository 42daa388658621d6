//! The scanner thread: takes snapshots at an interval at which they cost at most 5 % of a core.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    domain::{Snapshot, Source},
    engine::{
        Outbox, Report,
        describer::{SharedOwnerList, departed_only},
    },
    host::{Host, HostError, OwnerDepth, Scanner},
};

/// If a scan needed the CPU time t, the next one starts at the earliest 20 t after that scan
/// started, which limits scans to 5 % of a core.
pub(super) const COST_FACTOR: u32 = 20;
/// Minimum time between scans that `ScanNow` and `ScanSoon` request.
const MIN_REQUESTED_INTERVAL: Duration = Duration::from_millis(250);
/// Divisor of the interval for a scan that `ScanSoon` requests.
const SOON_DIVISOR: u32 = 4;
/// Minimum configured interval: zero would be a busy loop on a host whose scans cost nothing.
const MIN_SELECTABLE_INTERVAL: Duration = Duration::from_millis(50);
/// Interval of full searches for owners. They are necessary because fork() and descriptor passing
/// change the owners of a socket without a new inode.
const FULL_WALK_INTERVAL: Duration = Duration::from_secs(30);
/// Interval at which a report is offered again if the outbox had no room for it.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Number of snapshots kept: one is being filled, one waits to be sent, the app uses one, and one
/// is spare.
const KEPT_SNAPSHOTS: usize = 4;

/// Orders to the scanner. An order replaces the last one of its kind, so that nothing accumulates.
#[derive(Default)]
pub struct ScanControl {
    options: Mutex<ScanOptions>,
    changed: Condvar,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "requests that do not depend on each other")]
struct ScanOptions {
    scan_now: bool,
    scan_soon: bool,
    is_frozen: bool,
    stop: bool,
}

impl ScanControl {
    pub fn scan_now(&self) {
        self.change(|options| options.scan_now = true);
    }

    /// Requests the next scan after a quarter of the interval. While paused, has no effect.
    pub fn scan_soon(&self) {
        self.change(|options| options.scan_soon = true);
    }

    pub fn set_paused(&self, is_paused: bool) {
        self.change(|options| options.is_frozen = is_paused);
    }

    pub fn stop(&self) {
        self.change(|options| options.stop = true);
    }

    fn change(&self, change: impl FnOnce(&mut ScanOptions)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, ScanOptions> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Determines the time from the start of one scan to the start of the next.
struct ScanPace {
    /// Configured interval.
    asked: Duration,
    /// CPU time of the last scan.
    cost: Duration,
    /// Whether the last scan left out the owners, so that the next scan follows at once.
    needs_owner_scan: bool,
}

impl ScanPace {
    fn interval(&self) -> Duration {
        if self.needs_owner_scan { Duration::ZERO } else { self.asked.max(self.budget()) }
    }

    fn budget(&self) -> Duration {
        self.cost * COST_FACTOR
    }

    /// Returns the time from the start of the last scan to the start of the next; `None`: paused,
    /// and no scan was requested.
    fn after(&self, options: &ScanOptions) -> Option<Duration> {
        match (options.is_frozen, options.scan_now) {
            (true, false) => None,
            // A request is answered also while paused.
            (_, true) => Some(self.shortened(MIN_REQUESTED_INTERVAL)),
            (false, false) if options.scan_soon => {
                Some(self.shortened(MIN_REQUESTED_INTERVAL.max(self.asked / SOON_DIVISOR)))
            }
            (false, false) => Some(self.interval()),
        }
    }

    /// Returns `to`, but at least 20 times the cost of the last scan, and at most the interval.
    fn shortened(&self, to: Duration) -> Duration {
        self.interval().min(to.max(self.budget()))
    }
}

/// Snapshots that were sent. A snapshot is filled again once nobody else uses it.
#[derive(Default)]
struct SnapshotBuffers(Vec<Arc<Snapshot>>);

impl SnapshotBuffers {
    fn take(&mut self, host: &dyn Host) -> Arc<Snapshot> {
        let unused = self.0.iter_mut().position(|kept| Arc::get_mut(kept).is_some());
        match unused {
            Some(at) => self.0.swap_remove(at),
            // The scanner sets the actual source.
            None => Arc::new(Snapshot::empty(host.machine(), Source::SockDiag)),
        }
    }

    fn keep(&mut self, snapshot: Arc<Snapshot>) {
        if self.0.len() == KEPT_SNAPSHOTS {
            self.0.remove(0);
        }
        self.0.push(snapshot);
    }
}

/// State of the scanner thread.
pub struct ScanLoop {
    host: Arc<dyn Host>,
    scan_control: Arc<ScanControl>,
    owner_list: Arc<SharedOwnerList>,
    pace: ScanPace,
    pool: SnapshotBuffers,
    /// Newest snapshot, if the outbox had no room for it yet.
    waiting: Option<Arc<Snapshot>>,
    last_full_walk: Option<Instant>,
    has_scanned: bool,
}

impl ScanLoop {
    pub fn new(
        host: Arc<dyn Host>,
        asked: Duration,
        scan_control: Arc<ScanControl>,
        owner_list: Arc<SharedOwnerList>,
    ) -> Self {
        Self {
            host,
            scan_control,
            owner_list,
            pace: ScanPace {
                asked: asked.max(MIN_SELECTABLE_INTERVAL),
                cost: Duration::ZERO,
                needs_owner_scan: false,
            },
            pool: SnapshotBuffers::default(),
            waiting: None,
            last_full_walk: None,
            has_scanned: false,
        }
    }

    /// Runs until `ScanControl::stop`.
    pub fn run(mut self, outbox: &dyn Outbox) {
        let mut scanner = None;
        loop {
            let started = Instant::now();
            if let Err(error) = self.scan_once(&mut scanner, started) {
                // If there is no room, the report is dropped. A later failure is reported again.
                let _ = outbox.offer(Report::ScanFailed(error.into()));
            }
            self.offer(outbox);
            if !self.wait(started, outbox) {
                return;
            }
        }
    }

    fn scan_once(
        &mut self,
        scanner: &mut Option<Box<dyn Scanner>>,
        now: Instant,
    ) -> Result<(), HostError> {
        // The scanner is created in this thread, because a netlink socket belongs to the network
        // namespace of the thread that opened it.
        let scanner = match scanner {
            Some(scanner) => scanner,
            None => scanner.insert(self.host.scanner()?),
        };
        let depth = self.depth(now);
        let mut shared = self.pool.take(&*self.host);
        let snapshot = Arc::get_mut(&mut shared).expect("the pool gives only what nobody shares");
        let result = scanner.scan(depth, snapshot);
        if result.is_ok() {
            if snapshot.needs_numbered() {
                scanner.ask_numbered(snapshot);
            }
            scanner.ask_timestamps(snapshot);
            self.pace.cost = snapshot.cost;
            self.pace.needs_owner_scan = depth == OwnerDepth::Skip;
            self.has_scanned = true;
            self.note_walk(depth, now);
            self.owner_list.post(&snapshot.pids, departed_only(snapshot));
            self.waiting = Some(shared.clone());
        } else {
            self.pace.needs_owner_scan = false;
        }
        self.pool.keep(shared);
        result
    }

    fn depth(&self, now: Instant) -> OwnerDepth {
        match self.last_full_walk {
            _ if !self.has_scanned => OwnerDepth::Skip,
            Some(walked) if now.duration_since(walked) >= FULL_WALK_INTERVAL => OwnerDepth::Full,
            _ => OwnerDepth::Incremental,
        }
    }

    /// Records the time of a full search for owners. The first incremental search is a full one as
    /// well, because no inode is known yet.
    fn note_walk(&mut self, depth: OwnerDepth, now: Instant) {
        let is_first = depth == OwnerDepth::Incremental && self.last_full_walk.is_none();
        if depth == OwnerDepth::Full || is_first {
            self.last_full_walk = Some(now);
        }
    }

    fn offer(&mut self, outbox: &dyn Outbox) {
        if let Some(snapshot) = self.waiting.take()
            && let Err(Report::Scanned(refused)) = outbox.offer(Report::Scanned(snapshot))
        {
            self.waiting = Some(refused);
        }
    }

    /// Waits until the next scan is due. Returns false on stop.
    fn wait(&mut self, started: Instant, outbox: &dyn Outbox) -> bool {
        let scan_control = self.scan_control.clone();
        let mut options = scan_control.lock();
        while !options.stop {
            let since = started.elapsed();
            let left = self.pace.after(&options).map(|after| after.saturating_sub(since));
            if left == Some(Duration::ZERO) {
                (options.scan_now, options.scan_soon) = (false, false);
                return true;
            }
            let again = self.waiting.is_some().then_some(RETRY_INTERVAL);
            options = match left.into_iter().chain(again).min() {
                Some(pause) => {
                    let waited = scan_control.changed.wait_timeout(options, pause);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => scan_control.changed.wait(options).unwrap_or_else(PoisonError::into_inner),
            };
            self.offer(outbox);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(asked: Duration, cost: Duration) -> ScanPace {
        ScanPace { asked, cost, needs_owner_scan: false }
    }

    #[test]
    fn a_scan_that_is_requested_soon_starts_after_a_quarter_of_the_interval() {
        let soon = ScanOptions { scan_soon: true, ..ScanOptions::default() };
        let after = |asked: u64, cost: u64| {
            pace(Duration::from_millis(asked), Duration::from_millis(cost)).after(&soon)
        };
        assert_eq!(after(8000, 1), Some(Duration::from_secs(2)));
        assert_eq!(after(1000, 1), Some(Duration::from_millis(250)));
        assert_eq!(after(400, 1), Some(Duration::from_millis(250)), "at most four a second");
        assert_eq!(after(100, 1), Some(Duration::from_millis(100)), "never later than otherwise");
        assert_eq!(after(1000, 20), Some(Duration::from_millis(400)), "20 times the cost");
        assert_eq!(after(1000, 100), Some(Duration::from_secs(2)));
        let paused = ScanOptions { is_frozen: true, ..soon };
        assert_eq!(pace(Duration::from_secs(1), Duration::ZERO).after(&paused), None);
    }
}
