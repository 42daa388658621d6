//! Tests with a socket of this process whether the kernel lists TCP sockets that are bound but
//! neither listening nor connected.

use std::{net::SocketAddr, os::fd::OwnedFd};

use rustix::{
    io,
    net::{self, sockopt},
};

use crate::{
    domain::{Errno, Gap, Protocol, Socket, availability::BindAddress, is_release_at_least},
    host::linux::address,
};

/// Linux 6.8 added `TCPF_BOUND_INACTIVE` (commit 91051f003948).
const FIRST_KERNEL: (u32, u32) = (6, 8);

/// A bound socket of this process, held until a dump has shown whether it is listed.
pub struct SelfTest {
    /// The socket and its cookie. The port alone does not identify it, because another process may
    /// use the same port on another address. None: no socket could be bound (for example, the range
    /// is full or no descriptor is left), or its cookie could not be read.
    probe: Option<(OwnedFd, u64)>,
    refusal: Option<Errno>,
}

impl SelfTest {
    /// Binds a port on all addresses, without listening.
    ///
    /// Does not bind a single address. The kernel could then choose a port that is used by a
    /// connection from another address, and before Linux 6.18 no further connect() would get that
    /// port while the connection exists (commit d57f4b874946).
    pub fn start() -> Self {
        let Ok((probe, address)) = open_probe() else {
            return Self { probe: None, refusal: None };
        };
        let bound = net::bind(&probe, &address);
        let refusal = bound.err().map(Errno::from);
        let cookie = bound.and_then(|()| sockopt::socket_cookie(&probe));
        Self { probe: cookie.ok().map(|cookie| (probe, cookie)), refusal }
    }

    /// Returns why bind() failed. None: it succeeded, or no socket could be opened.
    pub fn refusal(&self) -> Option<Errno> {
        self.refusal
    }

    /// Returns the port of the test's own socket; None: there is no such socket.
    pub fn port(&self) -> Option<u16> {
        let (probe, _) = self.probe.as_ref()?;
        address::local(probe).ok().map(|address| address.port())
    }

    /// Removes the test's own socket from a dump of all TCP sockets. Returns false if it was not
    /// listed, or if there is no such socket.
    pub fn remove_probe(&self, dumped: &mut Vec<Socket>) -> bool {
        let Some((_, cookie)) = self.probe else { return false };
        let index = dumped.iter().position(|socket| socket.cookie == Some(cookie));
        index.map(|index| dumped.swap_remove(index)).is_some()
    }

    /// Returns the gap to report. Call it if a complete dump did not list the test's own socket.
    /// None: the test has no socket, and this kernel version lists bound-inactive sockets.
    pub fn gap(&self, kernel: &str) -> Option<Gap> {
        let assumed = self.probe.is_none();
        let is_trusted = assumed && is_release_at_least(kernel, FIRST_KERNEL) == Some(true);
        (!is_trusted).then_some(Gap::BoundInactiveUnlisted { assumed })
    }
}

/// Opens a socket, and returns the address that covers all others: `::`, or 0.0.0.0 if the kernel
/// has no IPv6.
fn open_probe() -> io::Result<(OwnedFd, SocketAddr)> {
    let open = |all| Ok((address::unbound(Protocol::Tcp, all)?, address::socket_address(all, 0)));
    open(BindAddress::AnyDual).or_else(|_| open(BindAddress::Any4))
}
