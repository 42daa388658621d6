//! What a report lists of a scan: sockets in some order, or groups of them. Does not sort or count.

use crate::{
    domain::{
        ServiceNames, Socket,
        listing::{GroupBy, GroupId, ListingSource, OwnerName, RowGroup},
    },
    report::{Scan, diagnose},
};

/// The sockets that a report lists.
#[derive(Clone, Copy, Debug)]
pub struct ListedSockets<'a> {
    pub scan: Scan<'a>,
    /// Indexes of the sockets in the snapshot. None: all, in the order of the snapshot.
    pub order: Option<&'a [u32]>,
}

impl<'a> From<Scan<'a>> for ListedSockets<'a> {
    fn from(scan: Scan<'a>) -> Self {
        Self { scan, order: None }
    }
}

impl<'a> ListedSockets<'a> {
    pub fn sockets(self) -> impl Iterator<Item = &'a Socket> {
        let sockets = &self.scan.snapshot.sockets;
        let ordered = self.order.unwrap_or_default().iter();
        let all = if self.order.is_none() { &sockets[..] } else { &[] };
        ordered.filter_map(|&index| sockets.get(index as usize)).chain(all)
    }
}

/// The groups of sockets that a report lists, in their order.
#[derive(Clone, Copy, Debug)]
pub struct ListedGroups<'a> {
    pub scan: Scan<'a>,
    pub services: &'a ServiceNames,
    pub group_by: GroupBy,
    pub groups: &'a [RowGroup],
    /// Number of sockets that were counted, each once.
    pub sockets: u32,
}

impl<'a> ListedGroups<'a> {
    pub(super) fn source(self) -> ListingSource<'a> {
        ListingSource { snapshot: self.scan.snapshot, processes: self.scan.processes }
    }
}

/// Returns `kind` of a group in JSON and CSV; None: owners were not looked up.
pub(super) fn group_kind(id: &GroupId) -> Option<&'static str> {
    Some(match id {
        GroupId::Owner(OwnerName::Process(_)) => "process",
        GroupId::Owner(OwnerName::Unnamed(key)) => return diagnose::kind(*key),
        GroupId::Destination(_) => "destination",
        GroupId::NoPeer => "no-peer",
        GroupId::State(_) => "state",
        GroupId::Port(_) => "port",
        GroupId::User(_) => "user",
        GroupId::NoUser => "no-user",
        GroupId::Unit(_) => "unit",
        GroupId::NoUnit => "no-unit",
        GroupId::Container(_) => "container",
        GroupId::NoContainer => "no-container",
    })
}
