//! Tests one real bind() and releases the port at once. Does not listen, and never chooses a port.

use rustix::{io, net::sockopt};

use crate::{
    domain::{
        Errno,
        availability::{Bind, Reuse},
    },
    host::linux::address,
};

/// Binds `port` and releases it. Sets no reuse option that `wanted` does not name. Errors: that of
/// the failed call; EINVAL for port 0.
pub fn bind(wanted: Bind, port: u16) -> Result<(), Errno> {
    if port == 0 {
        // The kernel would choose a port.
        return Err(Errno::EINVAL);
    }
    let socket = address::unbound(wanted.protocol, wanted.address)?;
    match wanted.reuse {
        Reuse::None => {}
        Reuse::Address => sockopt::set_socket_reuseaddr(&socket, true)?,
        Reuse::Port => sockopt::set_socket_reuseport(&socket, true)?,
    }
    let address = address::socket_address(wanted.address, port);
    Ok(io::retry_on_intr(|| rustix::net::bind(&socket, &address))?)
}
