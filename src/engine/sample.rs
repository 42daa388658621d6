//! Two looks at a machine, some time apart, and what was counted. No thread of its own, no verdict.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    domain::{
        Analysis, History, Owner, ProcessTable, Protocol, Protocols, Snapshot, Source, SynQueue,
        Trends, Vitals,
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

impl Sample {
    /// Looks, waits until `apart` is over since then, and looks again; once only where
    /// `apart` is zero.
    pub fn take(host: &dyn Host, protocols: Protocols, apart: Duration) -> Result<Self, HostError> {
        let mut scanner = host.scanner()?;
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        let mut watch = Watch { protocols, history: History::default(), trends: Trends::default() };
        let mut analysis = watch.look(&mut *scanner, OwnerDepth::Full, &mut snapshot)?;
        let mut before = None;
        if !apart.is_zero() {
            let again_at = Instant::now() + apart;
            let (first, vitals) = (snapshot.taken_at, snapshot.vitals.clone());
            thread::sleep(again_at.saturating_duration_since(Instant::now()));
            analysis = watch.look(&mut *scanner, OwnerDepth::Incremental, &mut snapshot)?;
            before = Some((vitals, snapshot.taken_at.saturating_sub(first).as_secs_f64()));
        }
        let processes = describe(host, &snapshot);
        Ok(Self { snapshot, analysis, trends: watch.trends, processes, before })
    }
}

/// What is kept from one look to the next.
struct Watch {
    protocols: Protocols,
    history: History,
    trends: Trends,
}

impl Watch {
    fn look(
        &mut self,
        scanner: &mut dyn Scanner,
        owners: OwnerDepth,
        snapshot: &mut Snapshot,
    ) -> Result<Analysis, HostError> {
        scanner.scan(owners, snapshot)?;
        if snapshot.needs_numbered() {
            scanner.ask_numbered(snapshot);
        }
        scanner.ask_timestamps(snapshot);
        keep_only(self.protocols, snapshot);
        let analysis = Analysis::of(snapshot);
        self.history.observe(snapshot);
        self.trends.observe(snapshot, &analysis, &self.history);
        Ok(analysis)
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
        *vitals = Vitals {
            // Counters and limits of TCP are left out.
            max_time_wait: None,
            max_orphans: None,
            orphans: None,
            time_wait: None,
            time_wait_overflow: None,
            listen_overflows: None,
            listen_drops: None,
            syn_queue: SynQueue::default(),
            orphans_killed: None,
            hash_buckets: None,
            ..std::mem::take(vitals)
        };
    }
    let conntrack = vitals.conntrack.as_mut();
    if let Some(translated) = conntrack.and_then(|conntrack| conntrack.translated.as_mut()) {
        translated.retain(|translation| protocols.includes(translation.protocol));
    }
}
