//! Reads the sysctls that control the automatic choice of ports from /proc/sys. Does not read the
//! ports in use.

use std::{
    fs::File,
    io::{self, Read},
    str::FromStr,
};

use crate::domain::{
    Ephemeral, Errno, Gap, PortRange, Text, ephemeral::DEFAULT_REUSE_DELAY_MS, port::LINUX_DEFAULT,
};

/// Size of a buffer that holds any list of reserved ports: 65,536 ports take at most 262,140 bytes,
/// plus a newline. It is not larger, because the kernel allocates and clears a buffer of the same
/// size on each read.
///
/// The kernel cuts the text at the end of the buffer of the first read(2) and returns nothing to a
/// second one (`proc_do_large_bitmap`). std's `read_to_string` begins with 32 bytes and would
/// silently lose ports.
const BUFFER_LENGTH: usize = 1 << 18;

/// Reads the policy of the calling thread's network namespace.
pub struct PolicyReader {
    buffer: Vec<u8>,
}

impl Default for PolicyReader {
    fn default() -> Self {
        Self { buffer: vec![0; BUFFER_LENGTH] }
    }
}

impl PolicyReader {
    /// Reads the reserved ports alone; the ephemeral range is Linux's default. If they cannot be
    /// read, there are none.
    pub fn reserved(&mut self) -> Ephemeral {
        let reserved = value("ip_local_reserved_ports", &mut self.buffer, parse_list);
        Ephemeral::new(LINUX_DEFAULT, reserved.unwrap_or_default())
    }

    /// Reads the current policy. If the ephemeral range, the reserved ports or the first
    /// unprivileged port cannot be read, uses the default and adds an entry to `gaps`. Other values
    /// that cannot be read are None. If this kernel has no `tcp_tw_reuse_delay`, uses its
    /// default.
    pub fn read(&mut self, gaps: &mut Vec<Gap>) -> Ephemeral {
        let list = &mut self.buffer;
        // Small, because the kernel allocates and clears a buffer of the same size.
        let number = &mut [0; 64];
        let range = value_or_gap("ip_local_port_range", number, parse_range, gaps);
        let reserved = value_or_gap("ip_local_reserved_ports", list, parse_list, gaps);
        let start = value_or_gap("ip_unprivileged_port_start", number, parse_number, gaps);
        let mut policy =
            Ephemeral::new(range.unwrap_or(LINUX_DEFAULT), reserved.unwrap_or_default());
        policy.unprivileged_start = start.unwrap_or(policy.unprivileged_start);
        policy.tw_reuse = value("tcp_tw_reuse", number, parse_number).ok();
        policy.timestamps = value("tcp_timestamps", number, parse_number).ok();
        policy.tw_reuse_delay_ms =
            or_if_absent(value("tcp_tw_reuse_delay", number, parse_number), DEFAULT_REUSE_DELAY_MS);
        policy.autobind_reuse =
            or_if_absent(value("ip_autobind_reuse", number, parse_number::<u8>), 0)
                .map(|value| value != 0);
        policy
    }
}

/// Reads the reserved ports of the calling thread's network namespace. Errors: they cannot be read.
pub fn read_reserved() -> io::Result<Vec<PortRange>> {
    value("ip_local_reserved_ports", &mut vec![0; BUFFER_LENGTH], parse_list)
}

fn value_or_gap<T>(
    name: &str,
    buffer: &mut [u8],
    parse: Parser<T>,
    gaps: &mut Vec<Gap>,
) -> Option<T> {
    let value = value(name, buffer, parse);
    if let Err(error) = &value {
        let sysctl = Text::scrub(format!("net.ipv4.{name}"));
        gaps.push(Gap::PolicyAssumed { sysctl, error: Errno::from(error) });
    }
    value.ok()
}

/// Replaces a sysctl that this kernel does not have by `absent`. None: it could not be read.
fn or_if_absent<T>(value: io::Result<T>, absent: T) -> Option<T> {
    match value {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(absent),
        value => value.ok(),
    }
}

/// Reads a sysctl with one read(2), see `BUFFER_LENGTH`.
fn value<T>(name: &str, buffer: &mut [u8], parse: Parser<T>) -> io::Result<T> {
    let length = File::open(format!("/proc/sys/net/ipv4/{name}"))?.read(buffer)?;
    str::from_utf8(&buffer[..length])
        .ok()
        .and_then(|text| parse(text.trim_ascii()))
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

type Parser<T> = fn(&str) -> Option<T>;

/// Parses `32768<TAB>60999`.
fn parse_range(text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once(|c: char| c.is_ascii_whitespace())?;
    PortRange::new(first.parse().ok()?, last.trim_ascii().parse().ok()?).ok()
}

/// Parses `1-3,7`, or an empty list.
fn parse_list(text: &str) -> Option<Vec<PortRange>> {
    text.split(',').filter(|part| !part.is_empty()).map(parse_part).collect()
}

fn parse_part(part: &str) -> Option<PortRange> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    PortRange::new(first.parse().ok()?, last.parse().ok()?).ok()
}

fn parse_number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn a_port_range_is_two_numbers() {
        assert_eq!(parse_range("32768\t60999"), Some(LINUX_DEFAULT));
        assert_eq!(parse_range("40000 40000"), Some(range(40_000, 40_000)));
        for bad in ["", "1", "2 1", "1 65536", "a b", "-1 5"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn reserved_ports_parse_as_ports_and_ranges() {
        assert_eq!(parse_list("1-3,7"), Some(vec![range(1, 3), range(7, 7)]));
        assert_eq!(parse_list("65535"), Some(vec![range(65_535, 65_535)]));
        assert_eq!(parse_list(""), Some(vec![]));
        for bad in ["x", "1-", "3-1", "65536", "1;2"] {
            assert_eq!(parse_list(bad), None, "{bad}");
        }
    }
}
