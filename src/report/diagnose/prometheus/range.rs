//! Adds the samples of a port range. Does not add those of its destinations.

use crate::{
    domain::RangeUse,
    report::{
        Health,
        diagnose::prometheus::{Labelled, destination},
    },
};

pub(super) fn halves(_: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    destination::add_halves(row.low_parity_size, row.size - row.low_parity_size, out);
}

pub(super) fn available_halves(health: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    if health.lists(row.protocol) {
        let low = row.low_parity_available();
        destination::add_halves(low, row.left().most - low, out);
    }
}

pub(super) fn exhaustion(health: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    if health.lists(row.protocol) {
        destination::add_exhaustion(&health.of_range(row), out);
    }
}
