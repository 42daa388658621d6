//! Encodes requests to NETLINK_ROUTE; decodes interfaces and addresses in its answers. No I/O.
//!
//! Layouts: `linux/netlink.h`, `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`.
//! Everything is in the byte order of the host, except for ports and addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::domain::{Text, Tunnel, TunnelKind};

const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
/// `NLM_F_REQUEST`, and the same with `NLM_F_DUMP`.
const ONE: u16 = 0x1;
const ALL: u16 = 0x301;
/// `IFF_UP`
const UP: u32 = 1;

const HEADER_LENGTH: usize = 16;
/// `ifinfomsg`
const LINK_LENGTH: usize = 16;
/// `ifaddrmsg`
const ADDRESS_LENGTH: usize = 8;

/// `IFLA_IFNAME`, `IFLA_LINKINFO`, and in the latter `IFLA_INFO_KIND` and `IFLA_INFO_DATA`.
const NAME: u16 = 3;
const LINK_INFO: u16 = 18;
const KIND: u16 = 1;
const DATA: u16 = 2;
/// `IFA_ADDRESS`, and `IFA_LOCAL`. On a point-to-point interface, the former is the peer's address
/// and the latter the interface's own.
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
/// `IFLA_EXT_MASK` with `RTEXT_FILTER_SKIP_STATS`, which makes answers shorter.
const EXTENT: u16 = 29;
const SKIP_STATISTICS: u32 = 1 << 3;

/// Returns the attribute of `IFLA_INFO_DATA` that holds the port (`IFLA_VXLAN_PORT`,
/// `IFLA_GENEVE_PORT`, `IFLA_BAREUDP_PORT`). None: the interface does not report its port there.
fn port_attribute(kind: TunnelKind) -> Option<u16> {
    match kind {
        TunnelKind::Vxlan => Some(15),
        TunnelKind::Geneve => Some(5),
        TunnelKind::Bareudp => Some(1),
        TunnelKind::Wireguard => None,
    }
}

pub(super) struct RouteRequest {
    pub bytes: Vec<u8>,
    sequence: u32,
    has_many: bool,
}

/// Returns the request for all interfaces.
pub(super) fn request_links(sequence: u32) -> RouteRequest {
    let mut body = vec![0; LINK_LENGTH];
    push_attribute(EXTENT, &SKIP_STATISTICS.to_ne_bytes(), &mut body);
    request(GET_LINK, ALL, &body, sequence)
}

/// Returns the request for one interface.
pub(super) fn request_link(index: u32, sequence: u32) -> RouteRequest {
    let mut body = vec![0; LINK_LENGTH];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    push_attribute(EXTENT, &SKIP_STATISTICS.to_ne_bytes(), &mut body);
    request(GET_LINK, ONE, &body, sequence)
}

/// Returns the request for all addresses of both families.
pub(super) fn request_addresses(sequence: u32) -> RouteRequest {
    request(GET_ADDRESS, ALL, &[0; ADDRESS_LENGTH], sequence)
}

fn request(kind: u16, flags: u16, body: &[u8], sequence: u32) -> RouteRequest {
    let length = (HEADER_LENGTH + body.len()) as u32;
    let mut bytes = Vec::with_capacity(length as usize);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]); // to the kernel
    bytes.extend_from_slice(body);
    RouteRequest { bytes, sequence, has_many: flags == ALL }
}

fn push_attribute(kind: u16, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
}

/// One message of an answer.
pub(super) struct RouteMessage<'a> {
    kind: u16,
    body: &'a [u8],
}

/// The answer to one request, decoded datagram by datagram.
pub(super) struct RouteDump {
    sequence: u32,
    has_many: bool,
    is_done: bool,
}

impl RouteDump {
    pub(super) fn of(request: &RouteRequest) -> Self {
        Self { sequence: request.sequence, has_many: request.has_many, is_done: false }
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Calls `take` for each message of the answer; skips those of other requests. Errors: the
    /// kernel's error, or malformed bytes.
    pub(super) fn take(
        &mut self,
        mut datagram: &[u8],
        mut take: impl FnMut(&RouteMessage<'_>),
    ) -> io::Result<()> {
        while !datagram.is_empty() {
            let (message, sequence, rest) =
                split_message(datagram).ok_or(io::ErrorKind::InvalidData)?;
            datagram = rest;
            if sequence != self.sequence {
                continue;
            }
            match message.kind {
                DONE => self.is_done = true,
                ERROR => {
                    self.is_done = true;
                    let code = message.body.first_chunk().map_or(0, |&b| i32::from_ne_bytes(b));
                    if code != 0 {
                        return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
                    }
                }
                _ => {
                    take(&message);
                    self.is_done |= !self.has_many;
                }
            }
        }
        Ok(())
    }
}

fn split_message(bytes: &[u8]) -> Option<(RouteMessage<'_>, u32, &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    let body = bytes.get(HEADER_LENGTH..length)?;
    let rest = bytes.get(aligned(length)..).unwrap_or_default();
    Some((RouteMessage { kind: u16_at(bytes, 4)?, body }, u32_at(bytes, 8)?, rest))
}

/// Returns the tunnel of a message. None: the message is not about an interface, or the interface
/// is down or not a tunnel over UDP. A tunnel has a socket only while it is up.
pub(super) fn tunnel(message: &RouteMessage<'_>) -> Option<Tunnel> {
    if !is_up(message)? {
        return None;
    }
    let attributes = link_attributes(message)?;
    let info = find(attributes, LINK_INFO)?;
    let name = until_nul(find(info, KIND)?);
    let kind = TunnelKind::EACH.into_iter().find(|kind| kind.name().as_bytes() == name)?;
    let port = port_attribute(kind)
        .and_then(|attribute| find(find(info, DATA)?, attribute)?.first_chunk())
        .map(|&bytes| u16::from_be_bytes(bytes));
    let device = Text::scrub(until_nul(find(attributes, NAME)?));
    Some(Tunnel { kind, device, port })
}

/// Returns whether the interface is up. None: the message is not about an interface.
pub(super) fn is_up(message: &RouteMessage<'_>) -> Option<bool> {
    link_attributes(message)?;
    Some(u32_at(message.body, 8)? & UP != 0)
}

fn link_attributes<'a>(message: &RouteMessage<'a>) -> Option<&'a [u8]> {
    let is_link = message.kind == NEW_LINK;
    is_link.then(|| message.body.get(LINK_LENGTH..))?
}

/// Returns the address of a message. None: the message has no address.
pub(super) fn address(message: &RouteMessage<'_>) -> Option<IpAddr> {
    let attributes = message.body.get(ADDRESS_LENGTH..).filter(|_| message.kind == NEW_ADDRESS)?;
    let bytes = find(attributes, LOCAL).or_else(|| find(attributes, ADDRESS))?;
    match *bytes {
        [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).into()),
        _ => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
    }
}

/// Returns the value of the first attribute of the kind `wanted`. Ignores the flags in the two
/// highest bits of an attribute's kind.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    while !attributes.is_empty() {
        let length = usize::from(u16_at(attributes, 0)?);
        let kind = u16_at(attributes, 2)? & 0x3fff;
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    None
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u16::from_ne_bytes(bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_attribute(kind, value, &mut bytes);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    /// Returns a message body as the kernel sends it for an interface: name, then `IFLA_LINKINFO`.
    fn link(name: &str, flags: u32, kind: &str, data: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![0; LINK_LENGTH];
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        body.extend(attribute(NAME, format!("{name}\0").as_bytes()));
        let mut info = attribute(KIND, kind.as_bytes());
        // NLA_F_NESTED
        info.extend(attribute(DATA | 0x8000, &data.concat()));
        body.extend(attribute(LINK_INFO, &info));
        body
    }

    fn found(body: &[u8]) -> Option<(TunnelKind, String, Option<u16>)> {
        let tunnel = tunnel(&RouteMessage { kind: NEW_LINK, body })?;
        Some((tunnel.kind, tunnel.device.to_string(), tunnel.port))
    }

    #[test]
    fn each_tunnel_kind_has_its_own_port_attribute() {
        let number = attribute(1, &7u32.to_ne_bytes());
        let port = |kind| attribute(kind, &8472u16.to_be_bytes());
        for (kind, data, expected) in [
            ("vxlan", vec![number.clone(), port(15)], (TunnelKind::Vxlan, Some(8472))),
            ("geneve\0", vec![number.clone(), port(5)], (TunnelKind::Geneve, Some(8472))),
            ("bareudp", vec![port(1)], (TunnelKind::Bareudp, Some(8472))),
            ("wireguard", vec![], (TunnelKind::Wireguard, None)),
            ("vxlan", vec![number], (TunnelKind::Vxlan, None)),
        ] {
            let (expected_kind, port) = expected;
            let expected = Some((expected_kind, "t0".to_owned(), port));
            assert_eq!(found(&link("t0", UP, kind, &data)), expected, "{kind}");
            assert_eq!(found(&link("t0", 0, kind, &data)), None, "{kind} that is down");
        }
        assert_eq!(found(&link("d0", UP, "veth", &[])), None);
        assert_eq!(found(&[0; LINK_LENGTH]), None);
    }

    #[test]
    fn truncated_messages_do_not_panic() {
        let whole = link("t0", UP, "vxlan", &[attribute(15, &8472u16.to_be_bytes())]);
        for end in 0..whole.len() {
            let _ = found(&whole[..end]);
            let _ = address(&RouteMessage { kind: NEW_ADDRESS, body: &whole[..end] });
        }
        // A length of 0 must not cause an endless loop.
        assert_eq!(find(&[0; 64], NAME), None);
    }

    #[test]
    fn a_dump_ends_with_nlmsg_done_or_an_error() {
        let message = |kind: u16, sequence: u32, body: &[u8]| {
            let mut bytes = ((HEADER_LENGTH + body.len()) as u32).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(&[0; 2]);
            bytes.extend_from_slice(&sequence.to_ne_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(body);
            bytes
        };
        let own = link("t0", UP, "vxlan", &[attribute(15, &8472u16.to_be_bytes())]);
        let count = |dump: &mut RouteDump, bytes: &[u8]| {
            let mut tunnels = 0;
            dump.take(bytes, |message| tunnels += u32::from(tunnel(message).is_some()))?;
            io::Result::Ok(tunnels)
        };
        let mut dump = RouteDump::of(&request_links(3));
        let two = [message(NEW_LINK, 3, &own), message(NEW_LINK, 2, &own)].concat();
        assert_eq!((count(&mut dump, &two).unwrap(), dump.is_done()), (1, false));
        assert_eq!(count(&mut dump, &message(DONE, 3, &[0; 4])).unwrap(), 0);
        assert!(dump.is_done());

        let mut one = RouteDump::of(&request_link(1, 4));
        assert_eq!(count(&mut one, &message(NEW_LINK, 4, &own)).unwrap(), 1);
        assert!(one.is_done());
        let mut refused = RouteDump::of(&request_link(1, 5));
        let denied = message(ERROR, 5, &(-1i32).to_ne_bytes());
        assert_eq!(count(&mut refused, &denied).unwrap_err().raw_os_error(), Some(1));
        assert!(count(&mut RouteDump::of(&request_links(6)), &[1; 8]).is_err());
    }

    #[test]
    fn the_local_address_of_an_interface_precedes_its_peer_address() {
        let mut body = vec![0; ADDRESS_LENGTH];
        body.extend(attribute(ADDRESS, &[10, 0, 0, 2]));
        body.extend(attribute(LOCAL, &[10, 0, 0, 1]));
        let message = RouteMessage { kind: NEW_ADDRESS, body: &body };
        assert_eq!(address(&message), Some(Ipv4Addr::new(10, 0, 0, 1).into()));
        let mut body = vec![0; ADDRESS_LENGTH];
        body.extend(attribute(ADDRESS, &Ipv6Addr::LOCALHOST.octets()));
        let message = RouteMessage { kind: NEW_ADDRESS, body: &body };
        assert_eq!(address(&message), Some(Ipv6Addr::LOCALHOST.into()));
    }
}
