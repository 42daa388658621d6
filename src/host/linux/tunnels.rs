//! Finds the tunnels that use UDP sockets without a process. Does not find which sockets they use.

use std::time::{Duration, Instant};

use crate::{
    domain::{Socket, Tunnel, tunnel::is_candidate},
    host::linux::rtnetlink,
};

/// Interval at which the interfaces are listed again. If the set of sockets without a process has
/// changed, the next listing is earlier, but at least `MIN_INTERVAL` after the last one.
const REFRESH: Duration = Duration::from_secs(10);
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Finds tunnels over UDP, and keeps them between scans. Lists no interface while each UDP socket
/// has a process.
#[derive(Default)]
pub(super) struct TunnelFinder {
    tunnels: Vec<Tunnel>,
    /// Inodes of the sockets without a process at the last listing, in the order of the sockets.
    inodes: Vec<u32>,
    read_at: Option<Instant>,
}

impl TunnelFinder {
    /// Returns the tunnels of the calling thread's network namespace, as of the last listing; none
    /// if the interfaces cannot be listed.
    pub(super) fn find(&mut self, sockets: &[Socket]) -> Vec<Tunnel> {
        let candidates = sockets.iter().filter(|socket| is_candidate(socket));
        let inodes: Vec<u32> = candidates.filter_map(|socket| socket.inode).collect();
        if inodes.is_empty() {
            *self = Self::default();
            return Vec::new();
        }
        let least = if inodes == self.inodes { REFRESH } else { MIN_INTERVAL };
        if self.read_at.is_none_or(|at| at.elapsed() >= least) {
            self.tunnels = rtnetlink::tunnels().unwrap_or_default();
            self.inodes = inodes;
            self.read_at = Some(Instant::now());
        }
        self.tunnels.clone()
    }
}
