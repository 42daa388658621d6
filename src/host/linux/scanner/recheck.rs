//! Checks whether sockets without an owner were closed during the scan. Does not find their owners.

use std::sync::Arc;

use crate::{
    domain::{Snapshot, Source},
    host::linux::ascending,
};

use super::LinuxScanner;

/// Maximum number of inodes to check. More are unlikely to have been closed during the scan; then
/// they are in no descriptor table for another reason.
const MAX_RECHECKED: usize = 64;
/// Maximum number of ports to list one by one; if there are more, all sockets are listed.
const MAX_PORTS: usize = 4;

impl LinuxScanner {
    /// Lists the sockets again that the first walk over /proc did not find. Later walks do not need
    /// this: sockets that they do not find are looked up again at the next scan.
    pub(super) fn recheck(&mut self, snapshot: &Snapshot) {
        let unconfirmed = self.owners.take_unconfirmed();
        if unconfirmed.is_empty() || unconfirmed.len() > MAX_RECHECKED {
            return;
        }
        let sockets = snapshot.sockets.iter();
        let rows = sockets.filter(|s| s.inode.is_some_and(|i| unconfirmed.contains(&i)));
        let ports = ascending(rows.map(|socket| socket.local.port));
        let Some(listed) = self.list_again(&ports) else { return };
        self.owners.drop_closed(|inode| listed.binary_search(&inode).is_ok());
    }

    /// Returns the inodes that are listed now, ascending. None: not all could be listed.
    fn list_again(&mut self, ports: &[u16]) -> Option<Vec<u32>> {
        let mut again = Snapshot::empty(Arc::clone(&self.machine), Source::SockDiag);
        if ports.len() > MAX_PORTS || self.netlink.is_err() {
            self.list(None, &mut again).ok()?;
        } else {
            for &port in ports {
                self.list(Some(port), &mut again).ok()?;
            }
        }
        let is_whole = again.gaps.iter().all(|gap| gap.table().is_none());
        is_whole.then(|| ascending(again.sockets.iter().filter_map(|socket| socket.inode)))
    }
}
