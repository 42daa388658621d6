//! The search of the Sockets screen: `n` and `N` go through the rows that it finds. Hides no row.

use crate::app::{
    Size,
    sockets::{SocketsInput, SocketsScreen},
};

/// Which row that the search finds is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoundPosition {
    /// The selected one, or the next one.
    Here,
    Next,
    Previous,
}

impl SocketsScreen {
    /// Selects a row that the search finds. After the last one comes the first one. Returns what to
    /// report to the user.
    pub(super) fn go_to_found(
        &mut self,
        position: FoundPosition,
        input: SocketsInput<'_>,
        size: Size,
    ) -> Option<String> {
        if self.line.search().is_none() {
            let is_asked = position != FoundPosition::Here;
            return is_asked.then(|| "nothing is searched for: /?nginx searches for nginx".into());
        }
        let list = self.list(input, size);
        if list.groups.is_some() {
            return Some("a search finds sockets, not groups: c".into());
        }
        let here = list.selected.unwrap_or_default() as u32;
        let found = &list.found;
        let after = found.partition_point(|&row| row <= here);
        let before = found.partition_point(|&row| row < here);
        let (to, notice) = match position {
            FoundPosition::Here | FoundPosition::Next => {
                let index = if position == FoundPosition::Here { before } else { after };
                (found.get(index).or(found.first()), index == found.len())
            }
            FoundPosition::Previous => {
                let index = before.checked_sub(1);
                (index.map_or(found.last(), |index| found.get(index)), index.is_none())
            }
        };
        let Some(&to) = to else { return Some("the search finds no socket".into()) };
        let is_only = found.len() == 1 && to == here;
        self.select(to as usize, input, size);
        match position {
            FoundPosition::Here => None,
            _ if is_only => Some("the search finds only this socket".into()),
            FoundPosition::Next => notice.then(|| "the search goes on at the first row".into()),
            FoundPosition::Previous => notice.then(|| "the search goes on at the last row".into()),
        }
    }
}
