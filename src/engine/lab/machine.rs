//! Strategies side by side by real bind() on the machine, each port released at once. No thread.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    allocator::{
        Candidates, FreePorts, Sight,
        lab::{Column, Entrant, Expectation, Given, Predicted, Terms},
        theory::{Run, runs_of_taken},
    },
    domain::{Protocols, Snapshot, Socket, Source, Text},
    engine::lab::clock,
    host::{Host, HostBinder, HostError, OwnerDepth, Scanner},
};

/// What was seen is good for so long.
const FRESH: Duration = Duration::from_secs(1);

/// Runs of all strategies, one allocation of each a run, each by a binder of its own. Every run is
/// timed: a look at the clock is nothing beside a bind().
pub struct MachineContest {
    look: Look,
    destinations: u32,
    slots: Vec<Slot>,
    limitation: Option<&'static str>,
    /// Runs that began.
    runs: u64,
    /// How many strategies have had their turn in this run.
    turn: usize,
}

struct Slot {
    entrant: Entrant<Box<dyn HostBinder>, FreePorts>,
    /// When the strategy's own sight was taken; None: none was.
    seen: Option<Instant>,
    has_begun: bool,
    /// What was predicted last, at which look and for so many remembered ports.
    known: Option<((u64, u32), Option<Predicted>)>,
}

impl MachineContest {
    /// Errors, in words: no socket could be made, or none be listed.
    pub fn new(host: &dyn Host, terms: Terms, address: Option<IpAddr>) -> Result<Self, Text> {
        let mut limitation = None;
        let mut slots = Vec::new();
        for &strategy in &terms.strategies {
            let binder = host.binder(terms.protocols, address).map_err(words)?;
            limitation = limitation.or(binder.limitation());
            let entrant = Entrant::new(strategy, binder, FreePorts::everything(), &terms);
            slots.push(Slot { entrant, seen: None, has_begun: false, known: None });
        }
        let turn = slots.len();
        let destinations = terms.destinations.max(1);
        let look = Look::new(host, terms.candidates, terms.protocols, address)?;
        Ok(Self { look, destinations, slots, limitation, runs: 0, turn })
    }

    /// "IPv4 only" and the like.
    pub fn limitation(&self) -> Option<&'static str> {
        self.limitation
    }

    /// Runs that all strategies have ended.
    pub fn runs(&self) -> u64 {
        self.runs - u64::from(!self.has_ended())
    }

    /// Candidates, and occupied ones among them when they were last looked at.
    pub fn occupancy(&self) -> (u32, u32) {
        (self.look.candidates.len(), self.look.occupied)
    }

    /// About so many attempts, until that many runs have ended in all.
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

    /// One attempt of each strategy whose allocation goes on; when all have ended, the next run
    /// begins with the next step.
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

    pub fn columns(&self) -> Vec<Column> {
        let column = |slot: &Slot| {
            let mut column = slot.entrant.column(Arc::clone(&self.look.ports));
            column.figures.law = self.look.expectation(&slot.entrant).law();
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

    /// Its allocation of this run begins, unless it has.
    fn start(&mut self, index: usize, is_timed: bool) -> Result<(), Text> {
        let slot = &mut self.slots[index];
        if std::mem::replace(&mut slot.has_begun, true) {
            return Ok(());
        }
        if slot.entrant.row().needs_sight && slot.has_to_look() {
            let took = self.look.again()?;
            slot.seen = Some(Instant::now());
            slot.entrant.sight_mut().clone_from(&*self.look.ports);
            slot.entrant.tally_mut().count_snapshot(took);
        } else if self.look.at.elapsed() >= FRESH {
            self.look.again()?;
        }
        let predicted = slot.predict(&self.look);
        let destination = ((self.runs - 1) % u64::from(self.destinations)) as u32;
        slot.entrant.begin(destination, predicted, is_timed);
        Ok(())
    }
}

impl Slot {
    /// What it saw is old, or led to a port that was not free.
    fn has_to_look(&self) -> bool {
        let has_missed = self.entrant.last().is_some_and(|last| last.attempts != 1);
        has_missed || self.seen.is_none_or(|seen| seen.elapsed() >= FRESH)
    }

    fn predict(&mut self, look: &Look) -> Option<Predicted> {
        let expectation = look.expectation(&self.entrant);
        let key = (look.number, expectation.remembered);
        match self.known {
            Some((known, predicted)) if known == key => predicted,
            _ => {
                let predicted = expectation.predicted();
                self.known = Some((key, predicted));
                predicted
            }
        }
    }
}

/// Looks at the machine, and what was seen last.
struct Look {
    scanner: Box<dyn Scanner>,
    snapshot: Snapshot,
    candidates: Candidates,
    protocols: Protocols,
    address: Option<IpAddr>,
    number: u64,
    at: Instant,
    ports: Arc<FreePorts>,
    occupied: u32,
    lengths: Arc<[Run]>,
}

impl Look {
    fn new(
        host: &dyn Host,
        candidates: Candidates,
        protocols: Protocols,
        address: Option<IpAddr>,
    ) -> Result<Self, Text> {
        let mut look = Self {
            scanner: host.scanner().map_err(words)?,
            snapshot: Snapshot::empty(host.machine(), Source::SockDiag),
            candidates,
            protocols,
            address,
            number: 0,
            at: Instant::now(),
            ports: Arc::new(FreePorts::everything()),
            occupied: 0,
            lengths: Arc::default(),
        };
        look.again()?;
        Ok(look)
    }

    /// Says how long it took to know which ports are free.
    fn again(&mut self) -> Result<Duration, Text> {
        let clock = clock();
        self.scanner.scan(OwnerDepth::Skip, &mut self.snapshot).map_err(words)?;
        let sockets = self.snapshot.sockets.iter().filter(|socket| self.is_in_the_way(socket));
        let ports = FreePorts::without(sockets.map(|socket| socket.local.port));
        let took = clock();
        let taken = self.candidates.ports().filter(|&port| !ports.looks_free(port));
        self.occupied = taken.count() as u32;
        self.lengths = runs_of_taken(&self.candidates, &ports).into();
        (self.ports, self.at) = (Arc::new(ports), Instant::now());
        self.number += 1;
        Ok(took)
    }

    /// As far as addresses tell: a wildcard meets every address, an address itself and wildcards.
    fn is_in_the_way(&self, socket: &Socket) -> bool {
        let meets = |wanted: IpAddr| {
            let own = socket.local.address.to_canonical();
            own == wanted.to_canonical() || own.is_unspecified() || wanted.is_unspecified()
        };
        self.protocols.includes(socket.protocol) && self.address.is_none_or(meets)
    }

    fn expectation(&self, entrant: &Entrant<Box<dyn HostBinder>, FreePorts>) -> Expectation<'_> {
        Expectation {
            runs: Some(Arc::clone(&self.lengths)),
            given: Given::Released,
            ..entrant.expectation(&self.candidates, self.occupied)
        }
    }
}

fn words(error: HostError) -> Text {
    Text::scrub(error.to_string())
}
