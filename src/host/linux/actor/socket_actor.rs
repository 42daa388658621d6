//! An actor that opens sockets, or accepts connections, and holds each. Reports on stdout by
//! [`ActorEvent`]s.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    fd::OwnedFd,
    io::Errno,
    net::{self, SendFlags, SocketFlags, sockopt},
};

use crate::{
    domain::Protocol,
    host::{
        actor::{
            ActorEvent, HoldTime, ListenRole, LocalPorts, OpenCall, OpenRole, exponential_gap,
        },
        descriptors,
        linux::{
            actor::{RandomFraction, TIMEOUT, actor_process, draw},
            address, socket_option,
        },
        named_address,
    },
};

/// Maximum delay that the actor catches up with. Catching up with more, for example after the
/// process was stopped, would cause a burst of calls.
const MAX_LAG: Duration = Duration::from_millis(1);

/// Identifies the listening socket in the epoll instance. The held sockets are numbered from 0.
const LISTENER: u64 = u64::MAX;

/// Number of waiting connections; the kernel limits it to net.core.somaxconn (listen(2)).
const BACKLOG: i32 = i32::MAX;

pub struct SocketActor<'a> {
    hold: HoldTime,
    /// None: it listens.
    opens: Option<OpenRole>,
    random_fraction: RandomFraction<'a>,
    listener: Option<OwnedFd>,
    /// A socket whose bind() was refused: it is as new.
    spare: Option<OwnedFd>,
    /// The sockets that it holds, in the order in which it opened them.
    held: BTreeMap<u64, ActorSocket>,
    /// Number of sockets that it has held.
    count: u64,
    /// Number of sockets that it has tried to open.
    tried: u64,
    /// Reports a connection to accept, and the held sockets whose peer has closed.
    epoll: OwnedFd,
    reported: String,
}

struct ActorSocket {
    release: Option<Instant>,
    _socket: OwnedFd,
}

impl<'a> SocketActor<'a> {
    /// Errors: the kernel refuses the address or the port, which is also reported.
    pub fn listening(role: &ListenRole, random_fraction: RandomFraction<'a>) -> io::Result<Self> {
        let mut actor = Self::new(role.hold, None, random_fraction)?;
        match listen(role) {
            Ok(listener) => {
                epoll::add(&actor.epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
                actor.report(ActorEvent::Up { port: address::local(&listener)?.port() });
                actor.listener = Some(listener);
            }
            Err(errno) => {
                actor.report(ActorEvent::Refused { port: role.at.port(), errno: errno.into() });
                actor.send_reports()?;
                return Err(errno.into());
            }
        }
        Ok(actor)
    }

    pub fn opening(role: OpenRole, random_fraction: RandomFraction<'a>) -> io::Result<Self> {
        let mut actor = Self::new(role.hold, Some(role), random_fraction)?;
        actor.report(ActorEvent::Up { port: 0 });
        Ok(actor)
    }

    fn new(
        hold: HoldTime,
        opens: Option<OpenRole>,
        random_fraction: RandomFraction<'a>,
    ) -> io::Result<Self> {
        actor_process::end_with_parent()?;
        actor_process::reduce_timer_slack();
        descriptors::raise_limit();
        Ok(Self {
            hold,
            opens,
            random_fraction,
            listener: None,
            spare: None,
            held: BTreeMap::new(),
            count: 0,
            tried: 0,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            reported: String::new(),
        })
    }

    /// Errors: the process that started this one has ended (`BrokenPipe`), or a system call fails
    /// that is not for a port.
    pub fn run(mut self) -> io::Result<()> {
        let mut due = None;
        loop {
            self.send_reports()?;
            let role = self.role_with_room();
            due = due.or_else(|| Some(Instant::now() + self.gap(role?)));
            let release = self.held.first_key_value().and_then(|(_, held)| held.release);
            let deadline = [due, release].into_iter().flatten().min();
            if actor_process::wait(deadline, Some(&self.epoll))? {
                self.handle_peers()?;
            }
            let now = Instant::now();
            while let Some(oldest) = self.held.first_entry()
                && oldest.get().release.is_some_and(|release| release <= now)
            {
                oldest.remove();
            }
            if let (Some(planned), Some(role)) = (due.filter(|due| *due <= now), role) {
                self.open(role)?;
                let from = planned.max(now.checked_sub(MAX_LAG).unwrap_or(now));
                due = self.role_with_room().map(|role| from + self.gap(role));
            }
        }
    }

    /// Returns what to open next. None: it listens, holds the maximum, or has opened all. A Poisson
    /// process has no memory, so the next gap can begin at the release that makes room.
    fn role_with_room(&self) -> Option<OpenRole> {
        let has_room =
            |role: &OpenRole| self.held.len() < role.most as usize && self.tried < role.count;
        self.opens.filter(has_room)
    }

    /// Returns the time until the next call.
    fn gap(&mut self, role: OpenRole) -> Duration {
        exponential_gap(role.per_second, (self.random_fraction)())
    }

    /// Tries ports at random until a socket is opened, or until the search gives up (`TIMEOUT`).
    fn open(&mut self, role: OpenRole) -> io::Result<()> {
        self.tried += 1;
        let (protocol, from, to) = match role.call {
            OpenCall::Connect { from, to } => (Protocol::Tcp, from, Some(to)),
            OpenCall::Bind { from } => (Protocol::Tcp, Some(from), None),
            OpenCall::UdpBind { from } => (Protocol::Udp, Some(from), None),
            OpenCall::UdpSend { to } => (Protocol::Udp, None, Some(to)),
        };
        // One port is tried once.
        let attempts = from.map_or(1, |from| TIMEOUT * (from.ports.len() - 1) + 1);
        for _ in 0..attempts {
            let port = from.map_or(0, |from| draw(from.ports, self.random_fraction));
            let from = from.map(|LocalPorts { address, .. }| SocketAddr::new(address, port));
            match self.open_at(role, protocol, from, to) {
                Ok(socket) if port == 0 => {
                    let port = address::local(&socket)?.port();
                    return self.keep(port, socket);
                }
                Ok(socket) => return self.keep(port, socket),
                Err(errno) => {
                    self.report(ActorEvent::Refused { port, errno: errno.into() });
                    if errno != Errno::ADDRINUSE {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens a socket: binds it to `from` and connects or sends it to `to`, where they are given.
    fn open_at(
        &mut self,
        role: OpenRole,
        protocol: Protocol,
        from: Option<SocketAddr>,
        to: Option<SocketAddr>,
    ) -> rustix::io::Result<OwnedFd> {
        let socket = match self.spare.take() {
            Some(spare) => spare,
            None => unbound(protocol, from.or(to), role.reuse_address, role.bind_no_port)?,
        };
        if let Some(from) = from
            && let Err(errno) = net::bind(&socket, &from)
        {
            if errno == Errno::ADDRINUSE {
                self.spare = Some(socket);
            }
            return Err(errno);
        }
        match (to, protocol) {
            (Some(to), Protocol::Tcp) => net::connect(&socket, &to)?,
            (Some(to), Protocol::Udp) => drop(net::sendto(&socket, b"?", SendFlags::empty(), &to)?),
            (None, _) => {}
        }
        Ok(socket)
    }

    /// Holds a new socket, and reports it.
    fn keep(&mut self, port: u16, socket: OwnedFd) -> io::Result<()> {
        let release = match self.hold {
            HoldTime::For(time) => Some(Instant::now() + time),
            HoldTime::UntilPeerCloses => {
                let number = EventData::new_u64(self.count);
                epoll::add(&self.epoll, &socket, number, EventFlags::RDHUP)?;
                None
            }
            HoldTime::Forever => None,
        };
        self.report(ActorEvent::Opened { port, held: self.held.len() as u32 });
        self.held.insert(self.count, ActorSocket { release, _socket: socket });
        self.count += 1;
        Ok(())
    }

    /// Closes the sockets whose peer has closed, and accepts the connections that wait.
    fn handle_peers(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&Timespec::default()))?;
        for event in events {
            let Some(listener) = self.listener.as_ref().filter(|_| event.data.u64() == LISTENER)
            else {
                self.held.remove(&event.data.u64());
                continue;
            };
            match net::acceptfrom_with(listener, SocketFlags::CLOEXEC) {
                Ok((socket, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    self.keep(peer.map_or(0, |peer| peer.port()), socket)?;
                }
                // The peer has given up.
                Err(Errno::AGAIN | Errno::CONNABORTED) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn report(&mut self, event: ActorEvent) {
        let _ = writeln!(self.reported, "{event}");
    }

    fn send_reports(&mut self) -> io::Result<()> {
        if !self.reported.is_empty() {
            io::stdout().write_all(self.reported.as_bytes())?;
            self.reported.clear();
            io::stdout().flush()?;
        }
        Ok(())
    }
}

fn listen(role: &ListenRole) -> rustix::io::Result<OwnedFd> {
    let socket = unbound(Protocol::Tcp, Some(role.at), role.reuse_address, false)?;
    net::bind(&socket, &role.at)?;
    net::listen(&socket, BACKLOG)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Opens a socket of the family of `at`.
fn unbound(
    protocol: Protocol,
    at: Option<SocketAddr>,
    reuse_address: bool,
    bind_no_port: bool,
) -> rustix::io::Result<OwnedFd> {
    let address = at.map(|at| at.ip().into());
    let socket = address::unbound(protocol, named_address(address, None))?;
    if reuse_address {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if bind_no_port {
        socket_option::bind_no_port(&socket)?;
    }
    Ok(socket)
}
