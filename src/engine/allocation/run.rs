//! One run: its allocator, held ports and statistics. Does not depend on the speed or on channels.

use std::{collections::BTreeMap, time::Instant};

use rand::{SeedableRng, rngs::ChaCha8Rng};

use crate::{
    allocator::{ALLOCATORS, AttemptSearch, FreePorts, Progress, Strategy, Tuning},
    domain::Text,
    engine::{
        Setup,
        allocation::delta::DeltaCounts,
        message::{AllocationDelta, Finished},
        permit,
        port_survey::{MAX_SNAPSHOT_AGE, PortSurvey},
    },
    host::{Held, Host, HostBinder},
};

/// State of a run, from one `AllocationRequest::Prepare` to the next.
pub struct AllocationRun {
    allocator: AttemptSearch<Box<dyn HostBinder>, Box<dyn Strategy>, ChaCha8Rng>,
    delta_counts: DeltaCounts,
    held: BTreeMap<u16, Box<dyn Held>>,
    /// Maximum number of held ports, and the note shown when it is reached.
    capacity: (usize, &'static str),
    /// Set while a limit on held ports is reached.
    pub hold_note: Option<&'static str>,
    limitation: Option<&'static str>,
    /// Snapshot for a strategy that needs one; `None` for the other strategies.
    survey: Option<PortSurvey>,
    /// Whether the snapshot may be out of date, because others have bound or released ports.
    pub needs_rescan: bool,
    /// Time of the next allocation that may have a port to try; `None`: now. Set when the strategy
    /// had none, so that the run does not repeat the failure at full speed.
    pub resumes_at: Option<Instant>,
    /// Number of attempts of the current allocation.
    attempts: u32,
    finished: u64,
    stop_after: Option<u64>,
}

impl AllocationRun {
    /// Prepares a run.
    ///
    /// Errors, as text: no socket could be created, no candidate can be bound, the host's policy
    /// could not be read, the snapshot that the strategy needs failed, or the kernel cannot choose
    /// within the range.
    pub fn prepare(host: &dyn Host, number: u64, setup: &Setup) -> Result<Self, Text> {
        let candidates = permit::candidates(setup.range, &setup.reserved)?;
        let row = &ALLOCATORS[setup.strategy];
        let mut binder = permit::binder(host, &candidates, setup.protocols, setup.address)?;
        if row.lets_machine_choose {
            binder.choose_within(setup.range)?;
        }
        let survey = || PortSurvey::new(host, candidates.clone(), setup.protocols, setup.address);
        let survey = row.needs_port_view.then(survey).transpose()?;
        let port_view =
            survey.as_ref().map_or_else(FreePorts::all_free, |survey| (*survey.ports).clone());
        let capacity = capacity(setup.hold_limit, binder.hold_capacity());
        let limitation = binder.limitation();
        let random = ChaCha8Rng::seed_from_u64(setup.seed);
        let strategy = (row.make)(Tuning::default());
        let mut allocator = AttemptSearch::new(binder, strategy, random, candidates, port_view);
        allocator.set_max_attempts(setup.max_attempts);
        let mut delta_counts = DeltaCounts::new(number, setup.range);
        if let Some(survey) = &survey {
            delta_counts.count_snapshot(survey.took);
        }
        Ok(Self {
            allocator,
            survey,
            needs_rescan: false,
            resumes_at: None,
            delta_counts,
            held: BTreeMap::new(),
            capacity,
            hold_note: None,
            limitation,
            attempts: 0,
            finished: 0,
            stop_after: setup.stop_after,
        })
    }

    /// Makes up to `count` attempts. Keeps each bound port if `hold` is true, and releases it at
    /// once otherwise. Returns false if the run has ended, because it reached `stop_after`.
    pub fn attempt(&mut self, count: u32, hold: bool) -> bool {
        let mut left = count;
        let mut goes_on = true;
        if left > 0 {
            self.resumes_at = None;
        }
        while goes_on && left > 0 {
            self.rescan_if_stale();
            let Self { allocator, delta_counts, attempts, .. } = self;
            let progress = allocator.steps(left, |attempt| {
                left -= 1;
                *attempts = attempt.number;
                delta_counts.count(attempt);
            });
            goes_on = match progress {
                Progress::Refused(_) => true,
                Progress::Bound(attempt, won) => {
                    if hold {
                        self.keep(won);
                    }
                    self.finish(Some(attempt.port))
                }
                Progress::GaveUp(Some(_)) => self.finish(None),
                // The strategy has no port left. If it had none from the start, the loop ends,
                // because the strategy would never make an attempt.
                Progress::GaveUp(None) => {
                    if self.attempts == 0 {
                        left = 0;
                        self.resumes_at = Some(Instant::now() + MAX_SNAPSHOT_AGE);
                    }
                    self.finish(None)
                }
            };
        }
        goes_on
    }

    /// Takes a new snapshot before an allocation if the last snapshot is old, or may be out of
    /// date. If that fails, the last snapshot stays in use, because only a bind decides whether a
    /// port is free.
    fn rescan_if_stale(&mut self) {
        let Some(survey) = &mut self.survey else { return };
        let is_stale = self.needs_rescan || survey.at.elapsed() >= MAX_SNAPSHOT_AGE;
        if self.attempts == 0 && is_stale {
            self.needs_rescan = false;
            if let Ok(took) = survey.rescan() {
                self.delta_counts.count_snapshot(took);
            }
            self.allocator.port_view_mut().clone_from(&survey.ports);
        }
    }

    /// Releases a held port; does nothing if it is not held.
    pub fn release(&mut self, port: u16) {
        if self.held.remove(&port).is_some() {
            self.allocator.port_view_mut().release(port);
            (self.hold_note, self.resumes_at) = (None, None);
        }
    }

    pub fn release_all(&mut self) {
        for port in std::mem::take(&mut self.held).into_keys() {
            self.allocator.port_view_mut().release(port);
        }
        (self.hold_note, self.resumes_at) = (None, None);
    }

    /// Returns the statistics since the last call, and the current state.
    pub fn take_delta(&mut self, is_running: bool) -> AllocationDelta {
        AllocationDelta {
            held: self.held.keys().copied().collect(),
            hold_note: self.hold_note,
            is_running,
            limitation: self.limitation.or_else(|| self.survey.as_ref()?.limitation()),
            ..self.delta_counts.take()
        }
    }

    fn keep(&mut self, won: Box<dyn Held>) {
        let (capacity, note) = self.capacity;
        if self.held.len() < capacity {
            self.allocator.port_view_mut().mark_occupied(won.port());
            self.held.insert(won.port(), won);
        } else {
            self.hold_note = Some(note);
        }
    }

    fn finish(&mut self, port: Option<u16>) -> bool {
        self.finished += 1;
        // Without an attempt, no bind has shown that the snapshot is out of date.
        self.needs_rescan = self.attempts > 1 || (self.attempts == 1 && port.is_none());
        self.delta_counts.finish(Finished { number: self.finished, attempts: self.attempts, port });
        self.attempts = 0;
        self.stop_after != Some(self.finished)
    }
}

fn capacity(asked: u32, possible: u32) -> (usize, &'static str) {
    if asked <= possible {
        (asked as usize, "hold limit reached: further ports are released at once")
    } else {
        (possible as usize, "descriptor limit reached: further ports are released at once")
    }
}
