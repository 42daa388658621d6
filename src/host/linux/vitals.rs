//! Reads the vitals: limits, counters, connection tracking, source addresses and descriptor use.
//! Does not read sockets.

mod addresses;
pub(super) mod conntrack;
mod counters;
mod descriptors;

use std::{cell::OnceCell, fs::File, io::Read as _, str::FromStr};

use crate::{
    domain::{Errno, Gap, Snapshot, Socket, State, Vitals},
    host::OwnerDepth,
};

use self::{conntrack::ConntrackReader, counters::Sockstat, descriptors::DescriptorReader};

/// Files of the calling thread's network namespace; `/proc/net` is that of the main thread.
const SOCKSTAT: &str = "/proc/thread-self/net/sockstat";
const NETSTAT: &str = "/proc/thread-self/net/netstat";
/// Limits that exist in the initial network namespace. In other namespaces, tcp_max_tw_buckets
/// exists only on newer kernels, and tcp_max_orphans is missing (as of Linux 6.18).
const MAX_TIME_WAIT: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";
const MAX_ORPHANS: &str = "/proc/sys/net/ipv4/tcp_max_orphans";
/// Since Linux 6.1.
const HASH_BUCKETS: &str = "/proc/sys/net/ipv4/tcp_ehash_entries";
const SYN_COOKIES: &str = "/proc/sys/net/ipv4/tcp_syncookies";
const MAX_SYN_BACKLOG: &str = "/proc/sys/net/ipv4/tcp_max_syn_backlog";
const MAX_BACKLOG: &str = "/proc/sys/net/core/somaxconn";

/// Reads the vitals. Keeps its buffers between scans, and the values that are too expensive to read
/// on every scan.
#[derive(Default)]
pub struct VitalsReader {
    buffer: Vec<u8>,
    /// See `Vitals::hash_buckets`. Never changes while the namespace exists; None: it could not be
    /// read, because this kernel does not have the file, for example.
    hash_buckets: OnceCell<Option<i64>>,
    conntrack: ConntrackReader,
    descriptors: DescriptorReader,
}

impl VitalsReader {
    /// Fills in `snapshot.vitals`. The owners must already be in the snapshot, if requested.
    pub fn read(&mut self, owners: OwnerDepth, snapshot: &mut Snapshot) {
        let mut vitals = Vitals::default();
        self.read_limits(&mut vitals);
        self.read_counters(&mut vitals);
        self.read_queue_limits(&snapshot.sockets, &mut vitals);
        let is_proc_mounted = vitals.orphans.is_some();
        vitals.addresses = Some(addresses::read(is_proc_mounted, &mut self.buffer));
        vitals.conntrack = self.conntrack.read(&mut self.buffer, &mut vitals.gaps);
        if owners != OwnerDepth::Skip {
            let gaps = &mut vitals.gaps;
            vitals.descriptors = self.descriptors.read(&mut self.buffer, snapshot, gaps);
        }
        snapshot.vitals = vitals;
    }

    fn read_limits(&mut self, vitals: &mut Vitals) {
        let mut limit = |path, what| {
            let number = number(path, &mut self.buffer);
            optional(number, what, path, &mut vitals.gaps)
        };
        vitals.max_time_wait = limit(MAX_TIME_WAIT, "the limit of TIME-WAIT sockets");
        vitals.max_orphans = limit(MAX_ORPHANS, "the limit of orphans");
        let buckets = || number(HASH_BUCKETS, &mut self.buffer).ok();
        vitals.hash_buckets = *self.hash_buckets.get_or_init(buckets);
    }

    /// Reads the limits of listeners' queues only if such a queue is in use or may have been full,
    /// because they are in three more files.
    fn read_queue_limits(&mut self, sockets: &[Socket], vitals: &mut Vitals) {
        let queue = &mut vitals.syn_queue;
        let counters = [vitals.listen_drops, queue.dropped, queue.cookies_for_full];
        let happened = counters.into_iter().flatten().any(|count| count > 0);
        let is_queued = |socket: &Socket| match socket.state {
            State::Listen => socket.receive_queue > 0,
            state => state == State::SynReceived,
        };
        if happened || sockets.iter().any(is_queued) {
            queue.cookies = number(SYN_COOKIES, &mut self.buffer).ok();
            queue.max_syn_backlog = number(MAX_SYN_BACKLOG, &mut self.buffer).ok();
            vitals.max_backlog = number(MAX_BACKLOG, &mut self.buffer).ok();
        }
    }

    fn read_counters(&mut self, vitals: &mut Vitals) {
        let sums = text(SOCKSTAT, &mut self.buffer).and_then(counters::parse_sockstat);
        match sums {
            Ok(Sockstat { orphans, allocated, time_wait }) => {
                vitals.orphans = Some(orphans);
                vitals.allocated = Some(allocated);
                vitals.time_wait = Some(time_wait);
            }
            Err(error) => vitals.gaps.push(unread("socket totals", SOCKSTAT, error)),
        }
        match text(NETSTAT, &mut self.buffer).map(counters::Netstat) {
            Ok(netstat) => {
                vitals.time_wait_overflow = netstat.extended("TCPTimeWaitOverflow");
                vitals.listen_overflows = netstat.extended("ListenOverflows");
                vitals.listen_drops = netstat.extended("ListenDrops");
                vitals.syn_queue.dropped = netstat.extended("TCPReqQFullDrop");
                vitals.syn_queue.cookies_for_full = netstat.extended("TCPReqQFullDoCookies");
                vitals.syn_queue.cookies_failed = netstat.extended("SyncookiesFailed");
                // TCPAbortOnMemory counts the connections that the kernel resets because of
                // `tcp_check_oom` (net/ipv4/tcp.c, tcp_timer.c): there are too many orphans, or TCP
                // is out of memory.
                vitals.orphans_killed = netstat.extended("TCPAbortOnMemory");
            }
            Err(error) => vitals.gaps.push(unread("TCP counters", NETSTAT, error)),
        }
    }
}

/// Returns the whole text of a small file. Errors: EBADMSG if it is not UTF-8.
fn text<'a>(path: &str, buffer: &'a mut Vec<u8>) -> Result<&'a str, Errno> {
    buffer.clear();
    File::open(path)?.read_to_end(buffer)?;
    str::from_utf8(buffer).map_err(|_| Errno::EBADMSG)
}

fn number<T: FromStr>(path: &str, buffer: &mut Vec<u8>) -> Result<T, Errno> {
    text(path, buffer)?.trim_ascii().parse().map_err(|_| Errno::EBADMSG)
}

/// Returns the value; None after an error. Adds a gap for the error, unless this kernel or
/// namespace does not have the file (ENOENT).
fn optional<T>(
    value: Result<T, Errno>,
    what: &'static str,
    path: &'static str,
    gaps: &mut Vec<Gap>,
) -> Option<T> {
    if let Err(error) = value
        && error != Errno::ENOENT
    {
        gaps.push(unread(what, path, error));
    }
    value.ok()
}

fn unread(what: &'static str, path: &'static str, error: Errno) -> Gap {
    Gap::VitalsUnread { what, path, error }
}
