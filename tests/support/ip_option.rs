//! Options of level IPPROTO_IP that neither socket2 nor rustix has.

use std::{
    ffi::c_int,
    io,
    os::fd::{AsFd, AsRawFd as _},
};

pub const BIND_ADDRESS_NO_PORT: c_int = 24;
/// Since Linux 6.3. The value is the last port in the upper half, the first in the lower.
pub const LOCAL_PORT_RANGE: c_int = 51;

pub fn set_ip_option(socket: &impl AsFd, name: c_int, value: u32) -> io::Result<()> {
    let descriptor = socket.as_fd().as_raw_fd();
    let (pointer, length) = ((&raw const value).cast(), size_of::<u32>() as libc::socklen_t);
    #[expect(unsafe_code, reason = "the kernel reads four bytes, which `value` has")]
    let result = unsafe { libc::setsockopt(descriptor, libc::IPPROTO_IP, name, pointer, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
