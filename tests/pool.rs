//! What holds of every pool, on a simulated binder. Not real sockets, and not the clock.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use portscope::{
    allocator::{
        Bands, Candidates, Class, Pool, PoolSetup, Quarantine, Shortage, Tenant,
        pool::BandsTooLarge,
    },
    domain::{Binder, Errno, PortRange, Protocol, Refusal},
};
use proptest::{collection::vec, prelude::*};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

const FIRST: u16 = 50_000;
const REST: Duration = Duration::from_secs(10);

/// Who has which port, and what came for it.
#[derive(Default)]
struct World {
    ours: BTreeSet<u16>,
    others: BTreeSet<u16>,
    strays: BTreeMap<u16, u64>,
    /// Every bind() fails by it.
    broken: Option<Errno>,
}

#[derive(Clone, Default)]
struct Machine(Rc<RefCell<World>>);

impl Machine {
    fn ours(&self) -> usize {
        self.0.borrow().ours.len()
    }

    fn send(&self, port: u16) {
        let mut world = self.0.borrow_mut();
        if world.ours.contains(&port) {
            *world.strays.entry(port).or_default() += 1;
        }
    }

    fn give_to_others(&self, port: u16) -> bool {
        let mut world = self.0.borrow_mut();
        !world.ours.contains(&port) && world.others.insert(port)
    }
}

struct Socket {
    machine: Machine,
    port: u16,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut world = self.machine.0.borrow_mut();
        assert!(world.ours.remove(&self.port));
        world.strays.remove(&self.port);
    }
}

impl Binder for Machine {
    type Held = Socket;

    fn bind(&mut self, port: u16) -> (Result<Socket, Refusal>, Duration) {
        let mut world = self.0.borrow_mut();
        let in_use = world.others.contains(&port) || world.ours.contains(&port);
        let errno = world.broken.or(in_use.then_some(Errno::EADDRINUSE));
        let result = if let Some(errno) = errno {
            Err(Refusal { protocol: Protocol::Udp, errno })
        } else {
            world.ours.insert(port);
            Ok(Socket { machine: self.clone(), port })
        };
        (result, Duration::from_micros(1))
    }

    fn strays(&mut self, held: &mut Socket) -> u64 {
        self.0.borrow_mut().strays.remove(&held.port).unwrap_or(0)
    }
}

type TestPool = Pool<Machine, ChaCha8Rng>;

fn setup(ports: u16, bands: Bands, quarantine: Quarantine) -> PoolSetup {
    PoolSetup {
        candidates: Candidates::new(PortRange::new(FIRST, FIRST + (ports - 1)).unwrap(), &[]),
        bands,
        quarantine,
        failure_rate: 1e-6,
        max_attempts: u32::MAX,
        max_held: u32::MAX,
    }
}

fn pool(setup: PoolSetup) -> (TestPool, Machine) {
    let machine = Machine::default();
    (Pool::new(setup, machine.clone(), ChaCha8Rng::seed_from_u64(1)).unwrap(), machine)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn tenant(pid: u32) -> Tenant {
    Tenant { pid, started: 7 }
}

fn take(pool: &mut TestPool, now: Duration, class: Class) -> Result<u16, Shortage> {
    pool.take(now, class, tenant(1), |_| ()).map(|lease| lease.port)
}

fn take_all(pool: &mut TestPool, class: Class) -> Vec<u16> {
    std::iter::from_fn(|| take(pool, at(0), class).ok()).collect()
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Take(Class),
    Book(Class),
    Release(usize),
    HandOver(usize),
    /// Tenants of that pid are gone.
    Reclaim(u32),
    Wait(u64),
    Stray(u16),
    OtherComes(u16),
    OthersLeave,
    Break(bool),
    Clear,
}

fn classes() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Low), Just(Class::Normal), Just(Class::High)]
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        8 => classes().prop_map(Deed::Take),
        4 => classes().prop_map(Deed::Book),
        5 => any::<usize>().prop_map(Deed::Release),
        2 => any::<usize>().prop_map(Deed::HandOver),
        2 => (0..3u32).prop_map(Deed::Reclaim),
        5 => (0..8000u64).prop_map(Deed::Wait),
        4 => (0..24u16).prop_map(Deed::Stray),
        3 => (0..24u16).prop_map(Deed::OtherComes),
        1 => Just(Deed::OthersLeave),
        1 => any::<bool>().prop_map(Deed::Break),
        1 => Just(Deed::Clear),
    ];
    vec(deed, 1..200)
}

/// A pool, and what a bystander knows of it.
struct Bystander {
    pool: TestPool,
    machine: Machine,
    now: Duration,
    /// When each port was given back last, or got a stray while it was held to rest.
    quiet_since: BTreeMap<u16, Duration>,
    handed_over: Vec<Socket>,
}

impl Bystander {
    fn act(&mut self, deed: Deed) {
        let Self { pool, now, machine, .. } = self;
        let leased: Vec<u16> = pool.leases().map(|lease| lease.port).collect();
        let chosen = |which: usize| leased.get(which % leased.len().max(1)).copied();
        let whose = tenant((leased.len() % 3) as u32);
        match deed {
            Deed::Take(class) => {
                let given = pool.take(*now, class, whose, |_| ()).ok();
                self.check_given(given.map(|lease| lease.port), class);
            }
            Deed::Book(class) => {
                let given = pool.book(*now, class, whose, |_| ()).ok();
                self.check_given(given.map(|lease| lease.port), class);
            }
            Deed::Release(which) => {
                if let Some(port) = chosen(which) {
                    assert!(pool.release(*now, port));
                    assert!(!pool.release(*now, port), "it rests");
                    self.quiet_since.insert(port, *now);
                }
            }
            Deed::HandOver(which) => {
                let socket = chosen(which).and_then(|port| pool.hand_over(port));
                self.handed_over.extend(socket);
            }
            Deed::Reclaim(pid) => {
                for port in pool.reclaim(*now, |tenant| tenant.pid != pid) {
                    assert!(leased.contains(&port));
                    self.quiet_since.insert(port, *now);
                }
            }
            Deed::Wait(millis) => {
                *now += Duration::from_millis(millis);
                pool.pass(*now);
            }
            Deed::Stray(number) => {
                let port = FIRST + number;
                let is_drained = matches!(pool.setup().quarantine, Quarantine::Drain(_));
                machine.send(port);
                if is_drained && pool.resting().any(|rest| rest.port == port && rest.is_held) {
                    self.quiet_since.insert(port, *now);
                }
            }
            Deed::OtherComes(number) => _ = machine.give_to_others(FIRST + number),
            Deed::OthersLeave => {
                machine.0.borrow_mut().others.clear();
                self.handed_over.clear();
            }
            Deed::Break(is_broken) => {
                machine.0.borrow_mut().broken = is_broken.then_some(Errno::EMFILE);
            }
            Deed::Clear => {
                pool.clear();
                self.quiet_since.clear();
            }
        }
        self.check();
    }

    fn check_given(&mut self, given: Option<u16>, class: Class) {
        let Some(port) = given else { return };
        assert!(self.pool.band_of(port).unwrap() <= class, "{port} is kept for others");
        if let Some(since) = self.quiet_since.remove(&port) {
            assert!(self.now >= since + REST, "{port}: quiet since {since:?}, now {:?}", self.now);
        }
    }

    /// Leased, resting and free are a partition of the candidates; the sockets are those it says.
    fn check(&self) {
        let Self { pool, machine, .. } = self;
        let leased: BTreeSet<u16> = pool.leases().map(|lease| lease.port).collect();
        let resting: BTreeSet<u16> = pool.resting().map(|rest| rest.port).collect();
        assert!(leased.is_disjoint(&resting));
        let candidates = &pool.setup().candidates;
        for class in Class::EACH {
            let may = |port: &u16| pool.band_of(*port).unwrap() <= class;
            let gone = leased.union(&resting).filter(|port| may(port)).count() as u32;
            let all = candidates.ports().filter(may).count() as u32;
            assert_eq!(pool.left_for(class) + gone, all, "{class:?}");
        }
        let held = pool.leases().filter(|lease| lease.is_held).map(|lease| lease.port);
        let rest = pool.resting().filter(|rest| rest.is_held).map(|rest| rest.port);
        let mut said: BTreeSet<u16> = held.chain(rest).collect();
        assert_eq!(pool.held() as usize, said.len());
        assert!(pool.held() <= pool.setup().max_held);
        said.extend(self.handed_over.iter().map(|socket| socket.port));
        assert_eq!(machine.0.borrow().ours, said, "no socket is lost, none is leaked");
        assert!(pool.leases().all(|lease| pool.held_of(lease.port).is_some() == lease.is_held));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_a_port_is_leased_or_rests_or_is_free_and_rests_as_long_as_asked(
        deeds in deeds(),
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
        let (quiet_since, handed_over) = (BTreeMap::new(), Vec::new());
        let mut bystander = Bystander { pool, machine, now: at(0), quiet_since, handed_over };
        for deed in deeds {
            bystander.act(deed);
        }
        let Bystander { pool, machine, handed_over, .. } = bystander;
        drop((pool, handed_over));
        prop_assert_eq!(machine.ours(), 0);
    }

    #[test]
    fn low_asking_for_everything_leaves_exactly_the_bands_to_those_they_are_kept_for(
        ports in 1..300u16,
        high in 0.0..1.0f64,
        normal in 0.0..1.0f64,
    ) {
        let of = |share: f64, left: u32| (share * f64::from(left + 1)) as u32;
        let high = of(high, u32::from(ports));
        let normal = of(normal, u32::from(ports) - high);
        let (mut pool, _machine) = pool(setup(ports, Bands { high, normal }, Quarantine::Time(REST)));
        let low = take_all(&mut pool, Class::Low);
        prop_assert_eq!(low.len() as u32, u32::from(ports) - high - normal);
        prop_assert!(low.iter().all(|&port| pool.band_of(port) == Some(Class::Low)));
        prop_assert_eq!(take_all(&mut pool, Class::Normal).len() as u32, normal);
        prop_assert_eq!(take_all(&mut pool, Class::High).len() as u32, high);
        let resting = 0;
        let leased = u32::from(ports);
        let none = Shortage::NoneLeft { class: Class::High, leased, resting, refused: 0 };
        prop_assert_eq!(take(&mut pool, at(0), Class::High), Err(none));
    }

    #[test]
    fn the_same_seed_gives_the_same_ports_in_the_same_order(seed in any::<u64>(), taken in vec(0..64u16, 0..32)) {
        let run = || {
            let (setup, machine) = (setup(64, Bands::default(), Quarantine::Time(REST)), Machine::default());
            for &port in &taken {
                machine.give_to_others(FIRST + port);
            }
            let mut pool = Pool::new(setup, machine, ChaCha8Rng::seed_from_u64(seed)).unwrap();
            let first = take_all(&mut pool, Class::Low);
            for &port in &first {
                pool.release(at(0), port);
            }
            pool.pass(at(10));
            (first, take_all(&mut pool, Class::Low))
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn a_high_lease_spares_its_band_while_others_have_ports() {
    let (mut pool, _machine) =
        pool(setup(10, Bands { high: 4, normal: 3 }, Quarantine::Time(REST)));
    let band_of = |port| match port - FIRST {
        0..4 => Class::High,
        4..7 => Class::Normal,
        _ => Class::Low,
    };
    let bands: Vec<Class> = take_all(&mut pool, Class::High).into_iter().map(band_of).collect();
    assert_eq!(
        bands,
        [[Class::Low; 3].as_slice(), &[Class::Normal; 3], &[Class::High; 4]].concat()
    );
}

#[test]
fn bands_larger_than_the_range_make_no_pool() {
    let setup = setup(10, Bands { high: 6, normal: 5 }, Quarantine::Time(REST));
    let refused = Pool::new(setup, Machine::default(), ChaCha8Rng::seed_from_u64(1)).err();
    assert_eq!(refused, Some(BandsTooLarge { asked: 11, candidates: 10 }));
    let bands = Bands { high: u32::MAX, normal: u32::MAX };
    let setup = PoolSetup { bands, ..self::setup(10, Bands::default(), Quarantine::Time(REST)) };
    assert!(Pool::new(setup, Machine::default(), ChaCha8Rng::seed_from_u64(1)).is_err());
}

#[test]
fn a_released_port_is_given_again_when_its_time_is_over_and_not_before() {
    let (mut pool, machine) = pool(setup(1, Bands::default(), Quarantine::Time(REST)));
    let port = take(&mut pool, at(0), Class::Low).unwrap();
    assert!(pool.release(at(5), port));
    assert_eq!(machine.ours(), 0, "a rest by time is closed");
    pool.pass(Duration::from_millis(14_999));
    let none = Shortage::NoneLeft { class: Class::Low, leased: 0, resting: 1, refused: 0 };
    assert_eq!(take(&mut pool, at(14), Class::Low), Err(none));
    pool.pass(at(15));
    assert_eq!(take(&mut pool, at(15), Class::Low), Ok(port));
}

#[test]
fn each_stray_begins_the_quiet_time_anew_and_the_port_stays_bound() {
    let (mut pool, machine) = pool(setup(1, Bands::default(), Quarantine::Drain(REST)));
    let port = take(&mut pool, at(0), Class::Low).unwrap();
    pool.release(at(0), port);
    for now in [9, 18, 27] {
        machine.send(port);
        machine.send(port);
        pool.pass(at(now));
        assert_eq!((machine.ours(), pool.resting().next().unwrap().until), (1, at(now + 10)));
    }
    assert_eq!((pool.counts().strays, pool.resting().next().unwrap().strays), (6, 6));
    // One that came when nobody looked.
    machine.send(port);
    pool.pass(at(1000));
    assert_eq!(pool.resting().len(), 1);
    pool.pass(at(1010));
    assert_eq!((pool.resting().len(), machine.ours()), (0, 0));
}

#[test]
fn a_drain_hears_strays_however_many_ports_rest() {
    let (mut pool, machine) = pool(setup(10_000, Bands::default(), Quarantine::Drain(REST)));
    let ports = take_all(&mut pool, Class::Low);
    for &port in &ports {
        pool.release(at(0), port);
    }
    for &port in &ports {
        machine.send(port);
    }
    pool.pass(at(10));
    assert_eq!((pool.resting().len(), pool.counts().strays), (10_000, 10_000));
    let mut rounds = 1;
    while pool.pass_some(at(20), 64) {
        rounds += 1;
    }
    assert_eq!((rounds, pool.left_for(Class::Low)), (10_000_u32.div_ceil(64), 10_000));
}

#[test]
fn a_port_that_its_tenant_still_has_is_bound_for_its_drain_as_soon_as_that_can_be() {
    let (mut pool, machine) = pool(setup(1, Bands::default(), Quarantine::Drain(REST)));
    let port = pool.book(at(0), Class::Low, tenant(1), |_| ()).unwrap().port;
    assert!(machine.give_to_others(port), "its tenant binds it");
    pool.release(at(0), port);
    assert!(!pool.resting().next().unwrap().is_held);
    machine.0.borrow_mut().others.clear();
    pool.pass(at(10));
    let rest = *pool.resting().next().unwrap();
    assert_eq!((rest.is_held, rest.until, machine.ours()), (true, at(20), 1));
    pool.pass(at(20));
    assert_eq!((pool.left_for(Class::Low), machine.ours(), pool.held()), (1, 0, 0));
}

#[test]
fn only_leases_of_those_who_are_gone_are_reclaimed() {
    let (mut pool, _machine) = pool(setup(4, Bands::default(), Quarantine::Time(REST)));
    let both = [Tenant { pid: 5, started: 1 }, Tenant { pid: 5, started: 2 }];
    let [gone, alive] =
        both.map(|tenant| pool.take(at(0), Class::Low, tenant, |_| ()).unwrap().port);
    let alive_now = |tenant: Tenant| tenant.started == 2;
    assert_eq!(pool.reclaim(at(1), alive_now), [gone], "the pid is another process now");
    assert_eq!(pool.leases().map(|lease| lease.port).collect::<Vec<_>>(), [alive]);
    assert_eq!((pool.counts().reclaimed, pool.counts().released), (1, 1));
}

#[test]
fn a_booked_port_that_a_child_still_uses_is_reclaimed_when_it_is_free() {
    let (mut pool, machine) = pool(setup(1, Bands::default(), Quarantine::Time(REST)));
    let port = pool.book(at(0), Class::Low, tenant(1), |_| ()).unwrap().port;
    assert_eq!(machine.ours(), 0);
    assert!(machine.give_to_others(port));
    for now in 1..5 {
        assert_eq!(pool.reclaim(at(now), |_| false), [0_u16; 0]);
        assert_eq!(pool.leases().len(), 1);
    }
    machine.0.borrow_mut().others.clear();
    assert_eq!(pool.reclaim(at(5), |_| false), [port]);
    pool.pass(at(14));
    assert_eq!(pool.left_for(Class::Low), 0, "it rests from then on");
    pool.pass(at(15));
    assert_eq!(pool.left_for(Class::Low), 1);
}

#[test]
fn no_more_sockets_are_held_than_allowed_those_of_resting_ports_included() {
    let setup = PoolSetup { max_held: 3, ..setup(10, Bands::default(), Quarantine::Drain(REST)) };
    let (mut pool, machine) = pool(setup);
    let ports = take_all(&mut pool, Class::Low);
    assert_eq!(ports.len(), 3);
    pool.release(at(0), ports[0]);
    assert_eq!(take(&mut pool, at(0), Class::Low), Err(Shortage::Limit { held: 3 }));
    let booked = pool.book(at(0), Class::Low, tenant(1), |_| ()).unwrap().port;
    pool.release(at(1), booked);
    assert_eq!((pool.held(), machine.ours()), (3, 3));
    pool.pass(at(10));
    pool.pass(at(11));
    assert_eq!((pool.held(), pool.resting().len()), (3, 1), "now there is room to watch it");
}

#[test]
fn a_machine_without_descriptors_is_not_a_full_one() {
    let (mut pool, machine) = pool(setup(1000, Bands::default(), Quarantine::Time(REST)));
    machine.0.borrow_mut().broken = Some(Errno::EMFILE);
    let refused = take(&mut pool, at(0), Class::Low).unwrap_err();
    let words = "gave up after 1 attempts, 999 ports not tried; udp refused by EMFILE";
    assert_eq!(refused.to_string().to_lowercase(), words.to_lowercase());
    machine.0.borrow_mut().broken = None;
    assert!(take(&mut pool, at(0), Class::Low).is_ok());
}

#[test]
fn a_full_range_is_tried_to_its_last_port_and_named_full() {
    let (mut pool, machine) = pool(setup(500, Bands::default(), Quarantine::Time(REST)));
    for port in 0..500 {
        machine.give_to_others(FIRST + port);
    }
    let none = Shortage::NoneLeft { class: Class::Low, leased: 0, resting: 0, refused: 500 };
    assert_eq!(take(&mut pool, at(0), Class::Low), Err(none));
    machine.0.borrow_mut().others.remove(&(FIRST + 123));
    assert_eq!(take(&mut pool, at(0), Class::Low), Ok(FIRST + 123));
}

/// Populations drawn anew for each search, by a pool that learns of them from its attempts alone.
#[test]
fn searches_give_up_while_a_port_is_free_no_more_often_than_wanted() {
    const PORTS: u16 = 400;
    const SEARCHES: u32 = 3000;
    for (share, rate) in [(0.5, 0.2), (0.9, 0.2), (0.9, 0.02), (0.98, 0.1), (0.99, 0.01)] {
        let setup = PoolSetup {
            failure_rate: rate,
            ..setup(PORTS, Bands::default(), Quarantine::Time(Duration::ZERO))
        };
        let (mut pool, machine) = pool(setup);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut ports: Vec<u16> = (FIRST..FIRST + PORTS).collect();
        let mut gave_up = 0;
        for _ in 0..SEARCHES {
            ports.shuffle(&mut random);
            let taken = (f64::from(PORTS) * share) as usize;
            machine.0.borrow_mut().others = ports[..taken].iter().copied().collect();
            match take(&mut pool, at(0), Class::Low) {
                Ok(port) => assert!(pool.release(at(0), port)),
                Err(_) => gave_up += 1,
            }
            pool.pass(at(0));
        }
        let expected = f64::from(SEARCHES) * rate;
        let most = expected + 4.0 * (expected * (1.0 - rate)).sqrt();
        assert!(f64::from(gave_up) <= most, "{share} full, wanted {rate}: {gave_up} of {SEARCHES}");
    }
}

#[test]
fn the_attempts_follow_the_occupancy_and_the_wanted_rate() {
    let attempts = |share: f64, failure_rate| {
        let setup =
            PoolSetup { failure_rate, ..setup(10_000, Bands::default(), Quarantine::Time(REST)) };
        let (mut pool, _machine) = pool(setup);
        pool.expect_occupied(share);
        pool.attempts_among(10_000)
    };
    for rate in [1e-1, 1e-3, 1e-6] {
        let rising: Vec<u32> = [0.0, 0.5, 0.9, 0.99].map(|share| attempts(share, rate)).into();
        assert!(rising.is_sorted_by(|one, next| one < next), "{rate}: {rising:?}");
        for (share, allowed) in [0.0_f64, 0.5, 0.9].into_iter().zip(rising) {
            let fails = share.powf(f64::from(allowed));
            assert!(fails <= rate, "{share}: {allowed} attempts all miss with {fails}");
        }
    }
    assert!(attempts(0.5, 1e-6) > attempts(0.5, 1e-3));
}

#[test]
fn a_range_that_filled_up_unseen_does_not_make_a_strict_search_give_up() {
    let (mut pool, machine) = pool(setup(2000, Bands::default(), Quarantine::Time(REST)));
    for _ in 0..500 {
        take(&mut pool, at(0), Class::Low).unwrap();
    }
    let free: Vec<u16> =
        (FIRST..FIRST + 2000).filter(|&port| pool.lease(port).is_none()).take(30).collect();
    for port in (FIRST..FIRST + 2000).filter(|port| !free.contains(port)) {
        machine.give_to_others(port);
    }
    for _ in 0..30 {
        assert!(free.contains(&take(&mut pool, at(0), Class::Low).unwrap()));
    }
}
