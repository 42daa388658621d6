//! What an observer learns from the ports that an allocator gave last. Knows no strategy.

use crate::domain::PortRange;

/// What a row of ports looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Habit {
    /// Fewer ports than the judgement needs.
    #[default]
    Unseen,
    /// Always the same port.
    Stuck,
    /// Each port follows the one before at the same distance.
    Counter { step: i32 },
    /// Upwards by 2, 4, up to 16: Linux's connect() towards one destination.
    EvenSteps,
    /// Upwards by at most so many ports.
    SmallSteps { most: u32 },
    /// All even, or all odd.
    OneParity,
    /// Nothing that would help to guess.
    Uniform,
}

/// The judgement of a row of ports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Predictability {
    pub habit: Habit,
    /// What is left to guess of the next port, in bits; 0: it is known.
    pub bits_left: f64,
    /// The best guess, where there is one.
    pub guess: Option<u16>,
}
