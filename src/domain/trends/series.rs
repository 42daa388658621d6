//! The values of one count since the first snapshot, in at most 256 points. Computes no rates.

use std::time::Duration;

/// Maximum number of points. When it is reached, every second point is dropped.
const MAX_POINTS: usize = 256;

/// Points of one count, oldest first. Takes at most 2 KB.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    points: Vec<Point>,
    /// Minimum interval between points. The newest point may be closer to the one before.
    step: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    /// Hundredths of a second since the first snapshot; 32 bits last for 497 days.
    tick: u32,
    count: u32,
}

impl Point {
    fn at(self) -> Duration {
        Duration::from_millis(u64::from(self.tick) * 10)
    }
}

impl Series {
    pub fn push(&mut self, at: Duration, count: u32) {
        let tick = u32::try_from(at.as_millis() / 10).unwrap_or(u32::MAX);
        let point = Point { tick, count };
        if let [.., before, newest] = self.points.as_mut_slice()
            && newest.at() < before.at() + self.step
        {
            *newest = point;
            return;
        }
        if self.points.len() == MAX_POINTS {
            self.thin();
        }
        self.points.push(point);
    }

    /// Returns (time before `now`, count), oldest first.
    pub fn before(&self, now: Duration) -> Vec<(Duration, u32)> {
        self.points.iter().map(|point| (now.saturating_sub(point.at()), point.count)).collect()
    }

    fn thin(&mut self) {
        let mut is_kept = false;
        self.points.retain(|_| {
            is_kept = !is_kept;
            is_kept
        });
        if let [first, .., last] = self.points.as_slice() {
            self.step = last.at().saturating_sub(first.at()) / (self.points.len() as u32 - 1);
        }
    }
}
