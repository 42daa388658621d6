//! Leases ports, and quarantines a returned port before it is leased again. Owns the sockets that
//! keep ports bound. Reads no clock.
//!
//! A lease is *held* while the pool has its socket, and *booked* if the lease holder binds the port
//! itself: the pool verified the port by a bind, and leases it to nobody else. The quarantine keeps
//! packets that are still on their way to a returned port from reaching another process.

mod bands;
mod estimate;
mod free_list;
mod search;
mod setup;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::Rng;

use crate::{
    allocator::{Attempt, Model, Order},
    domain::Binder,
};
use estimate::Estimate;
use free_list::FreeList;

pub use bands::BandUse;
pub use setup::{
    Bands, BandsTooLarge, Lease, LeaseHolder, PoolCounts, PoolSetup, Priority, Quarantine,
    QuarantineEntry, Shortage,
};

/// Maximum number of ports in quarantine that one `update_quarantines` checks for datagrams, in
/// addition to those whose quarantine is over. Each check is a system call.
const MAX_CHECKS: usize = 512;

struct LeaseEntry<H> {
    lease: Lease,
    held: Option<H>,
}

struct QuarantinedPort<H> {
    quarantined: QuarantineEntry,
    held: Option<H>,
}

/// Leases ports through a `Binder`. The caller passes the time, which never goes back.
pub struct Pool<B: Binder, R> {
    setup: PoolSetup,
    binder: B,
    random: R,
    /// Free ports of each band, in the order of `Priority::EACH`.
    free_lists: [FreeList; 3],
    leases: BTreeMap<u16, LeaseEntry<B::Held>>,
    quarantined: BTreeMap<u16, QuarantinedPort<B::Held>>,
    /// `QuarantineEntry::until` of all ports in quarantine, in order of time.
    ends: BTreeSet<(Duration, u16)>,
    /// Port at which the next check for datagrams starts.
    next_check: u16,
    /// Number of ports, leased or in quarantine, that the pool keeps bound.
    held: u32,
    occupied: Estimate,
    counts: PoolCounts,
}

impl<B: Binder, R: Rng> Pool<B, R> {
    /// Creates a pool.
    ///
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
            free_lists: [candidates - high - normal, normal, high].map(FreeList::of),
            leases: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            ends: BTreeSet::new(),
            next_check: 0,
            held: 0,
            occupied: Estimate::default(),
            counts: PoolCounts::default(),
            setup,
        })
    }

    pub fn setup(&self) -> &PoolSetup {
        &self.setup
    }

    pub fn counts(&self) -> PoolCounts {
        self.counts
    }

    /// Returns the leases in order of port.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = &Lease> {
        self.leases.values().map(|lease_entry| &lease_entry.lease)
    }

    /// Returns the ports in quarantine, ascending.
    pub fn quarantined(&self) -> impl ExactSizeIterator<Item = &QuarantineEntry> {
        self.quarantined.values().map(|entry| &entry.quarantined)
    }

    /// Returns the number of ports that the class may use and that are neither leased nor in
    /// quarantine. Other programs may have bound some of them.
    pub fn left_for(&self, class: Priority) -> u32 {
        self.free_lists[..=class as usize].iter().map(FreeList::len).sum()
    }

    /// Returns the lowest class that may use a port; `None` if the port is not in the pool.
    pub fn band_of(&self, port: u16) -> Option<Priority> {
        self.band_and_index(port).map(|(class, _)| class)
    }

    /// Returns the number of ports, leased or in quarantine, that the pool keeps bound.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Returns the share of ports (0 to 1) in use by others, as recent bind() calls found it.
    pub fn occupied(&self) -> f64 {
        self.occupied.share()
    }

    /// Sets the assumed share of ports (0 to 1) in use by others, which determines the number of
    /// attempts until bind() calls provide a better value.
    pub fn expect_occupied(&mut self, share: f64) {
        self.occupied = Estimate::of(share);
    }

    /// Returns the number of attempts allowed in a search among `ports` ports. With this number, at
    /// most a share of `failure_rate` of all searches gives up although a port is free, unless
    /// `max_attempts` limits the number.
    pub fn attempts_among(&self, ports: u32) -> u32 {
        // Uses the upper bound of the occupancy, and assumes at least one free port. The formula is
        // for draws with replacement. The search tries no port twice, so that fewer attempts would
        // be enough, but the exact formula would cost more time than the extra attempts.
        let occupied = (self.occupied.at_most() * f64::from(ports)).ceil() as u32;
        let model =
            Model::at_random(Order::Replacement, occupied.min(ports.saturating_sub(1)), ports);
        let needed = model.and_then(|model| model.attempts_for(self.setup.failure_rate));
        needed.unwrap_or(u32::MAX).min(self.setup.max_attempts.max(1)).min(ports)
    }

    /// Leases a port and keeps it bound for the lease holder; calls `on_attempt` with each attempt.
    ///
    /// Errors: `max_held` is reached, or no port was found.
    pub fn take(
        &mut self,
        now: Duration,
        class: Priority,
        holder: LeaseHolder,
        on_attempt: impl FnMut(&Attempt),
    ) -> Result<Lease, Shortage> {
        if self.held >= self.setup.max_held {
            return Err(Shortage::Limit { held: self.held });
        }
        let (port, held) = self.search(class, on_attempt)?;
        Ok(self.add_lease(now, class, holder, port, Some(held)))
    }

    /// Leases a port like `take`, but closes its socket at once, so that the lease holder can bind
    /// the port itself.
    ///
    /// Errors: no port was found.
    pub fn book(
        &mut self,
        now: Duration,
        class: Priority,
        holder: LeaseHolder,
        on_attempt: impl FnMut(&Attempt),
    ) -> Result<Lease, Shortage> {
        let (port, held) = self.search(class, on_attempt)?;
        drop(held);
        Ok(self.add_lease(now, class, holder, port, None))
    }

    /// Returns the socket that keeps a leased port bound. `None` if the port is not leased, or its
    /// lease is booked.
    pub fn held_of(&self, port: u16) -> Option<&B::Held> {
        self.leases.get(&port)?.held.as_ref()
    }

    /// Ends a lease and puts its port in quarantine. Returns false if the port has no lease.
    pub fn release(&mut self, now: Duration, port: u16) -> bool {
        let Some(lease_entry) = self.leases.remove(&port) else { return false };
        self.counts.released += 1;
        self.held -= u32::from(lease_entry.held.is_some());
        self.quarantine(now, port, lease_entry.held);
        true
    }

    /// Ends the leases whose holder no longer exists, and returns their ports. A booked lease ends
    /// only if its port can be bound again, because a child process may still use it.
    pub fn reclaim(
        &mut self,
        now: Duration,
        mut is_alive: impl FnMut(LeaseHolder) -> bool,
    ) -> Vec<u16> {
        let gone = self.leases().filter(|lease| !is_alive(lease.holder));
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

    /// Ends expired quarantines and checks ports in quarantine for datagrams. The caller calls this
    /// at intervals that are short compared with the quarantine.
    ///
    /// Handles at most `most` expired quarantines, and checks at most `most` further ports for
    /// datagrams, because closing thousands of sockets takes milliseconds. Returns true if further
    /// quarantines have expired.
    pub fn update_quarantines(&mut self, now: Duration, most: usize) -> bool {
        if let Quarantine::Drain(quiet_time) = self.setup.quarantine {
            self.check_quarantined(now.saturating_add(quiet_time), most.min(MAX_CHECKS));
        }
        let mut over = self.ends.range(..=(now, u16::MAX)).map(|&(_, port)| port);
        let ending: Vec<u16> = over.by_ref().take(most).collect();
        let are_more = over.next().is_some();
        for port in ending {
            if !self.stays_quarantined(now, port) {
                self.make_free(port);
            }
        }
        are_more
    }

    /// Checks at most `most` ports in quarantine for datagrams, starting after those that the last
    /// call checked. A port that received a datagram stays in quarantine until `until`.
    fn check_quarantined(&mut self, until: Duration, most: usize) {
        let Self { binder, quarantined, ends, counts, next_check, .. } = self;
        let mut next = 0;
        for (count, (&port, entry)) in quarantined.range_mut(*next_check..).enumerate() {
            if count == most {
                next = port;
                break;
            }
            entry.check_datagrams(until, binder, ends, counts);
        }
        *next_check = next;
    }

    /// Extends the expired quarantine of a port if a datagram arrived, or if the pool can bind the
    /// port only now. Returns whether it was extended.
    fn stays_quarantined(&mut self, now: Duration, port: u16) -> bool {
        let Self { binder, quarantined, ends, counts, held, setup, .. } = self;
        let (Quarantine::Drain(quiet_time), Some(entry)) =
            (setup.quarantine, quarantined.get_mut(&port))
        else {
            return false;
        };
        let until = now.saturating_add(quiet_time);
        if entry.held.is_some() {
            return entry.check_datagrams(until, binder, ends, counts);
        }
        if *held < setup.max_held {
            entry.held = binder.bind(port).0.ok();
        }
        entry.quarantined.is_held = entry.held.is_some();
        *held += u32::from(entry.quarantined.is_held);
        if entry.quarantined.is_held {
            entry.extend(until, ends);
        }
        entry.quarantined.is_held
    }

    fn add_lease(
        &mut self,
        since: Duration,
        class: Priority,
        holder: LeaseHolder,
        port: u16,
        held: Option<B::Held>,
    ) -> Lease {
        self.counts.given += 1;
        self.held += u32::from(held.is_some());
        let number = self.counts.given;
        let lease = Lease { port, number, class, holder, since, is_held: held.is_some() };
        self.leases.insert(port, LeaseEntry { lease, held });
        lease
    }

    fn quarantine(&mut self, now: Duration, port: u16, held: Option<B::Held>) {
        let (until, held) = match self.setup.quarantine {
            Quarantine::Time(time) => (now.saturating_add(time), None),
            Quarantine::Drain(quiet_time) => {
                (now.saturating_add(quiet_time), self.keep_bound(port, held))
            }
        };
        self.held += u32::from(held.is_some());
        let quarantined =
            QuarantineEntry { port, until, late_datagrams: 0, is_held: held.is_some() };
        self.ends.insert((until, port));
        self.quarantined.insert(port, QuarantinedPort { quarantined, held });
    }

    fn keep_bound(&mut self, port: u16, held: Option<B::Held>) -> Option<B::Held> {
        match held {
            Some(mut held) => {
                self.binder.retire(&mut held);
                Some(held)
            }
            None if self.held < self.setup.max_held => self.binder.bind(port).0.ok(),
            None => None,
        }
    }

    /// Ends a port's quarantine, if any, and makes it free. The port must be neither leased nor
    /// free.
    fn make_free(&mut self, port: u16) {
        if let Some(entry) = self.quarantined.remove(&port) {
            self.ends.remove(&(entry.quarantined.until, port));
            self.held -= u32::from(entry.held.is_some());
        }
        if let Some((band, index)) = self.band_and_index(port) {
            self.free_lists[band as usize].put(index);
        }
    }

    fn port_at(&self, band: Priority, index: u32) -> u16 {
        self.setup.candidates.nth(self.first_of(band) + index)
    }

    /// Returns the band of a port, and the port's index in the band; `None` if the port is not in
    /// the pool.
    fn band_and_index(&self, port: u16) -> Option<(Priority, u32)> {
        let number = self.setup.candidates.number_of(port)?;
        let is_in = |&band: &Priority| number >= self.first_of(band);
        let band = Priority::EACH.into_iter().find(is_in)?;
        Some((band, number - self.first_of(band)))
    }

    /// Returns the number of the band's first candidate.
    fn first_of(&self, band: Priority) -> u32 {
        let Bands { high, normal } = self.setup.bands;
        match band {
            Priority::Low => high + normal,
            Priority::Normal => high,
            Priority::High => 0,
        }
    }
}

impl<H> QuarantinedPort<H> {
    /// Counts the datagrams that arrived; if any did, the quarantine lasts until `until`. Returns
    /// false if none arrived.
    fn check_datagrams<B: Binder<Held = H>>(
        &mut self,
        until: Duration,
        binder: &mut B,
        ends: &mut BTreeSet<(Duration, u16)>,
        counts: &mut PoolCounts,
    ) -> bool {
        let late_datagrams = self.held.as_mut().map_or(0, |held| binder.late_datagrams(held));
        if late_datagrams > 0 {
            self.quarantined.late_datagrams += late_datagrams;
            counts.late_datagrams += late_datagrams;
            self.extend(until, ends);
        }
        late_datagrams > 0
    }

    fn extend(&mut self, until: Duration, ends: &mut BTreeSet<(Duration, u16)>) {
        let QuarantineEntry { port, until: before, .. } = self.quarantined;
        ends.remove(&(before, port));
        ends.insert((until, port));
        self.quarantined.until = until;
    }
}
