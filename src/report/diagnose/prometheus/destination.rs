//! Adds the samples of one destination: available ports, time to exhaustion, owners, findings.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    domain::{
        DestinationUse, OwnerKey, Text,
        diagnosis::{About, SubjectStatus},
    },
    report::{
        Health,
        diagnose::{kind, prometheus::Labelled},
        exposition::MetricLabel,
    },
};

/// Maximum number of owners reported per destination.
const MAX_OWNERS: usize = 3;

pub(super) fn available_halves(_: &Health<'_>, row: &DestinationUse, out: &mut Labelled<'_, '_>) {
    add_halves(row.low_parity_available(), row.high_parity_available(), out);
}

pub(super) fn exhaustion(health: &Health<'_>, row: &DestinationUse, out: &mut Labelled<'_, '_>) {
    add_exhaustion(&health.of_destination(row), out);
}

pub(super) fn findings(health: &Health<'_>, row: &DestinationUse, out: &mut Labelled<'_, '_>) {
    let about = About::Destination(row.destination);
    let found = health.diagnosis.findings.iter().filter(|finding| finding.about == about);
    let mut kinds: Vec<_> = found.map(|finding| (finding.rule, finding.severity.name())).collect();
    kinds.sort_unstable();
    for kinds in kinds.chunk_by(|a, b| a == b) {
        let (rule, severity) = kinds[0];
        out.add(&[("rule", &rule), ("severity", &severity)], kinds.len() as f64);
    }
}

/// The labels of an owner: each combination is one series.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct HolderSeries<'a> {
    kind: &'static str,
    owner: &'a str,
    /// The systemd unit or container. Empty: none, or unknown.
    unit: &'a str,
}

impl<'a> HolderSeries<'a> {
    /// Returns the labels of an owner. None: owners were not looked up.
    fn of(health: &Health<'a>, owner_key: OwnerKey) -> Option<Self> {
        let kind = kind(owner_key)?;
        let OwnerKey::Process(pid) = owner_key else {
            return Some(Self { kind, owner: kind, unit: "" });
        };
        let process = health.scan.processes.get(pid);
        let unit = process.and_then(|process| process.unit.as_ref());
        Some(Self {
            kind,
            owner: process.map_or("?", |process| process.name.as_str()),
            unit: unit.map_or("", Text::as_str),
        })
    }
}

/// Adds the number of sockets of the largest owners. Adds up the `DestinationUse::owners` that have
/// the same name and unit, so that a restart creates no new series. Sorts equal counts by label.
pub(super) fn owners(health: &Health<'_>, row: &DestinationUse, out: &mut Labelled<'_, '_>) {
    let mut holders: BTreeMap<HolderSeries<'_>, u32> = BTreeMap::new();
    for &(owner_key, sockets) in row.owners.iter() {
        if let Some(holder) = HolderSeries::of(health, owner_key) {
            *holders.entry(holder).or_default() += sockets;
        }
    }
    let mut holders: Vec<_> = holders.into_iter().collect();
    holders.sort_by_key(|&(_, sockets)| Reverse(sockets));
    for (HolderSeries { kind, owner, unit }, sockets) in holders.iter().take(MAX_OWNERS) {
        let labels: [MetricLabel<'_>; 3] = [("kind", kind), ("owner", owner), ("unit", unit)];
        // In Prometheus an empty label is the same as no label.
        let reported = if unit.is_empty() { &labels[..2] } else { &labels };
        out.add(reported, (*sockets).into());
    }
}

/// Adds the counts of the low and the high parity, in the order in which connect() uses them.
pub(super) fn add_halves(low: u32, high: u32, out: &mut Labelled<'_, '_>) {
    out.add(&[("parity", &"low")], low.into());
    out.add(&[("parity", &"high")], high.into());
}

pub(super) fn add_exhaustion(subject_status: &SubjectStatus, out: &mut Labelled<'_, '_>) {
    match (subject_status.available, subject_status.trend, subject_status.forecast) {
        (0, _, _) => out.add(&[], 0.0),
        // There was only one scan, or the destination is not followed.
        (_, None, _) => {}
        (_, Some(_), None) => out.add(&[], f64::INFINITY),
        (_, Some(_), Some(forecast)) => out.add(&[], forecast.seconds),
    }
}
