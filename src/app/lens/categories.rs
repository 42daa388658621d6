//! Lenses that sort ports into a few categories: protocol, age, parity, density, connect, bind.
//! Does not define their names.

use std::time::Duration;

use crate::{
    app::{Grid, GridBlock, Lens},
    domain::{Age, Analysis, Destination, History, Occupancy, PortRange, Protocols, Snapshot},
};

/// Upper limits of the age steps. Older sockets are in the step after the last. The first limit is
/// two seconds: with one scan per second, the age of a new socket is uncertain by a little more
/// than a second.
pub const AGE_STEPS: [Duration; 7] = [
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
    Duration::from_hours(6),
    Duration::from_hours(24),
];
/// The category of ports on which no socket is newer than the first snapshot.
pub const OLDER_THAN_SESSION: u8 = AGE_STEPS.len() as u8 + 1;
/// Upper limits of the density steps (occupied share, 0 to 1). Denser blocks are in the step after
/// the last.
pub const DENSITY_STEPS: [f32; 4] = [0.12, 0.40, 0.65, 0.90];

/// Number of categories of the age lens, which has the most.
const MAX_CATEGORIES: usize = OLDER_THAN_SESSION as usize + 1;
pub(super) const PORTS: usize = 65_536;
/// The age step of a port without a socket.
const NO_SOCKET: u8 = u8::MAX;

/// What the categories of a lens are counted from.
#[derive(Clone, Copy)]
pub struct CategoryInput<'a> {
    /// The ports that the map shows.
    pub range: PortRange,
    /// The map's grid; None: the terminal is too small.
    pub grid: Option<&'a Grid>,
    pub protocols: Protocols,
    pub snapshot: &'a Snapshot,
    pub occupancy: &'a Occupancy,
    pub history: &'a History,
    pub analysis: &'a Analysis,
    /// The destination of the connect lens; None: there are no TCP connections.
    pub destination: Option<Destination>,
}

/// How a lens sorts ports into categories.
pub enum Counting {
    /// It has no categories.
    None,
    /// Blocks have a category, their density, in which all their occupied ports count.
    Blocks,
    /// Each occupied port has a category.
    Occupied {
        /// Returns what `of_port` reads for each port, by port number.
        prepare: fn(CategoryInput<'_>) -> Vec<u8>,
        /// Returns the category of a port; None: it is unknown.
        of_port: fn(&Categories, u16, &Occupancy) -> Option<u8>,
        /// Combines the categories of two ports of a block.
        joined: fn(u8, u8) -> u8,
    },
    /// Each port has a category, occupied or not. A block has the category with the greatest sum of
    /// weights; ports of weight 0 are not marked.
    All { each_port: fn(CategoryInput<'_>) -> Vec<u8>, weights: &'static [u32] },
}

pub(super) const PROTOCOL: Counting = Counting::Occupied {
    prepare: |_| Vec::new(),
    of_port: |_, port, occupancy| Some(protocol_of(port, occupancy)),
    joined: same_or_both,
};
pub(super) const PARITY: Counting = Counting::Occupied {
    prepare: |_| Vec::new(),
    of_port: |_, port, _| Some((port % 2) as u8),
    joined: same_or_both,
};
/// The category of a block is that of its youngest port.
pub(super) const AGE: Counting = Counting::Occupied {
    prepare: youngest,
    of_port: |categories, port, _| {
        categories.by_port.get(usize::from(port)).copied().filter(|&step| step != NO_SOCKET)
    },
    joined: |one, other| one.min(other),
};

fn same_or_both(one: u8, other: u8) -> u8 {
    if one == other { one } else { 2 }
}

/// Number of ports in each category of the lens.
///
/// Protocol: 0 is TCP, 1 is UDP, 2 is both. Parity: 0 is even, 1 is odd, 2 is both. Age and
/// density: each category is a step; step 0 is the youngest age or the lowest density. Connect and
/// bind: the categories are the constants of the modules `connect` and `bind`.
#[derive(Clone, Debug, Default)]
pub struct Categories {
    lens: Lens,
    ports: [u32; MAX_CATEGORIES],
    /// The category of each port under the lenses age, connect and bind: the age step of its
    /// youngest socket, or the result of connect() or bind(). Empty under other lenses.
    by_port: Vec<u8>,
    /// The destination of the connect lens.
    pub destination: Option<Destination>,
}

impl Categories {
    /// Counts the ports in each category of a lens.
    pub fn count(lens: Lens, input: CategoryInput<'_>) -> Self {
        let mut categories = Self { lens, destination: input.destination, ..Self::default() };
        match lens.counting() {
            Counting::None => {}
            Counting::Blocks => {
                for block in blocks(input) {
                    let taken = input.occupancy.occupied_in(block, input.protocols);
                    if taken > 0 {
                        categories.ports[usize::from(density_of(taken, block))] += taken;
                    }
                }
            }
            Counting::Occupied { prepare, of_port, .. } => {
                categories.by_port = prepare(input);
                let is_taken =
                    |port: &u16| input.occupancy.port(*port).is_occupied(input.protocols);
                for port in input.range.ports().filter(is_taken) {
                    if let Some(category) = of_port(&categories, port, input.occupancy) {
                        categories.ports[usize::from(category)] += 1;
                    }
                }
            }
            Counting::All { each_port, .. } => {
                categories.by_port = each_port(input);
                for port in input.range.ports() {
                    let category = categories.by_port[usize::from(port)];
                    categories.ports[usize::from(category)] += 1;
                }
            }
        }
        categories
    }

    /// Number of occupied ports in a category; for connect and bind also free ports.
    pub fn ports(&self, category: u8) -> u32 {
        self.ports.get(usize::from(category)).copied().unwrap_or_default()
    }

    /// The category with the greatest sum of weights in a block, and the share (0 to 1) of the
    /// block's ports whose weight is above 0 (marked). None: no port is marked, or the lens has no
    /// weights.
    pub fn marked(&self, block: PortRange) -> Option<(u8, f32)> {
        let Counting::All { weights, .. } = self.lens.counting() else { return None };
        let mut counts = [0_u32; MAX_CATEGORIES];
        for port in block.ports() {
            let category = self.by_port.get(usize::from(port)).copied().unwrap_or_default();
            counts[usize::from(category)] += 1;
        }
        let weighted = weights.iter().zip(counts).map(|(weight, ports)| weight * ports);
        let (category, weight) = (0..).zip(weighted).max_by_key(|&(_, weight)| weight)?;
        let marked: u32 = weights.iter().zip(counts).filter(|(w, _)| **w > 0).map(|(_, n)| n).sum();
        (weight > 0).then(|| (category, marked as f32 / block.len() as f32))
    }

    /// The category of a block. None: no port of the block is occupied, or the lens has no
    /// categories of occupied ports.
    pub fn of(&self, block: PortRange, occupancy: &Occupancy, protocols: Protocols) -> Option<u8> {
        let is_taken = |port: &u16| occupancy.port(*port).is_occupied(protocols);
        let mut taken = block.ports().filter(is_taken);
        match self.lens.counting() {
            Counting::Blocks => {
                let count = taken.count() as u32;
                (count > 0).then(|| density_of(count, block))
            }
            Counting::Occupied { of_port, joined, .. } => {
                let first = of_port(self, taken.next()?, occupancy)?;
                Some(taken.filter_map(|port| of_port(self, port, occupancy)).fold(first, joined))
            }
            Counting::None | Counting::All { .. } => None,
        }
    }
}

/// The blocks of the map. Without a grid, the whole range is one block.
fn blocks(input: CategoryInput<'_>) -> Vec<PortRange> {
    let Some(grid) = input.grid else { return vec![input.range] };
    let places = (0..grid.rows())
        .flat_map(|row| (0..grid.columns()).map(move |column| GridBlock { column, row }));
    places.filter_map(|block_position| grid.block(block_position)).collect()
}

/// Returns the category of the protocol lens. Includes protocols that the map hides, because a port
/// that UDP uses as well must not be shown as TCP only.
fn protocol_of(port: u16, occupancy: &Occupancy) -> u8 {
    let port_use = occupancy.port(port);
    match [Protocols::Tcp, Protocols::Udp].map(|protocol| port_use.is_occupied(protocol)) {
        [true, true] => 2,
        [_, is_udp] => u8::from(is_udp),
    }
}

fn density_of(taken: u32, block: PortRange) -> u8 {
    let share = taken as f32 / block.len() as f32;
    DENSITY_STEPS.partition_point(|&limit| limit <= share) as u8
}

/// The age step of the youngest socket of each port.
fn youngest(input: CategoryInput<'_>) -> Vec<u8> {
    let mut youngest = vec![NO_SOCKET; PORTS];
    for (socket, age) in input.snapshot.sockets.iter().zip(input.history.ages()) {
        if input.protocols.includes(socket.protocol) {
            let of_port = &mut youngest[usize::from(socket.local.port)];
            *of_port = step_of(age).min(*of_port);
        }
    }
    youngest
}

fn step_of(age: Age) -> u8 {
    match age {
        Age::AtLeast(_) => OLDER_THAN_SESSION,
        Age::Exactly(age) => AGE_STEPS.partition_point(|&limit| limit <= age) as u8,
    }
}
