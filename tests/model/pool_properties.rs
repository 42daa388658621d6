//! Properties of a pool after any sequence of operations, on a simulated binder.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use portscope::{
    allocator::{Bands, Pool, PoolSetup, Priority, Quarantine, Shortage},
    domain::Errno,
};
use proptest::{collection::vec, prelude::*};
use rand::{SeedableRng, rngs::ChaCha8Rng};

use crate::leases::{FIRST, Machine, REST, TestPool, at, holder, pool, setup, take, take_all};

#[derive(Clone, Copy, Debug)]
enum PoolOperation {
    Take(Priority),
    Book(Priority),
    Release(usize),
    /// The lease holders with this pid have exited.
    Reclaim(u32),
    Wait(u64),
    Late(u16),
    OtherComes(u16),
    OthersLeave,
    Break(bool),
}

fn classes() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)]
}

fn operations() -> impl Strategy<Value = Vec<PoolOperation>> {
    let operation = prop_oneof![
        8 => classes().prop_map(PoolOperation::Take),
        4 => classes().prop_map(PoolOperation::Book),
        5 => any::<usize>().prop_map(PoolOperation::Release),
        2 => (0..3u32).prop_map(PoolOperation::Reclaim),
        5 => (0..8000u64).prop_map(PoolOperation::Wait),
        4 => (0..24u16).prop_map(PoolOperation::Late),
        3 => (0..24u16).prop_map(PoolOperation::OtherComes),
        1 => Just(PoolOperation::OthersLeave),
        1 => any::<bool>().prop_map(PoolOperation::Break),
    ];
    vec(operation, 1..200)
}

/// A pool, and what the test knows about it.
struct PoolState {
    pool: TestPool,
    machine: Machine,
    now: Duration,
    /// When each port was last released, or got a late datagram while it was bound in quarantine.
    quiet_since: BTreeMap<u16, Duration>,
}

impl PoolState {
    fn act(&mut self, operation: PoolOperation) {
        let Self { pool, now, machine, .. } = self;
        let leased: Vec<u16> = pool.leases().map(|lease| lease.port).collect();
        let chosen = |which: usize| leased.get(which % leased.len().max(1)).copied();
        let lease_holder = holder((leased.len() % 3) as u32);
        match operation {
            PoolOperation::Take(class) => {
                let given = pool.take(*now, class, lease_holder, |_| ()).ok();
                self.check_given(given.map(|lease| lease.port), class);
            }
            PoolOperation::Book(class) => {
                let given = pool.book(*now, class, lease_holder, |_| ()).ok();
                self.check_given(given.map(|lease| lease.port), class);
            }
            PoolOperation::Release(which) => {
                if let Some(port) = chosen(which) {
                    assert!(pool.release(*now, port));
                    assert!(!pool.release(*now, port), "it rests");
                    self.quiet_since.insert(port, *now);
                }
            }
            PoolOperation::Reclaim(pid) => {
                for port in pool.reclaim(*now, |holder| holder.pid != pid) {
                    assert!(leased.contains(&port));
                    self.quiet_since.insert(port, *now);
                }
            }
            PoolOperation::Wait(millis) => {
                *now += Duration::from_millis(millis);
                pool.update_quarantines(*now, usize::MAX);
            }
            PoolOperation::Late(number) => {
                let port = FIRST + number;
                let is_drained = matches!(pool.setup().quarantine, Quarantine::Drain(_));
                machine.send(port);
                if is_drained && pool.quarantined().any(|entry| entry.port == port && entry.is_held)
                {
                    self.quiet_since.insert(port, *now);
                }
            }
            PoolOperation::OtherComes(number) => _ = machine.occupy(FIRST + number),
            PoolOperation::OthersLeave => machine.0.borrow_mut().others.clear(),
            PoolOperation::Break(is_broken) => {
                machine.0.borrow_mut().broken = is_broken.then_some(Errno::EMFILE);
            }
        }
        self.check();
    }

    fn check_given(&mut self, given: Option<u16>, class: Priority) {
        let Some(port) = given else { return };
        assert!(self.pool.band_of(port).unwrap() <= class, "{port} is kept for others");
        if let Some(since) = self.quiet_since.remove(&port) {
            assert!(self.now >= since + REST, "{port}: quiet since {since:?}, now {:?}", self.now);
        }
    }

    /// Checks that each candidate is leased, in quarantine or free, and that the pool holds the
    /// sockets that it reports.
    fn check(&self) {
        let Self { pool, machine, .. } = self;
        let leased: BTreeSet<u16> = pool.leases().map(|lease| lease.port).collect();
        let quarantined: BTreeSet<u16> = pool.quarantined().map(|entry| entry.port).collect();
        assert!(leased.is_disjoint(&quarantined));
        let candidates = &pool.setup().candidates;
        for class in Priority::EACH {
            let may = |port: &u16| pool.band_of(*port).unwrap() <= class;
            let gone = leased.union(&quarantined).filter(|port| may(port)).count() as u32;
            let all = candidates.ports().filter(may).count() as u32;
            assert_eq!(pool.left_for(class) + gone, all, "{class:?}");
        }
        let held = pool.leases().filter(|lease| lease.is_held).map(|lease| lease.port);
        let entry = pool.quarantined().filter(|entry| entry.is_held).map(|entry| entry.port);
        let reported: BTreeSet<u16> = held.chain(entry).collect();
        assert_eq!(pool.held() as usize, reported.len());
        assert!(pool.held() <= pool.setup().max_held);
        assert_eq!(machine.0.borrow().ours, reported, "no socket is lost, none is leaked");
        assert!(pool.leases().all(|lease| pool.held_of(lease.port).is_some() == lease.is_held));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_port_is_leased_quarantined_or_free_and_quarantine_lasts_as_configured(
        operations in operations(),
        high in 0..8u32,
        normal in 0..8u32,
        is_drained in any::<bool>(),
        max_held in prop_oneof![Just(u32::MAX), 1..24u32],
        seed in any::<u64>(),
    ) {
        let quarantine = if is_drained { Quarantine::Drain(REST) } else { Quarantine::Time(REST) };
        let setup = PoolSetup { max_held, ..setup(24, Bands { high, normal }, quarantine) };
        let machine = Machine::default();
        let pool = Pool::new(setup, machine.clone(), ChaCha8Rng::seed_from_u64(seed)).unwrap();
        let quiet_since = BTreeMap::new();
        let mut pool_state = PoolState { pool, machine, now: at(0), quiet_since };
        for operation in operations {
            pool_state.act(operation);
        }
        let PoolState { pool, machine, .. } = pool_state;
        drop(pool);
        prop_assert_eq!(machine.ours(), 0);
    }

    #[test]
    fn low_leases_leave_exactly_the_reserved_bands(
        ports in 1..300u16,
        high in 0.0..1.0f64,
        normal in 0.0..1.0f64,
    ) {
        let of = |share: f64, left: u32| (share * f64::from(left + 1)) as u32;
        let high = of(high, u32::from(ports));
        let normal = of(normal, u32::from(ports) - high);
        let (mut pool, _machine) = pool(setup(ports, Bands { high, normal }, Quarantine::Time(REST)));
        let low = take_all(&mut pool, Priority::Low);
        prop_assert_eq!(low.len() as u32, u32::from(ports) - high - normal);
        prop_assert!(low.iter().all(|&port| pool.band_of(port) == Some(Priority::Low)));
        prop_assert_eq!(take_all(&mut pool, Priority::Normal).len() as u32, normal);
        prop_assert_eq!(take_all(&mut pool, Priority::High).len() as u32, high);
        let quarantined = 0;
        let leased = u32::from(ports);
        let none = Shortage::NoneLeft { class: Priority::High, leased, quarantined, refused: 0 };
        prop_assert_eq!(take(&mut pool, at(0), Priority::High), Err(none));
    }

    #[test]
    fn equal_seeds_lease_equal_ports_in_equal_order(seed in any::<u64>(), taken in vec(0..64u16, 0..32)) {
        let run = || {
            let (setup, machine) = (setup(64, Bands::default(), Quarantine::Time(REST)), Machine::default());
            for &port in &taken {
                machine.occupy(FIRST + port);
            }
            let mut pool = Pool::new(setup, machine, ChaCha8Rng::seed_from_u64(seed)).unwrap();
            let first = take_all(&mut pool, Priority::Low);
            for &port in &first {
                pool.release(at(0), port);
            }
            pool.update_quarantines(at(10), usize::MAX);
            (first, take_all(&mut pool, Priority::Low))
        };
        prop_assert_eq!(run(), run());
    }
}
