//! Properties of every allocation and every run, on simulated machines. Does not test the
//! probabilities.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::Duration,
};

use portscope::{
    Allocator, Step,
    allocator::{Attempt, RunStats},
    domain::{Ephemeral, Occupancy, Outcome, PortRange, Protocols, State},
    engine::{
        AllocationRequest, Outbox, Report, Setup, Speed,
        allocation::{merge, spawn},
        message::{AllocationDelta, Finished},
    },
    host::{Host, simulated::SimulatedHost},
};
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Debug)]
struct Case {
    range: PortRange,
    reserved: Vec<PortRange>,
    tcp: f64,
    udp: f64,
    protocols: Protocols,
    seed: u64,
}

impl Case {
    fn host(&self) -> SimulatedHost {
        let mut ephemeral = Ephemeral::new(self.range, self.reserved.clone());
        ephemeral.unprivileged_start = 0;
        SimulatedHost::builder()
            .ephemeral(ephemeral)
            .fill(self.range, self.tcp, State::Established, self.seed)
            .fill(self.range, self.udp, State::Unconnected, self.seed + 1)
            .build()
    }

    fn allocator(&self, host: &SimulatedHost) -> Allocator {
        Allocator::over(self.range)
            .protocols(self.protocols)
            .reserved(&self.reserved)
            .seed(self.seed)
            .build_on(host)
            .unwrap()
    }
}

fn ranges(longest: u16) -> impl Strategy<Value = PortRange> {
    (0..=u16::MAX, 0..longest)
        .prop_map(|(first, more)| PortRange::new(first, first.saturating_add(more)).unwrap())
}

fn cases() -> impl Strategy<Value = Case> {
    let protocols = prop_oneof![Just(Protocols::Tcp), Just(Protocols::Udp), Just(Protocols::Both)];
    (ranges(300), vec(ranges(40), 0..4), 0.0..=1.0, 0.0..=1.0, protocols, 0..1000u64).prop_map(
        |(range, mut reserved, tcp, udp, protocols, seed)| {
            // Moved near the range, because most would be outside it otherwise.
            for gap in &mut reserved {
                let first = range.first().saturating_add(gap.first() % 300);
                let last = first.saturating_add((gap.len() - 1) as u16);
                *gap = PortRange::new(first, last).unwrap();
            }
            reserved.sort_unstable();
            Case { range, reserved, tcp, udp, protocols, seed }
        },
    )
}

fn attempts(allocator: &mut Allocator, count: usize) -> Vec<Attempt> {
    let attempt = |_| match allocator.step() {
        Step::Refused(attempt) | Step::Bound(attempt, _) | Step::Failed(Some(attempt), _) => {
            Some(attempt)
        }
        Step::Failed(None, _) => None,
    };
    (0..count).filter_map(attempt).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_allocated_port_is_in_range_unreserved_and_was_available(case in cases()) {
        let host = case.host();
        let mut allocator = case.allocator(&host);
        for _ in 0..3 {
            let before = Occupancy::count(&host.snapshot());
            let is_available = |port| {
                port != 0
                    && case.range.contains(port)
                    && !case.reserved.iter().any(|gap| gap.contains(port))
                    && !before.port(port).is_occupied(case.protocols)
            };
            match allocator.allocate(|_| ()) {
                Ok(held) => {
                    let port = held.port();
                    prop_assert!(is_available(port), "{port} was not available");
                    let now = Occupancy::count(&host.snapshot());
                    prop_assert!(now.port(port).is_occupied(case.protocols));
                    drop(held);
                    prop_assert_eq!(Occupancy::count(&host.snapshot()), before);
                }
                Err(error) => {
                    let all_reserved = !case.range.ports().any(|port| {
                        port != 0 && !case.reserved.iter().any(|gap| gap.contains(port))
                    });
                    let reported = matches!(error, portscope::FindError::RangeFull { .. });
                    prop_assert_eq!(reported, all_reserved, "{}", error);
                }
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_attempts(case in cases()) {
        let host = case.host();
        let first = attempts(&mut case.allocator(&host), 200);
        prop_assert_eq!(&first, &attempts(&mut case.allocator(&host), 200));
        prop_assert!(first.iter().all(|attempt| case.range.contains(attempt.port)));
    }

    #[test]
    fn merged_deltas_do_not_depend_on_batch_sizes(
        deltas in vec(deltas(), 1..12),
        cut in 0..12usize,
    ) {
        let fold = |deltas: &[AllocationDelta]| deltas.iter().cloned().reduce(merge);
        let all = fold(&deltas).unwrap();
        let (head, tail) = deltas.split_at(cut.min(deltas.len()));
        let in_two = fold(&[fold(head), fold(tail)].into_iter().flatten().collect::<Vec<_>>());
        prop_assert_eq!(&all, &in_two.unwrap());

        let mut attempts_by_port = BTreeMap::new();
        for &(port, tries) in deltas.iter().flat_map(|delta| &delta.attempts_by_port) {
            *attempts_by_port.entry(port).or_insert(0) += tries;
        }
        prop_assert_eq!(&all.attempts_by_port, &attempts_by_port.into_iter().collect::<Vec<_>>());
        let attempts = deltas.iter().map(|delta| delta.stats.attempts).sum::<u64>();
        prop_assert_eq!(all.stats.attempts, attempts);
        prop_assert_eq!(&all.held, &deltas.last().unwrap().held);
        prop_assert!(deltas.len() == 1 || all.ended.len() <= 64);
    }
}

fn deltas() -> impl Strategy<Value = AllocationDelta> {
    let attempts_by_port = proptest::collection::btree_map(0..40u16, 1..9u32, 0..20);
    let histogram = proptest::collection::btree_map(1..100u32, 1..9u64, 0..20);
    let held = proptest::collection::btree_set(0..40u16, 0..5);
    (attempts_by_port, histogram, held, 0..9u64).prop_map(
        |(attempts_by_port, histogram, held, number)| AllocationDelta {
            run: 1,
            stats: RunStats {
                attempts: attempts_by_port.values().map(|&tries| u64::from(tries)).sum(),
                successes: histogram.values().sum(),
                busy: Duration::from_nanos(number),
                histogram,
                ..RunStats::default()
            },
            attempts_by_port: attempts_by_port.into_iter().collect(),
            held: held.into_iter().collect(),
            finished: (number > 4).then_some(Finished { number, attempts: 1, port: None }),
            ended: vec![Finished { number, attempts: 1, port: None }; number as usize * 9],
            ..AllocationDelta::default()
        },
    )
}

/// Accepts one offer of `takes_one_of`, and every delivery.
struct MostlyFull {
    reports: mpsc::Sender<Report>,
    takes_one_of: u32,
    offers: Cell<u32>,
}

impl Outbox for MostlyFull {
    fn offer(&self, report: Report) -> Result<(), Report> {
        self.offers.set(self.offers.get() + 1);
        if self.offers.get().is_multiple_of(self.takes_one_of) {
            self.deliver(report);
            return Ok(());
        }
        Err(report)
    }

    fn deliver(&self, report: Report) -> bool {
        self.reports.send(report).is_ok()
    }
}

/// Returns all deltas of a run that stops by itself, and the figures of the same attempts counted
/// one by one.
fn run(
    host: &SimulatedHost,
    setup: &Setup,
    takes_one_of: u32,
) -> (Vec<AllocationDelta>, AllocationDelta) {
    let (reports, inbox) = mpsc::channel();
    let outbox = MostlyFull { reports, takes_one_of, offers: Cell::new(0) };
    let host_of_thread: Arc<dyn Host> = Arc::new(host.clone());
    let thread = spawn(host_of_thread, Box::new(outbox)).unwrap();
    for request in [
        AllocationRequest::Prepare(setup.clone()),
        AllocationRequest::Speed(Speed::Max),
        AllocationRequest::Run,
    ] {
        assert!(thread.send(request));
    }
    let stop_after = setup.stop_after.unwrap();
    let mut deltas = Vec::new();
    let mut finished = 0;
    while finished < stop_after {
        match inbox.recv_timeout(Duration::from_mins(1)).unwrap() {
            Report::Allocation(delta) => {
                finished += delta.stats.successes + delta.stats.failures;
                deltas.push(*delta);
            }
            other => panic!("{other:?}"),
        }
    }
    drop(thread);
    assert!(inbox.try_recv().is_err(), "something came after the end");
    (deltas, counted(host, setup, stop_after))
}

fn counted(host: &SimulatedHost, setup: &Setup, allocations: u64) -> AllocationDelta {
    let mut allocator = Allocator::over(setup.range)
        .protocols(setup.protocols)
        .max_attempts(setup.max_attempts)
        .seed(setup.seed)
        .build_on(host)
        .unwrap();
    let mut figures = AllocationDelta { run: 1, ..AllocationDelta::default() };
    let (mut attempts_by_port, mut histogram) = (BTreeMap::new(), BTreeMap::new());
    for number in 1..=allocations {
        let mut attempts = 0;
        let result = allocator.allocate(|attempt| {
            attempts = attempt.number;
            figures.stats.attempts += 1;
            figures.stats.collisions += u64::from(attempt.outcome() == Outcome::InUse);
            figures.stats.busy += attempt.took;
            *attempts_by_port.entry(attempt.port).or_insert(0) += 1;
            figures.recent.push(*attempt);
        });
        let port = result.ok().map(|held| held.port());
        if port.is_some() {
            *histogram.entry(attempts).or_insert(0) += 1;
        } else {
            figures.stats.failures += 1;
            figures.stats.failed_attempts += u64::from(attempts);
        }
        figures.ended.push(Finished { number, attempts, port });
    }
    figures.finished = figures.ended.last().copied();
    figures.stats.successes = histogram.values().sum();
    figures.recent.drain(..figures.recent.len() - 64);
    figures.ended.drain(..figures.ended.len() - 64);
    figures.stats.histogram = histogram;
    AllocationDelta { attempts_by_port: attempts_by_port.into_iter().collect(), ..figures }
}

#[test]
fn figures_are_complete_if_the_outbox_is_often_full() {
    let range = PortRange::new(49_152, 53_247).unwrap();
    let host = SimulatedHost::builder().fill(range, 0.95, State::Unconnected, 5).build();
    let setup = Setup {
        strategy: 0,
        target: portscope::engine::AllocatorTarget::Machine,
        protocols: Protocols::Udp,
        range,
        max_attempts: 100,
        seed: 11,
        address: None,
        reserved: Vec::new(),
        hold_limit: 0,
        stop_after: Some(40_000),
    };
    for takes_one_of in [1, 7, u32::MAX] {
        let (deltas, counted) = run(&host, &setup, takes_one_of);
        eprintln!("{} deltas when one offer of {takes_one_of} is taken", deltas.len());
        let merged = deltas.into_iter().reduce(merge).unwrap();
        assert_eq!(merged, counted);
    }
}
