//! Computes the attempt density: how often each block was tried in the last second, in steps of a
//! scale with round limits. Does not draw.

use crate::{
    app::Grid,
    domain::{PortRange, notation},
    view::{
        heatmap::{Paint, TakenPorts},
        theme::{HEAT_TOP, Role},
    },
};

/// Cumulative attempts by port, and the limits of the scale.
pub struct DensityChart {
    /// `sums[n]`: attempts on all ports below n.
    sums: Vec<u64>,
    /// Lower and upper limit of the scale, in attempts per port in the last second.
    bounds: (f64, f64),
}

impl DensityChart {
    /// Computes the scale for the blocks of `grid`. `attempts` has 65,536 entries: the attempts of
    /// the last second by port.
    pub fn count(attempts: &[u32], grid: &Grid) -> Self {
        let mut sum = 0;
        let mut sums = vec![0];
        sums.extend(attempts.iter().map(|&times| {
            sum += u64::from(times);
            sum
        }));
        let mut heat = Self { sums, bounds: (0.0, 1.0) };
        let rows = (0..grid.rows()).filter_map(|row| grid.row(row));
        let blocks = rows.flat_map(|row| {
            let ports = row.ports().step_by(grid.per_block() as usize);
            ports.filter_map(|port| grid.block(grid.block_position(port)?))
        });
        let densities = blocks.map(|block| heat.density(block));
        let (least, most) = densities
            .fold((f64::MAX, 0.0), |(least, most): (f64, f64), density| {
                (least.min(density), most.max(density))
            });
        heat.bounds = bounds(least, most);
        heat
    }

    /// Returns the step of a block, 0 (not tried) to `HEAT_TOP`.
    pub fn step(&self, block: PortRange) -> u8 {
        let density = self.density(block);
        if density <= 0.0 {
            return 0;
        }
        let (from, to) = self.bounds;
        let share = (density - from) / (to - from);
        (share * f64::from(HEAT_TOP)).ceil().clamp(1.0, f64::from(HEAT_TOP)) as u8
    }

    /// Formats the lower and the upper limit of the scale.
    pub fn names(&self) -> [String; 2] {
        let (from, to) = self.bounds;
        if from > 0.0 {
            [from, to].map(|limit| notation::grouped(limit as u64))
        } else {
            ["0".to_owned(), DensityScale::covering(to).name()]
        }
    }

    /// Returns the attempts per port in the last second.
    fn density(&self, ports: PortRange) -> f64 {
        let up_to = |port: usize| self.sums.get(port).copied().unwrap_or_default();
        let attempts = up_to(usize::from(ports.last()) + 1) - up_to(usize::from(ports.first()));
        attempts as f64 / f64::from(ports.len())
    }
}

/// Returns the limits of the scale for densities from `least` to `most`: normally 0 and a round
/// number. If `least`, rounded down, is at least half of `most`, this is the lower limit, because
/// all blocks would look alike on a scale from 0.
fn bounds(least: f64, most: f64) -> (f64, f64) {
    // Both limits are whole numbers with at most two significant digits, such as 1,900.
    let unit = 10_f64.powf(most.max(1.0).log10().floor() - 1.0).max(1.0);
    let (from, to) = ((least / unit).floor() * unit, (most / unit).ceil() * unit);
    if from * 2.0 < most || from >= to {
        (0.0, DensityScale::covering(most).most())
    } else {
        (from, to)
    }
}

/// Returns how a block is drawn: in the colour of its density step if it was tried. With glyphs
/// instead of colours, only the step is shown.
pub fn heated(paint: Paint, step: u8, needs_whole_cells: bool) -> Paint {
    let role = Role::Heat(step);
    match (step, needs_whole_cells) {
        // A glyph can show only one value: the step, not the occupancy.
        (0, true) => Paint { taken: None, ..paint },
        (0, false) => paint,
        (_, false) => Paint { free: role, taken: None },
        (_, true) => {
            let share = f32::from(step) / f32::from(HEAT_TOP);
            Paint { free: role, taken: Some(TakenPorts { role, share, letter: '#' }) }
        }
    }
}

/// A round number: 1, 2 or 5 times a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DensityScale {
    factor: u32,
    power: i32,
}

impl DensityScale {
    /// Returns the smallest round number that is at least `most` and at least 0.01.
    pub fn covering(most: f64) -> Self {
        let powers = -2..12;
        let scales = powers.flat_map(|power| [1, 2, 5].map(|factor| Self { factor, power }));
        let mut covering = scales.filter(|scale| scale.most() >= most);
        covering.next().unwrap_or(Self { factor: 1, power: 12 })
    }

    pub fn most(self) -> f64 {
        f64::from(self.factor) * 10_f64.powi(self.power)
    }

    pub fn name(self) -> String {
        match self.power {
            0.. => {
                notation::grouped(u64::from(self.factor) * 10_u64.pow(self.power.unsigned_abs()))
            }
            -1 => format!("0.{}", self.factor),
            _ => format!("0.0{}", self.factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{app::RowsPerLine, domain::port::IANA_DYNAMIC};

    #[test]
    fn the_scale_ends_at_the_next_round_number() {
        let names = [0.0, 0.03, 0.3, 1.0, 1.1, 8.0, 51.0, 1234.0];
        let names = names.map(|most| DensityScale::covering(most).name());
        assert_eq!(names, ["0.01", "0.05", "0.5", "1", "2", "10", "100", "2,000"]);
    }

    #[test]
    fn a_nearly_uniform_density_uses_a_scale_that_does_not_start_at_zero() {
        let grid = Grid::fit(IANA_DYNAMIC, 50, 17, RowsPerLine::Two).expect("it fits");
        let attempts: Vec<u32> = (0..65_536).map(|port| 1_950 + port % 1_000 / 10).collect();
        let heat = DensityChart::count(&attempts, &grid);
        assert_eq!(heat.names(), ["1,900", "2,100"]);
    }

    #[test]
    fn the_busiest_block_has_the_top_step_and_an_untried_block_step_0() {
        let grid = Grid::fit(IANA_DYNAMIC, 50, 17, RowsPerLine::Two).expect("it fits");
        let mut attempts = vec![0; 65_536];
        (attempts[50_000], attempts[50_001], attempts[50_010]) = (20, 30, 1);
        let heat = DensityChart::count(&attempts, &grid);
        assert_eq!(heat.names(), ["0", "5"]);
        let step = |port| {
            let block =
                grid.block_position(port).and_then(|block_position| grid.block(block_position));
            heat.step(block.expect("a port of the range"))
        };
        assert_eq!((step(50_005), step(50_010), step(50_020)), (HEAT_TOP, 1, 0));
    }
}
