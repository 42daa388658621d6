//! Draws simulated occupancies, on which strategies are compared. Implements `Binder` in memory and
//! binds no real port.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::{
    allocator::{
        Candidates, FreePorts, PortView,
        theory::{OccupiedRun, runs_of_taken},
    },
    domain::{Binder, Bound, Errno, Miss, NextPort, Protocol, Protocols, Refusal, automatic},
};

mod clusters;

use clusters::Clusters;

/// Distribution of the occupied ports of a population.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every set of ports of the same size is equally likely.
    #[default]
    Uniform,
    /// Runs with a mean length of about `CLUSTER` ports: one shorter run if fewer ports are
    /// occupied, and longer runs if there are too few free ports to keep such runs apart.
    Clustered,
    /// The distribution that the strategy itself produces when it allocates in an empty range.
    Built,
}

impl Pattern {
    pub const EACH: [Self; 3] = [Self::Uniform, Self::Clustered, Self::Built];

    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Clustered => "clustered",
            Self::Built => "built",
        }
    }
}

/// Intended mean length of the runs of `Pattern::Clustered`, in ports.
pub const CLUSTER: u32 = 64;

/// Set of occupied candidates. With `Uniform`, whether a port is occupied is drawn when the port is
/// first looked at, so that a new occupancy takes time only for the ports that are looked at. The
/// draw is without replacement, so that every set of the same size remains equally likely.
///
/// The generator is ChaCha8 with the lab's seed, in streams that no strategy uses. A bind does not
/// make the port occupied; the caller calls `take` for this.
pub struct Population {
    candidates: Candidates,
    protocols: Protocols,
    pattern: Pattern,
    /// Number of occupied ports in each new occupancy. With `Built`, an occupancy starts empty, and
    /// the lab calls `take` up to this number of times.
    occupied: u32,
    /// By port: bit 0 is whether the port is occupied, and the other bits are the number of the
    /// occupancy for which this was decided.
    decided: Box<[Cell<u32>]>,
    number: Cell<u32>,
    /// Number of the last occupancy in which bind() to port 0 found no free port.
    full: Cell<u32>,
    /// With `Uniform`: number of candidates not decided yet, and how many of them are occupied.
    left: Cell<(u32, u32)>,
    clusters: RefCell<Clusters>,
    seed: u64,
    random: RefCell<ChaCha8Rng>,
}

/// Stream of the generator that decides ports when they are first looked at. `free_ports` and
/// `draw_all` use the streams after this one.
const STREAM: u64 = 1 << 63;

impl Population {
    /// Creates a population that is empty until the first `renew`. `occupied` is limited to the
    /// number of candidates.
    pub fn new(
        pattern: Pattern,
        candidates: Candidates,
        protocols: Protocols,
        occupied: u32,
        seed: u64,
    ) -> Self {
        let occupied = occupied.min(candidates.len());
        Self {
            clusters: RefCell::new(Clusters::new(candidates.len())),
            left: Cell::new((candidates.len(), 0)),
            candidates,
            protocols,
            pattern,
            occupied,
            decided: vec![Cell::new(0); 1 << 16].into(),
            number: Cell::new(1),
            full: Cell::new(0),
            seed,
            random: RefCell::new(generator(seed, STREAM)),
        }
    }

    /// Starts a new occupancy, independent of the previous one.
    pub fn renew(&self) {
        // Restarts the numbering before it overflows: after an overflow, a number could match an
        // entry of `decided` from an old occupancy.
        if self.number.get() >= u32::MAX >> 1 {
            self.decided.iter().for_each(|stamp| stamp.set(0));
            self.number.set(0);
            self.full.set(0);
        }
        self.number.set(self.number.get() + 1);
        let occupied = if self.pattern == Pattern::Uniform { self.occupied } else { 0 };
        self.left.set((self.candidates.len(), occupied));
        if self.pattern == Pattern::Clustered {
            self.clusters.borrow_mut().draw(self.occupied, &mut self.random.borrow_mut());
        }
    }

    /// Returns whether a port is occupied; decides the port first, if necessary.
    pub fn is_taken(&self, port: u16) -> bool {
        let stamp = self.decided[usize::from(port)].get();
        if stamp >> 1 == self.number.get() { stamp & 1 == 1 } else { self.decide(port) }
    }

    /// Marks a port as occupied in the current occupancy.
    pub fn take(&self, port: u16) {
        self.set_drawn(port, true);
    }

    /// Decides every port, so that later attempts see the occupancy that `free_ports` shows.
    pub fn draw_all(&self) {
        if self.pattern != Pattern::Uniform || self.left.get().0 == 0 {
            return;
        }
        self.complete(|port, is_taken| self.set_drawn(port, is_taken));
        self.left.set((0, 0));
    }

    /// Returns the whole occupancy and does not affect later draws. Undecided ports are shown as
    /// `draw_all` would decide them now.
    pub fn free_ports(&self) -> FreePorts {
        let mut free_ports = FreePorts::all_free();
        self.complete(|port, is_taken| {
            if is_taken {
                free_ports.mark_occupied(port);
            }
        });
        free_ports
    }

    /// Calls the closure with each port and whether it is occupied. Undecided ports are drawn by a
    /// separate generator.
    fn complete(&self, mut visit: impl FnMut(u16, bool)) {
        let mut random = generator(self.seed, STREAM + u64::from(self.number.get()));
        let mut left = self.left.get();
        for port in self.candidates.ports() {
            let is_taken = if self.pattern == Pattern::Uniform && !self.is_decided(port) {
                draw(&mut left, &mut random)
            } else {
                self.is_taken(port)
            };
            visit(port, is_taken);
        }
    }

    /// Returns the runs of occupied ports, (length, count), in any order; `None` for `Uniform`,
    /// where this would decide every port.
    pub fn known_runs(&self) -> Option<Arc<[OccupiedRun]>> {
        match self.pattern {
            Pattern::Uniform => None,
            Pattern::Clustered => Some(self.clusters.borrow().runs()),
            Pattern::Built => Some(runs_of_taken(&self.candidates, self).into()),
        }
    }

    fn is_decided(&self, port: u16) -> bool {
        self.decided[usize::from(port)].get() >> 1 == self.number.get()
    }

    fn set_drawn(&self, port: u16, is_taken: bool) {
        self.decided[usize::from(port)].set(self.number.get() << 1 | u32::from(is_taken));
    }

    fn decide(&self, port: u16) -> bool {
        let is_taken = match self.pattern {
            Pattern::Uniform => {
                let mut left = self.left.get();
                let is_taken = draw(&mut left, &mut *self.random.borrow_mut());
                self.left.set(left);
                is_taken
            }
            Pattern::Clustered => {
                let number = self.candidates.number_of(port);
                number.is_some_and(|number| self.clusters.borrow().contains(number))
            }
            Pattern::Built => false,
        };
        self.set_drawn(port, is_taken);
        is_taken
    }

    /// Returns a port that the kernel could choose for bind() to port 0; `None` if its search finds
    /// no free port.
    fn choose(&self) -> Option<u16> {
        // Within one occupancy, no occupied port becomes free again.
        if self.full.get() == self.number.get() {
            return None;
        }
        let chosen = self.search();
        // With an odd number of ports, a TCP search skips one of them, and the next search may skip
        // another.
        let has_seen_all =
            self.protocols != Protocols::Tcp || self.candidates.range().len().is_multiple_of(2);
        if chosen.is_none() && has_seen_all {
            self.full.set(self.number.get());
        }
        chosen
    }

    fn search(&self) -> Option<u16> {
        let is_available = |port| self.candidates.contains(port) && !self.is_taken(port);
        if self.protocols != Protocols::Tcp
            && let Some(port) = self.draw_free()
        {
            return Some(port);
        }
        let random = self.random.borrow_mut().random();
        automatic::choose(self.protocols, self.candidates.range(), random, is_available)
    }

    /// Draws a free port, each with the same probability. `None`: as many draws as there are
    /// candidates found no free port.
    fn draw_free(&self) -> Option<u16> {
        let count = self.candidates.len();
        let draw = |_| self.candidates.nth(self.random.borrow_mut().random_range(0..count));
        (0..count).map(draw).find(|&port| !self.is_taken(port))
    }

    fn refusal(&self) -> Refusal {
        // UDP is bound first if both protocols are requested.
        let protocol = if self.protocols == Protocols::Tcp { Protocol::Tcp } else { Protocol::Udp };
        Refusal { protocol, errno: Errno::EADDRINUSE }
    }
}

impl PortView for Population {
    fn looks_free(&self, port: u16) -> bool {
        !self.is_taken(port)
    }
}

impl Binder for Rc<Population> {
    type Held = ();

    fn bind(&mut self, port: u16) -> (Result<(), Refusal>, Duration) {
        let is_refused = if port == 0 { self.choose().is_none() } else { self.is_taken(port) };
        (if is_refused { Err(self.refusal()) } else { Ok(()) }, Duration::ZERO)
    }

    fn bind_first(&mut self, next: &mut NextPort<'_>) -> Option<Bound<()>> {
        let (refusal, took) = (self.refusal(), Duration::ZERO);
        let mut miss = None;
        while let Some(port) = next(miss) {
            let free = match port {
                0 => self.choose(),
                port => (!self.is_taken(port)).then_some(port),
            };
            if let Some(port) = free {
                return Some(Bound { port, held: (), took });
            }
            miss = Some(Miss { port, refusal, took });
        }
        None
    }
}

fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

/// Draws whether one of the undecided candidates is occupied, given the number of undecided
/// candidates and how many of them are occupied. Updates both numbers.
fn draw((candidates, occupied): &mut (u32, u32), random: &mut impl Rng) -> bool {
    let is_taken = *candidates > 0 && random.random_range(0..*candidates) < *occupied;
    *candidates = candidates.saturating_sub(1);
    *occupied -= u32::from(is_taken);
    is_taken
}
