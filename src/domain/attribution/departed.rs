//! Remembers which process held the sockets that the kernel keeps after the process closed them.
//! Looks back by one snapshot only: sockets that disappeared are forgotten.

use std::num::NonZeroU64;

use crate::domain::{Holder, Protocol, Snapshot, Socket, history::endpoints};

use super::{PidPool, append};

/// The processes that held each socket of the latest attributed snapshot: 24 bytes per socket.
#[derive(Clone, Debug, Default)]
pub struct Departed {
    /// Sorted by protocol and port, then by cookie.
    known: Vec<HeldSocket>,
    /// The pids of sockets that several processes share.
    shared: Vec<u32>,
    /// A buffer: (fingerprint, index among the port's entries of `known`) for the sockets of one
    /// port.
    by_endpoints: Vec<(u32, u32)>,
}

/// A socket and the processes that hold it or held it.
#[derive(Clone, Copy, Debug)]
struct HeldSocket {
    cookie: Option<NonZeroU64>,
    /// A fingerprint of the local address and the remote endpoint; `port` is the local port.
    endpoints: u32,
    /// The pid. If `pids` is not 1, the index in `shared` of the first pid.
    pid: u32,
    /// Number of pids.
    pids: u16,
    port: u16,
    protocol: Protocol,
    /// Whether the processes had already closed the socket.
    is_departed: bool,
}

const _: () = assert!(size_of::<HeldSocket>() == 24, "there may be 200,000 of them");

impl Departed {
    /// Replaces `Holder::Kernel` by `Holder::Departed` where an earlier snapshot showed a process
    /// that held the socket, then stores this snapshot, which must be sorted and attributed.
    pub fn restore_owners(&mut self, snapshot: &mut Snapshot) {
        let Snapshot { sockets, pids, .. } = snapshot;
        let mut pool = PidPool { pids, last: None };
        let mut from = 0;
        for port in sockets.chunk_by_mut(Socket::shares_port) {
            let at = port[0].protocol_port();
            from += self.known[from..].iter().take_while(|held| held.protocol_port() < at).count();
            let same =
                self.known[from..].iter().take_while(|held| held.protocol_port() == at).count();
            if same > 0 {
                self.recall_port(port, from..from + same, &mut pool);
            }
            from += same;
        }
        self.remember(snapshot);
    }

    fn recall_port(
        &mut self,
        port: &mut [Socket],
        known: std::ops::Range<usize>,
        pool: &mut PidPool,
    ) {
        let held = &self.known[known];
        let mut is_indexed = false;
        for socket in port.iter_mut().filter(|socket| socket.holder == Holder::Kernel) {
            let mut found = by_cookie(held, socket);
            // The socket may have no cookie, or may have had none in the earlier snapshot.
            if found.is_none() && socket.is_closed_by_process() && socket.remote.is_some() {
                if !is_indexed {
                    index(held, &mut self.by_endpoints);
                    is_indexed = true;
                }
                found = by_endpoints(held, &self.by_endpoints, socket);
            }
            if let Some(found) = found {
                socket.holder = Holder::Departed(pool.span(found.pids(&self.shared)));
            }
        }
    }

    fn remember(&mut self, snapshot: &Snapshot) {
        self.known.clear();
        self.shared.clear();
        let held = snapshot.sockets.iter().filter_map(|socket| match socket.holder {
            Holder::Process(span) | Holder::Departed(span) => Some((socket, span)),
            _ => None,
        });
        let count = held.clone().count();
        if self.known.capacity() < count {
            // Reserves slightly more, so that slow growth does not allocate each time.
            self.known.reserve_exact(count + count / 64);
        }
        for (socket, span) in held {
            self.known.push(HeldSocket::of(socket, snapshot.span(span), &mut self.shared));
        }
        for port in self.known.chunk_by_mut(|a, b| a.protocol_port() == b.protocol_port()) {
            // The sockets are already in this order, except on ports with sockets of several
            // `Family` values.
            port.sort_unstable_by_key(|held| held.cookie);
        }
    }
}

impl HeldSocket {
    fn of(socket: &Socket, pids: &[u32], shared: &mut Vec<u32>) -> Self {
        let pid = match *pids {
            [pid] => pid,
            _ => append(shared, pids.iter().copied()).first,
        };
        Self {
            cookie: socket.cookie.and_then(NonZeroU64::new),
            endpoints: endpoints(socket) as u32,
            pid,
            pids: u16::try_from(pids.len()).unwrap_or(u16::MAX),
            port: socket.local.port,
            protocol: socket.protocol,
            is_departed: matches!(socket.holder, Holder::Departed(_)),
        }
    }

    fn protocol_port(&self) -> (Protocol, u16) {
        (self.protocol, self.port)
    }

    fn pids<'a>(&'a self, shared: &'a [u32]) -> &'a [u32] {
        let first = self.pid as usize;
        match self.pids {
            1 => std::slice::from_ref(&self.pid),
            count => shared.get(first..first + usize::from(count)).unwrap_or_default(),
        }
    }
}

fn by_cookie<'a>(held: &'a [HeldSocket], socket: &Socket) -> Option<&'a HeldSocket> {
    let cookie = socket.cookie.and_then(NonZeroU64::new)?;
    let found = held.binary_search_by_key(&Some(cookie), |held| held.cookie).ok()?;
    held.get(found)
}

fn index(held: &[HeldSocket], index_by_endpoints: &mut Vec<(u32, u32)>) {
    index_by_endpoints.clear();
    index_by_endpoints.extend((0..).zip(held).map(|(index, held)| (held.endpoints, index)));
    index_by_endpoints.sort_unstable();
}

/// Finds a socket by its endpoints. The cookie of a socket does not change after its process has
/// closed it: if it has changed, this is another socket, and the result is None.
fn by_endpoints<'a>(
    held: &'a [HeldSocket],
    index_by_endpoints: &[(u32, u32)],
    socket: &Socket,
) -> Option<&'a HeldSocket> {
    let endpoints = endpoints(socket) as u32;
    let found = index_by_endpoints.binary_search_by_key(&endpoints, |&(held, _)| held).ok()?;
    let held = held.get(index_by_endpoints[found].1 as usize)?;
    let is_another = held.is_departed && held.cookie.is_some() && socket.cookie.is_some();
    (!is_another).then_some(held)
}
