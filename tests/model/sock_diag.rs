//! The codec of NETLINK_SOCK_DIAG, compared with captured dumps and an independent encoder. Uses no
//! kernel.

#![cfg(all(target_os = "linux", target_endian = "little"))]

use netlink_bindings::{
    inet_diag::{Msg, OpTcpDiagDump, ReplyAttrs, Req, ReqV2, Request},
    traits::{NetlinkRequest as _, Protocol as Wire},
};
use portscope::{
    domain::{Endpoint, Family, Socket, State, Table},
    host::linux::{
        procfs,
        sock_diag::{
            ALL_STATES,
            codec::{SocketDump, request},
        },
    },
};

const SEQUENCE: u32 = 1;

fn captured(table: Table) -> &'static [u8] {
    match table {
        Table::Tcp => include_bytes!("../fixtures/linux-6.18/tcp.dump"),
        Table::Tcp4 => include_bytes!("../fixtures/linux-6.18/tcp4.dump"),
        Table::Tcp6 => include_bytes!("../fixtures/linux-6.18/tcp6.dump"),
        Table::Udp4 => include_bytes!("../fixtures/linux-6.18/udp4.dump"),
        Table::Udp6 => include_bytes!("../fixtures/linux-6.18/udp6.dump"),
    }
}

fn captured_text(table: Table) -> &'static [u8] {
    match table {
        Table::Tcp | Table::Tcp4 => include_bytes!("../fixtures/linux-6.18/tcp.table"),
        Table::Tcp6 => include_bytes!("../fixtures/linux-6.18/tcp6.table"),
        Table::Udp4 => include_bytes!("../fixtures/linux-6.18/udp.table"),
        Table::Udp6 => include_bytes!("../fixtures/linux-6.18/udp6.table"),
    }
}

fn decoded(table: Table) -> Vec<Socket> {
    let mut sockets = Vec::new();
    let mut dump = SocketDump::new(table, SEQUENCE);
    dump.take(captured(table), &mut sockets);
    assert!(dump.is_done());
    assert_eq!(dump.dump_error(), None);
    sockets
}

fn sorted(mut sockets: Vec<Socket>) -> Vec<Socket> {
    sockets.sort_by_key(|s| (s.local.port, s.local.address, s.state));
    sockets
}

fn summary(socket: &Socket) -> String {
    let inode = if socket.inode.is_some() { "inode" } else { "-" };
    let remote = socket.remote.map_or("-".to_owned(), |remote: Endpoint| remote.to_string());
    let uid = socket.uid.map_or("-".to_owned(), |uid| uid.to_string());
    let Socket { family, state, local, .. } = socket;
    format!("{} {state} {local} {remote} {inode} {uid}", family.name())
}

#[test]
fn captured_tcp_dump_holds_the_sockets_that_were_there() {
    let sockets = sorted(decoded(Table::Tcp));
    assert_eq!(
        sockets.iter().map(summary).collect::<Vec<_>>(),
        [
            "ipv4 LISTEN 0.0.0.0:20001 - inode 0",
            "ipv4 ESTABLISHED 127.0.0.1:20001 127.0.0.1:20033 - -",
            "ipv6 LISTEN [::]:20002 - inode 0",
            "dual LISTEN [::]:20003 - inode 0",
            "ipv6 ESTABLISHED [::ffff:127.0.0.1]:20003 [::ffff:127.0.0.1]:20034 - -",
            "ipv6 LISTEN [::1]:20004 - inode 0",
            "ipv6 LISTEN [::ffff:127.0.0.1]:20005 - inode 0",
            "ipv4 BOUND 0.0.0.0:20011 - inode 0",
            "ipv6 BOUND [::]:20012 - inode 0",
            "dual BOUND [::]:20013 - inode 0",
            "ipv4 ESTABLISHED 127.0.0.1:20031 127.0.0.1:20032 inode 0",
            "ipv4 ESTABLISHED 127.0.0.1:20032 127.0.0.1:20031 inode 0",
            "ipv4 ESTABLISHED 127.0.0.1:20033 127.0.0.1:20001 inode 0",
            "ipv4 ESTABLISHED 127.0.0.1:20034 127.0.0.1:20003 inode 0",
            "ipv4 FIN-WAIT-2 127.0.0.1:20041 127.0.0.1:20042 inode 0",
            "ipv4 CLOSE-WAIT 127.0.0.1:20042 127.0.0.1:20041 inode 0",
            "ipv4 FIN-WAIT-2 127.0.0.1:20043 127.0.0.1:20044 - -",
            "ipv4 CLOSE-WAIT 127.0.0.1:20044 127.0.0.1:20043 inode 0",
            "ipv4 TIME-WAIT 127.0.0.1:20045 127.0.0.1:20046 - -",
        ]
    );
}

#[test]
fn captured_udp_dumps_hold_the_sockets_that_were_there() {
    let sockets = sorted([decoded(Table::Udp4), decoded(Table::Udp6)].concat());
    assert_eq!(
        sockets.iter().map(summary).collect::<Vec<_>>(),
        [
            "ipv4 UNCONNECTED 0.0.0.0:20021 - inode 0",
            "ipv6 UNCONNECTED [::]:20022 - inode 0",
            "dual UNCONNECTED [::]:20023 - inode 0",
            "ipv4 UNCONNECTED 224.0.0.251:20024 - inode 0",
            "ipv4 CONNECTED 127.0.0.1:20025 127.0.0.1:20021 inode 0",
        ]
    );
}

#[test]
fn one_walk_equals_the_dumps_of_both_families() {
    let without_clock = |s: Socket| Socket { expires_ms: None, ..s };
    let whole = sorted(decoded(Table::Tcp)).into_iter().map(without_clock);
    let halves = sorted([decoded(Table::Tcp4), decoded(Table::Tcp6)].concat());
    assert!(whole.eq(halves.into_iter().map(without_clock)));
}

#[test]
fn captured_proc_net_tables_list_the_same_sockets() {
    for table in [Table::Tcp4, Table::Tcp6, Table::Udp4, Table::Udp6] {
        let mut text = Vec::new();
        assert_eq!(procfs::parse_table(table, captured_text(table), &mut text), Ok(()));
        let mut diag = decoded(table);
        diag.retain(|socket| socket.state != State::Bound);
        for socket in &mut diag {
            socket.family = socket.family.min(Family::Ipv6);
        }
        let lines = |sockets| sorted(sockets).iter().map(summary).collect::<Vec<_>>();
        assert_eq!(lines(text), lines(diag), "{table}");
    }
}

#[test]
fn an_independent_decoder_reads_the_same() {
    let mut ours = decoded(Table::Tcp).into_iter();
    for body in bodies(captured(Table::Tcp)) {
        let (message, attributes): (Msg, _) = OpTcpDiagDump::decode_reply(body);
        let socket = ours.next().unwrap();
        let id = &message.sockid;
        assert_eq!(socket.local.port, id.sport());
        assert_eq!(socket.remote.map_or(0, |remote| remote.port), id.dport());
        assert_eq!(socket.inode.unwrap_or(0), message.inode);
        assert_eq!(socket.cookie, Some(u64::from_ne_bytes(id.cookie)));
        assert_eq!(socket.expires_ms.unwrap_or(0), message.expires);
        assert_eq!((socket.receive_queue, socket.send_queue), (message.rqueue, message.wqueue));
        let cgroup = attributes.flatten().find_map(|attribute| match attribute {
            ReplyAttrs::CgroupId(id) => Some(id),
            _ => None,
        });
        assert_eq!(socket.cgroup, cgroup);
    }
    assert_eq!(ours.next(), None);
}

/// Returns the bodies of all messages except the last one, which is NLMSG_DONE.
fn bodies(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize;
        bodies.push(&bytes[16..length]);
        bytes = &bytes[length.next_multiple_of(4)..];
    }
    bodies.pop();
    bodies
}

#[test]
fn an_independent_encoder_writes_the_same_requests() {
    for (table, family, protocol) in
        [(Table::Tcp4, 2, 6), (Table::Tcp6, 10, 6), (Table::Udp4, 2, 17), (Table::Udp6, 10, 17)]
    {
        let mut header = ReqV2::new();
        (header.family, header.protocol, header.states) = (family, protocol, ALL_STATES);
        header.sockid.cookie = [0xff; 8];
        let theirs = Request::new().op_tcp_diag_dump(&header);
        let Wire::Raw { request_type, .. } = theirs.protocol() else { panic!("not generic") };
        let ours = request(table, ALL_STATES, 7);
        assert_eq!(ours[..16], netlink_header(request_type, theirs.flags() | 1, 16 + 56));
        assert_eq!(&ours[16..], theirs.payload());
    }
}

#[test]
fn the_combined_dump_request_uses_the_old_layout() {
    let mut body = Req::new();
    body.states = ALL_STATES;
    body.sockid.cookie = [0xff; 8];
    let ours = request(Table::Tcp, ALL_STATES, 7);
    assert_eq!(ours[..16], netlink_header(18, 0x301, 16 + 60));
    assert_eq!(&ours[16..], body.as_slice());
}

fn netlink_header(kind: u16, flags: u16, length: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[..4].copy_from_slice(&length.to_ne_bytes());
    header[4..6].copy_from_slice(&kind.to_ne_bytes());
    header[6..8].copy_from_slice(&flags.to_ne_bytes());
    header[8..12].copy_from_slice(&7u32.to_ne_bytes());
    header
}
