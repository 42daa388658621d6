//! The socket options IP_LOCAL_PORT_RANGE and IP_BIND_ADDRESS_NO_PORT (ip(7)), which rustix and
//! socket2 do not have.

use std::{
    ffi::c_int,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::io;

use crate::domain::PortRange;

/// include/uapi/linux/in.h.
const IPPROTO_IP: c_int = 0;
const IP_BIND_ADDRESS_NO_PORT: c_int = 24;
const IP_LOCAL_PORT_RANGE: c_int = 51;

#[expect(
    unsafe_code,
    reason = "the signature is that of setsockopt(2) in the C library that std links"
)]
unsafe extern "C" {
    fn setsockopt(
        socket: c_int,
        level: c_int,
        name: c_int,
        value: *const u32,
        length: u32,
    ) -> c_int;
}

/// Makes bind() to port 0 and connect() choose from the intersection of this range and
/// `ip_local_port_range`. If they do not intersect, the kernel ignores this range.
///
/// Errors: ENOPROTOOPT before Linux 6.3.
pub fn set(socket: &OwnedFd, range: PortRange) -> io::Result<()> {
    set_option(
        socket,
        IP_LOCAL_PORT_RANGE,
        u32::from(range.last()) << 16 | u32::from(range.first()),
    )
}

/// Makes bind() to port 0 check the address and take no port (`__inet_bind`, `__inet6_bind`).
pub fn bind_no_port(socket: &OwnedFd) -> io::Result<()> {
    set_option(socket, IP_BIND_ADDRESS_NO_PORT, 1)
}

fn set_option(socket: &OwnedFd, name: c_int, value: u32) -> io::Result<()> {
    let length = size_of::<u32>() as u32;
    #[expect(unsafe_code, reason = "the value outlives the call, and its length is given")]
    let result =
        unsafe { setsockopt(socket.as_raw_fd(), IPPROTO_IP, name, &raw const value, length) };
    if result == 0 {
        return Ok(());
    }
    let number = std::io::Error::last_os_error().raw_os_error();
    Err(number.map_or(io::Errno::INVAL, io::Errno::from_raw_os_error))
}
