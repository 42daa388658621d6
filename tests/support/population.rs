//! Real sockets, the processes that hold them, and what a correct scan reports about each. Does not
//! scan.
//!
//! A holder is a `cat` process that inherited the descriptors and waits for the end of its standard
//! input: it ends when its population is dropped or this process dies. Descriptors are inherited,
//! so no other thread may start processes while a population is built.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

use std::{
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{Gid, Uid, fchown, fstat},
    io::{FdFlags, fcntl_setfd},
    process::{Resource, geteuid, getrlimit, setrlimit},
};
use socket2::{Domain, Socket, Type};

/// One socket as `portscope scan --format json` must report it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub protocol: String,
    pub state: String,
    pub local: SocketAddr,
    pub remote: Option<SocketAddr>,
    pub family: String,
    pub owner: String,
    /// Ascending.
    pub pids: Vec<u32>,
    /// None if a scan reports null.
    pub inode: Option<u64>,
    /// None if a scan reports null, and for backlog rows, for which the format promises no uid.
    pub uid: Option<u32>,
}

impl Row {
    /// A socket that a process holds.
    pub fn of(socket: &Socket, state: &str) -> io::Result<Self> {
        let is_stream = socket.r#type()? == Type::STREAM;
        let local = endpoint(&socket.local_addr()?)?;
        let takes_both = matches!(state, "LISTEN" | "BOUND" | "UNCONNECTED")
            && local.is_ipv6()
            && !socket.only_v6()?;
        let family = if takes_both { "dual" } else { family_of(local) };
        Ok(Self {
            protocol: if is_stream { "tcp" } else { "udp" }.to_owned(),
            state: state.to_owned(),
            local,
            remote: socket.peer_addr().ok().map(|peer| endpoint(&peer)).transpose()?,
            family: family.to_owned(),
            owner: "process".to_owned(),
            pids: Vec::new(),
            inode: Some(fstat(socket)?.st_ino),
            uid: None,
        })
    }

    /// The same connection after its process has closed it.
    pub fn closed(self, state: &str) -> Self {
        Self { state: state.to_owned(), owner: "kernel".to_owned(), inode: None, ..self }
    }

    /// The other end of a client's connection, not yet accepted by a listener of the same family.
    pub fn waiting(client: &Self, state: &str) -> Option<Self> {
        Some(Self {
            state: state.to_owned(),
            local: client.remote?,
            remote: Some(client.local),
            owner: "backlog".to_owned(),
            inode: None,
            ..client.clone()
        })
    }
}

fn endpoint(address: &socket2::SockAddr) -> io::Result<SocketAddr> {
    let address = address.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok(SocketAddr::new(address.ip(), address.port()))
}

fn family_of(address: SocketAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// Sockets and files that the same processes will hold, and the rows that result.
#[derive(Default)]
pub struct SocketShare {
    descriptors: Vec<OwnedFd>,
    rows: Vec<Row>,
}

impl SocketShare {
    /// Takes the socket, which is in this state now.
    pub fn take(&mut self, socket: Socket, state: &str) -> io::Result<()> {
        self.rows.push(Row::of(&socket, state)?);
        self.descriptors.push(socket.into());
        Ok(())
    }

    /// Takes the socket. Its row cannot be derived from it.
    pub fn keep_as(&mut self, socket: Socket, row: Row) {
        self.rows.push(row);
        self.descriptors.push(socket.into());
    }

    /// Takes a descriptor that is not a socket.
    pub fn take_file(&mut self, file: impl Into<OwnedFd>) {
        self.descriptors.push(file.into());
    }

    /// Adds a row without a descriptor: of the kernel, or in the backlog of a listener of this
    /// share.
    pub fn expect(&mut self, row: Row) {
        self.rows.push(row);
    }
}

/// All sockets built in one namespace. Dropping it ends the holders and closes the other sockets.
#[derive(Default)]
pub struct Population {
    rows: Vec<Row>,
    kept: Vec<OwnedFd>,
    holders: Vec<Holder>,
    sockets: usize,
    descriptors: usize,
}

impl Population {
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Frees the memory of the rows, for populations that are only counted.
    pub fn forget_rows(&mut self) {
        self.rows = Vec::new();
    }

    /// Number of sockets built, including TIME-WAIT, backlog and forgotten rows.
    pub fn sockets(&self) -> usize {
        self.sockets
    }

    pub fn processes(&self) -> usize {
        self.holders.len()
    }

    /// Number of descriptors built, counted once for each process that holds them.
    pub fn descriptors(&self) -> usize {
        self.descriptors
    }

    /// Keeps the share in this process.
    pub fn keep(&mut self, share: SocketShare) {
        self.remember(share.rows, &[std::process::id()], geteuid());
        self.descriptors += share.descriptors.len();
        self.kept.extend(share.descriptors);
    }

    /// Gives the share to a new process.
    pub fn give(&mut self, share: SocketShare) -> io::Result<()> {
        let pid = self.start_holder(&share, None)?;
        self.remember(share.rows, &[pid], geteuid());
        Ok(())
    }

    /// Gives the share to a new process of another user, who then also owns the sockets.
    pub fn give_to_user(&mut self, share: SocketShare, uid: u32) -> io::Result<()> {
        let user = Uid::from_raw(uid);
        for descriptor in &share.descriptors {
            fchown(descriptor, Some(user), Some(Gid::from_raw(uid)))?;
        }
        let pid = self.start_holder(&share, Some(uid))?;
        self.remember(share.rows, &[pid], user);
        Ok(())
    }

    /// Keeps the share in this process, and starts `processes` new ones that inherit it.
    pub fn keep_and_give(&mut self, share: SocketShare, processes: usize) -> io::Result<()> {
        let mut pids = vec![std::process::id()];
        for _ in 0..processes {
            pids.push(self.start_holder(&share, None)?);
        }
        pids.sort_unstable();
        self.remember(share.rows, &pids, geteuid());
        self.descriptors += share.descriptors.len();
        self.kept.extend(share.descriptors);
        Ok(())
    }

    fn start_holder(&mut self, share: &SocketShare, uid: Option<u32>) -> io::Result<u32> {
        let holder = Holder::start(&share.descriptors, uid)?;
        let pid = holder.child.id();
        self.holders.push(holder);
        self.descriptors += share.descriptors.len();
        Ok(pid)
    }

    fn remember(&mut self, rows: Vec<Row>, pids: &[u32], uid: Uid) {
        self.sockets += rows.len();
        self.rows.extend(rows.into_iter().map(|row| match row.owner.as_str() {
            "process" => Row { pids: pids.to_vec(), uid: Some(uid.as_raw()), ..row },
            "backlog" => Row { pids: pids.to_vec(), ..row },
            _ => row,
        }));
    }
}

struct Holder {
    child: Child,
}

impl Holder {
    fn start(descriptors: &[OwnedFd], uid: Option<u32>) -> io::Result<Self> {
        for descriptor in descriptors {
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        let child = command.spawn();
        for descriptor in descriptors {
            fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
        }
        Ok(Self { child: child? })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process may start processes of that user (not in a user namespace without that
/// uid).
pub fn can_become(uid: u32) -> bool {
    Command::new("true").uid(uid).gid(uid).status().is_ok_and(|status| status.success())
}

/// Raises the soft limit of descriptors to the hard one and returns it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.current.unwrap_or(u64::MAX))
}

/// A socket bound to a port that the kernel chooses. Calls `set` before the bind().
pub fn bound(
    kind: Type,
    address: IpAddr,
    set: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    bound_to(kind, SocketAddr::new(address, 0), set)
}

/// A socket bound to that endpoint. Calls `set` before the bind().
pub fn bound_to(
    kind: Type,
    endpoint: SocketAddr,
    set: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(endpoint), kind, None)?;
    set(&socket)?;
    socket.bind(&endpoint.into())?;
    Ok(socket)
}

/// A listener with room for 1,024 connections in its queue.
pub fn listener(
    address: IpAddr,
    set: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let socket = bound(Type::STREAM, address, set)?;
    socket.listen(1024)?;
    Ok(socket)
}

/// Sets no option.
#[expect(clippy::unnecessary_wraps, reason = "stands where a setting that can fail may stand")]
pub fn plain(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// A client connected to that address and the port of a listener.
pub fn client(listener: &Socket, address: IpAddr) -> io::Result<Socket> {
    let port = endpoint(&listener.local_addr()?)?.port();
    let target = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.connect(&target.into())?;
    Ok(socket)
}

/// Returns a client and the accepted socket.
pub fn connection(listener: &Socket, address: IpAddr) -> io::Result<(Socket, Socket)> {
    let client = client(listener, address)?;
    let (accepted, _) = listener.accept()?;
    Ok((client, accepted))
}

/// Waits for the FIN of the other end, so that the next close is not a simultaneous one.
pub fn wait_for_end(mut socket: &Socket) -> io::Result<()> {
    socket.read(&mut [0; 1]).map(drop)
}

/// Writes until the buffers of both ends are full: nothing sent later, FIN included, leaves the
/// socket.
pub fn fill_send_buffer(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    loop {
        match socket.send(&[0; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A connection closed by its client, whose end stays in TIME-WAIT for 60 s.
pub fn time_wait(listener: &Socket, address: IpAddr) -> io::Result<Row> {
    let (client, accepted) = connection(listener, address)?;
    let row = Row::of(&client, "ESTABLISHED")?.closed("TIME-WAIT");
    drop(client);
    wait_for_end(&accepted)?;
    Ok(row)
}
