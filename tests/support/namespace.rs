//! A private network namespace for the thread of a test. Does not touch that of the machine.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

use std::{
    fs, io,
    os::unix::net::UnixDatagram,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    net::{AddressFamily, SendFlags, SocketFlags, SocketType},
    process::{Pid, Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, UnshareFlags, sched_getcpu, sched_setaffinity},
};

/// Runs `body` in a thread with its own network namespace, in which loopback is up, and its own
/// descriptors: those opened outside are not valid inside, nor the other way round. Before Linux 6.9
/// it has those of the caller, because portscope cannot copy the descriptors of a thread there
/// (PIDFD_THREAD); run one test at a time on such a kernel.
///
/// Without the privilege: prints that and returns None, or panics if `CI` is set.
pub fn in_new_namespace<T: Send>(body: impl FnOnce() -> T + Send) -> Option<T> {
    in_thread(|| {
        enter()?;
        if is_linux_at_least((6, 9)) {
            leave_descriptors()?;
        }
        raise_loopback()?;
        keep_time_wait()?;
        Ok(body())
    })
}

/// As above, with the descriptors of the caller.
pub fn in_another_namespace<T: Send>(body: impl FnOnce() -> T + Send) -> Option<T> {
    in_thread(|| {
        enter()?;
        raise_loopback()?;
        keep_time_wait()?;
        Ok(body())
    })
}

fn in_thread<T: Send>(body: impl FnOnce() -> io::Result<T> + Send) -> Option<T> {
    let id = OnceLock::new();
    let in_thread = || {
        id.get_or_init(rustix::thread::gettid);
        body()
    };
    let result = thread::scope(|scope| scope.spawn(in_thread).join());
    if let Some(id) = id.get().copied() {
        wait_until_gone(id);
    }
    match result {
        Ok(Ok(result)) => Some(result),
        Ok(Err(error)) if std::env::var_os("CI").is_some() => {
            panic!("no private network namespace, which CI needs: {error}")
        }
        Ok(Err(error)) => {
            eprintln!("not tested here: no private network namespace ({error})");
            None
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Waits until /proc no longer lists the thread. `join` returns earlier, and until then the thread's
/// namespace has this process as well.
fn wait_until_gone(id: Pid) {
    let listed = format!("/proc/self/task/{}", id.as_raw_nonzero());
    let end = Instant::now() + Duration::from_secs(10);
    while fs::exists(&listed).unwrap_or(true) {
        assert!(Instant::now() < end, "thread {listed} has ended but is listed for 10 s");
        thread::yield_now();
    }
}

/// Raises the soft limit of descriptors to the hard one: tests bind thousands of ports, and a shell
/// often allows 1,024.
pub fn allow_many_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Whether the kernel has this version or a later one. If not, prints that the feature of that
/// version (`does`) is not tested.
pub fn needs_linux(version: (u32, u32), does: &str) -> bool {
    let is_new = is_linux_at_least(version);
    if !is_new {
        let (major, minor) = version;
        eprintln!("not tested here: Linux {major}.{minor} {does}, this kernel does not");
    }
    is_new
}

pub fn is_linux_at_least(version: (u32, u32)) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    portscope::domain::is_release_at_least(&release, version) == Some(true)
}

/// Lets no RST end a TIME-WAIT of the namespace. On a busy machine the kernel may send a FIN again
/// although its answer is on the way; the answer to the copy is then answered by RST, which ends the
/// TIME-WAIT (RFC 1337, section 2).
fn keep_time_wait() -> io::Result<()> {
    fs::write("/proc/sys/net/ipv4/tcp_rfc1337", "1")
}

/// Sets `net.ipv4.NAME` in the thread's namespace.
pub fn set_sysctl(name: &str, value: &str) {
    fs::write(format!("/proc/sys/net/ipv4/{name}"), value)
        .unwrap_or_else(|error| panic!("{name} = {value}: {error}"));
}

/// Pins the thread to one processor, so that the inodes of its sockets show the order of creation.
/// Each processor takes inodes in batches of 1,024 (`get_next_ino`); the next ones are in one batch.
pub fn create_sockets_in_order() {
    let mut processors = CpuSet::new();
    processors.set(sched_getcpu());
    sched_setaffinity(None, &processors).expect("the thread runs there");
    let place_in_batch = || {
        let socket = UnixDatagram::unbound().expect("a socket");
        rustix::fs::fstat(&socket).expect("an open file").st_ino.wrapping_sub(1) % 1024
    };
    while place_in_batch() > 256 {}
}

fn enter() -> io::Result<()> {
    // Affects only this thread: the rest of the process stays in its namespace.
    #[expect(unsafe_code, reason = "unshare(CLONE_NEWNET) takes no memory or descriptors away")]
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?)
}

/// Gives the thread a descriptor table of its own, with the standard streams only: processes that
/// other tests start have copies of their descriptors until exec(), and a socket of which there is a
/// copy cannot be closed.
fn leave_descriptors() -> io::Result<()> {
    let (first, last, flags) = (3, u32::MAX, libc::CLOSE_RANGE_UNSHARE);
    #[expect(unsafe_code, reason = "the thread has opened no descriptor yet")]
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends RTM_NEWLINK (protocol 0, NETLINK_ROUTE) for interface 1 with IFF_UP (rtnetlink(7)).
fn raise_loopback() -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&32u32.to_ne_bytes());
    message.extend_from_slice(&16u16.to_ne_bytes()); // RTM_NEWLINK
    message.extend_from_slice(&5u16.to_ne_bytes()); // NLM_F_REQUEST | NLM_F_ACK
    message.extend_from_slice(&[0; 8]); // sequence, port id
    message.extend_from_slice(&[0; 4]); // family, type
    message.extend_from_slice(&1i32.to_ne_bytes()); // lo
    message.extend_from_slice(&1u32.to_ne_bytes()); // flags: IFF_UP
    message.extend_from_slice(&1u32.to_ne_bytes()); // change
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut reply = [0u8; 256];
    rustix::net::recv(&socket, &mut reply[..], rustix::net::RecvFlags::empty())?;
    let error = i32::from_ne_bytes(reply[16..20].try_into().expect("four bytes"));
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-error)) }
}
