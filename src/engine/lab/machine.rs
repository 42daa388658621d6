//! Compares strategies by real bind() on the host, and releases each port at once. Starts no
//! thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    allocator::{
        ALLOCATORS, FreePorts,
        lab::{Expectation, Expected, Given, LabConfig, LabStrategy, StrategyReport},
    },
    domain::{LocalAddress, Text},
    engine::{
        permit,
        port_survey::{MAX_SNAPSHOT_AGE, PortSurvey},
    },
    host::{Host, HostBinder},
};

const OUT_OF_RANGE: &str = "kernel-bind is left out: the kernel cannot choose from this range only";

/// Runs all strategies, one allocation of each per run, each with a binder of its own. `advance`
/// times every run, because reading the clock costs almost nothing compared with a bind().
pub struct MachineLab {
    survey: PortSurvey,
    destinations: u32,
    slots: Vec<MachineSlot>,
    limitation: Option<&'static str>,
    /// Number of runs started.
    runs: u64,
    /// Number of strategies whose turn in this run is over.
    next_slot: usize,
}

struct MachineSlot {
    lab_strategy: LabStrategy<Box<dyn HostBinder>, FreePorts>,
    takes_part: bool,
    /// Time of the strategy's own snapshot; `None` if none was taken.
    scanned_at: Option<Instant>,
    has_begun: bool,
    /// Last expected values, with the number of the snapshot and the number of remembered ports
    /// that they were computed for.
    known: Option<((u64, u32), Option<Expected>)>,
}

impl MachineLab {
    /// Creates a lab on the host. A strategy that lets the kernel choose does not take part if the
    /// kernel cannot be restricted to the range; a limitation says so.
    ///
    /// Errors, as text: sockets could not be created or listed, the host's policy could not be
    /// read, no candidate can be bound, or no strategy can take part.
    pub fn new(
        host: &dyn Host,
        config: LabConfig,
        address: Option<LocalAddress>,
    ) -> Result<Self, Text> {
        permit::binder(host, &config.candidates, config.protocols, address)?;
        let (mut limitation, mut refused) = (None, None);
        let mut slots = Vec::new();
        for &strategy in &config.strategies {
            let mut binder = host.binder(config.protocols, address)?;
            let mut takes_part = true;
            if ALLOCATORS[strategy].lets_machine_choose
                && let Err(error) = binder.choose_within(config.candidates.range())
            {
                (takes_part, refused) = (false, Some(error));
            }
            // Read after `choose_within`, because the restriction to the range may add a
            // limitation.
            limitation = limitation.or(binder.limitation());
            let lab_strategy = LabStrategy::new(strategy, binder, FreePorts::all_free(), &config);
            slots.push(MachineSlot {
                lab_strategy,
                takes_part,
                scanned_at: None,
                has_begun: false,
                known: None,
            });
        }
        if let Some(error) = refused {
            if !slots.iter().any(|slot| slot.takes_part) {
                return Err(error.into());
            }
            limitation = Some(OUT_OF_RANGE);
        }
        let next_slot = slots.len();
        let destinations = config.destinations.max(1);
        let survey = PortSurvey::new(host, config.candidates, config.protocols, address)?;
        Ok(Self { survey, destinations, slots, limitation, runs: 0, next_slot })
    }

    /// Returns how the host limits the lab, for example "IPv4 only"; `None`: it does not.
    pub fn limitation(&self) -> Option<&'static str> {
        self.limitation.or_else(|| self.survey.limitation())
    }

    /// Returns the number of runs that all strategies have completed.
    pub fn runs(&self) -> u64 {
        self.runs - u64::from(!self.has_ended())
    }

    /// Returns the number of candidates, and how many of them were occupied in the last snapshot.
    pub fn occupancy(&self) -> (u32, u32) {
        (self.survey.candidates.len(), self.survey.occupied)
    }

    /// Makes about `budget` attempts. Stops earlier if `until` runs in total are complete.
    ///
    /// Errors, as text: the sockets of the host could no longer be listed.
    pub fn advance(
        &mut self,
        budget: u32,
        until: u64,
        clock: &dyn Fn() -> Duration,
    ) -> Result<(), Text> {
        let mut left = budget;
        while left > 0 {
            if self.has_ended() {
                if self.runs >= until {
                    return Ok(());
                }
                self.begin();
            }
            let next_slot = self.next_slot;
            self.start(next_slot, true)?;
            let lab_strategy = &mut self.slots[next_slot].lab_strategy;
            if lab_strategy.is_in_progress() {
                left = left.saturating_sub(lab_strategy.attempt_timed(left, clock).max(1));
            }
            self.next_slot += usize::from(!self.slots[next_slot].lab_strategy.is_in_progress());
        }
        Ok(())
    }

    /// Makes one attempt for each strategy whose allocation is in progress. Once all allocations
    /// have ended, the next call starts the next run.
    ///
    /// Errors, as text: as for `advance`.
    pub fn step(&mut self) -> Result<(), Text> {
        if self.has_ended() {
            self.begin();
        }
        for index in 0..self.slots.len() {
            self.start(index, false)?;
            let lab_strategy = &mut self.slots[index].lab_strategy;
            if lab_strategy.is_in_progress() {
                lab_strategy.attempt(1);
            }
        }
        if !self.slots.iter().any(|slot| slot.lab_strategy.is_in_progress()) {
            self.next_slot = self.slots.len();
        }
        Ok(())
    }

    pub fn reports(&self) -> Vec<StrategyReport> {
        let report = |slot: &MachineSlot| {
            let mut report = slot.lab_strategy.report(Arc::clone(&self.survey.ports));
            report.figures.model = expectation(&self.survey, &slot.lab_strategy).model();
            report.figures.lengths = self.survey.lengths.to_vec();
            report
        };
        self.slots.iter().map(report).collect()
    }

    fn has_ended(&self) -> bool {
        self.next_slot >= self.slots.len()
    }

    fn begin(&mut self) {
        self.runs += 1;
        self.next_slot = 0;
        self.slots.iter_mut().for_each(|slot| slot.has_begun = false);
    }

    /// Starts the strategy's allocation of this run, unless it has started already or the strategy
    /// does not take part.
    fn start(&mut self, index: usize, is_timed: bool) -> Result<(), Text> {
        let slot = &mut self.slots[index];
        if !slot.takes_part || std::mem::replace(&mut slot.has_begun, true) {
            return Ok(());
        }
        if slot.lab_strategy.row().needs_port_view && slot.needs_rescan() {
            let took = self.survey.rescan()?;
            slot.scanned_at = Some(Instant::now());
            slot.lab_strategy.port_view_mut().clone_from(&*self.survey.ports);
            slot.lab_strategy.tally_mut().count_snapshot(took);
        } else if self.survey.at.elapsed() >= MAX_SNAPSHOT_AGE {
            self.survey.rescan()?;
        }
        let expected = slot.predict(&self.survey);
        let destination = ((self.runs - 1) % u64::from(self.destinations)) as u32;
        slot.lab_strategy.begin(destination, expected, is_timed);
        Ok(())
    }
}

impl MachineSlot {
    /// Returns whether the strategy has no snapshot, or an old one, or whether its last allocation
    /// took more than one attempt.
    fn needs_rescan(&self) -> bool {
        let has_collided = self.lab_strategy.last().is_some_and(|last| last.attempts > 1);
        has_collided
            || self.scanned_at.is_none_or(|scanned_at| scanned_at.elapsed() >= MAX_SNAPSHOT_AGE)
    }

    fn predict(&mut self, survey: &PortSurvey) -> Option<Expected> {
        let expectation = expectation(survey, &self.lab_strategy);
        let key = (survey.number, expectation.remembered);
        match self.known {
            Some((known, expected)) if known == key => expected,
            _ => {
                let expected = expectation.expected();
                self.known = Some((key, expected));
                expected
            }
        }
    }
}

fn expectation<'a>(
    survey: &'a PortSurvey,
    lab_strategy: &LabStrategy<Box<dyn HostBinder>, FreePorts>,
) -> Expectation<'a> {
    Expectation {
        runs: Some(Arc::clone(&survey.lengths)),
        given: Given::Released,
        ..lab_strategy.expectation(&survey.candidates, survey.occupied)
    }
}
