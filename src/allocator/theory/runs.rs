//! Finds the runs of occupied candidates, which determine the cost of trying the candidates in
//! order. Does not compute probabilities.

use std::collections::BTreeMap;

use crate::allocator::{Candidates, PortView, theory::OccupiedRun};

/// Returns the lengths of the runs, ascending, each with the number of runs of that length. A run
/// may continue from the last candidate to the first, because a search in order does so too.
pub fn runs_of_taken(candidates: &Candidates, port_view: &dyn PortView) -> Vec<OccupiedRun> {
    let mut lengths = BTreeMap::new();
    let (mut leading, mut length, mut any_free) = (0, 0, false);
    let mut end = |length: u32| {
        if length > 0 {
            *lengths.entry(length).or_insert(0) += 1;
        }
    };
    for port in candidates.ports() {
        if !port_view.looks_free(port) {
            length += 1;
        } else if std::mem::replace(&mut any_free, true) {
            end(std::mem::take(&mut length));
        } else {
            leading = std::mem::take(&mut length);
        }
    }
    end(leading + length);
    lengths.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{allocator::FreePorts, domain::PortRange};

    fn runs(taken: &[u16], reserved: &[PortRange]) -> Vec<OccupiedRun> {
        let candidates = Candidates::new(PortRange::new(10, 19).unwrap(), reserved);
        runs_of_taken(&candidates, &FreePorts::without(taken.iter().copied()))
    }

    #[test]
    fn a_run_of_occupied_ports_wraps_and_spans_reserved_ports() {
        assert_eq!(runs(&[10, 11, 14, 19], &[]), [(1, 1), (3, 1)]);
        assert_eq!(runs(&[12, 15], &[PortRange::new(13, 14).unwrap()]), [(2, 1)]);
    }

    #[test]
    fn an_empty_range_has_no_runs_and_a_full_one_has_one() {
        assert_eq!(runs(&[], &[]), []);
        assert_eq!(runs(&[10, 11, 12, 13, 14, 15, 16, 17, 18, 19], &[]), [(10, 1)]);
    }
}
