//! What the keys of the Sockets screen do, and what a new snapshot changes. Does not draw.

use std::time::Duration;

use crate::{
    app::{
        Key, Move, Size,
        sockets::{
            Entered, FoundPosition, ListRow, SocketsInput, SocketsScreen, filter_line::KnownNames,
            groups, list::Anchor, order,
        },
    },
    domain::{
        ProcessTable, ServiceNames, Snapshot,
        filter::{FilterContext, FilterRow},
        listing::{GroupBy, GroupId, SocketColumn, SocketOrder},
    },
};

/// A user action on the Sockets screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketsAction {
    /// Moves the keys to the filter line.
    OpenFilter,
    /// Ends the typing and keeps the filter.
    KeepFilter,
    /// Ends the typing and shows all sockets.
    ClearFilter,
    OlderFilter,
    NewerFilter,
    /// Completes the word before the cursor.
    Complete,
    /// Sorts by the next column.
    NextOrder,
    Reverse,
    NextGroup,
    PreviousGroup,
    /// Shows the sockets of the selected group, or more about the selected socket.
    Open,
    /// Marks the selected socket, or removes its mark.
    Mark,
    /// Marks all matches, or removes all marks.
    MarkAll,
    /// Keeps the newest socket on top.
    Follow,
    /// Copies the rows.
    CopyRows,
    /// Opens the prompt for the file to write the rows to.
    OpenWrite,
    /// Writes the rows to the file in the prompt.
    Write,
    /// Selects a row that the search finds.
    Find(FoundPosition),
}

/// Number of rows of a far move.
const FAR: usize = 10;

impl SocketsScreen {
    /// Performs an action. Returns what to report to the user; None: the screen shows it.
    pub(in crate::app) fn act(
        &mut self,
        action: SocketsAction,
        input: SocketsInput<'_>,
        size: Size,
    ) -> Option<String> {
        match action {
            SocketsAction::OlderFilter => self.browse(1, input),
            SocketsAction::NewerFilter => self.browse(-1, input),
            SocketsAction::Complete => {
                let names = known_names(input);
                if self.line.complete(&names, input.services) {
                    self.filter_changed();
                }
            }
            SocketsAction::NextOrder => self.next_order(size),
            SocketsAction::Reverse => {
                let is_reversed = if self.group_by == GroupBy::Nothing {
                    &mut self.order.is_reversed
                } else {
                    &mut self.group_order.is_reversed
                };
                *is_reversed = !*is_reversed;
                self.is_following = false;
                self.forget_rows();
            }
            SocketsAction::NextGroup => self.set_group(groups::after(self.group_by, 1)),
            SocketsAction::PreviousGroup => self.set_group(groups::after(self.group_by, -1)),
            SocketsAction::Open => return self.open(input, size),
            SocketsAction::Mark => self.mark(input, size),
            SocketsAction::MarkAll => self.mark_all(input, size),
            SocketsAction::Follow => self.follow(),
            SocketsAction::Find(position) => return self.go_to_found(position, input, size),
            SocketsAction::KeepFilter => {
                return self.go_to_found(FoundPosition::Here, input, size);
            }
            SocketsAction::OpenFilter
            | SocketsAction::ClearFilter
            | SocketsAction::CopyRows
            | SocketsAction::OpenWrite
            | SocketsAction::Write => {}
        }
        None
    }

    /// Handles what needs no snapshot: the focus of the filter line.
    pub(in crate::app) fn focus_line(&mut self, action: SocketsAction) {
        match action {
            SocketsAction::OpenFilter => self.line.focus(),
            SocketsAction::KeepFilter => self.line.keep(),
            SocketsAction::ClearFilter => {
                self.line.clear();
                self.filter_changed();
            }
            _ => {}
        }
    }

    /// Handles a key that edits the filter.
    pub(in crate::app) fn edit(&mut self, key: Key, services: &ServiceNames) {
        if self.line.is_focused() && self.line.press(key, services) {
            self.filter_changed();
        }
    }

    /// Empties the line for a new filter; the last one stays in the history.
    pub(in crate::app) fn start_filter(&mut self) {
        self.line.clear();
        self.line.focus();
        self.filter_changed();
    }

    fn browse(&mut self, back: isize, input: SocketsInput<'_>) {
        if self.line.browse(back, input.services) {
            self.filter_changed();
        }
    }

    /// Leaves the groups that were entered, because the filter is another one. If the selected row
    /// does not match it, the first one is selected.
    pub(in crate::app) fn filter_changed(&mut self) {
        self.entered.clear();
        self.forget_rows();
        (self.anchor.index, self.anchor.line) = (0, 0);
    }

    fn next_order(&mut self, size: Size) {
        if self.group_by == GroupBy::Nothing {
            let column = order::next(self.order.column, size);
            self.order = SocketOrder { column, is_reversed: false };
        } else {
            self.group_order.column = self.group_order.column.next();
        }
        self.is_following = false;
        self.forget_rows();
    }

    fn set_group(&mut self, group_by: GroupBy) {
        self.group_by = group_by;
        self.is_open = false;
        self.list.take();
        self.anchor = Anchor::default();
    }

    /// Shows the sockets of the selected group, or gives the inspector most of the screen.
    fn open(&mut self, input: SocketsInput<'_>, size: Size) -> Option<String> {
        let list = self.list(input, size);
        let Some(groups) = &list.groups else {
            let here = list.selected.unwrap_or_default();
            self.is_open = !self.is_open;
            self.select(here, input, size);
            return None;
        };
        let group = groups.get(list.selected?)?;
        let users = &input.scan.snapshot.machine.users;
        let Some(term) = groups::term(&group.id, input.processes, users) else {
            return Some(no_filter(&group.id).to_owned());
        };
        let line = self.line.applied().clone();
        let narrowed = groups::narrowed(self.line.filter(), term);
        self.forget_rows();
        self.entered.push(Entered { line, group_by: self.group_by, anchor: self.anchor });
        self.line.apply(narrowed);
        self.set_group(GroupBy::Nothing);
        None
    }

    /// Closes what is open: the inspector, a group, the marks, the filter. Returns whether there was
    /// something.
    pub(in crate::app) fn close(&mut self) -> bool {
        if self.is_open {
            self.is_open = false;
            self.forget_rows();
        } else if let Some(Entered { line, group_by, anchor }) = self.entered.pop() {
            self.line.restore(line);
            self.set_group(group_by);
            self.anchor = anchor;
        } else if !self.marks.is_empty() {
            self.marks.clear();
            self.forget_rows();
        } else if !self.line.text().is_empty() {
            self.line.clear();
            self.filter_changed();
        } else {
            return false;
        }
        true
    }

    fn mark(&mut self, input: SocketsInput<'_>, size: Size) {
        let list = self.list(input, size);
        if list.groups.is_some() {
            return;
        }
        let row = list.selected.and_then(|index| list.rows.get(index));
        let Some((_, socket)) = row.and_then(|&row| self.on_row(row, input.scan)) else { return };
        let id = socket.identity();
        let is_listed = matches!(row, Some(ListRow::Listed(_)));
        let is_new = !self.marks.remove(&id) && self.marks.insert(id);
        if let Some(list) = self.list.get_mut().filter(|_| is_listed) {
            list.marked = if is_new { list.marked + 1 } else { list.marked.saturating_sub(1) };
        }
        self.go(Move::Down, input, size);
    }

    /// Marks all matches. If there are marks already, removes them.
    fn mark_all(&mut self, input: SocketsInput<'_>, size: Size) {
        let list = self.list(input, size);
        let of_row = |row: &ListRow| match row {
            ListRow::Listed(_) => self.on_row(*row, input.scan),
            ListRow::Ended(_) => None,
        };
        let matches = list.rows.iter().filter_map(of_row);
        let ids: Vec<u64> = matches.map(|(_, socket)| socket.identity()).collect();
        if self.marks.is_empty() {
            self.marks.extend(ids);
        } else {
            self.marks.clear();
        }
        self.forget_rows();
    }

    fn follow(&mut self) {
        self.is_following = !self.is_following;
        let column = if self.is_following { SocketColumn::Age } else { SocketColumn::Local };
        self.order = SocketOrder { column, is_reversed: false };
        self.list.take();
        self.set_group(GroupBy::Nothing);
    }

    /// Moves the selection.
    pub(in crate::app) fn go(&mut self, movement: Move, input: SocketsInput<'_>, size: Size) {
        let list = self.list(input, size);
        let here = list.selected.unwrap_or_default();
        let room = usize::from(self.plan(size).rows);
        let to = match movement {
            Move::Up | Move::PreviousPort => here.saturating_sub(1),
            Move::Down | Move::NextPort => here + 1,
            Move::FarUp => here.saturating_sub(FAR),
            Move::FarDown => here + FAR,
            Move::PageUp => here.saturating_sub(room.max(1)),
            Move::PageDown => here + room.max(1),
            Move::First => 0,
            Move::Last => usize::MAX,
            Move::Left | Move::FarLeft | Move::Right | Move::FarRight => return,
        };
        self.select(to, input, size);
    }

    /// Selects a row, counted from 0; the last one if there are fewer.
    pub(in crate::app) fn select(&mut self, index: usize, input: SocketsInput<'_>, size: Size) {
        let room = usize::from(self.plan(size).rows);
        self.list(input, size);
        let Some(mut list) = self.list.take() else { return };
        list.select(index, room);
        if let Some(index) = list.selected {
            list.selected_id = self.id(&list, index, input.scan);
            let line = index - list.first;
            self.anchor = Anchor { id: Some(list.selected_id), index, line };
        }
        self.is_following = false;
        // The cell was emptied above.
        let _ = self.list.set(list);
    }

    /// Compares a new snapshot with the previous one, while the screen is shown.
    pub(in crate::app) fn observe(
        &mut self,
        now: Duration,
        snapshots: [&Snapshot; 2],
        arrived: &[u32],
        processes: &ProcessTable,
    ) {
        self.forget_rows();
        let [before, _] = snapshots;
        let matcher = self.line.filter().matcher(FilterContext::of(before, processes));
        self.recent.observe(now, snapshots, arrived, |socket| {
            let row = FilterRow { socket, owner: before.owner(socket), age: None };
            matcher.matches(&row) == Some(true)
        });
    }

    /// Removes the rows of sockets that ended long enough ago.
    pub(in crate::app) fn expire(&mut self, now: Duration) {
        if self.recent.expire(now) {
            self.forget_rows();
        }
    }

    /// Ends the typing, and forgets what is only for those who look.
    pub(in crate::app) fn leave(&mut self) {
        self.line.leave();
        self.forget_rows();
        self.recent.clear();
    }
}

/// Says why the sockets of a group cannot be selected by a filter.
fn no_filter(id: &GroupId) -> &'static str {
    match id {
        GroupId::Owner(_) => "no filter selects sockets by an owner that is not visible",
        GroupId::NoUser => "no filter selects sockets of which the kernel reports no user",
        GroupId::NoContainer => "no filter selects sockets of processes in no container",
        _ => "no filter selects sockets of processes without a unit",
    }
}

/// Returns the names that Tab offers.
fn known_names(input: SocketsInput<'_>) -> KnownNames {
    let users = &input.scan.snapshot.machine.users;
    let word = |name: &str| {
        let is_word =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
        is_word.then(|| name.to_owned())
    };
    let mut names = KnownNames::default();
    for process in input.processes.iter() {
        names.owners.extend(word(process.name.as_str()));
        names.units.extend(process.unit.as_ref().and_then(|unit| word(unit.as_str())));
        let user = process.uid.and_then(|uid| users.name(uid));
        names.users.extend(user.and_then(|user| word(user.as_str())));
    }
    for list in [&mut names.owners, &mut names.units, &mut names.users] {
        list.sort_unstable();
        list.dedup();
    }
    names
}
