//! State of the Overview: which row is selected. Does not contain the rows' text.

pub mod finding_page;
pub mod headline;

use crate::{
    app::{LatestScan, Move},
    domain::{Destination, Finding, ListenerKey, OwnerKey, diagnosis::About},
};

/// The lists of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverviewList {
    #[default]
    Destinations,
    Listening,
    Owners,
    Findings,
}

impl OverviewList {
    /// The order of the lists in which the keys go through them. `is_bad`: something is short, so
    /// that the destinations come before the listeners.
    const fn order(is_bad: bool) -> [Self; 4] {
        if is_bad {
            [Self::Destinations, Self::Listening, Self::Owners, Self::Findings]
        } else {
            [Self::Listening, Self::Destinations, Self::Owners, Self::Findings]
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Destinations => "Destinations",
            Self::Listening => "Listening",
            Self::Owners => "Owners",
            Self::Findings => "Findings",
        }
    }

    pub fn len(self, scan: &LatestScan) -> usize {
        match self {
            Self::Destinations => scan.analysis.destinations.len(),
            Self::Listening => scan.listeners.len(),
            Self::Owners => scan.analysis.owners.len(),
            Self::Findings => scan.diagnosis.findings.len(),
        }
    }
}

/// A row, identified by its subject, so that it stays selected while ranks change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverviewRow {
    Destination(Destination),
    Listener(ListenerKey),
    Owner(OwnerKey),
    /// The rule and the subject of a finding.
    Finding(&'static str, About),
}

impl OverviewRow {
    fn at(scan: &LatestScan, list: OverviewList, index: usize) -> Option<Self> {
        match list {
            OverviewList::Destinations => {
                scan.analysis.destinations.get(index).map(|row| Self::Destination(row.destination))
            }
            OverviewList::Listening => scan.listeners.get(index).map(|row| Self::Listener(row.key)),
            OverviewList::Owners => {
                scan.analysis.owners.get(index).map(|row| Self::Owner(row.owner_key))
            }
            OverviewList::Findings => scan.diagnosis.findings.get(index).map(Self::of_finding),
        }
    }

    fn of_finding(finding: &Finding) -> Self {
        Self::Finding(finding.rule, finding.about)
    }

    fn index(self, scan: &LatestScan) -> Option<usize> {
        match self {
            Self::Destination(wanted) => {
                scan.analysis.destinations.iter().position(|row| row.destination == wanted)
            }
            Self::Listener(wanted) => scan.listeners.iter().position(|row| row.key == wanted),
            Self::Owner(wanted) => {
                scan.analysis.owners.iter().position(|row| row.owner_key == wanted)
            }
            Self::Finding(..) => {
                scan.diagnosis.findings.iter().position(|row| Self::of_finding(row) == self)
            }
        }
    }
}

/// The selected row and its current position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected {
    pub row: OverviewRow,
    pub list: OverviewList,
    /// Position in its list, counted from 0.
    pub index: usize,
}

/// Number of rows by which far moves and page moves change the selection.
const FAR: isize = 10;

#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// The chosen row with its last known position. None: no row was chosen, so the first one is
    /// selected.
    chosen: Option<Selected>,
    is_bad: bool,
}

impl Overview {
    /// The lists in the order in which the keys go through them.
    pub fn order(&self) -> [OverviewList; 4] {
        OverviewList::order(self.is_bad)
    }

    /// The selected row. None: there are no rows.
    pub fn selected(&self, scan: &LatestScan) -> Option<Selected> {
        let at = |list, index| {
            OverviewRow::at(scan, list, index).map(|row| Selected { row, list, index })
        };
        let first = || self.order().into_iter().find_map(|list| at(list, 0));
        let Some(chosen) = self.chosen else { return first() };
        // Two findings may have the same rule and subject, so the old position is tried first.
        if OverviewRow::at(scan, chosen.list, chosen.index) == Some(chosen.row) {
            return Some(chosen);
        }
        if let Some(index) = chosen.row.index(scan) {
            return Some(Selected { index, ..chosen });
        }
        // The chosen row no longer exists: selects the row that is now at its position.
        let last = chosen.list.len(scan).checked_sub(1);
        last.and_then(|last| at(chosen.list, chosen.index.min(last))).or_else(first)
    }

    /// Updates the selection after a scan. If the row no longer exists, selects the row that is now
    /// at its position, else the last row of its list, else the first row of all.
    /// `is_bad` is that of the headline.
    pub(super) fn follow(&mut self, scan: &LatestScan, is_bad: bool) {
        self.is_bad = is_bad;
        if self.chosen.is_some() {
            self.chosen = self.selected(scan);
        }
    }

    /// Moves through all lists as if they were one. Left and right go to the previous and next
    /// list.
    pub(super) fn go(&mut self, movement: Move, scan: &LatestScan) {
        let Some(selected) = self.selected(scan) else { return };
        let lists = self.order().map(|list| (list, list.len(scan)));
        let sum = |lists: &[(OverviewList, usize)]| lists.iter().map(|list| list.1).sum::<usize>();
        let earlier = lists.iter().take_while(|(list, _)| *list != selected.list).count();
        let (before, all) = (sum(&lists[..earlier]), sum(&lists));
        let here = before + selected.index;
        let to = match movement {
            Move::Up | Move::PreviousPort => here.saturating_sub(1),
            Move::Down | Move::NextPort => here + 1,
            Move::FarUp | Move::PageUp => here.saturating_add_signed(-FAR),
            Move::FarDown | Move::PageDown => here.saturating_add_signed(FAR),
            Move::First => 0,
            Move::Last => all - 1,
            Move::Left | Move::FarLeft => {
                let last = before.saturating_sub(1);
                at(scan, &lists, last).map_or(0, |row| last - row.index)
            }
            Move::Right | Move::FarRight => {
                let next = before + selected.list.len(scan);
                if next < all { next } else { here }
            }
        };
        self.chosen = at(scan, &lists, to.min(all - 1));
    }
}

fn at(scan: &LatestScan, lists: &[(OverviewList, usize)], mut index: usize) -> Option<Selected> {
    for &(list, length) in lists {
        if index < length {
            return OverviewRow::at(scan, list, index).map(|row| Selected { row, list, index });
        }
        index -= length;
    }
    None
}
