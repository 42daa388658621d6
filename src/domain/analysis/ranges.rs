//! Counts the used ports of the ephemeral range, for each protocol. Does not count by owner.

use crate::domain::{Ephemeral, PortRange, PortSet, Protocol, RangeUse, Snapshot, Socket, State};

/// One port of one protocol, as described by all its sockets.
#[expect(clippy::struct_excessive_bools, reason = "properties that are used independently")]
pub(super) struct PortState {
    pub protocol: Protocol,
    pub number: u16,
    /// Whether the port is in the ephemeral range and not reserved.
    pub is_automatic: bool,
    /// Whether the port has the parity that connect() tries first.
    pub is_low: bool,
    /// See `Analysis::unconnectable`.
    pub is_unconnectable: bool,
    /// See `Analysis::numbered`. False if `is_unconnectable`.
    pub is_numbered: bool,
    /// Whether the port is the first or last one of a range with an odd number of ports.
    pub is_odd_end: bool,
    /// The number of sockets.
    pub sockets: usize,
}

impl PortState {
    /// Combines all sockets of a port; there must be at least one.
    pub fn of(sockets: &[Socket], snapshot: &Snapshot) -> Self {
        let ephemeral = &snapshot.ephemeral;
        let (protocol, number) = (sockets[0].protocol, sockets[0].local.port);
        let is_in = |ports: &Option<PortSet>| ports.as_ref().is_some_and(|p| p.contains(number));
        let is_tcp = protocol == Protocol::Tcp;
        let is_unconnectable = is_tcp && sockets.iter().any(|socket| socket.state.blocks_connect());
        let is_bound = is_in(&snapshot.numbered) || is_in(&snapshot.listened);
        Self {
            protocol,
            number,
            is_automatic: ephemeral.may_choose(number),
            is_low: ephemeral.has_low_parity(number),
            is_unconnectable,
            is_numbered: is_tcp && is_bound && !is_unconnectable,
            is_odd_end: ephemeral.is_odd_end(number),
            sockets: sockets.len(),
        }
    }
}

/// The counts of both protocols' ranges, filled port by port.
pub(super) struct Ranges {
    pub each: [RangeUse; 2],
    pub unconnectable: PortSet,
    pub numbered: PortSet,
    /// Number of free ports at the ends of the range that bind(0) may skip. 0 unless the range has
    /// an odd number of ports.
    bind_ends: u32,
    /// As `bind_ends`, for connect().
    pub connect_ends: u32,
}

impl Ranges {
    pub fn of(ephemeral: &Ephemeral) -> Self {
        let mut each = Protocol::EACH.map(|protocol| RangeUse::empty(protocol, ephemeral));
        let ends = [ephemeral.range.first(), ephemeral.range.last()];
        let is_open = |&port: &u16| ephemeral.is_odd_end(port) && !ephemeral.is_reserved(port);
        let ends = ends.iter().filter(|port| is_open(port)).count() as u32;
        let tcp = &mut each[Protocol::Tcp as usize];
        (tcp.bind_may_miss, tcp.connect_may_miss) = (ends.min(1), ends.min(1));
        let (unconnectable, numbered) = Default::default();
        Self { each, unconnectable, numbered, bind_ends: ends, connect_ends: ends }
    }

    pub fn add(&mut self, port: &PortState, sockets: &[Socket]) {
        if port.is_unconnectable {
            self.unconnectable.insert(port.number);
        }
        if !port.is_automatic {
            return;
        }
        let range = &mut self.each[port.protocol as usize];
        let is_time_wait = sockets.iter().all(|socket| socket.state == State::TimeWait);
        range.occupied += 1;
        range.time_wait += u32::from(is_time_wait);
        range.low_parity_occupied += u32::from(port.is_low);
        range.unconnectable += u32::from(port.is_unconnectable);
        range.low_parity_unconnectable += u32::from(port.is_unconnectable && port.is_low);
        if port.is_numbered {
            range.numbered += 1;
            range.low_parity_numbered += u32::from(port.is_low);
            self.numbered.insert(port.number);
        }
        if port.protocol == Protocol::Tcp && port.is_odd_end {
            self.bind_ends -= 1;
            self.connect_ends -= u32::from(port.is_unconnectable || port.is_numbered);
            range.bind_may_miss = self.bind_ends.min(1);
            range.connect_may_miss = self.connect_ends.min(1);
        }
    }
}

/// Counts the ports of the low parity that the kernel may choose.
pub(super) fn low_parity_in(ephemeral: &Ephemeral) -> u32 {
    let range = ephemeral.range;
    let low = |part: PortRange| {
        let has_more = ephemeral.has_low_parity(part.first());
        if has_more { part.len().div_ceil(2) } else { part.len() / 2 }
    };
    let parts = ephemeral.reserved().iter().filter_map(|part| part.intersection(range));
    low(range) - parts.map(low).sum::<u32>()
}
