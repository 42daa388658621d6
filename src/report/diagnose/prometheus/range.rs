//! Adds the samples of a port range. Does not add those of its destinations.

use crate::{
    domain::{Protocol, RangeUse},
    report::{
        Health,
        diagnose::prometheus::{Labelled, destination},
    },
};

pub(super) fn first(_: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    out.add(&[], row.range.first().into());
}

pub(super) fn last(_: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    out.add(&[], row.range.last().into());
}

pub(super) fn size(_: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    out.add(&[], row.size.into());
}

pub(super) fn reserved(_: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    out.add(&[], (row.range.len() - row.size).into());
}

/// Adds the number of ports unusable for connect(). For TCP only: on UDP, connect() shares no port.
pub(super) fn unconnectable(health: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    if row.protocol == Protocol::Tcp && health.lists(row.protocol) {
        out.add(&[], row.unconnectable.into());
    }
}

pub(super) fn suspected(health: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    if row.protocol == Protocol::Tcp && health.lists(row.protocol) {
        out.add(&[], row.suspected.into());
    }
}

pub(super) fn numbered(health: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    if row.protocol == Protocol::Tcp && health.lists(row.protocol) {
        out.add(&[], row.numbered.into());
    }
}

pub(super) fn uncertain(health: &Health<'_>, row: &RangeUse, out: &mut Labelled<'_, '_>) {
    if row.protocol == Protocol::Tcp && health.lists(row.protocol) {
        out.add(&[], row.uncertain.into());
    }
}

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
