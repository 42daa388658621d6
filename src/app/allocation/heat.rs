//! Number of attempts per port in the last second. Does not store their results.

use std::{collections::VecDeque, time::Duration};

const WINDOW: Duration = Duration::from_secs(1);
static NO_ATTEMPTS: [u32; 65_536] = [0; 65_536];

/// The attempts of one report, which arrived at `at`.
#[derive(Clone, Debug)]
struct AttemptBatch {
    at: Duration,
    ports: Vec<(u16, u32)>,
    attempts: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct AttemptDensity {
    batches: VecDeque<AttemptBatch>,
    /// The sum of `batches` by port; empty before the first attempt.
    times: Vec<u32>,
}

impl AttemptDensity {
    pub fn add(&mut self, at: Duration, ports: Vec<(u16, u32)>) {
        // A report without attempts, such as that of a paused run, changes nothing.
        if ports.is_empty() {
            return;
        }
        self.drop_until(at.checked_sub(WINDOW));
        self.times.resize(65_536, 0);
        for &(port, times) in &ports {
            self.times[usize::from(port)] += times;
        }
        let attempts = ports.iter().map(|&(_, times)| u64::from(times)).sum();
        self.batches.push_back(AttemptBatch { at, ports, attempts });
    }

    fn drop_until(&mut self, end: Option<Duration>) {
        while let Some(batch) = self.batches.pop_front_if(|batch| Some(batch.at) <= end) {
            for (port, times) in batch.ports {
                self.times[usize::from(port)] -= times;
            }
        }
    }

    /// Attempts by port (65,536 entries) in the second before the last attempt, even if that
    /// attempt is old.
    pub fn by_port_at_last_attempt(&self) -> &[u32] {
        if self.times.is_empty() { &NO_ATTEMPTS } else { &self.times }
    }

    /// Like `by_port_at_last_attempt`, but all zero if the last attempt was a second ago or more.
    pub fn by_port(&self, now: Duration) -> &[u32] {
        if self.all_zero_after(now).is_some() {
            self.by_port_at_last_attempt()
        } else {
            &NO_ATTEMPTS
        }
    }

    /// Time until `by_port` is all zero; None: it is already.
    pub fn all_zero_after(&self, now: Duration) -> Option<Duration> {
        let end = self.batches.back()?.at + WINDOW;
        end.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Attempts per second over the last second; 0 if there were none.
    pub fn attempts_per_second(&self, now: Duration) -> f64 {
        let begin = now.checked_sub(WINDOW);
        let recent = || self.batches.iter().filter(|batch| Some(batch.at) > begin);
        let (Some(first), Some(last)) = (recent().next(), recent().next_back()) else { return 0.0 };
        let attempts: u64 = recent().map(|batch| batch.attempts).sum();
        let span = last.at.saturating_sub(first.at);
        // The attempts of the first report were made before the span, which begins when that
        // report arrived.
        if recent().nth(2).is_some() && !span.is_zero() {
            (attempts - first.attempts) as f64 / span.as_secs_f64()
        } else {
            attempts as f64
        }
    }
}
