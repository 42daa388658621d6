//! Test setup for the Allocate screen: machines, scripted deltas, and runs of the real loop.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use portscope::{
    allocator::{Attempt, AttemptSearch, Candidates, FreePorts, Progress, random::Random},
    app::allocation::{Allocation, AllocationAction, AllocationOptions, LastScan},
    app::{Effect, Key},
    domain::{
        Errno, MachineKind, Occupancy, ProcessTable, Protocol, Protocols, Refusal, Snapshot, State,
        port::IANA_DYNAMIC,
    },
    engine::message::{AllocationDelta, Finished},
    host::{Host, simulated::SimulatedHost},
};
use rand::{SeedableRng, rngs::ChaCha8Rng};

pub struct Harness {
    pub host: SimulatedHost,
    pub snapshot: Snapshot,
    pub occupancy: Occupancy,
    pub processes: ProcessTable,
    pub allocation: Allocation,
    pub now: Duration,
}

impl Harness {
    /// A simulated machine with that share of the IANA range taken by UDP sockets.
    pub fn simulated(share: f64) -> Self {
        let host = SimulatedHost::builder()
            .process(812, "dnsmasq", "dnsmasq -k", 33)
            .process(4711, "python3", "python3 load.py", 1000)
            .fill(IANA_DYNAMIC, share, State::Unconnected, 7)
            .owned_by(&[4711])
            .build();
        let mut snapshot = host.snapshot();
        snapshot.sort();
        let occupancy = Occupancy::count(&snapshot);
        let processes = host.describer().describe(&[812, 4711]).into_iter().collect();
        let mut allocation = Allocation::new(&AllocationOptions::exo(42), true);
        allocation.observe(LastScan { snapshot: &snapshot, occupancy: &occupancy });
        Self { host, snapshot, occupancy, processes, allocation, now: Duration::ZERO }
    }

    /// The same machine, but live and shared with other processes.
    pub fn real(share: f64) -> Self {
        let mut harness = Self::simulated(share);
        let mut machine = (*harness.snapshot.machine).clone();
        machine.kind = MachineKind::Live;
        machine.is_isolated = false;
        harness.snapshot.machine = Arc::new(machine);
        harness
    }

    /// Switches to the simulated occupancy, with as many ports in use as on the machine. The run
    /// has number 1.
    pub fn move_to_simulated_site(&mut self) {
        self.act(AllocationAction::ToggleTarget);
        let mut snapshot = self.snapshot.clone();
        snapshot.number = 1;
        self.allocation.set_simulated(Arc::new(snapshot));
    }

    pub fn speed_up(&mut self, times: usize) {
        for _ in 0..times {
            self.act(AllocationAction::Faster);
            self.press(&[Key::Enter]);
        }
    }

    pub fn scan(&self) -> LastScan<'_> {
        LastScan { snapshot: &self.snapshot, occupancy: &self.occupancy }
    }

    pub fn act(&mut self, action: AllocationAction) -> Vec<Effect> {
        let scan = LastScan { snapshot: &self.snapshot, occupancy: &self.occupancy };
        self.allocation.act(action, Some(scan))
    }

    pub fn press(&mut self, keys: &[Key]) -> Vec<Effect> {
        let scan = LastScan { snapshot: &self.snapshot, occupancy: &self.occupancy };
        keys.iter().flat_map(|&key| self.allocation.press(key, Some(scan))).collect()
    }

    pub fn type_in(&mut self, text: &str) {
        let keys: Vec<Key> = text.chars().map(Key::Char).collect();
        self.press(&keys);
    }

    pub fn report(&mut self, delta: AllocationDelta) -> Vec<Effect> {
        self.now += Duration::from_millis(33);
        let scan = LastScan { snapshot: &self.snapshot, occupancy: &self.occupancy };
        self.allocation.apply(self.now, delta, Some(scan))
    }

    pub fn observe_again(&mut self) {
        self.snapshot.number += 1;
        let scan = LastScan { snapshot: &self.snapshot, occupancy: &self.occupancy };
        self.allocation.observe(scan);
    }

    /// Makes `attempts` attempts of the real loop on the simulated machine, and sends one delta for
    /// each `per_delta`.
    pub fn play(&mut self, run: u64, attempts: usize, per_delta: usize) {
        let binder = self.host.binder(Protocols::Udp, None).expect("the simulated binder");
        let candidates = Candidates::new(IANA_DYNAMIC, &[]);
        let random = ChaCha8Rng::seed_from_u64(42);
        let port_view = FreePorts::all_free();
        let mut allocator = AttemptSearch::new(binder, Random, random, candidates, port_view);
        allocator.set_max_attempts(100);
        let mut finished = 0;
        for _ in 0..attempts / per_delta {
            let mut delta = empty(run);
            let mut attempts_by_port = BTreeMap::new();
            for _ in 0..per_delta {
                let attempt = match allocator.steps(1, |_| ()) {
                    Progress::Refused(attempt) | Progress::Bound(attempt, _) => attempt,
                    Progress::GaveUp(attempt) => attempt.expect("random never runs out"),
                };
                finished = count(&mut delta, attempt, finished);
                *attempts_by_port.entry(attempt.port).or_insert(0) += 1;
            }
            delta.attempts_by_port = attempts_by_port.into_iter().collect();
            let surplus = delta.recent.len().saturating_sub(64);
            delta.recent.drain(..surplus);
            let surplus = delta.ended.len().saturating_sub(64);
            delta.ended.drain(..surplus);
            self.report(delta);
        }
    }
}

fn count(delta: &mut AllocationDelta, attempt: Attempt, finished: u64) -> u64 {
    delta.stats.attempts += 1;
    delta.stats.busy += attempt.took;
    delta.recent.push(attempt);
    delta.stats.collisions += u64::from(attempt.refusal.is_some());
    let ended = attempt.refusal.is_none() || attempt.number >= 100;
    if !ended {
        return finished;
    }
    let port = attempt.refusal.is_none().then_some(attempt.port);
    let ended = Finished { number: finished + 1, attempts: attempt.number, port };
    delta.finished = Some(ended);
    delta.ended.push(ended);
    if port.is_some() {
        delta.stats.successes += 1;
        *delta.stats.histogram.entry(attempt.number).or_default() += 1;
    } else {
        delta.stats.failures += 1;
        delta.stats.failed_attempts += u64::from(attempt.number);
    }
    finished + 1
}

pub fn empty(run: u64) -> AllocationDelta {
    AllocationDelta { run, is_running: true, ..AllocationDelta::default() }
}

/// A delta of one attempt, as sent at slow speeds.
pub fn attempt(
    run: u64,
    number: u32,
    port: u16,
    refused: Option<(Protocol, Errno)>,
) -> AllocationDelta {
    let refusal = refused.map(|(protocol, errno)| Refusal { protocol, errno });
    let took = Duration::from_nanos(2_100 + 130 * u64::from(number));
    let mut delta = empty(run);
    count(&mut delta, Attempt { number, port, refusal, took }, 0);
    delta.attempts_by_port = vec![(port, 1)];
    delta
}

pub fn in_use(run: u64, number: u32, port: u16) -> AllocationDelta {
    attempt(run, number, port, Some((Protocol::Udp, Errno::EADDRINUSE)))
}

pub fn bound(run: u64, number: u32, port: u16) -> AllocationDelta {
    attempt(run, number, port, None)
}

/// Returns `count` ports that are in use (`taken`) or free, spread over the range.
pub fn ports(harness: &Harness, taken: bool, count: usize) -> Vec<u16> {
    let step = 16_384 / (count + 1);
    let from = |start: u16| {
        (start..=65_535).find(|&p| harness.occupancy.port(p).is_occupied(Protocols::Udp) == taken)
    };
    // For the counts used, 5 and the count have no common factor, so that the ports are not in
    // ascending order.
    (0..count)
        .map(|n| 49_152 + ((n * 5 % count.max(1)) * step + 137) as u16)
        .map(|start| from(start).expect("such a port"))
        .collect()
}
