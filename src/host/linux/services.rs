//! Service names of this machine, from /etc/services alone. Does not contain IANA's registry.

use crate::{
    domain::{Protocol, ServiceNames, Text},
    host::linux::bounded_file,
};

/// Maximum number of bytes read of the file.
const LIMIT: u64 = 1024 * 1024;

/// Reads the service names. If the file cannot be read, only IANA's names remain.
pub fn read() -> ServiceNames {
    parse(&bounded_file::read_lines("/etc/services", LIMIT))
}

/// Parses the lines of services(5) that name a TCP or UDP port; others are skipped.
pub fn parse(services: &[u8]) -> ServiceNames {
    services.split(|&byte| byte == b'\n').filter_map(parse_line).collect()
}

/// Parses `https 443/tcp www # TLS`.
fn parse_line(line: &[u8]) -> Option<(Protocol, u16, Text)> {
    let reported = line.split(|&byte| byte == b'#').next()?;
    let mut words = reported.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (name, port_and_protocol) = (words.next()?, std::str::from_utf8(words.next()?).ok()?);
    let (port, protocol) = port_and_protocol.split_once('/')?;
    let protocol = Protocol::EACH.into_iter().find(|known| known.name() == protocol)?;
    Some((protocol, port.parse().ok()?, Text::scrub(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_port_wins_and_comments_are_no_names() {
        let names = parse(b"# x 1/tcp\nweb\t80/tcp www # http\nhttp 80/tcp\nquic 80/udp\n");
        assert_eq!(names.name(Protocol::Tcp, 80), Some("web"));
        assert_eq!(names.name(Protocol::Udp, 80), Some("quic"));
        assert_eq!(names.name(Protocol::Tcp, 1), Some("tcpmux"));
    }

    #[test]
    fn lines_without_an_entry_are_skipped() {
        let names = parse(b"a\nb 61000\nc 61000/sctp\nd 99999/tcp\ne -1/tcp\nf 61001/tcp#\n\n");
        assert_eq!(names.name(Protocol::Tcp, 61_000), None);
        assert_eq!(names.name(Protocol::Tcp, 61_001), Some("f"));
    }

    #[test]
    fn escape_sequences_in_a_name_are_scrubbed() {
        let names = parse(b"\x1b[2J\xff 61000/udp\n");
        assert_eq!(names.name(Protocol::Udp, 61_000), Some("\\u{1b}[2J\\xff"));
    }
}
