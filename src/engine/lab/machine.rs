//! Compares strategies by real bind() on the host, and releases each port at once. Starts no
//! thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    allocator::{
        ALLOCATORS, FreePorts,
        lab::{Entrant, Expectation, Expected, Given, LabConfig, StrategyColumn},
    },
    domain::{LocalAddress, Text},
    engine::{
        look::{FRESH, PortSurvey},
        permit,
    },
    host::{Host, HostBinder, HostError},
};

const OUT_OF_RANGE: &str = "kernel-bind is left out: the kernel cannot choose from this range only";

/// Runs all strategies, one allocation of each per run, each with a binder of its own. Every run is
/// timed: reading the clock costs almost nothing compared with a bind().
pub struct MachineContest {
    look: PortSurvey,
    destinations: u32,
    slots: Vec<MachineSlot>,
    limitation: Option<&'static str>,
    /// Number of runs started.
    runs: u64,
    /// Number of strategies that had their turn in this run.
    turn: usize,
}

struct MachineSlot {
    entrant: Entrant<Box<dyn HostBinder>, FreePorts>,
    takes_part: bool,
    /// Time of the strategy's own snapshot; `None` if none was taken.
    seen: Option<Instant>,
    has_begun: bool,
    /// Last expected values, with the two numbers that they were computed for: that of the
    /// snapshot, and that of remembered ports.
    known: Option<((u64, u32), Option<Expected>)>,
}

impl MachineContest {
    /// Creates a lab on the host. A strategy that lets the kernel choose does not take part if the
    /// kernel cannot be restricted to the range; a limitation says so.
    ///
    /// Errors, as text: sockets could not be created or listed, or no strategy can take part.
    pub fn new(
        host: &dyn Host,
        terms: LabConfig,
        address: Option<LocalAddress>,
    ) -> Result<Self, Text> {
        permit::binder(host, &terms.candidates, terms.protocols, address)?;
        let (mut limitation, mut refused) = (None, None);
        let mut slots = Vec::new();
        for &strategy in &terms.strategies {
            let mut binder = host.binder(terms.protocols, address).map_err(words)?;
            let mut takes_part = true;
            if ALLOCATORS[strategy].lets_machine_choose
                && let Err(error) = binder.choose_within(terms.candidates.range())
            {
                (takes_part, refused) = (false, Some(error));
            }
            // Includes a limitation that follows from the restriction to the range.
            limitation = limitation.or(binder.limitation());
            let entrant = Entrant::new(strategy, binder, FreePorts::everything(), &terms);
            slots.push(MachineSlot {
                entrant,
                takes_part,
                seen: None,
                has_begun: false,
                known: None,
            });
        }
        if let Some(error) = refused {
            if !slots.iter().any(|slot| slot.takes_part) {
                return Err(words(error));
            }
            limitation = Some(OUT_OF_RANGE);
        }
        let turn = slots.len();
        let destinations = terms.destinations.max(1);
        let look =
            PortSurvey::new(host, terms.candidates, terms.protocols, address).map_err(words)?;
        Ok(Self { look, destinations, slots, limitation, runs: 0, turn })
    }

    /// Returns what the lab cannot do on this host, for example "IPv4 only".
    pub fn limitation(&self) -> Option<&'static str> {
        self.limitation
    }

    /// Returns the number of runs that all strategies have completed.
    pub fn runs(&self) -> u64 {
        self.runs - u64::from(!self.has_ended())
    }

    /// Returns the number of candidates, and how many of them were occupied in the last snapshot.
    pub fn occupancy(&self) -> (u32, u32) {
        (self.look.candidates.len(), self.look.occupied)
    }

    /// Makes about `budget` attempts. Stops earlier if `until` runs in total are complete.
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
            let turn = self.turn;
            self.start(turn, true)?;
            let entrant = &mut self.slots[turn].entrant;
            if entrant.is_going_on() {
                left = left.saturating_sub(entrant.attempt_timed(left, clock).max(1));
            }
            self.turn += usize::from(!self.slots[turn].entrant.is_going_on());
        }
        Ok(())
    }

    /// Makes one attempt for each strategy whose allocation is in progress. Once all allocations
    /// have ended, the next call starts the next run.
    pub fn step(&mut self) -> Result<(), Text> {
        if self.has_ended() {
            self.begin();
        }
        for index in 0..self.slots.len() {
            self.start(index, false)?;
            let entrant = &mut self.slots[index].entrant;
            if entrant.is_going_on() {
                entrant.attempt(1);
            }
        }
        if !self.slots.iter().any(|slot| slot.entrant.is_going_on()) {
            self.turn = self.slots.len();
        }
        Ok(())
    }

    pub fn columns(&self) -> Vec<StrategyColumn> {
        let column = |slot: &MachineSlot| {
            let mut column = slot.entrant.column(Arc::clone(&self.look.ports));
            column.figures.model = expectation(&self.look, &slot.entrant).model();
            column.figures.lengths = self.look.lengths.to_vec();
            column
        };
        self.slots.iter().map(column).collect()
    }

    fn has_ended(&self) -> bool {
        self.turn >= self.slots.len()
    }

    fn begin(&mut self) {
        self.runs += 1;
        self.turn = 0;
        self.slots.iter_mut().for_each(|slot| slot.has_begun = false);
    }

    /// Starts the strategy's allocation of this run, unless it has started already.
    fn start(&mut self, index: usize, is_timed: bool) -> Result<(), Text> {
        let slot = &mut self.slots[index];
        if !slot.takes_part || std::mem::replace(&mut slot.has_begun, true) {
            return Ok(());
        }
        if slot.entrant.row().needs_sight && slot.has_to_look() {
            let took = self.look.again().map_err(words)?;
            slot.seen = Some(Instant::now());
            slot.entrant.sight_mut().clone_from(&*self.look.ports);
            slot.entrant.tally_mut().count_snapshot(took);
        } else if self.look.at.elapsed() >= FRESH {
            self.look.again().map_err(words)?;
        }
        let expected = slot.predict(&self.look);
        let destination = ((self.runs - 1) % u64::from(self.destinations)) as u32;
        slot.entrant.begin(destination, expected, is_timed);
        Ok(())
    }
}

impl MachineSlot {
    /// Returns whether the strategy's snapshot is old or led to a port that was not free.
    fn has_to_look(&self) -> bool {
        let has_missed = self.entrant.last().is_some_and(|last| last.attempts != 1);
        has_missed || self.seen.is_none_or(|seen| seen.elapsed() >= FRESH)
    }

    fn predict(&mut self, look: &PortSurvey) -> Option<Expected> {
        let expectation = expectation(look, &self.entrant);
        let key = (look.number, expectation.remembered);
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
    look: &'a PortSurvey,
    entrant: &Entrant<Box<dyn HostBinder>, FreePorts>,
) -> Expectation<'a> {
    Expectation {
        runs: Some(Arc::clone(&look.lengths)),
        given: Given::Released,
        ..entrant.expectation(&look.candidates, look.occupied)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn words(error: HostError) -> Text {
    Text::around_scrubbed(error.to_string())
}
