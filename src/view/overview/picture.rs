//! A small map of the range by state. The Map screen has the large one.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Sight, rule};
use crate::{
    app::grid::{AXIS, BAR, GUTTER, Room},
    domain::{PortRange, Protocols},
    view::{
        heatmap::{Glyphs, Heatmap, Pointed, PortFacts},
        lens, words,
    },
};

pub fn render(sight: &Sight<'_>, area: Rect, buffer: &mut Buffer) {
    let range = sight.scan.snapshot.ephemeral.range;
    let room = Room {
        columns: area.width.saturating_sub(GUTTER + BAR),
        lines: area.height.saturating_sub(1 + AXIS),
    };
    let Some(grid) = sight.app.map().picture(range, room) else { return };
    let size = match grid.per_block() {
        1 => "a port a cell".to_owned(),
        ports => format!("{} ports a cell", words::thousands(ports)),
    };
    rule::draw("Map of the range", &["2 opens".to_owned(), size], sight.theme, area, buffer);
    let paint = |block: PortRange| lens::by_state(sight.scan, Protocols::Both, block);
    let heatmap = Heatmap {
        grid: &grid,
        bracket: range,
        cursor: None,
        glyphs: if sight.theme.has_color() { Glyphs::Letters } else { Glyphs::Density },
        paint: &paint,
        share: &|ports| {
            let taken = sight.scan.occupancy.occupied_in(ports, Protocols::Both);
            taken as f32 / ports.len() as f32
        },
        ports: &Seen(sight),
        pointed: Pointed::default(),
    };
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    heatmap.render(sight.theme, below, buffer);
}

struct Seen<'a>(&'a Sight<'a>);

impl PortFacts for Seen<'_> {
    fn taken(&self, block: PortRange) -> u8 {
        let ports = self.0.scan.occupancy.ports(block);
        ports.fold(0, |taken, (port, port_use)| {
            taken | u8::from(port_use.is_occupied(Protocols::Both)) << (port % 8)
        })
    }

    fn owner(&self, _: u16) -> String {
        String::new()
    }
}
