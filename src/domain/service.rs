//! Registered names of services. Does not know what really listens on a port.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::domain::{Protocol, Text};

/// IANA's registry. assets/services.py documents its origin and its format.
const REGISTRY: &str = include_str!("../../assets/services.txt");

/// The decoded registry. The first look-up decodes it, in less than a millisecond.
static IANA: LazyLock<Registry> = LazyLock::new(|| Registry::decode(REGISTRY));

/// The registered names of ports, from the machine's services(5) or else from IANA's registry.
#[derive(Clone, Debug, Default)]
pub struct ServiceNames {
    /// Names from services(5).
    local: BTreeMap<(Protocol, u16), Text>,
}

impl ServiceNames {
    /// Returns the registered name of a port. None: no name is registered.
    pub fn name(&self, protocol: Protocol, port: u16) -> Option<&str> {
        let local = self.local.get(&(protocol, port)).map(Text::as_str);
        local.or_else(|| IANA.name(protocol, port))
    }

    /// Returns the port of a service, in upper or lower case; the lowest if several ports have the
    /// name. None: no port has it.
    pub fn port(&self, protocol: Protocol, name: &str) -> Option<u16> {
        let is_it = |text: &Text| text.as_str().eq_ignore_ascii_case(name);
        let mut local = self.local.iter().filter(|((of, _), text)| *of == protocol && is_it(text));
        local.next().map(|((_, port), _)| *port).or_else(|| IANA.port(protocol, name))
    }
}

impl FromIterator<(Protocol, u16, Text)> for ServiceNames {
    /// The first name of a port wins, as in getservbyport(3).
    fn from_iter<I: IntoIterator<Item = (Protocol, u16, Text)>>(names: I) -> Self {
        let mut local = BTreeMap::new();
        for (protocol, port, name) in names {
            local.entry((protocol, port)).or_insert(name);
        }
        Self { local }
    }
}

/// The decoded registry: all names in one string, and their positions by port.
#[derive(Debug, Default)]
struct Registry {
    names: String,
    entries: Vec<ServiceEntry>,
}

#[derive(Clone, Copy, Debug)]
struct ServiceEntry {
    port: u16,
    /// None: both protocols.
    protocol: Option<Protocol>,
    /// Byte offsets of the name in `Registry::names`.
    start: u32,
    end: u32,
}

impl Registry {
    fn decode(encoded: &'static str) -> Self {
        let mut registry = Self::default();
        let mut port = 0;
        for line in encoded.lines().filter(|line| !line.starts_with('#')) {
            port = registry.push(line, port).unwrap_or(port);
        }
        registry
    }

    /// Decodes a line `[step][t|u]LETTERrest` and returns its port. None: the line is malformed.
    /// `before` is the previous line's port; `step` is the distance from it, 1 if absent. `t` or
    /// `u` limits the name to TCP or UDP. `LETTER` is the number of bytes kept from the previous
    /// name (`A`: 0); `rest` follows them.
    fn push(&mut self, line: &str, before: u16) -> Option<u16> {
        let letters = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let step = line.strip_suffix(letters)?;
        let port = before.checked_add(if step.is_empty() { 1 } else { step.parse().ok()? })?;
        let (protocol, kept) = match letters.split_at_checked(1)? {
            ("t", rest) => (Some(Protocol::Tcp), rest),
            ("u", rest) => (Some(Protocol::Udp), rest),
            _ => (None, letters),
        };
        let (letter, rest) = kept.split_at_checked(1)?;
        let kept = letter.bytes().next()?.checked_sub(b'A')?;
        let previous = self.entries.last().map_or("", |entry| self.text(*entry));
        let name = [previous.get(..usize::from(kept))?, rest].concat();
        let start = u32::try_from(self.names.len()).ok()?;
        self.names.push_str(&name);
        let end = u32::try_from(self.names.len()).ok()?;
        self.entries.push(ServiceEntry { port, protocol, start, end });
        Some(port)
    }

    fn name(&self, protocol: Protocol, port: u16) -> Option<&str> {
        let first = self.entries.partition_point(|entry| entry.port < port);
        let mut here = self.entries[first..].iter().take_while(|entry| entry.port == port);
        let entry = here.find(|entry| entry.protocol.is_none_or(|only| only == protocol))?;
        Some(self.text(*entry))
    }

    fn port(&self, protocol: Protocol, name: &str) -> Option<u16> {
        let is_of = |entry: &&ServiceEntry| entry.protocol.is_none_or(|only| only == protocol);
        let mut entries = self.entries.iter().filter(is_of);
        entries.find(|entry| self.text(**entry).eq_ignore_ascii_case(name)).map(|entry| entry.port)
    }

    fn text(&self, entry: ServiceEntry) -> &str {
        self.names.get(entry.start as usize..entry.end as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_registry_is_decoded() {
        let reported =
            REGISTRY.lines().find_map(|line| line.strip_prefix("# ")?.strip_suffix(" lines"));
        let registry = Registry::decode(REGISTRY);
        assert_eq!(registry.entries.len(), reported.unwrap().parse::<usize>().unwrap());
        assert!(registry.entries.is_sorted_by_key(|entry| entry.port));
        for entry in &registry.entries {
            let name = registry.text(*entry);
            assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()), "{entry:?}");
        }
    }

    #[test]
    fn a_name_of_one_protocol_is_not_returned_for_the_other() {
        let registry = Registry::decode("# head\n22Assh\ntAftp\n2Dps\n");
        let name = |protocol, port| registry.name(protocol, port);
        assert_eq!(name(Protocol::Tcp, 22), Some("ssh"));
        assert_eq!(name(Protocol::Udp, 22), Some("ssh"));
        assert_eq!(name(Protocol::Tcp, 23), Some("ftp"));
        assert_eq!(name(Protocol::Udp, 23), None);
        assert_eq!(name(Protocol::Udp, 25), Some("ftpps"));
    }

    #[test]
    fn a_service_has_a_port_for_each_protocol() {
        let own = [(Protocol::Tcp, 8443, Text::scrub("myapp"))].into_iter();
        let names = own.collect::<ServiceNames>();
        assert_eq!(names.port(Protocol::Tcp, "myapp"), Some(8443));
        assert_eq!(names.port(Protocol::Udp, "myapp"), None);
        assert_eq!(names.port(Protocol::Tcp, "HTTP"), Some(80));
        assert_eq!(names.port(Protocol::Tcp, "no such"), None);
    }

    #[test]
    fn malformed_lines_are_skipped() {
        let registry = Registry::decode("\n7Aecho\nt\n99999Ax\n1Zy\n2Dh-two\n");
        assert_eq!(registry.entries.len(), 2);
        assert_eq!(registry.name(Protocol::Tcp, 9), Some("echh-two"));
    }
}
