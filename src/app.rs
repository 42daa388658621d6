//! The state of the terminal program and how events change it. Does not draw or block.

pub mod allocation;
pub mod command;
pub mod event;
pub mod find;
pub mod focus;
pub mod free_dialog;
pub mod grid;
pub mod help_page;
pub mod inspected_port;
pub mod lab;
pub mod lens;
mod listener_series;
pub mod map;
pub mod overview;
pub mod pool;
mod run;
mod screen;
pub mod settings;
pub mod sockets;
mod update;

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use crate::{
    app::{
        allocation::{Allocation, AllocationOptions, LastScan},
        free_dialog::Freeing,
        inspected_port::InspectedPort,
        lens::{Categories, LensCounts, Marks, OwnerRanks},
        listener_series::ListenerSeries,
        overview::{finding_page::FindingPage, headline::Headline},
    },
    domain::{
        Age, Analysis, Diagnosis, Drain, Finding, Gauge, History, ListenerRates, ListenerUse,
        Monitor, Occupancy, PortRange, PortSet, ProcessTable, Protocol, ProtocolFamily, Protocols,
        ServiceNames, Snapshot, Socket, Text, Thresholds, Trends,
        diagnosis::{About, SubjectStatus},
        port,
    },
};

pub use command::{Action, COMMANDS, Context, KeyCommand};
pub use event::{Copied, Effect, Event, Gesture, Key, PointerTarget};
pub use find::{Find, FindParser, FoundProcesses, NameChoice};
pub use focus::Focus;
pub use free_dialog::{FreeAction, FreeDialog};
pub use grid::{Grid, GridBlock, Resolution, RowsPerLine};
pub use help_page::{HelpPage, OpenHelp};
pub use lab::{LabOptions, LabScreen};
pub use lens::Lens;
pub use map::{Extent, GlyphSet, InspectorPlace, Map, Move, Plan, Size};
pub use overview::Overview;
pub use pool::PoolScreen;
pub use screen::Screen;
pub use sockets::SocketsScreen;

/// Options with which the app starts.
#[derive(Clone, Debug)]
pub struct AppOptions {
    /// The screen that is shown first.
    pub first: Screen,
    pub glyphs: GlyphSet,
    /// The ports that the map shows at the start.
    pub extent: Extent,
    pub protocols: Protocols,
    /// Where the cursor starts; None: at the first port of `extent`.
    pub find: Option<Find>,
    pub parse_find: FindParser,
    pub allocation: AllocationOptions,
    pub lab: LabOptions,
    /// Whether the terminal reports the mouse on screens that use it.
    pub mouse: bool,
    /// Whether the marks of attempts may fade and flash.
    pub motion: bool,
    pub services: ServiceNames,
    /// Whether the dialog that frees ports refuses to act.
    pub is_read_only: bool,
}

/// What covers the screen and receives the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    #[default]
    None,
    Help(OpenHelp),
    /// The prompt for what to find on the map, with the text typed so far.
    GoTo(String),
    /// The prompt for the file to write the rows of the Sockets screen to, with the name typed so
    /// far.
    WriteRows(String),
    /// A finding of the Overview in full.
    Finding(OpenFinding),
    /// The names nearest to the one on the command line, which no process has.
    Names(NameChoice),
    /// The dialog that frees ports.
    Free,
}

/// The finding that is shown in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFinding {
    /// Rule and subject of the finding.
    key: (&'static str, About),
    /// Index of the first line shown.
    first: usize,
}

/// The ports from the block where the mouse button went down to the block under the pointer, both
/// included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSelection {
    pub ports: PortRange,
    /// The block under the pointer when the button went down.
    pub anchor: PortRange,
}

/// The latest snapshot and the counts made from it.
#[derive(Clone, Debug)]
pub struct LatestScan {
    pub snapshot: Arc<Snapshot>,
    pub occupancy: Occupancy,
    /// Use of the ports that the kernel chooses automatically, in the order of
    /// `ProtocolFamily::EACH`.
    pub gauges: [Gauge; ProtocolFamily::EACH.len()],
    /// Counts of the ports that the map shows.
    pub lens_counts: LensCounts,
    /// Counted only while the owner lens is on; empty otherwise.
    pub owners: OwnerRanks,
    /// Counted for the current lens; empty for the owner lens, which has no categories.
    pub categories: Categories,
    /// The ports of the owner in focus. None: no owner is in focus, or another lens is on.
    pub marks: Option<Marks>,
    /// By protocol and port.
    pub listeners: Vec<ListenerUse>,
    pub analysis: Analysis,
    /// Number of distinct source addresses of the destinations.
    pub sources: usize,
    /// When the ports in TIME-WAIT of the ephemeral range become free.
    pub drain: Drain,
    pub diagnosis: Diagnosis,
    /// The ports of other machines to which sockets lead. Empty: nobody has asked.
    remote_ports: OnceCell<PortSet>,
    /// When the snapshot arrived, as time since the program's start.
    arrived: Duration,
}

/// How long a notice is shown.
const NOTICE_TIME: Duration = Duration::from_secs(4);

/// What the last key did.
struct Notice {
    text: String,
    /// Time since the program's start.
    since: Duration,
}

pub struct App {
    size: Size,
    screen: Screen,
    overlay: Overlay,
    overview: Overview,
    /// The screen from which the map was opened, and the lens that was on before. None: Esc does
    /// not return to a screen.
    visited_from: Option<(Screen, Lens)>,
    map: Map,
    scan: Option<LatestScan>,
    processes: Arc<ProcessTable>,
    failure: Option<Text>,
    is_frozen: bool,
    find: Option<Find>,
    parse_find: FindParser,
    found: Option<FoundProcesses>,
    /// Whether the list of nearest names was opened; it opens once.
    were_names_offered: bool,
    /// The processes among which the nearest names were last looked up.
    names_of: Arc<ProcessTable>,
    allocation: Allocation,
    lab: LabScreen,
    pool: PoolScreen,
    sockets: SocketsScreen,
    freeing: Freeing,
    now: Duration,
    monitor: Monitor,
    listener_rates: ListenerRates,
    listener_series: ListenerSeries,
    thresholds: Thresholds,
    headline: Option<Headline>,
    services: ServiceNames,
    is_mouse_on: bool,
    /// What the last key did, if the screen does not show it. None: there is nothing to report.
    notice: Option<Notice>,
    /// The overlay that the help covers, and that is open again when the help is closed.
    below_help: Overlay,
    /// The block under the pointer.
    hover: Option<PortRange>,
    span: Option<PortSelection>,
    /// The page of the inspector, and the port that it describes.
    inspector_page: (u16, isize),
    /// What the inspector found last. None: nothing since the latest scan.
    inspected_port: RefCell<Option<Rc<InspectedPort>>>,
}

impl App {
    pub fn new(options: AppOptions) -> Self {
        Self {
            size: Size { columns: 80, rows: 24 },
            screen: options.first,
            overlay: Overlay::None,
            overview: Overview::default(),
            visited_from: None,
            map: Map::showing(options.extent, options.protocols, options.glyphs),
            scan: None,
            processes: Arc::default(),
            names_of: Arc::default(),
            failure: None,
            is_frozen: false,
            find: options.find,
            parse_find: options.parse_find,
            found: None,
            were_names_offered: false,
            allocation: Allocation::new(&options.allocation, options.motion),
            lab: LabScreen::new(options.lab),
            pool: PoolScreen::default(),
            sockets: SocketsScreen::default(),
            freeing: Freeing::new(options.is_read_only),
            now: Duration::ZERO,
            monitor: Monitor::default(),
            listener_rates: ListenerRates::default(),
            listener_series: ListenerSeries::default(),
            thresholds: Thresholds::default(),
            headline: None,
            services: options.services,
            is_mouse_on: options.mouse,
            notice: None,
            below_help: Overlay::None,
            hover: None,
            span: None,
            inspector_page: (0, 0),
            inspected_port: RefCell::default(),
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

    pub fn pool(&self) -> &PoolScreen {
        &self.pool
    }

    pub fn lab(&self) -> &LabScreen {
        &self.lab
    }

    pub fn sockets(&self) -> &SocketsScreen {
        &self.sockets
    }

    /// None before the first scan.
    pub fn scan(&self) -> Option<&LatestScan> {
        self.scan.as_ref()
    }

    /// The latest snapshot and its occupancy. None before the first scan.
    pub fn last_scan(&self) -> Option<LastScan<'_>> {
        self.scan.as_ref().map(LatestScan::last)
    }

    pub fn processes(&self) -> &ProcessTable {
        &self.processes
    }

    /// Why the last scan failed; None: it did not.
    pub fn failure(&self) -> Option<&Text> {
        self.failure.as_ref()
    }

    /// The ages of the sockets, and what appeared on each port in earlier scans.
    pub fn history(&self) -> &History {
        self.monitor.history()
    }

    /// How long the finding has existed without interruption, up to the latest scan. None: the
    /// latest scan does not have it.
    pub fn finding_age(&self, finding: &Finding) -> Option<Age> {
        self.monitor.age(finding, &self.scan()?.snapshot)
    }

    /// The page of the finding that is shown in full on a terminal of this size, and the position of
    /// the finding in the list. None: no finding is open, or the open one is no longer reported.
    pub fn finding_page(&self, size: Size) -> Option<(usize, FindingPage)> {
        let Overlay::Finding(open) = &self.overlay else { return None };
        let index = self.shown_finding()?;
        let finding = &self.scan()?.diagnosis.findings[index];
        Some((index, FindingPage::of(finding, self.finding_age(finding), size, open.first)))
    }

    /// Whether the finding that is open in full has more lines than fit.
    pub fn scrolls_finding(&self) -> bool {
        self.finding_page(self.size).is_some_and(|(_, page)| page.scrolls())
    }

    /// Index of the finding that is open in full. None: no finding is, or the latest scan no longer
    /// has it.
    pub fn shown_finding(&self) -> Option<usize> {
        let Overlay::Finding(open) = &self.overlay else { return None };
        let findings = &self.scan()?.diagnosis.findings;
        findings.iter().position(|found| (found.rule, found.about) == open.key)
    }

    /// Rates and forecasts, computed from the scans so far.
    pub fn trends(&self) -> &Trends {
        self.monitor.trends()
    }

    /// The thresholds by which ranges and destinations are judged.
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// The subject of the Overview's first line; None before the first scan.
    pub fn headline(&self) -> Option<&Headline> {
        self.headline.as_ref()
    }

    /// The finding that explains the headline. None: there is none, see `Headline::why`.
    pub fn reason(&self) -> Option<&Finding> {
        self.headline.as_ref()?.why(self.scan.as_ref()?)
    }

    /// The connections per second of each listener over the last minute.
    pub fn listener_series(&self) -> &ListenerSeries {
        &self.listener_series
    }

    /// The state of the range or destination that the headline is about, see
    /// `Headline::subject_status`. A headline may stay for up to ten seconds after another range or
    /// destination has become the worst. None before the first scan.
    pub fn verdict(&self) -> Option<SubjectStatus> {
        self.headline.map(|headline| headline.subject_status)
    }

    pub fn services(&self) -> &ServiceNames {
        &self.services
    }

    /// What the last key did, if the screen does not show it; None: there is nothing to report, or
    /// it was reported long enough: the notice covers the keys of the footer.
    pub fn notice(&self) -> Option<&str> {
        let notice = self.notice.as_ref()?;
        (self.now < notice.since + NOTICE_TIME).then_some(notice.text.as_str())
    }

    /// Whether the terminal reports the mouse now: the user has not turned it off, and the screen
    /// uses it.
    pub fn has_mouse(&self) -> bool {
        self.is_mouse_on && self.context().uses_mouse()
    }

    /// Whether the user has turned the mouse off on a screen that uses it.
    pub fn is_mouse_off(&self) -> bool {
        !self.is_mouse_on && self.context().uses_mouse()
    }

    /// The block under the pointer; None: the pointer is on no block.
    pub fn hover(&self) -> Option<PortRange> {
        self.hover
    }

    /// The ports selected by dragging the mouse; None: none are selected.
    pub fn span(&self) -> Option<PortRange> {
        self.span.map(|span| span.ports)
    }

    /// The port that the inspector describes: `port_of_shown_class` of the block under the pointer.
    /// If the pointer is on no block, the port under the cursor. On the Sockets screen, the local
    /// port of the selected socket.
    pub fn inspected(&self) -> u16 {
        if self.screen == Screen::Sockets
            && let Some((_, socket)) = self.selected_socket()
        {
            return socket.local.port;
        }
        self.hover.map_or(self.map.cursor, |block| self.port_of_shown_class(block))
    }

    /// The number of pages that the inspector was scrolled, negative if back from the first page.
    /// After the last page comes the first one. 0 if another port is described by now.
    pub fn inspector_page(&self) -> isize {
        let (port, page) = self.inspector_page;
        if port == self.inspected() { page } else { 0 }
    }

    /// The size of the terminal.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Time until the Allocate screen changes without an event, because a mark fades or an age
    /// grows. None: nothing changes, or another screen is shown.
    pub fn redraw_after(&self) -> Option<Duration> {
        let is_shown = self.screen == Screen::Allocate;
        let changes = if self.pool.is_open() {
            self.pool.ages_after(self.now)
        } else {
            self.allocation.fades_again_after(self.now)
        };
        changes.filter(|_| is_shown)
    }

    /// Minimum time between two frames that show reports: 100 ms if the run is so fast that only a
    /// sample of it is shown, and 0 otherwise. A frame that answers a key is drawn at once.
    pub fn frame_gap(&self) -> Duration {
        Duration::from_millis(if (self.screen.row().is_sampled)(self) { 100 } else { 0 })
    }

    /// Whether the view is paused.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Time since the program's start.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Age of the latest snapshot; None before the first scan.
    pub fn age(&self) -> Option<Duration> {
        self.scan.as_ref().map(|scan| self.now.saturating_sub(scan.arrived))
    }

    /// The context that decides what each key means now.
    pub fn context(&self) -> Context {
        match &self.overlay {
            Overlay::Help(_) => Context::Help,
            Overlay::GoTo(_) => Context::GoTo,
            Overlay::WriteRows(_) => Context::WriteRows,
            Overlay::Finding(_) => Context::Finding,
            Overlay::Names(_) => Context::Names,
            Overlay::Free => Context::Free,
            Overlay::None => (self.screen.row().context)(self),
        }
    }

    /// The host's ephemeral range; Linux's default before the first scan.
    pub fn ephemeral(&self) -> PortRange {
        self.scan.as_ref().map_or(port::LINUX_DEFAULT, |s| s.snapshot.ephemeral.range)
    }

    /// The map's grid in a terminal of this size; None: it is too small for a map.
    pub fn grid(&self, size: Size) -> Option<Grid> {
        self.map.grid(self.ephemeral(), size)
    }

    /// Whether the map shows a dot for each port.
    pub fn shows_dots(&self) -> bool {
        self.grid(self.size).is_some_and(|grid| grid.resolution() == Resolution::Dots)
    }

    /// Whether a switch between dots and blocks has an effect: it changes the map, or whether the
    /// legend says why there are no dots.
    pub fn may_toggle_resolution(&self) -> bool {
        let mut map = self.map.clone();
        map.toggle_resolution(self.ephemeral(), self.size);
        let shown = |map: &Map| {
            let grid = map.grid(self.ephemeral(), self.size);
            (grid, grid.and_then(|grid| map.missing_dots(&grid)))
        };
        shown(&map) != shown(&self.map)
    }

    /// The map's layout in a terminal of this size; None: it is too small for a map.
    pub fn plan(&self, size: Size) -> Option<Plan> {
        self.map.plan(self.ephemeral(), size)
    }

    /// The reason why the map shows blocks although the user chose dots. None: the user did not
    /// choose dots, or the map does not show blocks.
    pub fn missing_dots(&self) -> Option<&'static str> {
        self.grid(self.size).and_then(|grid| self.map.missing_dots(&grid))
    }

    /// The ports that the map shows. If the terminal is too small for a map, all ports of the map's
    /// extent.
    pub fn shown(&self) -> PortRange {
        self.grid(self.size).map_or_else(|| self.map.range(self.ephemeral()), |g| g.range())
    }

    /// Counts `ports` by state class, available and reserved, for the protocols that the map shows.
    /// All counts are 0 before the first scan.
    pub fn lens_counts(&self, ports: PortRange) -> LensCounts {
        self.scan.as_ref().map_or_else(LensCounts::default, |scan| {
            let ephemeral = &scan.snapshot.ephemeral;
            LensCounts::count(ports, &scan.occupancy, self.map.protocols, ephemeral)
        })
    }

    /// Returns the first port of `block` that has the state class in whose colour the state lens
    /// draws the block, so that the inspector describes what the map shows. If no port is known to
    /// be occupied, returns the first one.
    pub fn port_of_shown_class(&self, block: PortRange) -> u16 {
        let found_port = self.scan.as_ref().and_then(|scan| {
            let by_class = self.lens_counts(block).by_class;
            let class = lens::shown_class(block, &by_class, &scan.lens_counts.by_class)?;
            let class_of = |port| scan.occupancy.port(port).shown_class(self.map.protocols);
            block.ports().find(|&port| class_of(port) == Some(class))
        });
        found_port.unwrap_or(block.first())
    }

    /// All sockets on a port, of both protocols, even if the map shows only one protocol.
    pub fn sockets_on(&self, port: u16) -> impl Iterator<Item = &Socket> {
        let snapshot = self.scan.as_ref().map(|scan| &scan.snapshot);
        snapshot.into_iter().flat_map(move |snapshot| {
            Protocol::EACH.into_iter().flat_map(move |protocol| snapshot.on_port(protocol, port))
        })
    }
}

impl LatestScan {
    /// The ports of other machines to which sockets lead.
    fn remote_ports(&self) -> &PortSet {
        self.remote_ports.get_or_init(|| {
            let remotes = self.snapshot.sockets.iter().filter_map(|socket| socket.remote);
            remotes.map(|remote| remote.port).collect()
        })
    }

    fn last(&self) -> LastScan<'_> {
        LastScan { snapshot: &self.snapshot, occupancy: &self.occupancy }
    }
}
