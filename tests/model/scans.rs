//! The engine's scanner and describer threads, on a host that counts its calls.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Condvar, Mutex,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        Family, Holder, LocalAddress, Machine, Process, ProcessTable, Protocol, Protocols,
        Snapshot, Socket, Text, Timer, owner::Span,
    },
    engine::{Engine, Outbox, Report, Request},
    host::{
        Describer, Host, HostBinder, HostError, OwnerDepth, Running, Scanner,
        simulated::SimulatedHost,
    },
};

const TIMEOUT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

/// A scan, as the host recorded it.
#[derive(Clone, Copy, Debug)]
struct RecordedScan {
    depth: OwnerDepth,
    at: Instant,
    /// Address of the buffer for the sockets.
    buffer: usize,
}

/// State that the test and the host share.
#[derive(Default)]
struct State {
    scans: Vec<RecordedScan>,
    described: Vec<Vec<u32>>,
    cost: Duration,
    pids: Vec<u32>,
    /// Start time of every process, which is also a part of its name.
    started: u64,
    /// Pid of a process that closed a socket that the kernel still keeps, and holds no other.
    departed: Option<u32>,
    panics: bool,
    is_stuck: bool,
}

/// A machine whose scans cost as much as the test sets.
#[derive(Clone)]
struct CountingHost {
    simulated: Arc<SimulatedHost>,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl CountingHost {
    fn new(state: State) -> Self {
        Self {
            simulated: Arc::new(SimulatedHost::builder().build()),
            state: Arc::new((Mutex::new(state), Condvar::new())),
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.0.lock().unwrap())
    }

    /// Waits until `count` scans were made.
    #[track_caller]
    fn wait_for_scans(&self, count: usize) -> Vec<RecordedScan> {
        let state = self.state.0.lock().unwrap();
        let too_few = |state: &mut State| state.scans.len() < count;
        let (state, timeout) = self.state.1.wait_timeout_while(state, TIMEOUT, too_few).unwrap();
        assert!(!timeout.timed_out(), "{} scans of {count}", state.scans.len());
        state.scans.clone()
    }
}

impl Host for CountingHost {
    fn machine(&self) -> Arc<Machine> {
        self.simulated.machine()
    }

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError> {
        Ok(Box::new(self.clone()))
    }

    fn describer(&self) -> Box<dyn Describer> {
        Box::new(self.clone())
    }

    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        self.simulated.binder(protocols, address)
    }

    fn running(&self, _: u32) -> Option<Running> {
        Some(Running { started: self.with(|state| state.started), is_kernel: false })
    }
}

impl Scanner for CountingHost {
    fn scan(&mut self, depth: OwnerDepth, snapshot: &mut Snapshot) -> Result<(), HostError> {
        let mut state = self.state.0.lock().unwrap();
        while state.is_stuck {
            state = self.state.1.wait(state).unwrap();
        }
        assert!(!state.panics, "the test asked for it");
        snapshot.clear();
        snapshot.sockets.reserve(100);
        snapshot.pids.extend(&state.pids);
        if let Some(pid) = state.departed {
            let span = Span { first: snapshot.pids.len() as u32, length: 1 };
            snapshot.pids.push(pid);
            snapshot.sockets.push(time_wait(span));
        }
        snapshot.number = state.scans.len() as u64 + 1;
        snapshot.cost = state.cost;
        let buffer = std::ptr::from_ref::<[Socket]>(&snapshot.sockets).addr();
        state.scans.push(RecordedScan { depth, at: Instant::now(), buffer });
        self.state.1.notify_all();
        Ok(())
    }
}

fn time_wait(departed: Span) -> Socket {
    Socket {
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        state: portscope::domain::State::TimeWait,
        timer: Timer::TimeWait,
        local: ([127, 0, 0, 1], 40_000).into(),
        remote: Some(([127, 0, 0, 1], 443).into()),
        interface: None,
        inode: None,
        uid: None,
        cookie: None,
        expires_ms: None,
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        holder: Holder::Departed(departed),
    }
}

impl Describer for CountingHost {
    fn describe(&mut self, pids: &[u32]) -> Vec<Process> {
        let started = self.with(|state| {
            state.described.push(pids.to_vec());
            state.started
        });
        let name = Text::scrub(format!("since {started}"));
        let describe = |&pid: &u32| Process {
            pid,
            name: name.clone(),
            command: Some(name.clone()),
            uid: None,
            started: None,
            unit: None,
            directory: None,
            parent: None,
        };
        pids.iter().map(describe).collect()
    }
}

struct Channel(SyncSender<Report>);

impl Outbox for Channel {
    fn offer(&self, report: Report) -> Result<(), Report> {
        match self.0.try_send(report) {
            Err(TrySendError::Full(report)) => Err(report),
            _ => Ok(()),
        }
    }

    fn deliver(&self, report: Report) -> bool {
        self.0.send(report).is_ok()
    }
}

fn start(host: &CountingHost, interval: Duration, room: usize) -> (Receiver<Report>, Engine) {
    let (sender, reports) = sync_channel(room);
    let outbox = || Box::new(Channel(sender.clone())) as Box<dyn Outbox>;
    (reports, Engine::start(Arc::new(host.clone()), interval, outbox).unwrap())
}

#[track_caller]
fn next_snapshot(reports: &Receiver<Report>) -> Arc<Snapshot> {
    loop {
        if let Report::Scanned(snapshot) = reports.recv_timeout(TIMEOUT).unwrap() {
            return snapshot;
        }
    }
}

#[track_caller]
fn next_table(reports: &Receiver<Report>, is_wanted: impl Fn(&ProcessTable) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        if let Ok(Report::Described(table)) = reports.recv_timeout(TIMEOUT)
            && is_wanted(&table)
        {
            return;
        }
    }
    panic!("no such table");
}

fn pids(table: &ProcessTable) -> Vec<u32> {
    table.iter().map(|process| process.pid).collect()
}

#[test]
fn the_first_scan_skips_owners_and_the_second_follows_at_once() {
    let host = CountingHost::new(State::default());
    let (_reports, _engine) = start(&host, Duration::from_hours(1), 8);
    let scans = host.wait_for_scans(2);
    assert_eq!(scans[0].depth, OwnerDepth::Skip);
    assert_eq!(scans[1].depth, OwnerDepth::Incremental);
}

#[test]
fn the_interval_stretches_to_twenty_times_the_cost_of_a_scan() {
    let host = CountingHost::new(State { cost: Duration::from_millis(20), ..State::default() });
    let (_reports, engine) = start(&host, SHORT, 8);
    host.wait_for_scans(2);
    // A request does not shorten the interval.
    engine.ask(Request::ScanNow);
    let scans = host.wait_for_scans(3);
    let pause = scans[2].at - scans[1].at;
    // The interval is measured from start to start, but `at` is recorded at the end of a scan.
    assert!(pause >= Duration::from_millis(390), "{pause:?}");
}

#[test]
fn scan_now_does_not_wait_for_the_interval() {
    let host = CountingHost::new(State::default());
    let (_reports, engine) = start(&host, Duration::from_hours(1), 8);
    host.wait_for_scans(2);
    engine.ask(Request::ScanNow);
    host.wait_for_scans(3);
}

#[test]
fn scan_now_requests_are_limited_to_4_per_second() {
    let host = CountingHost::new(State::default());
    let (_reports, engine) = start(&host, Duration::from_hours(1), 8);
    let started = host.wait_for_scans(2)[1].at;
    let asked_for = Duration::from_secs(1);
    while started.elapsed() < asked_for {
        engine.ask(Request::ScanNow);
        std::thread::yield_now();
    }
    let scans = host.with(|state| state.scans.len()) - 2;
    assert!((1..=4).contains(&scans), "{scans} scans in {asked_for:?}");
}

#[test]
fn a_paused_scanner_does_not_scan_and_scans_at_once_when_resumed() {
    let host = CountingHost::new(State::default());
    let (reports, engine) = start(&host, SHORT, 64);
    host.wait_for_scans(3);
    engine.ask(Request::Freeze(true));
    engine.ask(Request::ScanNow);
    // A scan may have been in progress.
    let is_quiet = || reports.recv_timeout(10 * SHORT).is_err();
    assert!((0..20).any(|_| is_quiet()), "it goes on scanning");
    let frozen = host.with(|state| state.scans.len());
    engine.ask(Request::Freeze(false));
    host.wait_for_scans(frozen + 1);
}

#[test]
fn the_newest_snapshot_replaces_undelivered_ones() {
    let host = CountingHost::new(State::default());
    let (reports, engine) = start(&host, SHORT, 1);
    host.wait_for_scans(6);
    engine.ask(Request::Freeze(true));
    let waiting = next_snapshot(&reports);
    assert_eq!(waiting.number, 1, "what waits cannot be taken back");
    // A scan may have been in progress; the last report is the newest.
    let mut last = next_snapshot(&reports).number;
    assert!(last >= 6, "the ones between are gone, not {last}");
    while let Ok(Report::Scanned(later)) = reports.recv_timeout(10 * SHORT) {
        last = later.number;
    }
    assert_eq!(last, host.with(|state| state.scans.len()) as u64);
}

#[test]
fn released_snapshots_are_reused() {
    let host = CountingHost::new(State::default());
    let (reports, _engine) = start(&host, SHORT, 1);
    let mut shown = next_snapshot(&reports);
    while shown.number < 12 {
        // As in the app, the old snapshot is dropped when the new one has arrived.
        shown = next_snapshot(&reports);
    }
    let buffers: BTreeSet<usize> =
        host.with(|state| state.scans.iter().map(|seen| seen.buffer).collect());
    assert!(buffers.len() <= 4, "{} buffers for 12 scans", buffers.len());
}

#[test]
fn a_snapshot_still_in_use_is_not_changed() {
    let host = CountingHost::new(State::default());
    let (reports, _engine) = start(&host, SHORT, 1);
    let kept: Vec<Arc<Snapshot>> = (0..8).map(|_| next_snapshot(&reports)).collect();
    let numbers: BTreeSet<u64> = kept.iter().map(|snapshot| snapshot.number).collect();
    assert_eq!(numbers.len(), 8);
}

#[test]
fn new_owners_are_described_once_and_others_are_dropped() {
    let host = CountingHost::new(State { pids: vec![7, 3, 7], ..State::default() });
    let (reports, _engine) = start(&host, SHORT, 1);
    next_table(&reports, |table| pids(table) == [3, 7]);
    host.with(|state| state.pids = vec![7, 9]);
    next_table(&reports, |table| pids(table) == [7, 9]);
    let mut asked = host.with(|state| state.described.concat());
    asked.sort_unstable();
    assert_eq!(asked, [3, 7, 9]);
}

#[test]
fn a_reused_pid_is_described_again_at_once() {
    let host = CountingHost::new(State { pids: vec![3, 7], ..State::default() });
    let (reports, _engine) = start(&host, SHORT, 1);
    let are_named = |name: &'static str| {
        move |table: &ProcessTable| {
            pids(table) == [3, 7] && table.iter().all(|process| process.name.as_str() == name)
        }
    };
    next_table(&reports, are_named("since 0"));
    // All owners are described again after 30 seconds, which is later than this test waits.
    host.with(|state| state.started = 1);
    next_table(&reports, are_named("since 1"));
    let asked = host.with(|state| state.described.concat());
    assert_eq!(asked, [3, 7, 3, 7]);
}

#[test]
fn a_departed_process_keeps_its_name_if_its_pid_is_reused() {
    let state = State { pids: vec![3], departed: Some(7), ..State::default() };
    let host = CountingHost::new(state);
    let (reports, _engine) = start(&host, SHORT, 1);
    next_table(&reports, |table| pids(table) == [3, 7]);
    host.with(|state| state.started = 1);
    let name = |table: &ProcessTable, pid| table.get(pid).map(|process| process.name.to_string());
    next_table(&reports, |table| {
        assert_eq!(name(table, 7).as_deref(), Some("since 0"));
        name(table, 3).as_deref() == Some("since 1")
    });
    // It holds a socket again, so it is now the new process with this pid.
    host.with(|state| (state.pids, state.departed) = (vec![3, 7], None));
    next_table(&reports, |table| name(table, 7).as_deref() == Some("since 1"));
}

#[test]
fn thousands_of_owners_are_described_in_batches() {
    let host = CountingHost::new(State { pids: (1..=2_000).collect(), ..State::default() });
    let (reports, _engine) = start(&host, SHORT, 1);
    next_table(&reports, |table| table.iter().count() == 2_000);
    let largest = host.with(|state| state.described.iter().map(Vec::len).max());
    assert!(largest < Some(100), "{largest:?}");
}

#[test]
fn a_panic_in_the_scanner_is_reported() {
    let host = CountingHost::new(State { panics: true, ..State::default() });
    let (reports, _engine) = start(&host, SHORT, 1);
    let report = reports.recv_timeout(TIMEOUT).unwrap();
    assert!(matches!(report, Report::WorkerDied(words) if words.as_str().contains("scanner")));
}

#[test]
fn stopping_does_not_wait_for_a_stuck_scan() {
    let host = CountingHost::new(State { is_stuck: true, ..State::default() });
    let (reports, engine) = start(&host, SHORT, 1);
    let started = Instant::now();
    drop(engine);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    host.with(|state| state.is_stuck = false);
    host.state.1.notify_all();
    // The abandoned thread ends, and its outbox is dropped.
    while reports.recv_timeout(TIMEOUT).is_ok() {}
}

#[test]
fn stopping_an_idle_engine_takes_no_time() {
    // The quickest of some: on a busy machine, a thread may not run for a while.
    let stops = (0..5).map(|_| {
        let host = CountingHost::new(State::default());
        let (_reports, engine) = start(&host, Duration::from_hours(1), 8);
        host.wait_for_scans(2);
        let started = Instant::now();
        drop(engine);
        started.elapsed()
    });
    let quickest = stops.min().unwrap();
    assert!(quickest < Duration::from_millis(250), "{quickest:?}");
}

#[test]
fn a_paused_scanner_answers_a_request_with_one_scan() {
    let host = CountingHost::new(State::default());
    let (reports, engine) = start(&host, SHORT, 64);
    host.wait_for_scans(3);
    engine.ask(Request::Freeze(true));
    // A scan may have been in progress.
    let is_quiet = || reports.recv_timeout(10 * SHORT).is_err();
    assert!((0..20).any(|_| is_quiet()), "it goes on scanning");
    let before = host.with(|state| state.scans.len());
    engine.ask(Request::ScanNow);
    host.wait_for_scans(before + 1);
    assert!((0..20).any(|_| is_quiet()), "it goes on scanning");
    assert_eq!(host.with(|state| state.scans.len()), before + 1);
}
