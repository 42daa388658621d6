//! One attempt, and the loop of attempts that makes an allocation.

use std::time::Duration;

use rand::Rng;

use crate::{
    allocator::{Candidates, FreePorts, Sight, Strategy, strategy::Surroundings},
    domain::{Binder, Bound, Miss, Outcome, Refusal},
};

/// One try of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1 within its allocation.
    pub number: u32,
    /// 0: the machine was to choose, and had none.
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
    /// The attempt was refused and was the last one allowed; None: the strategy has no port left.
    GaveUp(Option<Attempt>),
}

/// No port was bound. Says nothing of whether there is a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gave up after {attempts} attempts")]
pub struct GaveUp {
    pub attempts: u32,
}

/// Searches for a port by one strategy, attempt by attempt.
pub struct Allocator<B, S, R, V = FreePorts> {
    binder: B,
    strategy: S,
    random: R,
    candidates: Candidates,
    sight: V,
    destination: u32,
    max_attempts: u32,
    attempts: u32,
    /// The strategy was told that an allocation begins.
    has_begun: bool,
}

impl<B: Binder, S: Strategy, R: Rng> Allocator<B, S, R> {
    /// At most `max_attempts` attempts an allocation, towards destination 0; every port looks free.
    pub fn new(
        binder: B,
        strategy: S,
        random: R,
        candidates: Candidates,
        max_attempts: u32,
    ) -> Self {
        Self {
            binder,
            strategy,
            random,
            candidates,
            sight: FreePorts::everything(),
            destination: 0,
            max_attempts,
            attempts: 0,
            has_begun: false,
        }
    }

    /// With a sight of its own.
    pub fn seeing<V: Sight>(self, sight: V) -> Allocator<B, S, R, V> {
        let Self { binder, strategy, random, candidates, destination, .. } = self;
        let Self { max_attempts, attempts, has_begun, .. } = self;
        Allocator {
            binder,
            strategy,
            random,
            candidates,
            sight,
            destination,
            max_attempts,
            attempts,
            has_begun,
        }
    }
}

impl<B: Binder, S: Strategy, R: Rng, V: Sight> Allocator<B, S, R, V> {
    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    /// To be kept up to date by the caller.
    pub fn sight_mut(&mut self) -> &mut V {
        &mut self.sight
    }

    /// From the next allocation on.
    pub fn turn_to(&mut self, destination: u32) {
        self.destination = destination;
    }

    /// At most so many attempts an allocation, from now on.
    pub fn allow(&mut self, max_attempts: u32) {
        self.max_attempts = max_attempts;
    }

    /// One attempt. After `Bound` or `GaveUp` the next call begins a new allocation.
    pub fn step(&mut self) -> Progress<B::Held> {
        self.steps(1, |_| ())
    }

    /// So many attempts, fewer if the allocation ends before; `seen` is told each.
    pub fn steps(&mut self, limit: u32, mut seen: impl FnMut(&Attempt)) -> Progress<B::Held> {
        let Self { binder, strategy, random, candidates, sight, destination, .. } = self;
        let Self { max_attempts, attempts, has_begun, .. } = self;
        let about = Surroundings { candidates, sight, destination: *destination };
        if candidates.len() > 0 && !std::mem::replace(has_begun, true) {
            strategy.begin(&about, random);
        }
        let until = attempts.saturating_add(limit).min(*max_attempts);
        let (mut last, mut is_exhausted) = (None, false);
        let bound = binder.bind_first(&mut |miss| {
            if let Some(Miss { port, refusal, took }) = miss {
                let attempt = Attempt { number: *attempts, port, refusal: Some(refusal), took };
                seen(&attempt);
                last = Some(attempt);
                if *attempts >= until {
                    return None;
                }
            }
            let is_empty = about.candidates.len() == 0;
            let port = if is_empty { None } else { strategy.next(&about, random) };
            is_exhausted = port.is_none();
            *attempts += u32::from(!is_exhausted);
            port
        });
        if let Some(Bound { port, held, took }) = bound {
            let attempt = Attempt { number: std::mem::take(attempts), port, refusal: None, took };
            *has_begun = false;
            strategy.bound(port);
            seen(&attempt);
            return Progress::Bound(attempt, held);
        }
        match last {
            Some(attempt) if !is_exhausted && *attempts < *max_attempts => {
                Progress::Refused(attempt)
            }
            last => {
                (*attempts, *has_begun) = (0, false);
                Progress::GaveUp(last.filter(|_| !is_exhausted))
            }
        }
    }

    /// Attempts until a port is bound or the last one was refused; `seen` is told each.
    pub fn allocate(&mut self, mut seen: impl FnMut(&Attempt)) -> Result<(u16, B::Held), GaveUp> {
        let mut attempts = 0;
        loop {
            let progress = self.steps(u32::MAX, |attempt| {
                attempts = attempt.number;
                seen(attempt);
            });
            match progress {
                Progress::Refused(_) => {}
                Progress::Bound(attempt, held) => return Ok((attempt.port, held)),
                Progress::GaveUp(_) => return Err(GaveUp { attempts }),
            }
        }
    }
}
