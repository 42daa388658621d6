//! Netlink messages (netlink(7), `linux/netlink.h`): opens sockets, writes requests, and splits
//! answers into messages and attributes. Everything is in the byte order of the host.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::net::{
    self, AddressFamily, Protocol, SocketFlags, SocketType,
    sockopt::{self, Timeout},
};

use crate::domain::Errno;

pub const NOOP: u16 = 1;
pub const ERROR: u16 = 2;
pub const DONE: u16 = 3;
/// `NLM_F_REQUEST`, and the same with `NLM_F_DUMP`.
pub const ONE: u16 = 1;
pub const ALL: u16 = 0x301;

/// Maximum size of a datagram of a dump (`netlink_dump`, net/netlink/af_netlink.c).
pub const BUFFER_LENGTH: usize = 32 * 1024;
pub const HEADER_LENGTH: usize = 16;
/// Timeout to receive a datagram. A dump's datagrams are available at once; a missing one was lost.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Opens a socket in the network namespace of the calling thread.
pub fn open(protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
    Ok(socket)
}

/// Returns a message to the kernel.
pub fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = HEADER_LENGTH + body.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&(length as u32).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]); // to the kernel
    bytes.extend_from_slice(body);
    bytes
}

/// Appends an attribute whose value needs no padding.
pub fn push_attribute(kind: u16, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
}

pub struct NetlinkMessage<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub body: &'a [u8],
}

impl NetlinkMessage<'_> {
    /// Returns the error in DONE or ERROR. Both begin with 0 or a negative errno, but old kernels
    /// send DONE without this number.
    pub fn error(&self) -> Option<Errno> {
        let code = self.body.first_chunk().map_or(0, |&bytes| i32::from_ne_bytes(bytes));
        (code != 0).then_some(Errno(code.wrapping_neg()))
    }
}

/// The messages of a datagram, each at a multiple of four bytes. The last item is None if its bytes
/// are not a message.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Option<NetlinkMessage<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        if bytes.is_empty() {
            return None;
        }
        let message = read_message(bytes);
        if let Some(message) = &message {
            let end = (HEADER_LENGTH + message.body.len()).next_multiple_of(4);
            self.0 = bytes.get(end..).unwrap_or_default();
        }
        Some(message)
    }
}

fn read_message(bytes: &[u8]) -> Option<NetlinkMessage<'_>> {
    Some(NetlinkMessage {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        sequence: u32_at(bytes, 8)?,
        body: bytes.get(HEADER_LENGTH..u32_at(bytes, 0)? as usize)?,
    })
}

/// The attributes of a message, as pairs of type and value, each at a multiple of four bytes. Ends
/// at the first bytes that are no attribute.
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.0);
        let length = u16_at(bytes, 0)? as usize;
        let attribute = (u16_at(bytes, 2)?, bytes.get(4..length)?);
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(attribute)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}
