//! The socket inodes that processes hold, with an index, because each scan looks up every socket.

/// Maps socket inodes to the pids of the processes that hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldInodes {
    /// Ascending; an inode is repeated for each process that holds it.
    inodes: Vec<u32>,
    /// The process of each element of `inodes`; ascending for each inode.
    pids: Vec<u32>,
    /// The inodes from the first to the last one, in blocks of 2^`shift`: the index in `inodes` at
    /// which each block starts, then the length of `inodes`.
    starts: Vec<usize>,
    shift: u32,
}

impl HeldInodes {
    /// Removes all inodes; keeps the buffers.
    pub fn clear(&mut self) {
        self.inodes.clear();
        self.pids.clear();
        self.starts.clear();
    }

    /// Moves the pairs of inode and pid, in any order and possibly repeated, out of `found`.
    pub fn add(&mut self, found: &mut Vec<(u32, u32)>) {
        found.extend(self.inodes.drain(..).zip(self.pids.drain(..)));
        found.sort_unstable();
        found.dedup();
        self.inodes.extend(found.iter().map(|&(inode, _)| inode));
        self.pids.extend(found.drain(..).map(|(_, pid)| pid));
        self.index();
    }

    /// Makes about as many blocks as there are inodes.
    fn index(&mut self) {
        self.starts.clear();
        let (Some(first), Some(last)) = (self.inodes.first(), self.inodes.last()) else { return };
        let inodes_per_element = (last - first) as usize / self.inodes.len();
        self.shift = usize::BITS - inodes_per_element.leading_zeros();
        for (at, inode) in self.inodes.iter().enumerate() {
            let block = ((inode - first) >> self.shift) as usize;
            self.starts.resize(self.starts.len().max(block + 1), at);
        }
        self.starts.push(self.inodes.len());
    }

    pub fn contains(&self, inode: u32) -> bool {
        !self.pids(inode).is_empty()
    }

    /// Returns the processes that hold the inode, ascending.
    pub fn pids(&self, inode: u32) -> &[u32] {
        self.find(inode).unwrap_or_default()
    }

    fn find(&self, inode: u32) -> Option<&[u32]> {
        let block = (inode.checked_sub(*self.inodes.first()?)? >> self.shift) as usize;
        let (start, end) = (*self.starts.get(block)?, *self.starts.get(block + 1)?);
        let of_block = &self.inodes[start..end];
        let from = start + of_block.partition_point(|&held| held < inode);
        let count = self.inodes[from..end].iter().take_while(|&&held| held == inode).count();
        self.pids.get(from..from + count)
    }
}

impl FromIterator<(u32, u32)> for HeldInodes {
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(pairs: I) -> Self {
        let mut held = Self::default();
        held.add(&mut pairs.into_iter().collect());
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_is_found_wherever_it_is() {
        let inodes = [0, 1, 2, 900, 901, 902, 70_000, u32::MAX - 1, u32::MAX];
        for count in 0..=inodes.len() {
            for from in 0..=inodes.len() - count {
                let part = &inodes[from..from + count];
                let held: HeldInodes = part.iter().map(|&inode| (inode, 5)).collect();
                for inode in inodes.into_iter().chain([3, 899, 903, 69_999, 70_001, 1 << 31]) {
                    assert_eq!(held.contains(inode), part.contains(&inode), "{inode} of {part:?}");
                }
            }
        }
    }

    #[test]
    fn all_processes_of_an_inode_are_returned_once_after_each_addition() {
        let mut held = HeldInodes::from_iter([(9, 30), (7, 20), (9, 10), (9, 30)]);
        assert_eq!((held.pids(9), held.pids(7), held.pids(8)), (&[10, 30][..], &[20][..], &[][..]));
        let mut found = vec![(8, 40), (9, 20), (9, 10)];
        held.add(&mut found);
        assert_eq!((held.pids(9), held.pids(8)), (&[10, 20, 30][..], &[40][..]));
        assert!(found.is_empty());
        held.clear();
        assert_eq!(held.pids(9), [0; 0]);
    }
}
