//! A bind attempt, and the loop that makes the attempts of an allocation.

use std::time::Duration;

use rand::Rng;

use crate::{
    allocator::{Candidates, FreePorts, PortView, Strategy, strategy::StrategyContext},
    domain::{Binder, Bound, Miss, Outcome, Refusal},
};

/// One attempt to bind one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Number of the attempt within its allocation, from 1.
    pub number: u32,
    /// Port that was tried. If the kernel chose: the chosen port, or 0 if it found none.
    pub port: u16,
    /// `None` if the port was bound.
    pub refusal: Option<Refusal>,
    /// Time that the bind() took.
    pub took: Duration,
}

impl Attempt {
    pub fn outcome(&self) -> Outcome {
        self.refusal.map_or(Outcome::Bound, Refusal::outcome)
    }
}

/// Result of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Number within the run, counted from 1.
    pub number: u64,
    pub attempts: u32,
    /// `None` if the allocation gave up.
    pub port: Option<u16>,
}

/// Result of one step of an allocation.
#[derive(Debug)]
pub enum Progress<H> {
    Refused(Attempt),
    Bound(Attempt, H),
    /// Contains the last allowed attempt, which was refused. `None`: the strategy has no further
    /// port to try, or an `EarlyEnd` condition applies.
    GaveUp(Option<Attempt>),
}

/// Error: no port was bound. A free port may exist nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gave up after {attempts} attempts")]
pub struct GaveUp {
    pub attempts: u32,
}

/// Conditions that end an allocation before all allowed attempts are made, because the remaining
/// attempts are expected to fail too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarlyEnd {
    /// Ends once every candidate was refused with EADDRINUSE, EACCES or EPERM.
    pub all_refused: bool,
    /// Ends once this number of attempts were made and all were denied (EACCES, EPERM). `None`:
    /// denied attempts do not end it.
    pub all_denied: Option<u32>,
}

/// Refusals of the current allocation, tracked for `EarlyEnd`.
#[derive(Default)]
struct RefusalTracker {
    rule: EarlyEnd,
    /// Whether each candidate was refused, by the candidate's number. Empty if this is not tracked.
    refused: Vec<bool>,
    /// Number of candidates that were not refused yet.
    left: u32,
    /// Number of denied attempts (EACCES, EPERM).
    denied: u32,
    /// Whether an attempt failed for another reason.
    has_other_failure: bool,
}

impl RefusalTracker {
    /// Tracks refused candidates only if `max_attempts` attempts can reach all of them.
    fn begin(&mut self, candidates: u32, max_attempts: u32) {
        let is_kept = self.rule.all_refused && candidates <= max_attempts;
        self.refused.clear();
        self.refused.resize(if is_kept { candidates as usize } else { 0 }, false);
        (self.left, self.denied, self.has_other_failure) = (candidates, 0, false);
    }

    /// Records a refusal. Returns true if the allocation ends with this attempt.
    #[inline]
    fn ends_with(&mut self, candidates: &Candidates, miss: Miss) -> bool {
        self.rule != EarlyEnd::default() && self.is_last(candidates, miss)
    }

    fn is_last(&mut self, candidates: &Candidates, miss: Miss) -> bool {
        let EarlyEnd { all_refused, all_denied } = self.rule;
        let outcome = miss.refusal.outcome();
        self.has_other_failure |= outcome != Outcome::Denied;
        self.denied += u32::from(outcome == Outcome::Denied);
        if !self.has_other_failure && all_denied.is_some_and(|limit| self.denied >= limit) {
            return true;
        }
        if !all_refused || outcome == Outcome::Unknown {
            return false;
        }
        let number = candidates.number_of(miss.port).map(|number| number as usize);
        let was_refused = number.and_then(|number| self.refused.get_mut(number));
        if was_refused.is_some_and(|was_refused| !std::mem::replace(was_refused, true)) {
            self.left -= 1;
        }
        self.left == 0
    }
}

/// Searches for a port with one strategy, attempt by attempt.
pub struct AttemptSearch<B, S, R, V = FreePorts> {
    binder: B,
    strategy: S,
    random: R,
    candidates: Candidates,
    port_view: V,
    destination: u32,
    max_attempts: u32,
    attempts: u32,
    /// Whether `Strategy::begin` was called for the current allocation.
    has_begun: bool,
    refusal_tracker: RefusalTracker,
}

impl<B: Binder, S: Strategy, R: Rng, V: PortView> AttemptSearch<B, S, R, V> {
    /// Creates a search for destination 0, without a limit on attempts. `port_view` shows which
    /// ports look free; the caller keeps it up to date.
    pub fn new(binder: B, strategy: S, random: R, candidates: Candidates, port_view: V) -> Self {
        Self {
            binder,
            strategy,
            random,
            candidates,
            port_view,
            destination: 0,
            max_attempts: u32::MAX,
            attempts: 0,
            has_begun: false,
            refusal_tracker: RefusalTracker::default(),
        }
    }

    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    pub fn port_view_mut(&mut self) -> &mut V {
        &mut self.port_view
    }

    /// Sets the destination, from the next allocation on.
    pub fn set_destination(&mut self, destination: u32) {
        self.destination = destination;
    }

    /// Sets the maximum number of attempts per allocation, from now on; 0 counts as 1.
    pub fn set_max_attempts(&mut self, max_attempts: u32) {
        self.max_attempts = max_attempts;
    }

    /// Sets when an allocation ends early. By default, an allocation makes all allowed attempts.
    pub fn set_early_end(&mut self, rule: EarlyEnd) {
        self.refusal_tracker.rule = rule;
    }

    /// Makes `limit` attempts (at least 1), or fewer if the allocation ends before. Calls
    /// `on_attempt` with each attempt. After `Bound` or `GaveUp` the next call begins a new
    /// allocation.
    pub fn steps(&mut self, limit: u32, mut on_attempt: impl FnMut(&Attempt)) -> Progress<B::Held> {
        let Self { binder, strategy, random, candidates, port_view, destination, .. } = self;
        let Self { max_attempts, attempts, has_begun, refusal_tracker, .. } = self;
        let context = StrategyContext { candidates, port_view, destination: *destination };
        if candidates.len() > 0 && !std::mem::replace(has_begun, true) {
            strategy.begin(&context, random);
            refusal_tracker.begin(context.candidates.len(), *max_attempts);
        }
        let last_number = attempts.saturating_add(limit).min(*max_attempts);
        let (mut last, mut is_exhausted) = (None, false);
        let bound = binder.bind_first(&mut |miss| {
            if let Some(miss) = miss {
                let Miss { port, refusal, took } = miss;
                let attempt = Attempt { number: *attempts, port, refusal: Some(refusal), took };
                on_attempt(&attempt);
                last = Some(attempt);
                is_exhausted = refusal_tracker.ends_with(context.candidates, miss);
                if is_exhausted || *attempts >= last_number {
                    return None;
                }
            }
            let is_empty = context.candidates.len() == 0;
            let port = if is_empty { None } else { strategy.next(&context, random) };
            is_exhausted = port.is_none();
            *attempts += u32::from(!is_exhausted);
            port
        });
        if let Some(Bound { port, held, took }) = bound {
            let attempt = Attempt { number: std::mem::take(attempts), port, refusal: None, took };
            *has_begun = false;
            strategy.bound(port);
            on_attempt(&attempt);
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

    /// Makes attempts until a port is bound or the allocation gives up. Calls `on_attempt` with
    /// each attempt.
    pub fn allocate(
        &mut self,
        mut on_attempt: impl FnMut(&Attempt),
    ) -> Result<(u16, B::Held), GaveUp> {
        let mut attempts = 0;
        loop {
            let progress = self.steps(u32::MAX, |attempt| {
                attempts = attempt.number;
                on_attempt(attempt);
            });
            match progress {
                Progress::Refused(_) => {}
                Progress::Bound(attempt, held) => return Ok((attempt.port, held)),
                Progress::GaveUp(_) => return Err(GaveUp { attempts }),
            }
        }
    }
}
