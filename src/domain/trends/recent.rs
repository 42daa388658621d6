//! Counts how often a range or destination was full at the scans of the last minute, and estimates
//! how many ports are taken before the next scan.

use std::{collections::VecDeque, time::Duration};

use super::tracked::Count;

/// Scans older than this are dropped.
const MINUTE: Duration = Duration::from_mins(1);

/// Minimum length of a slot; closer scans share one. This limits a minute to 63 slots.
const SLOT: Duration = Duration::from_millis(970);

/// Lower limit of the interval to the next scan that `expected` assumes. If the interval of the
/// last two scans is longer, that one is used.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Safety factor of `expected`: the next interval may be longer, and FAILING must be shown before
/// the first call fails. With this factor, FAILING is shown at least a second earlier
/// (tests/model/tense.rs).
const MARGIN: f64 = 1.5;

/// A range or destination stays FAILING for this time after a scan at which too few ports were
/// left.
const FAILING_TIME: Duration = Duration::from_secs(10);

/// What the scans of the last minute showed of a range or a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastMinute {
    pub scans: u32,
    /// Number of scans at which no port was left.
    pub full: u32,
    /// Time since the latest scan at which no port was left. None: there was no such scan.
    pub since_full: Option<Duration>,
    /// Fewest ports left at a scan.
    pub fewest: u32,
    /// Time since the latest scan at which no port was left, or fewer ports than `expected` at that
    /// time. None: there was no such scan.
    pub since_short: Option<Duration>,
    /// Number of ports that may be taken before the next scan: 1.5 times the higher of two rates,
    /// multiplied by the interval. One is the mean of the last seconds. The other is that of the
    /// worst second of the last minute in which more than two thirds of the ports were in use.
    pub expected: u32,
    /// Time from the scan before the first of these scans to now.
    pub span: Duration,
}

impl LastMinute {
    /// Returns whether connect() or bind() fails intermittently, see `Level::Failing`.
    /// `is_critical`: the share is at least `Thresholds::critical`.
    pub fn is_failing(&self, is_critical: bool) -> bool {
        let is_short = self.since_short.is_some_and(|since| since < FAILING_TIME);
        is_short || (is_critical && self.since_full.is_some())
    }
}

/// The time since the previous scan, and the ports taken in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    /// Time of the previous scan; for the first scan, its own time.
    pub from: Duration,
    /// Ports taken since then. Ports that became free are not subtracted; ports that were taken and
    /// freed between the two scans are not counted.
    pub taken: u32,
    /// Mean rate of the last seconds (`WINDOW`), this interval included.
    pub taken_per_second: f64,
}

/// The scans of the last minute. Takes at most 6 KB.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    /// Sorted by time, oldest first.
    slots: VecDeque<ScanSeries>,
    /// Whether more than two thirds of the ports were used at the newest scan.
    is_crowded: bool,
    expected: u32,
}

/// The scans of one slot. Times are measured from the first scan of the run.
#[derive(Clone, Copy, Debug, Default)]
struct ScanSeries {
    /// Time of the last scan before the slot.
    from: Duration,
    /// Time of the newest scan of the slot.
    to: Duration,
    scans: u32,
    full: u32,
    fewest: u32,
    full_at: Option<Duration>,
    short_at: Option<Duration>,
    taken: u32,
    /// Whether more than two thirds of the ports were used at `from`. Other slots do not count for
    /// `expected`: their ports may have been taken by a connection pool that is filled only once.
    is_crowded: bool,
}

impl Recent {
    /// Adds a scan. `at` must be later than the newest scan. Does nothing if the ports left were
    /// not counted.
    pub fn sample(&mut self, at: Duration, interval: Interval, count: &Count) {
        let Some(left) = count.left else { return };
        while self.slots.front().is_some_and(|slot| slot.to + MINUTE <= at) {
            self.slots.pop_front();
        }
        let mut slot = self.slot_at(interval.from);
        slot.to = at;
        slot.scans += 1;
        slot.fewest = slot.fewest.min(left);
        slot.taken += interval.taken;
        self.slots.push_back(slot);
        self.expected = self.expected_after(at, interval);
        if let Some(slot) = self.slots.back_mut() {
            if left == 0 {
                slot.full += 1;
                slot.full_at = Some(at);
            }
            if left == 0 || left < self.expected {
                slot.short_at = Some(at);
            }
        }
        self.is_crowded = left < count.size / 3;
    }

    /// Returns the scans of the minute before `now`. None: there was none.
    pub fn last_minute(&self, now: Duration) -> Option<LastMinute> {
        let slots = || self.slots.iter().filter(|slot| slot.to + MINUTE > now);
        let since = |of: fn(&ScanSeries) -> Option<Duration>| {
            slots().filter_map(of).max().map(|at| now.saturating_sub(at))
        };
        let first = slots().next()?;
        Some(LastMinute {
            scans: slots().map(|slot| slot.scans).sum(),
            full: slots().map(|slot| slot.full).sum(),
            since_full: since(|slot| slot.full_at),
            fewest: slots().map(|slot| slot.fewest).min().unwrap_or_default(),
            since_short: since(|slot| slot.short_at),
            expected: self.expected,
            span: now.saturating_sub(first.from),
        })
    }

    /// Removes and returns the newest slot if it is shorter than `SLOT`; otherwise returns a new
    /// one.
    fn slot_at(&mut self, from: Duration) -> ScanSeries {
        let is_open = |slot: &mut ScanSeries| slot.to.saturating_sub(slot.from) < SLOT;
        if let Some(slot) = self.slots.pop_back_if(is_open) {
            return slot;
        }
        let is_crowded = self.is_crowded;
        ScanSeries { from, to: from, fewest: u32::MAX, is_crowded, ..ScanSeries::default() }
    }

    fn expected_after(&self, at: Duration, interval: Interval) -> u32 {
        let next = at.saturating_sub(interval.from).max(MIN_INTERVAL).as_secs_f64();
        let in_slot = |slot: &ScanSeries| {
            let seconds = slot.to.saturating_sub(slot.from).max(SLOT).as_secs_f64();
            f64::from(slot.taken) * (next / seconds).max(1.0)
        };
        let crowded = self.slots.iter().filter(|slot| slot.is_crowded);
        let most = crowded.map(in_slot).fold(0.0, f64::max);
        (MARGIN * most.max(interval.taken_per_second * next)).round() as u32
    }
}
