//! Encodes requests to NETLINK_ROUTE; decodes interfaces and addresses in its answers. No I/O.
//!
//! Layouts: `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`. Everything is in the byte
//! order of the host, except for ports and addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    domain::{Text, Tunnel, TunnelKind},
    host::linux::netlink::{
        self, ALL, Attributes, DONE, ERROR, Messages, NetlinkMessage, ONE, push_attribute, u32_at,
    },
};

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
/// `IFF_UP`
const UP: u32 = 1;

/// `NLM_F_ACK`
const ACKNOWLEDGE: u16 = 4;

/// The socket of a request sends no other.
const SEQUENCE: u32 = 1;

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

/// A request, and whether its answer is complete.
pub(super) struct RouteRequest {
    pub bytes: Vec<u8>,
    has_many: bool,
    pub is_answered: bool,
}

/// Returns the request for one interface; None: for all.
pub(super) fn request_links(index: Option<u32>) -> RouteRequest {
    let mut body = vec![0; LINK_LENGTH];
    body[4..8].copy_from_slice(&index.unwrap_or_default().to_ne_bytes());
    push_attribute(EXTENT, &SKIP_STATISTICS.to_ne_bytes(), &mut body);
    RouteRequest::new(GET_LINK, if index.is_some() { ONE } else { ALL }, &body)
}

/// Returns the request to bring an interface up.
pub(super) fn request_up(index: u32) -> RouteRequest {
    // Family and type; the interface; the flags, and which of them change.
    let body = [0, index, UP, UP].map(u32::to_ne_bytes).concat();
    RouteRequest::new(NEW_LINK, ONE | ACKNOWLEDGE, &body)
}

/// Returns the request for all addresses of both families.
pub(super) fn request_addresses() -> RouteRequest {
    RouteRequest::new(GET_ADDRESS, ALL, &[0; ADDRESS_LENGTH])
}

impl RouteRequest {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let bytes = netlink::message(kind, flags, SEQUENCE, body);
        Self { bytes, has_many: flags == ALL, is_answered: false }
    }

    /// Calls `take` for each message of a datagram of the answer; skips those of other requests.
    /// Errors: the kernel's error, or malformed bytes.
    pub(super) fn take(
        &mut self,
        datagram: &[u8],
        mut take: impl FnMut(&NetlinkMessage<'_>),
    ) -> io::Result<()> {
        for message in Messages(datagram) {
            let message = message.ok_or(io::ErrorKind::InvalidData)?;
            if message.sequence != SEQUENCE {
                continue;
            }
            match message.kind {
                DONE => self.is_answered = true,
                ERROR => {
                    self.is_answered = true;
                    if let Some(errno) = message.error() {
                        return Err(errno.into());
                    }
                }
                _ => {
                    take(&message);
                    self.is_answered |= !self.has_many;
                }
            }
        }
        Ok(())
    }
}

/// Returns the tunnel of a message. None: the message is not about an interface, or the interface
/// is down or not a tunnel over UDP. A tunnel has a socket only while it is up.
pub(super) fn tunnel(message: &NetlinkMessage<'_>) -> Option<Tunnel> {
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
pub(super) fn is_up(message: &NetlinkMessage<'_>) -> Option<bool> {
    link_attributes(message)?;
    Some(u32_at(message.body, 8)? & UP != 0)
}

fn link_attributes<'a>(message: &NetlinkMessage<'a>) -> Option<&'a [u8]> {
    let is_link = message.kind == NEW_LINK;
    is_link.then(|| message.body.get(LINK_LENGTH..))?
}

/// Returns the address of a message. None: the message has no address.
pub(super) fn address(message: &NetlinkMessage<'_>) -> Option<IpAddr> {
    let attributes = message.body.get(ADDRESS_LENGTH..).filter(|_| message.kind == NEW_ADDRESS)?;
    let bytes = find(attributes, LOCAL).or_else(|| find(attributes, ADDRESS))?;
    match *bytes {
        [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).into()),
        _ => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
    }
}

/// Returns the value of the first attribute of the kind `wanted`. Ignores the flags in the two
/// highest bits of an attribute's kind.
fn find(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut found = Attributes(attributes).filter(|(kind, _)| kind & 0x3fff == wanted);
    found.next().map(|(_, value)| value)
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_attribute(kind, value, &mut bytes);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
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

    fn message(kind: u16, body: &[u8]) -> NetlinkMessage<'_> {
        NetlinkMessage { kind, flags: 0, sequence: SEQUENCE, body }
    }

    fn found(body: &[u8]) -> Option<(TunnelKind, String, Option<u16>)> {
        let tunnel = tunnel(&message(NEW_LINK, body))?;
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
            let _ = address(&message(NEW_ADDRESS, &whole[..end]));
        }
        // A length of 0 must not cause an endless loop.
        assert_eq!(find(&[0; 64], NAME), None);
    }

    #[test]
    fn a_dump_ends_with_nlmsg_done_or_an_error() {
        let message = |kind, sequence, body: &[u8]| netlink::message(kind, 0, sequence, body);
        let own = link("t0", UP, "vxlan", &[attribute(15, &8472u16.to_be_bytes())]);
        let count = |dump: &mut RouteRequest, bytes: &[u8]| {
            let mut tunnels = 0;
            dump.take(bytes, |message| tunnels += u32::from(tunnel(message).is_some()))?;
            io::Result::Ok(tunnels)
        };
        let mut dump = request_links(None);
        let two = [message(NEW_LINK, SEQUENCE, &own), message(NEW_LINK, 2, &own)].concat();
        assert_eq!((count(&mut dump, &two).unwrap(), dump.is_answered), (1, false));
        assert_eq!(count(&mut dump, &message(DONE, SEQUENCE, &[0; 4])).unwrap(), 0);
        assert!(dump.is_answered);

        let mut one = request_links(Some(1));
        assert_eq!(count(&mut one, &message(NEW_LINK, SEQUENCE, &own)).unwrap(), 1);
        assert!(one.is_answered);
        let mut refused = request_links(Some(1));
        let denied = message(ERROR, SEQUENCE, &(-1i32).to_ne_bytes());
        assert_eq!(count(&mut refused, &denied).unwrap_err().raw_os_error(), Some(1));
        assert!(count(&mut request_links(None), &[1; 8]).is_err());
    }

    #[test]
    fn the_local_address_of_an_interface_precedes_its_peer_address() {
        let mut body = vec![0; ADDRESS_LENGTH];
        body.extend(attribute(ADDRESS, &[10, 0, 0, 2]));
        body.extend(attribute(LOCAL, &[10, 0, 0, 1]));
        assert_eq!(address(&message(NEW_ADDRESS, &body)), Some(Ipv4Addr::new(10, 0, 0, 1).into()));
        let mut body = vec![0; ADDRESS_LENGTH];
        body.extend(attribute(ADDRESS, &Ipv6Addr::LOCALHOST.octets()));
        assert_eq!(address(&message(NEW_ADDRESS, &body)), Some(Ipv6Addr::LOCALHOST.into()));
    }
}
