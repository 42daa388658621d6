//! Reads the source addresses of the network namespace from /proc and rtnetlink(7). Binds nothing.

use crate::{
    domain::{Errno, Ipv6, SourceAddresses},
    host::linux::{
        rtnetlink,
        vitals::{number, text},
    },
};

/// One line per address; the file is missing where the kernel has no IPv6.
const IPV6_ADDRESSES: &str = "/proc/thread-self/net/if_inet6";
const LOOPBACK: &str = "00000000000000000000000000000001";
/// `IFA_F_OPTIMISTIC`, `IFA_F_DADFAILED`, `IFA_F_TENTATIVE`.
const OPTIMISTIC: u32 = 0x04;
const FAILED: u32 = 0x08;
const TENTATIVE: u32 = 0x40;

/// Reads the addresses of the calling thread's network namespace. `::1` normally exists while `lo`
/// is up. The sysctls and the state of `lo` are therefore read only if `::1` is missing.
pub(super) fn read(is_proc_mounted: bool, buffer: &mut Vec<u8>) -> SourceAddresses {
    let ipv6 = match text(IPV6_ADDRESSES, buffer).map(parse) {
        Ok((has_loopback, usable)) => {
            let disabled = if has_loopback { Vec::new() } else { disabled(buffer) };
            Ipv6::Listed { has_loopback, usable, disabled }
        }
        Err(Errno::ENOENT) if is_proc_mounted => Ipv6::Unsupported,
        Err(_) => Ipv6::Unknown,
    };
    let is_loopback_up = match ipv6 {
        Ipv6::Listed { has_loopback: true, .. } => Some(true),
        _ => rtnetlink::is_loopback_up().unwrap_or_default(),
    };
    SourceAddresses { is_loopback_up, has_ipv4_loopback: has_ipv4_loopback(), ipv6 }
}

/// Returns whether `::1` is in the list, and how many addresses can be bound. The fields are
/// `address interface prefix scope flags name`, all but the name in hexadecimal
/// (net/ipv6/addrconf.c, `if6_seq_show`).
fn parse(text: &str) -> (bool, u32) {
    let (mut has_loopback, mut usable) = (false, 0);
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let address = fields.next().unwrap_or_default();
        let flags = fields.nth(3).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        let is_usable = flags.is_some_and(|flags| {
            let is_tentative = flags & TENTATIVE != 0 && flags & OPTIMISTIC == 0;
            !is_tentative && flags & FAILED == 0
        });
        usable += u32::from(is_usable);
        has_loopback |= is_usable && address == LOOPBACK;
    }
    (has_loopback, usable)
}

fn disabled(buffer: &mut Vec<u8>) -> Vec<&'static str> {
    let mut is_disabled = |name: &&str| {
        let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
        number::<i32>(&path, buffer).is_ok_and(|value| value != 0)
    };
    ["all", "default", "lo"].into_iter().filter(|name| is_disabled(name)).collect()
}

/// Returns whether an IPv4 loopback address is configured. None: the addresses cannot be listed.
fn has_ipv4_loopback() -> Option<bool> {
    let addresses = rtnetlink::addresses().ok()?;
    // One address of 127.0.0.0/8 makes all of them local (`fib_add_ifaddr`,
    // net/ipv4/fib_frontend.c).
    Some(addresses.iter().any(|address| address.is_ipv4() && address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tentative_addresses_are_not_usable() {
        let loopback = "00000000000000000000000000000001 01 80 10 80       lo\n";
        let local = "fe80000000000000bc6128fffec037a0 02 40 20 80       d1\n";
        let tentative = "fe8000000000000004a842fffe272325 03 40 20 c0       d0\n";
        let optimistic = "fd000000000000000000000000000002 03 40 00 44       d0\n";
        let failed = "fd000000000000000000000000000001 03 40 00 88       d0\n";
        for (text, expected) in [
            (String::new(), (false, 0)),
            (loopback.to_owned(), (true, 1)),
            (format!("{local}{tentative}{failed}"), (false, 1)),
            (format!("{optimistic}{loopback}"), (true, 2)),
            ("x\n\n00000000000000000000000000000001 01 80 10\n".to_owned(), (false, 0)),
        ] {
            assert_eq!(parse(&text), expected, "{text}");
        }
    }
}
