//! An occupancy made by chance, on which strategies are compared. A `Binder` in memory; not a machine.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::{
    allocator::{Candidates, FreePorts, Sight},
    domain::{Binder, Errno, Protocol, Protocols, Refusal},
};

/// How the occupied ports of a population lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Each set of so many ports is as likely as any other.
    #[default]
    Uniform,
    /// In runs of `CLUSTER` ports in the mean.
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
/// looked at, so that a fresh occupancy costs nothing but what is looked at.
///
/// The generator is ChaCha8, seeded apart from those of the strategies.
pub struct Population {
    candidates: Candidates,
    protocols: Protocols,
    pattern: Pattern,
    occupied: u32,
    /// By port: the occupancy's number that decided it, shifted by one, and whether it is occupied.
    decided: Box<[Cell<u64>]>,
    number: Cell<u64>,
    /// Candidates, and occupied ones among them, that are not decided yet.
    left: Cell<(u32, u32)>,
    random: RefCell<ChaCha8Rng>,
}
