//! Which ports look free on a machine, and when that was seen. Owners are not asked for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    allocator::{
        Candidates, FreePorts, Sight as _,
        theory::{Run, runs_of_taken},
    },
    domain::{LocalAddress, Protocols, Snapshot, Source},
    host::{Host, HostError, OwnerDepth, Scanner},
};

/// What was seen is good for so long.
pub const FRESH: Duration = Duration::from_secs(1);

/// Looks at the machine, and what was seen last.
pub struct Look {
    scanner: Box<dyn Scanner>,
    snapshot: Snapshot,
    pub candidates: Candidates,
    protocols: Protocols,
    address: Option<LocalAddress>,
    /// Counts the looks.
    pub number: u64,
    pub at: Instant,
    /// How long the last look took until it was known which ports are free.
    pub took: Duration,
    pub ports: Arc<FreePorts>,
    /// Of the candidates.
    pub occupied: u32,
    pub lengths: Arc<[Run]>,
}

impl Look {
    pub fn new(
        host: &dyn Host,
        candidates: Candidates,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Self, HostError> {
        let mut look = Self {
            scanner: host.scanner()?,
            snapshot: Snapshot::empty(host.machine(), Source::SockDiag),
            candidates,
            protocols,
            address,
            number: 0,
            at: Instant::now(),
            took: Duration::ZERO,
            ports: Arc::new(FreePorts::everything()),
            occupied: 0,
            lengths: Arc::default(),
        };
        look.again()?;
        Ok(look)
    }

    /// Says how long it took to know which ports are free.
    pub fn again(&mut self) -> Result<Duration, HostError> {
        let began = Instant::now();
        self.scanner.scan(OwnerDepth::Skip, &mut self.snapshot)?;
        let ports = FreePorts::seen(&self.snapshot, self.protocols, self.address);
        let took = began.elapsed();
        let taken = self.candidates.ports().filter(|&port| !ports.looks_free(port));
        self.occupied = taken.count() as u32;
        self.lengths = runs_of_taken(&self.candidates, &ports).into();
        (self.ports, self.at, self.took) = (Arc::new(ports), Instant::now(), took);
        self.number += 1;
        Ok(took)
    }
}
