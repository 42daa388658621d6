//! Reads which ports look free on a host. Looks up owners only if they alone show which ports are
//! bound.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    allocator::{
        Candidates, FreePorts, PortView as _,
        theory::{OccupiedRun, runs_of_taken},
    },
    domain::{LocalAddress, Protocols, Snapshot, Source},
    host::{Host, HostError, OwnerDepth, Scanner},
};

/// Time for which a snapshot counts as fresh.
pub const MAX_SNAPSHOT_AGE: Duration = Duration::from_secs(1);

/// `PortSurvey::limitation`.
const UNLISTED: &str = "ports of unlisted sockets count as free";

/// Takes snapshots of the host, and keeps the last one and its free ports.
pub struct PortSurvey {
    scanner: Box<dyn Scanner>,
    /// `Full` if a scan without owners did not list all sockets: the descriptors of the processes
    /// may show the others.
    depth: OwnerDepth,
    snapshot: Snapshot,
    /// Ports to which `occupied` and `lengths` refer.
    pub candidates: Candidates,
    protocols: Protocols,
    address: Option<LocalAddress>,
    /// Number of snapshots taken.
    pub number: u64,
    /// Time when the last snapshot was evaluated.
    pub at: Instant,
    /// Time from the start of the last snapshot until the free ports were known.
    pub took: Duration,
    pub ports: Arc<FreePorts>,
    /// Number of occupied candidates in the last snapshot.
    pub occupied: u32,
    /// Runs of occupied candidates in the last snapshot, ascending by length.
    pub lengths: Arc<[OccupiedRun]>,
}

impl PortSurvey {
    /// Takes the first snapshot. `address` is the address to bind; `None`: all addresses.
    ///
    /// Errors: the sockets could not be listed.
    pub fn new(
        host: &dyn Host,
        candidates: Candidates,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Self, HostError> {
        let mut survey = Self {
            scanner: host.scanner()?,
            depth: OwnerDepth::Skip,
            snapshot: Snapshot::empty(host.machine(), Source::SockDiag),
            candidates,
            protocols,
            address,
            number: 0,
            at: Instant::now(),
            took: Duration::ZERO,
            ports: Arc::new(FreePorts::all_free()),
            occupied: 0,
            lengths: Arc::default(),
        };
        survey.rescan()?;
        Ok(survey)
    }

    /// Takes a new snapshot. Returns the time from its start until the free ports were known.
    ///
    /// Errors: the sockets could not be listed. The last snapshot then stays in use.
    pub fn rescan(&mut self) -> Result<Duration, HostError> {
        let began = Instant::now();
        self.scanner.scan(self.depth, &mut self.snapshot)?;
        if self.depth == OwnerDepth::Skip && self.snapshot.hides_bound_inactive() {
            self.depth = OwnerDepth::Full;
            self.scanner.scan(self.depth, &mut self.snapshot)?;
        }
        let ports = FreePorts::from_snapshot(&self.snapshot, self.protocols, self.address);
        let took = began.elapsed();
        let taken = self.candidates.ports().filter(|&port| !ports.looks_free(port));
        self.occupied = taken.count() as u32;
        self.lengths = runs_of_taken(&self.candidates, &ports).into();
        (self.ports, self.at, self.took) = (Arc::new(ports), Instant::now(), took);
        self.number += 1;
        Ok(took)
    }

    /// Returns how the last snapshot falls short: sockets may be unlisted. None: it does not.
    pub fn limitation(&self) -> Option<&'static str> {
        self.snapshot.may_lack_sockets(self.protocols).then_some(UNLISTED)
    }
}
