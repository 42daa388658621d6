//! Assesses how well an observer of the last allocated ports can guess the next one. Uses only the
//! ports, not the strategy.

use std::collections::BTreeMap;

use crate::domain::PortRange;

/// Pattern of a sequence of ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Habit {
    /// Fewer than `MIN_PORTS` ports, too few to find a pattern.
    #[default]
    Unseen,
    /// Always the same port.
    Stuck,
    /// The same port in more than half of the allocations.
    Favourite { port: u16 },
    /// The same step between all consecutive ports, negative if downwards.
    Counter { step: i32 },
    /// Even steps upwards, 2 to 16: Linux's connect() towards one destination.
    EvenSteps,
    /// Steps upwards of at most `most` ports, which is at most 1/16 of the range.
    SmallSteps { most: u32 },
    /// All ports are within `ports` consecutive ports, which is at most 1/16 of the range.
    Narrow { ports: u32 },
    /// All ports are even, or all are odd.
    OneParity,
    /// No pattern that helps to guess the next port.
    Uniform,
}

/// Assessment of a sequence of ports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Predictability {
    pub habit: Habit,
    /// Number of bits that an observer has to guess to know the next port; 0 if the habit is
    /// `Unseen`.
    pub bits_left: f64,
    /// Best guess of the next port. `None`: the habit does not single out a port.
    pub guess: Option<u16>,
}

/// Minimum number of ports for an assessment. 16 random ports all have the same parity with
/// probability 1/32,768. Unless the range is tiny, they show any other habit more rarely.
pub const MIN_PORTS: usize = 16;

/// A step or a spread is small if it is at most the range's length divided by this.
const SMALL_PART: u32 = 16;

/// Assesses a sequence of ports of `range`, oldest first.
pub fn assess(ports: &[u16], range: PortRange) -> Predictability {
    let (Some(&last), true) = (ports.last(), ports.len() >= MIN_PORTS) else {
        return Predictability::default();
    };
    let row = SequenceStats::of(ports, range);
    let habit = row.habit();
    let guess = match habit {
        Habit::Unseen | Habit::Narrow { .. } | Habit::OneParity | Habit::Uniform => None,
        Habit::Stuck => Some(last),
        Habit::Favourite { port } => Some(port),
        Habit::Counter { .. } | Habit::EvenSteps | Habit::SmallSteps { .. } => {
            Some(after(last, row.usual_step, range))
        }
    };
    Predictability { habit, bits_left: row.bits_left(habit), guess }
}

/// Properties of a sequence of ports.
struct SequenceStats<'a> {
    ports: &'a [u16],
    range: PortRange,
    /// Distances between consecutive ports, counted upwards and around the end of the range.
    steps: Vec<u32>,
    /// Most frequent step; the smallest one if several are equally frequent.
    usual_step: u32,
    /// Most frequent port, and how often it occurs.
    favourite: (u16, usize),
}

impl<'a> SequenceStats<'a> {
    fn of(ports: &'a [u16], range: PortRange) -> Self {
        let length = i64::from(range.len());
        let step =
            |pair: &[u16]| (i64::from(pair[1]) - i64::from(pair[0])).rem_euclid(length) as u32;
        let steps: Vec<u32> = ports.windows(2).map(step).collect();
        let (usual_step, _) = most_frequent(steps.iter().copied()).unwrap_or_default();
        let favourite = most_frequent(ports.iter().copied()).unwrap_or_default();
        Self { ports, range, steps, usual_step, favourite }
    }

    fn habit(&self) -> Habit {
        let small = self.range.len() / SMALL_PART;
        let most = self.steps.iter().copied().max().unwrap_or_default();
        let is_upwards = !self.steps.contains(&0);
        let (port, times) = self.favourite;
        match () {
            () if times == self.ports.len() => Habit::Stuck,
            () if self.steps.iter().all(|&step| step == self.usual_step) => {
                Habit::Counter { step: signed(self.usual_step, self.range) }
            }
            () if times * 2 > self.ports.len() => Habit::Favourite { port },
            () if is_upwards && most <= 16 && self.steps.iter().all(|step| step % 2 == 0) => {
                Habit::EvenSteps
            }
            () if is_upwards && most <= small => Habit::SmallSteps { most },
            () if self.spread() <= small => Habit::Narrow { ports: self.spread() },
            () if self.ports.iter().all(|port| port % 2 == self.ports[0] % 2) => Habit::OneParity,
            () => Habit::Uniform,
        }
    }

    fn spread(&self) -> u32 {
        let lowest = self.ports.iter().min().copied().unwrap_or_default();
        let highest = self.ports.iter().max().copied().unwrap_or_default();
        u32::from(highest - lowest) + 1
    }

    fn bits_left(&self, habit: Habit) -> f64 {
        let all = f64::from(self.range.len());
        match habit {
            Habit::Stuck | Habit::Counter { .. } => 0.0,
            // Min-entropy: the negative logarithm of the probability that the best guess is right.
            Habit::Favourite { .. } => (self.ports.len() as f64 / self.favourite.1 as f64).log2(),
            Habit::EvenSteps => 3.0,
            Habit::SmallSteps { most } => {
                let is_even = self.steps.iter().all(|step| step % 2 == 0);
                f64::from(if is_even { most / 2 } else { most }).log2()
            }
            Habit::Narrow { ports } => f64::from(ports).log2(),
            Habit::OneParity => (all / 2.0).log2(),
            Habit::Unseen | Habit::Uniform => all.log2(),
        }
    }
}

/// Returns the most frequent value and how often it occurs; `None` if there are no values. If
/// several are equally frequent, returns the smallest.
fn most_frequent<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<(T, usize)> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0) += 1);
    counts.into_iter().rev().max_by_key(|&(_, count)| count)
}

/// Returns a step of more than half the range as a negative step, and other steps unchanged.
fn signed(step: u32, range: PortRange) -> i32 {
    let (step, length) = (step.cast_signed(), range.len().cast_signed());
    if step * 2 > length { step - length } else { step }
}

fn after(port: u16, step: u32, range: PortRange) -> u16 {
    let from_first = u32::from(port.saturating_sub(range.first()));
    range.first() + ((from_first + step) % range.len()) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::port::{IANA_DYNAMIC, LINUX_DEFAULT};

    /// Returns `count` ports, each `step` after the one before, around the range.
    fn walk(range: PortRange, start: u16, count: usize, step: impl Fn(usize) -> u32) -> Vec<u16> {
        let next =
            |(number, port): &(usize, u16)| Some((number + 1, after(*port, step(*number), range)));
        let steps = std::iter::successors(Some((0, start)), next);
        steps.map(|(_, port)| port).take(count).collect()
    }

    /// Returns ports without a pattern, the same ones each time.
    fn scattered(count: usize) -> Vec<u16> {
        let mix = |n: u64| {
            (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 7)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
                >> 40
        };
        (1..=count as u64).map(|n| 49_152 + (mix(n) % 16_384) as u16).collect()
    }

    #[test]
    fn each_habit_is_recognized_from_20_ports() {
        let even = walk(LINUX_DEFAULT, 40_000, 20, |n| 2 + 2 * (n as u32 * 5 % 8));
        let steps = walk(IANA_DYNAMIC, 65_000, 20, |n| 1 + n as u32 * 97 % 500);
        let odd: Vec<u16> = scattered(20).into_iter().map(|port| port | 1).collect();
        let narrow: Vec<u16> = scattered(20).into_iter().map(|port| 49_152 + port % 40).collect();
        let mut bug = vec![52_414; 16];
        bug.extend(scattered(4));
        for (ports, range, habit) in [
            (vec![50_000; 20], IANA_DYNAMIC, Habit::Stuck),
            (walk(IANA_DYNAMIC, 65_530, 20, |_| 1), IANA_DYNAMIC, Habit::Counter { step: 1 }),
            (walk(IANA_DYNAMIC, 49_160, 20, |_| 16_383), IANA_DYNAMIC, Habit::Counter { step: -1 }),
            (even, LINUX_DEFAULT, Habit::EvenSteps),
            (steps, IANA_DYNAMIC, Habit::SmallSteps { most: 486 }),
            (odd, IANA_DYNAMIC, Habit::OneParity),
            (bug, IANA_DYNAMIC, Habit::Favourite { port: 52_414 }),
            (scattered(20), IANA_DYNAMIC, Habit::Uniform),
            (scattered(15), IANA_DYNAMIC, Habit::Unseen),
        ] {
            assert_eq!(assess(&ports, range).habit, habit, "{ports:?}");
        }
        let habit = assess(&narrow, IANA_DYNAMIC).habit;
        assert!(matches!(habit, Habit::Narrow { ports: 30..=40 }), "{habit:?}");
    }

    #[test]
    fn guess_of_a_counter_wraps_at_the_end_of_the_range() {
        let ports = walk(IANA_DYNAMIC, 65_516, 20, |_| 1);
        assert_eq!(ports.last(), Some(&65_535));
        let judged = assess(&ports, IANA_DYNAMIC);
        assert_eq!((judged.guess, judged.bits_left), (Some(49_152), 0.0));
    }

    #[test]
    fn remaining_entropy_matches_the_number_of_possible_ports() {
        let bits = |ports: &[u16], range| assess(ports, range).bits_left;
        let even = walk(LINUX_DEFAULT, 40_000, 20, |n| 2 + 2 * (n as u32 * 5 % 8));
        assert!((bits(&even, LINUX_DEFAULT) - 3.0).abs() < f64::EPSILON);
        assert!((bits(&scattered(20), IANA_DYNAMIC) - 14.0).abs() < f64::EPSILON);
        assert!((bits(&[9; 20], IANA_DYNAMIC)).abs() < f64::EPSILON);
    }
}
