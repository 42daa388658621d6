//! Lenses: what the map's colours show, and the counts that they show. Does not define colours.

mod categories;
mod marks;
mod owners;

use crate::{
    app::settings::wrapping_index,
    domain::{Ephemeral, Gauge, Occupancy, PortRange, ProtocolFamily, Protocols, StateClass},
};

pub use categories::{
    AGE_STEPS, Categories, CategoryInput, Counting, DENSITY_STEPS, OLDER_THAN_SESSION,
};
pub use marks::{Marks, bind, connect};
pub use owners::{OwnerName, OwnerRanks};

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

    /// The class in whose colour the state lens draws a block with these counts; None: no port is
    /// occupied.
    pub fn heaviest(&self) -> Option<StateClass> {
        heaviest(&self.by_class)
    }
}

/// Returns the class with the greatest total weight. A port of a rare class has a greater weight,
/// so that it is visible among many ports of a common class. None: all counts are 0.
pub fn heaviest(by_class: &[u32; StateClass::EACH.len()]) -> Option<StateClass> {
    let classes = StateClass::EACH.into_iter().zip(by_class);
    let weights = classes.map(|(class, ports)| (ports * class.weight(), class));
    // Of equal weights, the class that comes first in `StateClass::EACH` wins.
    let heaviest = weights.rev().max_by_key(|&(weight, _)| weight);
    heaviest.filter(|&(weight, _)| weight > 0).map(|(_, class)| class)
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

    #[test]
    fn one_listening_port_outweighs_nine_established_ones() {
        let mut lens_counts = LensCounts::default();
        lens_counts.by_class[StateClass::Listen as usize] = 1;
        lens_counts.by_class[StateClass::Established as usize] = 9;
        assert_eq!(lens_counts.heaviest(), Some(StateClass::Listen));
        lens_counts.by_class[StateClass::Established as usize] = 11;
        assert_eq!(lens_counts.heaviest(), Some(StateClass::Established));
    }

    #[test]
    fn next_lens_cycles_through_all_lenses() {
        let around = LENSES.iter().fold(Lens::State, |lens, _| lens.after(1));
        assert_eq!(around, Lens::State);
        assert_eq!(Lens::State.after(1).after(-1), Lens::State);
    }
}
