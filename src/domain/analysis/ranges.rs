//! Counts the ports of the ephemeral range, one port after another. Not whose they are.

use crate::domain::{Ephemeral, PortRange, PortSet, Protocol, RangeUse, Socket, State};

/// What all sockets of one port have in common.
pub(super) struct Port {
    pub protocol: Protocol,
    pub number: u16,
    /// In the ephemeral range, and not reserved.
    pub is_automatic: bool,
    /// Of the parity that connect() tries first.
    pub is_low: bool,
    pub is_poisoned: bool,
    /// How many.
    pub sockets: usize,
}

impl Port {
    /// Of all its sockets; there is at least one.
    pub fn of(sockets: &[Socket], ephemeral: &Ephemeral) -> Self {
        let (protocol, number) = (sockets[0].protocol, sockets[0].local.port);
        let poisons = |socket: &Socket| matches!(socket.state, State::Listen | State::Bound);
        Self {
            protocol,
            number,
            is_automatic: ephemeral.range.contains(number) && !ephemeral.is_reserved(number),
            is_low: is_low(number, ephemeral.range),
            is_poisoned: protocol == Protocol::Tcp && sockets.iter().any(poisons),
            sockets: sockets.len(),
        }
    }
}

/// The two ranges on their way.
pub(super) struct Ranges {
    pub each: [RangeUse; 2],
    pub poisoned: PortSet,
}

impl Ranges {
    pub fn of(ephemeral: &Ephemeral) -> Self {
        let each = Protocol::EACH.map(|protocol| RangeUse::empty(protocol, ephemeral));
        Self { each, poisoned: PortSet::default() }
    }

    pub fn add(&mut self, port: &Port, sockets: &[Socket]) {
        if port.is_poisoned {
            self.poisoned.insert(port.number);
        }
        if !port.is_automatic {
            return;
        }
        let range = &mut self.each[port.protocol as usize];
        let is_time_wait = sockets.iter().all(|socket| socket.state == State::TimeWait);
        range.occupied += 1;
        range.time_wait += u32::from(is_time_wait);
        range.low_parity_occupied += u32::from(port.is_low);
        range.poisoned += u32::from(port.is_poisoned);
        range.low_parity_poisoned += u32::from(port.is_poisoned && port.is_low);
    }
}

/// Ports of the low parity that the kernel may choose.
pub(super) fn low_parity_in(ephemeral: &Ephemeral) -> u32 {
    let range = ephemeral.range;
    let low = |part: PortRange| {
        let has_more = is_low(part.first(), range);
        if has_more { part.len().div_ceil(2) } else { part.len() / 2 }
    };
    let parts = ephemeral.reserved().iter().filter_map(|part| part.intersection(range));
    low(range) - parts.map(low).sum::<u32>()
}

fn is_low(port: u16, range: PortRange) -> bool {
    port % 2 == range.first() % 2
}
