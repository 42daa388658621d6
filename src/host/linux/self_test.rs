//! Does this kernel list TCP sockets that are bound and nothing else? Tries it with one of our own.

use std::{io, net::Ipv4Addr};

use rustix::net::{self, AddressFamily, SocketAddrV4, SocketFlags, SocketType, sockopt};

use crate::{
    domain::{Gap, Table},
    host::linux::sock_diag::{BOUND_INACTIVE, DiagSocket, Flaw},
};

/// Linux 6.8 added `TCPF_BOUND_INACTIVE` (commit 91051f003948).
const FIRST_KERNEL: (u32, u32) = (6, 8);

/// What snapshots lack for want of the kernel's listing bound-inactive sockets.
///
/// Binds a port of 127.0.0.1 for the time of the test, without listening. Where none can be bound
/// (the range is full, no descriptors) the kernel's version decides.
pub fn bound_inactive_gap(netlink: &mut DiagSocket, kernel: &str) -> Option<Gap> {
    match is_listed(netlink) {
        Ok(true) => None,
        Ok(false) => Some(Gap::BoundInactiveUnlisted { assumed: false }),
        Err(_) if is_at_least(kernel, FIRST_KERNEL) => None,
        Err(_) => Some(Gap::BoundInactiveUnlisted { assumed: true }),
    }
}

/// Told by the socket's cookie: another process may have the same port on another address.
fn is_listed(netlink: &mut DiagSocket) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC;
    let probe = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    net::bind(&probe, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let cookie = sockopt::socket_cookie(&probe)?;
    let mut listed = Vec::new();
    let flaw = match netlink.dump(Table::Tcp, BOUND_INACTIVE, &mut listed) {
        Err(Flaw::Refused(_)) => netlink.dump(Table::Tcp4, BOUND_INACTIVE, &mut listed),
        other => other,
    };
    let is_found = listed.iter().any(|socket| socket.cookie == Some(cookie));
    match flaw {
        Err(_) if !is_found => Err(io::Error::other("no whole dump")),
        _ => Ok(is_found),
    }
}

/// Compares `MAJOR.MINOR` at the head of a kernel release; what cannot be read is old.
fn is_at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map_while(|digits| digits.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(wanted.0), Some(wanted.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_compare_as_numbers() {
        for (release, is_new) in [
            ("6.18.44-fc-v669", true),
            ("6.8.0-45-generic", true),
            ("6.8", true),
            ("7.0-rc1", true),
            ("6.7.12", false),
            ("5.15.0", false),
            ("6", false),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(is_at_least(release, FIRST_KERNEL), is_new, "{release}");
        }
    }
}
