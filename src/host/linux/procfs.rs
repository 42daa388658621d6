//! Reads sockets from /proc/net, which is used if netlink is refused. /proc/net has no
//! bound-inactive TCP sockets and no cookies, and does not distinguish dual-stack sockets from
//! other IPv6 sockets.

use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use crate::{
    domain::{Endpoint, Errno, Socket, Table, Timer},
    host::linux::sock_diag::codec::{decode_state, decode_timer, trusted_uid},
};

/// Unit of timers: `USER_HZ` is 100 on every architecture except alpha.
const MILLISECONDS_A_TICK: u32 = 10;

/// Reads the whole table of the calling thread's network namespace into `buffer`. Reads IPv4 alone
/// for `Table::Tcp`, because /proc/net has no table of both families.
///
/// If the kernel has no IPv6, the IPv6 tables are empty. Errors: the file cannot be read, or has no
/// header line.
pub fn read_table(table: Table, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let (name, without_v6) = match table {
        Table::Tcp | Table::Tcp4 => ("tcp", None),
        Table::Udp4 => ("udp", None),
        Table::Tcp6 => ("tcp6", Some("tcp")),
        Table::Udp6 => ("udp6", Some("udp")),
    };
    // `/proc/net` is that of the main thread.
    let folder = Path::new("/proc/thread-self/net");
    let file = match File::open(folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let has_v4 = without_v6.is_some_and(|name| folder.join(name).exists());
            return if has_v4 { Ok(()) } else { Err(error) };
        }
        other => other,
    };
    match file?.read_to_end(buffer)? {
        // Even a table without sockets has a header line.
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Appends the sockets of a whole table. Skips bad lines; if there are any, returns EBADMSG at the
/// end.
pub fn parse_table(table: Table, text: &[u8], sockets: &mut Vec<Socket>) -> Result<(), Errno> {
    let mut outcome = Ok(());
    for line in text.split(|&byte| byte == b'\n').skip(1).filter(|line| !line.is_empty()) {
        match parse_line(table, line) {
            Some(socket) => sockets.push(socket),
            None => outcome = Err(Errno::EBADMSG),
        }
    }
    outcome
}

/// Parses a line of proc_pid_net(5), all in hex except `sl`, `uid`, `timeout` and `inode`:
/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
fn parse_line(table: Table, line: &[u8]) -> Option<Socket> {
    let mut fields = line.split(|&byte| byte == b' ').filter(|field| !field.is_empty()).skip(1);
    let local = parse_endpoint(table, fields.next()?)?;
    let remote = parse_endpoint(table, fields.next()?)?;
    let state = decode_state(table.protocol(), parse_hex(fields.next()?)?.try_into().ok()?)?;
    let (send_queue, receive_queue) = parse_pair(fields.next()?)?;
    let (timer, ticks) = parse_pair(fields.next()?)?;
    let timer = decode_timer(timer.try_into().ok()?);
    let uid = parse_decimal(fields.nth(1)?)?;
    let inode = parse_decimal(fields.nth(1)?)?;
    let mut socket = Socket {
        timer,
        remote: state.has_peer().then_some(remote),
        inode: Some(inode).filter(|&inode| inode != 0),
        expires_ms: (timer != Timer::None).then_some(ticks.saturating_mul(MILLISECONDS_A_TICK)),
        receive_queue,
        send_queue,
        ..Socket::new(table.protocol(), state, local)
    };
    socket.uid = trusted_uid(&socket, uid);
    Some(socket)
}

/// Parses `0100007F:1F90`: each word of the address in host byte order, then the port.
fn parse_endpoint(table: Table, field: &[u8]) -> Option<Endpoint> {
    let colon = field.iter().position(|&byte| byte == b':')?;
    let (address, port) = (&field[..colon], &field[colon + 1..]);
    let address = if matches!(table, Table::Tcp6 | Table::Udp6) {
        let words: [[u8; 4]; 4] = parse_words(address)?;
        let join = |bits, word| bits << 32 | u128::from(u32::from_be_bytes(word));
        IpAddr::from(Ipv6Addr::from_bits(words.into_iter().fold(0, join)))
    } else {
        let [bytes] = parse_words(address)?;
        IpAddr::from(Ipv4Addr::from(bytes))
    };
    Some(Endpoint { address, port: parse_hex(port)?.try_into().ok()? })
}

/// Converts each word to its bytes in memory. These are in network byte order, because the kernel
/// prints addresses without converting them.
fn parse_words<const COUNT: usize>(digits: &[u8]) -> Option<[[u8; 4]; COUNT]> {
    let mut words = [[0; 4]; COUNT];
    if digits.len() != COUNT * 8 {
        return None;
    }
    for (word, digits) in words.iter_mut().zip(digits.chunks_exact(8)) {
        *word = parse_hex(digits)?.to_ne_bytes();
    }
    Some(words)
}

fn parse_pair(field: &[u8]) -> Option<(u32, u32)> {
    let colon = field.iter().position(|&byte| byte == b':')?;
    Some((parse_hex(&field[..colon])?, parse_hex(&field[colon + 1..])?))
}

fn parse_hex(digits: &[u8]) -> Option<u32> {
    parse_digits(digits, 16)
}

fn parse_decimal(digits: &[u8]) -> Option<u32> {
    parse_digits(digits, 10)
}

fn parse_digits(digits: &[u8], radix: u32) -> Option<u32> {
    let start = (!digits.is_empty()).then_some(0u32)?;
    digits.iter().try_fold(start, |value, &digit| {
        value.checked_mul(radix)?.checked_add(char::from(digit).to_digit(radix)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::State;

    const HEADING: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n";

    fn parse(table: Table, lines: &str) -> (Vec<Socket>, Result<(), Errno>) {
        let mut sockets = Vec::new();
        let outcome = parse_table(table, format!("{HEADING}{lines}").as_bytes(), &mut sockets);
        (sockets, outcome)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_listening_socket_has_no_peer() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  \
                    1000        0 36864 1 000000002bdd6667 100 0 0 10 0\n";
        let (sockets, outcome) = parse(Table::Tcp4, line);
        assert_eq!(outcome, Ok(()));
        let [socket] = sockets[..] else { panic!("{sockets:?}") };
        assert_eq!(socket.local.to_string(), "127.0.0.1:8080");
        assert_eq!((socket.state, socket.remote), (State::Listen, None));
        assert_eq!((socket.inode, socket.uid, socket.receive_queue), (Some(36_864), Some(1000), 3));
        assert_eq!((socket.timer, socket.expires_ms), (Timer::None, None));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn time_wait_has_a_timer_and_no_uid() {
        let line = "   7: 0000000000000000FFFF00000100007F:A001 \
                    0000000000000000FFFF00000100007F:1F90 06 00000000:00000000 03:0000176A \
                    00000000     0        0 0 3 0000000000000000\n";
        let (sockets, outcome) = parse(Table::Tcp6, line);
        assert_eq!(outcome, Ok(()));
        let [socket] = sockets[..] else { panic!("{sockets:?}") };
        assert_eq!(socket.local.to_string(), "[::ffff:127.0.0.1]:40961");
        assert_eq!((socket.timer, socket.expires_ms), (Timer::TimeWait, Some(59_940)));
        assert_eq!((socket.inode, socket.uid), (None, None));
    }

    #[test]
    fn a_malformed_line_is_skipped_and_reported() {
        let good =
            "0: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 9 2\n";
        for bad in [
            "0:\n",
            "0: 0000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 9 2\n",
            "0: 00000000:10035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 9 2\n",
            "0: 00000000:0035 00000000:0000 0E 00000000:00000000 00:00000000 00000000 0 0 9 2\n",
            "0: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 x 2\n",
        ] {
            let (sockets, outcome) = parse(Table::Udp4, &format!("{bad}{good}"));
            assert_eq!((sockets.len(), outcome), (1, Err(Errno::EBADMSG)), "{bad}");
        }
    }
}
