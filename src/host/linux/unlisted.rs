//! Finds TCP sockets that are bound but not listed by this kernel, by copying their descriptors one
//! by one (pidfd_getfd(2)). Does not describe their processes.
//!
//! A socket whose connection was refused or has ended is in the state TCP_CLOSE again, and
//! getsockname() still returns its port. If the port was given to bind(), the socket keeps it
//! (`SOCK_BINDPORT_LOCK`); if connect() or bind() to port 0 chose it, the port is free
//! (`tcp_set_state`, `inet_put_port`). No socket option shows which of the two is the case, so the
//! port of such a socket is in doubt.

use std::{collections::BTreeMap, fmt::Display, os::fd::OwnedFd};

use rustix::{
    fs::{fstat, stat},
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use crate::{
    domain::{self, Endpoint, Family, Gap, PortSet, Protocol, Socket, State, gap::UnreadPorts},
    host::linux::{
        address,
        owners::SocketDescriptor,
        socket_option::{self, BOUND_DEVICE, NETNS_COOKIE, TCP_INFO},
    },
};

/// Maximum number of descriptors copied per scan, at about 10 µs each.
const MAX_COPIED: usize = 4096;

/// `TCP_CLOSE`: bound or not, and neither listening nor connected.
const CLOSED: u8 = 7;

/// Opens a thread, not a process (`PIDFD_THREAD`, which is O_EXCL). Since Linux 6.9.
const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(0o200);

/// Finds bound TCP sockets that no table lists, and remembers which sockets are not TCP.
#[derive(Default)]
pub struct UnlistedFinder {
    /// Inodes of sockets that are not TCP, ascending.
    foreign: Vec<u32>,
}

/// The TCP sockets that no table lists and that were not found to be bound.
#[derive(Debug, Default)]
pub struct UnlistedRest {
    /// Number of sockets that are not bound in this namespace, or whose port is in doubt.
    pub judged: u32,
    unread: BTreeMap<u32, u32>,
    error: Option<Errno>,
    in_doubt: PortSet,
}

impl UnlistedRest {
    /// Returns the number of sockets whose port could not be read.
    pub fn unread(&self) -> u32 {
        self.unread.values().sum()
    }

    /// Returns the gaps; none if it is known for each socket whether its port is bound.
    pub fn gaps(self) -> impl Iterator<Item = Gap> {
        let holders = self.unread.into_iter().map(|(pid, sockets)| UnreadPorts { pid, sockets });
        let holders: Vec<UnreadPorts> = holders.collect();
        let error = self.error.map(domain::Errno::from);
        let unread = (!holders.is_empty()).then_some(Gap::PortsUnread { holders, error });
        let ports = self.in_doubt;
        unread.into_iter().chain((!ports.is_empty()).then_some(Gap::PortsInDoubt { ports }))
    }

    fn fail(&mut self, pid: u32, error: Option<Errno>) {
        *self.unread.entry(pid).or_default() += 1;
        self.error = self.error.or(error);
    }
}

/// The port of a closed socket.
enum ClosedPort {
    Bound(Socket),
    InDoubt(u16),
    None,
}

impl UnlistedFinder {
    /// Appends the sockets of `socket_descriptors` that are bound in the calling thread's network
    /// namespace and missing in `sockets`, which must have all other TCP sockets.
    pub fn find(
        &mut self,
        mut socket_descriptors: Vec<SocketDescriptor>,
        sockets: &mut Vec<Socket>,
    ) -> UnlistedRest {
        let mut listed: Vec<u32> = sockets.iter().filter_map(|socket| socket.inode).collect();
        listed.sort_unstable();
        socket_descriptors
            .retain(|socket_descriptor| listed.binary_search(&socket_descriptor.inode).is_err());
        socket_descriptors.sort_unstable_by_key(|socket_descriptor| {
            (socket_descriptor.inode, socket_descriptor.tid.is_some(), socket_descriptor.pid)
        });
        let mut foreign = Vec::new();
        let mut rest = UnlistedRest::default();
        let here = Here::read();
        let mut copied = 0;
        let of_sockets = socket_descriptors.chunk_by(|a, b| a.inode == b.inode);
        for of_socket in here.first(of_sockets.collect()) {
            let inode = of_socket[0].inode;
            match self.foreign.binary_search(&inode).is_err() && is_tcp(of_socket) {
                false => foreign.push(inode),
                true if copied >= MAX_COPIED => rest.fail(of_socket[0].pid, None),
                true => {
                    copied += 1;
                    match here.ask(of_socket) {
                        Ok(ClosedPort::Bound(socket)) => sockets.push(socket),
                        Ok(ClosedPort::InDoubt(port)) => {
                            rest.judged += 1;
                            rest.in_doubt.insert(port);
                        }
                        Ok(ClosedPort::None) => rest.judged += 1,
                        Err(errno) => rest.fail(of_socket[0].pid, Some(errno)),
                    }
                }
            }
        }
        foreign.sort_unstable();
        self.foreign = foreign;
        rest
    }
}

/// Returns whether the socket is TCP; false if it was closed meanwhile.
fn is_tcp(socket_descriptors: &[SocketDescriptor]) -> bool {
    let mut name = [0; 16];
    socket_descriptors.iter().any(|socket_descriptor| {
        let read = rustix::fs::getxattr(path(socket_descriptor), "system.sockprotoname", &mut name);
        let length = read.unwrap_or(0);
        // TCP, TCPv6, MPTCP and MPTCPv6, with a NUL at the end.
        let name = &name[..length];
        name.starts_with(b"TCP") || name.starts_with(b"MPTCP")
    })
}

fn path(socket_descriptor: &SocketDescriptor) -> String {
    let SocketDescriptor { pid, tid, descriptor, .. } = socket_descriptor;
    match tid {
        Some(tid) => format!("/proc/{pid}/task/{tid}/fd/{descriptor}"),
        None => format!("/proc/{pid}/fd/{descriptor}"),
    }
}

/// The network namespace of the calling thread.
struct Here {
    /// SO_NETNS_COOKIE; None before Linux 5.14.
    cookie: Option<[u8; 8]>,
    /// Inode number of /proc/thread-self/ns/net; None: it cannot be read.
    inode: Option<u64>,
}

impl Here {
    fn read() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let own = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
        Self {
            cookie: own.and_then(|own| socket_option::get(own, NETNS_COOKIE)).ok(),
            inode: namespace_of("thread-self"),
        }
    }

    /// Moves the sockets of processes in this namespace, and of this process, to the front: the
    /// sockets of other namespaces, such as those of containers, must not use up `MAX_COPIED`.
    fn first<'a>(
        &self,
        mut of_sockets: Vec<&'a [SocketDescriptor]>,
    ) -> Vec<&'a [SocketDescriptor]> {
        let mut known: BTreeMap<u32, bool> = BTreeMap::from([(std::process::id(), true)]);
        let mut is_here =
            |pid: u32| *known.entry(pid).or_insert_with(|| namespace_of(pid) == self.inode);
        of_sockets.sort_by_cached_key(|of_socket| {
            !of_socket.iter().any(|socket_descriptor| is_here(socket_descriptor.pid))
        });
        of_sockets
    }

    /// Returns the port of a socket; `ClosedPort::None` also for a socket of another namespace.
    ///
    /// Errors: no process that holds the socket lets this process copy its descriptor.
    fn ask(&self, socket_descriptors: &[SocketDescriptor]) -> rustix::io::Result<ClosedPort> {
        let mut refusal = None;
        for socket_descriptor in socket_descriptors {
            match copy(socket_descriptor) {
                Ok(copy) if is_inode(&copy, socket_descriptor.inode) => {
                    let is_here = self.has(&copy, socket_descriptor);
                    return Ok(if is_here {
                        port(&copy, socket_descriptor.inode)
                    } else {
                        ClosedPort::None
                    });
                }
                // The descriptor was closed, and its number may be that of another file by now.
                Ok(_) | Err(Errno::BADF | Errno::SRCH) => {}
                Err(errno) => refusal = refusal.or(Some(errno)),
            }
        }
        let is_elsewhere = |socket_descriptor| self.is_of_process(socket_descriptor) == Some(false);
        refusal
            .filter(|_| !socket_descriptors.iter().all(is_elsewhere))
            .map_or(Ok(ClosedPort::None), Err)
    }

    fn has(&self, copy: &OwnedFd, socket_descriptor: &SocketDescriptor) -> bool {
        let cookie = socket_option::get(copy, NETNS_COOKIE).ok();
        if let (Some(ours), Some(their_stat)) = (self.cookie, cookie) {
            return ours == their_stat;
        }
        let namespace = socket_option::network_namespace(copy).and_then(fstat).ok();
        match (self.inode, namespace) {
            (Some(ours), Some(their_stat)) => ours == their_stat.st_ino,
            _ => self.is_of_process(socket_descriptor) != Some(false),
        }
    }

    /// Returns whether the process is in this namespace; its sockets are most likely in the same
    /// one. None: that cannot be read.
    fn is_of_process(&self, socket_descriptor: &SocketDescriptor) -> Option<bool> {
        let pid = socket_descriptor.tid.unwrap_or(socket_descriptor.pid);
        Some(namespace_of(pid)? == self.inode?)
    }
}

fn namespace_of(process: impl Display) -> Option<u64> {
    stat(format!("/proc/{process}/ns/net")).ok().map(|link| link.st_ino)
}

fn is_inode(socket: &OwnedFd, inode: u32) -> bool {
    fstat(socket).is_ok_and(|stat| stat.st_ino == u64::from(inode))
}

/// Copies the descriptor. The copy shares the socket with its holder, so the caller must only read
/// options and close it at once.
fn copy(socket_descriptor: &SocketDescriptor) -> rustix::io::Result<OwnedFd> {
    let (task, flags) = match socket_descriptor.tid {
        Some(tid) => (tid, THREAD),
        None => (socket_descriptor.pid, PidfdFlags::empty()),
    };
    let pid = Pid::from_raw(task.cast_signed()).ok_or(Errno::SRCH)?;
    let process = pidfd_open(pid, flags)?;
    pidfd_getfd(&process, socket_descriptor.descriptor.cast_signed(), PidfdGetfdFlags::empty())
}

fn port(copy: &OwnedFd, inode: u32) -> ClosedPort {
    let info = socket_option::get(copy, TCP_INFO).ok();
    let is_closed = info.is_none_or(|info| info[0] == CLOSED);
    // connect() and accept() set `tcpi_advmss`, which keeps its value when the socket is closed
    // again.
    let was_connected = info.is_some_and(|info| info[84..] != [0; 4]);
    match address::local(copy) {
        Ok(local) if !is_closed || local.port() == 0 => ClosedPort::None,
        Ok(local) if was_connected => ClosedPort::InDoubt(local.port()),
        Ok(local) => ClosedPort::Bound(row(copy, inode, (local.ip(), local.port()).into())),
        Err(_) => ClosedPort::None,
    }
}

/// Returns the socket as a kernel that lists bound sockets would.
fn row(copy: &OwnedFd, inode: u32, local: Endpoint) -> Socket {
    let device = socket_option::get(copy, BOUND_DEVICE).map(u32::from_ne_bytes);
    let mut row = Socket {
        interface: device.ok().filter(|&index| index != 0),
        inode: Some(inode),
        uid: fstat(copy).ok().map(|stat| stat.st_uid),
        cookie: sockopt::socket_cookie(copy).ok(),
        ..Socket::new(Protocol::Tcp, State::Bound, local)
    };
    if local.address.is_ipv6() && sockopt::ipv6_v6only(copy) == Ok(false) && !row.is_mapped() {
        row.family = Family::Dual;
    }
    row
}
