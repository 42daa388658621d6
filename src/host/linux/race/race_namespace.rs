//! Creates the private network namespace of a race and occupies ports in it. Also has the functions
//! with which the processes of a race wait and end. Does not run the race.

use std::{
    ffi::CStr,
    io,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fd::AsFd,
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketType},
    process::Signal,
    thread::UnshareFlags,
};

use crate::{
    domain::{Binder as _, PortRange},
    host::{
        Held, HostError, descriptors,
        linux::{
            netlink::{self, Messages},
            race::{RandomFraction, udp_binder},
        },
    },
};

/// Descriptors that a process of a race needs besides those that hold ports.
const DESCRIPTORS_KEPT: u64 = 64;

/// A shorter wait spins, because a sleep would end too late.
const MIN_SLEEP: Duration = Duration::from_micros(200);

/// Moves the process into a new network namespace and brings its loopback interface up. Also makes
/// a new user namespace if the process lacks the privilege.
pub fn make() -> Result<(), HostError> {
    match unshare(UnshareFlags::NEWNET) {
        Err(Errno::PERM) => unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET),
        outcome => outcome,
    }
    .map_err(|error| HostError::new("create a private network namespace", in_words(error)))?;
    raise_loopback()
        .map_err(|error| HostError::new("bring up the loopback of the namespace", error))
}

/// Replaces ENOSPC from unshare(2), whose usual message is about devices.
fn in_words(error: Errno) -> io::Error {
    match error {
        Errno::NOSPC => io::Error::other(
            "too many namespaces (user.max_net_namespaces, user.max_user_namespaces)",
        ),
        error => error.into(),
    }
}

fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "only UnshareFlags::FILES is unsafe, and no caller passes it")]
    unsafe {
        rustix::thread::unshare_unsafe(flags)
    }
}

/// Sends RTM_NEWLINK for interface 1 with IFF_UP (rtnetlink(7)).
fn raise_loopback() -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    // Family and type; lo; flags: IFF_UP; change.
    let body = [0, 1, 1, 1].map(u32::to_ne_bytes).concat();
    // RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK
    let message = netlink::message(16, 5, 0, &body);
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut reply = [0u8; 256];
    rustix::net::recv(&socket, &mut reply[..], RecvFlags::empty())?;
    let Some(Some(reply)) = Messages(&reply).next() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    reply.error().map_or(Ok(()), |errno| Err(errno.into()))
}

/// Binds `count` ports of the range, chosen at random, and holds them until the result is dropped.
/// Errors: the descriptor limit is too low, or a socket cannot be created or bound.
pub fn occupy(
    range: PortRange,
    count: u32,
    random_fraction: RandomFraction<'_>,
) -> Result<Vec<Box<dyn Held>>, HostError> {
    let needed = u64::from(count) + DESCRIPTORS_KEPT;
    let limit = descriptors::raise_limit();
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        let operation = format!("hold {count} ports ({needed} descriptors needed, limit {limit})");
        return Err(HostError::new(&operation, Errno::MFILE));
    }
    let mut ports: Vec<u16> = range.ports().collect();
    let mut binder = udp_binder().map_err(|error| HostError::new("create a UDP socket", error))?;
    (0..count as usize)
        .map(|index| {
            let left = ports.len() - index;
            let chosen = index + ((random_fraction() * left as f64) as usize).min(left - 1);
            ports.swap(index, chosen);
            let port = ports[index];
            let held = binder.bind(port).0;
            held.map_err(|refusal| HostError::new(&format!("hold port {port}"), refusal.errno))
        })
        .collect()
}

/// Sets the process name that `ps -o comm` shows. Ignores errors.
pub fn set_process_name(name: &CStr) {
    let _ = rustix::thread::set_name(name);
}

/// Reduces the timer slack of this thread to 1 ns. By default, its timers can be up to 50
/// microseconds late (PR_SET_TIMERSLACK, prctl(2)). Ignores errors.
pub fn reduce_timer_slack() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

/// Makes the kernel kill this process when the thread that started it ends. Call it after `make`,
/// because a change of credentials cancels this (PR_SET_PDEATHSIG, prctl(2)). `wait_until` detects
/// the end of the starting process too, because the other end of standard input is then closed.
///
/// Errors: the process that started this one has already ended.
pub fn end_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    wait_until(Instant::now())
}

/// Waits until `deadline`. Errors: `BrokenPipe` if the other end of standard input is closed,
/// because the process that started this one has ended.
pub fn wait_until(deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_short = left < MIN_SLEEP;
        if is_hung_up(if is_short { Duration::ZERO } else { left })? {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        while is_short && Instant::now() < deadline {
            std::hint::spin_loop();
        }
        if Instant::now() >= deadline {
            return Ok(());
        }
    }
}

/// Returns whether the other end of standard input is closed; waits for that at most for `wait`.
fn is_hung_up(wait: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    Ok(poll(stdin.as_fd(), PollFlags::empty(), wait)?.contains(PollFlags::HUP))
}

/// Returns which events of `asked` happened on the descriptor within `wait`, and any hang-up or
/// error. Empty: none did, or a signal arrived.
pub fn poll(descriptor: impl AsFd, asked: PollFlags, wait: Duration) -> io::Result<PollFlags> {
    let mut entry = [PollFd::new(&descriptor, asked)];
    let timeout = Timespec::try_from(wait).ok();
    match rustix::event::poll(&mut entry, timeout.as_ref()) {
        Ok(_) => Ok(entry[0].revents()),
        Err(Errno::INTR) => Ok(PollFlags::empty()),
        Err(error) => Err(error.into()),
    }
}
