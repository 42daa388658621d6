//! Requests tables from NETLINK_SOCK_DIAG, and repeats a request whose answer was unreliable. Does
//! not encode or decode messages.

use std::{io, net::Ipv4Addr, os::fd::OwnedFd};

use rustix::net::{
    self, RecvFlags, SendFlags,
    netlink::{SOCK_DIAG, SocketAddrNetlink},
};

use crate::{
    domain::{Endpoint, Errno, Protocol, Socket, State, Table},
    host::linux::{
        netlink::{self, BUFFER_LENGTH},
        sock_diag::codec::{self, CLOSED, DumpError, SocketDump},
    },
};

const RETRIES: u32 = 5;
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Transport of requests and answers: the kernel, or a fake kernel in tests.
pub trait Link: Send {
    fn send(&mut self, request: &[u8]) -> io::Result<()>;

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Datagram>;
}

/// What recvfrom(2) returns besides the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Length as sent; larger than the buffer if the datagram was truncated.
    pub length: usize,
    /// Whether the kernel sent it; other processes can send to a netlink socket, too.
    pub is_from_kernel: bool,
}

/// Dumps socket tables of the network namespace in which it was opened.
pub struct DiagSocket {
    link: Box<dyn Link>,
    buffer: Vec<u8>,
    sequence: u32,
    /// See `SocketDump::has_ended_connections`.
    has_ended_connections: bool,
}

impl DiagSocket {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        Ok(Self::over(Box::new(Netlink::open()?)))
    }

    pub fn over(link: Box<dyn Link>) -> Self {
        Self { link, buffer: vec![0; BUFFER_LENGTH], sequence: 0, has_ended_connections: false }
    }

    /// Appends the sockets of `table` that are in one of `states` and have this local port; None:
    /// any port. On an error, appends the sockets that the last attempt received; appends none for
    /// `Malformed` and `Refused`.
    ///
    /// If a connection may have become TIME-WAIT during the dump, those of `states` that are
    /// FIN-WAIT-2 or TIME-WAIT are dumped again, so sockets may be listed twice.
    pub fn dump(
        &mut self,
        table: Table,
        states: u32,
        port: Option<u16>,
        sockets: &mut Vec<Socket>,
    ) -> Result<(), DumpError> {
        self.has_ended_connections = false;
        let request = |sequence| codec::request(table, states, port, sequence);
        let result = self.dump_as(table, &request, sockets);
        if !self.has_ended_connections || states & CLOSED == 0 {
            return result;
        }
        let request = |sequence| codec::request(table, states & CLOSED, port, sequence);
        let again = self.dump_as(table, &request, sockets);
        result.and(again.map_err(|_| DumpError::Interrupted))
    }

    /// Returns whether a connected TCP socket uses timestamps. None: unknown, for example because
    /// the socket no longer exists.
    pub fn has_timestamps(&mut self, socket: &Socket) -> Option<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = codec::request_of_info(socket, self.sequence)?;
        self.link.send(&request).ok()?;
        let length = self.receive().ok()?;
        codec::has_timestamps(self.buffer.get(..length)?, self.sequence)
    }

    /// Closes the socket with this cookie and these endpoints (`SOCK_DESTROY`). Errors: ENOENT or
    /// ESTALE if it no longer exists, if it is bound-inactive, or if the kernel finds another socket
    /// with the same endpoints (`inet_diag_find_one_icsk`, net/ipv4/inet_diag.c); EPERM without
    /// CAP_NET_ADMIN in the user namespace of the network namespace; EOPNOTSUPP if the kernel has no
    /// SOCK_DESTROY; EINVAL if the socket has no cookie.
    pub fn destroy(&mut self, socket: &Socket) -> Result<(), Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = codec::request_of_destroy(socket, self.sequence).ok_or(Errno::EINVAL)?;
        self.link.send(&request)?;
        loop {
            let length = self.receive()?;
            let datagram = self.buffer.get(..length).ok_or(Errno::EBADMSG)?;
            if let Some(answer) = codec::destroyed(datagram, self.sequence) {
                return answer;
            }
        }
    }

    /// Returns whether the kernel has SOCK_DESTROY for the protocol (CONFIG_INET_DIAG_DESTROY). Closes
    /// nothing: asks for a socket on port 0 with cookie 0, which no socket has. The kernel looks for
    /// the socket before it checks the capability (`inet_diag_cmd_exact`, net/ipv4/inet_diag.c).
    ///
    /// Errors: the answer shows neither.
    pub fn can_destroy(&mut self, protocol: Protocol) -> Result<bool, Errno> {
        let mut nothing = Socket::new(protocol, State::Bound, Endpoint::from((LOOPBACK, 0)));
        nothing.cookie = Some(0);
        match self.destroy(&nothing) {
            Err(Errno::ENOENT | Errno::ESTALE) => Ok(true),
            // EINVAL: a kernel before Linux 4.5 does not know the request (`sock_diag_rcv_msg`).
            Err(Errno::EOPNOTSUPP | Errno::EINVAL) => Ok(false),
            Err(errno) => Err(errno),
            Ok(()) => Err(Errno::EBADMSG),
        }
    }

    /// Receives a datagram from the kernel into `buffer`, and returns its length as sent.
    fn receive(&mut self) -> io::Result<usize> {
        loop {
            match self.link.receive(&mut self.buffer) {
                Ok(datagram) if datagram.is_from_kernel => return Ok(datagram.length),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn dump_as(
        &mut self,
        table: Table,
        request: &dyn Fn(u32) -> Vec<u8>,
        sockets: &mut Vec<Socket>,
    ) -> Result<(), DumpError> {
        let start = sockets.len();
        let mut dump_error = self.dump_once(table, request, sockets);
        for _ in 0..RETRIES {
            if dump_error.is_none() || matches!(dump_error, Some(DumpError::Refused(_))) {
                break;
            }
            sockets.truncate(start);
            dump_error = self.dump_once(table, request, sockets);
        }
        if matches!(dump_error, Some(DumpError::Malformed | DumpError::Refused(_))) {
            sockets.truncate(start);
        }
        dump_error.map_or(Ok(()), Err)
    }

    /// Like `dump`, but only for sockets bound to an explicit port.
    pub fn dump_by_number(
        &mut self,
        table: Table,
        states: u32,
        port: Option<u16>,
        sockets: &mut Vec<Socket>,
    ) -> Result<(), DumpError> {
        let request = |sequence| codec::request_by_number(table, states, port, sequence);
        self.dump_as(table, &request, sockets)
    }

    fn dump_once(
        &mut self,
        table: Table,
        request: &dyn Fn(u32) -> Vec<u8>,
        sockets: &mut Vec<Socket>,
    ) -> Option<DumpError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut dump = SocketDump::new(table, self.sequence);
        if let Err(error) = self.link.send(&request(self.sequence)) {
            return Some(DumpError::Refused(Errno::from(&error)));
        }
        while !dump.is_done() {
            match self.receive() {
                Ok(length) => match self.buffer.get(..length) {
                    Some(bytes) => dump.take(bytes, sockets),
                    None => dump.note(DumpError::Truncated),
                },
                // The kernel dropped some messages; the others can still be read.
                Err(error)
                    if is_overrun(&error) && dump.dump_error() < Some(DumpError::Truncated) =>
                {
                    dump.note(DumpError::Truncated);
                }
                Err(error) => {
                    dump.note(dump_error_of(&error));
                    break;
                }
            }
        }
        self.has_ended_connections |= dump.has_ended_connections();
        dump.dump_error()
    }
}

fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENOBUFS.0)
}

/// Converts an error of recvfrom(2) after which nothing more is expected.
fn dump_error_of(error: &io::Error) -> DumpError {
    if error.kind() == io::ErrorKind::WouldBlock || is_overrun(error) {
        DumpError::Truncated
    } else {
        DumpError::Refused(Errno::from(error))
    }
}

/// A netlink socket to the kernel.
pub struct Netlink(OwnedFd);

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        netlink::open(Some(SOCK_DIAG)).map(Self)
    }
}

impl Link for Netlink {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        net::send(&self.0, request, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let (_, length, sender) = net::recvfrom(&self.0, buffer, RecvFlags::TRUNC)?;
        let sender = sender.and_then(|address| SocketAddrNetlink::try_from(address).ok());
        Ok(Datagram { length, is_from_kernel: sender.is_some_and(|address| address.pid() == 0) })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use super::*;

    const DONE: u16 = 3;
    const ROW: u16 = 18;
    const ERROR: u16 = 2;

    /// The result of one receive call.
    #[derive(Clone, Copy)]
    enum Answer {
        /// A closed socket with this port and inode.
        Closed(u16, u32),
        /// A listening socket on this port, with these message flags.
        Row(u16, u16),
        Done(i32),
        Foreign,
        OldSequence,
        Cut,
        Garbage,
        Errno(Errno),
        /// The kernel's answer to a request that is not a dump; 0: success.
        Acknowledged(i32),
    }

    use Answer::{
        Acknowledged, Closed, Cut, Done, Errno as Failing, Foreign, Garbage, OldSequence, Row,
    };

    /// Answers each request with the next list, and discards the rest of the previous one.
    struct FakeKernel {
        dumps: VecDeque<Vec<Answer>>,
        answers: VecDeque<Answer>,
        sequence: [u8; 4],
        requests: Arc<Mutex<usize>>,
    }

    impl Link for FakeKernel {
        fn send(&mut self, request: &[u8]) -> io::Result<()> {
            *self.requests.lock().unwrap() += 1;
            self.sequence.copy_from_slice(&request[8..12]);
            self.answers = self.dumps.pop_front().unwrap_or_default().into();
            Ok(())
        }

        fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
            let Some(answer) = self.answers.pop_front() else {
                return Err(io::ErrorKind::WouldBlock.into());
            };
            let bytes = match answer {
                Failing(errno) => return Err(io::Error::from_raw_os_error(errno.0)),
                Acknowledged(errno) => message(
                    ERROR,
                    0,
                    self.sequence,
                    &[&(-errno).to_ne_bytes()[..], &[0; 16]].concat(),
                ),
                Done(code) => message(DONE, 0, self.sequence, &code.to_ne_bytes()),
                Garbage => vec![7; 20],
                OldSequence => message(ROW, 0, [9; 4], &listening(9)),
                Closed(port, inode) => message(ROW, 0, self.sequence, &closed(port, inode)),
                Row(port, flags) => message(ROW, flags, self.sequence, &listening(port)),
                Foreign | Cut => message(ROW, 0, self.sequence, &listening(8)),
            };
            buffer[..bytes.len()].copy_from_slice(&bytes);
            let length = if matches!(answer, Cut) { buffer.len() + 1 } else { bytes.len() };
            Ok(Datagram { length, is_from_kernel: !matches!(answer, Foreign) })
        }
    }

    fn message(kind: u16, flags: u16, sequence: [u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(body);
        bytes
    }

    fn listening(port: u16) -> [u8; 72] {
        let mut body = [0; 72];
        (body[0], body[1]) = (2, 10);
        body[4..6].copy_from_slice(&port.to_be_bytes());
        body
    }

    fn closed(port: u16, inode: u32) -> [u8; 72] {
        let mut body = listening(port);
        body[1] = 7;
        body[68..].copy_from_slice(&inode.to_ne_bytes());
        body
    }

    #[test]
    fn sock_destroy_is_missing_if_the_kernel_does_not_look_for_the_socket() {
        for (errno, expected) in [
            (Errno::ENOENT, Ok(true)),
            (Errno::ESTALE, Ok(true)),
            (Errno::EOPNOTSUPP, Ok(false)),
            (Errno::EINVAL, Ok(false)),
            (Errno::EPERM, Err(Errno::EPERM)),
            (Errno(0), Err(Errno::EBADMSG)),
        ] {
            let mut socket = DiagSocket::over(Box::new(FakeKernel {
                dumps: VecDeque::from([vec![Foreign, Acknowledged(errno.0)]]),
                answers: VecDeque::new(),
                sequence: [0; 4],
                requests: Arc::default(),
            }));
            assert_eq!(socket.can_destroy(Protocol::Udp), expected, "{errno:?}");
        }
    }

    /// Returns the result of these dumps: the ports appended after an existing one, the error, and
    /// the number of requests.
    fn outcome(dumps: &[&[Answer]]) -> (Vec<u16>, Result<(), DumpError>, usize) {
        let requests = Arc::default();
        let mut socket = DiagSocket::over(Box::new(FakeKernel {
            dumps: dumps.iter().map(|answers| answers.to_vec()).collect(),
            answers: VecDeque::new(),
            sequence: [0; 4],
            requests: Arc::clone(&requests),
        }));
        let mut sockets = Vec::new();
        let before = codec::decode_socket(&listening(1), crate::domain::Protocol::Tcp);
        sockets.extend(before);
        let result = socket.dump(Table::Tcp, codec::ALL_STATES, None, &mut sockets);
        assert_eq!(sockets[0].local.port, 1, "other tables stay");
        let count = *requests.lock().unwrap();
        (sockets[1..].iter().map(|socket| socket.local.port).collect(), result, count)
    }

    #[test]
    fn a_failed_dump_is_replaced_by_a_complete_one() {
        let whole: &[Answer] = &[Row(5, 0), Done(0)];
        for flawed in [
            &[Row(6, 0x10), Done(0)][..],
            &[Row(6, 0), Failing(Errno::ENOBUFS), Done(0)],
            &[Row(6, 0), Cut, Done(0)],
            &[Row(6, 0), Garbage, Done(0)],
            &[Row(6, 0)],
        ] {
            assert_eq!(outcome(&[flawed, whole]), (vec![5], Ok(()), 2));
        }
    }

    #[test]
    fn time_wait_is_dumped_again_if_a_connection_ended_during_the_dump() {
        let ended: &[Answer] = &[Row(5, 0), Closed(0, 0), Done(0)];
        let again: &[Answer] = &[Row(6, 0), Closed(0, 0), Done(0)];
        assert_eq!(outcome(&[ended, again]), (vec![5, 6], Ok(()), 2));
        let with_port: &[Answer] = &[Closed(7, 0), Done(0)];
        assert_eq!(outcome(&[with_port, again]), (vec![7, 6], Ok(()), 2));
        let refused: &[Answer] = &[Failing(Errno::EPERM)];
        assert_eq!(outcome(&[ended, refused]), (vec![5], Err(DumpError::Interrupted), 2));
    }

    #[test]
    fn a_closed_socket_with_a_process_is_not_dumped_again() {
        let held: &[Answer] = &[Closed(0, 9), Closed(7, 9), Done(0)];
        assert_eq!(outcome(&[held]), (vec![7], Ok(()), 1));
    }

    #[test]
    fn after_five_retries_the_last_dump_is_used_with_its_error() {
        let interrupted: &[Answer] = &[Row(6, 0x10), Done(0)];
        assert_eq!(outcome(&[interrupted; 9]), (vec![6], Err(DumpError::Interrupted), 6));
        let overrun: &[Answer] = &[Failing(Errno::ENOBUFS), Row(6, 0), Done(0)];
        assert_eq!(outcome(&[overrun; 9]), (vec![6], Err(DumpError::Truncated), 6));
        let never_ending: &[Answer] =
            &[Row(6, 0), Failing(Errno::ENOBUFS), Failing(Errno::ENOBUFS)];
        assert_eq!(outcome(&[never_ending; 9]), (vec![6], Err(DumpError::Truncated), 6));
    }

    #[test]
    fn a_dump_that_is_always_malformed_returns_no_sockets() {
        let garbage: &[Answer] = &[Row(6, 0), Garbage, Done(0)];
        assert_eq!(outcome(&[garbage; 9]), (vec![], Err(DumpError::Malformed), 6));
    }

    #[test]
    fn a_refusal_is_final() {
        let denied = Err(DumpError::Refused(Errno::EPERM));
        let after_rows: &[Answer] = &[Row(6, 0), Done(-Errno::EPERM.0)];
        assert_eq!(outcome(&[after_rows; 2]), (vec![], denied, 1));
        let at_once: &[Answer] = &[Failing(Errno::EPERM)];
        assert_eq!(outcome(&[at_once; 2]), (vec![], denied, 1));
    }

    #[test]
    fn messages_of_other_senders_and_old_answers_are_ignored_and_signals_are_retried() {
        let noisy: &[Answer] =
            &[Foreign, OldSequence, Row(5, 0), Failing(Errno::EINTR), Row(6, 0), Done(0)];
        assert_eq!(outcome(&[noisy]), (vec![5, 6], Ok(()), 1));
    }
}
