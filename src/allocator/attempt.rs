//! One attempt, and the loop of attempts that makes an allocation.

use std::time::Duration;

use rand::Rng;

use crate::{
    allocator::{Candidates, Strategy},
    domain::{Binder, Outcome, Refusal},
};

/// One try of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1 within its allocation.
    pub number: u32,
    pub port: u16,
    /// None: bound.
    pub refusal: Option<Refusal>,
    pub took: Duration,
}

impl Attempt {
    pub fn outcome(&self) -> Outcome {
        self.refusal.map_or(Outcome::Bound, Refusal::outcome)
    }
}

/// What one step of an allocation came to.
#[derive(Debug)]
pub enum Progress<H> {
    Refused(Attempt),
    Bound(Attempt, H),
    /// The attempt was refused and was the last one allowed.
    GaveUp(Option<Attempt>),
}

/// No port was bound. Says nothing of whether there is a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gave up after {attempts} attempts")]
pub struct GaveUp {
    pub attempts: u32,
}

/// Searches for a port by one strategy, attempt by attempt.
pub struct Allocator<B, S, R> {
    binder: B,
    strategy: S,
    random: R,
    candidates: Candidates,
    max_attempts: u32,
    attempts: u32,
}

impl<B: Binder, S: Strategy, R: Rng> Allocator<B, S, R> {
    /// At most `max_attempts` attempts an allocation.
    pub fn new(
        binder: B,
        strategy: S,
        random: R,
        candidates: Candidates,
        max_attempts: u32,
    ) -> Self {
        Self { binder, strategy, random, candidates, max_attempts, attempts: 0 }
    }

    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    /// One attempt. After `Bound` or `GaveUp` the next call begins a new allocation.
    pub fn step(&mut self) -> Progress<B::Held> {
        let Some(port) = self.strategy.next(&self.candidates, &mut self.random) else {
            self.attempts = 0;
            return Progress::GaveUp(None);
        };
        self.attempts += 1;
        let (result, took) = self.binder.bind(port);
        let number = self.attempts;
        let attempt = Attempt { number, port, refusal: result.as_ref().err().copied(), took };
        match result {
            Ok(held) => {
                self.attempts = 0;
                Progress::Bound(attempt, held)
            }
            Err(_) if number < self.max_attempts => Progress::Refused(attempt),
            Err(_) => {
                self.attempts = 0;
                Progress::GaveUp(Some(attempt))
            }
        }
    }

    /// Attempts until a port is bound or the last one was refused; `seen` is told each.
    pub fn allocate(&mut self, mut seen: impl FnMut(&Attempt)) -> Result<(u16, B::Held), GaveUp> {
        let mut attempts = 0;
        loop {
            match self.step() {
                Progress::Refused(attempt) => {
                    attempts = attempt.number;
                    seen(&attempt);
                }
                Progress::Bound(attempt, held) => {
                    seen(&attempt);
                    return Ok((attempt.port, held));
                }
                Progress::GaveUp(last) => {
                    if let Some(attempt) = &last {
                        seen(attempt);
                    }
                    return Err(GaveUp { attempts: last.map_or(attempts, |a| a.number) });
                }
            }
        }
    }
}
