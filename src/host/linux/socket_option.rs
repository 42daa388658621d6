//! Reads and sets socket options by their number: those that rustix does not have, and one whose
//! value rustix cannot always represent. Also opens the network namespace of a socket with an
//! ioctl, because kernels before 5.14 have no socket option that identifies the namespace.

use std::{
    ffi::c_int,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
};

use rustix::io;

use crate::domain::PortRange;

/// Level and name of an option whose value has `N` bytes.
#[derive(Clone, Copy)]
pub struct NumberOption<const N: usize> {
    level: c_int,
    name: c_int,
}

/// include/uapi/linux/in.h.
const IP_LOCAL_PORT_RANGE: c_int = 51;

/// Since Linux 4.10.
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// Identifies the network namespace of the socket. Since Linux 5.14.
pub const NETNS_COOKIE: NumberOption<8> = NumberOption { level: libc::SOL_SOCKET, name: 71 };
/// Index of the device that the socket is bound to, or 0 (`SO_BINDTOIFINDEX`). Since Linux 5.1.
pub const BOUND_DEVICE: NumberOption<4> = NumberOption { level: libc::SOL_SOCKET, name: 62 };
/// `struct ucred` of the process that connected a Unix socket: its pid, uid and gid. The pid is 0
/// if the process does not exist in the PID namespace of the calling process. rustix also reads the
/// option, but its pid type cannot be 0.
pub const PEER_CREDENTIALS: NumberOption<12> =
    NumberOption { level: libc::SOL_SOCKET, name: libc::SO_PEERCRED };
/// The first 88 bytes of `tcp_info` (include/uapi/linux/tcp.h), up to `tcpi_advmss`.
pub const TCP_INFO: NumberOption<88> =
    NumberOption { level: libc::IPPROTO_TCP, name: libc::TCP_INFO };

/// Returns the bytes of the option, in host byte order. Errors: ENOPROTOOPT if the kernel does not
/// have the option.
pub fn get<const N: usize>(socket: impl AsFd, option: NumberOption<N>) -> io::Result<[u8; N]> {
    let mut value = [0; N];
    let mut length = N as u32;
    let NumberOption { level, name } = option;
    let number = socket.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "value and length outlive the call, and the length is given")]
    let result =
        unsafe { libc::getsockopt(number, level, name, (&raw mut value).cast(), &raw mut length) };
    if result == 0 { Ok(value) } else { Err(last_errno()) }
}

/// Makes bind() to port 0 and connect() choose from the intersection of this range and
/// `ip_local_port_range` (IP_LOCAL_PORT_RANGE, ip(7)). If they do not intersect, the kernel ignores
/// this range.
///
/// Errors: ENOPROTOOPT before Linux 6.3.
pub fn set_port_range(socket: &OwnedFd, range: PortRange) -> io::Result<()> {
    let value = u32::from(range.last()) << 16 | u32::from(range.first());
    set(socket, IP_LOCAL_PORT_RANGE, value)
}

/// Makes bind() to port 0 check the address and take no port (IP_BIND_ADDRESS_NO_PORT, ip(7);
/// `__inet_bind`, `__inet6_bind`).
pub fn bind_no_port(socket: &OwnedFd) -> io::Result<()> {
    set(socket, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

fn set(socket: &OwnedFd, name: c_int, value: u32) -> io::Result<()> {
    let length = size_of::<u32>() as u32;
    let value = (&raw const value).cast();
    #[expect(unsafe_code, reason = "the value outlives the call, and its length is given")]
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, name, value, length) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

fn last_errno() -> io::Errno {
    io::Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(io::Errno::INVAL)
}

/// Opens the network namespace of the socket. Errors: EPERM without CAP_NET_ADMIN in that
/// namespace.
pub fn network_namespace(socket: impl AsFd) -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "SIOCGSKNS reads no memory and returns a new descriptor")]
    unsafe {
        match libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGSKNS) {
            -1 => Err(last_errno()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}
