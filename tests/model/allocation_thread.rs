//! The allocation thread from the outside: requests in, reports out, on simulated machines.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use portscope::{
    allocator::ALLOCATORS,
    domain::{
        Binder, Errno, Gap, LocalAddress, Machine, PortRange, Protocol, Protocols, Refusal, State,
    },
    engine::{
        AllocationRequest as Ask, AllocatorTarget, Report, Setup, Speed,
        allocation::{AllocationThread, spawn},
        message::AllocationDelta,
    },
    host::{
        Describer, Held, Host, HostBinder, HostError, Scanner,
        simulated::{OWN_PID, SimulatedHost},
    },
};

use crate::mailbox::mailbox;

const SOON: Duration = Duration::from_secs(10);

struct Session {
    thread: AllocationThread,
    reports: mpsc::Receiver<Report>,
}

impl Session {
    fn on(host: impl Host + 'static) -> Self {
        let (outbox, reports) = mailbox(1);
        let thread = spawn(Arc::new(host), outbox).unwrap();
        Self { thread, reports }
    }

    fn ask(&self, request: Ask) -> AllocationDelta {
        assert!(self.thread.send(request));
        self.next()
    }

    fn next(&self) -> AllocationDelta {
        match self.reports.recv_timeout(SOON).unwrap() {
            Report::Allocation(delta) => *delta,
            other => panic!("{other:?}"),
        }
    }

    /// Receives deltas until `enough` is true for one, and returns it.
    fn until(&self, mut enough: impl FnMut(&AllocationDelta) -> bool) -> AllocationDelta {
        loop {
            let delta = self.next();
            if enough(&delta) {
                return delta;
            }
        }
    }
}

fn range() -> PortRange {
    PortRange::new(50_000, 50_099).unwrap()
}

fn setup() -> Setup {
    Setup {
        strategy: 0,
        target: AllocatorTarget::Machine,
        protocols: Protocols::Both,
        range: range(),
        max_attempts: 100,
        seed: 3,
        address: None,
        reserved: Vec::new(),
        hold_limit: 10,
        stop_after: None,
    }
}

fn empty_host() -> SimulatedHost {
    SimulatedHost::builder().build()
}

#[test]
fn a_run_starts_paused_and_a_step_makes_one_attempt() {
    let session = Session::on(empty_host());
    let first = session.ask(Ask::Prepare(setup()));
    assert_eq!(first, AllocationDelta { run: 1, ..AllocationDelta::default() });
    let stepped = session.ask(Ask::Step);
    assert_eq!(
        (stepped.stats.attempts, stepped.stats.successes, stepped.is_running),
        (1, 1, false)
    );
    assert_eq!(stepped.recent.len(), 1);
    assert_eq!(session.ask(Ask::Pause).stats.attempts, 0);
    assert_eq!(session.ask(Ask::Prepare(setup())).run, 2);
}

fn bitmap() -> Setup {
    let strategy = ALLOCATORS.iter().position(|row| row.name == "bitmap").unwrap();
    Setup { strategy, ..setup() }
}

#[test]
fn unlisted_sockets_limit_a_strategy_that_reads_which_ports_are_free() {
    let gap = Gap::BoundInactiveUnlisted { assumed: false };
    let session = Session::on(SimulatedHost::builder().gap(gap).build());
    let limitation = session.ask(Ask::Prepare(bitmap())).limitation;
    assert_eq!(limitation, Some("ports of unlisted sockets count as free"));
    assert_eq!(session.ask(Ask::Prepare(setup())).limitation, None, "random reads no snapshot");
    let session = Session::on(empty_host());
    assert_eq!(session.ask(Ask::Prepare(bitmap())).limitation, None);
}

#[test]
fn a_run_at_full_speed_without_a_port_to_try_waits_for_the_next_snapshot() {
    let session = Session::on(empty_host());
    session.ask(Ask::Prepare(Setup { hold_limit: 200, ..bitmap() }));
    session.ask(Ask::Hold(true));
    session.ask(Ask::Speed(Speed::Max));
    session.thread.send(Ask::Run);
    session.until(|delta| delta.stats.failures > 0);
    let began = Instant::now();
    let mut snapshots = 0;
    session.until(|delta| {
        snapshots += delta.stats.snapshots.0;
        delta.stats.failures > 0
    });
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(snapshots <= 2, "{snapshots}");
    // A released port ends the wait.
    let released = Instant::now();
    session.thread.send(Ask::Release(50_007));
    session.until(|delta| delta.stats.successes > 0);
    assert!(released.elapsed() < Duration::from_millis(900), "{:?}", released.elapsed());
}

#[test]
fn ports_are_held_only_on_request_and_released_on_request() {
    let host = empty_host();
    let session = Session::on(host.clone());
    session.ask(Ask::Prepare(setup()));
    session.ask(Ask::Step);
    assert_eq!(host.held(), []);

    session.ask(Ask::Hold(true));
    let held = session.ask(Ask::Step).held;
    assert_eq!(held.len(), 1);
    assert_eq!(host.held(), [(Protocol::Tcp, held[0]), (Protocol::Udp, held[0])]);
    let snapshot = host.snapshot();
    let socket = snapshot.on_port(Protocol::Udp, held[0])[0];
    assert_eq!(snapshot.owner(&socket).pids(), [OWN_PID]);

    assert!(session.ask(Ask::ReleaseAll).held.is_empty());
    assert_eq!(host.held(), []);
    session.ask(Ask::Step);
    session.ask(Ask::Prepare(setup()));
    assert_eq!(host.held(), [], "held by the run before");
    session.ask(Ask::Step);
    assert_eq!(host.held().len(), 2);
    drop(session);
    assert_eq!(host.held(), [], "held by a thread that has ended");
}

#[test]
fn the_hold_limit_is_enforced_and_reported() {
    let host = empty_host();
    let session = Session::on(host.clone());
    session.ask(Ask::Prepare(Setup { stop_after: Some(40), ..setup() }));
    session.ask(Ask::Hold(true));
    session.ask(Ask::Speed(Speed::Max));
    assert!(session.thread.send(Ask::Run));
    let last = session.until(|delta| !delta.is_running);
    assert_eq!((last.held.len(), host.held().len()), (10, 20));
    assert!(last.hold_note.unwrap().starts_with("hold limit reached"));
    assert_eq!(last.finished.unwrap().number, 40);
    assert_eq!(session.ask(Ask::ReleaseAll).hold_note, None);
}

#[test]
fn a_slow_run_reports_each_attempt_and_is_never_faster_than_its_speed() {
    let begin = Instant::now();
    let session = Session::on(SimulatedHost::builder().refusing(range(), Errno::EMFILE).build());
    session.ask(Ask::Prepare(setup()));
    session.ask(Ask::Speed(Speed::Twenty));
    assert!(session.thread.send(Ask::Run));
    let deltas: Vec<AllocationDelta> = (0..6).map(|_| session.next()).collect();
    assert!(begin.elapsed() >= Duration::from_millis(250), "{:?}", begin.elapsed());
    assert!(deltas.iter().all(|delta| delta.is_running && delta.stats.collisions == 0));
    let attempts: Vec<u32> = deltas.iter().flat_map(|d| &d.recent).map(|a| a.number).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5, 6]);
    assert!(deltas.iter().all(|delta| delta.stats.attempts == 1));

    session.thread.send(Ask::Speed(Speed::Step));
    session.until(|delta| !delta.is_running);
    assert!(!session.ask(Ask::Run).is_running, "at speed `step` only a step goes on");
}

#[test]
fn speed_1000_makes_at_most_1000_attempts_per_second() {
    let session = Session::on(empty_host());
    session.ask(Ask::Prepare(Setup { stop_after: Some(300), ..setup() }));
    session.ask(Ask::Speed(Speed::Thousand));
    let begin = Instant::now();
    assert!(session.thread.send(Ask::Run));
    session.until(|delta| !delta.is_running);
    assert!(begin.elapsed() >= Duration::from_millis(199), "{:?}", begin.elapsed());
}

#[test]
fn a_run_that_cannot_start_reports_the_reason() {
    let failure = |host: Box<dyn Host>, setup| {
        let session = Session::on(Given(host));
        assert!(session.thread.send(Ask::Prepare(setup)));
        match session.reports.recv_timeout(SOON).unwrap() {
            Report::AllocationFailed(words) => words.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    let reserved = Setup { reserved: vec![range()], ..setup() };
    assert_eq!(failure(Box::new(empty_host()), reserved), "all ports of 50000-50099 are reserved");
    let refused = failure(Box::new(Broken(Fault::NoBinder)), setup());
    assert_eq!(
        refused,
        "could not make a udp socket: Too many open files (EMFILE): raise the limit of open files (ulimit -n; for ENFILE: sysctl fs.file-max)"
    );
}

#[test]
fn the_simulated_snapshot_is_reported_before_the_first_collision() {
    let host = empty_host();
    let session = Session::on(host.clone());
    let simulated = |share| Setup { target: AllocatorTarget::Simulated { share }, ..setup() };
    let population = || match session.reports.recv_timeout(SOON).unwrap() {
        Report::Simulated(snapshot) => snapshot,
        other => panic!("{other:?}"),
    };
    assert!(session.thread.send(Ask::Prepare(simulated(0.25))));
    let first = population();
    assert_eq!((first.number, first.sockets.len()), (1, 50), "25 ports of TCP and UDP");
    assert_eq!(session.next(), AllocationDelta { run: 1, ..AllocationDelta::default() });
    assert_eq!(session.ask(Ask::Step).stats.attempts, 1);

    assert!(session.thread.send(Ask::Fill(1.0)));
    assert_eq!(session.next().stats.attempts, 0, "what was met before");
    assert_eq!(population().sockets.len(), 200);
    assert_eq!(session.ask(Ask::Step).stats.collisions, 1);

    assert!(session.thread.send(Ask::Prepare(setup())));
    assert_eq!(session.next().run, 2);
    assert!(session.thread.send(Ask::Fill(1.0)));
    assert_eq!(session.ask(Ask::Step).stats.successes, 1, "the machine is not filled");
    assert_eq!(host.snapshot().sockets, []);
}

#[test]
fn a_panic_in_the_thread_is_reported() {
    let session = Session::on(Broken(Fault::PanickingBinder));
    session.ask(Ask::Prepare(setup()));
    session.thread.send(Ask::Step);
    assert!(matches!(session.reports.recv_timeout(SOON).unwrap(), Report::WorkerDied(_)));
}

#[test]
fn dropping_the_handle_ends_the_thread_although_reports_are_not_received() {
    let host = SimulatedHost::builder().fill(range(), 0.5, State::Bound, 1).build();
    let session = Session::on(host);
    session.thread.send(Ask::Prepare(setup()));
    session.thread.send(Ask::Speed(Speed::Max));
    session.thread.send(Ask::Run);
    session.thread.send(Ask::Pause);
    let begin = Instant::now();
    let Session { thread, reports } = session;
    drop(thread);
    assert!(begin.elapsed() < Duration::from_secs(2));
    drop(reports);
}

/// A host made of a boxed one.
struct Given(Box<dyn Host>);

impl Host for Given {
    fn machine(&self) -> Arc<Machine> {
        self.0.machine()
    }

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError> {
        self.0.scanner()
    }

    fn describer(&self) -> Box<dyn Describer> {
        self.0.describer()
    }

    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        self.0.binder(protocols, address)
    }
}

enum Fault {
    NoBinder,
    PanickingBinder,
}

struct Broken(Fault);

impl Host for Broken {
    fn machine(&self) -> Arc<Machine> {
        empty_host().machine()
    }

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError> {
        empty_host().scanner()
    }

    fn describer(&self) -> Box<dyn Describer> {
        empty_host().describer()
    }

    fn binder(
        &self,
        _protocols: Protocols,
        _address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        match self.0 {
            Fault::NoBinder => Err(HostError::new(
                "make a udp socket",
                std::io::Error::from_raw_os_error(Errno::EMFILE.0),
            )),
            Fault::PanickingBinder => Ok(Box::new(PanickingBinder)),
        }
    }
}

struct PanickingBinder;

impl Binder for PanickingBinder {
    type Held = Box<dyn Held>;

    fn bind(&mut self, _port: u16) -> (Result<Self::Held, Refusal>, Duration) {
        panic!("as the test wants it")
    }
}

impl HostBinder for PanickingBinder {
    fn choose_within(&mut self, _: PortRange) -> Result<(), HostError> {
        Ok(())
    }
}
