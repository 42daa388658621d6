//! The sockets that are connected to a remote port. Does not count those on a local port.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use crate::domain::{
    Endpoint, Protocol, Socket,
    notation::{counted, grouped},
    socket::canonical,
};

/// Maximum number of destinations that the sentence names.
const MAX_NAMED: usize = 3;

/// Which sockets lead to a remote port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePortUse {
    pub port: u16,
    pub sockets: u32,
    /// Those with most sockets first, at least one.
    pub destinations: Vec<(Endpoint, u32)>,
}

impl RemotePortUse {
    /// Counts the sockets of these protocols that lead to the port. None: there is none.
    pub fn count(
        sockets: &[Socket],
        port: u16,
        is_counted: impl Fn(Protocol) -> bool,
    ) -> Option<Self> {
        let mut by_remote: BTreeMap<Endpoint, u32> = BTreeMap::new();
        for socket in sockets {
            if let Some(remote) = socket.remote.filter(|remote| remote.port == port)
                && is_counted(socket.protocol)
            {
                let address = canonical(remote.address);
                *by_remote.entry(Endpoint { address, port }).or_default() += 1;
            }
        }
        let mut destinations: Vec<(Endpoint, u32)> = by_remote.into_iter().collect();
        destinations.sort_by_key(|&(_, sockets)| Reverse(sockets));
        let sockets = destinations.iter().map(|&(_, sockets)| sockets).sum();
        (sockets > 0).then_some(Self { port, sockets, destinations })
    }
}

/// Formats `18,600 sockets lead to remote port 5432: 10.0.3.17:5432`.
impl fmt::Display for RemotePortUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sockets = counted(u64::from(self.sockets), "socket");
        let verb = if self.sockets == 1 { "leads" } else { "lead" };
        write!(f, "{sockets} {verb} to remote port {}: ", self.port)?;
        for (index, (endpoint, sockets)) in self.destinations.iter().take(MAX_NAMED).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{endpoint}")?;
            if self.destinations.len() > 1 {
                write!(f, " ({})", grouped(*sockets))?;
            }
        }
        match self.destinations.len().saturating_sub(MAX_NAMED) {
            0 => Ok(()),
            more => write!(f, " and {}", counted(more as u64, "more destination")),
        }
    }
}
