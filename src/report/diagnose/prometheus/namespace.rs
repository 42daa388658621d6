//! Adds the samples of a network namespace and its port ranges.

use crate::{
    domain::{Gap, Left, Level, Protocol, RangeUse, Severity, State, diagnosis::RULES},
    report::{
        Health, Status,
        diagnose::prometheus::{Labelled, destination},
    },
};

pub(super) fn status(health: &Health<'_>, out: &mut Labelled<'_, '_>) {
    for status in [Status::Ok, Status::Warning, Status::Unknown, Status::Critical] {
        let is_it = health.status() == status;
        out.add(&[("status", &status.name())], f64::from(is_it));
    }
}

/// Adds a sample for each rule and severity: a 0 shows that the rule has run.
pub(super) fn findings(health: &Health<'_>, out: &mut Labelled<'_, '_>) {
    for rule in RULES {
        for severity in [Severity::Notice, Severity::Warning, Severity::Critical] {
            let findings = health.diagnosis.findings.iter();
            let count = findings.filter(|f| (f.rule, f.severity) == (rule.id, severity)).count();
            out.add(&[("rule", &rule.id), ("severity", &severity.name())], count as f64);
        }
    }
}

pub(super) fn gaps(health: &Health<'_>, out: &mut Labelled<'_, '_>) {
    let snapshot = health.scan.snapshot;
    let gaps = snapshot.gaps.iter().chain(&snapshot.vitals.gaps);
    let mut kinds: Vec<&str> = gaps.map(Gap::what).collect();
    kinds.sort_unstable();
    for kinds in kinds.chunk_by(|a, b| a == b) {
        out.add(&[("what", &kinds[0])], kinds.len() as f64);
    }
}

pub(super) fn hidden_owners(health: &Health<'_>) -> u32 {
    health.scan.snapshot.gaps.iter().filter_map(Gap::hidden_owners).sum()
}

pub(super) fn sockets(health: &Health<'_>, out: &mut Labelled<'_, '_>) {
    let gaps = &health.scan.snapshot.gaps;
    let lists_bound = gaps.iter().all(|gap| gap.what() != Gap::BOUND_INACTIVE);
    let is_listed = |state| state != State::Bound || lists_bound;
    let mut counts = [0_u32; State::EACH.len()];
    for socket in &health.scan.snapshot.sockets {
        counts[socket.state as usize] += 1;
    }
    for (state, count) in State::EACH.into_iter().zip(counts) {
        let protocol = state.protocol();
        if health.includes(protocol) && health.lists(protocol) && is_listed(state) {
            let labels = [("protocol", &protocol.name() as _), ("state", &state.name() as _)];
            out.add(&labels, count.into());
        }
    }
}

/// Returns the ports left for a new destination. None: they are not known, or not asked for.
pub(super) fn new_destination(health: &Health<'_>) -> Option<Left> {
    let is_known =
        health.includes(Protocol::Tcp) && health.lists(Protocol::Tcp) && health.knows_range();
    is_known.then(|| health.analysis.new_destination())
}

pub(super) fn destinations(health: &Health<'_>, out: &mut Labelled<'_, '_>) {
    if new_destination(health).is_none() {
        return;
    }
    let mut counts = [0_u32; Level::EACH.len()];
    for row in health.destinations() {
        counts[health.of_destination(row).level as usize] += 1;
    }
    for (level, count) in Level::EACH.into_iter().zip(counts) {
        out.add(&[("level", &level.name().to_lowercase())], count.into());
    }
}

pub(super) fn range_halves(_: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    destination::add_halves(row.low_parity_size, row.size - row.low_parity_size, out);
}

pub(super) fn range_available_halves(
    health: &Health<'_>,
    row: &RangeUse,
    out: &mut Labelled<'_, '_>,
) {
    if health.lists(row.protocol) {
        let low = row.low_parity_available();
        destination::add_halves(low, row.left().most - low, out);
    }
}

pub(super) fn range_exhaustion(health: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    if health.lists(row.protocol) {
        destination::add_exhaustion(&health.of_range(row), out);
    }
}
