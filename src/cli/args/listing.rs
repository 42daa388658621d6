//! The options that sort and group the sockets that `scan` lists.

use clap::{Args, ValueEnum, builder::PossibleValue};

use crate::domain::listing::{GroupBy, GroupColumn, GroupOrder, SocketColumn, SocketOrder};

#[derive(Debug, Args)]
pub struct ListingArguments {
    /// Sort by a column (--help lists them)
    #[arg(long, value_name = "COLUMN")]
    pub sort: Option<SortName>,
    /// Reverse the order
    #[arg(long)]
    pub reverse: bool,
    /// Count by owner, state, port (--help lists all)
    #[arg(long, value_name = "NAME")]
    pub group: Option<GroupBy>,
}

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortName {
    /// Of sockets.
    Sockets(SocketColumn),
    /// Of groups.
    Groups(GroupColumn),
}

impl SortName {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sockets(SocketColumn::Protocol) => "protocol",
            Self::Sockets(column) => column.name(),
            Self::Groups(column) => column.name(),
        }
    }
}

impl ListingArguments {
    /// Returns the order of the sockets. None: that of the snapshot.
    pub fn socket_order(&self) -> Option<SocketOrder> {
        let column = match self.sort {
            Some(SortName::Sockets(column)) => Some(column),
            _ => None,
        };
        (column.is_some() || self.reverse)
            .then(|| SocketOrder { column: column.unwrap_or_default(), is_reversed: self.reverse })
    }

    pub fn group_order(&self) -> GroupOrder {
        let column = match self.sort {
            Some(SortName::Groups(column)) => column,
            _ => GroupColumn::default(),
        };
        GroupOrder { column, is_reversed: self.reverse }
    }
}

impl ValueEnum for SortName {
    fn value_variants<'a>() -> &'a [Self] {
        use SocketColumn::{Age, Local, Owner, Protocol, Queue, Remote, State, Unit, User};
        &[
            Self::Sockets(State),
            Self::Sockets(Local),
            Self::Sockets(Remote),
            Self::Sockets(Owner),
            Self::Sockets(User),
            Self::Sockets(Unit),
            Self::Sockets(Queue),
            Self::Sockets(Age),
            Self::Sockets(Protocol),
            Self::Groups(GroupColumn::Sockets),
            Self::Groups(GroupColumn::Ports),
            Self::Groups(GroupColumn::Name),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        // `settings` refuses it with a reason.
        let is_refused = *self == Self::Sockets(SocketColumn::Age);
        Some(PossibleValue::new(self.name()).hide(is_refused))
    }
}

impl ValueEnum for GroupBy {
    fn value_variants<'a>() -> &'a [Self] {
        const NAMED: &[GroupBy] = GroupBy::EACH.split_at(1).1;
        NAMED
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(self.name().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_of_the_screen_and_each_way_to_group_has_a_name() {
        for column in SocketColumn::EACH {
            assert!(SortName::value_variants().contains(&SortName::Sockets(column)), "{column:?}");
        }
        for column in GroupColumn::EACH {
            assert!(SortName::value_variants().contains(&SortName::Groups(column)), "{column:?}");
        }
        assert_eq!(GroupBy::value_variants().len(), GroupBy::EACH.len() - 1);
        assert!(!GroupBy::value_variants().contains(&GroupBy::Nothing));
    }
}
