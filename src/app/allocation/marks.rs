//! The marks of a run on the map at each speed, and how long they last. Does not draw.

use std::time::Duration;

use crate::app::{
    allocation::{Allocation, Mark, Speed},
    run::RunState,
};

impl Allocation {
    /// Returns the marks on the map; later ones cover earlier ones.
    ///
    /// Up to 4/s the marks are those of the current or last allocation, and of earlier allocations
    /// while they fade. At 20/s they are the last 60 attempts; at 1k/s they are flashes, or without
    /// motion the port of the last allocation. Held ports are always marked. At `max` there are no
    /// other marks, because `heat` shows the attempts.
    pub fn marks(&self, now: Duration) -> Vec<(u16, Mark)> {
        let held = self.held.iter().map(|&port| (port, Mark::Held));
        match self.run.speed {
            Speed::Step | Speed::One | Speed::Four => {
                let past = self.motion.then(|| self.attempt_marks.past(now));
                held.chain(past.into_iter().flatten())
                    .chain(self.attempt_marks.allocation())
                    .collect()
            }
            Speed::Twenty => held.chain(self.attempt_marks.last_attempts()).collect(),
            Speed::Thousand if self.motion => {
                self.attempt_marks.flashes(self.clock(now)).chain(held).collect()
            }
            Speed::Thousand => self.last_won().chain(held).collect(),
            Speed::Max => held.collect(),
        }
    }

    /// Attempts by port (65,536 entries) over the last second. All are zero a second after the last
    /// attempt, except that a paused run keeps its values.
    pub fn heat(&self, now: Duration) -> &[u32] {
        if self.is_still() { self.heat.by_port_at_last_attempt() } else { self.heat.by_port(now) }
    }

    /// Attempts per second, measured over the last second; 0 unless the run is running.
    pub fn attempts_per_second(&self, now: Duration) -> f64 {
        if self.is_running() { self.heat.attempts_per_second(now) } else { 0.0 }
    }

    /// Time until `marks` or `heat` change without a report; None: they do not, or motion is off.
    pub fn fades_again_after(&self, now: Duration) -> Option<Duration> {
        let is_fixed = !self.motion || (self.is_sampled() && self.is_still());
        match self.run.speed {
            _ if is_fixed => None,
            Speed::Step | Speed::One | Speed::Four => self.attempt_marks.past_changes_after(now),
            Speed::Twenty => None,
            Speed::Thousand => self.attempt_marks.flashes_change_after(now),
            Speed::Max => self.heat.all_zero_after(now),
        }
    }

    /// Whether the run is paused. A paused run keeps the marks of its last attempts.
    fn is_still(&self) -> bool {
        self.run.state == RunState::Paused
    }

    /// The time at which the age of a flash is computed: `now`, or the time of the last attempt
    /// while the run is paused.
    fn clock(&self, now: Duration) -> Duration {
        if self.is_still() { self.attempt_marks.last_attempt_at().unwrap_or(now) } else { now }
    }

    fn last_won(&self) -> impl Iterator<Item = (u16, Mark)> {
        let won = self.last.and_then(|finished| finished.port);
        won.into_iter().map(|port| (port, Mark::Won { fade: 0 }))
    }
}
