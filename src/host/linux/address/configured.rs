//! Reads addresses and interfaces of the calling thread's network namespace from /proc and
//! through rtnetlink. Binds nothing.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
};

use crate::{
    domain::Text,
    host::linux::{ascending, first_of, rtnetlink},
};

/// `IFA_F_DADFAILED` and `IFA_F_TENTATIVE` (`linux/if_addr.h`).
const DUPLICATE: u32 = 0x08;
const TENTATIVE: u32 = 0x40;

/// An IPv6 address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address6 {
    pub address: Ipv6Addr,
    pub interface: Text,
    flags: u32,
}

impl Address6 {
    /// Returns whether duplicate address detection still runs.
    pub fn is_tentative(&self) -> bool {
        self.flags & TENTATIVE != 0
    }

    /// Returns whether another machine on the link has the address.
    pub fn is_duplicate(&self) -> bool {
        self.flags & DUPLICATE != 0
    }
}

/// Returns the IPv6 addresses; omits lines that cannot be parsed. Empty if /proc cannot be read.
pub fn addresses6() -> Vec<Address6> {
    let table = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    table.lines().filter_map(parse_address6).collect()
}

/// Parses `fe800000000000000000000000000001 02 40 20 82       v1`: address, index, prefix length,
/// scope, flags, name; all but the name in hexadecimal.
fn parse_address6(line: &str) -> Option<Address6> {
    let mut fields = line.split_ascii_whitespace();
    let address = Ipv6Addr::from_bits(u128::from_str_radix(fields.next()?, 16).ok()?);
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let interface = Text::scrub(fields.next()?);
    Some(Address6 { address, interface, flags })
}

/// Returns the IPv4 addresses, ascending. Empty if rtnetlink is refused.
fn addresses4() -> Vec<IpAddr> {
    ascending(rtnetlink::addresses().unwrap_or_default().into_iter().filter(IpAddr::is_ipv4))
}

/// Returns the names of all interfaces, in the kernel's order.
pub fn interfaces() -> Vec<Text> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let names = table.lines().skip(2).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| Text::scrub(name.trim())).collect()
}

/// Returns whether `net.ipv6.conf.NAME.disable_ipv6` is set. None: it cannot be read, for example
/// because the kernel has no IPv6.
pub fn is_ipv6_disabled(name: &str) -> Option<bool> {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    Some(fs::read_to_string(path).ok()?.trim() != "0")
}

/// Returns `before` and the first addresses of the same family as `family`. Empty if there are none.
pub fn list(before: &str, family: IpAddr) -> String {
    const MAX_LISTED: usize = 4;
    if family.is_ipv4() {
        first_of(before, &addresses4(), MAX_LISTED)
    } else {
        let all: Vec<Ipv6Addr> = addresses6().iter().map(|known| known.address).collect();
        first_of(before, &all, MAX_LISTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_if_inet6_has_flags_and_an_interface() {
        let line = "fe800000000000000000000000000001 02 40 20 c0     eth0";
        let known = parse_address6(line).unwrap();
        assert_eq!(
            (known.address.to_string(), known.interface.as_str()),
            ("fe80::1".into(), "eth0")
        );
        assert!(known.is_tentative() && !known.is_duplicate());
        assert_eq!(parse_address6("fe80 02"), None);
    }
}
