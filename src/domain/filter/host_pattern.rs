//! The addresses of filters: `[family:]ADDRESS[:PORT]`, as ss(8) parses them (`parse_hostcond`,
//! misc/ss.c). Looks up no host name.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::domain::{Endpoint, Protocol, ServiceNames};

/// A prefix, a port, or both. Matches every endpoint if it has neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// The family that was written in front of the address. It limits the whole filter.
    pub family: Option<IpVersion>,
    pub prefix: Option<AddressPrefix>,
    pub port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    V4,
    V6,
}

impl IpVersion {
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Returns the name of the family in `ss`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "inet",
            Self::V6 => "inet6",
        }
    }
}

/// The leading bits of an address; the other bits are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPrefix {
    address: IpAddr,
    length: u8,
}

impl AddressPrefix {
    /// Clears the bits after the prefix. None: `length` is larger than the address has bits.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if length <= 32 => {
                Ipv4Addr::from_bits(v4.to_bits() & mask(length, 32) as u32).into()
            }
            IpAddr::V6(v6) if length <= 128 => {
                Ipv6Addr::from_bits(v6.to_bits() & mask(length, 128)).into()
            }
            _ => return None,
        };
        Some(Self { address, length })
    }

    /// Returns the prefix that contains only the address.
    pub fn whole(address: IpAddr) -> Self {
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Returns whether the prefix contains the address. An IPv4 prefix contains IPv4-mapped
    /// addresses, too; an IPv6 prefix contains no IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(prefix), IpAddr::V4(address)) => self.contains_v4(prefix, address),
            (IpAddr::V4(prefix), IpAddr::V6(address)) => {
                address.to_ipv4_mapped().is_some_and(|address| self.contains_v4(prefix, address))
            }
            (IpAddr::V6(prefix), IpAddr::V6(address)) => {
                address.to_bits() & mask(self.length, 128) == prefix.to_bits()
            }
            (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    fn contains_v4(self, prefix: Ipv4Addr, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.length, 32) as u32 == prefix.to_bits()
    }

    /// Returns whether `ss` may take an address of the other family for a match: it compares the
    /// bits of the prefix whatever the family is, and relies on the kernel to compare the families
    /// (`run_ssfilter`).
    pub(super) fn may_match_other_family(self) -> bool {
        match self.address {
            IpAddr::V4(address) => address.is_unspecified(),
            IpAddr::V6(address) => address.to_bits() << 32 == 0,
        }
    }
}

/// Returns the mask of the first `length` of `bits` bits.
fn mask(length: u8, bits: u8) -> u128 {
    let all = u128::MAX >> (128 - u32::from(bits));
    let low = all.checked_shr(u32::from(length)).unwrap_or(0);
    all ^ low
}

/// Why a word is no address or port: words that complete a sentence that begins with the word.
pub(super) type NotUnderstood = String;

impl HostPattern {
    /// Parses the value of `src`, `dst` or `to`. `services`: the names of ports. If `limit` is
    /// some, the filter has a family already.
    pub(super) fn parse(
        word: &str,
        services: &ServiceNames,
        limit: Option<IpVersion>,
    ) -> Result<Self, NotUnderstood> {
        let (family, rest) = split_family(word)?;
        let wanted = family.or(limit);
        match Self::split(rest).and_then(|parts| Self::of(parts, services, wanted)) {
            Ok(pattern) => Ok(Self { family, ..pattern }),
            // ss takes what follows the last `:` for a port. Where that is no answer, an address
            // without brackets is meant.
            Err(message) => match rest.parse::<Ipv6Addr>() {
                Ok(address) if wanted != Some(IpVersion::V4) => {
                    Ok(Self { family, prefix: AddressPrefix::new(address.into(), 128), port: None })
                }
                _ if rest.matches(':').count() > 1 && !rest.contains(['[', '/']) => {
                    Err("is no address".to_owned())
                }
                _ => Err(message),
            },
        }
    }

    /// Splits `[::1]:443`, `10.0.0.0/8:443` and `*:443` into address and port.
    fn split(word: &str) -> Result<(&str, &str), NotUnderstood> {
        if let Some(rest) = word.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or("has no closing bracket")?;
            return Ok((address, port.strip_prefix(':').unwrap_or(port)));
        }
        if let Some(port) = word.strip_prefix('*') {
            return Ok(("", port.strip_prefix(':').unwrap_or(port)));
        }
        let slash = word.find('/').unwrap_or(0);
        let (before, after) = word.split_at_checked(slash).unwrap_or((word, ""));
        Ok(match after.rsplit_once(':') {
            Some((address, port)) => (word.get(..before.len() + address.len()).unwrap_or(""), port),
            None => (word, ""),
        })
    }

    fn of(
        (address, port): (&str, &str),
        services: &ServiceNames,
        family: Option<IpVersion>,
    ) -> Result<Self, NotUnderstood> {
        let port = parse_port(port, services)?;
        let prefix = parse_prefix(address, family)?;
        let other = prefix
            .filter(|prefix| family.is_some_and(|family| family != IpVersion::of(prefix.address)));
        match other {
            Some(_) => Err("is of another address family than the filter".to_owned()),
            None => Ok(Self { family: None, prefix, port }),
        }
    }

    /// Returns whether the endpoint matches. The family is not tested here.
    pub fn matches(&self, endpoint: Endpoint) -> bool {
        self.port.is_none_or(|port| port == endpoint.port)
            && self.prefix.is_none_or(|prefix| prefix.contains(endpoint.address))
    }
}

fn split_family(word: &str) -> Result<(Option<IpVersion>, &str), NotUnderstood> {
    let Some((family, rest)) = word.split_once(':') else { return Ok((None, word)) };
    match family {
        "inet" => Ok((Some(IpVersion::V4), rest)),
        "inet6" => Ok((Some(IpVersion::V6), rest)),
        "unix" | "link" | "netlink" | "vsock" => {
            Err("is no TCP or UDP socket: portscope knows no others".to_owned())
        }
        _ => Ok((None, word)),
    }
}

/// Parses `443`, `0x1bb`, `0673` and the name of a service. None: any port, which is `*` or
/// nothing.
pub(super) fn parse_port(
    word: &str,
    services: &ServiceNames,
) -> Result<Option<u16>, NotUnderstood> {
    if word.is_empty() || word.starts_with('*') {
        return Ok(None);
    }
    let number = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => Some((digits, 16)),
        None if word.len() > 1 && word.starts_with('0') => Some((word, 8)),
        None => Some((word, 10)),
    };
    let number = number.filter(|(digits, _)| digits.bytes().all(|b| b.is_ascii_alphanumeric()));
    let number = number.map(|(digits, radix)| u16::from_str_radix(digits, radix));
    match number {
        Some(Ok(port)) => Ok(Some(port)),
        _ if word.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
            Err("is no port: expected 0 to 65535".to_owned())
        }
        _ => service(word, services).map(Some),
    }
}

fn service(word: &str, services: &ServiceNames) -> Result<u16, NotUnderstood> {
    let [tcp, udp] = Protocol::EACH.map(|protocol| services.port(protocol, word));
    match (tcp, udp) {
        (Some(tcp), Some(udp)) if tcp != udp => {
            Err(format!("is TCP port {tcp} and UDP port {udp}: write the number"))
        }
        (Some(port), _) | (_, Some(port)) => Ok(port),
        (None, None) => Err("is no port: expected a number or the name of a service".to_owned()),
    }
}

/// Parses `10.0.0.5`, `10.0.0.0/8`, `10/8`, `127.0.0.1/255.0.0.0`, `2001:db8::/32`. None: any
/// address.
fn parse_prefix(
    word: &str,
    family: Option<IpVersion>,
) -> Result<Option<AddressPrefix>, NotUnderstood> {
    if word.is_empty() || word.starts_with('*') || ["any", "all", "default"].contains(&word) {
        return Ok(None);
    }
    let (address, length) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (word, None),
    };
    let address = parse_address(address, family)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => Some(bits),
        Some(length) if length.bytes().all(|b| b.is_ascii_digit()) => length.parse().ok(),
        Some(netmask) => netmask.parse().ok().filter(|_| bits == 32).and_then(mask_length),
    };
    let prefix = length.and_then(|length| AddressPrefix::new(address, length));
    prefix.map(Some).ok_or_else(|| format!("has a wrong prefix length: expected 0 to {bits}"))
}

/// Parses an address. As in `ss`, missing numbers at the end of an IPv4 address are 0, and
/// `localhost` is 127.0.0.1, or `::1` after `inet6:`.
fn parse_address(word: &str, family: Option<IpVersion>) -> Result<IpAddr, NotUnderstood> {
    let numbers: Option<Vec<u8>> = word.split('.').map(octet).collect();
    match numbers.as_deref() {
        _ if word == "localhost" && family == Some(IpVersion::V6) => {
            return Ok(Ipv6Addr::LOCALHOST.into());
        }
        _ if word == "localhost" => return Ok(Ipv4Addr::LOCALHOST.into()),
        Some(numbers @ ([_] | [_, _] | [_, _, _] | [_, _, _, _])) => {
            let mut octets = [0; 4];
            octets.iter_mut().zip(numbers).for_each(|(octet, number)| *octet = *number);
            return Ok(octets.into());
        }
        _ => {}
    }
    word.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| {
        let is_name = word.bytes().any(|b| b.is_ascii_alphabetic()) && !word.contains(':');
        if is_name {
            "is no address, and portscope looks up no host names".to_owned()
        } else {
            "is no address".to_owned()
        }
    })
}

/// Parses a number from 0 to 255. Refuses leading zeros, which mean octal numbers to some programs.
fn octet(word: &str) -> Option<u8> {
    let is_plain = word == "0" || !word.starts_with('0');
    let is_number = word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|_| is_plain && is_number)
}

fn mask_length(netmask: Ipv4Addr) -> Option<u8> {
    let ones = netmask.to_bits().leading_ones();
    (netmask.to_bits().count_ones() == ones).then_some(ones as u8)
}

impl fmt::Display for HostPattern {
    /// Formats it so that it is parsed as the same pattern: `10.0.0.0/8:443`, `[::1]`, `:443`, `*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(family) = self.family {
            write!(f, "{}:", family.name())?;
        }
        match self.prefix {
            None if self.family.is_some() || self.port.is_none() => f.write_str("*")?,
            None => {}
            Some(prefix) => prefix.fmt(f)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, length } = self;
        match address {
            IpAddr::V4(_) if *length == 32 => write!(f, "{address}"),
            IpAddr::V4(_) => write!(f, "{address}/{length}"),
            IpAddr::V6(_) if *length == 128 => write!(f, "[{address}]"),
            IpAddr::V6(_) => write!(f, "[{address}/{length}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(word: &str) -> Result<String, NotUnderstood> {
        let services = ServiceNames::default();
        HostPattern::parse(word, &services, None).map(|pattern| pattern.to_string())
    }

    #[test]
    fn addresses_and_ports_are_parsed_as_ss_does() {
        for (word, printed) in [
            ("10.0.0.5", "10.0.0.5"),
            ("10.0.0.5:443", "10.0.0.5:443"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.0.0.0/8:443", "10.0.0.0/8:443"),
            ("127/8", "127.0.0.0/8"),
            ("127.1", "127.1.0.0"),
            ("127.0.0.1/255.0.0.0", "127.0.0.0/8"),
            ("0/0", "0.0.0.0/0"),
            ("::1/128", "[::1]"),
            ("::/0", "[::/0]"),
            ("[::1]", "[::1]"),
            ("[::1]:443", "[::1]:443"),
            ("[::1]443", "[::1]:443"),
            ("[2001:db8::/32]:443", "[2001:db8::/32]:443"),
            ("2001:db8::/32", "[2001:db8::/32]"),
            ("[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]"),
            ("*", "*"),
            ("*:443", ":443"),
            (":443", ":443"),
            (":", "*"),
            ("any", "*"),
            ("any:443", ":443"),
            (":https", ":443"),
            (":0x1bb", ":443"),
            (":0673", ":443"),
            ("localhost", "127.0.0.1"),
            ("inet:127.0.0.1", "inet:127.0.0.1"),
            ("inet6:localhost", "inet6:[::1]"),
            ("inet6:", "inet6:*"),
            // ss takes the last part for the port.
            ("1::2:80", "[1::2]:80"),
            // ss refuses these.
            ("::1", "[::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
        ] {
            assert_eq!(parsed(word).as_deref(), Ok(printed), "{word}");
            assert_eq!(parsed(printed).as_deref(), Ok(printed), "{word}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (word, message) in [
            ("db.example", "is no address, and portscope looks up no host names"),
            ("10.0.0.256", "is no address"),
            ("010.0.0.1", "is no address"),
            ("10.0.0.5/33", "has a wrong prefix length: expected 0 to 32"),
            ("10.0.0.5/255.0.255.0", "has a wrong prefix length: expected 0 to 32"),
            ("[::]/0", "is no port: expected a number or the name of a service"),
            ("[::1", "has no closing bracket"),
            ("10.0.0.5:70000", "is no port: expected 0 to 65535"),
            ("10.0.0.5:-1", "is no port: expected 0 to 65535"),
            ("unix:/run/x", "is no TCP or UDP socket: portscope knows no others"),
            ("inet:[::1]", "is of another address family than the filter"),
            ("fe80::1%lo", "is no address"),
        ] {
            assert_eq!(parsed(word), Err(message.to_owned()), "{word}");
        }
    }

    #[test]
    fn ipv4_prefixes_contain_mapped_addresses() {
        let contains = |prefix: &str, address: &str| {
            let services = ServiceNames::default();
            let pattern = HostPattern::parse(prefix, &services, None).unwrap();
            pattern.matches(Endpoint { address: address.parse().unwrap(), port: 1 })
        };
        for (prefix, address, is_inside) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0/0", "::1", false),
            ("0/0", "::ffff:1.2.3.4", true),
            ("[::/0]", "::ffff:1.2.3.4", true),
            ("[::/0]", "1.2.3.4", false),
            ("[::ffff:0:0/96]", "1.2.3.4", false),
            ("[2001:db8::/33]", "2001:db8:7fff::1", true),
            ("[2001:db8::/33]", "2001:db8:8000::1", false),
            ("*", "::1", true),
        ] {
            assert_eq!(contains(prefix, address), is_inside, "{prefix} {address}");
        }
    }
}
