//! The bare bind loop for comparison. For benches.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
};

use portscope::domain::{PortRange, Protocols};
use rand::{RngExt, rngs::ChaCha12Rng};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
};

const EVERYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// What one writes without portscope: draw, bind, on EADDRINUSE draw again with the same socket.
pub struct BareLoop {
    /// UDP before TCP; None is to be made.
    spares: Vec<(SocketType, Option<OwnedFd>)>,
    range: PortRange,
    random: ChaCha12Rng,
}

impl BareLoop {
    /// Draws the same ports as the allocator with that seed.
    pub fn new(protocols: Protocols, range: PortRange, random: ChaCha12Rng) -> Self {
        let kinds: &[SocketType] = match protocols {
            Protocols::Tcp => &[SocketType::STREAM],
            Protocols::Udp => &[SocketType::DGRAM],
            Protocols::Both => &[SocketType::DGRAM, SocketType::STREAM],
        };
        Self { spares: kinds.iter().map(|&kind| (kind, None)).collect(), range, random }
    }

    /// How many attempts it took.
    pub fn allocate(&mut self) -> rustix::io::Result<u32> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let port = self.range.first() + self.random.random_range(0..self.range.len()) as u16;
            match self.bind(port) {
                Ok(()) => break,
                Err(Errno::ADDRINUSE) => {}
                Err(error) => return Err(error),
            }
        }
        // Released at once, as the allocator's result is.
        self.spares.iter_mut().for_each(|(_, spare)| *spare = None);
        Ok(attempts)
    }

    fn bind(&mut self, port: u16) -> rustix::io::Result<()> {
        let address = SocketAddr::new(EVERYWHERE, port);
        for number in 0..self.spares.len() {
            let (kind, spare) = &mut self.spares[number];
            let socket = match spare {
                Some(socket) => socket,
                none => none.insert(unbound(*kind)?),
            };
            if let Err(error) = rustix::net::bind(socket, &address) {
                // What was bound before the refusal cannot be used again.
                self.spares[..number].iter_mut().for_each(|(_, spare)| *spare = None);
                return Err(error);
            }
        }
        Ok(())
    }
}

fn unbound(kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::INET6, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    Ok(socket)
}
