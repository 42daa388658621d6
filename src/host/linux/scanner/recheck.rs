//! Whether sockets that nobody holds were closed while we looked. Not who held them.

use std::sync::Arc;

use crate::domain::{Snapshot, Source};

use super::LinuxScanner;

/// More sockets than these do not close within a scan: that nobody shows them has another reason.
const MOST_RECHECKED: usize = 64;
/// Ports that are listed one by one; of more all sockets are listed.
const MOST_PORTS: usize = 4;

impl LinuxScanner {
    /// Lists the sockets again that the first walk of all did not find. Later walks need no such
    /// look: what they do not find is asked for at the next scan.
    pub(super) fn recheck(&mut self, snapshot: &Snapshot) {
        let unconfirmed = self.owners.take_unconfirmed();
        if unconfirmed.is_empty() || unconfirmed.len() > MOST_RECHECKED {
            return;
        }
        let sockets = snapshot.sockets.iter();
        let rows = sockets.filter(|s| s.inode.is_some_and(|i| unconfirmed.contains(&i)));
        let mut ports: Vec<u16> = rows.map(|socket| socket.local.port).collect();
        ports.sort_unstable();
        ports.dedup();
        let Some(listed) = self.list_again(&ports) else { return };
        self.owners.drop_closed(|inode| listed.binary_search(&inode).is_ok());
    }

    /// The inodes that are listed now, ascending; None: not all could be listed.
    fn list_again(&mut self, ports: &[u16]) -> Option<Vec<u32>> {
        let mut again = Snapshot::empty(Arc::clone(&self.machine), Source::SockDiag);
        if ports.len() > MOST_PORTS || self.netlink.is_err() {
            self.list(None, &mut again).ok()?;
        } else {
            for &port in ports {
                self.list(Some(port), &mut again).ok()?;
            }
        }
        let is_whole = again.gaps.iter().all(|gap| gap.what() != "sockets");
        let mut inodes: Vec<u32> = again.sockets.iter().filter_map(|socket| socket.inode).collect();
        inodes.sort_unstable();
        is_whole.then_some(inodes)
    }
}
