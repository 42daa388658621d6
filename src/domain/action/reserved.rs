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
/// Reads each of the sorted lists once.
pub fn without(ports: &[PortRange], removed: &[PortRange]) -> Vec<PortRange> {
    let removed = PortRange::merged(removed.to_vec());
    let mut gaps = removed.as_slice();
    let mut kept = Vec::new();
    for range in PortRange::merged(ports.to_vec()) {
        gaps = &gaps[gaps.iter().take_while(|gap| gap.last() < range.first()).count()..];
        // The first port after the last gap. None: there is none.
        let mut first = Some(range.first());
        for gap in gaps.iter().take_while(|gap| gap.first() <= range.last()) {
            let before = first.zip(gap.first().checked_sub(1));
            kept.extend(before.and_then(|(first, last)| PortRange::new(first, last).ok()));
            first = gap.last().checked_add(1);
        }
        kept.extend(first.and_then(|first| PortRange::new(first, range.last()).ok()));
    }
    kept
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
    fn difference_of_lists_is_that_of_their_ports() {
        let lists = [
            ranges(&[]),
            ranges(&[(0, 65_535)]),
            ranges(&[(0, 0), (65_535, 65_535)]),
            ranges(&[(5, 9), (11, 11), (13, 40), (50, 60)]),
            ranges(&[(9, 13), (20, 20), (22, 30), (55, 100)]),
            ranges(&[(30, 35), (1, 6), (33, 38)]),
        ];
        let is_in = |list: &[PortRange], port| list.iter().any(|range| range.contains(port));
        for ports in &lists {
            for removed in &lists {
                let kept = without(ports, removed);
                for port in (0..=110).chain(65_530..=65_535) {
                    let expected = is_in(ports, port) && !is_in(removed, port);
                    assert_eq!(is_in(&kept, port), expected, "{port}: {ports:?} - {removed:?}");
                }
                assert_eq!(kept, PortRange::merged(kept.clone()));
            }
        }
    }

    #[test]
    fn difference_of_long_lists_takes_no_quadratic_time() {
        let odd = |from: u16| -> Vec<PortRange> {
            (from..60_000).step_by(2).map(|port| PortRange::new(port, port).unwrap()).collect()
        };
        let started = std::time::Instant::now();
        for _ in 0..10 {
            assert_eq!(without(&odd(20_001), &odd(20_000)), odd(20_001));
            assert_eq!(without(&odd(20_001), &odd(20_001)), []);
        }
        // 20 × 400 million steps would take minutes.
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
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
