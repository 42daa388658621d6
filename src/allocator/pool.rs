//! Ports that are leased, rest, and are given again. Holds what keeps them bound; reads no clock.
//!
//! A lease is *held* while the pool has its socket, and *booked* when its holder binds the port by
//! itself: that one was verified by a bind and is given to nobody else. A port that came back rests
//! before it is given again (its quarantine), so that what still flies to it reaches nobody.

mod bands;
mod estimate;
mod search;
mod shelf;
mod terms;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::Rng;

use crate::{
    allocator::{Attempt, Law, Order},
    domain::Binder,
};
use estimate::Estimate;
use shelf::Shelf;

pub use bands::BandUse;
pub use terms::{
    Bands, BandsTooLarge, Class, Counts, Lease, PoolSetup, Quarantine, Resting, Shortage, Tenant,
};

/// Resting ports that are looked at for strays in one `pass` at most, those aside whose time is up: a
/// look is a system call.
const LOOKS: usize = 512;

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
    /// `Resting::until` of all that rests, in the order of their ends.
    ends: BTreeSet<(Duration, u16)>,
    /// Resting ports from here on are looked at next.
    looked: u16,
    /// Leases and resting ports with a socket.
    held: u32,
    occupied: Estimate,
    counts: Counts,
}

impl<B: Binder, R: Rng> Pool<B, R> {
    /// Errors: the bands have more ports than there are candidates.
    pub fn new(setup: PoolSetup, binder: B, random: R) -> Result<Self, BandsTooLarge> {
        let candidates = setup.candidates.len();
        let Bands { high, normal } = setup.bands;
        let asked = u64::from(high) + u64::from(normal);
        if asked > u64::from(candidates) {
            return Err(BandsTooLarge { asked, candidates });
        }
        Ok(Self {
            binder,
            random,
            shelves: [candidates - high - normal, normal, high].map(Shelf::of),
            leases: BTreeMap::new(),
            resting: BTreeMap::new(),
            ends: BTreeSet::new(),
            looked: 0,
            held: 0,
            occupied: Estimate::default(),
            counts: Counts::default(),
            setup,
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
        self.shelves[..=class as usize].iter().map(Shelf::len).sum()
    }

    /// The class that a port is kept for; `Low`: everybody's. None: it is not of the pool.
    pub fn band_of(&self, port: u16) -> Option<Class> {
        self.place_of(port).map(|(class, _)| class)
    }

    /// Leases and resting ports that keep a socket.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Share of the ports (0 to 1) that others have, as bind() met them of late.
    pub fn occupied(&self) -> f64 {
        self.occupied.share()
    }

    /// So much (0 to 1) of the range others have: the attempts are set by it until bind() tells more.
    pub fn expect_occupied(&mut self, share: f64) {
        self.occupied = Estimate::of(share);
    }

    /// Attempts that a search among so many ports is allowed, so that it gives up while one is free
    /// no more often than the wanted rate.
    pub fn attempts_among(&self, ports: u32) -> u32 {
        // One more than was met is never ruled out. No port is tried twice, which takes fewer
        // attempts than this law says, but its sum is dearer than they are.
        let occupied = (self.occupied.at_most() * f64::from(ports)).ceil() as u32;
        let law = Law::by_chance(Order::Replacement, occupied.min(ports.saturating_sub(1)), ports);
        let needed = law.and_then(|law| law.attempts_for(self.setup.failure_rate));
        needed.unwrap_or(u32::MAX).min(self.setup.max_attempts.max(1)).min(ports)
    }

    /// Binds a port and keeps it bound for the tenant; `seen` is told each attempt.
    pub fn take(
        &mut self,
        now: Duration,
        class: Class,
        tenant: Tenant,
        seen: impl FnMut(&Attempt),
    ) -> Result<Lease, Shortage> {
        if self.held >= self.setup.max_held {
            return Err(Shortage::Limit { held: self.held });
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
        let held = kept.held.take()?;
        kept.lease.is_held = false;
        self.held -= 1;
        Some(held)
    }

    /// What keeps a lease's port bound.
    pub fn held_of(&self, port: u16) -> Option<&B::Held> {
        self.leases.get(&port)?.held.as_ref()
    }

    /// Ends a lease; its port rests. False: there is none on that port.
    pub fn release(&mut self, now: Duration, port: u16) -> bool {
        let Some(kept) = self.leases.remove(&port) else { return false };
        self.counts.released += 1;
        self.held -= u32::from(kept.held.is_some());
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
            if is_held || self.binder.bind(port).0.is_ok() {
                self.release(now, port);
                self.counts.reclaimed += 1;
                reclaimed.push(port);
            }
        }
        reclaimed
    }

    /// Ends the quarantines that are over, and hears strays. To be called often, beside a
    /// quarantine's time.
    pub fn pass(&mut self, now: Duration) {
        self.pass_some(now, usize::MAX);
    }

    /// As `pass`, but looks at and ends so many at most, for closing thousands of sockets takes
    /// milliseconds. True: more are over.
    pub fn pass_some(&mut self, now: Duration, most: usize) -> bool {
        if let Quarantine::Drain(quiet) = self.setup.quarantine {
            self.look_around(now.saturating_add(quiet), most.min(LOOKS));
        }
        let mut over = self.ends.range(..=(now, u16::MAX)).map(|&(_, port)| port);
        let ending: Vec<u16> = over.by_ref().take(most).collect();
        let are_more = over.next().is_some();
        for port in ending {
            if !self.rests_on(now, port) {
                self.put_back(port);
            }
        }
        are_more
    }

    /// Gives all up at once, without any rest.
    pub fn clear(&mut self) {
        let leased = std::mem::take(&mut self.leases).into_keys();
        let resting = std::mem::take(&mut self.resting).into_keys();
        self.ends.clear();
        self.held = 0;
        for port in leased.chain(resting) {
            self.put_back(port);
        }
    }

    /// Looks for strays at some of the resting ports, at others the next time; those that got one
    /// rest until `until`.
    fn look_around(&mut self, until: Duration, most: usize) {
        let Self { binder, resting, ends, counts, looked, .. } = self;
        let mut next = 0;
        for (count, (&port, rest)) in resting.range_mut(*looked..).enumerate() {
            if count == most {
                next = port;
                break;
            }
            rest.look(port, until, binder, ends, counts);
        }
        *looked = next;
    }

    /// Whether a port whose time is up rests on: a stray came, or only now it could be bound.
    fn rests_on(&mut self, now: Duration, port: u16) -> bool {
        let Self { binder, resting, ends, counts, held, setup, .. } = self;
        let (Quarantine::Drain(quiet), Some(rest)) = (setup.quarantine, resting.get_mut(&port))
        else {
            return false;
        };
        let until = now.saturating_add(quiet);
        if rest.held.is_some() {
            return rest.look(port, until, binder, ends, counts);
        }
        if *held < setup.max_held {
            rest.held = binder.bind(port).0.ok();
        }
        rest.resting.is_held = rest.held.is_some();
        *held += u32::from(rest.resting.is_held);
        if rest.resting.is_held {
            rest.put_off(port, until, ends);
        }
        rest.resting.is_held
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
        self.held += u32::from(held.is_some());
        let number = self.counts.given;
        let lease = Lease { port, number, class, tenant, since, is_held: held.is_some() };
        self.leases.insert(port, Kept { lease, held });
        lease
    }

    fn rest(&mut self, now: Duration, port: u16, held: Option<B::Held>) {
        let (until, held) = match self.setup.quarantine {
            Quarantine::Time(time) => (now.saturating_add(time), None),
            Quarantine::Drain(quiet) => (now.saturating_add(quiet), self.held_to_rest(port, held)),
        };
        self.held += u32::from(held.is_some());
        let resting = Resting { port, until, strays: 0, is_held: held.is_some() };
        self.ends.insert((until, port));
        self.resting.insert(port, Rest { resting, held });
    }

    fn held_to_rest(&mut self, port: u16, held: Option<B::Held>) -> Option<B::Held> {
        match held {
            Some(mut held) => {
                self.binder.retire(&mut held);
                Some(held)
            }
            None if self.held < self.setup.max_held => self.binder.bind(port).0.ok(),
            None => None,
        }
    }

    /// A port of the pool that neither is leased nor free.
    fn put_back(&mut self, port: u16) {
        if let Some(rest) = self.resting.remove(&port) {
            self.ends.remove(&(rest.resting.until, port));
            self.held -= u32::from(rest.held.is_some());
        }
        if let Some((band, place)) = self.place_of(port) {
            self.shelves[band as usize].put(place);
        }
    }

    fn port_at(&self, band: Class, place: u32) -> u16 {
        self.setup.candidates.nth(self.first_of(band) + place)
    }

    /// The band, and which of its ports it is.
    fn place_of(&self, port: u16) -> Option<(Class, u32)> {
        let number = self.setup.candidates.number_of(port)?;
        let is_in = |&band: &Class| number >= self.first_of(band);
        let band = Class::EACH.into_iter().find(is_in)?;
        Some((band, number - self.first_of(band)))
    }

    /// The number of the band's first candidate.
    fn first_of(&self, band: Class) -> u32 {
        let Bands { high, normal } = self.setup.bands;
        match band {
            Class::Low => high + normal,
            Class::Normal => high,
            Class::High => 0,
        }
    }
}

impl<H> Rest<H> {
    /// A datagram begins the quiet time anew: until `until`. False: none came.
    fn look<B: Binder<Held = H>>(
        &mut self,
        port: u16,
        until: Duration,
        binder: &mut B,
        ends: &mut BTreeSet<(Duration, u16)>,
        counts: &mut Counts,
    ) -> bool {
        let strays = self.held.as_mut().map_or(0, |held| binder.strays(held));
        if strays > 0 {
            self.resting.strays += strays;
            counts.strays += strays;
            self.put_off(port, until, ends);
        }
        strays > 0
    }

    fn put_off(&mut self, port: u16, until: Duration, ends: &mut BTreeSet<(Duration, u16)>) {
        ends.remove(&(self.resting.until, port));
        ends.insert((until, port));
        self.resting.until = until;
    }
}
