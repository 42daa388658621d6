//! Rates over the last snapshots, and when ports run out or come back. Not the counting itself.

mod census;
mod destinations;
mod drain;
mod followed;
mod forecast;
mod recent;
mod series;

use std::time::Duration;

use self::{
    census::{Census, is_automatic},
    destinations::Destinations,
    followed::{Count, Followed},
};
use crate::domain::{
    Analysis, Destination, Ephemeral, History, Lane, Protocol, RangeUse, Snapshot, Socket,
};

pub use self::{
    drain::Drain,
    forecast::{Forecast, Trend},
    recent::LastMinute,
};

/// Rates are taken over so much time at most; over one interval when snapshots are rarer.
pub const WINDOW: Duration = Duration::from_secs(10);

/// What has a trend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Occupied ports of the range.
    Range(Protocol),
    /// Occupied ports of the range, of one family.
    Lane(Lane),
    /// Used ports, without those that connect() may take again (`DestinationUse::reusable`); only
    /// destinations of some size are followed, and not more than `MOST_FOLLOWED`.
    Destination(Destination),
}

/// Destinations followed at most, those with most ports.
pub const MOST_FOLLOWED: usize = 256;

/// Memory of the snapshots of one run: bounded whatever the machine holds (3.3 MB).
#[derive(Clone, Debug, Default)]
pub struct Trends {
    latest: Option<Latest>,
    /// In the order of `Protocol::EACH`.
    ranges: [Followed; 2],
    /// In the order of `Lane::EACH`.
    lanes: [Followed; 4],
    destinations: Destinations,
}

/// What is kept of a snapshot besides its counts.
#[derive(Clone, Debug)]
struct Latest {
    number: u64,
    taken_at: Duration,
    /// Since the first snapshot. A clock that is set back stands still here.
    elapsed: Duration,
    ephemeral: Ephemeral,
    lists_bound: bool,
}

impl Trends {
    /// After `History::observe` of the same snapshot; one that is not newer is ignored.
    pub fn observe(&mut self, snapshot: &Snapshot, analysis: &Analysis, history: &History) {
        if self.latest.as_ref().is_some_and(|latest| latest.number >= snapshot.number) {
            return;
        }
        let elapsed = self.advance(snapshot, history);
        self.count_arrivals(snapshot, analysis, history);
        let census = Census::of(snapshot);
        for protocol in Protocol::EACH.into_iter().filter(|&protocol| history.lists(protocol)) {
            let sockets = census.sockets[protocol as usize];
            self.ranges[protocol as usize]
                .sample(elapsed, count(sockets, analysis.range(protocol)));
            for lane in Lane::EACH.into_iter().filter(|lane| lane.protocol() == protocol) {
                self.lanes[lane as usize].sample(elapsed, census.lanes[lane as usize]);
            }
            if protocol == Protocol::Tcp {
                self.destinations.sample(elapsed, &analysis.destinations);
            }
        }
    }

    /// None: not followed, or fewer than two snapshots so far.
    pub fn of(&self, subject: Subject) -> Option<Trend> {
        self.followed(subject)?.trend(self.latest.as_ref()?.elapsed)
    }

    /// What the scans of the last minute saw. None: not followed, or no scan so far.
    pub fn last_minute(&self, subject: Subject) -> Option<LastMinute> {
        self.followed(subject)?.last_minute(self.latest.as_ref()?.elapsed)
    }

    /// Used ports over the run, oldest first: (time before the last snapshot, ports). At most 256
    /// points, thinned as they grow many.
    pub fn series(&self, subject: Subject) -> Vec<(Duration, u32)> {
        let elapsed = self.latest.as_ref().map(|latest| latest.elapsed);
        let series = |followed: &Followed| Some(followed.series(elapsed?));
        self.followed(subject).and_then(series).unwrap_or_default()
    }

    fn followed(&self, subject: Subject) -> Option<&Followed> {
        match subject {
            Subject::Range(protocol) => self.ranges.get(protocol as usize),
            Subject::Lane(lane) => self.lanes.get(lane as usize),
            Subject::Destination(destination) => self.destinations.get(&destination),
        }
    }

    /// The time since the first snapshot. Counts start anew when they cannot be compared with those
    /// before: the clock was set back, other ports count, or other sockets are listed.
    fn advance(&mut self, snapshot: &Snapshot, history: &History) -> Duration {
        let Snapshot { number, taken_at, .. } = *snapshot;
        let lists_bound = history.lists_bound();
        let Some(latest) = &mut self.latest else {
            let (elapsed, ephemeral) = (Duration::ZERO, snapshot.ephemeral.clone());
            self.latest = Some(Latest { number, taken_at, elapsed, ephemeral, lists_bound });
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
            self.each_followed().for_each(Followed::restart);
        }
        if has_other_ports {
            self.each_followed().for_each(Followed::forget);
        }
        elapsed
    }

    fn each_followed(&mut self) -> impl Iterator<Item = &mut Followed> {
        let ranges = self.ranges.iter_mut().chain(&mut self.lanes);
        ranges.chain(self.destinations.each_mut())
    }

    fn count_arrivals(&mut self, snapshot: &Snapshot, analysis: &Analysis, history: &History) {
        let at = |&place: &u32| snapshot.sockets.get(place as usize);
        let counts = |socket: &&Socket| is_automatic(socket, &snapshot.ephemeral);
        for socket in history.arrived().iter().filter_map(at).filter(counts) {
            self.each_of(socket, analysis, |followed| followed.waiting.opened += 1);
            if let Some(followed) = self.destination_of(socket, analysis) {
                followed.waiting.ports += 1;
            }
        }
        for socket in first_on_their_ports(history.arrived(), &snapshot.sockets).filter(counts) {
            self.ranges[socket.protocol as usize].waiting.ports += 1;
        }
        for socket in history.entered_time_wait().iter().filter_map(at).filter(counts) {
            self.each_of(socket, analysis, |followed| followed.waiting.into_time_wait += 1);
        }
    }

    /// All that a socket of the ephemeral range counts for.
    fn each_of(&mut self, socket: &Socket, analysis: &Analysis, act: impl Fn(&mut Followed)) {
        act(&mut self.ranges[socket.protocol as usize]);
        for lane in Lane::EACH.into_iter().filter(|lane| lane.takes(socket)) {
            act(&mut self.lanes[lane as usize]);
        }
        if let Some(followed) = self.destination_of(socket, analysis) {
            act(followed);
        }
    }

    fn destination_of(&mut self, socket: &Socket, analysis: &Analysis) -> Option<&mut Followed> {
        if analysis.poisoned.contains(socket.local.port) {
            return None;
        }
        self.destinations.get_mut(&Destination::of(socket)?)
    }
}

/// Of each port whose sockets have all arrived, the first. `arrived` are places in `sockets`, which
/// are sorted.
fn first_on_their_ports<'a>(
    arrived: &'a [u32],
    sockets: &'a [Socket],
) -> impl Iterator<Item = &'a Socket> {
    let place = |at: usize| sockets.get(at).map(|socket| (socket.protocol, socket.local.port));
    let is_same_port = move |a: &u32, b: &u32| place(*a as usize) == place(*b as usize);
    arrived.chunk_by(is_same_port).filter_map(move |port| {
        let (first, last) = (port[0] as usize, *port.last()? as usize);
        let is_alone = last - first + 1 == port.len()
            && (first == 0 || place(first - 1) != place(first))
            && place(last + 1) != place(last);
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
