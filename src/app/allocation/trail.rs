//! Where attempts went on the map. Not what they met.

use std::{collections::VecDeque, time::Duration};

use crate::{allocator::Attempt, engine::message::AllocationDelta};

/// As many tries as 20/s shows (screens.md).
const LAST: usize = 60;
const WINDOW: Duration = Duration::from_secs(1);

/// What a port of the allocator's range is marked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Held by this run.
    Held,
    /// The nth attempt of its allocation was refused here.
    Refused(u32),
    Won,
    /// So many attempts in the last second.
    Tried(u32),
}

#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// Attempts of the running or last allocation, oldest first.
    allocation: Vec<Attempt>,
    last: VecDeque<Attempt>,
    /// What was touched in the last second, by delta.
    touched: VecDeque<(Duration, Vec<(u16, u32)>)>,
}

impl Trail {
    pub(super) fn add(&mut self, at: Duration, delta: &AllocationDelta) {
        for attempt in &delta.recent {
            if self.allocation.last().is_some_and(|last| attempt.number <= last.number) {
                self.allocation.clear();
            }
            self.allocation.push(*attempt);
            self.last.push_back(*attempt);
        }
        let surplus = self.last.len().saturating_sub(LAST);
        self.last.drain(..surplus);
        self.touched.push_back((at, delta.touched.clone()));
        while self.touched.front().is_some_and(|&(then, _)| then + WINDOW <= at) {
            self.touched.pop_front();
        }
    }

    pub fn of_allocation(&self) -> impl Iterator<Item = (u16, Mark)> {
        self.allocation.iter().map(mark)
    }

    pub fn last_sixty(&self) -> impl Iterator<Item = (u16, Mark)> {
        self.last.iter().map(mark)
    }

    /// The last second of the run: a paused one keeps its picture. A port may come up many times.
    pub fn of_last_second(&self) -> impl Iterator<Item = (u16, Mark)> {
        let touched = self.touched.iter().flat_map(|(_, touched)| touched);
        touched.map(|&(port, times)| (port, Mark::Tried(times)))
    }
}

fn mark(attempt: &Attempt) -> (u16, Mark) {
    let mark = if attempt.refusal.is_none() { Mark::Won } else { Mark::Refused(attempt.number) };
    (attempt.port, mark)
}
