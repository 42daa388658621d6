//! Counts, for each destination, the ports that its connections take. Judges nothing.

use std::cmp::Reverse;

use crate::domain::{
    Destination, DestinationUse, Ephemeral, RangeUse, Socket, State,
    analysis::{MOST_OWNERS, owners::Owners, places::Places, ranges::Port},
};

/// Destinations and their parties, by the order in which they came.
#[derive(Default)]
pub(super) struct Destinations {
    tw_reuse: Option<u8>,
    rows: Vec<Row>,
    places: Places<Destination>,
    pairs: Vec<Pair>,
    /// By the places of destination and party.
    pair_places: Places<(u32, u32)>,
}

struct Row {
    usage: DestinationUse,
    /// The last port counted, and as what.
    port: Option<u16>,
    counted: Counted,
}

/// What a port is to a destination, by all its sockets with this four-tuple: with devices there may
/// be more than one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    time_wait: bool,
    reusable: bool,
}

/// What one party has of a destination.
pub(super) struct Pair {
    pub destination: u32,
    pub party: u32,
    sockets: u32,
}

/// Where a counted socket went.
pub(super) struct Connection {
    pub pair: u32,
    pub is_reusable: bool,
}

impl Destinations {
    pub fn of(ephemeral: &Ephemeral) -> Self {
        Self { tw_reuse: ephemeral.tw_reuse, ..Self::default() }
    }

    /// None: the socket has no destination, or its port is none that connect() may choose.
    pub fn add(&mut self, port: &Port, socket: &Socket, party: u32) -> Option<Connection> {
        if !port.is_automatic || port.is_poisoned {
            return None;
        }
        let destination = Destination::of(socket)?;
        let counted = self.count_as(&destination, socket);
        let place = self.places.of(destination);
        if place as usize == self.rows.len() {
            self.rows.push(Row::of(destination));
        }
        self.rows[place as usize].count(port, counted);
        Some(Connection { pair: self.pair(place, party), is_reusable: counted.reusable })
    }

    /// Now that the whole range was counted.
    pub fn fit_into(&mut self, range: &RangeUse) {
        for row in &mut self.rows {
            row.usage.capacity = range.size - range.poisoned;
            row.usage.low_parity_capacity = range.low_parity_size - range.low_parity_poisoned;
        }
    }

    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    pub fn usage_of(&self, pair: u32) -> &DestinationUse {
        &self.rows[self.pairs[pair as usize].destination as usize].usage
    }

    /// One of the TIME-WAIT sockets is not reusable after all.
    pub fn refuse_reuse(&mut self, pair: u32) {
        let destination = self.pairs[pair as usize].destination;
        self.rows[destination as usize].usage.reusable -= 1;
    }

    pub fn into_rows(mut self, owners: &Owners) -> Vec<DestinationUse> {
        for pair in &self.pairs {
            let usage = &mut self.rows[pair.destination as usize].usage;
            usage.owners.push((owners.party(pair.party), pair.sockets));
        }
        let mut rows: Vec<DestinationUse> = self.rows.into_iter().map(|row| row.usage).collect();
        for row in &mut rows {
            row.owners.sort_unstable_by_key(|&(party, sockets)| (Reverse(sockets), party));
            row.owners.truncate(MOST_OWNERS);
        }
        // The capacity is the same for all.
        rows.sort_unstable_by_key(|row| (Reverse(row.used - row.reusable), row.destination));
        rows
    }

    fn count_as(&self, destination: &Destination, socket: &Socket) -> Counted {
        let time_wait = socket.state == State::TimeWait;
        let is_on = match self.tw_reuse {
            Some(1) => true,
            Some(2) => destination.is_loopback(),
            _ => false,
        };
        Counted { time_wait, reusable: is_on && socket.is_old_time_wait() }
    }

    fn pair(&mut self, destination: u32, party: u32) -> u32 {
        let place = self.pair_places.of((destination, party));
        if place as usize == self.pairs.len() {
            self.pairs.push(Pair { destination, party, sockets: 0 });
        }
        self.pairs[place as usize].sockets += 1;
        place
    }
}

impl Row {
    fn of(destination: Destination) -> Self {
        let usage = DestinationUse {
            destination,
            capacity: 0,
            used: 0,
            time_wait: 0,
            reusable: 0,
            low_parity_capacity: 0,
            low_parity_used: 0,
            owners: Vec::new(),
        };
        Self { usage, port: None, counted: Counted::default() }
    }

    /// Each port once: as TIME-WAIT only if nothing else is there.
    fn count(&mut self, port: &Port, counted: Counted) {
        let usage = &mut self.usage;
        let mut all = counted;
        if self.port == Some(port.number) {
            usage.time_wait -= u32::from(self.counted.time_wait);
            usage.reusable -= u32::from(self.counted.reusable);
            all.time_wait &= self.counted.time_wait;
            all.reusable &= self.counted.reusable;
        } else {
            usage.used += 1;
            usage.low_parity_used += u32::from(port.is_low);
        }
        usage.time_wait += u32::from(all.time_wait);
        usage.reusable += u32::from(all.reusable);
        (self.port, self.counted) = (Some(port.number), all);
    }
}
