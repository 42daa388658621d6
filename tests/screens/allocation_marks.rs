//! Marks of attempts on the map: which exist at each speed, and how they fade. Does not test how
//! they are drawn.

use std::time::Duration;

use portscope::{
    allocator::RunStats,
    app::allocation::{
        Allocation, AllocationAction as Action, AllocationOptions, LastScan, Mark, Speed,
    },
    engine::message::{AllocationDelta, Finished},
};

use crate::allocate::{Harness, bound, empty, in_use};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A `Harness` to which the test passes the time.
struct TimedHarness(Harness);

impl TimedHarness {
    fn at(speed: Speed) -> Self {
        Self::moving(speed, true)
    }

    fn paused(speed: Speed) -> Self {
        Self::moving(speed, false)
    }

    /// Returns a running allocator with this speed. `motion`: marks fade.
    fn moving(speed: Speed, motion: bool) -> Self {
        let mut harness = Harness::simulated(0.5);
        harness.allocation = Allocation::new(&AllocationOptions::exo(42), motion);
        while harness.allocation.speed() > speed {
            harness.act(Action::Slower);
        }
        while harness.allocation.speed() < speed {
            harness.act(Action::Faster);
        }
        harness.act(Action::RunOrPause);
        Self(harness)
    }

    fn report(&mut self, at: Duration, delta: AllocationDelta) {
        let Harness { allocation, snapshot, occupancy, .. } = &mut self.0;
        allocation.apply(at, delta, Some(LastScan { snapshot, occupancy }));
    }

    fn marks(&self, now: Duration) -> Vec<(u16, Mark)> {
        self.0.allocation.marks(now)
    }

    fn fades_again_after(&self, now: Duration) -> Option<Duration> {
        self.0.allocation.fades_again_after(now)
    }

    fn tried(&self, now: Duration) -> u32 {
        self.0.allocation.heat(now).iter().sum()
    }
}

fn refused(port: u16, number: u32, fade: u8) -> (u16, Mark) {
    (port, Mark::Refused { number, fade })
}

fn won(port: u16, fade: u8) -> (u16, Mark) {
    (port, Mark::Won { fade })
}

fn flash(port: u16, fade: u8, won: bool) -> (u16, Mark) {
    (port, Mark::Flash { fade, won })
}

#[test]
fn an_allocation_does_not_fade_before_the_next_one_starts() {
    let mut harness = TimedHarness::at(Speed::Four);
    harness.report(ms(0), in_use(1, 1, 50_000));
    harness.report(ms(250), in_use(1, 2, 50_001));
    harness.report(ms(500), bound(1, 3, 50_002));
    let whole = [refused(50_000, 1, 0), refused(50_001, 2, 0), won(50_002, 0)];
    assert_eq!(harness.marks(ms(500)), whole);
    assert_eq!(harness.marks(ms(90_000)), whole);
    assert_eq!(harness.fades_again_after(ms(500)), None);
}

#[test]
fn the_previous_allocation_fades_in_four_steps_over_600_ms() {
    let mut harness = TimedHarness::at(Speed::Four);
    harness.report(ms(0), in_use(1, 1, 50_000));
    harness.report(ms(250), bound(1, 2, 50_001));
    harness.report(ms(1000), in_use(1, 1, 50_002));
    for (now, fade, left) in
        [(1000, 1, 200), (1199, 1, 1), (1200, 2, 200), (1450, 3, 150), (1599, 3, 1)]
    {
        let marks = [refused(50_000, 1, fade), won(50_001, fade), refused(50_002, 1, 0)];
        assert_eq!(harness.marks(ms(now)), marks, "at {now} ms");
        assert_eq!(harness.fades_again_after(ms(now)), Some(ms(left)), "at {now} ms");
    }
    assert_eq!(harness.marks(ms(1600)), [refused(50_002, 1, 0)]);
    assert_eq!(harness.fades_again_after(ms(1600)), None);
}

#[test]
fn overlapping_allocations_fade_independently() {
    let mut harness = TimedHarness::at(Speed::Four);
    for (at, port) in [(0, 50_000), (250, 50_001), (500, 50_002)] {
        harness.report(ms(at), bound(1, 1, port));
    }
    assert_eq!(harness.marks(ms(500)), [won(50_000, 2), won(50_001, 1), won(50_002, 0)]);
    assert_eq!(harness.fades_again_after(ms(500)), Some(ms(150)));
    assert_eq!(harness.marks(ms(850)), [won(50_001, 2), won(50_002, 0)]);
}

#[test]
fn held_marks_are_below_digits_and_above_flashes() {
    for (speed, first) in [(Speed::Four, Mark::Held), (Speed::Twenty, Mark::Held)] {
        let mut harness = TimedHarness::at(speed);
        harness.report(ms(0), AllocationDelta { held: vec![50_000], ..bound(1, 1, 50_000) });
        assert_eq!(harness.marks(ms(0)), [(50_000, first), won(50_000, 0)]);
    }
    let mut harness = TimedHarness::at(Speed::Thousand);
    harness.report(ms(0), AllocationDelta { held: vec![50_000], ..bound(1, 1, 50_000) });
    assert_eq!(harness.marks(ms(0)), [flash(50_000, 0, true), (50_000, Mark::Held)]);
}

#[test]
fn speed_20_shows_the_last_60_attempts_without_fading() {
    let mut harness = TimedHarness::at(Speed::Twenty);
    for number in 1..=80 {
        harness.report(ms(50 * u64::from(number)), in_use(1, number, 50_000 + number as u16));
    }
    let marks = harness.marks(ms(4000));
    assert_eq!((marks.len(), marks[0]), (60, refused(50_021, 21, 0)));
    assert_eq!(harness.marks(ms(90_000)), marks);
    assert_eq!(harness.fades_again_after(ms(4000)), None);
}

#[test]
fn speed_1000_shows_flashes_of_300_ms() {
    let mut harness = TimedHarness::at(Speed::Thousand);
    harness.report(ms(0), in_use(1, 1, 50_000));
    harness.report(ms(100), bound(1, 2, 50_001));
    assert_eq!(harness.marks(ms(100)), [flash(50_000, 1, false), flash(50_001, 0, true)]);
    assert_eq!(harness.fades_again_after(ms(100)), Some(ms(50)));
    assert_eq!(harness.marks(ms(299)), [flash(50_000, 3, false), flash(50_001, 2, true)]);
    assert_eq!(harness.marks(ms(300)), [flash(50_001, 2, true)]);
    assert_eq!(harness.marks(ms(400)), []);
    assert_eq!(harness.fades_again_after(ms(400)), None);
}

#[test]
fn a_paused_run_keeps_its_flashes() {
    let mut harness = TimedHarness::at(Speed::Thousand);
    harness.report(ms(0), in_use(1, 1, 50_000));
    harness.report(ms(100), bound(1, 2, 50_001));
    harness.0.act(Action::RunOrPause);
    harness.report(ms(110), AllocationDelta { is_running: false, ..empty(1) });
    assert_eq!(harness.marks(ms(90_000)), [flash(50_000, 1, false), flash(50_001, 0, true)]);
    assert_eq!(harness.fades_again_after(ms(110)), None);
}

#[test]
fn full_speed_shows_attempt_density_instead_of_marks() {
    let mut harness = TimedHarness::at(Speed::Max);
    assert_eq!((harness.tried(ms(0)), harness.0.allocation.heat(ms(0)).len()), (0, 65_536));
    for tenth in 0..20 {
        let attempts_by_port = vec![(50_000, 3), (50_001 + tenth, 1)];
        let held = vec![50_001];
        let mut delta = AllocationDelta { held, attempts_by_port, ..empty(1) };
        delta.stats.attempts = 4;
        harness.report(ms(u64::from(tenth) * 100), delta);
    }
    let now = ms(1900);
    assert_eq!(harness.marks(now), [(50_001, Mark::Held)]);
    let heat = harness.0.allocation.heat(now);
    assert_eq!((heat[50_000], heat[50_010], heat[50_011], heat[50_020]), (30, 0, 1, 1));
    let rate = harness.0.allocation.attempts_per_second(now);
    assert!((rate - 40.0).abs() < 1e-9, "{rate}");
    assert_eq!(harness.fades_again_after(now), Some(ms(1000)));
    assert_eq!((harness.tried(ms(2899)), harness.tried(ms(2900))), (40, 0));
    assert_eq!(harness.fades_again_after(ms(2900)), None);
    assert!(harness.0.allocation.attempts_per_second(ms(2900)).abs() < 1e-9);
}

#[test]
fn a_paused_run_keeps_its_density_and_a_resumed_run_starts_again() {
    let mut harness = TimedHarness::at(Speed::Max);
    let delta_touching = |port| {
        let stats = RunStats { attempts: 7, ..RunStats::default() };
        AllocationDelta { stats, attempts_by_port: vec![(port, 7)], ..empty(1) }
    };
    harness.report(ms(0), delta_touching(50_000));
    harness.0.act(Action::RunOrPause);
    harness.report(ms(10), AllocationDelta { is_running: false, ..empty(1) });
    assert_eq!(harness.tried(ms(90_000)), 7);
    assert_eq!(harness.fades_again_after(ms(90_000)), None);
    assert!(harness.0.allocation.attempts_per_second(ms(100)).abs() < 1e-9);
    harness.0.act(Action::RunOrPause);
    harness.report(ms(90_100), delta_touching(50_001));
    assert_eq!((harness.tried(ms(90_100)), harness.0.allocation.heat(ms(90_100))[50_001]), (7, 7));
}

#[test]
fn without_motion_only_final_states_are_drawn_and_no_timer_is_set() {
    for speed in [Speed::Four, Speed::Twenty, Speed::Thousand, Speed::Max] {
        let mut harness = TimedHarness::paused(speed);
        harness.report(ms(0), bound(1, 1, 50_000));
        harness.report(ms(10), in_use(1, 1, 50_001));
        let marks = match speed {
            Speed::Four => vec![refused(50_001, 1, 0)],
            Speed::Twenty => vec![won(50_000, 0), refused(50_001, 1, 0)],
            Speed::Thousand => vec![won(50_000, 0)],
            _ => vec![],
        };
        assert_eq!(harness.marks(ms(10)), marks, "{}", speed.name());
        assert_eq!(harness.marks(ms(90_000)), marks, "{}", speed.name());
        assert_eq!(harness.fades_again_after(ms(10)), None);
    }
}

#[test]
fn the_last_200_allocations_are_kept() {
    let mut harness = TimedHarness::at(Speed::Max);
    for number in 1..=250 {
        let finished = Finished { number, attempts: number as u32, port: None };
        let ended = vec![finished];
        harness.report(
            ms(number),
            AllocationDelta { finished: ended.first().copied(), ended, ..empty(1) },
        );
    }
    let numbers: Vec<u64> = harness.0.allocation.last_allocations().map(|f| f.number).collect();
    assert_eq!(numbers, (51..=250).collect::<Vec<u64>>());
    harness.0.act(Action::Reset);
    assert_eq!(harness.0.allocation.last_allocations().len(), 0);
}
