//! Lenses: what the map's colours show, and the counts that they show. Does not define colours.

mod categories;
mod marks;
mod owners;

use crate::{
    app::settings::wrapping_index,
    domain::{
        Ephemeral, Gauge, Occupancy, PortRange, ProtocolFamily, Protocols, StateClass,
        occupancy::ByClass,
    },
};

pub use categories::{
    AGE_STEPS, Categories, CategoryInput, Counting, DENSITY_STEPS, OLDER_THAN_SESSION,
};
pub use marks::{Marks, bind, connect};
pub use owners::OwnerRanks;

/// What the map's colours show, in the order of `LENSES`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lens {
    #[default]
    State,
    Owner,
    Protocol,
    /// Age of the youngest socket of a block, on a log scale.
    Age,
    Parity,
    Density,
    /// Which ports connect() to one destination may still choose.
    Connect,
    /// Whether a bind() to all addresses of both families succeeds, without SO_REUSEADDR.
    Bind,
}

/// A row of the table of lenses.
pub struct LensRow {
    pub lens: Lens,
    pub name: &'static str,
    pub counting: Counting,
}

/// All lenses, in the order in which `c` selects them.
pub const LENSES: &[LensRow] = &[
    // Without colours, states are drawn as density.
    LensRow { lens: Lens::State, name: "state", counting: Counting::Blocks },
    LensRow { lens: Lens::Owner, name: "owner", counting: Counting::None },
    LensRow { lens: Lens::Protocol, name: "protocol", counting: categories::PROTOCOL },
    LensRow { lens: Lens::Age, name: "age", counting: categories::AGE },
    LensRow { lens: Lens::Parity, name: "parity", counting: categories::PARITY },
    LensRow { lens: Lens::Density, name: "density", counting: Counting::Blocks },
    LensRow { lens: Lens::Connect, name: "connect", counting: connect::COUNTING },
    LensRow { lens: Lens::Bind, name: "bind", counting: bind::COUNTING },
];

impl Lens {
    pub fn name(self) -> &'static str {
        LENSES[self as usize].name
    }

    /// Whether the map marks ports by what a call finds on them, occupied or not.
    pub fn marks_ports(self) -> bool {
        matches!(self.counting(), Counting::All { .. })
    }

    fn counting(self) -> &'static Counting {
        &LENSES[self as usize].counting
    }

    /// The next (`by` is 1) or previous (-1) lens. The last one is followed by the first.
    #[must_use]
    pub fn after(self, by: isize) -> Self {
        LENSES[wrapping_index(self as usize, by, LENSES.len())].lens
    }
}

/// Counts of the ports of a range. A port with several state classes counts once, in the class that
/// comes first in `StateClass::EACH`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LensCounts {
    /// Number of ports of the range.
    pub size: u32,
    pub occupied: u32,
    /// In the order of `StateClass::EACH`.
    pub by_class: [u32; StateClass::EACH.len()],
    /// Ports of the ephemeral range that are neither occupied nor reserved.
    pub available: u32,
    /// Reserved ports, occupied or not.
    pub reserved: u32,
    pub even: u32,
    pub occupied_even: u32,
}

impl LensCounts {
    pub fn count(
        range: PortRange,
        occupancy: &Occupancy,
        protocols: Protocols,
        ephemeral: &Ephemeral,
    ) -> Self {
        let reserved = ephemeral.reserved_in(range);
        let is_odd_more = range.first() % 2 == 1 && range.last() % 2 == 1;
        let even = range.len().div_ceil(2) - u32::from(is_odd_more);
        let [even_ones, odd_ones] = occupancy.by_class(range, protocols);
        let occupied_in = |range| occupancy.occupied_in(range, protocols);
        let available = range.intersection(ephemeral.range).map_or(0, |inside| {
            let reserved = ephemeral.reserved().iter().filter_map(|r| r.intersection(inside));
            let unavailable: u32 = reserved.map(|r| r.len() - occupied_in(r)).sum();
            inside.len() - occupied_in(inside) - unavailable
        });
        Self {
            size: range.len(),
            occupied: even_ones.iter().chain(&odd_ones).sum(),
            by_class: std::array::from_fn(|class| even_ones[class] + odd_ones[class]),
            available,
            reserved,
            even,
            occupied_even: even_ones.iter().sum(),
        }
    }

    pub fn of(&self, class: StateClass) -> u32 {
        self.by_class[class as usize]
    }

    /// Occupied share, 0 to 1.
    pub fn share(&self) -> f32 {
        self.occupied as f32 / self.size.max(1) as f32
    }
}

/// A class is rare if at most one of this many occupied ports has it. A block shows a rare class
/// wherever it occurs.
const RARE: u32 = 100;
/// Fractional part of the golden ratio. Its multiples, modulo 1, are spread evenly over 0 to 1 in
/// each run of consecutive blocks.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Returns the class in whose colour the state lens draws a block. None: no port is occupied.
///
/// A class that is rare on the whole map, and LISTEN if its weight is the greatest, are always
/// shown. Otherwise neighbouring blocks show different classes, so that each class has as many
/// blocks as ports (ordered dither). `on_map` are the counts of the whole map.
pub fn shown_class(block: PortRange, by_class: &ByClass, on_map: &ByClass) -> Option<StateClass> {
    let occupied: u32 = on_map.iter().sum();
    let is_rare = |class: StateClass| on_map[class as usize] * RARE <= occupied;
    let classes = || StateClass::EACH.into_iter().filter(|&class| by_class[class as usize] > 0);
    let weight = |class: StateClass| by_class[class as usize] * class.weight();
    let heaviest = classes().rev().max_by_key(|&class| weight(class))?;
    if let Some(rare) = classes().find(|&class| is_rare(class)) {
        return Some(rare);
    }
    if heaviest == StateClass::Listen {
        return Some(heaviest);
    }
    let number = f64::from(block.first()) / f64::from(block.len());
    let place = (number.floor() * GOLDEN).fract();
    let total: u32 = by_class.iter().sum();
    let mut left = (place * f64::from(total)) as u32;
    classes().find(|&class| {
        let ports = by_class[class as usize];
        let is_here = left < ports;
        left = left.saturating_sub(ports);
        is_here
    })
}

/// Counts the occupied ports of one protocol and family among those that the kernel chooses
/// automatically: the ephemeral range without its reserved ports.
pub fn automatic_gauge(
    occupancy: &Occupancy,
    protocol_family: ProtocolFamily,
    ephemeral: &Ephemeral,
) -> Gauge {
    let mut gauge = occupancy.gauge(protocol_family, ephemeral.range);
    for reserved in ephemeral.reserved().iter().filter_map(|r| r.intersection(ephemeral.range)) {
        let skipped = occupancy.gauge(protocol_family, reserved);
        gauge.size -= skipped.size;
        gauge.occupied -= skipped.occupied;
        gauge.occupied_even -= skipped.occupied_even;
        for (count, less) in gauge.by_class.iter_mut().zip(skipped.by_class) {
            *count -= less;
        }
    }
    gauge
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many of 300 blocks of 20 ports show each class, if all have the same counts.
    fn shown(counts: [(StateClass, u32); 2], on_map: [(StateClass, u32); 2]) -> ByClass {
        let by_class = |counts: [(StateClass, u32); 2]| {
            let mut all = ByClass::default();
            for (class, ports) in counts {
                all[class as usize] = ports;
            }
            all
        };
        let mut shown = ByClass::default();
        for number in 100..400 {
            let block = PortRange::new(number * 20, number * 20 + 19).unwrap();
            let class = shown_class(block, &by_class(counts), &by_class(on_map)).unwrap();
            shown[class as usize] += 1;
        }
        shown
    }

    #[test]
    fn a_third_of_the_ports_has_a_third_of_the_blocks() {
        use StateClass::{Established, TimeWait};
        let counts = [(Established, 12), (TimeWait, 6)];
        let shown = shown(counts, [(Established, 12_000), (TimeWait, 6000)]);
        let part = shown[TimeWait as usize];
        assert!((97..=103).contains(&part), "{shown:?}");
        assert_eq!(part + shown[Established as usize], 300);
    }

    #[test]
    fn a_rare_class_is_shown_wherever_it_occurs() {
        use StateClass::{Bound, Established, Listen};
        let shown_bound = shown([(Bound, 1), (Established, 19)], [(Bound, 9), (Established, 990)]);
        assert_eq!(shown_bound[Bound as usize], 300);
        let many = [(Listen, 500), (Established, 9500)];
        assert_eq!(shown([(Listen, 1), (Established, 9)], many)[Listen as usize], 300);
        assert!(shown([(Listen, 1), (Established, 11)], many)[Listen as usize] < 60);
    }

    #[test]
    fn a_block_without_sockets_shows_no_class() {
        let block = PortRange::new(40_000, 40_019).unwrap();
        assert_eq!(shown_class(block, &ByClass::default(), &ByClass::default()), None);
    }

    #[test]
    fn next_lens_cycles_through_all_lenses() {
        let around = LENSES.iter().fold(Lens::State, |lens, _| lens.after(1));
        assert_eq!(around, Lens::State);
        assert_eq!(Lens::State.after(1).after(-1), Lens::State);
    }
}
