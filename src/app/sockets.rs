//! State of the Sockets screen: filter, order, groups, marks, and the rows as far as someone looks
//! at them. Does not draw.

mod act;
mod applied_line;
mod events;
pub mod filter_line;
mod groups;
mod list;
pub mod order;
mod plan;
mod recent;
mod rows_file;
mod search;

use std::{
    cell::OnceCell,
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use crate::{
    app::{LatestScan, Size},
    domain::{
        Snapshot, Socket,
        listing::{GroupBy, GroupColumn, GroupOrder, SocketOrder},
    },
};

use applied_line::AppliedLine;
use list::{Anchor, ListBuilder};

pub use act::SocketsAction;
pub use filter_line::FilterLine;
pub use list::{ListRow, SocketList, SocketsInput};
pub use plan::SocketsPlan;
pub use recent::RecentChanges;
pub use rows_file::{RowsFile, RowsFormat};
pub use search::FoundPosition;

#[derive(Debug, Default)]
pub struct SocketsScreen {
    line: FilterLine,
    order: SocketOrder,
    group_by: GroupBy,
    group_order: GroupOrder,
    /// What was shown before each group was entered, the first one first.
    entered: Vec<Entered>,
    /// Identities of the marked sockets.
    marks: HashSet<u64>,
    /// Whether the newest socket stays on top and selected.
    is_following: bool,
    /// Whether the inspector has most of the screen.
    is_open: bool,
    recent: RecentChanges,
    anchor: Anchor,
    /// Empty: nobody has looked since something changed.
    list: OnceCell<SocketList>,
}

/// What was shown before a group was entered.
#[derive(Clone, Debug)]
struct Entered {
    line: AppliedLine,
    group_by: GroupBy,
    anchor: Anchor,
}

impl SocketsScreen {
    pub fn line(&self) -> &FilterLine {
        &self.line
    }

    pub fn order(&self) -> SocketOrder {
        self.order
    }

    pub fn group_by(&self) -> GroupBy {
        self.group_by
    }

    pub fn group_order(&self) -> GroupOrder {
        self.group_order
    }

    /// Number of groups that were entered one within the other.
    pub fn depth(&self) -> usize {
        self.entered.len()
    }

    pub fn is_following(&self) -> bool {
        self.is_following
    }

    pub fn recent(&self) -> &RecentChanges {
        &self.recent
    }

    pub fn is_marked(&self, socket: &Socket) -> bool {
        self.marks.contains(&socket.identity())
    }

    pub fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    pub fn plan(&self, size: Size) -> SocketsPlan {
        SocketsPlan::of(size, self.is_open)
    }

    /// The rows. Tests and sorts the sockets unless that has been done since the last change.
    pub fn list(&self, input: SocketsInput<'_>, size: Size) -> &SocketList {
        self.list.get_or_init(|| {
            let builder = ListBuilder {
                input,
                recent: &self.recent,
                filter: self.line.filter(),
                search: self.line.search(),
                order: self.order,
                group_by: self.group_by,
            };
            let mut list = builder.build();
            if self.group_by != GroupBy::Nothing {
                let sockets = list.rows.iter().filter_map(|row| match *row {
                    ListRow::Listed(index) => input.scan.snapshot.sockets.get(index as usize),
                    ListRow::Ended(_) => None,
                });
                let groups = input.source().grouped(self.group_by, sockets, self.group_order);
                let sockets = groups.iter().map(|group| group.sockets);
                list.largest_group = sockets.max().unwrap_or(0);
                list.groups = Some(groups);
            }
            if !self.marks.is_empty() {
                let sockets = input.scan.snapshot.sockets.iter();
                list.marked = sockets.filter(|socket| self.is_marked(socket)).count() as u32;
            }
            let room = usize::from(self.plan(size).rows);
            list.resolve(self.anchor, room, |list, index| self.id(list, index, input.scan));
            list
        })
    }

    /// Sorts by the column that was clicked, see `order::shown` and `GroupColumn::EACH`; reverses
    /// the order if it is sorted by it already.
    pub(super) fn sort_by(&mut self, index: usize, size: Size) {
        if self.group_by == GroupBy::Nothing {
            let Some(&column) = order::shown(size).get(index) else { return };
            let is_reversed = self.order.column == column && !self.order.is_reversed;
            self.order = SocketOrder { column, is_reversed };
        } else {
            let Some(&column) = GroupColumn::EACH.get(index) else { return };
            let is_reversed = self.group_order.column == column && !self.group_order.is_reversed;
            self.group_order = GroupOrder { column, is_reversed };
        }
        self.is_following = false;
        self.forget_rows();
    }

    /// The socket of a row, and the snapshot that its owner and device refer to. None: the list is
    /// older than the snapshot.
    pub fn on_row<'a>(
        &'a self,
        row: ListRow,
        scan: &'a LatestScan,
    ) -> Option<(&'a Snapshot, &'a Socket)> {
        let (snapshot, index) = match row {
            ListRow::Listed(index) => (&*scan.snapshot, index),
            ListRow::Ended(index) => (self.recent.ended()?, index),
        };
        Some((snapshot, snapshot.sockets.get(index as usize)?))
    }

    /// Returns the rows that are copied or written: those that are marked; without marks, all. None
    /// are groups.
    pub fn chosen_rows(&self, list: &SocketList, scan: &LatestScan) -> Vec<ListRow> {
        let is_chosen = |row: &ListRow| match self.on_row(*row, scan) {
            Some((_, socket)) => list.marked == 0 || self.is_marked(socket),
            None => false,
        };
        list.rows.iter().copied().filter(is_chosen).collect()
    }

    /// Returns a number by which a row is recognized: the identity of its socket, or a hash of its
    /// group.
    fn id(&self, list: &SocketList, index: usize, scan: &LatestScan) -> u64 {
        if let Some(groups) = &list.groups {
            let mut hasher = DefaultHasher::new();
            groups.get(index).map(|group| &group.id).hash(&mut hasher);
            return hasher.finish();
        }
        let row = list.rows.get(index).and_then(|&row| self.on_row(row, scan));
        row.map_or(0, |(_, socket)| socket.identity())
    }

    /// Forgets the rows, because something has changed. The selection stays.
    pub(super) fn forget_rows(&mut self) {
        let Some(list) = self.list.take() else { return };
        if self.anchor.id.is_some()
            && let Some(index) = list.selected
        {
            let line = index - list.first.min(index);
            self.anchor = Anchor { id: Some(list.selected_id), index, line };
        }
    }
}
