//! Makes real bind() calls. Does not listen. Chooses no port itself: the caller or the kernel does.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    io,
    net::{RecvFlags, Shutdown, sockopt},
    process::Resource,
};

use crate::{
    domain::{
        Binder, Errno, Gap, LocalAddress, PortRange, Protocol, Protocols, Refusal,
        availability::BindAddress,
    },
    host::{
        Held, HostBinder, HostError,
        linux::{address, policy::PolicyReader, socket_option},
    },
};

/// Maximum number of datagrams that one call of `late_datagrams` discards.
const LATE_DATAGRAMS: usize = 256;
/// Number of descriptors kept for everything except held ports. If half of the descriptor limit is
/// less, that half is kept.
const DESCRIPTORS_KEPT: u64 = 64;
/// Minimum number of descriptors kept: standard input, output and error, and those that a search
/// opens for a short time.
const MIN_KEPT: u64 = 6;

/// Binds without SO_REUSEPORT, and without SO_REUSEADDR unless requested. Without both, no other
/// socket can share a bound port on the same address.
///
/// An unbound socket is used again after a refusal with EADDRINUSE, EADDRNOTAVAIL or EACCES,
/// because such a bind() does not change the socket. For all addresses of both families, the binder
/// binds, for each protocol, one IPv6 socket on `[::]` that also accepts IPv4. This is the
/// strictest bind(): it conflicts with every socket of the protocol on the port, whatever its
/// address.
pub struct RealBinder {
    protocols: Protocols,
    address: BindAddress,
    /// The value of IP_LOCAL_PORT_RANGE; None: the option is not set.
    choice: Option<PortRange>,
    /// The port that the last bind() failed to get; 0: the kernel was to choose the port, but found
    /// none, or a socket could not be opened.
    refused: u16,
    udp: Option<OwnedFd>,
    tcp: Option<OwnedFd>,
    is_ipv4_only: bool,
    chooses_from_part: bool,
    reuses_address: bool,
}

impl RealBinder {
    /// Creates a binder for `address`; None: all addresses of both families, or of IPv4 alone if
    /// there is no IPv6. `::` also means both families.
    ///
    /// Errors: the interface does not exist, or a socket cannot be opened.
    pub fn new(protocols: Protocols, address: Option<LocalAddress>) -> Result<Self, HostError> {
        let named = address::named(address).map_err(|refusal| {
            HostError::new("bind", std::io::Error::other(refusal.to_string()))
        })?;
        let mut binder = Self {
            protocols,
            address: named,
            choice: None,
            refused: 0,
            udp: None,
            tcp: None,
            is_ipv4_only: false,
            chooses_from_part: false,
            reuses_address: false,
        };
        let mut outcome = binder.prepare();
        if address.is_none() && outcome.is_err_and(|refusal| refusal.errno == Errno::EAFNOSUPPORT) {
            binder.address = BindAddress::Any4;
            binder.is_ipv4_only = true;
            outcome = binder.prepare();
        }
        outcome.map(|()| binder).map_err(|Refusal { protocol, errno }| {
            HostError::new(&format!("create a {} socket", protocol.name()), errno)
        })
    }

    /// Opens a socket for each requested protocol that has no unbound one.
    #[expect(clippy::inline_always, reason = "as `bind`")]
    #[inline(always)]
    fn prepare(&mut self) -> Result<(), Refusal> {
        for (protocol, spare) in [(Protocol::Udp, &mut self.udp), (Protocol::Tcp, &mut self.tcp)] {
            if spare.is_none() && self.protocols.includes(protocol) {
                let socket =
                    address::unbound(protocol, self.address).map_err(refusal_of(protocol))?;
                if let Some(choice) = self.choice {
                    socket_option::set_port_range(&socket, choice).map_err(refusal_of(protocol))?;
                }
                if self.reuses_address && protocol == Protocol::Tcp {
                    sockopt::set_socket_reuseaddr(&socket, true).map_err(refusal_of(protocol))?;
                }
                *spare = Some(socket);
            }
        }
        Ok(())
    }

    /// Binds UDP first, then TCP, and stops at the first refusal. If `port` is 0, it becomes the
    /// port that the kernel chose for the first protocol; the next one then requests it by number.
    #[expect(clippy::inline_always, reason = "a return after bind(2) is slow, see `bind_first`")]
    #[inline(always)]
    fn bind_spares(&self, port: &mut u16) -> Result<(), Refusal> {
        for (protocol, spare) in [(Protocol::Udp, &self.udp), (Protocol::Tcp, &self.tcp)] {
            if let Some(spare) = spare {
                let address = address::socket_address(self.address, *port);
                io::retry_on_intr(|| rustix::net::bind(spare, &address))
                    .map_err(refusal_of(protocol))?;
                if *port == 0 {
                    *port = address::local(spare).map_err(refusal_of(protocol))?.port();
                }
            }
        }
        Ok(())
    }

    /// Closes, after a refusal, the sockets that cannot be bound again: a UDP socket that is bound
    /// already, and a socket that the refused bind() may have changed.
    fn clean_up(&mut self, refusal: Refusal) {
        let is_as_new = [Errno::EADDRINUSE, Errno::EADDRNOTAVAIL, Errno::EACCES];
        let is_changed = !is_as_new.contains(&refusal.errno);
        if refusal.protocol == Protocol::Tcp || is_changed {
            self.udp = None;
        }
        if refusal.protocol == Protocol::Tcp && is_changed {
            self.tcp = None;
        }
    }
}

impl Binder for RealBinder {
    type Held = Box<dyn Held>;

    #[inline]
    fn port_of(&self, held: &Self::Held, asked: u16) -> u16 {
        if asked == 0 { held.port() } else { asked }
    }

    #[inline]
    fn refused_port(&self, _: u16) -> u16 {
        self.refused
    }

    fn late_datagrams(&mut self, held: &mut Self::Held) -> u64 {
        held.late_datagrams()
    }

    fn retire(&mut self, held: &mut Self::Held) {
        held.retire();
    }

    /// The duration is that of the bind() calls, without the time to open the sockets. It is zero
    /// if a socket could not be opened.
    #[expect(clippy::inline_always, reason = "a return after bind(2) is slow, see `bind_first`")]
    #[inline(always)]
    fn bind(&mut self, mut port: u16) -> (Result<Self::Held, Refusal>, Duration) {
        if let Err(refusal) = self.prepare() {
            self.refused = port;
            return (Err(refusal), Duration::ZERO);
        }
        let begin = Instant::now();
        let result = self.bind_spares(&mut port);
        let took = begin.elapsed();
        match result {
            Ok(()) => {
                let bound = BoundPort { port, tcp: self.tcp.take(), udp: self.udp.take() };
                (Ok(Box::new(bound)), took)
            }
            Err(refusal) => {
                self.refused = port;
                self.clean_up(refusal);
                (Err(refusal), took)
            }
        }
    }
}

impl HostBinder for RealBinder {
    /// Uses IP_LOCAL_PORT_RANGE (ip(7), Linux 6.3). The kernel chooses from the intersection of
    /// `range` and `ip_local_port_range`, and silently ignores the option if the intersection is
    /// empty.
    fn choose_within(&mut self, range: PortRange) -> Result<(), HostError> {
        let refused = |words: String| {
            let operation = format!("let the kernel choose a port from {range}");
            HostError::new(&operation, std::io::Error::other(words))
        };
        let automatic = automatic_range()?;
        let Some(shared) = automatic.intersection(range) else {
            return Err(refused(format!("it chooses only from ip_local_port_range {automatic}")));
        };
        (self.udp, self.tcp) = (None, None);
        self.choice = (shared != automatic).then_some(range);
        self.chooses_from_part = shared != range;
        self.prepare().map_err(|refusal| {
            refused(match refusal.errno {
                Errno::ENOPROTOOPT => {
                    format!("a part of ip_local_port_range {automatic} needs Linux 6.3 or later")
                }
                errno => errno.to_string(),
            })
        })
    }

    fn reuse_address(&mut self) {
        self.tcp = None;
        self.reuses_address = true;
    }

    fn limitation(&self) -> Option<&'static str> {
        match (self.is_ipv4_only, self.chooses_from_part) {
            (true, false) => Some("IPv4 only"),
            (false, true) => Some("kernel-bind: only ports in ip_local_port_range"),
            (true, true) => Some("IPv4 only; kernel-bind: only ports in ip_local_port_range"),
            (false, false) => None,
        }
    }

    fn hold_capacity(&self) -> u32 {
        let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let each = if self.protocols == Protocols::Both { 2 } else { 1 };
        let kept = DESCRIPTORS_KEPT.min(limit / 2).max(MIN_KEPT);
        let ports = limit.saturating_sub(kept) / each;
        u32::try_from(ports).unwrap_or(u32::MAX)
    }
}

struct BoundPort {
    port: u16,
    tcp: Option<OwnedFd>,
    udp: Option<OwnedFd>,
}

impl Held for BoundPort {
    fn port(&self) -> u16 {
        self.port
    }

    fn late_datagrams(&mut self) -> u64 {
        let Some(udp) = &self.udp else { return 0 };
        let next = || rustix::net::recv(udp, &mut [0], RecvFlags::DONTWAIT | RecvFlags::TRUNC);
        (0..LATE_DATAGRAMS).take_while(|_| next().is_ok()).count() as u64
    }

    /// Another process may have connected the sockets through duplicates, or made them listen. A
    /// port that was bound by number stays bound when the socket is disconnected or stops
    /// listening.
    fn retire(&mut self) {
        if let Some(tcp) = &self.tcp
            && sockopt::socket_acceptconn(tcp).is_ok_and(|listens| listens)
        {
            // Stops listening and resets waiting connections (inet_shutdown in net/ipv4/af_inet.c).
            let _ = rustix::net::shutdown(tcp, Shutdown::Read);
        }
        if let Some(udp) = &self.udp {
            let _ = rustix::net::connect_unspec(udp);
        }
        // By default, a receive buffer holds a few hundred datagrams. Datagrams of a larger buffer,
        // or that arrive during this loop, may remain; `late_datagrams` counts them later.
        for _ in 0..8 {
            if self.late_datagrams() < LATE_DATAGRAMS as u64 {
                break;
            }
        }
    }

    fn copies(&self) -> std::io::Result<Vec<OwnedFd>> {
        self.tcp.iter().chain(&self.udp).map(OwnedFd::try_clone).collect()
    }

    fn into_descriptors(self: Box<Self>) -> Vec<OwnedFd> {
        self.tcp.into_iter().chain(self.udp).collect()
    }
}

/// Reads `ip_local_port_range`. Errors: the sysctl cannot be read. Does not fall back to the
/// assumed default.
fn automatic_range() -> Result<PortRange, HostError> {
    let mut gaps = Vec::new();
    let policy = PolicyReader::default().read(&mut gaps);
    let is_unread = |gap: &Gap| match gap {
        Gap::PolicyAssumed { sysctl, .. } => sysctl.as_str() == "net.ipv4.ip_local_port_range",
        _ => false,
    };
    if gaps.iter().any(is_unread) {
        let source = std::io::Error::other("net.ipv4.ip_local_port_range cannot be read");
        return Err(HostError::new("read the port range of the kernel", source));
    }
    Ok(policy.range)
}

fn refusal_of(protocol: Protocol) -> impl Fn(io::Errno) -> Refusal {
    move |errno| Refusal { protocol, errno: errno.into() }
}
