//! The pool on real sockets, in private network namespaces. Time is simulated, except for
//! LeasePool.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use portscope::{
    Allocator, LeasePool, LeasePoolBuilder, PoolError,
    allocator::{Bands, Candidates, LeaseHolder, Pool, PoolSetup, Priority, Quarantine, Shortage},
    domain::{Binder as _, PortRange, Protocols},
    host::linux::binder::RealBinder,
};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{namespace, processes};

const FIRST: u16 = 50_000;
const REST: Duration = Duration::from_secs(10);
const HOLDER: LeaseHolder = LeaseHolder { pid: 1, started: 1 };
/// Timeout for what the kernel does asynchronously.
const TIMEOUT: Duration = Duration::from_secs(20);

type RealPool = Pool<RealBinder, ChaCha8Rng>;

/// Runs one test at a time: between fork and exec a process has copies of all sockets.
fn in_new_namespace(work: impl FnOnce() + Send) {
    let _alone = processes::alone();
    namespace::in_new_namespace(work);
}

fn range(ports: u16) -> PortRange {
    PortRange::new(FIRST, FIRST + (ports - 1)).unwrap()
}

fn pool(ports: u16, protocols: Protocols, quarantine: Quarantine) -> RealPool {
    let binder = RealBinder::new(protocols, None).unwrap();
    let setup = PoolSetup {
        candidates: Candidates::new(range(ports), &[]),
        bands: Bands::default(),
        quarantine,
        failure_rate: 1e-6,
        max_attempts: u32::MAX,
        max_held: u32::MAX,
    };
    Pool::new(setup, binder, ChaCha8Rng::seed_from_u64(1)).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn take(pool: &mut RealPool, now: Duration) -> Result<u16, Shortage> {
    pool.take(now, Priority::Low, HOLDER, |_| ()).map(|lease| lease.port)
}

/// Whether the port is in use, on either protocol.
fn is_bound(port: u16) -> bool {
    RealBinder::new(Protocols::Both, None).unwrap().bind(port).0.is_err()
}

#[track_caller]
fn wait_until(what: &str, mut is_met: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_met() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_drained_port_stays_bound_until_no_late_datagram_arrives() {
    in_new_namespace(|| {
        for (sender, target) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
            let mut pool = pool(1, Protocols::Both, Quarantine::Drain(REST));
            let sender = UdpSocket::bind(sender).unwrap();
            let port = take(&mut pool, at(0)).unwrap();
            pool.release(at(0), port);
            for (number, now) in [(1, 9), (2, 18), (3, 27)] {
                sender.send_to(b"late", (target, port)).unwrap();
                wait_until("the late datagram is heard", || {
                    pool.update_quarantines(at(now), usize::MAX);
                    pool.counts().late_datagrams == number
                });
                assert!(is_bound(port));
                assert!(matches!(take(&mut pool, at(now)), Err(Shortage::NoneLeft { .. })));
                assert_eq!(pool.quarantined().next().unwrap().until, at(now + 10));
            }
            pool.update_quarantines(Duration::from_millis(36_999), usize::MAX);
            assert!(is_bound(port));
            pool.update_quarantines(at(37), usize::MAX);
            assert!(!is_bound(port));
            assert_eq!(take(&mut pool, at(37)), Ok(port));
        }
    });
}

#[test]
fn quarantine_by_time_closes_the_port_and_does_not_lease_it() {
    in_new_namespace(|| {
        let mut pool = pool(2, Protocols::Both, Quarantine::Time(REST));
        let port = take(&mut pool, at(0)).unwrap();
        pool.release(at(0), port);
        assert!(!is_bound(port));
        let other = take(&mut pool, at(9)).unwrap();
        assert_ne!(other, port);
        pool.update_quarantines(at(9), usize::MAX);
        assert!(matches!(take(&mut pool, at(9)), Err(Shortage::NoneLeft { quarantined: 1, .. })));
        pool.update_quarantines(at(10), usize::MAX);
        assert_eq!(take(&mut pool, at(10)), Ok(port));
    });
}

#[test]
fn a_booked_port_is_drained_once_it_is_closed() {
    in_new_namespace(|| {
        let mut pool = pool(1, Protocols::Both, Quarantine::Drain(REST));
        let port = pool.book(at(0), Priority::Low, HOLDER, |_| ()).unwrap().port;
        assert!(!is_bound(port));
        pool.release(at(0), port);
        assert!(is_bound(port), "the pool bound it");
        pool.update_quarantines(at(10), usize::MAX);

        let port = pool.book(at(10), Priority::Low, HOLDER, |_| ()).unwrap().port;
        let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
        pool.release(at(10), port);
        assert!(!pool.quarantined().next().unwrap().is_held, "its tenant has it yet");
        drop(socket);
        pool.update_quarantines(at(20), usize::MAX);
        let entry = *pool.quarantined().next().unwrap();
        assert_eq!((entry.is_held, entry.until), (true, at(30)));
        pool.update_quarantines(at(30), usize::MAX);
        assert!(!is_bound(port));
    });
}

#[test]
fn a_booked_lease_is_reclaimed_after_its_last_user_has_ended() {
    in_new_namespace(|| {
        let mut pool = pool(1, Protocols::Tcp, Quarantine::Time(REST));
        let port = pool.book(at(0), Priority::Low, HOLDER, |_| ()).unwrap().port;
        let holder = TcpListener::bind(("::", port)).unwrap();
        let child = holder.try_clone().unwrap();
        drop(holder);
        assert_eq!(pool.reclaim(at(1), |_| false), [0_u16; 0]);
        drop(child);
        assert_eq!(pool.reclaim(at(2), |_| false), [port]);
    });
}

#[test]
fn a_quarantined_port_accepts_no_connections() {
    in_new_namespace(|| {
        let pool = LeasePool::over(range(1)).quarantine(Quarantine::Drain(REST)).build().unwrap();
        let lease = pool.take(Priority::Low).unwrap();
        let port = lease.port();
        let _listener = lease.tcp_listener(8).unwrap();
        let mut waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (connected_peer, other_sender) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let target = lease.udp_socket().unwrap();
        connected_peer.send_to(b"in time", ("127.0.0.1", port)).unwrap();
        target.recv(&mut [0; 8]).unwrap();
        connected_peer.send_to(b"unread", ("127.0.0.1", port)).unwrap();

        drop(lease);
        let reset = waiting.read(&mut [0]).unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        let refused = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(is_bound(port));
        assert_eq!(pool.counts().late_datagrams, 0, "what came during the lease is no stray");
        other_sender.send_to(b"late", ("127.0.0.1", port)).unwrap();
        wait_until("the late datagram is heard", || {
            pool.run_pass();
            pool.counts().late_datagrams == 1
        });
        assert!(matches!(pool.take(Priority::Low), Err(Shortage::NoneLeft { quarantined: 1, .. })));
    });
}

#[test]
fn a_connected_socket_receives_late_datagrams_of_all_senders_in_quarantine() {
    in_new_namespace(|| {
        let address = "127.0.0.1".parse().unwrap();
        let builder = LeasePool::over(range(1)).protocols(Protocols::Udp).address(address);
        let pool = builder.quarantine(Quarantine::Drain(REST)).build().unwrap();
        let lease = pool.take(Priority::Low).unwrap();
        let port = lease.port();
        let (peer, other_sender) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        lease.udp_socket().unwrap().connect(peer.local_addr().unwrap()).unwrap();
        drop(lease);
        other_sender.send_to(b"late", ("127.0.0.1", port)).unwrap();
        wait_until("the late datagram is heard", || {
            pool.run_pass();
            pool.counts().late_datagrams == 1
        });
        assert!(UdpSocket::bind(("127.0.0.1", port)).is_err(), "it is bound yet");
    });
}

#[test]
fn leased_sockets_work_and_dropping_the_lease_starts_the_quarantine() {
    in_new_namespace(|| {
        let pool = brief(3).build().unwrap();
        let lease = pool.take(Priority::High).unwrap();
        let (listener, socket) = (lease.tcp_listener(8).unwrap(), lease.udp_socket().unwrap());
        assert_eq!(listener.local_addr().unwrap().port(), lease.port());
        assert_eq!(lease.descriptors().unwrap().len(), 2);
        let mut client = TcpStream::connect(("127.0.0.1", lease.port())).unwrap();
        client.write_all(b"!").unwrap();
        let mut got = [0];
        listener.accept().unwrap().0.read_exact(&mut got).unwrap();
        assert_eq!(got, *b"!");

        let port = lease.port();
        drop(lease);
        assert_eq!((pool.leased(), pool.quarantined()), (0, 1));
        assert!(is_bound(port), "copies outlive the lease");
        drop((listener, socket, client));
        wait_until("the rest ends", || {
            pool.run_pass();
            pool.quarantined() == 0
        });
        assert_eq!(pool.left_for(Priority::Low), 3);
    });
}

fn brief(ports: u16) -> LeasePoolBuilder {
    LeasePool::over(range(ports)).quarantine(Quarantine::Time(Duration::from_millis(1)))
}

#[test]
fn threads_that_share_a_pool_get_distinct_ports() {
    in_new_namespace(|| {
        let pool = brief(16).quarantine(Quarantine::Time(Duration::ZERO)).build().unwrap();
        let work = |pool: LeasePool| {
            for _ in 0..300 {
                let lease = pool.take(Priority::Low).unwrap();
                let socket = lease.udp_socket().unwrap();
                assert_eq!(socket.local_addr().unwrap().port(), lease.port());
            }
        };
        // Threads started by this one are in its namespace.
        thread::scope(|scope| {
            for _ in 0..8 {
                let pool = pool.clone();
                scope.spawn(move || work(pool));
            }
        });
        assert_eq!(pool.leased(), 0);
        let counts = pool.counts();
        assert_eq!((counts.given, counts.released, counts.refused), (2400, 2400, 0));
    });
}

#[test]
fn bad_setups_of_a_pool_are_refused() {
    in_new_namespace(|| {
        let bands = Bands { high: 3, normal: 2 };
        let refused = brief(4).bands(bands).build().unwrap_err();
        assert_eq!(refused.to_string(), "bands of 5 ports are too large: expected at most 4");
        for rate in [-0.1, 1.5, f64::NAN] {
            let refused = brief(4).failure_rate(rate).build();
            assert!(matches!(refused, Err(PoolError::FailureRate(_))));
        }
        let elsewhere = brief(4).address("192.0.2.1".parse().unwrap()).build().unwrap();
        let refused = elsewhere.take(Priority::Low).unwrap_err().to_string();
        assert!(refused.ends_with("refused by EADDRNOTAVAIL"), "{refused}");
    });
}

#[test]
fn a_held_port_converts_to_std_sockets() {
    in_new_namespace(|| {
        let one = |protocols| {
            let mut allocator = Allocator::over(range(64)).protocols(protocols).build().unwrap();
            allocator.allocate(|_| ()).unwrap()
        };
        let (listener, socket) = one(Protocols::Both).into_both(8).unwrap();
        assert_eq!(listener.local_addr().unwrap().port(), socket.local_addr().unwrap().port());
        TcpStream::connect(("127.0.0.1", listener.local_addr().unwrap().port())).unwrap();
        assert!(TcpListener::try_from(one(Protocols::Tcp)).is_ok());
        assert!(UdpSocket::try_from(one(Protocols::Udp)).is_ok());
        assert_eq!(Vec::from(one(Protocols::Both)).len(), 2);
        let missing = one(Protocols::Tcp).into_both(8).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Unsupported);
        let missing = UdpSocket::try_from(one(Protocols::Tcp)).unwrap_err();
        assert_eq!(missing.to_string(), "the port is not held on udp");
    });
}

#[test]
fn killing_the_process_of_a_pool_frees_all_its_ports() {
    in_new_namespace(|| {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "pool_linux::role_full_pool"])
            .env("PORTSCOPE_TEST_ROLE", "1")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("all held")));
        let occupied = range(40).ports().filter(|&port| is_bound(port)).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(occupied, 40);
        let mut binder = RealBinder::new(Protocols::Both, None).unwrap();
        let again: Vec<_> = range(40).ports().map(|port| binder.bind(port).0.unwrap()).collect();
        assert_eq!(again.len(), 40);
    });
}

#[test]
#[ignore = "a role"]
fn role_full_pool() {
    if !processes::is_in_role() {
        return;
    }
    let pool = LeasePool::over(range(40)).quarantine(Quarantine::Drain(REST)).build().unwrap();
    let mut leases: Vec<_> = (0..40).map(|_| pool.take(Priority::Low).unwrap()).collect();
    let _listener = leases[0].tcp_listener(8).unwrap();
    leases.truncate(30);
    assert_eq!((pool.leased(), pool.quarantined()), (30, 10));
    eprintln!("all held");
    // Waits until it is killed.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_pool_without_descriptors_reports_it_and_recovers() {
    processes::in_process_of_its_own("pool_linux::role_few_descriptors");
}

#[test]
#[ignore = "a role"]
fn role_few_descriptors() {
    if !processes::is_in_role() {
        return;
    }
    let limit = Rlimit { current: Some(100), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    namespace::in_new_namespace(|| {
        let pool = brief(40).build().unwrap();
        let mut leases = Vec::new();
        let refused = loop {
            match pool.take(Priority::Low) {
                Ok(lease) => leases.push(lease),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, Shortage::Limit { held: 25 });
        leases.pop();
        assert!(pool.take(Priority::Low).is_ok());
        leases.clear();

        let mut others: Vec<UdpSocket> =
            std::iter::from_fn(|| UdpSocket::bind("127.0.0.1:0").ok()).collect();
        let leases: Vec<_> = std::iter::from_fn(|| pool.take(Priority::Low).ok()).collect();
        let refused = pool.take(Priority::Low).unwrap_err();
        assert!(refused.to_string().ends_with("refused by EMFILE"), "{refused}");
        others.truncate(50);
        assert!(pool.take(Priority::Low).is_ok());
        drop(leases);
        assert_eq!(pool.leased(), 0);
    });
}
