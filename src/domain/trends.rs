//! Measures rates over the last snapshots, and forecasts when ports are used up or free again.

mod destinations;
mod drain;
mod forecast;
mod recent;
mod series;
mod tracked;

use std::time::Duration;

use self::{
    destinations::DestinationTrends,
    recent::Recent,
    tracked::{Count, TrackedSubject},
};
use crate::domain::{
    Analysis, Destination, Ephemeral, History, Protocol, ProtocolFamily, RangeUse, Snapshot,
    Socket, State,
};

pub use self::{
    drain::Drain,
    forecast::{Forecast, Trend},
    recent::LastMinute,
};

/// Rates are measured over at most this time, or over one interval if snapshots are less frequent.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Minimum time over which a rate is measured. The second scan may follow the first at once, and the
/// few changes between them are no measure of a second.
pub const MIN_WINDOW: Duration = Duration::from_millis(900);

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
        for protocol in Protocol::EACH.into_iter().filter(|&protocol| history.lists(protocol)) {
            let (sockets, counts) = count_sockets(snapshot, protocol);
            self.ranges[protocol as usize]
                .sample(elapsed, count(sockets, analysis.range(protocol)));
            for (protocol_family, count) in ProtocolFamily::of(protocol).into_iter().zip(counts) {
                self.protocol_families[protocol_family as usize].sample(elapsed, count);
            }
            if protocol == Protocol::Tcp {
                self.destinations.sample(elapsed, &analysis.destinations);
            }
        }
    }

    /// Returns the trend of a subject. None: the subject is not followed, or its samples
    /// cover less than `MIN_WINDOW`, or none is within `WINDOW`.
    pub fn of(&self, subject: Subject) -> Option<Trend> {
        self.tracked(subject)?.trend(self.latest.as_ref()?.elapsed)
    }

    /// Returns what the scans of the last minute measured. None: the subject is not followed, or
    /// was not scanned in the last minute.
    pub fn last_minute(&self, subject: Subject) -> Option<LastMinute> {
        self.tracked(subject)?.recent.last_minute(self.latest.as_ref()?.elapsed)
    }

    /// Returns the destinations that were short of ports in the last seconds, in no particular
    /// order; see `LastMinute::is_failing`.
    pub fn short_destinations(&self) -> Vec<Destination> {
        let Some(latest) = &self.latest else { return Vec::new() };
        let is_short = |tracked: &TrackedSubject| {
            tracked.recent.last_minute(latest.elapsed).is_some_and(|last| last.is_failing(false))
        };
        let short = self.destinations.tracked.iter().filter(|(_, tracked)| is_short(tracked));
        short.map(|(&destination, _)| destination).collect()
    }

    /// Returns the used ports since the first snapshot, oldest first: (time before the latest
    /// snapshot, ports). At most 256 points; the longer the run, the longer the interval between
    /// them. Empty if the subject is not followed.
    pub fn series(&self, subject: Subject) -> Vec<(Duration, u32)> {
        let elapsed = self.latest.as_ref().map(|latest| latest.elapsed);
        let series = |tracked: &TrackedSubject| Some(tracked.series.before(elapsed?));
        self.tracked(subject).and_then(series).unwrap_or_default()
    }

    fn tracked(&self, subject: Subject) -> Option<&TrackedSubject> {
        match subject {
            Subject::Range(protocol) => self.ranges.get(protocol as usize),
            Subject::ProtocolFamily(protocol_family) => {
                self.protocol_families.get(protocol_family as usize)
            }
            Subject::Destination(destination) => self.destinations.tracked.get(&destination),
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
        let has_other_ports = latest.ephemeral != snapshot.ephemeral;
        let is_comparable =
            !passed.is_zero() && !has_other_ports && latest.lists_bound == lists_bound;
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
            // The scans of the last minute counted other ports.
            self.each_tracked().for_each(|tracked| tracked.recent = Recent::default());
        }
        elapsed
    }

    fn each_tracked(&mut self) -> impl Iterator<Item = &mut TrackedSubject> {
        let ranges = self.ranges.iter_mut().chain(&mut self.protocol_families);
        ranges.chain(self.destinations.tracked.values_mut())
    }

    fn count_arrivals(&mut self, snapshot: &Snapshot, analysis: &Analysis, history: &History) {
        let at = |&index: &u32| snapshot.sockets.get(index as usize);
        let counts = |socket: &&Socket| snapshot.ephemeral.may_choose(socket.local.port);
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
        let of_protocol = ProtocolFamily::of(socket.protocol);
        for protocol_family in of_protocol.into_iter().filter(|family| family.includes(socket)) {
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
        self.destinations.tracked.get_mut(&Destination::of(socket)?)
    }
}

/// Yields the first socket of each port on which all sockets have just appeared. `arrived` contains
/// indexes into `sockets`, which must be sorted.
fn first_on_their_ports<'a>(
    arrived: &'a [u32],
    sockets: &'a [Socket],
) -> impl Iterator<Item = &'a Socket> {
    let protocol_port = |at: usize| sockets.get(at).map(Socket::protocol_port);
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

/// Returns the number of a protocol's sockets in the ephemeral range, and the counts of its IPv4 and
/// IPv6 sockets and ports. The snapshot must be sorted.
fn count_sockets(snapshot: &Snapshot, protocol: Protocol) -> (u32, [Count; 2]) {
    let (mut all, mut counts) = (0, [Count::default(); 2]);
    for port in snapshot.automatic_ports(protocol) {
        all += port.len() as u32;
        for (protocol_family, count) in ProtocolFamily::of(protocol).into_iter().zip(&mut counts) {
            let (mut sockets, mut lasting) = (0, false);
            for socket in port.iter().filter(|socket| protocol_family.includes(socket)) {
                sockets += 1;
                lasting |= socket.state != State::TimeWait;
            }
            count.sockets += sockets;
            count.taken += u32::from(sockets > 0);
            count.lasting += u32::from(lasting);
        }
    }
    (all, counts)
}

fn count(sockets: u32, range: &RangeUse) -> Count {
    Count {
        sockets,
        taken: range.occupied,
        lasting: range.occupied.saturating_sub(range.time_wait),
        left: Some(range.available()),
        size: range.size,
    }
}
