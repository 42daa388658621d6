//! The allocator on real sockets, in private network namespaces.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::Barrier,
    thread,
};

use portscope::{
    Allocator, FindError, HeldPort,
    allocator::{Attempt, Model, Order},
    domain::{Binder, Errno, Outcome, PortRange, Protocol, Protocols, Refusal},
    find_free_port,
    host::{Held, HostBinder as _, linux::binder::RealBinder},
};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use rustix::{
    process::{Resource, Rlimit},
    thread::CapabilitySet,
};

use crate::namespace::{in_new_namespace, set_sysctl};

/// Small enough for the descriptor limit, large enough for a comparison with the model.
const CANDIDATES: u32 = 4096;
const PORT: u16 = 50_000;

type Port = Box<dyn Held>;

fn range() -> PortRange {
    PortRange::new(49_152, 49_151 + CANDIDATES as u16).unwrap()
}

fn binder(protocols: Protocols) -> RealBinder {
    RealBinder::new(protocols, None).unwrap()
}

fn bind(protocols: Protocols, port: u16) -> Result<Port, Refusal> {
    binder(protocols).bind(port).0
}

fn in_use(protocol: Protocol) -> Refusal {
    Refusal { protocol, errno: Errno::EADDRINUSE }
}

/// Binds this number of ports of the range on UDP, chosen by a seed.
fn hold(count: u32) -> Vec<Port> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
    let mut ports: Vec<u16> = range().ports().collect();
    ports.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let mut binder = binder(Protocols::Udp);
    ports.into_iter().take(count as usize).map(|port| binder.bind(port).0.ok().unwrap()).collect()
}

fn over(range: PortRange, protocols: Protocols) -> Allocator {
    Allocator::over(range).protocols(protocols).seed(7).build().unwrap()
}

/// Returns the failures and the mean number of attempts. Each port is released at once.
fn figures(allocator: &mut Allocator, allocations: u32) -> (u32, f64) {
    let (mut failures, mut attempts) = (0, 0u64);
    for _ in 0..allocations {
        let result = allocator.allocate(|_| attempts += 1);
        failures += u32::from(result.is_err());
    }
    (failures, attempts as f64 / f64::from(allocations))
}

#[test]
fn attempts_and_failures_match_the_model_at_0_50_90_and_99_percent() {
    const ALLOCATIONS: u32 = 2_000;
    let holds = |share: u32| {
        in_new_namespace(|| {
            let occupied = CANDIDATES * share / 100;
            let _held = hold(occupied);
            let model = Model::at_random(Order::Replacement, occupied, CANDIDATES).unwrap();
            let (failures, mean) = figures(&mut over(range(), Protocols::Udp), ALLOCATIONS);
            let n = f64::from(ALLOCATIONS);
            let (failing, expected) = (model.failure(100), model.expected_attempts(100));
            let square = |attempts: u32| (f64::from(attempts) - expected).powi(2);
            let variance = (1..=100)
                .map(|a| (model.survival(a - 1) - model.survival(a)) * square(a))
                .sum::<f64>()
                + failing * square(100);
            let failure_error = (n * failing * (1.0 - failing)).sqrt();
            eprintln!(
                "{share} %: {failures} of {n} failed (law {:.1} ± {failure_error:.1}), {mean:.3} \
                 attempts (law {expected:.3} ± {:.3})",
                n * failing,
                (variance / n).sqrt(),
            );
            // 0.5 is added because failures are whole numbers.
            assert!((f64::from(failures) - n * failing).abs() <= 4.0 * failure_error + 0.5);
            assert!((mean - expected).abs() <= 4.0 * (variance / n).sqrt() + 1e-9);
        })
    };
    for share in [0, 50, 90, 99] {
        holds(share);
    }
}

#[test]
fn a_full_range_gives_up_after_max_attempts() {
    in_new_namespace(|| {
        let _held = hold(CANDIDATES);
        let mut allocator = over(range(), Protocols::Udp);
        let mut seen: Vec<Attempt> = Vec::new();
        let error = allocator.allocate(|attempt| seen.push(*attempt)).unwrap_err();
        assert!(matches!(error, FindError::GaveUp { attempts: 100, free: None, .. }), "{error}");
        let numbers: Vec<u32> = seen.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, (1..=100).collect::<Vec<u32>>());
        assert!(seen.iter().all(|attempt| attempt.refusal == Some(in_use(Protocol::Udp))));
        assert!(seen.iter().all(|attempt| !attempt.took.is_zero()));
        assert!(!error.to_string().contains("no free port"));
    });
}

#[test]
fn allocate_returns_the_bound_socket_and_dropping_it_frees_the_port() {
    in_new_namespace(|| {
        let mut allocator = over(range(), Protocols::Udp);
        for _ in 0..500 {
            let held = allocator.allocate(|_| ()).unwrap();
            let port = held.port();
            assert!(range().contains(port));
            assert_eq!(bind(Protocols::Udp, port).err(), Some(in_use(Protocol::Udp)));
            let socket = held.into_udp_socket().unwrap();
            assert_eq!(socket.local_addr().unwrap().port(), port);
            drop(socket);
            assert!(bind(Protocols::Udp, port).is_ok(), "{port} is not free after its drop");
        }
    });
}

#[test]
fn a_found_tcp_port_listens_on_both_families() {
    in_new_namespace(|| {
        let held = find_free_port(range(), Protocols::Tcp, 100).unwrap();
        let port = held.port();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it listens unasked");
        let _listener = held.into_tcp_listener(16).unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(TcpStream::connect(("::1", port)).is_ok());
    });
}

#[test]
fn protocol_both_holds_udp_and_tcp_and_returns_tcp_first() {
    in_new_namespace(|| {
        let held = bind(Protocols::Both, PORT).ok().unwrap();
        assert_eq!(bind(Protocols::Udp, PORT).err(), Some(in_use(Protocol::Udp)));
        assert_eq!(bind(Protocols::Tcp, PORT).err(), Some(in_use(Protocol::Tcp)));
        let descriptors = held.into_descriptors();
        let kinds: Vec<_> = descriptors
            .iter()
            .map(|socket| rustix::net::sockopt::socket_type(socket).unwrap())
            .collect();
        assert_eq!(kinds, [rustix::net::SocketType::STREAM, rustix::net::SocketType::DGRAM]);
        for socket in &descriptors {
            let flags = rustix::io::fcntl_getfd(socket).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    });
}

#[test]
fn a_port_in_use_on_tcp_refuses_both_and_is_released_on_udp() {
    in_new_namespace(|| {
        let _holder = TcpListener::bind(("127.0.0.1", PORT)).unwrap();
        let mut binder = binder(Protocols::Both);
        for _ in 0..3 {
            assert_eq!(binder.bind(PORT).0.err(), Some(in_use(Protocol::Tcp)));
            assert!(bind(Protocols::Udp, PORT).is_ok(), "the UDP half stayed bound");
        }
        assert!(binder.bind(PORT + 1).0.is_ok());
    });
}

#[test]
fn a_holder_of_one_address_blocks_a_wildcard_bind() {
    in_new_namespace(|| {
        for address in ["127.0.0.1", "127.0.0.3", "::1", "0.0.0.0"] {
            let _udp = UdpSocket::bind((address, PORT)).unwrap();
            let _tcp = TcpListener::bind((address, PORT)).unwrap();
            for protocol in Protocol::EACH {
                let refusal = bind(protocol.into(), PORT).err();
                assert_eq!(refusal, Some(in_use(protocol)), "held on {address}");
            }
        }
    });
}

#[test]
fn a_bind_to_one_address_conflicts_only_with_holders_of_it() {
    in_new_namespace(|| {
        let bind_on = |address: &str, port| {
            let address: IpAddr = address.parse().unwrap();
            RealBinder::new(Protocols::Both, Some(address.into())).unwrap().bind(port).0.map(|_| ())
        };
        let _holder = UdpSocket::bind(("127.0.0.1", PORT)).unwrap();
        assert_eq!(bind_on("127.0.0.1", PORT).err(), Some(in_use(Protocol::Udp)));
        assert_eq!(bind_on("127.0.0.3", PORT), Ok(()));
        assert_eq!(bind_on("::1", PORT), Ok(()));
        let absent = bind_on("192.0.2.9", PORT).unwrap_err();
        assert_eq!((absent.errno, absent.outcome()), (Errno::EADDRNOTAVAIL, Outcome::Unknown));

        let local = Ipv4Addr::LOCALHOST.into();
        let held = Allocator::over(range()).address(local).build().unwrap().allocate(|_| ());
        let socket = held.unwrap().into_udp_socket().unwrap();
        assert_eq!(socket.local_addr().unwrap().ip(), local);
    });
}

#[test]
fn allocation_works_without_ipv6() {
    in_new_namespace(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        assert!(bind(Protocols::Both, PORT).is_ok());
        let loopback = Some("::1".parse().unwrap());
        let (result, _) = RealBinder::new(Protocols::Udp, loopback).unwrap().bind(PORT);
        assert_eq!(result.err().map(|refusal| refusal.errno), Some(Errno::EADDRNOTAVAIL));
    });
}

#[test]
fn a_privileged_port_is_denied() {
    in_new_namespace(|| {
        let mut capabilities = rustix::thread::capabilities(None).unwrap();
        capabilities.effective.remove(CapabilitySet::NET_BIND_SERVICE);
        rustix::thread::set_capabilities(None, capabilities).unwrap();
        let mut binder = binder(Protocols::Both);
        let refusal = binder.bind(80).0.err().unwrap();
        assert_eq!((refusal.errno, refusal.outcome()), (Errno::EACCES, Outcome::Denied));
        assert!(binder.bind(PORT).0.is_ok());
    });
}

#[test]
fn giving_up_reports_the_number_of_free_ports() {
    in_new_namespace(|| {
        set_sysctl("ip_local_reserved_ports", "20000-20001");
        let few = PortRange::new(20_000, 20_005).unwrap();
        let _held: Vec<_> =
            (20_002..=20_005).map(|port| bind(Protocols::Udp, port).unwrap()).collect();
        let error = find_free_port(few, Protocols::Udp, 5).unwrap_err();
        assert!(matches!(error, FindError::GaveUp { attempts: 5, free: Some(0), .. }), "{error}");
        let held = find_free_port(few, Protocols::Tcp, 100).unwrap();
        assert!(held.port() >= 20_002, "reserved ports are not tried");
    });
}

#[test]
fn bind_to_port_0_lets_the_kernel_choose_and_searches_never_try_it() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "50000 50003");
        let held: Vec<_> = (0..4).map(|_| bind(Protocols::Both, 0).unwrap()).collect();
        let ports: BTreeSet<u16> = held.iter().map(|held| held.port()).collect();
        assert_eq!(ports, (50_000..=50_003).collect());
        assert_eq!(bind(Protocols::Both, 0).err().map(Refusal::outcome), Some(Outcome::InUse));
        let zero = PortRange::new(0, 0).unwrap();
        let error = find_free_port(zero, Protocols::Udp, 100).unwrap_err();
        assert!(matches!(error, FindError::RangeFull { .. }), "{error}");
    });
}

#[test]
fn sixteen_threads_hold_48_of_64_ports_without_a_duplicate() {
    in_new_namespace(|| {
        let small = PortRange::new(PORT, PORT + 63).unwrap();
        let start = Barrier::new(16);
        let allocate = |seed| {
            let mut allocator =
                Allocator::over(small).seed(seed).max_attempts(10_000).build().unwrap();
            start.wait();
            (0..3).map(|_| allocator.allocate(|_| ()).unwrap()).collect::<Vec<HeldPort>>()
        };
        let held: Vec<HeldPort> = thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|seed| scope.spawn(move || allocate(seed))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let ports: BTreeSet<u16> = held.iter().map(HeldPort::port).collect();
        assert_eq!((held.len(), ports.len()), (48, 48));
        assert!(ports.iter().all(|&port| small.contains(port)));
    });
}

#[test]
fn a_refused_attempt_opens_no_descriptor_and_emfile_is_unknown() {
    if std::env::var_os("PORTSCOPE_WITHOUT_DESCRIPTORS").is_some() {
        in_new_namespace(without_descriptors);
        return;
    }
    // The descriptor limit applies to the whole process, so the test runs in a process of its own.
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "allocator::a_refused_attempt_opens_no_descriptor_and_emfile_is_unknown"])
        .env("PORTSCOPE_WITHOUT_DESCRIPTORS", "1")
        .status()
        .unwrap();
    assert!(status.success());
}

fn without_descriptors() {
    let _holder = bind(Protocols::Both, PORT).ok().unwrap();
    let mut allocators: Vec<RealBinder> =
        [Protocols::Udp, Protocols::Tcp, Protocols::Both].into_iter().map(binder).collect();
    let small = Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::setrlimit(Resource::Nofile, small).unwrap();
    let mut filler = Vec::new();

    let capacities = [32, 32, 16];
    for ((binder, free), capacity) in allocators.iter_mut().zip(PORT + 1..).zip(capacities) {
        while let Ok(socket) = UdpSocket::bind("127.0.0.1:0") {
            filler.push(socket);
        }
        assert_eq!(binder.hold_capacity(), capacity, "half of those allowed, whoever has them");
        // No descriptor is left: each attempt must use the socket that the binder opened at first.
        for _ in 0..100 {
            let refusal = binder.bind(PORT).0.err().unwrap();
            assert_eq!(refusal.outcome(), Outcome::InUse);
        }
        let held = binder.bind(free).0.ok().unwrap();
        for port in [PORT, free, free + 10] {
            let refusal = binder.bind(port).0.err().unwrap();
            assert_eq!((refusal.errno, refusal.outcome()), (Errno::EMFILE, Outcome::Unknown));
        }
        drop(held);
        assert!(binder.bind(free).0.is_ok(), "it does not recover");
    }
}
