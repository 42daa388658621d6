//! Properties for every input: the parsers of the kernel's data never panic and always terminate.

#![cfg(target_os = "linux")]

use portscope::{
    domain::{Protocol, Table},
    host::linux::{
        procfs,
        sock_diag::codec::{SocketDump, decode_socket},
    },
};
use proptest::{collection::vec, prelude::*, sample};

const DUMPS: [(Table, &[u8]); 3] = [
    (Table::Tcp, include_bytes!("../fixtures/linux-6.18/tcp.dump")),
    (Table::Udp4, include_bytes!("../fixtures/linux-6.18/udp4.dump")),
    (Table::Udp6, include_bytes!("../fixtures/linux-6.18/udp6.dump")),
];

const TEXTS: [(Table, &[u8]); 4] = [
    (Table::Tcp4, include_bytes!("../fixtures/linux-6.18/tcp.table")),
    (Table::Tcp6, include_bytes!("../fixtures/linux-6.18/tcp6.table")),
    (Table::Udp4, include_bytes!("../fixtures/linux-6.18/udp.table")),
    (Table::Udp6, include_bytes!("../fixtures/linux-6.18/udp6.table")),
];

/// Returns the maximum number of sockets in the input: a message has at least 88 bytes, a line at
/// least 90.
fn most_sockets(input: &[u8]) -> usize {
    input.len() / 88
}

/// Generates one of `inputs` with some bytes changed, and perhaps truncated.
fn corrupted(inputs: &'static [(Table, &[u8])]) -> impl Strategy<Value = (Table, Vec<u8>)> {
    let changes = vec((any::<sample::Index>(), any::<u8>()), 0..8);
    (sample::select(inputs), changes, any::<sample::Index>(), any::<bool>()).prop_map(
        |((table, bytes), changes, end, is_cut)| {
            let mut bytes = bytes.to_owned();
            for (position, value) in changes {
                let position = position.index(bytes.len());
                bytes[position] = value;
            }
            if is_cut {
                bytes.truncate(end.index(bytes.len()));
            }
            (table, bytes)
        },
    )
}

fn take(table: Table, bytes: &[u8]) -> (SocketDump, usize) {
    let mut sockets = Vec::new();
    let mut dump = SocketDump::new(table, 1);
    dump.take(bytes, &mut sockets);
    (dump, sockets.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_not_a_complete_dump(bytes in vec(any::<u8>(), 1..400)) {
        let (dump, sockets) = take(Table::Tcp, &bytes);
        prop_assert!(sockets <= most_sockets(&bytes));
        prop_assert!(!dump.is_done() || bytes.len() >= 16);
    }

    #[test]
    fn a_corrupted_dump_returns_at_most_as_many_sockets_as_fit((table, bytes) in corrupted(&DUMPS)) {
        let (_, sockets) = take(table, &bytes);
        prop_assert!(sockets <= most_sockets(&bytes));
    }

    #[test]
    fn a_truncated_dump_is_incomplete_or_an_error(
        (table, bytes) in sample::select(&DUMPS[..]),
        end in any::<sample::Index>(),
    ) {
        let (dump, _) = take(table, &bytes[..end.index(bytes.len())]);
        prop_assert!(!dump.is_done() || dump.dump_error().is_some());
    }

    #[test]
    fn any_message_body_parses_or_is_rejected(
        body in vec(any::<u8>(), 0..200),
        protocol in sample::select(&Protocol::EACH[..]),
    ) {
        let socket = decode_socket(&body, protocol);
        prop_assert!(socket.is_none() || body.len() >= 72);
    }

    #[test]
    fn random_bytes_are_not_a_table(text in vec(any::<u8>(), 0..400)) {
        let mut sockets = Vec::new();
        let _ = procfs::parse_table(Table::Tcp4, &text, &mut sockets);
        prop_assert!(sockets.len() <= most_sockets(&text));
    }

    #[test]
    fn a_corrupted_table_returns_at_most_one_socket_per_line((table, text) in corrupted(&TEXTS)) {
        let mut sockets = Vec::new();
        let _ = procfs::parse_table(table, &text, &mut sockets);
        prop_assert!(sockets.len() < text.split(|&byte| byte == b'\n').count().max(1));
    }
}
