//! Which network namespaces and destinations have series of their own: so many at most, the worst
//! first. What is left out is counted elsewhere.

use std::{cmp::Reverse, fmt::Display};

use crate::{
    domain::{DestinationUse, Protocol, RangeUse},
    report::{
        Health,
        diagnose::prometheus::{Labelled, MOST_DESTINATIONS, MOST_NAMESPACES, Run},
        exposition::{Label, Samples},
    },
};

/// Share of its ports from which on a destination is listed: a client of thousands of servers would
/// else make new series with each run.
pub const LEAST_SHARE: f64 = 0.01;

/// Each with its name where a label tells it.
pub(super) struct Listed<'a> {
    pub namespaces: Vec<(Option<String>, &'a Health<'a>)>,
    /// Fullest first.
    pub destinations: Vec<(Option<String>, &'a Health<'a>, &'a DestinationUse)>,
}

impl<'a> Listed<'a> {
    pub fn of(run: &Run<'a>) -> Self {
        let mut healths: Vec<&Health<'_>> = run.healths.iter().collect();
        healths.sort_by_key(|health| (Reverse(health.status()), Reverse(sockets(health))));
        healths.truncate(MOST_NAMESPACES);
        let is_named = run.unseen.is_some();
        let namespaces: Vec<_> =
            healths.into_iter().map(|health| (is_named.then(|| name(health)), health)).collect();
        Self { destinations: fullest(&namespaces), namespaces }
    }

    pub fn each_namespace(
        &self,
        samples: &mut Samples<'_>,
        mut add: impl FnMut(&Health<'_>, &mut Labelled<'_, '_>),
    ) {
        for (name, health) in &self.namespaces {
            let common: Vec<Label<'_>> = name.iter().map(label).collect();
            add(health, &mut Labelled { samples, common: &common });
        }
    }

    pub fn each_range(
        &self,
        samples: &mut Samples<'_>,
        mut add: impl FnMut(&Health<'_>, &RangeUse, &mut Labelled<'_, '_>),
    ) {
        for (name, health) in &self.namespaces {
            for row in health.ranges() {
                let protocol = row.protocol.name();
                let own: Label<'_> = ("protocol", &protocol);
                let common: Vec<_> = name.iter().map(label).chain([own]).collect();
                add(health, row, &mut Labelled { samples, common: &common });
            }
        }
    }

    pub fn each_destination(
        &self,
        samples: &mut Samples<'_>,
        mut add: impl FnMut(&Health<'_>, &DestinationUse, &mut Labelled<'_, '_>),
    ) {
        for (name, health, row) in &self.destinations {
            let remote = row.destination.remote;
            let own: [Label<'_>; 4] = [
                ("protocol", &"tcp"),
                ("source", &row.destination.source),
                ("destination", &remote.address),
                ("port", &remote.port),
            ];
            let common: Vec<_> = name.iter().map(label).chain(own).collect();
            add(health, row, &mut Labelled { samples, common: &common });
        }
    }
}

/// Of all namespaces together.
fn fullest<'a>(
    namespaces: &[(Option<String>, &'a Health<'a>)],
) -> Vec<(Option<String>, &'a Health<'a>, &'a DestinationUse)> {
    let Some((_, first)) = namespaces.first() else { return Vec::new() };
    let most = first.top.unwrap_or(MOST_DESTINATIONS);
    let mut rows = Vec::new();
    let seen = namespaces.iter().filter(|(_, health)| health.lists(Protocol::Tcp));
    for (name, health) in seen {
        let full = health.destinations().take_while(|row| row.share() >= LEAST_SHARE).take(most);
        rows.extend(full.map(|row| (name.clone(), *health, row)));
    }
    rows.sort_by(|(_, _, a), (_, _, b)| b.share().total_cmp(&a.share()));
    rows.truncate(most);
    rows
}

fn name(health: &Health<'_>) -> String {
    let machine = &health.scan.snapshot.machine;
    let inode = || machine.network_namespace.map_or("?".to_owned(), |inode| inode.to_string());
    machine.namespace_name.as_ref().map_or_else(inode, ToString::to_string)
}

fn label<T: Display>(name: &T) -> Label<'_> {
    ("network_namespace", name)
}

fn sockets(health: &Health<'_>) -> usize {
    health.scan.snapshot.sockets.len()
}
