//! The describer thread: describes the processes that own sockets. Does not find the owners; the
//! scanner does.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    domain::{Owner, ProcessTable, Snapshot},
    engine::{Outbox, Report, scanner::RETRY_INTERVAL},
    host::{Describer, Host},
};

/// Number of processes described in one batch. It is small, so that the names of many processes
/// appear gradually.
const BATCH: usize = 64;
/// Interval at which all owners are described again, because execve() changes names.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// After a batch that took t, the next batch of known owners starts 20 t later at the earliest. New
/// owners are described without a pause.
const REST_FACTOR: u32 = 20;

#[derive(Clone, Default, PartialEq)]
struct OwnerRequest {
    pids: Vec<u32>,
    /// The part of `pids` that `departed_only` returns.
    departed: Vec<u32>,
}

/// Returns the pids of processes that closed a socket which the kernel still keeps, and that hold
/// no socket; ascending. Such a process may have ended, so that its pid may belong to another
/// process or to none.
pub fn departed_only(snapshot: &Snapshot) -> Vec<u32> {
    let owners = || snapshot.sockets.iter().map(|socket| snapshot.owner(socket));
    let departed = owners().filter(|owner| matches!(owner, Owner::Departed(_)));
    let mut departed: Vec<u32> = departed.flat_map(Owner::pids).copied().collect();
    departed.sort_unstable();
    departed.dedup();
    if !departed.is_empty() {
        let holding = owners().filter(|owner| !matches!(owner, Owner::Departed(_)));
        let holding: BTreeSet<u32> = holding.flat_map(Owner::pids).copied().collect();
        departed.retain(|pid| !holding.contains(pid));
    }
    departed
}

/// Owners of sockets in the last scan. A new list replaces the previous one even if the describer
/// has not read it.
#[derive(Default)]
pub struct SharedOwnerList {
    list: Mutex<PidList>,
    changed: Condvar,
}

#[derive(Default)]
struct PidList {
    owners: OwnerRequest,
    is_new: bool,
    stop: bool,
}

impl SharedOwnerList {
    /// Replaces the list. `pids` may be in any order and contain duplicates; `departed` is the
    /// result of `departed_only`.
    pub fn post(&self, pids: &[u32], departed: Vec<u32>) {
        let mut list = self.lock();
        list.owners.pids.clear();
        list.owners.pids.extend_from_slice(pids);
        list.owners.departed = departed;
        list.is_new = true;
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, PidList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `deadline` for a new list and swaps it with `owners`. Returns whether there was
    /// a new list; `None` on stop.
    fn wait(&self, deadline: Instant, owners: &mut OwnerRequest) -> Option<bool> {
        let mut list = self.lock();
        while !list.stop && !list.is_new {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(false);
            }
            let waited = self.changed.wait_timeout(list, left);
            list = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_new = mem::take(&mut list.is_new);
        if is_new {
            mem::swap(&mut list.owners, owners);
        }
        (!list.stop).then_some(is_new)
    }
}

/// State of the describer thread.
pub struct DescriberLoop<'a> {
    host: &'a dyn Host,
    owner_list: Arc<SharedOwnerList>,
    describer: Box<dyn Describer>,
    owners: OwnerRequest,
    /// Owners for which a description was requested, by pid, with the start time of the process.
    /// The start time shows whether the pid belongs to another process by now. It is `None` if the
    /// process had ended.
    asked: BTreeMap<u32, Option<u64>>,
    /// Whether a list arrived since the start times were last compared.
    is_unchecked: bool,
    /// Earliest time of the next comparison of start times.
    check_at: Instant,
    new: VecDeque<u32>,
    old: VecDeque<u32>,
    next_round: Instant,
    paused_until: Instant,
    table: ProcessTable,
    is_unsent: bool,
}

impl<'a> DescriberLoop<'a> {
    pub fn new(host: &'a dyn Host, owner_list: Arc<SharedOwnerList>) -> Self {
        let now = Instant::now();
        Self {
            host,
            owner_list,
            describer: host.describer(),
            owners: OwnerRequest::default(),
            asked: BTreeMap::new(),
            is_unchecked: false,
            check_at: now,
            new: VecDeque::new(),
            old: VecDeque::new(),
            next_round: now + REFRESH_INTERVAL,
            paused_until: now,
            table: ProcessTable::default(),
            is_unsent: false,
        }
    }

    /// Runs until `SharedOwnerList::stop`.
    pub fn run(mut self, outbox: &dyn Outbox) {
        let mut owners = OwnerRequest::default();
        while let Some(is_new) = self.owner_list.wait(self.due(), &mut owners) {
            self.is_unchecked |= is_new;
            owners.pids.sort_unstable();
            owners.pids.dedup();
            if owners != self.owners {
                self.owners.clone_from(&owners);
                self.update_queues();
            }
            self.check();
            self.describe();
            self.offer(outbox);
        }
    }

    /// Returns the time of the next work that does not depend on a new list.
    fn due(&self) -> Instant {
        let now = Instant::now();
        if !self.new.is_empty() {
            return now;
        }
        let next = if self.old.is_empty() { self.next_round } else { self.paused_until };
        let next = if self.is_unchecked { next.min(self.check_at) } else { next };
        if self.is_unsent { next.min(now + RETRY_INTERVAL) } else { next }
    }

    /// Forgets processes that own no socket any more, and queues new ones.
    fn update_queues(&mut self) {
        let owners = &self.owners.pids;
        let owns = |pid: u32| owners.binary_search(&pid).is_ok();
        self.table.retain(owns);
        self.asked.retain(|&pid, _| owns(pid));
        self.old.retain(|&pid| owns(pid));
        self.new.clear();
        self.new.extend(owners.iter().filter(|pid| !self.asked.contains_key(pid)));
        self.is_unsent = true;
    }

    /// Forgets pids that now belong to another process, and queues them to be described again.
    fn check(&mut self) {
        let begin = Instant::now();
        if !self.is_unchecked || begin < self.check_at {
            return;
        }
        self.is_unchecked = false;
        let (host, departed) = (self.host, &self.owners.departed);
        let is_other = |pid: u32, known: Option<u64>| {
            // If `running` returns `None`, the process has ended or cannot be read now, and its
            // known name stays valid.
            departed.binary_search(&pid).is_err()
                && host.running(pid).is_some_and(|found| known != Some(found.started))
        };
        let others = self.asked.extract_if(.., |&pid, started| is_other(pid, *started));
        let others: Vec<u32> = others.map(|(pid, _)| pid).collect();
        if !others.is_empty() {
            let is_same = |pid: u32| others.binary_search(&pid).is_err();
            self.table.retain(is_same);
            self.old.retain(|&pid| is_same(pid));
            self.new.extend(others);
            self.is_unsent = true;
        }
        self.check_at = Instant::now() + begin.elapsed() * REST_FACTOR;
    }

    /// Describes the next batch, new owners first.
    fn describe(&mut self) {
        let started = Instant::now();
        if self.old.is_empty() && started >= self.next_round {
            // Processes that hold no socket may have ended. They keep their known name.
            let OwnerRequest { pids, departed } = &self.owners;
            let is_kept = |pid: &&u32| departed.binary_search(pid).is_ok();
            self.old.extend(pids.iter().filter(|pid| !is_kept(pid)));
            self.next_round = started + REFRESH_INTERVAL;
        }
        let is_new = !self.new.is_empty();
        if !is_new && started < self.paused_until {
            return;
        }
        let queue = if is_new { &mut self.new } else { &mut self.old };
        let batch: Vec<u32> = queue.drain(..queue.len().min(BATCH)).collect();
        if batch.is_empty() {
            return;
        }
        // The start times are read before the descriptions, so that the next comparison detects a
        // pid that was reused in between.
        for &pid in &batch {
            self.asked.insert(pid, self.host.running(pid).map(|found| found.started));
        }
        for process in self.describer.describe(&batch) {
            if self.table.get(process.pid) != Some(&process) {
                self.table.insert(process);
                self.is_unsent = true;
            }
        }
        self.paused_until = Instant::now() + started.elapsed() * REST_FACTOR;
    }

    fn offer(&mut self, outbox: &dyn Outbox) {
        if self.is_unsent {
            let report = Report::Described(Arc::new(self.table.clone()));
            self.is_unsent = outbox.offer(report).is_err();
        }
    }
}
