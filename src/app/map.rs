//! State of the map: extent, zoom and cursor. Contains no sockets.

mod moves;

use crate::{
    app::{
        Focus, Grid, Lens, Resolution, RowsPerLine,
        grid::{AXIS, BAR, GUTTER, Room},
    },
    domain::{PortRange, Protocols, port},
};

pub use moves::{Move, MoveTarget, destination};

/// Minimum width of the terminal, in columns, for an inspector beside the map.
const WIDE: u16 = 110;
/// Width of the inspector beside the map, in columns: minimum, usual maximum, maximum in terminals
/// of the largest class.
const INSPECTOR: [u16; 3] = [40, 46, 84];
/// Minimum size of a terminal of the largest class.
const MIN_LARGEST_CLASS: Size = Size { columns: 190, rows: 56 };
/// Minimum number of lines that dots must leave for the inspector below the map, unless the user
/// chose dots.
const LINES_BELOW: u16 = 8;
/// Lines of header, gauges, legend and footer, and one spare line. The axis is counted separately.
const OTHER_LINES: u16 = 5;
/// Minimum number of lines of an inspector below the map: owner, the sockets of two states, and two
/// lines about the process. The map takes longer rows rather than use these lines.
const INSPECTOR_LINES: u16 = 5;
/// Below this size the screen is text only.
const MIN_SIZE: Size = Size { columns: 80, rows: 20 };

/// Size of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

impl Size {
    /// Whether the terminal is too small for a map.
    pub fn is_text_only(self) -> bool {
        self.columns < MIN_SIZE.columns || self.rows < MIN_SIZE.rows
    }

    /// Whether the terminal is of the largest class, which has a wider inspector and a higher
    /// loupe.
    pub fn is_largest(self) -> bool {
        self.columns >= MIN_LARGEST_CLASS.columns && self.rows >= MIN_LARGEST_CLASS.rows
    }
}

/// Which ports the map shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    #[default]
    Ephemeral,
    All,
    Ports(PortRange),
}

/// Direction of a zoom step. The steps are: all ports, fitted range, dots, one cell per port, cells
/// with numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zooming {
    In,
    Out,
}

/// Zoom level. From `Dots` on, the map shows as many rows as fit around the cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ZoomLevel {
    /// The whole extent.
    #[default]
    Fitted,
    Dots,
    Letters,
    Numbers,
}

/// The resolution that the user chose with the key `f`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WantedResolution {
    /// Dots where they fit.
    #[default]
    Finest,
    Blocks,
    Dots,
}

/// Position of the inspector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectorPlace {
    /// Right of the map, with this width in columns.
    Beside(u16),
    Below,
}

/// Layout of the map in a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub grid: Grid,
    pub inspector: InspectorPlace,
}

/// The glyphs that the map may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlyphSet {
    pub rows_per_line: RowsPerLine,
    /// Whether the map may use braille.
    pub has_dots: bool,
}

#[derive(Clone, Debug)]
pub struct Map {
    pub extent: Extent,
    pub cursor: u16,
    pub lens: Lens,
    /// The destination, owner or filter whose ports alone are marked. While set, the lens that
    /// shows it is on.
    pub focus: Option<Focus>,
    pub protocols: Protocols,
    glyphs: GlyphSet,
    /// The extent of the zoom step 'fitted range', which follows the step 'all ports'.
    start_extent: Extent,
    level: ZoomLevel,
    wanted: WantedResolution,
    /// A port of the topmost visible row. Used only if not all rows fit.
    top: u16,
}

impl Map {
    pub fn new(glyphs: GlyphSet) -> Self {
        Self {
            extent: Extent::default(),
            cursor: port::LINUX_DEFAULT.first(),
            lens: Lens::default(),
            focus: None,
            protocols: Protocols::default(),
            glyphs,
            start_extent: Extent::default(),
            level: ZoomLevel::default(),
            wanted: WantedResolution::default(),
            top: 0,
        }
    }

    /// Creates a map with the cursor on the first port shown.
    pub fn showing(extent: Extent, protocols: Protocols, glyphs: GlyphSet) -> Self {
        let start_extent = if extent == Extent::All { Extent::default() } else { extent };
        let mut map = Self { extent, protocols, start_extent, ..Self::new(glyphs) };
        map.cursor = map.range(port::LINUX_DEFAULT).first();
        map
    }

    pub fn rows_per_line(&self) -> RowsPerLine {
        self.glyphs.rows_per_line
    }

    /// The ports that the cursor can reach if the host's ephemeral range is `ephemeral`. A map that
    /// is zoomed in shows only some of them.
    pub fn range(&self, ephemeral: PortRange) -> PortRange {
        ports_of(self.extent, ephemeral)
    }

    /// The grid in a terminal of this size. None: the terminal is too small for a map.
    pub fn grid(&self, ephemeral: PortRange, size: Size) -> Option<Grid> {
        self.plan(ephemeral, size).map(|plan| plan.grid)
    }

    /// Returns a grid of the whole ephemeral range in `room`, whatever the map itself shows. None:
    /// it does not fit.
    pub fn minimap(&self, ephemeral: PortRange, room: Room) -> Option<Grid> {
        Self::new(self.glyphs).fitted(ephemeral, room)
    }

    /// The layout in a terminal of this size. None: the terminal is too small for a map.
    pub fn plan(&self, ephemeral: PortRange, size: Size) -> Option<Plan> {
        if size.is_text_only() {
            return None;
        }
        let without_inspector = Room {
            columns: size.columns.saturating_sub(GUTTER + BAR),
            lines: size.rows.saturating_sub(OTHER_LINES + AXIS),
        };
        if size.columns < WIDE {
            let lines = without_inspector.lines.saturating_sub(INSPECTOR_LINES - 1);
            let room = Room { lines, ..without_inspector };
            let grid = self.grid_in(self.range(ephemeral), room)?;
            return Some(Plan { grid, inspector: InspectorPlace::Below });
        }
        let beside_inspector =
            Room { columns: without_inspector.columns - INSPECTOR[0], ..without_inspector };
        let grid = self.grid_in(self.range(ephemeral), beside_inspector)?;
        if let Some(grid) = self.dots_without_inspector(&grid, ephemeral, without_inspector) {
            return Some(Plan { grid, inspector: InspectorPlace::Below });
        }
        let most = INSPECTOR[if size.is_largest() { 2 } else { 1 }];
        let left = without_inspector.columns - grid.width().min(without_inspector.columns);
        Some(Plan { grid, inspector: InspectorPlace::Beside(left.clamp(INSPECTOR[0], most)) })
    }

    fn grid_in(&self, range: PortRange, room: Room) -> Option<Grid> {
        let window = |resolution| Grid::window(range, self.top, resolution, room);
        match self.level {
            ZoomLevel::Fitted => self.fitted(range, room),
            ZoomLevel::Dots => window(Resolution::Dots),
            ZoomLevel::Letters => window(Resolution::Letters),
            ZoomLevel::Numbers => {
                window(Resolution::Numbers(0)).or_else(|| window(Resolution::Letters))
            }
        }
    }

    /// Returns the finest grid that fits: one cell per port, else dots, else blocks.
    fn fitted(&self, range: PortRange, room: Room) -> Option<Grid> {
        Grid::fit_ports(range, room)
            .or_else(|| Grid::fit_dots(range, room).filter(|_| self.may_have_dots()))
            .or_else(|| Grid::fit(range, room.columns, room.lines, self.glyphs.rows_per_line))
    }

    /// Returns a grid of dots that takes the room of the inspector beside the map, which then moves
    /// below. None: the map beside the inspector has dots already, or dots are not wanted or do not
    /// fit.
    fn dots_without_inspector(
        &self,
        beside_inspector: &Grid,
        ephemeral: PortRange,
        without_inspector: Room,
    ) -> Option<Grid> {
        let is_coarse =
            self.level == ZoomLevel::Fitted && beside_inspector.resolution() == Resolution::Blocks;
        let is_asked = self.wanted == WantedResolution::Dots;
        Grid::fit_dots(self.range(ephemeral), without_inspector)
            .filter(|_| is_coarse && self.may_have_dots())
            .filter(|grid| is_asked || grid.lines() + LINES_BELOW <= without_inspector.lines)
    }

    fn may_have_dots(&self) -> bool {
        self.glyphs.has_dots && self.wanted != WantedResolution::Blocks
    }

    /// The reason why the map shows blocks although the user chose dots. None: the user did not
    /// choose dots, or the map does not show blocks.
    pub fn missing_dots(&self, grid: &Grid) -> Option<&'static str> {
        match (self.wanted, grid.resolution()) {
            (WantedResolution::Dots, Resolution::Blocks) if !self.glyphs.has_dots => {
                Some("dots need UTF-8")
            }
            (WantedResolution::Dots, Resolution::Blocks) => {
                Some("dots need more space: zoom in (+)")
            }
            _ => None,
        }
    }

    /// Zooms one step around the cursor. Skips steps that `shows_more_than` rejects.
    pub fn zoom(&mut self, zooming: Zooming, ephemeral: PortRange, size: Size) {
        let start_extent = ports_of(self.start_extent, ephemeral)
            .contains(self.cursor)
            .then_some(self.start_extent);
        let near = start_extent.unwrap_or(Extent::All);
        let fitted =
            [Some(Extent::All), start_extent].into_iter().flatten().map(|e| (e, ZoomLevel::Fitted));
        let levels =
            [ZoomLevel::Dots, ZoomLevel::Letters, ZoomLevel::Numbers].map(|level| (near, level));
        let zoom_steps: Vec<_> = fitted.chain(levels).collect();
        let here = zoom_steps
            .iter()
            .position(|&(e, l)| l == self.level && (e == self.extent || l != ZoomLevel::Fitted));
        let here = here.unwrap_or_default();
        let is_shown = |step: &&_| self.shows_more_than(**step, ephemeral, size);
        let found = match zooming {
            Zooming::In => zoom_steps[here + 1..].iter().find(is_shown),
            Zooming::Out => zoom_steps[..here].iter().rfind(is_shown),
        };
        if let Some(&step) = found {
            *self = self.at_step(step, ephemeral, size);
        }
    }

    /// Whether a zoom step is the fitted view of its extent, or has a finer resolution than that
    /// view. False for the step `Dots` if the map may not use braille.
    fn shows_more_than(&self, step: (Extent, ZoomLevel), ephemeral: PortRange, size: Size) -> bool {
        let resolution =
            |step| Some(self.at_step(step, ephemeral, size).grid(ephemeral, size)?.resolution());
        let is_known = step.1 != ZoomLevel::Dots || self.glyphs.has_dots;
        let fitted = (step.0, ZoomLevel::Fitted);
        is_known && (step == fitted || resolution(step) > resolution(fitted))
    }

    fn at_step(
        &self,
        (extent, level): (Extent, ZoomLevel),
        ephemeral: PortRange,
        size: Size,
    ) -> Self {
        let mut map = Self { extent, level, top: 0, ..self.clone() };
        if let Some(grid) = map.grid(ephemeral, size).filter(|_| level != ZoomLevel::Fitted) {
            let half = u32::from(grid.rows() / 2) * grid.row_length();
            map.top = map.cursor.saturating_sub(half as u16);
        }
        map
    }

    /// Switches from dots to blocks, or from blocks to dots if they fit. Returns to the fitted
    /// view.
    pub fn toggle_resolution(&mut self, ephemeral: PortRange, size: Size) {
        let resolution = self.grid(ephemeral, size).map(|grid| grid.resolution());
        self.wanted = match self.wanted {
            _ if resolution == Some(Resolution::Dots) => WantedResolution::Blocks,
            WantedResolution::Dots => WantedResolution::Finest,
            WantedResolution::Finest | WantedResolution::Blocks => WantedResolution::Dots,
        };
        self.level = ZoomLevel::Fitted;
    }

    /// Scrolls so that the cursor is visible.
    pub fn follow_cursor(&mut self, ephemeral: PortRange, size: Size) {
        let Some(grid) = self.grid(ephemeral, size) else { return };
        if self.level == ZoomLevel::Fitted || grid.range().contains(self.cursor) {
            return;
        }
        let rows_above = if self.cursor < grid.range().first() { 0 } else { grid.rows() - 1 };
        let above = u32::from(rows_above) * grid.row_length();
        self.top = self.cursor.saturating_sub(above as u16);
    }

    /// Moves the cursor to `port`. Shows all ports if the current extent does not contain it.
    pub fn go_to(&mut self, port: u16, ephemeral: PortRange) {
        if !self.range(ephemeral).contains(port) {
            self.extent = Extent::All;
        }
        self.cursor = port;
    }

    /// Shows the whole of `extent`. Moves the cursor into it.
    pub fn show(&mut self, extent: Extent, ephemeral: PortRange) {
        self.extent = extent;
        self.level = ZoomLevel::Fitted;
        self.keep_cursor_inside(ephemeral);
    }

    pub fn keep_cursor_inside(&mut self, ephemeral: PortRange) {
        let range = self.range(ephemeral);
        self.cursor = self.cursor.clamp(range.first(), range.last());
    }
}

fn ports_of(extent: Extent, ephemeral: PortRange) -> PortRange {
    match extent {
        Extent::Ephemeral => ephemeral,
        Extent::All => port::ALL,
        Extent::Ports(range) => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLYPHS: GlyphSet = GlyphSet { rows_per_line: RowsPerLine::Two, has_dots: true };

    /// Returns resolution, row length, columns, lines, and whether the inspector is beside the map.
    fn shape(range: PortRange, columns: u16, rows: u16) -> (Resolution, u32, u16, u16, bool) {
        let map = Map::showing(Extent::Ports(range), Protocols::Both, GLYPHS);
        let plan = map.plan(range, Size { columns, rows }).unwrap();
        let grid = plan.grid;
        let is_beside = plan.inspector != InspectorPlace::Below;
        (grid.resolution(), grid.row_length(), grid.columns(), grid.lines(), is_beside)
    }

    #[test]
    fn usual_terminal_sizes_have_the_intended_resolution() {
        use Resolution::{Blocks, Dots};
        let linux = |columns, rows| shape(port::LINUX_DEFAULT, columns, rows);
        let iana = |columns, rows| shape(port::IANA_DYNAMIC, columns, rows);
        assert_eq!(linux(80, 20), (Blocks, 2000, 50, 8, false));
        assert_eq!(linux(80, 24), (Blocks, 1250, 50, 12, false));
        assert_eq!(linux(80, 27), (Blocks, 1000, 50, 15, false));
        assert_eq!(iana(80, 24), (Blocks, 1000, 50, 9, false));
        assert_eq!(linux(100, 30), (Blocks, 800, 80, 19, false));
        assert_eq!(iana(100, 30), (Blocks, 500, 50, 17, false));
        assert_eq!(linux(120, 40), (Blocks, 500, 50, 29, true));
        assert_eq!(iana(120, 40), (Dots, 800, 100, 21, false));
        assert_eq!(linux(160, 48), (Dots, 800, 100, 37, true));
        assert_eq!(iana(160, 48), (Dots, 800, 100, 21, true));
        assert_eq!(linux(200, 60), (Dots, 1000, 125, 29, true));
        assert_eq!(iana(200, 60), (Dots, 1000, 125, 17, true));
    }

    #[test]
    fn dots_are_used_from_a_minimum_terminal_size() {
        let resolution = |columns, rows| shape(port::LINUX_DEFAULT, columns, rows).0;
        assert_eq!(resolution(152, 43), Resolution::Dots);
        assert_eq!(resolution(177, 35), Resolution::Dots);
        assert_eq!(resolution(152, 42), Resolution::Blocks);
        // With the inspector below the map.
        assert_eq!(shape(port::LINUX_DEFAULT, 151, 43), (Resolution::Dots, 1000, 125, 29, false));
    }

    fn zoom_steps(size: Size) -> Vec<(Extent, Resolution)> {
        let mut map = Map::new(GLYPHS);
        map.cursor = 49_152;
        map.show(Extent::All, port::LINUX_DEFAULT);
        let mut steps = Vec::new();
        for _ in 0..6 {
            let grid = map.grid(port::LINUX_DEFAULT, size).unwrap();
            assert!(grid.range().contains(49_152), "{grid:?}");
            steps.push((map.extent, grid.resolution()));
            map.zoom(Zooming::In, port::LINUX_DEFAULT, size);
        }
        steps.dedup();
        for step in steps.iter().rev() {
            let resolution = map.grid(port::LINUX_DEFAULT, size).unwrap().resolution();
            assert_eq!(*step, (map.extent, resolution));
            map.zoom(Zooming::Out, port::LINUX_DEFAULT, size);
        }
        steps
    }

    #[test]
    fn each_zoom_step_shows_more_detail_down_to_port_numbers_and_back() {
        use Extent::{All, Ephemeral};
        use Resolution::{Blocks, Dots, Letters, Numbers};
        assert_eq!(
            zoom_steps(Size { columns: 120, rows: 40 }),
            [
                (All, Blocks),
                (Ephemeral, Blocks),
                (Ephemeral, Dots),
                (Ephemeral, Letters),
                (Ephemeral, Numbers(13)),
            ]
        );
        assert_eq!(
            zoom_steps(Size { columns: 200, rows: 60 }),
            [(All, Blocks), (Ephemeral, Dots), (Ephemeral, Letters), (Ephemeral, Numbers(14)),]
        );
    }

    #[test]
    fn selecting_a_port_outside_the_range_shows_all_ports() {
        let mut map = Map::new(GLYPHS);
        map.go_to(40_000, port::LINUX_DEFAULT);
        assert_eq!(map.extent, Extent::Ephemeral);
        map.go_to(443, port::LINUX_DEFAULT);
        assert_eq!((map.extent, map.cursor), (Extent::All, 443));
        map.show(Extent::Ephemeral, port::LINUX_DEFAULT);
        assert_eq!(map.cursor, 32_768);
    }
}
