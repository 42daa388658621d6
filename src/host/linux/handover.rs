//! Replaces this process by another program and passes the bound sockets or the port numbers to it.
//! Finds no port, and starts no second process.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    io,
    mem::ManuallyDrop,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::process::CommandExt as _,
    },
    process::Command,
};

use rustix::{
    io::FdFlags,
    net::{SocketType, sockopt},
};

use crate::host::{Held, HostError, linux::inherited};

/// Number of the first descriptor passed, after standard input, output and error:
/// SD_LISTEN_FDS_START (sd_listen_fds(3)).
const FIRST_DESCRIPTOR: RawFd = 3;

/// Backlog of the TCP sockets: the maximum, as by default in systemd (`Backlog=`,
/// systemd.socket(5)). The kernel limits it to net.core.somaxconn (listen(2)). A program that calls
/// listen() again sets its own backlog.
const BACKLOG: i32 = i32::MAX;

/// An inherited variable that refers to other descriptors than those passed here. systemd sets it
/// since version 259. Programs that support it accept no sockets if it does not match.
const STALE: &str = "LISTEN_PIDFDID";

/// The program to run.
pub struct Program<'a> {
    /// Searched for in `PATH` as a shell does.
    pub path: &'a OsStr,
    pub arguments: &'a [OsString],
    /// Names of inherited variables that refer to other ports; they are removed.
    pub stale: &'a [OsString],
}

/// Why this process was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error(transparent)]
    Sockets(#[from] HostError),
    /// The program cannot be executed (execve(2)).
    #[error("{0}")]
    Program(io::Error),
}

/// Replaces this process by `program`, which gets the sockets of `held` from descriptor 3 on, as in
/// sd_listen_fds(3). The TCP sockets listen.
///
/// Descriptors open at those numbers are closed, whichever code opened them. std opens /dev/null at
/// each of 0, 1 and 2 that the caller closed, so no socket becomes standard output. The program
/// inherits the ignored and blocked signals of this process's caller. It inherits the caller's
/// descriptor limit, unless this process raised the limit. If as many descriptors are open as the
/// limit allows, the program cannot load its libraries.
pub fn become_program(
    program: &Program<'_>,
    held: Vec<Box<dyn Held>>,
) -> Result<Infallible, HandoverError> {
    let ports: Vec<u16> = held.iter().map(|held| held.port()).collect();
    let mut sockets: Vec<OwnedFd> = held.into_iter().flat_map(Held::into_descriptors).collect();
    let names =
        listen(&sockets).map_err(|error| HostError::new("listen on the port found", error))?;
    arrange(&mut sockets).map_err(|error| HostError::new("pass the sockets on", error))?;
    let mut command = reported(program, &ports);
    command
        .env_remove(STALE)
        .env("LISTEN_FDS", sockets.len().to_string())
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDNAMES", names.join(":"));
    Err(HandoverError::Program(command.exec()))
}

/// Replaces this process by `program`, which gets the port numbers and binds the ports itself. The
/// ports are released first, so another process may bind one before the program does.
pub fn become_binder(
    program: &Program<'_>,
    held: Vec<Box<dyn Held>>,
) -> Result<Infallible, HandoverError> {
    let ports: Vec<u16> = held.iter().map(|held| held.port()).collect();
    drop(held);
    Err(HandoverError::Program(reported(program, &ports).exec()))
}

/// Builds the command with PORT (the first port) and PORT_1 to PORT_n set, and `stale` removed.
fn reported(Program { path, arguments, stale }: &Program<'_>, ports: &[u16]) -> Command {
    let mut command = Command::new(path);
    #[expect(unsafe_code, reason = "`restore_signals` allocates nothing and takes no lock")]
    unsafe {
        command.pre_exec(|| {
            inherited::restore_signals();
            Ok(())
        });
    }
    stale.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
        .args(*arguments)
        .envs(ports.first().map(|port| ("PORT", port.to_string())))
        .envs((1..).zip(ports).map(|(n, port): (u32, _)| (format!("PORT_{n}"), port.to_string())));
    command
}

/// Makes the TCP sockets listen, and returns the name of each socket for LISTEN_FDNAMES.
///
/// Sets SO_REUSEADDR after listen(). Accepted connections inherit the option, so another socket
/// with the option can bind the port again while they are in TIME-WAIT. If the option were set
/// before listen(), another socket with the option could bind the port at the same time
/// (net/ipv4/inet_connection_sock.c, `inet_bind_conflict`). Once this socket listens, such a bind()
/// fails.
fn listen(sockets: &[OwnedFd]) -> rustix::io::Result<Vec<&'static str>> {
    let name = |socket| {
        if sockopt::socket_type(socket)? != SocketType::STREAM {
            return Ok("udp");
        }
        rustix::net::listen(socket, BACKLOG)?;
        sockopt::set_socket_reuseaddr(socket, true)?;
        Ok("tcp")
    };
    sockets.iter().map(name).collect()
}

/// Gives the sockets the numbers from 3 on, in their order, and clears close-on-exec.
fn arrange(sockets: &mut [OwnedFd]) -> rustix::io::Result<()> {
    for (index, number) in (0..sockets.len()).zip(FIRST_DESCRIPTOR..) {
        let (socket, later) =
            sockets[index..].split_first_mut().expect("index is below the length");
        if socket.as_raw_fd() != number {
            if let Some(other) = later.iter_mut().find(|other| other.as_raw_fd() == number) {
                *other = rustix::io::fcntl_dupfd_cloexec(&*other, FIRST_DESCRIPTOR)?;
            }
            *socket = renumber(socket, number)?;
        }
        rustix::io::fcntl_setfd(&*socket, FdFlags::empty())?;
    }
    Ok(())
}

/// Duplicates the socket to this number; the descriptor that had the number is closed.
fn renumber(socket: &OwnedFd, number: RawFd) -> rustix::io::Result<OwnedFd> {
    #[expect(
        unsafe_code,
        reason = "dup2() may close the descriptor that has this number (see `become_program`): \
                  `arrange` has moved the other sockets away"
    )]
    // `ManuallyDrop`, because the number must not be closed if dup2() fails.
    let mut target = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    rustix::io::dup2(socket, &mut target)?;
    Ok(ManuallyDrop::into_inner(target))
}
