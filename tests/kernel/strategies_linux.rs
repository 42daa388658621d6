//! Every strategy on real sockets, in private network namespaces: through the library and through
//! `pick`.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::TcpStream,
    process::{Output, Stdio},
    sync::{Mutex, PoisonError},
};

use portscope::{
    Allocator,
    allocator::{ALLOCATORS, AllocatorRow},
    domain::{Binder, Errno, Outcome, PortRange, Protocol, Protocols, Refusal, automatic},
    host::{Held, HostBinder, linux::binder::RealBinder},
};
use serde_json::Value;

use crate::{
    harness::{self, StrategyHarness},
    namespace::{self, needs_linux, set_sysctl},
    outputs::program,
};

/// Strategies that may give up although a port is free, after as many attempts as there are ports.
const MAY_MISS: [&str; 2] = ["random-retry", "random-increment"];

/// Runs one test at a time: until its execve(), a process that a test starts has copies of all
/// sockets, so that a released port would stay in use for a while.
fn in_new_namespace(work: impl FnOnce() + Send) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    namespace::in_new_namespace(work);
}

/// Returns the strategies that this kernel supports: `kernel-bind` needs IP_LOCAL_PORT_RANGE.
fn strategies() -> impl Iterator<Item = &'static AllocatorRow> {
    let has_option = needs_linux((6, 3), "has IP_LOCAL_PORT_RANGE, which kernel-bind needs");
    ALLOCATORS.iter().filter(move |row| has_option || !row.lets_machine_choose)
}

fn ten() -> PortRange {
    PortRange::new(50_000, 50_009).unwrap()
}

fn hold(protocols: Protocols, ports: impl IntoIterator<Item = u16>) -> Vec<Box<dyn Held>> {
    let mut binder = RealBinder::new(protocols, None).unwrap();
    ports.into_iter().map(|port| binder.bind(port).0.unwrap()).collect()
}

fn pick(strategy: &str, more: &str) -> Output {
    program()
        .args(["pick", "--strategy", strategy])
        .args(more.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Parses one port per line. Asserts that stderr has nothing except warnings that connect() may
/// take a port.
#[track_caller]
fn ports(output: &Output) -> Vec<u16> {
    let is_other = |line: &&str| !line.contains(" in the kernel's ephemeral range ");
    assert_eq!(said(output).lines().filter(is_other).collect::<Vec<_>>(), [""; 0]);
    let reported = str::from_utf8(&output.stdout).unwrap();
    reported.lines().map(|line| line.parse().unwrap()).collect()
}

fn said(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn each_strategy_returns_a_bound_port() {
    in_new_namespace(|| {
        for row in strategies() {
            for protocols in [Protocols::Tcp, Protocols::Udp, Protocols::Both] {
                let builder = Allocator::over(ten()).protocols(protocols).strategy(row.name);
                let mut allocator = builder.seed(1).build().unwrap();
                let mut reported = 0;
                let held = allocator.allocate(|attempt| reported = attempt.port).unwrap();
                assert!(ten().contains(held.port()), "{}", row.name);
                assert_eq!(held.port(), reported, "{}", row.name);
                for protocol in Protocol::EACH {
                    let again = RealBinder::new(protocol.into(), None).unwrap().bind(reported).0;
                    let refusal = Refusal { protocol, errno: Errno::EADDRINUSE };
                    let expected = protocols.includes(protocol).then_some(refusal);
                    assert_eq!(again.err(), expected, "{}", row.name);
                }
            }
        }
    });
}

#[test]
fn each_exhaustive_strategy_finds_the_only_free_port_of_ten() {
    in_new_namespace(|| {
        for free in [50_000, 50_001, 50_006, 50_009] {
            let _held = hold(Protocols::Both, ten().ports().filter(|&port| port != free));
            for row in strategies().filter(|row| !MAY_MISS.contains(&row.name)) {
                let output = pick(row.name, "--range 50000-50009 --seed 1 --max-attempts 100");
                assert_eq!(ports(&output), [free], "{}", row.name);
            }
        }
    });
}

#[test]
fn reserved_ports_are_skipped_without_ignore_reserved() {
    in_new_namespace(|| {
        set_sysctl("ip_local_reserved_ports", "50000-50007");
        for row in strategies() {
            let given = ports(&pick(row.name, "--range 50000-50009 --seed 1 --count 2"));
            assert_eq!(BTreeSet::from_iter(given), [50_008, 50_009].into(), "{}", row.name);
            let all = "--range 50000-50009 --seed 1 --count 10 --max-attempts 1000";
            let output = pick(row.name, &format!("{all} --ignore-reserved"));
            if row.lets_machine_choose {
                assert!(said(&output).contains("never chooses reserved ports (8 in the range)"));
                assert_eq!(output.status.code(), Some(1));
            } else if !MAY_MISS.contains(&row.name) {
                let given = BTreeSet::from_iter(ports(&output));
                assert_eq!(given, ten().ports().collect(), "{}", row.name);
            }
        }
    });
}

#[test]
fn the_same_seed_picks_the_same_ports() {
    in_new_namespace(|| {
        let _held = hold(Protocols::Udp, (50_000..50_200).step_by(2));
        for row in ALLOCATORS.iter().filter(|row| !row.lets_machine_choose) {
            let picked = |seed: u32| {
                let all = format!("--range 50000-50999 --seed {seed} --count 5 --protocol udp");
                ports(&pick(row.name, &all))
            };
            assert_eq!(picked(3), picked(3), "{}", row.name);
            let is_fixed = ["sequential", "next-fit"].contains(&row.name);
            assert_eq!(picked(3) == picked(4), is_fixed, "{}", row.name);
        }
    });
}

#[test]
fn bitmap_needs_one_attempt_per_port_and_none_in_a_full_range() {
    in_new_namespace(|| {
        let _held = hold(Protocols::Udp, 50_000..50_005);
        let five = pick("bitmap", "--range 50000-50009 --count 5 --seed 1 --format json");
        let five: Value = serde_json::from_slice(&five.stdout).unwrap();
        assert_eq!(five["ports"].as_array().unwrap().len(), 5);
        assert_eq!(five["attempts"].as_array().unwrap().len(), 5);
        let _all = hold(Protocols::Udp, 50_005..=50_009);
        let none = pick("bitmap", "--range 50000-50009 --format json");
        assert_eq!(none.status.code(), Some(1));
        assert!(said(&none).contains("range 50000-50009 is full (10 of 10)"), "{}", said(&none));
        let none: Value = serde_json::from_slice(&none.stdout).unwrap();
        assert_eq!(none["attempts"].as_array().unwrap().len(), 0);
        assert_eq!(none["error"]["kind"], "range-full");
    });
}

#[test]
fn kernel_bind_stays_in_the_range_and_reports_unused_parts() {
    if !needs_linux((6, 3), "has IP_LOCAL_PORT_RANGE") {
        return;
    }
    in_new_namespace(|| {
        let whole = pick("kernel-bind", "--range 50000-50063 --count 64 --protocol udp");
        assert_eq!(BTreeSet::from_iter(ports(&whole)), (50_000..=50_063).collect());
        assert_eq!(ports(&pick("kernel-bind", "--range ephemeral")).len(), 1);
        assert_eq!(ports(&pick("kernel-bind", "")).len(), 1);

        let outside = pick("kernel-bind", "--range 61000-65535");
        assert_eq!((outside.status.code(), outside.stdout.len()), (Some(2), 0));
        let words = "--strategy kernel-bind chooses only ports of ip_local_port_range 32768-60999: \
                     got --range 61000-65535";
        assert!(said(&outside).contains(words), "{}", said(&outside));

        set_sysctl("ip_local_port_range", "32768 49155");
        let part = pick("kernel-bind", "--range iana --count 4");
        let partial = "portscope: partial: kernel-bind: only ports in ip_local_port_range\n";
        assert!(said(&part).starts_with(partial), "{}", said(&part));
        let reported = str::from_utf8(&part.stdout).unwrap();
        let reported: BTreeSet<u16> = reported.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(reported, (49_152..=49_155).collect());
    });
}

#[test]
fn a_port_chosen_for_udp_and_refused_on_tcp_is_recorded_by_number() {
    if !needs_linux((6, 3), "has IP_LOCAL_PORT_RANGE") {
        return;
    }
    in_new_namespace(|| {
        let _held = hold(Protocols::Tcp, 50_001..=50_009);
        let mut allocator = Allocator::over(ten()).strategy("kernel-bind").build().unwrap();
        for _ in 0..20 {
            let mut tried = Vec::new();
            let result = allocator.allocate(|attempt| tried.push(*attempt));
            let refused = Refusal { protocol: Protocol::Tcp, errno: Errno::EADDRINUSE };
            let (won, missed) = tried.split_last().unwrap();
            // One in 40,000 allocations tries the other nine ports a hundred times and fails.
            assert_eq!(result.unwrap().port(), 50_000);
            assert_eq!((won.port, won.refusal), (50_000, None));
            for attempt in missed {
                assert!((50_001..=50_009).contains(&attempt.port));
                assert_eq!(attempt.refusal, Some(refused));
            }
        }
    });
}

#[test]
fn kernel_bind_in_a_full_range_fails_with_eaddrinuse() {
    if !needs_linux((6, 3), "has IP_LOCAL_PORT_RANGE") {
        return;
    }
    in_new_namespace(|| {
        for protocols in [Protocols::Tcp, Protocols::Udp, Protocols::Both] {
            let _held = hold(protocols, ten().ports());
            let mut binder = RealBinder::new(protocols, None).unwrap();
            binder.choose_within(ten()).unwrap();
            let refusal = binder.bind(0).0.err().unwrap();
            assert_eq!((refusal.outcome(), binder.refused_port(0)), (Outcome::InUse, 0));
            // The range can be changed.
            binder.choose_within(PortRange::new(50_010, 50_010).unwrap()).unwrap();
            assert_eq!(binder.bind(0).0.unwrap().port(), 50_010);
        }
        let trace = pick("kernel-bind", "--range 50000-50009 --max-attempts 1 --trace");
        assert_eq!(trace.status.code(), Some(0));
        let _held = hold(Protocols::Both, ten().ports());
        let trace = pick("kernel-bind", "--range 50000-50009 --max-attempts 1 --trace");
        assert!(said(&trace).contains("attempt 1 · any port · in-use (udp EADDRINUSE)"));
        assert!(!said(&trace).contains("holder"), "{}", said(&trace));
    });
}

/// Compares the model of `domain::automatic` with the kernel if only one port is free.
#[test]
fn bind_to_0_skips_the_ports_that_the_model_skips() {
    const ROUNDS: u32 = 400;
    in_new_namespace(|| {
        let five = PortRange::new(50_000, 50_004).unwrap();
        set_sysctl("ip_local_port_range", "50000 50004");
        for free in five.ports() {
            let _held = hold(Protocols::Both, five.ports().filter(|&port| port != free));
            for protocols in [Protocols::Tcp, Protocols::Udp] {
                let mut binder = RealBinder::new(protocols, None).unwrap();
                let real = (0..ROUNDS).filter(|_| binder.bind(0).0.is_ok()).count();
                let is_free = |port| port == free;
                let model = (0..ROUNDS)
                    .filter(|&random| automatic::choose(protocols, five, random, is_free).is_some())
                    .count();
                eprintln!("{} {free}: {real} of {ROUNDS}, model {model}", protocols.name());
                assert!(real.abs_diff(model) <= 60, "{} {free}: {real}, {model}", protocols.name());
            }
        }
    });
}

#[test]
fn bind_to_0_prefers_odd_ports_on_tcp_only_like_the_model() {
    in_new_namespace(|| {
        for (protocols, expected) in [(Protocols::Tcp, 400), (Protocols::Udp, 200)] {
            let mut binder = RealBinder::new(protocols, None).unwrap();
            let odd = (0..400).filter(|_| binder.bind(0).0.unwrap().port() % 2 == 1).count();
            assert!(odd.abs_diff(expected) <= 60, "{} {odd}", protocols.name());
            let range = portscope::domain::port::LINUX_DEFAULT;
            let model = |random: u32| {
                automatic::choose(protocols, range, random.wrapping_mul(2_654_435_761), |_| true)
            };
            let odd = (0..400).filter(|&random| model(random).unwrap() % 2 == 1).count();
            assert!(odd.abs_diff(expected) <= 60, "{} {odd}", protocols.name());
        }
    });
}

/// Compares the model `linux-connect` with the kernel, for destinations at which no program
/// listens.
#[test]
fn connect_skips_the_ports_that_the_model_skips() {
    in_new_namespace(|| {
        let five = harness::every(5);
        let mut harness = StrategyHarness::new("linux-connect", 5, 1);
        set_sysctl("ip_local_port_range", "50000 50004");
        for free in five.ports() {
            let others: BTreeSet<u16> = five.ports().filter(|&port| port != free).collect();
            let _held = hold(Protocols::Tcp, others.iter().copied());
            let real = (20_000..20_400u16).filter(|&remote| {
                let error = TcpStream::connect(("127.0.0.1", remote)).unwrap_err();
                match error.kind() {
                    ErrorKind::ConnectionRefused => true,
                    ErrorKind::AddrNotAvailable => false,
                    _ => panic!("{error}"),
                }
            });
            harness.occupied = others;
            let model = (0..400).filter(|&destination| {
                harness.destination = destination;
                harness.allocate().1.is_some()
            });
            let (real, model) = (real.count(), model.count());
            eprintln!("{free}: {real} of 400, model {model}");
            assert!(real.abs_diff(model) <= 80, "{free}: {real}, {model}");
        }
    });
}
