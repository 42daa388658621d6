//! Statistics of a run between two reports. Counting an attempt allocates no memory, and merging
//! two deltas loses no count.

use std::{cmp::Ordering, collections::VecDeque, time::Duration};

use crate::{
    allocator::Attempt,
    domain::PortRange,
    engine::message::{AllocationDelta, Finished},
};

/// Maximum number of attempts, and of allocations, that a report lists one by one.
pub const RECENT: usize = 64;

/// Statistics since the last report.
pub struct DeltaCounts {
    /// Without the lists that the other fields contain.
    delta: AllocationDelta,
    /// Number of attempts by port, from the range's first port on.
    tries: Vec<u32>,
    first: u16,
    recent: VecDeque<Attempt>,
    ended: VecDeque<Finished>,
}

impl DeltaCounts {
    /// Creates the statistics of run number `run` over `range`.
    pub fn new(run: u64, range: PortRange) -> Self {
        Self {
            delta: AllocationDelta { run, ..AllocationDelta::default() },
            tries: vec![0; range.len() as usize],
            first: range.first(),
            recent: VecDeque::with_capacity(RECENT),
            ended: VecDeque::with_capacity(RECENT),
        }
    }

    /// Counts an attempt. Allocates no memory.
    pub fn count(&mut self, attempt: &Attempt) {
        self.delta.stats.count(attempt);
        // A port outside the range has no counter, such as port 0 of an attempt in which the kernel
        // found no port to choose.
        let index = attempt.port.checked_sub(self.first).map(usize::from);
        if let Some(tries) = index.and_then(|index| self.tries.get_mut(index)) {
            *tries += 1;
        }
        push_recent(&mut self.recent, *attempt, RECENT);
    }

    /// Counts a snapshot that the strategy needed. `took` is the time to take it.
    pub fn count_snapshot(&mut self, took: Duration) {
        self.delta.stats.count_snapshot(took);
    }

    /// Counts an allocation that ended.
    pub fn finish(&mut self, finished: Finished) {
        self.delta.stats.finish(finished);
        self.delta.finished = Some(finished);
        push_recent(&mut self.ended, finished, RECENT);
    }

    /// Returns the statistics since the last call, and starts again from zero. The caller fills in
    /// the current state, such as held ports.
    pub fn take(&mut self) -> AllocationDelta {
        let fresh = AllocationDelta { run: self.delta.run, ..AllocationDelta::default() };
        let mut delta = std::mem::replace(&mut self.delta, fresh);
        let tried = self.tries.iter_mut().enumerate().filter(|(_, tries)| **tries > 0);
        delta.attempts_by_port = tried
            .map(|(offset, tries)| (self.first + offset as u16, std::mem::take(tries)))
            .collect();
        delta.recent = self.recent.drain(..).collect();
        delta.ended = self.ended.drain(..).collect();
        delta
    }
}

/// Merges two deltas. The current state, such as held ports, is that of the newer delta. If the
/// deltas belong to different runs, returns the delta of the newer run.
pub fn merge(older: AllocationDelta, newer: AllocationDelta) -> AllocationDelta {
    if older.run != newer.run {
        return if older.run > newer.run { older } else { newer };
    }
    let mut stats = older.stats;
    stats.add(&newer.stats);
    AllocationDelta {
        stats,
        attempts_by_port: add_up(&older.attempts_by_port, &newer.attempts_by_port),
        recent: last_of(older.recent, &newer.recent),
        finished: newer.finished.or(older.finished),
        ended: last_of(older.ended, &newer.ended),
        ..newer
    }
}

/// Merges two lists of ports, ascending; adds the counts of equal ports.
fn add_up(left: &[(u16, u32)], right: &[(u16, u32)]) -> Vec<(u16, u32)> {
    let mut sum = Vec::with_capacity(left.len().max(right.len()));
    let (mut i, mut j) = (0, 0);
    while let (Some(&(left_key, left_count)), Some(&(right_key, right_count))) =
        (left.get(i), right.get(j))
    {
        let order = left_key.cmp(&right_key);
        sum.push(match order {
            Ordering::Less => (left_key, left_count),
            Ordering::Equal => (left_key, left_count + right_count),
            Ordering::Greater => (right_key, right_count),
        });
        i += usize::from(order != Ordering::Greater);
        j += usize::from(order != Ordering::Less);
    }
    sum.extend_from_slice(&left[i..]);
    sum.extend_from_slice(&right[j..]);
    sum
}

/// Appends an item; drops the oldest one instead of growing beyond `most` items.
pub fn push_recent<T>(sample: &mut VecDeque<T>, newest: T, most: usize) {
    if sample.len() == most {
        sample.pop_front();
    }
    sample.push_back(newest);
}

fn last_of<T: Copy>(mut older: Vec<T>, newer: &[T]) -> Vec<T> {
    older.extend_from_slice(newer);
    older.drain(..older.len().saturating_sub(RECENT));
    older
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        allocator::RunStats,
        domain::{Errno, Protocol, Refusal},
    };

    fn attempt(number: u32, port: u16, errno: Option<Errno>) -> Attempt {
        let refusal = errno.map(|errno| Refusal { protocol: Protocol::Udp, errno });
        Attempt { number, port, refusal, took: Duration::from_nanos(500) }
    }

    fn delta_counts() -> DeltaCounts {
        DeltaCounts::new(3, PortRange::new(10, 20).unwrap())
    }

    fn delta_of(run: u64, attempts: u64) -> AllocationDelta {
        let stats = RunStats { attempts, ..RunStats::default() };
        AllocationDelta { run, stats, ..AllocationDelta::default() }
    }

    #[test]
    fn only_an_occupied_port_is_a_collision() {
        let mut delta_counts = delta_counts();
        for errno in [Some(Errno::EADDRINUSE), Some(Errno::EMFILE), Some(Errno::EACCES), None] {
            delta_counts.count(&attempt(1, 10, errno));
        }
        let delta = delta_counts.take();
        assert_eq!((delta.run, delta.stats.attempts, delta.stats.collisions), (3, 4, 1));
        assert_eq!(delta.attempts_by_port, [(10, 4)]);
        assert_eq!(delta.stats.busy, Duration::from_micros(2));
    }

    #[test]
    fn merging_deltas_adds_counts_and_keeps_the_newer_state() {
        let mut delta_counts = delta_counts();
        delta_counts.count(&attempt(1, 12, Some(Errno::EADDRINUSE)));
        delta_counts.count(&attempt(2, 15, None));
        delta_counts.finish(Finished { number: 1, attempts: 2, port: Some(15) });
        let older = AllocationDelta { held: vec![15], is_running: true, ..delta_counts.take() };
        delta_counts.count(&attempt(1, 11, None));
        delta_counts.finish(Finished { number: 2, attempts: 1, port: Some(11) });
        delta_counts.count(&attempt(1, 12, None));
        delta_counts.finish(Finished { number: 3, attempts: 1, port: Some(12) });
        let newer = AllocationDelta { held: vec![11], ..delta_counts.take() };

        let merged = merge(older, newer);

        let stats = merged.stats;
        assert_eq!((stats.attempts, stats.successes, stats.collisions), (4, 3, 1));
        assert_eq!(merged.attempts_by_port, [(11, 1), (12, 2), (15, 1)]);
        assert_eq!(stats.histogram, [(1, 2), (2, 1)].into());
        assert_eq!(merged.finished, Some(Finished { number: 3, attempts: 1, port: Some(12) }));
        assert_eq!((merged.held, merged.is_running), (vec![11], false));
        assert_eq!(merged.recent.len(), 4);
    }

    #[test]
    fn the_last_64_attempts_survive_a_merge_in_order() {
        let mut delta_counts = delta_counts();
        let mut merged = delta_counts.take();
        for number in 1..=150 {
            delta_counts.count(&attempt(number, 10, None));
            if number % 40 == 0 {
                merged = merge(merged, delta_counts.take());
            }
        }
        merged = merge(merged, delta_counts.take());
        let numbers: Vec<u32> = merged.recent.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, (87..=150).collect::<Vec<u32>>());
        assert_eq!(merged.stats.attempts, 150);
    }

    #[test]
    fn merging_deltas_of_two_runs_keeps_the_newer_run() {
        let older = delta_of(1, 9);
        let newer = delta_of(2, 1);
        assert_eq!(merge(older.clone(), newer.clone()), newer);
        assert_eq!(merge(newer.clone(), older), newer);
    }
}
