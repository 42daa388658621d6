//! Lenses that sort ports into a few categories: protocol, age, parity, density. Not their names.

use std::time::Duration;

use crate::{
    app::{Grid, Lens, Place},
    domain::{Age, History, Occupancy, PortRange, Protocols, Snapshot},
};

/// An age belongs to the first step that it is under, else to the one after the last. A scan a
/// second tells new sockets as at most a little over a second old.
pub const AGE_STEPS: [Duration; 7] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(24 * 3600),
];
/// The category of ports of which no socket came since the first snapshot.
pub const OLDER_THAN_OUR_WATCH: u8 = AGE_STEPS.len() as u8 + 1;
/// A share belongs to the first step that it is under, else to the one after the last.
pub const DENSITY_STEPS: [f32; 4] = [0.12, 0.40, 0.65, 0.90];

/// As many as the lens with most of them has.
const MOST: usize = OLDER_THAN_OUR_WATCH as usize + 1;
const PORTS: usize = 65_536;
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
}

/// How many ports each category of the lens has.
///
/// Of protocol and parity category 0 and 1 are one or the other, 2 is both. Of age and density a
/// category is a step.
#[derive(Clone, Debug, Default)]
pub struct Categories {
    lens: Lens,
    ports: [u32; MOST],
    /// By port: the step of its youngest socket. Only while the lens is age.
    youngest: Vec<u8>,
}

impl Categories {
    /// Empty for lenses that have none.
    pub fn count(lens: Lens, seen: Seen<'_>) -> Self {
        let mut categories = Self { lens, ..Self::default() };
        match lens {
            Lens::State | Lens::Owner => {}
            Lens::Density => categories.count_blocks(seen),
            Lens::Age => {
                categories.youngest = youngest(seen);
                categories.count_ports(seen);
            }
            Lens::Protocol | Lens::Parity => categories.count_ports(seen),
        }
        categories
    }

    /// Occupied ports of a category.
    pub fn ports(&self, category: u8) -> u32 {
        self.ports.get(usize::from(category)).copied().unwrap_or_default()
    }

    /// What a block shows; None: nothing is taken, or the lens has no categories.
    pub fn of(&self, block: PortRange, occupancy: &Occupancy, protocols: Protocols) -> Option<u8> {
        let taken = || block.ports().filter(|&p| occupancy.port(p).is_occupied(protocols));
        match self.lens {
            Lens::State | Lens::Owner => None,
            Lens::Age => taken().filter_map(|port| self.youngest(port)).min(),
            Lens::Protocol => taken().map(|port| protocol_of(port, occupancy)).reduce(joined),
            Lens::Parity => taken().map(parity_of).reduce(joined),
            Lens::Density => match taken().count() {
                0 => None,
                count => Some(density_of(count as u32, block)),
            },
        }
    }

    fn count_ports(&mut self, seen: Seen<'_>) {
        for port in seen.range.ports() {
            let only = PortRange::new(port, port).ok();
            if let Some(category) =
                only.and_then(|only| self.of(only, seen.occupancy, seen.protocols))
            {
                self.ports[usize::from(category)] += 1;
            }
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

    fn youngest(&self, port: u16) -> Option<u8> {
        self.youngest.get(usize::from(port)).copied().filter(|&step| step != NO_SOCKET)
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

fn parity_of(port: u16) -> u8 {
    (port % 2) as u8
}

/// One, the other, or both.
fn joined(a: u8, b: u8) -> u8 {
    if a == b { a } else { 2 }
}

fn density_of(taken: u32, block: PortRange) -> u8 {
    let share = taken as f32 / block.len() as f32;
    DENSITY_STEPS.iter().position(|&under| share < under).unwrap_or(DENSITY_STEPS.len()) as u8
}

/// A walk over all sockets; `History::ages` goes along with the snapshot.
fn youngest(seen: Seen<'_>) -> Vec<u8> {
    let mut ages: Vec<Option<Age>> = vec![None; PORTS];
    for (socket, age) in seen.snapshot.sockets.iter().zip(seen.history.ages()) {
        if seen.protocols.includes(socket.protocol) {
            let of_port = &mut ages[usize::from(socket.local.port)];
            *of_port = Some(of_port.map_or(age, |other| other.youngest(age)));
        }
    }
    ages.into_iter().map(|age| age.map_or(NO_SOCKET, step_of)).collect()
}

fn step_of(age: Age) -> u8 {
    match age {
        Age::AtLeast(_) => OLDER_THAN_OUR_WATCH,
        Age::Exactly(age) => {
            AGE_STEPS.iter().position(|&under| age < under).unwrap_or(AGE_STEPS.len()) as u8
        }
    }
}
