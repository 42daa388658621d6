//! Allocation strategies, the retry loop that drives a `Binder`, the lease pool, and the lab that
//! compares strategies. Opens no socket and reads no clock.

pub mod attempt;
pub mod banded;
pub mod bitmap;
pub mod candidates;
pub mod capped;
pub mod double_hash;
pub mod exo_history;
pub mod hash;
pub mod kernel_bind;
pub mod lab;
pub mod linux_connect;
pub mod neighbours;
pub mod next_fit;
pub mod pool;
pub mod population;
pub mod port_view;
pub mod predictability;
pub mod privileged;
pub mod race;
pub mod random;
pub mod random_increment;
pub mod random_unique;
pub mod run_stats;
pub mod sequential;
pub mod simple_random;
pub mod strategy;
pub mod theory;

pub use attempt::{Attempt, AttemptSearch, EarlyEnd, GaveUp, Progress};
pub use candidates::Candidates;
pub use lab::StrategyFigures;
pub use neighbours::Neighbours;
pub use pool::{
    Bands, Lease, LeaseHolder, Pool, PoolCounts, PoolSetup, Priority, Quarantine, QuarantineEntry,
    Shortage,
};
pub use population::{Pattern, Population};
pub use port_view::{FreePorts, PortView, WantedAddress};
pub use predictability::{Habit, Predictability};
pub use run_stats::{Reached, RunStats};
pub use strategy::{ALLOCATORS, AllocatorRow, Strategy, Tuning};
pub use theory::{Model, Order};
