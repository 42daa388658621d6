//! The thread of the pool from the outside: requests in, reports out; on real sockets and in
//! memory.

use std::{
    net::UdpSocket,
    process::{Child, Command},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use portscope::{
    allocator::{Bands, Priority, Quarantine},
    domain::{Binder, PortRange, Protocols},
    engine::{
        AllocatorTarget, PoolPlan, PoolReport, PoolRequest as Ask, Report,
        pool::{PoolThread, spawn},
    },
    host::{
        Held, Host,
        linux::{LinuxHost, binder::RealBinder},
        simulated::{OWN_PID, SimulatedHost},
    },
};

use crate::{mailbox::mailbox, namespace::in_new_namespace, processes};

const SOON: Duration = Duration::from_secs(10);

struct Session {
    thread: PoolThread,
    reports: mpsc::Receiver<Report>,
}

impl Session {
    fn on(host: impl Host + 'static, plan: PoolPlan) -> (Self, Arc<PoolReport>) {
        let (outbox, reports) = mailbox(1);
        let thread = spawn(Arc::new(host), outbox).unwrap();
        let session = Self { thread, reports };
        let first = session.ask(Ask::Open(plan));
        (session, first)
    }

    fn real(plan: PoolPlan) -> Self {
        Self::on(LinuxHost::new(), plan).0
    }

    fn ask(&self, request: Ask) -> Arc<PoolReport> {
        self.thread.send(request);
        self.next()
    }

    fn take(&self, class: Priority, count: u32) -> Arc<PoolReport> {
        self.ask(Ask::Take { class, count })
    }

    fn next(&self) -> Arc<PoolReport> {
        match self.reports.recv_timeout(SOON).unwrap() {
            Report::Pool(report) => report,
            other => panic!("{other:?}"),
        }
    }

    fn until(&self, is_enough: impl Fn(&PoolReport) -> bool) -> Arc<PoolReport> {
        loop {
            let report = self.next();
            if is_enough(&report) {
                return report;
            }
        }
    }
}

fn on_a_fresh_machine(body: impl FnOnce() + Send) {
    let _alone = processes::alone();
    in_new_namespace(body);
}

const FIRST: u16 = 50_000;

fn plan(ports: u16) -> PoolPlan {
    PoolPlan {
        target: AllocatorTarget::Machine,
        protocols: Protocols::Udp,
        range: PortRange::new(FIRST, FIRST + ports - 1).unwrap(),
        reserved: Vec::new(),
        address: None,
        bands: Bands::default(),
        quarantine: Quarantine::Time(Duration::from_millis(300)),
        failure_rate: 1e-6,
        max_attempts: 10_000,
        hold_share: 1.0,
        seed: 5,
        holder: None,
    }
}

fn bind(port: u16) -> Result<Box<dyn Held>, portscope::domain::Refusal> {
    RealBinder::new(Protocols::Both, None).unwrap().bind(port).0
}

/// Returns the number of ports of the plan that can be bound now.
fn free(plan: &PoolPlan) -> usize {
    plan.range.ports().filter(|&port| bind(port).is_ok()).count()
}

fn ports(report: &PoolReport) -> Vec<u16> {
    report.leases.iter().map(|lease| lease.port).collect()
}

fn failure(report: &PoolReport) -> &str {
    report.failure.as_ref().map_or("", |words| words.as_str())
}

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").spawn().unwrap()
}

/// Returns the number of free ports of each band.
fn free_by_band(report: &PoolReport) -> [u32; 3] {
    report.bands.map(|band| band.free())
}

#[test]
fn leases_keep_their_ports_bound_and_dropping_the_thread_frees_all() {
    on_a_fresh_machine(|| {
        let plan = plan(64);
        let session = Session::real(plan.clone());
        let report = session.take(Priority::Normal, 10);
        assert_eq!(
            (report.number, report.leases.len(), free_by_band(&report)),
            (1, 10, [54, 0, 0])
        );
        assert_eq!((report.attempts.len(), failure(&report)), (10, ""));
        assert!(report.leases.iter().all(|lease| lease.holder.pid == std::process::id()));
        assert!(ports(&report).into_iter().all(|port| bind(port).is_err()));
        assert_eq!(free(&plan), 54);
        drop(session);
        assert_eq!(free(&plan), 64);
    });
}

#[test]
fn a_released_port_is_quarantined_before_it_is_leased_again() {
    on_a_fresh_machine(|| {
        let session = Session::real(plan(1));
        let port = ports(&session.take(Priority::Low, 1))[0];
        let released = session.ask(Ask::Release(port));
        assert_eq!((released.leases.len(), released.quarantined[0].port), (0, port));
        let refused = session.take(Priority::Low, 1);
        assert_eq!(
            failure(&refused),
            "no port left for class low: 0 leased, 1 in quarantine, 0 in use by others"
        );
        let over = session.until(|report| report.quarantined.is_empty());
        assert!(over.now >= released.quarantined[0].until);
        assert_eq!(ports(&session.take(Priority::Low, 1)), [port]);
    });
}

#[test]
fn a_datagram_extends_the_quarantine_of_a_draining_port() {
    on_a_fresh_machine(|| {
        let quarantine = Quarantine::Drain(Duration::from_millis(400));
        let session = Session::real(PoolPlan { quarantine, ..plan(1) });
        session.take(Priority::Low, 1);
        let released = session.ask(Ask::Release(FIRST));
        assert!(released.quarantined[0].is_held && bind(FIRST).is_err());
        let stray = UdpSocket::bind("127.0.0.1:0").unwrap();
        stray.send_to(b"late", ("127.0.0.1", FIRST)).unwrap();
        let received = session.until(|report| report.counts.late_datagrams == 1);
        assert!(received.quarantined[0].until > released.quarantined[0].until);
        let over = session.until(|report| report.quarantined.is_empty());
        assert!(over.now >= received.quarantined[0].until);
        assert!(bind(FIRST).is_ok());
    });
}

#[test]
fn the_leases_of_a_killed_process_are_reclaimed_within_two_seconds() {
    on_a_fresh_machine(|| {
        let mut holder = sleeper();
        let plan = PoolPlan { holder: Some(holder.id()), ..plan(16) };
        let session = Session::real(plan);
        let leased = session.take(Priority::High, 4);
        assert!(leased.leases.iter().all(|lease| lease.holder.pid == holder.id()));
        holder.kill().unwrap();
        let killed = Instant::now();
        // It is a zombie until this process waits for it, and holds no sockets.
        let report = session.until(|report| report.leases.is_empty());
        assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
        assert_eq!((report.counts.reclaimed, report.counts.released), (4, 4));
        let refused = session.take(Priority::High, 1);
        assert_eq!(failure(&refused), format!("process {} has ended", holder.id()));
        holder.wait().unwrap();

        let ours = session.ask(Ask::LeaseHolder(None));
        assert_eq!(ours.leases.len(), 0);
        assert_eq!(session.take(Priority::High, 1).leases.len(), 1);
    });
}

#[test]
fn reclaim_requests_are_handled_at_once() {
    on_a_fresh_machine(|| {
        let mut holder = sleeper();
        let session = Session::real(PoolPlan { holder: Some(holder.id()), ..plan(16) });
        session.take(Priority::Low, 3);
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!(session.ask(Ask::Reclaim).counts.reclaimed, 3);
    });
}

#[test]
fn a_nonexistent_lease_holder_is_refused_and_named() {
    on_a_fresh_machine(|| {
        let holder = Some(u32::MAX);
        let (session, first) = Session::on(LinuxHost::new(), PoolPlan { holder, ..plan(16) });
        let words = "process 4294967295 does not exist: it cannot hold leases";
        assert_eq!(failure(&first), words);
        let refused = session.take(Priority::Low, 1);
        assert_eq!((refused.leases.len(), failure(&refused)), (0, words));
        assert_eq!(failure(&session.ask(Ask::LeaseHolder(None))), "");
    });
}

#[test]
fn low_leases_leave_the_reserved_bands() {
    on_a_fresh_machine(|| {
        let session = Session::real(PoolPlan { bands: Bands { high: 8, normal: 4 }, ..plan(32) });
        assert_eq!(free_by_band(&session.take(Priority::Low, u32::MAX)), [0, 4, 8]);
        assert_eq!(free_by_band(&session.take(Priority::Normal, u32::MAX)), [0, 0, 8]);
        let all = session.take(Priority::High, u32::MAX);
        assert_eq!((free_by_band(&all), all.leases.len()), ([0, 0, 0], 32));
        assert!(failure(&all).starts_with("8 leased, then: no port left for class high"));
    });
}

#[test]
fn held_ports_stay_within_the_plan() {
    on_a_fresh_machine(|| {
        let _others: Vec<_> = (FIRST..FIRST + 50).map(|port| bind(port).unwrap()).collect();
        let (session, first) =
            Session::on(LinuxHost::new(), PoolPlan { hold_share: 0.1, ..plan(100) });
        assert_eq!(first.hold_limit, 5, "a tenth of what others leave");
        let report = session.take(Priority::Low, 10);
        assert_eq!(report.leases.len(), 5);
        let words = "5 of 10 leased: hold limit reached: 5 ports held";
        assert_eq!(failure(&report), words);
    });
}

#[test]
fn the_initial_occupancy_is_known_before_the_first_search() {
    on_a_fresh_machine(|| {
        let plan = plan(100);
        let _others: Vec<_> = plan.range.ports().skip(10).map(|p| bind(p).unwrap()).collect();
        let (session, first) = Session::on(LinuxHost::new(), plan);
        assert!((first.occupied - 0.9).abs() < 1e-9, "{}", first.occupied);
        assert!(first.attempts_allowed > 50, "{}", first.attempts_allowed);
        let all = session.take(Priority::Low, 10);
        assert_eq!((all.leases.len(), failure(&all)), (10, ""));
        assert!(all.attempts.len() <= 64);
    });
}

#[test]
fn a_new_pool_starts_empty_and_a_closed_pool_holds_nothing() {
    on_a_fresh_machine(|| {
        let plan = PoolPlan { hold_share: 0.5, ..plan(16) };
        let session = Session::real(plan.clone());
        session.take(Priority::Low, 16);
        let second = session.ask(Ask::Open(plan.clone()));
        assert_eq!((second.number, second.leases.len(), free(&plan)), (2, 0, 16));
        assert!(second.occupied.abs() < 1e-9, "what the pool before held is no one's");
        assert_eq!(second.hold_limit, 8);
        session.take(Priority::Low, 16);
        session.thread.send(Ask::Close);
        let third = session.ask(Ask::Open(plan.clone()));
        assert_eq!((third.number, free(&plan)), (3, 16));
    });
}

#[test]
fn bands_larger_than_the_range_are_refused_with_a_reason() {
    let (outbox, reports) = mailbox(1);
    let host = SimulatedHost::builder().build();
    let thread = spawn(Arc::new(host), outbox).unwrap();
    thread.send(Ask::Open(PoolPlan { bands: Bands { high: 9, normal: 9 }, ..plan(16) }));
    match reports.recv_timeout(SOON).unwrap() {
        Report::PoolFailed(words) => {
            assert_eq!(words.as_str(), "bands of 18 ports are too large: expected at most 16");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_simulated_pool_binds_nothing_on_the_machine() {
    let host = SimulatedHost::builder().build();
    let target = AllocatorTarget::Simulated { share: 0.5 };
    let (session, first) = Session::on(host.clone(), PoolPlan { target, ..plan(1000) });
    assert!((first.occupied - 0.5).abs() < 1e-9);
    let all = session.take(Priority::Normal, u32::MAX);
    assert_eq!(all.leases.len(), 500);
    assert!(all.leases.iter().all(|lease| lease.holder.pid == OWN_PID));
    assert_eq!(host.held(), []);
}

#[test]
fn a_report_without_room_is_replaced_by_the_newest() {
    let (session, _) = Session::on(SimulatedHost::builder().build(), plan(64));
    for _ in 0..20 {
        session.thread.send(Ask::Take { class: Priority::Low, count: 1 });
    }
    session.until(|report| report.leases.len() == 20);
}
