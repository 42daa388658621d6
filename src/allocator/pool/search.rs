//! Searches the bands of a pool for a port that can be bound. Leases nothing.

use rand::Rng;

use crate::{
    allocator::{Attempt, Pool, Priority, Shortage},
    domain::{Binder, Errno, Refusal},
};

/// Failed attempts of a search.
#[derive(Default)]
struct Misses {
    /// Number of failed attempts.
    made: u32,
    /// Number of free ports in the searched bands that were not tried.
    untried: u32,
    /// The last refusal with an error other than EADDRINUSE; if there is none, the last refusal.
    last: Option<Refusal>,
}

impl Misses {
    fn note(&mut self, refusal: Refusal) {
        let is_in_use = refusal.errno == Errno::EADDRINUSE;
        if self.last.is_none_or(|last| last.errno == Errno::EADDRINUSE) || !is_in_use {
            self.last = Some(refusal);
        }
    }

    /// Returns whether the last failure does not depend on the port, so that every other port would
    /// fail too.
    fn fails_for_any_port(&self) -> bool {
        const RESOURCE_ERRORS: [Errno; 4] =
            [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOBUFS];
        self.last.is_some_and(|last| RESOURCE_ERRORS.contains(&last.errno))
    }
}

impl<B: Binder, R: Rng> Pool<B, R> {
    /// Searches for a port that the class may use. Starts with the band that every class may use,
    /// so that the bands of higher classes are used last.
    ///
    /// Errors: `NoneLeft` or `GaveUp`.
    pub(super) fn search(
        &mut self,
        class: Priority,
        mut on_attempt: impl FnMut(&Attempt),
    ) -> Result<(u16, B::Held), Shortage> {
        let mut misses = Misses::default();
        for band in Priority::EACH.into_iter().filter(|&band| band <= class) {
            if let Some(found) = self.search_band(band, &mut misses, &mut on_attempt) {
                return Ok(found);
            }
        }
        Err(match misses {
            Misses { made, untried, last: Some(last) }
                if untried > 0 || last.errno != Errno::EADDRINUSE =>
            {
                Shortage::GaveUp { attempts: made, untried, last }
            }
            Misses { made, .. } => Shortage::NoneLeft {
                class,
                leased: self.leases.len() as u32,
                quarantined: self.quarantined.len() as u32,
                refused: made,
            },
        })
    }

    fn search_band(
        &mut self,
        band: Priority,
        misses: &mut Misses,
        on_attempt: &mut impl FnMut(&Attempt),
    ) -> Option<(u16, B::Held)> {
        let candidates = self.free_lists[band as usize].len();
        let (mut tried, mut allowed) = (0, candidates.min(1));
        while tried < allowed && !misses.fails_for_any_port() {
            let index = self.free_lists[band as usize].draw(tried, &mut self.random);
            let port = self.port_at(band, index);
            let (result, took) = self.binder.bind(port);
            tried += 1;
            misses.made += 1;
            let refusal = result.as_ref().err().copied();
            on_attempt(&Attempt { number: misses.made, port, refusal, took });
            let Some(refusal) = refusal else {
                self.occupied.learn(false);
                self.free_lists[band as usize].remove(index);
                return result.ok().map(|held| (port, held));
            };
            self.counts.refused += 1;
            misses.note(refusal);
            self.occupied.learn(true);
            if tried == allowed {
                // The new limit takes the misses of this search into account.
                allowed = self.attempts_among(candidates);
            }
        }
        misses.untried += candidates - tried;
        None
    }
}
