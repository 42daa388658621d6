//! The state of the terminal program and how events change it. Draws nothing, blocks never.

pub mod allocation;
pub mod command;
pub mod event;
pub mod focus;
pub mod grid;
pub mod lab;
pub mod lens;
pub mod map;
pub mod overview;
pub mod pool;
mod settings;
mod update;

use std::{sync::Arc, time::Duration};

use crate::{
    app::{
        allocation::{Allocation, AllocationOptions, LastScan},
        lens::{Categories, Marks, OwnerRanks, Tally},
        overview::headline::Headline,
    },
    domain::{
        Analysis, Diagnosis, Gauge, History, Lane, Occupancy, PortRange, ProcessTable, Protocol,
        Protocols, ServiceNames, Snapshot, Socket, Text, Thresholds, Trends, Vitals,
        diagnosis::Standing, port,
    },
};

pub use command::{Action, COMMANDS, Command, Context};
pub use event::{Effect, Event, Gesture, Key, Screen, Target};
pub use focus::Focus;
pub use grid::{Grain, Grid, Place, RowsPerLine};
pub use lab::{Lab, LabOptions};
pub use lens::Lens;
pub use map::{Extent, Glyphs, InspectorPlace, Map, Move, Plan, Size};
pub use overview::Overview;
pub use pool::Leasing;

/// What is fixed before the first event.
#[derive(Clone, Debug)]
pub struct Options {
    pub first: Screen,
    pub glyphs: Glyphs,
    /// What the map shows at first.
    pub extent: Extent,
    pub protocols: Protocols,
    /// Where the cursor is to stand at first; None: at the first port of the ephemeral range.
    pub find: Option<Find>,
    pub allocation: AllocationOptions,
    pub lab: LabOptions,
    /// The terminal reports the mouse at first.
    pub mouse: bool,
    /// Marks may fade and flash; else only final states are shown.
    pub motion: bool,
    pub services: ServiceNames,
}

/// What the person named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    Port(u16),
    /// The first port of a process of this name.
    Process(String),
}

/// What lies over the screen and takes the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    #[default]
    None,
    Help(HelpPage),
    /// The digits typed so far.
    GoTo(String),
}

/// A page of the help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HelpPage {
    /// The keys of this screen, and what the scan could not see.
    #[default]
    Keys,
    /// A sentence for each state and colour.
    States,
    /// Which ranges there are, and what bind and connect do with them.
    Ranges,
}

impl HelpPage {
    pub const EACH: [Self; 3] = [Self::Keys, Self::States, Self::Ranges];

    pub fn name(self) -> &'static str {
        match self {
            Self::Keys => "Keys",
            Self::States => "States and colours",
            Self::Ranges => "Ranges",
        }
    }
}

/// Ports between the places where the mouse button went down and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub ports: PortRange,
    /// The block under the pointer when the button went down.
    pub anchor: PortRange,
}

/// The latest snapshot and what was counted in it.
#[derive(Clone, Debug)]
pub struct Scan {
    pub snapshot: Arc<Snapshot>,
    pub occupancy: Occupancy,
    /// Of the ports that the kernel may choose, in the order of `Lane::EACH`.
    pub gauges: [Gauge; Lane::EACH.len()],
    /// Of what the map shows.
    pub tally: Tally,
    /// Counted while the owner lens is on.
    pub owners: OwnerRanks,
    /// Counted while the lens has some.
    pub categories: Categories,
    /// The ports of the owner in focus, while the owner lens is on.
    pub marks: Option<Marks>,
    pub analysis: Analysis,
    pub diagnosis: Diagnosis,
    /// Since the program's start.
    arrived: Duration,
}

pub struct App {
    size: Size,
    screen: Screen,
    overlay: Overlay,
    overview: Overview,
    /// The map was opened from the Overview, which Esc leads back to: the lens that was on.
    visited_from: Option<Lens>,
    map: Map,
    scan: Option<Scan>,
    processes: Arc<ProcessTable>,
    failure: Option<Text>,
    is_frozen: bool,
    find: Option<Find>,
    allocation: Allocation,
    lab: Lab,
    pool: Leasing,
    fault: Option<Text>,
    now: Duration,
    history: History,
    trends: Trends,
    thresholds: Thresholds,
    headline: Option<Headline>,
    /// Of the first snapshot, and when it was taken: counters are judged by their growth.
    first_vitals: Option<(Vitals, Duration)>,
    services: ServiceNames,
    is_mouse_on: bool,
    /// The block under the pointer.
    hover: Option<PortRange>,
    span: Option<Span>,
}

impl App {
    pub fn new(options: Options) -> Self {
        Self {
            size: Size { columns: 80, rows: 24 },
            screen: options.first,
            overlay: Overlay::None,
            overview: Overview::default(),
            visited_from: None,
            map: Map::showing(options.extent, options.protocols, options.glyphs),
            scan: None,
            processes: Arc::default(),
            failure: None,
            is_frozen: false,
            find: options.find,
            allocation: Allocation::new(&options.allocation, options.motion),
            lab: Lab::new(options.lab),
            pool: Leasing::default(),
            fault: None,
            now: Duration::ZERO,
            history: History::default(),
            trends: Trends::default(),
            thresholds: Thresholds::default(),
            headline: None,
            first_vitals: None,
            services: options.services,
            is_mouse_on: options.mouse,
            hover: None,
            span: None,
        }
    }

    pub fn screen(&self) -> Screen {
        self.screen
    }

    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    pub fn overview(&self) -> &Overview {
        &self.overview
    }

    pub fn map(&self) -> &Map {
        &self.map
    }

    pub fn allocation(&self) -> &Allocation {
        &self.allocation
    }

    pub fn pool(&self) -> &Leasing {
        &self.pool
    }

    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// None before the first scan came.
    pub fn scan(&self) -> Option<&Scan> {
        self.scan.as_ref()
    }

    /// As the allocator's state and screen read it.
    pub fn last_scan(&self) -> Option<LastScan<'_>> {
        self.scan.as_ref().map(Scan::last)
    }

    pub fn processes(&self) -> &ProcessTable {
        &self.processes
    }

    /// Why the last scan failed.
    pub fn failure(&self) -> Option<&Text> {
        self.failure.as_ref()
    }

    /// A thread of ours panicked, and what it said: exit code 101.
    pub fn fault(&self) -> Option<&Text> {
        self.fault.as_ref()
    }

    /// What was seen on ports before, and since when.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Rates and forecasts.
    pub fn trends(&self) -> &Trends {
        &self.trends
    }

    /// By which ranges and destinations are judged.
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// What the Overview's first line is about; None before the first scan came.
    pub fn headline(&self) -> Option<&Headline> {
        self.headline.as_ref()
    }

    /// The range or destination that is worst, or was so a moment ago; None before the first scan
    /// came.
    pub fn verdict(&self) -> Option<Standing> {
        self.headline.map(|headline| headline.standing)
    }

    pub fn services(&self) -> &ServiceNames {
        &self.services
    }

    pub fn is_mouse_on(&self) -> bool {
        self.is_mouse_on
    }

    /// The block under the pointer.
    pub fn hover(&self) -> Option<PortRange> {
        self.hover
    }

    /// What the mouse measures.
    pub fn span(&self) -> Option<PortRange> {
        self.span.map(|span| span.ports)
    }

    /// The port that the inspector tells of: under the pointer, else under the cursor.
    pub fn inspected(&self) -> u16 {
        self.hover.map_or(self.map.cursor, |block| self.telling_port(block))
    }

    /// When the picture changes although nothing happens; None: it does not.
    pub fn redraw_after(&self) -> Option<Duration> {
        let is_shown = self.screen == Screen::Allocate;
        let changes = if self.pool.is_open() {
            self.pool.ages_after(self.now)
        } else {
            self.allocation.fades_again_after(self.now)
        };
        changes.filter(|_| is_shown)
    }

    /// Frames for reports follow each other at this distance at least; keys are answered at once.
    pub fn frame_gap(&self) -> Duration {
        let is_fast = match self.screen {
            Screen::Allocate => self.allocation.is_sampled() && !self.pool.is_open(),
            Screen::Lab => self.lab.is_sampled(),
            Screen::Overview | Screen::Map => false,
        };
        Duration::from_millis(if is_fast { 100 } else { 0 })
    }

    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Since the program's start.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// How old the snapshot is.
    pub fn age(&self) -> Option<Duration> {
        self.scan.as_ref().map(|scan| self.now.saturating_sub(scan.arrived))
    }

    /// Which keys mean what now.
    pub fn context(&self) -> Context {
        match (&self.overlay, self.screen) {
            (Overlay::Help(_), _) => Context::Help,
            (Overlay::GoTo(_), _) => Context::GoTo,
            (Overlay::None, Screen::Allocate) if self.pool.is_open() => match self.pool.panel() {
                Some(_) => Context::Panel,
                None => Context::Pool,
            },
            (Overlay::None, Screen::Allocate) if self.allocation.panel().is_some() => {
                Context::Panel
            }
            (Overlay::None, Screen::Allocate) => Context::Allocate,
            (Overlay::None, Screen::Lab) if self.lab.is_race_shown() => Context::Race,
            (Overlay::None, Screen::Lab) if self.lab.panel().is_some() => Context::Panel,
            (Overlay::None, Screen::Lab) => Context::Lab,
            (Overlay::None, Screen::Overview) => Context::Overview,
            (Overlay::None, Screen::Map) => Context::Map,
        }
    }

    /// The machine's range; Linux's default before the first scan.
    pub fn ephemeral(&self) -> PortRange {
        self.scan.as_ref().map_or(port::LINUX_DEFAULT, |s| s.snapshot.ephemeral.range)
    }

    /// The map's grid in a terminal of that size.
    pub fn grid(&self, size: Size) -> Option<Grid> {
        self.map.grid(self.ephemeral(), size)
    }

    /// How the map lies in a terminal of that size.
    pub fn plan(&self, size: Size) -> Option<Plan> {
        self.map.plan(self.ephemeral(), size)
    }

    /// Dots were asked for, and are not shown: why.
    pub fn missing_dots(&self) -> Option<&'static str> {
        self.grid(self.size).and_then(|grid| self.map.missing_dots(&grid))
    }

    /// The ports that the map shows.
    pub fn shown(&self) -> PortRange {
        self.grid(self.size).map_or_else(|| self.map.range(self.ephemeral()), |g| g.range())
    }

    /// What is on some ports, by the protocols that the map shows.
    pub fn tally(&self, ports: PortRange) -> Tally {
        self.scan.as_ref().map_or_else(Tally::default, |scan| {
            let ephemeral = &scan.snapshot.ephemeral;
            Tally::count(ports, &scan.occupancy, self.map.protocols, ephemeral)
        })
    }

    /// Of a block's ports the one that gives it its colour, so that the inspector tells of what is
    /// seen.
    pub fn telling_port(&self, block: PortRange) -> u16 {
        let heaviest = self.tally(block).heaviest();
        let telling = self.scan.as_ref().zip(heaviest).and_then(|(scan, class)| {
            let class_of = |port| scan.occupancy.port(port).most_telling(self.map.protocols);
            block.ports().find(|&port| class_of(port) == Some(class))
        });
        telling.unwrap_or(block.first())
    }

    /// All sockets of a port, whatever the map shows.
    pub fn sockets_on(&self, port: u16) -> impl Iterator<Item = &Socket> {
        let snapshot = self.scan.as_ref().map(|scan| &scan.snapshot);
        snapshot.into_iter().flat_map(move |snapshot| {
            Protocol::EACH.into_iter().flat_map(move |protocol| snapshot.on_port(protocol, port))
        })
    }
}

impl Scan {
    fn last(&self) -> LastScan<'_> {
        LastScan { snapshot: &self.snapshot, occupancy: &self.occupancy }
    }
}
