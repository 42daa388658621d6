//! The state of the terminal program and how events change it. Draws nothing, blocks never.

pub mod allocation;
pub mod command;
pub mod event;
pub mod grid;
pub mod lens;
pub mod map;
mod update;

use std::{sync::Arc, time::Duration};

use crate::{
    app::{
        allocation::{Allocation, AllocationOptions, LastScan},
        lens::{OwnerRanks, Tally},
    },
    domain::{
        Gauge, Lane, Occupancy, PortRange, ProcessTable, Protocol, Protocols, Snapshot, Socket,
        Text, port,
    },
};

pub use command::{Action, COMMANDS, Command, Context};
pub use event::{Effect, Event, Key, Screen, Target};
pub use grid::{Grid, Place, RowsPerLine};
pub use lens::Lens;
pub use map::{Extent, Map, Move, Size};

/// What is fixed before the first event.
#[derive(Clone, Debug)]
pub struct Options {
    pub rows_per_line: RowsPerLine,
    /// What the map shows at first.
    pub extent: Extent,
    pub protocols: Protocols,
    /// Where the cursor is to stand at first; None: at the first port of the ephemeral range.
    pub find: Option<Find>,
    pub allocation: AllocationOptions,
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
    Help,
    /// The digits typed so far.
    GoTo(String),
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
    /// Since the program's start.
    arrived: Duration,
}

pub struct App {
    size: Size,
    screen: Screen,
    overlay: Overlay,
    map: Map,
    scan: Option<Scan>,
    processes: Arc<ProcessTable>,
    failure: Option<Text>,
    is_frozen: bool,
    find: Option<Find>,
    allocation: Allocation,
    fault: Option<Text>,
    now: Duration,
}

impl App {
    pub fn new(options: Options) -> Self {
        Self {
            size: Size { columns: 80, rows: 24 },
            screen: Screen::Map,
            overlay: Overlay::None,
            map: Map::showing(options.extent, options.protocols, options.rows_per_line),
            scan: None,
            processes: Arc::default(),
            failure: None,
            is_frozen: false,
            find: options.find,
            allocation: Allocation::new(&options.allocation),
            fault: None,
            now: Duration::ZERO,
        }
    }

    pub fn screen(&self) -> Screen {
        self.screen
    }

    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    pub fn map(&self) -> &Map {
        &self.map
    }

    pub fn allocation(&self) -> &Allocation {
        &self.allocation
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
            (Overlay::Help, _) => Context::Help,
            (Overlay::GoTo(_), _) => Context::GoTo,
            (Overlay::None, Screen::Allocate) if self.allocation.panel().is_some() => {
                Context::Panel
            }
            (Overlay::None, Screen::Allocate) => Context::Allocate,
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

    /// What is on some ports, by the protocols that the map shows.
    pub fn tally(&self, ports: PortRange) -> Tally {
        self.scan.as_ref().map_or_else(Tally::default, |scan| {
            let ephemeral = &scan.snapshot.ephemeral;
            Tally::count(ports, &scan.occupancy, self.map.protocols, ephemeral)
        })
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
