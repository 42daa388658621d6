//! Two looks at a machine, some time apart, and what was counted. No thread of its own, no verdict.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    domain::{
        Analysis, History, Owner, ProcessTable, Protocol, Protocols, Snapshot, Source, Trends,
        Vitals,
    },
    host::{Host, HostError, OwnerDepth, Scanner},
};

/// What one or two looks gave.
pub struct Sample {
    /// The last look, of the protocols asked for.
    pub snapshot: Snapshot,
    pub analysis: Analysis,
    pub trends: Trends,
    pub processes: ProcessTable,
    /// Of the first of two looks, and the seconds between them.
    pub before: Option<(Vitals, f64)>,
}

/// A machine that was looked at once.
pub struct Sampling {
    protocols: Protocols,
    scanner: Box<dyn Scanner>,
    snapshot: Snapshot,
    analysis: Analysis,
    history: History,
    trends: Trends,
    before: Option<(Vitals, f64)>,
    looked_at: Instant,
}

impl Sampling {
    /// The first look.
    pub fn begin(host: &dyn Host, protocols: Protocols) -> Result<Self, HostError> {
        let mut sampling = Self {
            protocols,
            scanner: host.scanner()?,
            snapshot: Snapshot::empty(host.machine(), Source::SockDiag),
            analysis: Analysis::default(),
            history: History::default(),
            trends: Trends::default(),
            before: None,
            looked_at: Instant::now(),
        };
        sampling.look(OwnerDepth::Full)?;
        Ok(sampling)
    }

    /// Waits until `apart` is over since the last look, and looks again; not at all where it is
    /// zero.
    pub fn look_again(&mut self, apart: Duration) -> Result<(), HostError> {
        if apart.is_zero() {
            return Ok(());
        }
        let (vitals, taken_at) = (self.snapshot.vitals.clone(), self.snapshot.taken_at);
        thread::sleep((self.looked_at + apart).saturating_duration_since(Instant::now()));
        self.look(OwnerDepth::Incremental)?;
        let seconds = self.snapshot.taken_at.saturating_sub(taken_at).as_secs_f64();
        self.before = Some((vitals, seconds));
        Ok(())
    }

    pub fn end(self, host: &dyn Host) -> Sample {
        let Self { snapshot, analysis, trends, before, .. } = self;
        let processes = describe(host, &snapshot);
        Sample { snapshot, analysis, trends, processes, before }
    }

    fn look(&mut self, owners: OwnerDepth) -> Result<(), HostError> {
        self.scanner.scan(owners, &mut self.snapshot)?;
        self.looked_at = Instant::now();
        keep_only(self.protocols, &mut self.snapshot);
        self.analysis = Analysis::of(&self.snapshot);
        self.history.observe(&self.snapshot);
        self.trends.observe(&self.snapshot, &self.analysis, &self.history);
        Ok(())
    }
}

/// Names the processes that hold a socket of the snapshot.
pub fn describe(host: &dyn Host, snapshot: &Snapshot) -> ProcessTable {
    let owners = snapshot.sockets.iter().map(|socket| snapshot.owner(socket));
    let mut pids: Vec<u32> = owners.flat_map(Owner::pids).copied().collect();
    pids.sort_unstable();
    pids.dedup();
    host.describer().describe(&pids).into_iter().collect()
}

/// Forgets what the snapshot tells of other protocols alone.
fn keep_only(protocols: Protocols, snapshot: &mut Snapshot) {
    snapshot.sockets.retain(|socket| protocols.includes(socket.protocol));
    snapshot.gaps.retain(|gap| gap.protocol().is_none_or(|of| protocols.includes(of)));
    let vitals = &mut snapshot.vitals;
    if !protocols.includes(Protocol::Tcp) {
        let Vitals { conntrack, descriptors, gaps, .. } = std::mem::take(vitals);
        *vitals = Vitals { conntrack, descriptors, gaps, ..Vitals::default() };
    }
    let conntrack = vitals.conntrack.as_mut();
    if let Some(translated) = conntrack.and_then(|conntrack| conntrack.translated.as_mut()) {
        translated.retain(|translation| protocols.includes(translation.protocol));
    }
}
