//! Predicts when ports in TIME-WAIT become free. Assumes that no connection is added.

use crate::domain::{Destination, Protocol, Snapshot, Socket, State, ephemeral::TIME_WAIT_MS};

pub(super) const TIME_WAIT_SECONDS: u32 = TIME_WAIT_MS / 1000;

/// Ports in TIME-WAIT by the second in which the kernel frees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// `freed[s]`: ports whose last TIME-WAIT ends between s and s + 1 seconds from now; 60
    /// entries.
    pub freed: Vec<u32>,
}

impl Drain {
    /// Counts the TIME-WAIT ports of one destination, or of the whole ephemeral range if
    /// `destination` is None. Omits ports on which a counted socket is in another state. Timers
    /// last at most 60 s; an unknown timer counts as 60 s. The snapshot must be sorted.
    pub fn of(snapshot: &Snapshot, destination: Option<&Destination>) -> Self {
        let mut freed = vec![0; TIME_WAIT_SECONDS as usize];
        let ports = snapshot.automatic_ports(Protocol::Tcp);
        for second in ports.filter_map(|port| last_second(port, destination)) {
            freed[second] += 1;
        }
        Self { freed }
    }

    /// Returns the seconds until `ports` ports are free again if no connection is added. None:
    /// fewer ports are in TIME-WAIT.
    pub fn seconds_until(&self, ports: u32) -> Option<u32> {
        if ports == 0 {
            return Some(0);
        }
        let freed_by = self.freed.iter().scan(0, |sum, freed| {
            *sum += freed;
            Some(*sum)
        });
        (1..).zip(freed_by).find(|&(_, sum)| sum >= ports).map(|(seconds, _)| seconds)
    }
}

/// Returns the second, 0 to 59, in which the last TIME-WAIT of a port ends. None: the port has no
/// TIME-WAIT socket to count, or a counted socket is in another state.
fn last_second(port: &[Socket], destination: Option<&Destination>) -> Option<usize> {
    let is_counted = |socket: &&Socket| {
        destination.is_none_or(|destination| Destination::of(socket).as_ref() == Some(destination))
    };
    let mut last = None;
    for socket in port.iter().filter(is_counted) {
        if socket.state != State::TimeWait {
            return None;
        }
        let longest = TIME_WAIT_SECONDS - 1;
        let second = socket.expires_ms.map_or(longest, |left| (left / 1000).min(longest));
        last = last.max(Some(second as usize));
    }
    last
}
