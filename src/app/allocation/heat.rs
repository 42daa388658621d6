//! Number of attempts per port in the last second. Does not hold their results.

use std::{collections::VecDeque, time::Duration};

const WINDOW: Duration = Duration::from_secs(1);
static COLD: [u32; 65_536] = [0; 65_536];

/// The attempts of one report.
#[derive(Clone, Debug)]
struct Touch {
    at: Duration,
    ports: Vec<(u16, u32)>,
    attempts: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct AttemptDensity {
    touched: VecDeque<Touch>,
    /// The sum of `touched` by port; empty before the first attempt.
    times: Vec<u32>,
}

impl AttemptDensity {
    pub fn add(&mut self, at: Duration, ports: Vec<(u16, u32)>) {
        // A report without attempts, such as that of a paused run, changes nothing.
        if ports.is_empty() {
            return;
        }
        self.forget_until(at.checked_sub(WINDOW));
        self.times.resize(65_536, 0);
        for &(port, times) in &ports {
            self.times[usize::from(port)] += times;
        }
        let attempts = ports.iter().map(|&(_, times)| u64::from(times)).sum();
        self.touched.push_back(Touch { at, ports, attempts });
    }

    fn forget_until(&mut self, end: Option<Duration>) {
        while let Some(touch) = self.touched.pop_front_if(|touch| Some(touch.at) <= end) {
            for (port, times) in touch.ports {
                self.times[usize::from(port)] -= times;
            }
        }
    }

    /// Attempts by port (65,536 entries) in the second before the last attempt, even if that
    /// attempt is old.
    pub fn picture(&self) -> &[u32] {
        if self.times.is_empty() { &COLD } else { &self.times }
    }

    /// Like `picture`, but all zero if the last attempt was a second ago or more.
    pub fn by_port(&self, now: Duration) -> &[u32] {
        if self.cools_after(now).is_some() { self.picture() } else { &COLD }
    }

    /// Time until `by_port` is all zero; None: it already is.
    pub fn cools_after(&self, now: Duration) -> Option<Duration> {
        let end = self.touched.back()?.at + WINDOW;
        end.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Attempts per second over the last second; 0 if there were none.
    pub fn attempts_per_second(&self, now: Duration) -> f64 {
        let begin = now.checked_sub(WINDOW);
        let recent = || self.touched.iter().filter(|touch| Some(touch.at) > begin);
        let (Some(first), Some(last)) = (recent().next(), recent().next_back()) else { return 0.0 };
        let attempts: u64 = recent().map(|touch| touch.attempts).sum();
        let span = last.at.saturating_sub(first.at);
        // The span begins at the first report, whose attempts were made before.
        if recent().nth(2).is_some() && !span.is_zero() {
            (attempts - first.attempts) as f64 / span.as_secs_f64()
        } else {
            attempts as f64
        }
    }
}
