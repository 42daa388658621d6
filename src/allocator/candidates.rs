//! The ports that an allocator may try: a range without its reserved ports.

use crate::domain::PortRange;

/// Numbered set of ports. Excludes reserved ports, so that no attempt is spent on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    range: PortRange,
    /// Runs of consecutive candidates, each with the number of candidates before it.
    runs: Vec<(u32, PortRange)>,
    length: u32,
}

impl Candidates {
    /// Creates the set of the ports in `range` that are not in `reserved`. `reserved` must be in
    /// ascending order. Port 0 is never a candidate: bind() to it lets the kernel choose.
    pub fn new(range: PortRange, reserved: &[PortRange]) -> Self {
        let mut runs = Vec::new();
        let mut length = 0;
        let mut start = u32::from(range.first().max(1));
        let end = u32::from(range.last());
        let gaps = reserved.iter().filter_map(|r| r.intersection(range));
        let bounds = gaps.map(|g| (u32::from(g.first()), u32::from(g.last()) + 1));
        for (gap_start, gap_end) in bounds.chain([(end + 1, end + 1)]) {
            if start < gap_start
                && let Ok(run) = PortRange::new(start as u16, (gap_start - 1) as u16)
            {
                runs.push((length, run));
                length += run.len();
            }
            start = start.max(gap_end);
        }
        Self { range, runs, length }
    }

    /// Returns the candidates that start a sequence of `count` consecutive candidate ports. `count`
    /// is at least 1.
    #[must_use]
    pub fn followed_by(&self, count: u16) -> Self {
        let mut length = 0;
        let mut runs = Vec::new();
        for (_, run) in &self.runs {
            let last = run.last().checked_sub(count - 1);
            if let Some(Ok(run)) = last.map(|last| PortRange::new(run.first(), last)) {
                runs.push((length, run));
                length += run.len();
            }
        }
        Self { range: self.range, runs, length }
    }

    /// Returns the whole range, including reserved ports.
    pub fn range(&self) -> PortRange {
        self.range
    }

    #[expect(clippy::len_without_is_empty, reason = "no caller needs is_empty")]
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Returns the candidate with this number, counted from 0 in ascending order. `number` must be
    /// less than `len`.
    pub fn nth(&self, number: u32) -> u16 {
        let after = self.runs.partition_point(|&(before, _)| before <= number);
        let (before, run) = self.runs[after - 1];
        run.first() + (number - before) as u16
    }

    /// Returns the number of this candidate; `None` if the port is not a candidate.
    pub fn number_of(&self, port: u16) -> Option<u32> {
        let after = self.runs.partition_point(|(_, run)| run.first() <= port);
        let (before, run) = *self.runs.get(after.checked_sub(1)?)?;
        run.contains(port).then(|| before + u32::from(port - run.first()))
    }

    pub fn contains(&self, port: u16) -> bool {
        self.number_of(port).is_some()
    }

    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.runs.iter().flat_map(|(_, run)| run.ports())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_excluded_and_both_ends_of_the_range_are_candidates() {
        let range = PortRange::new(10, 20).unwrap();
        let reserved = [PortRange::new(5, 10).unwrap(), PortRange::new(13, 15).unwrap()];
        let candidates = Candidates::new(range, &reserved);
        let ports: Vec<u16> = candidates.ports().collect();
        assert_eq!(ports, [11, 12, 16, 17, 18, 19, 20]);
        let numbered: Vec<u16> = (0..candidates.len()).map(|n| candidates.nth(n)).collect();
        assert_eq!(numbered, ports);
        let found: Vec<u16> = (0..=99).filter(|&port| candidates.contains(port)).collect();
        assert_eq!(found, ports);
        assert_eq!(candidates.number_of(16), Some(2));
    }

    #[test]
    fn blocks_of_ports_do_not_span_a_reserved_port_or_the_end_of_the_range() {
        let range = PortRange::new(10, 20).unwrap();
        let candidates = Candidates::new(range, &[PortRange::new(13, 15).unwrap()]);
        let starts = |count| candidates.followed_by(count).ports().collect::<Vec<u16>>();
        assert_eq!(starts(1), [10, 11, 12, 16, 17, 18, 19, 20]);
        assert_eq!(starts(3), [10, 16, 17, 18]);
        assert_eq!(starts(5), [16]);
        assert_eq!((starts(6), starts(u16::MAX)), (vec![], vec![]));
    }

    #[test]
    fn a_range_that_is_all_reserved_has_no_candidates() {
        let range = PortRange::new(65_530, 65_535).unwrap();
        assert_eq!(Candidates::new(range, &[PortRange::new(1, 65_535).unwrap()]).len(), 0);
    }
}
