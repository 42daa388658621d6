//! The address argument of a bind(), with the interface that a link-local address needs. Resolves
//! no names.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// An address to bind: `127.0.0.1`, `::1`, `fe80::1%eth0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalAddress {
    pub address: IpAddr,
    /// Only for a link-local IPv6 address, unicast or multicast.
    pub interface: Option<InterfaceName>,
}

/// The part of an address after `%`: the name of an interface, or its index.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterfaceName {
    /// UTF-8 without control characters, padded with zeros.
    bytes: [u8; InterfaceName::MAX_LENGTH],
}

impl InterfaceName {
    /// `IFNAMSIZ` without its terminating zero byte.
    const MAX_LENGTH: usize = 15;

    /// Returns None if the name is empty, longer than 15 bytes, or contains white space, control
    /// characters, `/` or `%`. Accepts `.`, `..` and names with `:`, which `dev_valid_name`
    /// (net/core/dev.c) refuses.
    pub fn new(name: &str) -> Option<Self> {
        let is_unusable = |c: char| c.is_control() || c.is_whitespace() || c == '/' || c == '%';
        if name.is_empty() || name.len() > Self::MAX_LENGTH || name.chars().any(is_unusable) {
            return None;
        }
        let mut bytes = [0; Self::MAX_LENGTH];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(Self { bytes })
    }

    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|&byte| byte == 0).unwrap_or(Self::MAX_LENGTH);
        str::from_utf8(&self.bytes[..end]).unwrap_or_default()
    }

    /// Returns the text as a number, which may be the index of an interface (rtnetlink(7)). None:
    /// the text is not a number from 1 to `u32::MAX`.
    pub fn index(&self) -> Option<u32> {
        let text = self.as_str();
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten().filter(|&index| index > 0)
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The reason why a text is not an address to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("expected an address such as 127.0.0.1, ::1 or fe80::1%eth0")]
    Address,
    #[error("expected an interface name or index after '%', as in fe80::1%eth0")]
    Interface,
    #[error("only a link-local IPv6 address, such as fe80::1 or ff02::1, takes an interface")]
    NotLinkLocal,
}

impl FromStr for LocalAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (address, interface) = match text.split_once('%') {
            None => (text, None),
            Some((address, name)) => {
                (address, Some(InterfaceName::new(name).ok_or(BadAddress::Interface)?))
            }
        };
        let address: IpAddr = address.parse().map_err(|_| BadAddress::Address)?;
        if interface.is_some() && !takes_interface(address) {
            return Err(BadAddress::NotLinkLocal);
        }
        Ok(Self { address, interface })
    }
}

impl<A: Into<IpAddr>> From<A> for LocalAddress {
    fn from(address: A) -> Self {
        Self { address: address.into(), interface: None }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        self.interface.map_or(Ok(()), |interface| write!(f, "%{interface}"))
    }
}

/// Returns whether the same address may exist on several interfaces, so that bind() must name one
/// (`__ipv6_addr_needs_scope_id` in include/net/ipv6.h).
pub fn takes_interface(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local() || is_multicast_of_link(address),
    }
}

/// Returns whether the address is in `ff01::/16` or `ff02::/16`, whatever its flags.
fn is_multicast_of_link(address: Ipv6Addr) -> bool {
    address.is_multicast() && matches!(address.segments()[0] & 0xf, 1 | 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_take_an_interface_by_name_or_index() {
        for text in ["127.0.0.1", "::1", "fe80::1", "fe80::1%eth0", "fe80::1%2", "ff02::fb%v0"] {
            let address: LocalAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        let by_index: LocalAddress = "fe80::1%2".parse().unwrap();
        assert_eq!(by_index.interface.and_then(|name| name.index()), Some(2));
        let by_name: LocalAddress = "fe80::1%eth0".parse().unwrap();
        assert_eq!(by_name.interface.and_then(|name| name.index()), None);
    }

    #[test]
    fn an_invalid_address_error_says_what_is_expected() {
        for (text, expected) in [
            ("", BadAddress::Address),
            ("localhost", BadAddress::Address),
            ("%eth0", BadAddress::Address),
            ("fe80::1%", BadAddress::Interface),
            ("fe80::1%a%b", BadAddress::Interface),
            ("fe80::1%\u{1b}[2J", BadAddress::Interface),
            ("fe80::1%a-name-of-16-byt", BadAddress::Interface),
            ("::1%lo", BadAddress::NotLinkLocal),
            ("127.0.0.1%lo", BadAddress::NotLinkLocal),
            ("ff0e::1%lo", BadAddress::NotLinkLocal),
        ] {
            assert_eq!(text.parse::<LocalAddress>(), Err(expected), "{text:?}");
        }
    }
}
