//! Lenses that sort ports into a few categories: protocol, age, parity, density, connect, bind. Not
//! their names.

use std::time::Duration;

use crate::{
    app::{
        Grid, Lens, Place,
        lens::marks::{bind, connect},
    },
    domain::{Age, Analysis, Destination, History, Occupancy, PortRange, Protocols, Snapshot},
};

/// An age belongs to the first step that it is under, else to the one after the last. A scan a
/// second tells new sockets as at most a little over a second old.
pub const AGE_STEPS: [Duration; 7] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(6),
    Duration::from_hours(24),
];
/// The category of ports of which no socket came since the first snapshot.
pub const OLDER_THAN_OUR_WATCH: u8 = AGE_STEPS.len() as u8 + 1;
/// A share belongs to the first step that it is under, else to the one after the last.
pub const DENSITY_STEPS: [f32; 4] = [0.12, 0.40, 0.65, 0.90];

/// As many as the lens with most of them has.
const MOST: usize = OLDER_THAN_OUR_WATCH as usize + 1;
pub(super) const PORTS: usize = 65_536;
const NO_SOCKET: u8 = u8::MAX;

/// What a lens of categories counts in.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What the map shows.
    pub range: PortRange,
    /// As it shows it; None: the terminal is too small.
    pub grid: Option<&'a Grid>,
    pub protocols: Protocols,
    pub snapshot: &'a Snapshot,
    pub occupancy: &'a Occupancy,
    pub history: &'a History,
    pub analysis: &'a Analysis,
    /// That the lens connect is about; None: there is no connection at all.
    pub destination: Option<Destination>,
}

/// How many ports each category of the lens has.
///
/// Of protocol and parity category 0 and 1 are one and the other, 2 is both. Of age and density a
/// category is a step, age's first the youngest. Those of connect and bind are the constants of
/// their modules.
#[derive(Clone, Debug, Default)]
pub struct Categories {
    lens: Lens,
    ports: [u32; MOST],
    /// By port: the step of its youngest socket, or what connect or bind would meet. Empty under
    /// other lenses.
    by_port: Vec<u8>,
    /// What the lens connect is about.
    pub destination: Option<Destination>,
}

impl Categories {
    /// Of state those of density; of owner none.
    pub fn count(lens: Lens, seen: Seen<'_>) -> Self {
        let mut categories = Self { lens, ..Self::default() };
        match lens {
            Lens::Owner => {}
            // Without colours, states are drawn as density.
            Lens::State | Lens::Density => categories.count_blocks(seen),
            Lens::Age => {
                categories.by_port = youngest(seen);
                categories.count_ports(seen);
            }
            Lens::Connect => {
                categories.destination = seen.destination;
                categories.by_port = connect::each_port(seen);
                categories.count_all(seen);
            }
            Lens::Bind => {
                categories.by_port = bind::each_port(seen);
                categories.count_all(seen);
            }
            Lens::Protocol | Lens::Parity => categories.count_ports(seen),
        }
        categories
    }

    /// Occupied ports of a category.
    pub fn ports(&self, category: u8) -> u32 {
        self.ports.get(usize::from(category)).copied().unwrap_or_default()
    }

    /// Of connect and bind, where free ports have a category, too: what marks a block and how much of
    /// it, port by port the rarer the more telling. None: nothing to mark.
    pub fn marked(&self, block: PortRange) -> Option<(u8, f32)> {
        let mut counts = [0_u32; MOST];
        for port in block.ports() {
            let category = self.by_port.get(usize::from(port)).copied().unwrap_or_default();
            counts[usize::from(category)] += 1;
        }
        let weights = match self.lens {
            Lens::Connect => connect::WEIGHTS.as_slice(),
            _ => bind::WEIGHTS.as_slice(),
        };
        let weighed = weights.iter().zip(counts).map(|(weight, ports)| weight * ports);
        let (category, weight) = (0..).zip(weighed).max_by_key(|&(_, weight)| weight)?;
        let marked: u32 = weights.iter().zip(counts).filter(|(w, _)| **w > 0).map(|(_, n)| n).sum();
        (weight > 0).then(|| (category, marked as f32 / block.len() as f32))
    }

    /// What a block shows; None: nothing is taken, or the lens has no categories.
    pub fn of(&self, block: PortRange, occupancy: &Occupancy, protocols: Protocols) -> Option<u8> {
        let is_taken = |port: &u16| occupancy.port(*port).is_occupied(protocols);
        let mut taken = block.ports().filter(is_taken);
        if self.lens == Lens::Density {
            let count = taken.count() as u32;
            return (count > 0).then(|| density_of(count, block));
        }
        let first = self.of_port(taken.next()?, occupancy)?;
        let others = taken.filter_map(|port| self.of_port(port, occupancy));
        Some(others.fold(first, |all, other| self.joined(all, other)))
    }

    /// Of a taken port.
    fn of_port(&self, port: u16, occupancy: &Occupancy) -> Option<u8> {
        match self.lens {
            Lens::Protocol => Some(protocol_of(port, occupancy)),
            Lens::Parity => Some((port % 2) as u8),
            Lens::Age => self.by_port.get(usize::from(port)).copied().filter(|&s| s != NO_SOCKET),
            Lens::Connect | Lens::Bind => self.by_port.get(usize::from(port)).copied(),
            Lens::State | Lens::Owner | Lens::Density => None,
        }
    }

    fn joined(&self, one: u8, other: u8) -> u8 {
        match self.lens {
            Lens::Age => one.min(other),
            _ if one == other => one,
            _ => 2,
        }
    }

    fn count_ports(&mut self, seen: Seen<'_>) {
        let is_taken = |port: &u16| seen.occupancy.port(*port).is_occupied(seen.protocols);
        for port in seen.range.ports().filter(is_taken) {
            if let Some(category) = self.of_port(port, seen.occupancy) {
                self.ports[usize::from(category)] += 1;
            }
        }
    }

    /// Free ports, too.
    fn count_all(&mut self, seen: Seen<'_>) {
        for port in seen.range.ports() {
            self.ports[usize::from(self.by_port[usize::from(port)])] += 1;
        }
    }

    /// A block's ports all stand in the block's step.
    fn count_blocks(&mut self, seen: Seen<'_>) {
        for block in blocks(seen) {
            let taken = seen.occupancy.occupied_in(block, seen.protocols);
            if taken > 0 {
                self.ports[usize::from(density_of(taken, block))] += taken;
            }
        }
    }
}

/// Of the map; without one the whole range is a single block.
fn blocks(seen: Seen<'_>) -> Vec<PortRange> {
    let Some(grid) = seen.grid else { return vec![seen.range] };
    let places = (0..grid.rows())
        .flat_map(|row| (0..grid.columns()).map(move |column| Place { column, row }));
    places.filter_map(|place| grid.block(place)).collect()
}

/// The protocols that the map leaves out count, too: "TCP only" is to be true.
fn protocol_of(port: u16, occupancy: &Occupancy) -> u8 {
    let port_use = occupancy.port(port);
    match [Protocols::Tcp, Protocols::Udp].map(|protocol| port_use.is_occupied(protocol)) {
        [true, true] => 2,
        [_, is_udp] => u8::from(is_udp),
    }
}

fn density_of(taken: u32, block: PortRange) -> u8 {
    let share = taken as f32 / block.len() as f32;
    DENSITY_STEPS.iter().position(|&under| share < under).unwrap_or(DENSITY_STEPS.len()) as u8
}

/// By port, in a walk over all sockets; `History::ages` goes along with the snapshot.
fn youngest(seen: Seen<'_>) -> Vec<u8> {
    let mut youngest = vec![NO_SOCKET; PORTS];
    for (socket, age) in seen.snapshot.sockets.iter().zip(seen.history.ages()) {
        if seen.protocols.includes(socket.protocol) {
            let of_port = &mut youngest[usize::from(socket.local.port)];
            *of_port = step_of(age).min(*of_port);
        }
    }
    youngest
}

fn step_of(age: Age) -> u8 {
    match age {
        Age::AtLeast(_) => OLDER_THAN_OUR_WATCH,
        Age::Exactly(age) => {
            AGE_STEPS.iter().position(|&under| age < under).unwrap_or(AGE_STEPS.len()) as u8
        }
    }
}
