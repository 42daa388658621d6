//! Changes to the list of reserved ports. Does not read or write the list.

use crate::domain::PortRange;

/// Ports to add to `ip_local_reserved_ports`, or to remove from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedChange {
    /// Ascending; the ranges neither overlap nor touch.
    ports: Vec<PortRange>,
    is_removal: bool,
}

impl ReservedChange {
    pub fn add(ports: Vec<PortRange>) -> Self {
        Self { ports: PortRange::merged(ports), is_removal: false }
    }

    pub fn remove(ports: Vec<PortRange>) -> Self {
        Self { ports: PortRange::merged(ports), is_removal: true }
    }

    pub fn ports(&self) -> &[PortRange] {
        &self.ports
    }

    pub fn is_removal(&self) -> bool {
        self.is_removal
    }

    /// Returns the list after the change of `current`.
    pub fn apply(&self, current: &[PortRange]) -> Vec<PortRange> {
        if self.is_removal {
            without(current, &self.ports)
        } else {
            PortRange::merged([current, &self.ports].concat())
        }
    }

    /// Returns whether the change has no effect on `current`.
    pub fn is_done(&self, current: &[PortRange]) -> bool {
        self.apply(current) == PortRange::merged(current.to_vec())
    }
}

/// Returns the ports of `ports` that are not in `removed`. Both may overlap; the result does not.
pub fn without(ports: &[PortRange], removed: &[PortRange]) -> Vec<PortRange> {
    let mut kept = PortRange::merged(ports.to_vec());
    for gap in removed {
        kept = kept.into_iter().flat_map(|range| around(range, *gap)).flatten().collect();
    }
    kept
}

/// Returns the parts of `range` before and after `gap`.
fn around(range: PortRange, gap: PortRange) -> [Option<PortRange>; 2] {
    if range.intersection(gap).is_none() {
        return [Some(range), None];
    }
    let before = gap.first().checked_sub(1);
    let after = gap.last().checked_add(1);
    [
        before.and_then(|last| PortRange::new(range.first(), last).ok()),
        after.and_then(|first| PortRange::new(first, range.last()).ok()),
    ]
}

/// The list of reserved ports before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedPorts {
    pub before: Vec<PortRange>,
    pub after: Vec<PortRange>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[(u16, u16)]) -> Vec<PortRange> {
        of.iter().map(|&(first, last)| PortRange::new(first, last).unwrap()).collect()
    }

    #[test]
    fn added_ports_are_merged_into_the_list() {
        let change = ReservedChange::add(ranges(&[(8080, 8080), (9000, 9010)]));
        let after = change.apply(&ranges(&[(8079, 8079), (9005, 9020)]));
        assert_eq!(after, ranges(&[(8079, 8080), (9000, 9020)]));
        assert!(change.is_done(&after) && !change.is_done(&[]));
    }

    #[test]
    fn removed_ports_split_a_range() {
        let change = ReservedChange::remove(ranges(&[(10, 20), (30, 30), (65_535, 65_535)]));
        let after = change.apply(&ranges(&[(0, 40), (65_000, 65_535)]));
        assert_eq!(after, ranges(&[(0, 9), (21, 29), (31, 40), (65_000, 65_534)]));
        assert!(change.is_done(&after));
        assert_eq!(ReservedChange::remove(ranges(&[(0, 65_535)])).apply(&after), []);
    }
}
