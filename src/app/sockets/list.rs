//! The rows of the screen: which sockets match the filter, in which order, and which row is
//! selected. Computed only when someone looks at them. Does not draw.

use crate::{
    app::{LatestScan, sockets::recent::RecentChanges},
    domain::{
        Age, Filter, History, ProcessTable, ServiceNames, Snapshot, Socket, State,
        filter::{FilterContext, FilterRow, Matcher},
        listing::{GroupBy, ListingSource, Ranking, RowGroup, SocketOrder, SortKey},
    },
};

/// What the rows are computed from.
#[derive(Clone, Copy)]
pub struct SocketsInput<'a> {
    pub scan: &'a LatestScan,
    pub history: &'a History,
    pub processes: &'a ProcessTable,
    pub services: &'a ServiceNames,
}

impl<'a> SocketsInput<'a> {
    pub fn source(self) -> ListingSource<'a> {
        ListingSource { snapshot: &self.scan.snapshot, processes: self.processes }
    }
}

/// A row of the list: an index of the latest snapshot, or of the sockets that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListRow {
    Listed(u32),
    Ended(u32),
}

/// The row that is selected, and where it is on screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Anchor {
    /// See `Socket::identity`. None: the first row, whatever it is.
    pub id: Option<u64>,
    /// The last known position, counted from 0.
    pub index: usize,
    /// The line of the table, counted from 0.
    pub line: usize,
}

/// The rows, and how many sockets they are of how many.
#[derive(Clone, Debug, Default)]
pub struct SocketList {
    pub rows: Vec<ListRow>,
    /// Of `rows`: sockets of the latest snapshot.
    pub matches: u32,
    /// Of `rows`: sockets that are not in the latest snapshot any more.
    pub ended: u32,
    /// Whether one of `rows` is a socket in BOUND, which older versions of ss(8) do not list.
    pub has_bound: bool,
    /// Number of sockets of which it is not known whether they match.
    pub unknown: u32,
    /// Positions of the rows that the search finds, ascending. Empty for groups.
    pub found: Vec<u32>,
    /// Some: the rows of the screen are groups, in their order.
    pub groups: Option<Vec<RowGroup>>,
    /// Number of sockets of the largest group.
    pub largest_group: u32,
    /// The first visible row.
    pub first: usize,
    /// None: there is no row.
    pub selected: Option<usize>,
    /// The number by which the selected row is recognized.
    pub(super) selected_id: u64,
    /// Number of marked sockets, also of those that do not match.
    pub marked: u32,
}

impl SocketList {
    /// Returns the number of rows of the screen: of groups, or of sockets.
    pub fn len(&self) -> usize {
        self.groups.as_ref().map_or(self.rows.len(), Vec::len)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the search finds the row at this position.
    pub fn is_found(&self, position: usize) -> bool {
        u32::try_from(position).is_ok_and(|position| self.found.binary_search(&position).is_ok())
    }

    /// Selects the row at this position, and scrolls to it. `room`: the number of visible rows.
    pub(super) fn select(&mut self, index: usize, room: usize) {
        let Some(last) = self.len().checked_sub(1) else { return };
        let index = index.min(last);
        self.selected = Some(index);
        let room = room.max(1);
        self.first = self.first.clamp((index + 1).saturating_sub(room), index);
    }

    /// Shows the selected row at this line of the table, as far as there are rows above.
    fn place(&mut self, line: usize, room: usize) {
        let Some(index) = self.selected else { return };
        let last_first = self.len().saturating_sub(room.max(1));
        self.first = index.saturating_sub(line.min(room.saturating_sub(1))).min(last_first);
    }

    /// Selects the row of the anchor: the same socket or group, or else what is now at its position.
    pub(super) fn resolve(
        &mut self,
        anchor: Anchor,
        room: usize,
        id_of: impl Fn(&Self, usize) -> u64,
    ) {
        self.selected = None;
        let Some(last) = self.len().checked_sub(1) else { return };
        let Some(id) = anchor.id else {
            self.select(0, room);
            self.selected_id = id_of(self, 0);
            return;
        };
        let here = anchor.index.min(last);
        let found = if id_of(self, here) == id {
            Some(here)
        } else {
            (0..=last).find(|&index| id_of(self, index) == id)
        };
        let index = found.unwrap_or(here);
        (self.selected, self.selected_id) = (Some(index), id_of(self, index));
        self.place(anchor.line, room);
    }
}

/// Tests and sorts the sockets.
pub(super) struct ListBuilder<'a> {
    pub input: SocketsInput<'a>,
    pub recent: &'a RecentChanges,
    pub filter: &'a Filter,
    /// None: nothing is searched for.
    pub search: Option<&'a Filter>,
    pub order: SocketOrder,
    pub group_by: GroupBy,
}

/// A row, and whether the search finds it.
type FoundRow = (SortKey, ListRow, bool);

impl ListBuilder<'_> {
    pub fn build(&self) -> SocketList {
        let snapshot = &*self.input.scan.snapshot;
        let mut list = SocketList::default();
        let context = || FilterContext::of(snapshot, self.input.processes);
        let matcher = self.filter.matcher(context());
        let search = self.search.map(|search| search.matcher(context()));
        let ranking = Ranking::of(self.order.column, self.input.source());
        let mut keys: Vec<FoundRow> = Vec::new();
        let mut filters = [Some(self.filter), self.search].into_iter().flatten();
        let needs_ages = filters.any(Filter::needs_ages) || ranking.needs_ages();
        let mut ages = needs_ages.then(|| self.input.history.ages());
        for (index, socket) in snapshot.sockets.iter().enumerate() {
            let age = ages.as_mut().and_then(Iterator::next);
            match is_match(&matcher, snapshot, socket, age) {
                Some(true) => {
                    list.has_bound |= socket.state == State::Bound;
                    let key = ranking.key(snapshot, socket, age, index as u64 * 2 + 1);
                    let is_found = |search| is_match(search, snapshot, socket, age) == Some(true);
                    let is_found = search.as_ref().is_some_and(is_found);
                    keys.push((key, ListRow::Listed(index as u32), is_found));
                }
                Some(false) => {}
                None => list.unknown += 1,
            }
        }
        list.matches = keys.len() as u32;
        if self.group_by == GroupBy::Nothing {
            self.add_ended([Some(&matcher), search.as_ref()], &ranking, &mut keys);
            list.ended = keys.len() as u32 - list.matches;
            keys.sort_unstable_by_key(|&(key, ..)| key);
        }
        if self.order.is_reversed {
            keys.reverse();
        }
        if self.group_by == GroupBy::Nothing {
            let found = (0..).zip(&keys).filter(|(_, (.., is_found))| *is_found);
            list.found.extend(found.map(|(position, _): (u32, _)| position));
        }
        list.rows.extend(keys.into_iter().map(|(_, row, _)| row));
        list
    }

    /// Adds the sockets that ended a moment ago, where they were. `matchers`: of the filter and of
    /// the search.
    fn add_ended(
        &self,
        matchers: [Option<&Matcher>; 2],
        ranking: &Ranking,
        keys: &mut Vec<FoundRow>,
    ) {
        let Some(before) = self.recent.ended() else { return };
        let now = &self.input.scan.snapshot;
        for (index, socket) in before.sockets.iter().enumerate() {
            let [is_listed, is_found] = matchers.map(|matcher| {
                matcher.is_some_and(|matcher| is_match(matcher, before, socket, None) == Some(true))
            });
            if is_listed {
                let order = socket.sort_key();
                let place = now.sockets.partition_point(|other| other.sort_key() < order);
                let key = ranking.key(before, socket, None, place as u64 * 2);
                keys.push((key, ListRow::Ended(index as u32), is_found));
            }
        }
    }
}

fn is_match(
    matcher: &Matcher,
    snapshot: &Snapshot,
    socket: &Socket,
    age: Option<Age>,
) -> Option<bool> {
    matcher.matches(&FilterRow { socket, owner: snapshot.owner(socket), age })
}
