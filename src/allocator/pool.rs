//! Ports that are leased, rest, and are given again. Holds what keeps them bound; reads no clock.
//!
//! A lease is *held* while the pool has its socket, and *booked* when its holder binds the port by
//! itself: that one was verified by a bind and is given to nobody else. A port that came back rests
//! before it is given again (its quarantine), so that what still flies to it reaches nobody.

mod shelf;

use std::{collections::BTreeMap, time::Duration};

use rand::Rng;

use crate::{
    allocator::{Attempt, Candidates, Law, Order},
    domain::{Binder, Refusal},
};
use shelf::Shelf;

/// How many attempts the estimate of the occupancy remembers.
const MEMORY: f64 = 64.0;

/// Who may have what: each class may have all that a lower one may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Low,
    #[default]
    Normal,
    High,
}

impl Class {
    pub const EACH: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|class| class.name() == name)
    }
}

/// How many ports are kept for a class, in ports. The first candidates are `high`'s, those after
/// them `normal`'s and `high`'s, and the rest everybody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bands {
    pub high: u32,
    pub normal: u32,
}

/// What a port goes through after its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// It is closed, and not given again for so long.
    Time(Duration),
    /// It stays bound until no datagram came for so long. What was booked is bound for it.
    Drain(Duration),
}

/// What a pool is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSetup {
    pub candidates: Candidates,
    pub bands: Bands,
    pub quarantine: Quarantine,
    /// How often a search may give up although a port is free, 0 to 1: the attempts follow from it
    /// and from how occupied the range was found.
    pub failure_rate: f64,
    /// Attempts of one search in one band, at most.
    pub max_attempts: u32,
    /// Leases and resting ports that keep a socket, at most: what the descriptor limit allows.
    pub max_held: u32,
}

/// The bands are larger than their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bands of {asked} ports in a range of {candidates}")]
pub struct BandsTooLarge {
    pub asked: u64,
    pub candidates: u32,
}

/// Whose lease it is: a process, told from a later one of the same pid by its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tenant {
    pub pid: u32,
    /// In ticks since boot (proc_pid_stat(5), field 22).
    pub started: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub port: u16,
    /// Counted from 1 over the life of the pool.
    pub number: u64,
    pub class: Class,
    pub tenant: Tenant,
    /// When it was taken.
    pub since: Duration,
    /// The pool has its socket.
    pub is_held: bool,
}

/// A port in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    pub port: u16,
    /// When it is given again if nothing comes.
    pub until: Duration,
    /// Datagrams that came for it meanwhile.
    pub strays: u64,
    /// It stays bound.
    pub is_held: bool,
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// All that the class may have is leased, rests, or (`refused`) is bound by others.
    #[error(
        "no port is left for class {}: {leased} leased, {resting} resting, {refused} in use by others",
        class.name()
    )]
    NoneLeft { class: Class, leased: u32, resting: u32, refused: u32 },
    /// Others had so many of the ports tried; not all were tried.
    #[error("gave up after {attempts} attempts, {untried} ports not tried")]
    GaveUp { attempts: u32, untried: u32, last: Refusal },
    /// No more sockets can be kept.
    #[error("{held} ports are held, as many as open files allow")]
    Limit { held: u32 },
}

/// What the pool did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub given: u64,
    pub refused: u64,
    pub released: u64,
    /// Of the released ones, those whose tenant was gone.
    pub reclaimed: u64,
    pub strays: u64,
}

struct Kept<H> {
    lease: Lease,
    held: Option<H>,
}

struct Rest<H> {
    resting: Resting,
    held: Option<H>,
}

/// Leases ports by a `Binder`. The time is told by the caller and never goes back.
pub struct Pool<B: Binder, R> {
    setup: PoolSetup,
    binder: B,
    random: R,
    /// Free ports: everybody's, then `Normal`'s, then `High`'s.
    shelves: [Shelf; 3],
    leases: BTreeMap<u16, Kept<B::Held>>,
    resting: BTreeMap<u16, Rest<B::Held>>,
    /// Share of ports that others have, as bind() met them of late.
    occupied: f64,
    counts: Counts,
}

impl<B: Binder, R: Rng> Pool<B, R> {
    /// Errors: the bands have more ports than there are candidates.
    pub fn new(setup: PoolSetup, binder: B, random: R) -> Result<Self, BandsTooLarge> {
        let candidates = setup.candidates.len();
        let asked = u64::from(setup.bands.high) + u64::from(setup.bands.normal);
        if asked > u64::from(candidates) {
            return Err(BandsTooLarge { asked, candidates });
        }
        let bounds = [asked as u32, setup.bands.high, 0, candidates];
        let of = |first: u32, after: u32| {
            Shelf::new((first..after).map(|number| setup.candidates.nth(number)))
        };
        let shelves =
            [of(bounds[0], bounds[3]), of(bounds[1], bounds[0]), of(bounds[2], bounds[1])];
        Ok(Self {
            setup,
            binder,
            random,
            shelves,
            leases: BTreeMap::new(),
            resting: BTreeMap::new(),
            occupied: 0.0,
            counts: Counts::default(),
        })
    }

    pub fn setup(&self) -> &PoolSetup {
        &self.setup
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Leases by port.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = &Lease> {
        self.leases.values().map(|kept| &kept.lease)
    }

    pub fn lease(&self, port: u16) -> Option<&Lease> {
        self.leases.get(&port).map(|kept| &kept.lease)
    }

    /// Ports in quarantine, ascending.
    pub fn resting(&self) -> impl ExactSizeIterator<Item = &Resting> {
        self.resting.values().map(|rest| &rest.resting)
    }

    /// Ports that the class may have and that neither are leased nor rest; others may have them.
    pub fn left_for(&self, class: Class) -> u32 {
        self.shelves_of(class).map(|shelf| self.shelves[shelf].len()).sum()
    }

    /// The class that a port is kept for; `Low`: everybody's. None: it is not of the pool.
    pub fn band_of(&self, port: u16) -> Option<Class> {
        let number = self.setup.candidates.number_of(port)?;
        let Bands { high, normal } = self.setup.bands;
        Some(match number {
            number if number < high => Class::High,
            number if number - high < normal => Class::Normal,
            _ => Class::Low,
        })
    }

    /// So much (0 to 1) of the range others have: the attempts are set by it until bind() tells more.
    pub fn expect_occupied(&mut self, share: f64) {
        self.occupied = share.clamp(0.0, 1.0);
    }

    /// Share of ports that others have, as bind() met them of late.
    pub fn occupied(&self) -> f64 {
        self.occupied
    }

    /// Attempts that a search among so many ports is allowed, so that it gives up while one is free
    /// no more often than the wanted rate.
    pub fn attempts_among(&self, ports: u32) -> u32 {
        // One more than was met is never ruled out.
        let occupied = (self.occupied * f64::from(ports)).ceil() as u32;
        let law = Law::by_chance(Order::Shuffled, occupied.min(ports.saturating_sub(1)), ports);
        let needed = law.and_then(|law| law.attempts_for(self.setup.failure_rate));
        needed.unwrap_or(1).min(self.setup.max_attempts)
    }

    /// Binds a port and keeps it bound for the tenant; `seen` is told each attempt.
    pub fn take(
        &mut self,
        now: Duration,
        class: Class,
        tenant: Tenant,
        seen: impl FnMut(&Attempt),
    ) -> Result<Lease, Shortage> {
        let held = self.held();
        if held >= self.setup.max_held {
            return Err(Shortage::Limit { held });
        }
        let (port, held) = self.search(class, seen)?;
        Ok(self.enter(now, class, tenant, port, Some(held)))
    }

    /// As `take`, but the port is let go at once: the tenant binds it by itself.
    pub fn book(
        &mut self,
        now: Duration,
        class: Class,
        tenant: Tenant,
        seen: impl FnMut(&Attempt),
    ) -> Result<Lease, Shortage> {
        let (port, held) = self.search(class, seen)?;
        drop(held);
        Ok(self.enter(now, class, tenant, port, None))
    }

    /// The socket of a held lease, which is a booked one from then on.
    pub fn hand_over(&mut self, port: u16) -> Option<B::Held> {
        let kept = self.leases.get_mut(&port)?;
        kept.lease.is_held = false;
        kept.held.take()
    }

    /// What keeps a lease's port bound.
    pub fn held_of(&self, port: u16) -> Option<&B::Held> {
        self.leases.get(&port)?.held.as_ref()
    }

    /// Ends a lease; its port rests. False: there is none on that port.
    pub fn release(&mut self, now: Duration, port: u16) -> bool {
        let Some(kept) = self.leases.remove(&port) else { return false };
        self.counts.released += 1;
        self.rest(now, port, kept.held);
        true
    }

    /// Ends the leases whose tenants are gone; a booked one only if its port can be bound again,
    /// for a child may still use it. Tells their ports.
    pub fn reclaim(&mut self, now: Duration, mut is_alive: impl FnMut(Tenant) -> bool) -> Vec<u16> {
        let gone = self.leases().filter(|lease| !is_alive(lease.tenant));
        let gone: Vec<(u16, bool)> = gone.map(|lease| (lease.port, lease.is_held)).collect();
        let mut reclaimed = Vec::new();
        for (port, is_held) in gone {
            let again = if is_held { None } else { self.binder.bind(port).0.ok() };
            if !is_held && again.is_none() {
                continue;
            }
            let kept = self.leases.remove(&port);
            self.counts.released += 1;
            self.counts.reclaimed += 1;
            self.rest(now, port, kept.and_then(|kept| kept.held).or(again));
            reclaimed.push(port);
        }
        reclaimed
    }

    /// Ends quarantines. To be called often, beside a quarantine's time.
    pub fn pass(&mut self, now: Duration) {
        let drained = self.drain(now);
        let is_over = |rest: &Rest<B::Held>| now >= rest.resting.until;
        let over: Vec<u16> = if drained {
            let over = self.resting.iter().filter(|(_, rest)| is_over(rest));
            over.map(|(&port, _)| port).collect()
        } else {
            Vec::new()
        };
        for port in over {
            self.resting.remove(&port);
            self.put_back(port);
        }
    }

    /// Gives all up at once, without any rest.
    pub fn clear(&mut self) {
        let ports = self.leases.keys().chain(self.resting.keys());
        let ports: Vec<u16> = ports.copied().collect();
        self.leases.clear();
        self.resting.clear();
        ports.into_iter().for_each(|port| self.put_back(port));
    }

    /// A datagram begins the quiet time of its port anew. False: nothing rests.
    fn drain(&mut self, now: Duration) -> bool {
        let Self { binder, resting, setup, counts, .. } = self;
        for rest in resting.values_mut() {
            let Some(held) = &mut rest.held else { continue };
            let strays = binder.strays(held);
            if strays > 0
                && let Quarantine::Drain(quiet) = setup.quarantine
            {
                rest.resting.strays += strays;
                rest.resting.until = now + quiet;
                counts.strays += strays;
            }
        }
        !resting.is_empty()
    }

    fn held(&self) -> u32 {
        let leases = self.leases.values().filter(|kept| kept.held.is_some()).count();
        let resting = self.resting.values().filter(|rest| rest.held.is_some()).count();
        (leases + resting) as u32
    }

    /// The widest band first, so that what is kept for a class is its last resort.
    fn search(
        &mut self,
        class: Class,
        mut seen: impl FnMut(&Attempt),
    ) -> Result<(u16, B::Held), Shortage> {
        let (mut number, mut untried, mut last) = (0, 0, None);
        for shelf in self.shelves_of(class) {
            let among = self.shelves[shelf].len();
            let allowed = self.attempts_among(among).min(among);
            for tried in 0..allowed {
                let port = self.shelves[shelf].draw(tried, &mut self.random);
                let (result, took) = self.binder.bind(port);
                number += 1;
                let refusal = result.as_ref().err().copied();
                seen(&Attempt { number, port, refusal, took });
                self.learn(refusal.is_some());
                match result {
                    Ok(held) => {
                        self.shelves[shelf].remove(port);
                        return Ok((port, held));
                    }
                    Err(refusal) => last = Some(refusal),
                }
            }
            untried += among - allowed;
        }
        Err(match last {
            Some(last) if untried > 0 => Shortage::GaveUp { attempts: number, untried, last },
            _ => Shortage::NoneLeft {
                class,
                leased: self.leases.len() as u32,
                resting: self.resting.len() as u32,
                refused: number,
            },
        })
    }

    fn shelves_of(&self, class: Class) -> impl Iterator<Item = usize> + use<B, R> {
        0..=class as usize
    }

    fn learn(&mut self, is_refused: bool) {
        self.counts.refused += u64::from(is_refused);
        self.occupied += (f64::from(u8::from(is_refused)) - self.occupied) / MEMORY;
    }

    fn enter(
        &mut self,
        since: Duration,
        class: Class,
        tenant: Tenant,
        port: u16,
        held: Option<B::Held>,
    ) -> Lease {
        self.counts.given += 1;
        let number = self.counts.given;
        let lease = Lease { port, number, class, tenant, since, is_held: held.is_some() };
        self.leases.insert(port, Kept { lease, held });
        lease
    }

    fn rest(&mut self, now: Duration, port: u16, held: Option<B::Held>) {
        let (until, held) = match self.setup.quarantine {
            Quarantine::Time(time) => (now + time, None),
            Quarantine::Drain(quiet) => {
                (now + quiet, held.or_else(|| self.binder.bind(port).0.ok()))
            }
        };
        let resting = Resting { port, until, strays: 0, is_held: held.is_some() };
        self.resting.insert(port, Rest { resting, held });
    }

    fn put_back(&mut self, port: u16) {
        if let Some(class) = self.band_of(port) {
            self.shelves[class as usize].put(port);
        }
    }
}
