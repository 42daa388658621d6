//! Determines the status of ranges and destinations, and the worst status. The rules explain the
//! causes.

use crate::domain::{
    Analysis, DestinationUse, Forecast, LastMinute, Left, Level, Protocol, RangeUse, Subject,
    Thresholds, Trend, Trends,
};

/// The status of one range or destination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubjectStatus {
    pub subject: Subject,
    pub level: Level,
    /// Share of `size`, 0 to 1, that is not certain to be available. May differ from `used` /
    /// `size`.
    pub share: f64,
    /// Occupied ports of the range. For a destination, `DestinationUse::in_use`.
    pub used: u32,
    /// Number of unreserved ports of the range. For a destination, `DestinationUse::capacity`.
    pub size: u32,
    pub left: Left,
    /// The lower end of `left`.
    pub available: u32,
    /// None: as for `Trends::of`.
    pub trend: Option<Trend>,
    /// When no port will be left at the measured rate. None: as for `trend`, or never, or not
    /// within two days.
    pub forecast: Option<Forecast>,
    /// None: there was no scan in the last minute, or the subject is not tracked.
    pub last_minute: Option<LastMinute>,
}

impl SubjectStatus {
    pub fn of_range(range: &RangeUse, trends: &Trends, thresholds: Thresholds) -> Self {
        let subject = Subject::Range(range.protocol);
        let counts = (range.occupied, range.size, range.left());
        Self::new(subject, range.share(), counts, trends, thresholds)
    }

    pub fn of_destination(row: &DestinationUse, trends: &Trends, thresholds: Thresholds) -> Self {
        let subject = Subject::Destination(row.destination);
        let counts = (row.in_use(), row.capacity, row.left());
        Self::new(subject, row.share(), counts, trends, thresholds)
    }

    fn new(
        subject: Subject,
        share: f64,
        (used, size, left): (u32, u32, Left),
        trends: &Trends,
        thresholds: Thresholds,
    ) -> Self {
        let available = left.least;
        let trend = trends.of(subject);
        let forecast = trend.and_then(|trend| trend.until(available));
        let last_minute = trends.last_minute(subject);
        let level = match thresholds.level(share, available, forecast) {
            Level::Exhausted => Level::Exhausted,
            _ if last_minute.is_some_and(|last| last.is_failing(share >= thresholds.critical)) => {
                Level::Failing
            }
            level => level,
        };
        Self { subject, level, share, used, size, left, available, trend, forecast, last_minute }
    }
}

/// Returns the status with the highest level, and among these with the largest share. If these are
/// equal, a destination precedes a range, because a full destination makes connect() fail. If a
/// destination explains the status of the TCP range (`is_cause`), returns the destination instead
/// of the range.
pub fn verdict(analysis: &Analysis, trends: &Trends, thresholds: Thresholds) -> SubjectStatus {
    let destinations = rows_to_judge(analysis, trends, thresholds);
    let all = destinations
        .into_iter()
        .map(|row| SubjectStatus::of_destination(row, trends, thresholds))
        .chain(analysis.ranges.iter().map(|row| SubjectStatus::of_range(row, trends, thresholds)));
    let first = SubjectStatus::of_range(&analysis.ranges[0], trends, thresholds);
    let worst = all.clone().fold(None, |worst: Option<SubjectStatus>, next| match worst {
        Some(worst) if (worst.level, worst.share) >= (next.level, next.share) => Some(worst),
        _ => Some(next),
    });
    let worst = worst.unwrap_or(first);
    all.into_iter().find(|other| is_cause(other, &worst)).unwrap_or(worst)
}

/// Returns the destinations whose level may be other than OK: those with a share of at least half
/// of `warn` (the first one in any case), highest share first, and then those that were short of
/// ports in the last seconds.
pub(super) fn rows_to_judge<'a>(
    analysis: &'a Analysis,
    trends: &Trends,
    thresholds: Thresholds,
) -> Vec<&'a DestinationUse> {
    // The rows are sorted by share.
    let least = thresholds.warn / 2.0;
    let high = analysis.destinations.iter().take_while(|row| row.share() >= least).count();
    let (high, low) = analysis.destinations.split_at(high.max(1).min(analysis.destinations.len()));
    let short = trends.short_destinations();
    let is_short = |row: &&DestinationUse| short.contains(&row.destination);
    high.iter().chain(low.iter().filter(|row| !short.is_empty() && is_short(row))).collect()
}

/// Returns whether the destination explains the status of the TCP range: the range is not OK, the
/// destination uses at least half of the range's used ports, and its level is at least that of the
/// range. FAILING is enough if the range is EXHAUSTED.
fn is_cause(destination: &SubjectStatus, range: &SubjectStatus) -> bool {
    matches!(destination.subject, Subject::Destination(_))
        && range.subject == Subject::Range(Protocol::Tcp)
        && range.level > Level::Ok
        && destination.used * 2 >= range.used
        && destination.level >= range.level.min(Level::Failing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Destination, Endpoint};

    fn destination(used: u32, capacity: u32, port: u16) -> DestinationUse {
        let remote: Endpoint = ([10, 0, 3, 17], port).into();
        let destination = Destination { source: [10, 0, 0, 7].into(), remote, interface: None };
        DestinationUse { capacity, used, ..DestinationUse::unused(destination) }
    }

    fn worst(analysis: &Analysis) -> SubjectStatus {
        verdict(analysis, &Trends::default(), Thresholds::default())
    }

    #[test]
    fn a_full_destination_is_worse_than_a_range_that_is_nearly_full() {
        let mut analysis = Analysis::default();
        analysis.ranges[0].occupied = analysis.ranges[0].size * 9 / 10;
        analysis.destinations = vec![destination(64, 64, 443), destination(10, 64, 444)];
        let subject_status = worst(&analysis);
        assert_eq!(
            subject_status.subject,
            Subject::Destination(analysis.destinations[0].destination)
        );
        assert_eq!((subject_status.level, subject_status.available), (Level::Exhausted, 0));
        analysis.destinations.remove(0);
        let subject_status = worst(&analysis);
        assert_eq!(subject_status.subject, Subject::Range(Protocol::Tcp));
        assert_eq!(subject_status.level, Level::Exhausting);
    }

    #[test]
    fn the_level_of_a_range_uses_the_lower_bound_of_the_ports_left() {
        let mut analysis = Analysis::default();
        (analysis.ranges[0].size, analysis.ranges[0].unlisted) = (64, 63);
        let subject_status = worst(&analysis);
        assert_eq!(
            (subject_status.level, subject_status.left),
            (Level::Exhausting, Left::new(1, 64))
        );
    }

    #[test]
    fn a_destination_that_uses_most_ports_is_reported_before_its_range() {
        let mut analysis = Analysis::default();
        (analysis.ranges[0].size, analysis.ranges[0].occupied) = (64, 62);
        analysis.destinations = vec![destination(60, 64, 443)];
        let subject = Subject::Destination(analysis.destinations[0].destination);
        assert_eq!(worst(&analysis).subject, subject);
        // bind() to port 0 fails, but connect() to the destination does not: only the range is
        // EXHAUSTED.
        analysis.ranges[0].occupied = 64;
        assert_eq!(worst(&analysis).subject, Subject::Range(Protocol::Tcp));
        analysis.destinations = vec![destination(30, 64, 443)];
        analysis.ranges[0].occupied = 62;
        assert_eq!(worst(&analysis).subject, Subject::Range(Protocol::Tcp));
    }

    #[test]
    fn without_problems_the_subject_with_the_largest_share_is_reported_as_ok() {
        let mut analysis = Analysis::default();
        assert_eq!(worst(&analysis).level, Level::Ok);
        analysis.destinations = vec![destination(5, 64, 443)];
        let subject_status = worst(&analysis);
        assert_eq!((subject_status.level, subject_status.used), (Level::Ok, 5));
    }

    #[test]
    fn a_range_without_ports_is_exhausted() {
        let mut analysis = Analysis::default();
        analysis.ranges[1].size = 0;
        assert_eq!(worst(&analysis).level, Level::Exhausted);
    }
}
