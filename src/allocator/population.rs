//! An occupancy made by chance, on which strategies are compared. A `Binder` in memory; not a machine.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::{
    allocator::{
        Candidates, FreePorts, Sight,
        theory::{Run, runs_of_taken},
    },
    domain::{Binder, Bound, Errno, Miss, NextPort, Protocol, Protocols, Refusal, automatic},
};

mod clusters;

use clusters::Clusters;

/// How the occupied ports of a population lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Each set of so many ports is as likely as any other.
    #[default]
    Uniform,
    /// In runs of `CLUSTER` ports in the mean, or longer ones where free ports are too few to keep
    /// such runs well apart.
    Clustered,
    /// As the strategy itself leaves them when it fills an empty range.
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

/// Mean length of the runs of `Pattern::Clustered`, in ports.
pub const CLUSTER: u32 = 64;

/// Which candidates are occupied. Whether a port of `Uniform` is occupied is decided when it is first
/// looked at, so that a fresh occupancy costs nothing but what is looked at. That draws without
/// replacement from what is left, so that any set of ports stays as likely as any other.
///
/// The generator is ChaCha8, seeded apart from those of the strategies. A port that is bound is not
/// remembered, unless it is `take`n.
pub struct Population {
    candidates: Candidates,
    protocols: Protocols,
    pattern: Pattern,
    /// In each fresh occupancy; those of `Built` begin empty and end there.
    occupied: u32,
    /// By port: the occupancy's number that decided it, shifted by one, and whether it is occupied.
    decided: Box<[Cell<u32>]>,
    number: Cell<u32>,
    /// The number of the occupancy in which the machine last found nothing to choose.
    full: Cell<u32>,
    /// Candidates, and occupied ones among them, that are not decided yet.
    left: Cell<(u32, u32)>,
    clusters: RefCell<Clusters>,
    seed: u64,
    random: RefCell<ChaCha8Rng>,
}

/// The generator's stream for what is looked at; those after it are for `picture` and `settle`.
const STREAM: u64 = 1 << 63;

impl Population {
    /// Empty until the first `renew`. `occupied` above the number of candidates counts as all.
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

    /// As found somewhere else: those ports are taken, and stay so.
    pub fn standing(
        candidates: Candidates,
        protocols: Protocols,
        taken: impl IntoIterator<Item = u16>,
    ) -> Self {
        let population = Self::new(Pattern::Built, candidates, protocols, 0, 0);
        taken.into_iter().for_each(|port| population.take(port));
        population
    }

    /// Another occupancy, which owes nothing to the one before.
    pub fn renew(&self) {
        // The highest number would be taken for that of an occupancy long past.
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

    pub fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    pub fn is_taken(&self, port: u16) -> bool {
        let stamp = self.decided[usize::from(port)].get();
        if stamp >> 1 == self.number.get() { stamp & 1 == 1 } else { self.decide(port) }
    }

    /// From now on, in this occupancy.
    pub fn take(&self, port: u16) {
        self.stamp(port, true);
    }

    /// Decides every port, so that what `picture` shows is what will be met.
    pub fn settle(&self) {
        if self.pattern != Pattern::Uniform || self.left.get().0 == 0 {
            return;
        }
        self.complete(|port, is_taken| self.stamp(port, is_taken));
        self.left.set((0, 0));
    }

    /// All of the occupancy, without a change to what comes: what is not decided yet is shown as
    /// `settle` would decide it now.
    pub fn picture(&self) -> FreePorts {
        let mut picture = FreePorts::everything();
        self.complete(|port, is_taken| {
            if is_taken {
                picture.take(port);
            }
        });
        picture
    }

    /// What is not decided yet is drawn by a generator that serves nothing else.
    fn complete(&self, mut tell: impl FnMut(u16, bool)) {
        let mut random = generator(self.seed, STREAM + u64::from(self.number.get()));
        let mut left = self.left.get();
        for port in self.candidates.ports() {
            let is_taken = if self.pattern == Pattern::Uniform && !self.is_decided(port) {
                draw(&mut left, &mut random)
            } else {
                self.is_taken(port)
            };
            tell(port, is_taken);
        }
    }

    /// The runs of occupied ports, where they are known without a look at each port: (length, how
    /// many), in no order.
    pub fn known_runs(&self) -> Option<Arc<[Run]>> {
        match self.pattern {
            Pattern::Uniform => None,
            Pattern::Clustered => Some(self.clusters.borrow().runs()),
            Pattern::Built => {
                let by_port = SeenBy(|port| !self.is_taken(port));
                Some(runs_of_taken(&self.candidates, &by_port).into())
            }
        }
    }

    fn is_decided(&self, port: u16) -> bool {
        self.decided[usize::from(port)].get() >> 1 == self.number.get()
    }

    fn stamp(&self, port: u16, is_taken: bool) {
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
        self.stamp(port, is_taken);
        is_taken
    }

    /// What the machine chooses where bind() leaves it the choice.
    fn choose(&self) -> Option<u16> {
        // Nothing that is taken becomes free again.
        if self.full.get() == self.number.get() {
            return None;
        }
        let chosen = self.search();
        // Of an odd number of ports a search on TCP leaves out one, the next search perhaps another.
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

    /// Any free port is as likely as another, and few are looked at; None: none was met in as many
    /// draws as a look at all would take.
    fn draw_free(&self) -> Option<u16> {
        let count = self.candidates.len();
        let draw = |_| self.candidates.nth(self.random.borrow_mut().random_range(0..count));
        (0..count).map(draw).find(|&port| !self.is_taken(port))
    }

    fn refusal(&self) -> Refusal {
        // UDP comes first where both are asked for.
        let protocol = if self.protocols == Protocols::Tcp { Protocol::Tcp } else { Protocol::Udp };
        Refusal { protocol, errno: Errno::EADDRINUSE }
    }
}

impl Sight for Population {
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

/// Of the candidates that are left, whether the next one is one of the occupied ones that are left.
fn draw((candidates, occupied): &mut (u32, u32), random: &mut impl Rng) -> bool {
    let is_taken = *candidates > 0 && random.random_range(0..*candidates) < *occupied;
    *candidates = candidates.saturating_sub(1);
    *occupied -= u32::from(is_taken);
    is_taken
}

/// A sight by a question.
struct SeenBy<F>(F);

impl<F: Fn(u16) -> bool> Sight for SeenBy<F> {
    fn looks_free(&self, port: u16) -> bool {
        (self.0)(port)
    }
}
