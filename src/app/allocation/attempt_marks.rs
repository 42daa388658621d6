//! The marks that attempts leave on the map, and how they fade. Does not count attempts per port.

use std::{collections::VecDeque, time::Duration};

use crate::{allocator::Attempt, engine::allocation::push_recent};

/// Maximum number of attempts that are marked at a speed of 20/s.
const SHOWN_AT_20: usize = 60;
/// Maximum number of attempts of one allocation that are kept. Few maps have more cells.
const MAX_ATTEMPTS: usize = 4096;
/// How the marks of an allocation fade after the next one began: `fade` 1 to 3, 200 ms each.
const FADING: Fading = Fading { step: Duration::from_millis(200), steps: 3 };
/// How a flash fades: `fade` 0 to 3, 75 ms each.
const FLASHING: Fading = Fading { step: Duration::from_millis(75), steps: 4 };

/// A mark on a port of the allocator's range. `fade`: 0 is fresh, 3 is the last step before the
/// mark disappears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Held by this run.
    Held,
    /// Attempt `number` of an allocation, counted from 1, was refused on this port.
    Refused { number: u32, fade: u8 },
    /// An attempt bound this port.
    Won { fade: u8 },
    /// An attempt at a speed at which its number could not be read. `won`: it bound the port.
    Flash { fade: u8, won: bool },
}

/// A way to fade: `steps` steps, each shown for `step`.
#[derive(Clone, Copy)]
struct Fading {
    step: Duration,
    steps: u8,
}

impl Fading {
    /// Returns the current step, counted from 0. None: the mark is gone.
    fn fade_step(self, since: Duration, now: Duration) -> Option<u8> {
        let fade_step = now.saturating_sub(since).as_nanos() / self.step.as_nanos();
        (fade_step < u128::from(self.steps)).then_some(fade_step as u8)
    }

    /// Time until the next step, or until the mark disappears. None: it has disappeared.
    fn changes_after(self, since: Duration, now: Duration) -> Option<Duration> {
        let fade_step = self.fade_step(since, now)?;
        Some((since + self.step * (u32::from(fade_step) + 1)).saturating_sub(now))
    }
}

/// An allocation that was followed by another one.
#[derive(Clone, Debug)]
struct PastAllocation {
    attempts: VecDeque<Attempt>,
    /// When the report with the first attempt of the next allocation arrived.
    since: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) struct AttemptMarks {
    /// Attempts of the current or last allocation, oldest first.
    allocation: VecDeque<Attempt>,
    past: VecDeque<PastAllocation>,
    last: VecDeque<Attempt>,
    flashes: VecDeque<(Duration, Attempt)>,
}

impl AttemptMarks {
    /// Adds the attempts of a report that arrived at `at`: all or a sample, oldest first.
    pub fn add(&mut self, at: Duration, attempts: &[Attempt]) {
        // A report without attempts, such as that of a paused run, changes nothing.
        if attempts.is_empty() {
            return;
        }
        for attempt in attempts {
            if self.allocation.back().is_some_and(|last| attempt.number != last.number + 1) {
                let attempts = std::mem::take(&mut self.allocation);
                self.past.push_back(PastAllocation { attempts, since: at });
            }
            push_recent(&mut self.allocation, *attempt, MAX_ATTEMPTS);
            push_recent(&mut self.last, *attempt, SHOWN_AT_20);
            self.flashes.push_back((at, *attempt));
        }
        self.past.retain(|past| FADING.fade_step(past.since, at).is_some());
        self.flashes.retain(|(then, _)| FLASHING.fade_step(*then, at).is_some());
    }

    /// Marks of the current or last allocation.
    pub fn allocation(&self) -> impl Iterator<Item = (u16, Mark)> {
        self.allocation.iter().map(|attempt| mark(attempt, 0))
    }

    /// Marks of earlier allocations that have not faded away yet.
    pub fn past(&self, now: Duration) -> impl Iterator<Item = (u16, Mark)> {
        self.past.iter().flat_map(move |past| {
            let fade_step = FADING.fade_step(past.since, now);
            fade_step.into_iter().flat_map(|fade_step| {
                past.attempts.iter().map(move |attempt| mark(attempt, fade_step + 1))
            })
        })
    }

    /// Marks of the last `SHOWN_AT_20` attempts, oldest first.
    pub fn last_attempts(&self) -> impl Iterator<Item = (u16, Mark)> {
        self.last.iter().map(|attempt| mark(attempt, 0))
    }

    pub fn flashes(&self, now: Duration) -> impl Iterator<Item = (u16, Mark)> {
        self.flashes.iter().filter_map(move |(then, attempt)| {
            let won = attempt.refusal.is_none();
            let fade = FLASHING.fade_step(*then, now)?;
            Some((attempt.port, Mark::Flash { fade, won }))
        })
    }

    pub fn last_attempt_at(&self) -> Option<Duration> {
        self.flashes.back().map(|&(at, _)| at)
    }

    /// Time until `past` changes; None: it does not.
    pub fn past_changes_after(&self, now: Duration) -> Option<Duration> {
        self.past.iter().filter_map(|past| FADING.changes_after(past.since, now)).min()
    }

    /// Time until `flashes` change; None: they do not.
    pub fn flashes_change_after(&self, now: Duration) -> Option<Duration> {
        self.flashes.iter().filter_map(|&(then, _)| FLASHING.changes_after(then, now)).min()
    }
}

fn mark(attempt: &Attempt, fade: u8) -> (u16, Mark) {
    let number = attempt.number;
    let is_won = attempt.refusal.is_none();
    (attempt.port, if is_won { Mark::Won { fade } } else { Mark::Refused { number, fade } })
}
