//! Scans a host once, or several times over a period, and collects statistics. Starts no thread and
//! makes no diagnosis.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    domain::{
        Analysis, Errno, Gap, Monitor, Owner, ProcessTable, Protocol, Protocols, Snapshot, Source,
        Vitals,
    },
    engine::{describer::departed_only, scanner::COST_FACTOR},
    host::{Host, HostError, OwnerDepth, Scanner},
};

/// Result of one or several scans.
pub struct Sample {
    /// Snapshot of the last scan, with the requested protocols only.
    pub snapshot: Snapshot,
    /// Analysis of `snapshot`.
    pub analysis: Analysis,
    /// Has observed the snapshot of each scan.
    pub monitor: Monitor,
    /// Processes that hold a socket of `snapshot`.
    pub processes: ProcessTable,
}

impl Sample {
    /// Scans at once, and then about once a second until `apart` is over. The last scan is at the
    /// end of `apart`. Scans less often if that would cost more than 5 % of a core, and only once
    /// if `apart` is zero. Holds `scan_turn` while it scans, so that the samples of several hosts
    /// use one CPU and the time of each scan is its own.
    ///
    /// Errors: the sockets could not be listed.
    pub fn take(
        host: &dyn Host,
        protocols: Protocols,
        apart: Duration,
        scan_turn: &Mutex<()>,
    ) -> Result<Self, HostError> {
        let mut scanner = host.scanner()?;
        let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
        let mut monitor = Monitor::default();
        let mut scan = |owners, snapshot: &mut Snapshot| {
            let _turn = scan_turn.lock().unwrap_or_else(PoisonError::into_inner);
            scan(&mut *scanner, owners, protocols, snapshot)?;
            Ok(monitor.observe(snapshot))
        };
        let mut analysis = scan(OwnerDepth::Full, &mut snapshot)?;
        let first_at = snapshot.taken_at;
        if !apart.is_zero() {
            let now = Instant::now();
            let mut due = Due { started: now, end: now + apart };
            while due.wait(snapshot.cost) {
                analysis = scan(OwnerDepth::Incremental, &mut snapshot)?;
            }
        }
        let mut processes = describe_or_miss(host, &mut snapshot);
        forget_later(&departed_only(&snapshot), first_at, &mut processes);
        Ok(Self { snapshot, analysis, monitor, processes })
    }
}

/// Time from one scan to the next, unless scans cost too much.
const SCAN_EACH: Duration = Duration::from_secs(1);

/// When the next scan is due.
struct Due {
    started: Instant,
    end: Instant,
}

impl Due {
    /// Sleeps until the next scan is due. `cost` is the CPU time of the last scan. Returns false at
    /// once if no further scan is due.
    fn wait(&mut self, cost: Duration) -> bool {
        let left = self.end.saturating_duration_since(self.started);
        if left.is_zero() {
            return false;
        }
        let pause = pause(left, cost);
        let due = self.started + pause;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        self.started = if pause == left { self.end } else { Instant::now() };
        true
    }
}

/// Returns the time from the start of one scan to the start of the next. `left` is the time until
/// the end, when the last scan starts. The pause before the last scan may be up to 1.5 times the
/// interval.
fn pause(left: Duration, cost: Duration) -> Duration {
    let interval = SCAN_EACH.max(cost * COST_FACTOR);
    if left < interval + interval / 2 { left } else { interval }
}

/// Takes a snapshot with these protocols only.
fn scan(
    scanner: &mut dyn Scanner,
    owners: OwnerDepth,
    protocols: Protocols,
    snapshot: &mut Snapshot,
) -> Result<(), HostError> {
    scanner.scan(owners, snapshot)?;
    // Only `ask_numbered` shows exactly how many ports are left for connect(). The scanner thread
    // calls it less often, because it costs another dump of the sockets.
    if snapshot.connected_ports() != (0, 0) {
        scanner.ask_numbered(snapshot);
    }
    scanner.ask_timestamps(snapshot);
    keep_only(protocols, snapshot);
    Ok(())
}

/// Describes the processes that hold a socket of the snapshot.
pub fn describe(host: &dyn Host, snapshot: &Snapshot) -> ProcessTable {
    host.describer().describe(&owners(snapshot)).into_iter().collect()
}

/// Describes the processes like `describe`, and adds a gap for those that cannot be read.
pub fn describe_or_miss(host: &dyn Host, snapshot: &mut Snapshot) -> ProcessTable {
    let pids = owners(snapshot);
    let mut describer = host.describer();
    let table: ProcessTable = describer.describe(&pids).into_iter().collect();
    let nameless = pids.iter().filter(|&&pid| table.get(pid).is_none());
    let refusals: Vec<Errno> = nameless.filter_map(|&pid| describer.refusal(pid)).collect();
    if let Some(&error) = refusals.first() {
        snapshot.gaps.push(Gap::ProcessesUnread { processes: refusals.len() as u32, error });
    }
    table
}

/// Removes the descriptions of departed owners that started after the first scan, at `first_at`
/// since 1970: another process may have the pid by now. `departed` is the result of
/// `departed_only`.
fn forget_later(departed: &[u32], first_at: Duration, processes: &mut ProcessTable) {
    let is_later = |pid| {
        let started = processes.get(pid).and_then(|process| process.started);
        started.is_some_and(|started| started > first_at.as_secs())
    };
    let later: Vec<u32> = departed.iter().copied().filter(|&pid| is_later(pid)).collect();
    processes.retain(|pid| !later.contains(&pid));
}

/// Returns the pids of all owners, ascending.
fn owners(snapshot: &Snapshot) -> Vec<u32> {
    let owners = snapshot.sockets.iter().map(|socket| snapshot.owner(socket));
    let mut pids: Vec<u32> = owners.flat_map(Owner::pids).copied().collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes from the snapshot the data of all other protocols.
fn keep_only(protocols: Protocols, snapshot: &mut Snapshot) {
    snapshot.keep_sockets(|socket| protocols.includes(socket.protocol));
    snapshot.gaps.retain(|gap| gap.protocol().is_none_or(|of| protocols.includes(of)));
    let vitals = &mut snapshot.vitals;
    if !protocols.includes(Protocol::Tcp) {
        // Counters and limits of TCP are left out.
        let Vitals { addresses, by_number, tunnels, conntrack, descriptors, gaps, .. } =
            std::mem::take(vitals);
        let others = Vitals::default();
        *vitals = Vitals { addresses, by_number, tunnels, conntrack, descriptors, gaps, ..others };
    }
    let conntrack = vitals.conntrack.as_mut();
    if let Some(translated) = conntrack.and_then(|conntrack| conntrack.translated.as_mut()) {
        translated.retain(|translation| protocols.includes(translation.protocol));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Process, Text};

    /// Returns the pauses of a sample of `seconds`, if each scan costs `cost` milliseconds.
    fn pauses(seconds: u64, cost: u64) -> Vec<Duration> {
        let mut left = Duration::from_secs(seconds);
        let mut pauses = Vec::new();
        while !left.is_zero() {
            pauses.push(pause(left, Duration::from_millis(cost)));
            left -= pauses[pauses.len() - 1];
        }
        pauses
    }

    #[test]
    fn a_departed_owner_does_not_get_the_name_of_a_later_process() {
        let process = |pid, started| Process { started, ..Process::new(pid, Text::scrub("x")) };
        let all = [(1, Some(99)), (2, Some(101)), (3, Some(101)), (4, None)];
        let mut table: ProcessTable = all.map(|(pid, at)| process(pid, at)).into_iter().collect();
        forget_later(&[1, 2, 4], Duration::from_millis(100_900), &mut table);
        let left: Vec<u32> = table.iter().map(|process| process.pid).collect();
        assert_eq!(left, [1, 3, 4], "the third one holds a socket now");
    }

    #[test]
    fn a_sample_of_one_second_scans_twice_and_a_longer_one_each_second() {
        assert_eq!(pauses(1, 10), [Duration::from_secs(1)]);
        assert_eq!(pauses(60, 10), [Duration::from_secs(1); 60]);
    }

    #[test]
    fn scans_take_at_most_a_twentieth_of_the_time_except_the_last() {
        assert_eq!(pauses(60, 500), [Duration::from_secs(10); 6]);
        assert_eq!(pauses(1, 500), [Duration::from_secs(1)], "two scans were asked for");
        let odd = pauses(60, 200);
        assert!(odd.iter().all(|pause| *pause >= Duration::from_secs(4)), "{odd:?}");
        assert_eq!(odd.iter().sum::<Duration>(), Duration::from_mins(1));
    }
}
