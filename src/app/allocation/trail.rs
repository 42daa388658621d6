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
    /// Its sum by port; empty before the first attempt.
    times: Vec<u32>,
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
        self.forget_until(at.checked_sub(WINDOW));
        self.times.resize(65_536, 0);
        for &(port, times) in &delta.touched {
            self.times[usize::from(port)] += times;
        }
        self.touched.push_back((at, delta.touched.clone()));
    }

    fn forget_until(&mut self, end: Option<Duration>) {
        while let Some((_, touched)) = self.touched.pop_front_if(|(then, _)| Some(*then) <= end) {
            for (port, times) in touched {
                self.times[usize::from(port)] -= times;
            }
        }
    }

    pub fn of_allocation(&self) -> impl Iterator<Item = (u16, Mark)> {
        self.allocation.iter().map(mark)
    }

    pub fn last_sixty(&self) -> impl Iterator<Item = (u16, Mark)> {
        self.last.iter().map(mark)
    }

    /// The last second of the run: a paused one keeps its picture.
    pub fn of_last_second(&self) -> impl Iterator<Item = (u16, Mark)> {
        let tried = (0..=u16::MAX).zip(&self.times).filter(|&(_, &times)| times > 0);
        tried.map(|(port, &times)| (port, Mark::Tried(times)))
    }
}

fn mark(attempt: &Attempt) -> (u16, Mark) {
    let mark = if attempt.refusal.is_none() { Mark::Won } else { Mark::Refused(attempt.number) };
    (attempt.port, mark)
}
