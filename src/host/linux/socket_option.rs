//! Reads socket options that rustix and socket2 do not have, by their number. Also has an ioctl for
//! a value that has no option on old kernels.

use std::{
    ffi::{c_int, c_void},
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
};

use rustix::{
    io,
    ioctl::{Ioctl, IoctlOutput, Opcode, ioctl},
};

/// Level and name of an option whose value has `N` bytes.
#[derive(Clone, Copy)]
pub struct NumberOption<const N: usize> {
    level: c_int,
    name: c_int,
}

const SOL_SOCKET: c_int =
    if cfg!(any(target_arch = "mips", target_arch = "sparc")) { 0xffff } else { 1 };
const SO_PEERCRED: c_int = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    18
} else if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
    64
} else if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) {
    21
} else {
    17
};
const IPPROTO_TCP: c_int = 6;

/// Identifies the network namespace of the socket. Since Linux 5.14.
pub const NETNS_COOKIE: NumberOption<8> = NumberOption { level: SOL_SOCKET, name: 71 };
/// Index of the device that the socket is bound to, or 0 (`SO_BINDTOIFINDEX`). Since Linux 5.1.
pub const BOUND_DEVICE: NumberOption<4> = NumberOption { level: SOL_SOCKET, name: 62 };
/// `struct ucred` of the process that connected a Unix socket: its pid as seen here or 0, its uid
/// and its gid. rustix also reads it, but its pid type cannot be 0.
pub const PEER_CREDENTIALS: NumberOption<12> =
    NumberOption { level: SOL_SOCKET, name: SO_PEERCRED };
/// The first 88 bytes of `tcp_info` (include/uapi/linux/tcp.h), up to `tcpi_advmss`.
pub const TCP_INFO: NumberOption<88> = NumberOption { level: IPPROTO_TCP, name: 11 };

#[expect(
    unsafe_code,
    reason = "the signature is that of getsockopt(2) in the C library that std links"
)]
unsafe extern "C" {
    fn getsockopt(
        socket: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        length: *mut u32,
    ) -> c_int;
}

/// Returns the bytes of the option, in host byte order. Errors: ENOPROTOOPT if the kernel does not
/// have the option.
pub fn get<const N: usize>(socket: impl AsFd, option: NumberOption<N>) -> io::Result<[u8; N]> {
    let mut value = [0; N];
    let mut length = N as u32;
    let number = socket.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "value and length outlive the call, and the length is given")]
    let result = unsafe {
        getsockopt(number, option.level, option.name, (&raw mut value).cast(), &raw mut length)
    };
    if result == 0 {
        return Ok(value);
    }
    let errno = std::io::Error::last_os_error().raw_os_error();
    Err(errno.map_or(io::Errno::INVAL, io::Errno::from_raw_os_error))
}

/// Opens the network namespace of the socket. Errors: EPERM without CAP_NET_ADMIN in that
/// namespace.
pub fn network_namespace(socket: impl AsFd) -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "SIOCGSKNS reads no memory and returns a descriptor")]
    unsafe {
        ioctl(socket, OpenNamespace)
    }
}

/// The request SIOCGSKNS, since Linux 4.10.
struct OpenNamespace;

#[expect(unsafe_code, reason = "the request has no argument, and its result is a new descriptor")]
unsafe impl Ioctl for OpenNamespace {
    type Output = OwnedFd;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        0x894c
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(result: IoctlOutput, _: *mut c_void) -> io::Result<OwnedFd> {
        // SAFETY: the kernel has opened this descriptor for this process.
        Ok(unsafe { OwnedFd::from_raw_fd(result) })
    }
}
