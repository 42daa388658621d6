//! The `Strategy` trait and the table of strategies. Each strategy has its own file, except
//! `random-retry`, which is `Random` with the limit of `Capped`.

use rand::Rng;

use crate::allocator::{
    Candidates, PortView,
    banded::Banded,
    bitmap::Bitmap,
    capped::Capped,
    double_hash::DoubleHash,
    exo_history::{self, ExoHistory},
    hash::Hash,
    kernel_bind::KernelBind,
    linux_connect::{self, LinuxConnect},
    next_fit::NextFit,
    random::Random,
    random_increment::RandomIncrement,
    random_unique::RandomUnique,
    sequential::Sequential,
    simple_random::SimpleRandom,
    theory::Order,
};

/// Chooses which port to try next.
pub trait Strategy: Send {
    /// Starts an allocation. The strategy forgets which ports the previous allocation tried.
    fn begin(&mut self, _about: &StrategyContext<'_>, _random: &mut dyn Rng) {}

    /// Returns the next port to try; `None` if none is left. Port 0 lets the kernel choose, as in
    /// bind(2).
    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16>;

    /// Records that the port was bound, which ended the allocation.
    fn bound(&mut self, _port: u16) {}
}

/// What a strategy may use to choose a port.
pub struct StrategyContext<'a> {
    /// Never empty.
    pub candidates: &'a Candidates,
    pub port_view: &'a dyn PortView,
    /// Number of the remote endpoint that the port is for. Some strategies keep a sequence of ports
    /// for each destination.
    pub destination: u32,
}

/// Parameters of strategies. Most strategies have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Number of ports in the static band of `banded`, less than the number of candidates; `None`:
    /// Kubernetes' formula.
    pub band: Option<u32>,
}

/// Row of the table of strategies.
#[derive(Debug)]
pub struct AllocatorRow {
    /// Name, as in `--strategy`.
    pub name: &'static str,
    /// Short description for lists.
    pub summary: &'static str,
    /// Order in which the strategy tries ports. It determines the formula for expected values.
    pub order: Order,
    /// Whether `StrategyContext::port_view` must show a snapshot.
    pub needs_port_view: bool,
    /// Whether the strategy tries port 0, so that the kernel chooses.
    pub lets_machine_choose: bool,
    /// Whether the strategy has the static band of `Tuning`.
    pub has_band: bool,
    /// Number of most recently allocated ports that the strategy does not try.
    pub remembered: u32,
    /// Number of attempts after which the strategy has no port left to try, if it remembers none.
    pub attempt_limit: fn(&Candidates) -> u32,
    pub make: fn(Tuning) -> Box<dyn Strategy>,
}

impl AllocatorRow {
    const fn new(
        name: &'static str,
        summary: &'static str,
        order: Order,
        make: fn(Tuning) -> Box<dyn Strategy>,
    ) -> Self {
        Self {
            name,
            summary,
            order,
            needs_port_view: false,
            lets_machine_choose: false,
            has_band: false,
            remembered: 0,
            attempt_limit: Candidates::len,
            make,
        }
    }

    /// Returns the row with this name; `None` if there is none.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALLOCATORS.iter().find(|row| row.name == name)
    }
}

/// All strategies; the first is the default.
pub const ALLOCATORS: &[AllocatorRow] = &[
    AllocatorRow {
        attempt_limit: |_| u32::MAX,
        ..AllocatorRow::new(
            "random",
            "random ports of the range, up to the limit of attempts",
            Order::Replacement,
            |_| Box::new(Random),
        )
    },
    AllocatorRow::new(
        "random-unique",
        "random ports of the range, none twice",
        Order::Shuffled,
        |_| Box::new(RandomUnique::default()),
    ),
    AllocatorRow {
        remembered: exo_history::HISTORY as u32,
        ..AllocatorRow::new(
            "exo-history",
            "like random-unique, but none of the last 20 allocated ports",
            Order::Shuffled,
            |_| Box::new(ExoHistory::default()),
        )
    },
    AllocatorRow::new("sequential", "the lowest free port", Order::Fixed, |_| {
        Box::new(Capped::<Sequential>::default())
    }),
    AllocatorRow::new(
        "next-fit",
        "the next free port after the last allocated one (Docker)",
        Order::Fixed,
        |_| Box::new(Capped::<NextFit>::default()),
    ),
    AllocatorRow::new(
        "simple-random",
        "random start, then consecutive ports (RFC 6056 algorithm 1)",
        Order::Scan,
        |_| Box::new(Capped::<SimpleRandom>::default()),
    ),
    AllocatorRow::new(
        "random-retry",
        "random, no more attempts than ports (RFC 6056 algorithm 2)",
        Order::Replacement,
        |_| Box::new(Capped::<Random>::default()),
    ),
    AllocatorRow::new(
        "hash",
        "counter plus hash of the destination (RFC 6056 algorithm 3)",
        Order::Fixed,
        |_| Box::new(Capped::<Hash>::default()),
    ),
    AllocatorRow::new(
        "double-hash",
        "like hash, with a table of counters (RFC 6056 algorithm 4)",
        Order::Fixed,
        |_| Box::new(Capped::<DoubleHash>::default()),
    ),
    AllocatorRow::new(
        "random-increment",
        "random steps of 1 to 500 upwards (RFC 6056 algorithm 5)",
        Order::Unknown,
        |_| Box::new(Capped::<RandomIncrement>::default()),
    ),
    AllocatorRow {
        lets_machine_choose: true,
        attempt_limit: |_| u32::MAX,
        ..AllocatorRow::new(
            "kernel-bind",
            "bind to port 0: the kernel chooses",
            Order::OnlyFree,
            |_| Box::new(KernelBind),
        )
    },
    AllocatorRow {
        attempt_limit: linux_connect::attempt_limit,
        ..AllocatorRow::new(
            "linux-connect",
            "Linux's connect(): every second port first (simulated)",
            Order::Fixed,
            |_| Box::new(LinuxConnect::default()),
        )
    },
    AllocatorRow {
        needs_port_view: true,
        ..AllocatorRow::new(
            "bitmap",
            "random among ports free in a snapshot, verified by bind()",
            Order::OnlyFree,
            |_| Box::new(Bitmap::default()),
        )
    },
    AllocatorRow {
        has_band: true,
        ..AllocatorRow::new(
            "banded",
            "random start above a band that is tried last (Kubernetes)",
            Order::Fixed,
            |tuning| Box::new(Banded::new(tuning.band)),
        )
    },
];

impl<S: Strategy + ?Sized> Strategy for Box<S> {
    fn begin(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) {
        (**self).begin(context, random);
    }

    fn next(&mut self, context: &StrategyContext<'_>, random: &mut dyn Rng) -> Option<u16> {
        (**self).next(context, random)
    }

    fn bound(&mut self, port: u16) {
        (**self).bound(port);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_random_is_the_default() {
        let names: HashSet<&str> = ALLOCATORS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ALLOCATORS.len());
        assert_eq!(ALLOCATORS[0].name, "random");
    }
}
