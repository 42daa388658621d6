//! Reads the state of connection tracking: the number of tracked connections and its limit, the
//! failures, and the ports that translated flows use.

use std::{
    fs::File,
    io::Read as _,
    time::{Duration, Instant},
};

use crate::{
    domain::{Conntrack, Errno, Gap, Translation},
    host::Publications,
    host::linux::vitals::{number, optional, text, unread},
};

mod flows;

const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const STATISTICS: &str = "/proc/thread-self/net/stat/nf_conntrack";
/// Readable by root only.
const TABLE: &str = "/proc/thread-self/net/nf_conntrack";

/// Maximum number of bytes read from the table: about 40,000 flows.
const MAX_READ: u64 = 8 << 20;

/// Pause after a read of the table, as a multiple of the time that the read took. A read takes tens
/// of milliseconds with 40,000 flows, microseconds with ten.
const SHARE_OF_TIME: u32 = 100;

/// Returns the flows to a local port that DNAT sends on to another endpoint. None: the kernel
/// tracks no connections in this network namespace. Errors: the flows cannot be read.
pub(in crate::host::linux) fn publications(port: u16) -> Publications {
    let mut buffer = Vec::new();
    match number::<u32>(COUNT, &mut buffer) {
        Ok(0) | Err(Errno::ENOENT) => None,
        Err(error) => Some(Err(error)),
        Ok(_) => Some(table(&mut buffer).map(|text| flows::publications(text, port))),
    }
}

#[derive(Default)]
pub(super) struct ConntrackReader {
    translated: Option<Vec<Translation>>,
    /// Why `translated` is None.
    refusal: Option<Errno>,
    /// Earliest time of the next read of the table.
    due: Option<Instant>,
}

impl ConntrackReader {
    /// Reads the counters and the translated flows. None: the kernel has no connection tracking
    /// here, or the number of connections or its limit cannot be read. Adds to `gaps` what cannot
    /// be read.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, gaps: &mut Vec<Gap>) -> Option<Conntrack> {
        let count = optional(number(COUNT, buffer), "the tracked connections", COUNT, gaps)?;
        let max = optional(number(MAX, buffer), "the limit of tracked connections", MAX, gaps)?;
        let mut conntrack = Conntrack { count, max, ..Conntrack::default() };
        match text(STATISTICS, buffer).and_then(parse_statistics) {
            Ok((insert_failed, dropped)) => {
                conntrack.insert_failed = insert_failed;
                conntrack.dropped = dropped;
            }
            Err(error) => gaps.push(unread("failures of connection tracking", STATISTICS, error)),
        }
        conntrack.translated = self.translations(count, buffer, gaps);
        Some(conntrack)
    }

    fn translations(
        &mut self,
        count: u32,
        buffer: &mut Vec<u8>,
        gaps: &mut Vec<Gap>,
    ) -> Option<Vec<Translation>> {
        if count == 0 {
            *self = Self::default();
            return Some(Vec::new());
        }
        if self.due.is_none_or(|due| due <= Instant::now()) {
            let started = Instant::now();
            let table = table(buffer).map(flows::translations);
            self.refusal = table.as_ref().err().copied();
            self.translated = table.ok();
            self.due = Some(Instant::now() + pause(started.elapsed()));
        }
        gaps.extend(self.refusal.map(|error| unread("translated connections", TABLE, error)));
        self.translated.clone()
    }
}

fn pause(cost: Duration) -> Duration {
    cost.saturating_mul(SHARE_OF_TIME)
}

/// Reads the table as text. Errors: EFBIG if it has `MAX_READ` bytes or more.
fn table(buffer: &mut Vec<u8>) -> Result<&str, Errno> {
    buffer.clear();
    File::open(TABLE)?.take(MAX_READ).read_to_end(buffer)?;
    if buffer.len() as u64 >= MAX_READ {
        // Frees the large buffer, because the other files read through it are small.
        *buffer = Vec::new();
        return Err(Errno::EFBIG);
    }
    str::from_utf8(buffer).map_err(|_| Errno::EBADMSG)
}

/// Returns `insert_failed` and `drop`, each summed over all processors. The text is a heading, then
/// one line of hexadecimal numbers per processor. Errors: EBADMSG if a column or a number is
/// missing.
fn parse_statistics(text: &str) -> Result<(u64, u64), Errno> {
    let mut lines = text.lines();
    let heading = lines.next().ok_or(Errno::EBADMSG)?;
    let column_index = |name| heading.split_ascii_whitespace().position(|column| column == name);
    let (failed, dropped) =
        column_index("insert_failed").zip(column_index("drop")).ok_or(Errno::EBADMSG)?;
    let value = |line: &str, column_index| {
        let digits = line.split_ascii_whitespace().nth(column_index)?;
        u64::from_str_radix(digits, 16).ok()
    };
    let mut sums = (0, 0);
    for line in lines {
        let (one, other) = value(line, failed).zip(value(line, dropped)).ok_or(Errno::EBADMSG)?;
        sums = (sums.0 + one, sums.1 + other);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conntrack_failures_are_summed_over_all_cpus() {
        let text = "entries  clashres found insert insert_failed drop early_drop\n\
                    00000004  00000000 00000000 00000000 00000001 00000010 00000000\n\
                    00000004  00000000 00000000 00000000 0000000a 00000001 00000000\n";
        assert_eq!(parse_statistics(text), Ok((11, 17)));
        for bad in
            ["", "entries found\n1 2\n", "insert_failed drop\n1\n", "insert_failed drop\nx 1"]
        {
            assert_eq!(parse_statistics(bad), Err(Errno::EBADMSG), "{bad}");
        }
    }
}
