//! Selects the network namespaces and destinations that get series of their own: a limited number
//! of the worst namespaces and the fullest destinations. Does not count the others.

use std::{cmp::Reverse, fmt::Display};

use crate::{
    domain::{DestinationUse, Protocol, RangeUse},
    report::{
        Health,
        diagnose::prometheus::{DiagnoseRun, Labelled, MAX_DESTINATIONS, MAX_NAMESPACES},
        exposition::{MetricLabel, Samples},
    },
};

/// Minimum used share (0 to 1) of the ports of a listed destination. Without this limit, a client
/// of thousands of servers would create new series with each run.
const MIN_SHARE: f64 = 0.01;

pub(super) struct ListedSubjects<'a> {
    /// The namespace, if not all were requested (--netns all).
    only: Option<&'a Health<'a>>,
    pub namespaces: Vec<&'a Health<'a>>,
    /// Fullest first, each with the index of its namespace in `namespaces`.
    pub destinations: Vec<(usize, &'a DestinationUse)>,
}

impl<'a> ListedSubjects<'a> {
    pub fn of(run: &DiagnoseRun<'a>) -> Self {
        let only = run.healths.first().filter(|_| run.unseen.is_none());
        let mut healths: Vec<&Health<'_>> = run.healths.iter().collect();
        healths
            .sort_by_key(|health| Reverse((health.status(), health.scan.snapshot.sockets.len())));
        healths.truncate(MAX_NAMESPACES);
        Self { only, destinations: fullest(&healths), namespaces: healths }
    }

    /// Adds samples of the run. If one namespace was requested, the samples have its label
    /// too, because the files of several runs may be collected together.
    pub fn of_run(&self, samples: &mut Samples<'_>, add: impl FnOnce(&mut Labelled<'_, '_>)) {
        let common: Vec<MetricLabel<'_>> = self.only.into_iter().filter_map(label).collect();
        add(&mut Labelled { samples, common: &common });
    }

    pub fn each_namespace(
        &self,
        samples: &mut Samples<'_>,
        mut add: impl FnMut(&Health<'_>, &mut Labelled<'_, '_>),
    ) {
        for health in &self.namespaces {
            let common: Vec<MetricLabel<'_>> = label(health).into_iter().collect();
            add(health, &mut Labelled { samples, common: &common });
        }
    }

    pub fn each_range(
        &self,
        samples: &mut Samples<'_>,
        mut add: impl FnMut(&Health<'_>, &RangeUse, &mut Labelled<'_, '_>),
    ) {
        for health in &self.namespaces {
            for row in health.ranges() {
                let protocol = row.protocol.name();
                let own: MetricLabel<'_> = ("protocol", &protocol);
                let common: Vec<_> = label(health).into_iter().chain([own]).collect();
                add(health, row, &mut Labelled { samples, common: &common });
            }
        }
    }

    pub fn each_destination(
        &self,
        samples: &mut Samples<'_>,
        mut add: impl FnMut(&Health<'_>, &DestinationUse, &mut Labelled<'_, '_>),
    ) {
        for &(index, row) in &self.destinations {
            let health = self.namespaces[index];
            let remote = row.destination.remote;
            let device = row.destination.interface;
            let device = device.as_ref().map(|device| ("device", device as &dyn Display));
            let own: [MetricLabel<'_>; 4] = [
                ("protocol", &"tcp"),
                ("source", &row.destination.source),
                ("destination", &remote.address),
                ("port", &remote.port),
            ];
            let common: Vec<_> = label(health).into_iter().chain(own).chain(device).collect();
            add(health, row, &mut Labelled { samples, common: &common });
        }
    }
}

/// Returns the fullest destinations of all namespaces together, each with the index of its
/// namespace. Leaves out namespaces whose range or TCP sockets are not known.
fn fullest<'a>(namespaces: &[&'a Health<'a>]) -> Vec<(usize, &'a DestinationUse)> {
    let Some(first) = namespaces.first() else { return Vec::new() };
    let most = first.top.unwrap_or(MAX_DESTINATIONS);
    let mut rows = Vec::new();
    for (index, health) in namespaces.iter().enumerate() {
        if health.lists(Protocol::Tcp) && health.knows_range() {
            let full = health.destinations().filter(|row| row.used_share() >= MIN_SHARE);
            rows.extend(full.take(most).map(|row| (index, row)));
        }
    }
    rows.sort_by(|(_, a), (_, b)| b.share().total_cmp(&a.share()));
    rows.truncate(most);
    rows
}

/// Returns the label of a network namespace: its name in /run/netns, else its inode number, because
/// any other name may change and would then create new series. None: no namespace was requested.
fn label<'a>(health: &Health<'a>) -> Option<MetricLabel<'a>> {
    let machine = &health.scan.snapshot.machine;
    let name = machine.namespace_name.as_ref()?;
    let number = machine.network_namespace.as_ref().filter(|_| !name.is_registered);
    Some(("network_namespace", number.map_or(name as &dyn Display, |number| number)))
}
