//! Removes sockets that were listed twice, because they moved from one of the kernel's tables to
//! another during the dump. Keeps distinct sockets that look alike.

use crate::domain::Socket;

/// Finds rows with the same cookie and keeps the last one, which is the newest.
#[derive(Default)]
pub(super) struct Repetitions {
    /// Pairs of cookie and row number, reused for each scan.
    cookies: Vec<(u64, u32)>,
}

impl Repetitions {
    pub(super) fn remove(&mut self, sockets: &mut Vec<Socket>) {
        self.cookies.clear();
        let indexes = (0u32..).zip(sockets.iter());
        self.cookies.extend(indexes.filter_map(|(index, socket)| Some((socket.cookie?, index))));
        self.cookies.sort_unstable();
        let pairs = self.cookies.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        let mut outdated: Vec<u32> = pairs.map(|pair| pair[0].1).collect();
        if outdated.is_empty() {
            return;
        }
        outdated.sort_unstable();
        let mut indexes = 0u32..;
        sockets.retain(|_| indexes.next().is_some_and(|p| outdated.binary_search(&p).is_err()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::domain::{Protocol, State};

    fn socket(state: State, cookie: Option<u64>) -> Socket {
        let local = (Ipv4Addr::LOCALHOST, 80).into();
        Socket { cookie, ..Socket::new(Protocol::Tcp, state, local) }
    }

    #[test]
    fn the_later_row_of_a_socket_listed_twice_is_kept() {
        let mut sockets = vec![
            socket(State::Bound, Some(7)),
            socket(State::Listen, Some(3)),
            socket(State::SynSent, Some(7)),
            socket(State::Established, None),
            socket(State::Established, Some(7)),
            socket(State::Established, None),
        ];
        let expected = [sockets[1], sockets[3], sockets[4], sockets[5]];
        Repetitions::default().remove(&mut sockets);
        assert_eq!(sockets, expected);
    }
}
