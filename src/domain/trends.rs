//! Measures rates over the last snapshots, and forecasts when ports are used up or free again.

mod destinations;
mod drain;
mod family_counts;
mod forecast;
mod recent;
mod series;
mod tracked;

use std::time::Duration;

use self::{
    destinations::DestinationTrends,
    family_counts::{FamilyCounts, is_automatic},
    tracked::{Count, TrackedSubject},
};
use crate::domain::{
    Analysis, Destination, Ephemeral, History, Protocol, ProtocolFamily, RangeUse, Snapshot, Socket,
};

pub use self::{
    drain::Drain,
    forecast::{Forecast, Trend},
    recent::LastMinute,
};

/// Rates are measured over at most this time, or over one interval if snapshots are less frequent.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Something that has a trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Occupied ports of the ephemeral range.
    Range(Protocol),
    /// Occupied ports of the ephemeral range, for one protocol and family.
    ProtocolFamily(ProtocolFamily),
    /// Used ports, without those that connect() may reuse (`DestinationUse::reusable`). If there
    /// are many destinations, only the larger ones are followed, at most `MAX_TRACKED`.
    Destination(Destination),
}

/// Maximum number of destinations that are followed. Those with most ports are preferred.
pub const MAX_TRACKED: usize = 256;

/// The counts of the snapshots of one run. Takes at most 3.3 MB, however many sockets the machine
/// has.
#[derive(Clone, Debug, Default)]
pub struct Trends {
    latest: Option<LastCounts>,
    /// In the order of `Protocol::EACH`.
    ranges: [TrackedSubject; 2],
    /// In the order of `ProtocolFamily::EACH`.
    protocol_families: [TrackedSubject; 4],
    destinations: DestinationTrends,
}

/// Data of the latest snapshot besides its counts.
#[derive(Clone, Debug)]
struct LastCounts {
    number: u64,
    taken_at: Duration,
    /// Time since the first snapshot. Does not advance when the clock is set back.
    elapsed: Duration,
    ephemeral: Ephemeral,
    lists_bound: bool,
}

impl Trends {
    /// Adds a snapshot, after `History::observe` of the same one. Ignores a snapshot that is not
    /// newer than the latest.
    pub fn observe(&mut self, snapshot: &Snapshot, analysis: &Analysis, history: &History) {
        if self.latest.as_ref().is_some_and(|latest| latest.number >= snapshot.number) {
            return;
        }
        let elapsed = self.advance(snapshot, history);
        self.count_arrivals(snapshot, analysis, history);
        let family_counts = FamilyCounts::of(snapshot);
        for protocol in Protocol::EACH.into_iter().filter(|&protocol| history.lists(protocol)) {
            let sockets = family_counts.sockets[protocol as usize];
            self.ranges[protocol as usize]
                .sample(elapsed, count(sockets, analysis.range(protocol)));
            for protocol_family in ProtocolFamily::EACH
                .into_iter()
                .filter(|protocol_family| protocol_family.protocol() == protocol)
            {
                self.protocol_families[protocol_family as usize]
                    .sample(elapsed, family_counts.protocol_families[protocol_family as usize]);
            }
            if protocol == Protocol::Tcp {
                self.destinations.sample(elapsed, &analysis.destinations);
            }
        }
    }

    /// Returns the trend of a subject. None: the subject is not followed, or has fewer than two
    /// samples or none within `WINDOW`.
    pub fn of(&self, subject: Subject) -> Option<Trend> {
        self.tracked(subject)?.trend(self.latest.as_ref()?.elapsed)
    }

    /// Returns what the scans of the last minute measured. None: the subject is not followed, or
    /// was not scanned in the last minute.
    pub fn last_minute(&self, subject: Subject) -> Option<LastMinute> {
        self.tracked(subject)?.last_minute(self.latest.as_ref()?.elapsed)
    }

    /// Returns the destinations that were short of ports in the last seconds, in no particular
    /// order; see `LastMinute::is_failing`.
    pub fn short_destinations(&self) -> Vec<Destination> {
        let Some(latest) = &self.latest else { return Vec::new() };
        let is_short = |tracked: &TrackedSubject| {
            tracked.last_minute(latest.elapsed).is_some_and(|last| last.is_failing(false))
        };
        self.destinations
            .each()
            .filter(|(_, tracked)| is_short(tracked))
            .map(|(to, _)| to)
            .collect()
    }

    /// Returns the used ports since the first snapshot, oldest first: (time before the latest
    /// snapshot, ports). At most 256 points; the longer the run, the longer the interval between
    /// them. Empty if the subject is not followed.
    pub fn series(&self, subject: Subject) -> Vec<(Duration, u32)> {
        let elapsed = self.latest.as_ref().map(|latest| latest.elapsed);
        let series = |tracked: &TrackedSubject| Some(tracked.series(elapsed?));
        self.tracked(subject).and_then(series).unwrap_or_default()
    }

    fn tracked(&self, subject: Subject) -> Option<&TrackedSubject> {
        match subject {
            Subject::Range(protocol) => self.ranges.get(protocol as usize),
            Subject::ProtocolFamily(protocol_family) => {
                self.protocol_families.get(protocol_family as usize)
            }
            Subject::Destination(destination) => self.destinations.get(&destination),
        }
    }

    /// Returns the time since the first snapshot. Restarts all counts if the new ones cannot be
    /// compared with the earlier ones: the clock was set back, the ephemeral settings changed, or
    /// bound-inactive sockets are newly listed or no longer listed.
    fn advance(&mut self, snapshot: &Snapshot, history: &History) -> Duration {
        let Snapshot { number, taken_at, .. } = *snapshot;
        let lists_bound = history.lists_bound();
        let Some(latest) = &mut self.latest else {
            let (elapsed, ephemeral) = (Duration::ZERO, snapshot.ephemeral.clone());
            self.latest = Some(LastCounts { number, taken_at, elapsed, ephemeral, lists_bound });
            return elapsed;
        };
        let passed = taken_at.saturating_sub(latest.taken_at);
        let is_comparable = !passed.is_zero()
            && latest.ephemeral == snapshot.ephemeral
            && latest.lists_bound == lists_bound;
        let has_other_ports = latest.ephemeral != snapshot.ephemeral;
        if has_other_ports {
            latest.ephemeral.clone_from(&snapshot.ephemeral);
        }
        latest.elapsed += passed;
        (latest.number, latest.taken_at, latest.lists_bound) = (number, taken_at, lists_bound);
        let elapsed = latest.elapsed;
        if !is_comparable {
            self.each_tracked().for_each(TrackedSubject::restart);
        }
        if has_other_ports {
            self.each_tracked().for_each(TrackedSubject::forget);
        }
        elapsed
    }

    fn each_tracked(&mut self) -> impl Iterator<Item = &mut TrackedSubject> {
        let ranges = self.ranges.iter_mut().chain(&mut self.protocol_families);
        ranges.chain(self.destinations.each_mut())
    }

    fn count_arrivals(&mut self, snapshot: &Snapshot, analysis: &Analysis, history: &History) {
        let at = |&index: &u32| snapshot.sockets.get(index as usize);
        let counts = |socket: &&Socket| is_automatic(socket, &snapshot.ephemeral);
        for socket in history.arrived().iter().filter_map(at).filter(counts) {
            self.each_of(socket, analysis, |tracked| tracked.waiting.opened += 1);
            if let Some(tracked) = self.destination_of(socket, analysis) {
                tracked.waiting.ports += 1;
            }
        }
        for socket in first_on_their_ports(history.arrived(), &snapshot.sockets).filter(counts) {
            self.ranges[socket.protocol as usize].waiting.ports += 1;
        }
        for socket in history.entered_time_wait().iter().filter_map(at).filter(counts) {
            self.each_of(socket, analysis, |tracked| tracked.waiting.into_time_wait += 1);
        }
    }

    /// Calls `act` for each subject that includes the socket. The socket must be in the ephemeral
    /// range.
    fn each_of(&mut self, socket: &Socket, analysis: &Analysis, act: impl Fn(&mut TrackedSubject)) {
        act(&mut self.ranges[socket.protocol as usize]);
        for protocol_family in ProtocolFamily::EACH
            .into_iter()
            .filter(|protocol_family| protocol_family.includes(socket))
        {
            act(&mut self.protocol_families[protocol_family as usize]);
        }
        if let Some(tracked) = self.destination_of(socket, analysis) {
            act(tracked);
        }
    }

    fn destination_of(
        &mut self,
        socket: &Socket,
        analysis: &Analysis,
    ) -> Option<&mut TrackedSubject> {
        if analysis.unconnectable.contains(socket.local.port) {
            return None;
        }
        self.destinations.get_mut(&Destination::of(socket)?)
    }
}

/// Yields the first socket of each port on which all sockets have just appeared. `arrived` contains
/// indexes into `sockets`, which must be sorted.
fn first_on_their_ports<'a>(
    arrived: &'a [u32],
    sockets: &'a [Socket],
) -> impl Iterator<Item = &'a Socket> {
    let protocol_port =
        |at: usize| sockets.get(at).map(|socket| (socket.protocol, socket.local.port));
    let is_same_port =
        move |a: &u32, b: &u32| protocol_port(*a as usize) == protocol_port(*b as usize);
    arrived.chunk_by(is_same_port).filter_map(move |port| {
        let (first, last) = (port[0] as usize, *port.last()? as usize);
        let is_alone = last - first + 1 == port.len()
            && (first == 0 || protocol_port(first - 1) != protocol_port(first))
            && protocol_port(last + 1) != protocol_port(last);
        sockets.get(first).filter(|_| is_alone)
    })
}

fn count(sockets: u32, range: &RangeUse) -> Count {
    let (taken, time_wait) = (range.occupied, range.time_wait);
    Count {
        sockets,
        taken,
        lasting: taken.saturating_sub(time_wait),
        left: Some(range.available()),
        size: range.size,
    }
}
