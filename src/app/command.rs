//! The table of keys, from which the footer, the help and KEYS.md are made. Executes nothing.

use crate::{
    app::{
        App, Key, Move, Screen,
        allocation::{AllocationAction as Own, AllocatorTarget},
        free_dialog::FreeAction as Free,
        lab::{LabAction as Lab, LabTarget},
        map::Zooming,
        pool::{PoolAction as Pool, Priority},
        sockets::{FoundPosition, SocketsAction as List},
    },
    domain::{Protocols, listing::GroupBy},
};

/// A user action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Show(Screen),
    NextScreen,
    PreviousScreen,
    Move(Move),
    FitEphemeral,
    FitAll,
    Zoom(Zooming),
    /// Switches between dots and blocks.
    ToggleResolution,
    /// Moves the cursor to the next run of occupied ports.
    NextRun,
    PreviousRun,
    /// Opens the prompt for what to find on the map.
    OpenGoTo,
    /// Finds what was typed.
    GoTo,
    NextLens,
    PreviousLens,
    NextProtocols,
    /// Scrolls the inspector this number of pages forward, or back if it is negative.
    ScrollInspector(isize),
    ToggleFreeze,
    ScanNow,
    Allocation(Own),
    Lab(Lab),
    Pool(Pool),
    Sockets(List),
    Free(Free),
    /// Shows the port allocated last, or the ports of the selected row, on the map.
    ShowOnMap,
    /// Sends the selected row, or what the inspector says of the port, to the terminal's clipboard.
    Copy,
    /// Opens the selected row of the Overview.
    OpenRow,
    /// Opens the finding that explains the verdict of the Overview.
    OpenReason,
    /// Looks for the selected name in place of the one on the command line.
    ChooseName,
    OpenHelp,
    /// Turns this number of help pages forward, or back if it is negative.
    TurnPage(isize),
    NextTheme,
    ToggleMouse,
    Close,
    Suspend,
    Quit,
}

/// The screen, overlay or panel that receives the keys and decides what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Overview,
    Map,
    Sockets,
    /// The filter of the Sockets screen is typed.
    Filter,
    Allocate,
    Lab,
    Help,
    /// The prompt for what to find on the map is open.
    GoTo,
    /// The prompt for the file to write the rows to is open.
    WriteRows,
    /// A finding is shown in full.
    Finding,
    /// The list of names nearest to the one on the command line is open.
    Names,
    /// The dialog that frees ports is open.
    Free,
    /// A panel of the Allocate or Lab screen is open.
    Panel,
    /// The Lab screen shows a race.
    Race,
    /// The Allocate screen shows the pool.
    Pool,
}

impl Context {
    pub const EACH: [Self; 15] = [
        Self::Overview,
        Self::Map,
        Self::Sockets,
        Self::Filter,
        Self::Allocate,
        Self::Lab,
        Self::Help,
        Self::GoTo,
        Self::WriteRows,
        Self::Finding,
        Self::Names,
        Self::Free,
        Self::Panel,
        Self::Race,
        Self::Pool,
    ];

    /// Whether the mouse does more here than switch screens. Elsewhere the terminal keeps it, so
    /// that text can be selected.
    pub fn uses_mouse(self) -> bool {
        match self {
            Self::Map
            | Self::Sockets
            | Self::Filter
            | Self::GoTo
            | Self::Names
            | Self::Free
            | Self::Lab
            | Self::Panel
            | Self::Pool => true,
            Self::Overview
            | Self::Allocate
            | Self::Race
            | Self::Help
            | Self::WriteRows
            | Self::Finding => false,
        }
    }
}

/// A row of the table: keys that belong together.
pub struct KeyCommand {
    pub contexts: &'static [Context],
    /// The names of the keys, as shown to the user. `hjkl` and `Shift+arrows` mean four keys
    /// each.
    pub keys: &'static str,
    /// The actions of `keys`, in their order.
    actions: &'static [Action],
    /// Label in the footer; empty: not shown there.
    pub label: &'static str,
    /// Returns the label for what the keys would do now. None: they always do the same.
    label_now: Option<fn(&App) -> &'static str>,
    /// Text for the help and KEYS.md.
    pub help: &'static str,
    /// Keys that are not shown, or that have no name of their own in `keys`.
    more: &'static [(Key, Action)],
}

/// Begins a row: where its keys apply, and the action of each.
const fn row(
    contexts: &'static [Context],
    keys: &'static str,
    actions: &'static [Action],
) -> KeyCommand {
    KeyCommand { contexts, keys, actions, label: "", label_now: None, help: "", more: &[] }
}

impl KeyCommand {
    const fn does(self, label: &'static str, help: &'static str) -> Self {
        Self { label, help, ..self }
    }

    const fn now(self, label: fn(&App) -> &'static str) -> Self {
        Self { label_now: Some(label), ..self }
    }

    /// Returns the label in the footer for what the keys would do now; empty: not shown there.
    pub fn label(&self, app: &App) -> &'static str {
        self.label_now.map_or(self.label, |label| label(app))
    }

    /// Returns the key whose name is at this column of the row `keys`, followed by the label. On the
    /// label, returns the first key. None: the row shows no key by its own name.
    pub fn key_at(&self, column: usize) -> Option<Key> {
        let mut start = 0;
        for name in self.keys.split(' ') {
            if let Some(key) = Key::named(name) {
                if (start..=start + name.len()).contains(&column) {
                    return Some(key);
                }
            } else if let Some(character) = name.chars().nth(column.wrapping_sub(start)) {
                // `hjkl`: a key for each letter.
                return Some(Key::Char(character));
            }
            start += name.len() + 1;
        }
        self.bindings().next().map(|(key, _)| key)
    }

    const fn also(self, more: &'static [(Key, Action)]) -> Self {
        Self { more, ..self }
    }

    /// Each key of the row with its action.
    pub fn bindings(&self) -> impl Iterator<Item = (Key, Action)> {
        let shown = self.keys.split(' ').filter_map(Key::named);
        shown.zip(self.actions.iter().copied()).chain(self.more.iter().copied())
    }
}

const OVERVIEW: &[Context] = &[Context::Overview];
const FINDING: &[Context] = &[Context::Finding];
const HELP: &[Context] = &[Context::Help];
const NAMES: &[Context] = &[Context::Names];
const MAP: &[Context] = &[Context::Map];
const SOCKETS: &[Context] = &[Context::Sockets];
const FREE: &[Context] = &[Context::Free];
const FILTER: &[Context] = &[Context::Filter];
const WRITE_ROWS: &[Context] = &[Context::WriteRows];
const LISTS_AND_MAP: &[Context] = &[Context::Overview, Context::Map, Context::Sockets];
const ALLOCATE: &[Context] = &[Context::Allocate];
const LAB: &[Context] = &[Context::Lab];
const RACE: &[Context] = &[Context::Race];
const POOL: &[Context] = &[Context::Pool];
const SCREENS: &[Context] = &[
    Context::Overview,
    Context::Map,
    Context::Sockets,
    Context::Allocate,
    Context::Lab,
    Context::Race,
    Context::Pool,
];
/// Where `?` opens the help.
const SCREENS_AND_FINDING: &[Context] = &[
    Context::Overview,
    Context::Map,
    Context::Sockets,
    Context::Allocate,
    Context::Lab,
    Context::Race,
    Context::Pool,
    Context::Finding,
];
/// Where `g` opens the prompt for what to find on the map, besides the map.
const BESIDE_MAP: &[Context] = &[
    Context::Overview,
    Context::Sockets,
    Context::Allocate,
    Context::Lab,
    Context::Race,
    Context::Pool,
    Context::Finding,
];
/// Where `q` quits.
const SCREENS_AND_HELP: &[Context] = &[
    Context::Overview,
    Context::Map,
    Context::Sockets,
    Context::Allocate,
    Context::Lab,
    Context::Race,
    Context::Pool,
    Context::Help,
    Context::Finding,
    Context::Names,
];

const fn go(movement: Move) -> Action {
    Action::Move(movement)
}

const fn own(action: Own) -> Action {
    Action::Allocation(action)
}

const fn pool(action: Pool) -> Action {
    Action::Pool(action)
}

const fn lab(action: Lab) -> Action {
    Action::Lab(action)
}

const fn free(action: Free) -> Action {
    Action::Free(action)
}

const fn list(action: List) -> Action {
    Action::Sockets(action)
}

/// The keys that move a cursor: by one, then with Shift by ten.
const MOVES: &[(Key, Action)] = &[
    (Key::Char('h'), go(Move::Left)),
    (Key::Char('j'), go(Move::Down)),
    (Key::Char('k'), go(Move::Up)),
    (Key::Char('l'), go(Move::Right)),
    (Key::Left, go(Move::Left)),
    (Key::Down, go(Move::Down)),
    (Key::Up, go(Move::Up)),
    (Key::Right, go(Move::Right)),
    (Key::ShiftLeft, go(Move::FarLeft)),
    (Key::ShiftRight, go(Move::FarRight)),
    (Key::ShiftUp, go(Move::FarUp)),
    (Key::ShiftDown, go(Move::FarDown)),
];
/// Number of `MOVES` without Shift.
const SHORT_MOVES: usize = 8;

/// All commands, those of a screen in the order of the footer, the most used first. If the terminal
/// is too narrow, the footer drops commands from the right; it drops help and quit last.
///
/// A letter has one meaning on all screens, see the test `a_letter_has_one_meaning`. `n` and `N`
/// only go through what a search finds.
pub const COMMANDS: &[KeyCommand] = &[
    row(OVERVIEW, "j k", &[go(Move::Down), go(Move::Up)])
        .does("select", "next, previous row across all lists; also arrows")
        .also(&[(Key::Down, go(Move::Down)), (Key::Up, go(Move::Up))]),
    row(OVERVIEW, "h l", &[go(Move::Left), go(Move::Right)])
        .does("list", "previous, next list: destinations, listening, owners, findings")
        .also(&[(Key::Left, go(Move::Left)), (Key::Right, go(Move::Right))]),
    row(OVERVIEW, "Enter", &[Action::OpenRow])
        .does("open", "show the selected finding in full, or the row's ports on the map"),
    row(OVERVIEW, "!", &[Action::OpenReason])
        .does("why", "show the finding behind the verdict in full")
        .now(|app| if app.reason().is_some() { "why" } else { "" }),
    row(FINDING, "j k", &[go(Move::Down), go(Move::Up)])
        .does("scroll", "scroll the finding; also arrows")
        .now(|app| if app.scrolls_finding() { "scroll" } else { "" })
        .also(&[(Key::Down, go(Move::Down)), (Key::Up, go(Move::Up))]),
    row(FINDING, "PgUp PgDn", &[go(Move::PageUp), go(Move::PageDown)])
        .does("page", "a page up, down")
        .now(|app| if app.scrolls_finding() { "page" } else { "" }),
    row(FINDING, "Home End", &[go(Move::First), go(Move::Last)]).does("", "first, last line"),
    row(FINDING, "m", &[Action::ShowOnMap])
        .does("on map", "show the ports of the finding on the map"),
    row(FINDING, "Esc Enter", &[Action::Close, Action::Close]).does("back", "back to the Overview"),
    row(OVERVIEW, "PgUp PgDn", &[go(Move::PageUp), go(Move::PageDown)])
        .does("", "ten rows up, down")
        .also(&[(Key::ShiftUp, go(Move::FarUp)), (Key::ShiftDown, go(Move::FarDown))]),
    row(OVERVIEW, "Home End", &[go(Move::First), go(Move::Last)]).does("", "first, last row"),
    row(MAP, "hjkl", &[]).does("move", "move; Shift: ten; also arrows").also(MOVES),
    row(MAP, "g", &[Action::OpenGoTo]).does("find", FIND_HELP),
    row(MAP, "+ -", &[Action::Zoom(Zooming::In), Action::Zoom(Zooming::Out)])
        .does("zoom", "zoom at the cursor; also wheel")
        .also(&[(Key::Char('='), Action::Zoom(Zooming::In))]),
    row(MAP, "c C", &[Action::NextLens, Action::PreviousLens])
        .does("colours", "next, previous lens (what the colours show)"),
    row(&[Context::Overview, Context::Map, Context::Finding], "y", &[Action::Copy])
        .does("copy", "copy the selected row or port to the terminal's clipboard"),
    row(MAP, "p", &[Action::NextProtocols]).does("protocol", "TCP, UDP or both").now(
        |app| match app.map().protocols {
            Protocols::Both => "TCP only",
            Protocols::Tcp => "UDP only",
            Protocols::Udp => "TCP+UDP",
        },
    ),
    row(MAP, "w b", &[Action::NextRun, Action::PreviousRun])
        .does("next in use", "next, previous ports in use"),
    row(MAP, "a e", &[Action::FitAll, Action::FitEphemeral])
        .does("all, range", "all ports, the ephemeral range"),
    row(MAP, "f", &[Action::ToggleResolution])
        .does("dots", "dots or blocks; if dots do not fit, the legend says so")
        .now(|app| match app.shows_dots() {
            _ if !app.may_toggle_resolution() => "",
            true => "blocks",
            false => "dots",
        }),
    row(SCREENS, "/", &[list(List::OpenFilter)])
        .does("filter", "filter the sockets, as in ss")
        .now(|app| if app.screen() == Screen::Sockets { "filter" } else { "" }),
    row(SOCKETS, "s S", &[list(List::NextOrder), list(List::Reverse)])
        .does("sort", "sort by the next column; reverse"),
    row(SOCKETS, "c C", &[list(List::NextGroup), list(List::PreviousGroup)])
        .does("group", "next, previous way to group"),
    row(SOCKETS, "Enter", &[list(List::Open)])
        .does("open", "a group's sockets, or more lines")
        .now(|app| match app.sockets().group_by() {
            GroupBy::Nothing => "open",
            _ => "its sockets",
        }),
    row(SOCKETS, "v V", &[list(List::Mark), list(List::MarkAll)])
        .does("mark", "mark the row; all rows, or none"),
    row(SOCKETS, "x", &[free(Free::Open)])
        .does("free it", "free the port: shows first what each action does")
        .now(|app| match app.sockets().group_by() {
            GroupBy::Nothing => "free it",
            _ => "",
        }),
    row(SOCKETS, "m", &[Action::ShowOnMap])
        .does("on map", "its port on the map; with a filter, marks only the matches"),
    row(SOCKETS, "F", &[list(List::Follow)])
        .does("follow", "newest socket on top, or not")
        .now(|app| if app.sockets().is_following() { "no follow" } else { "follow" }),
    row(SOCKETS, "y Y", &[Action::Copy, list(List::CopyRows)])
        .does("copy", "copy the ss command; the rows"),
    row(SOCKETS, "W", &[list(List::OpenWrite)])
        .does("write", "write the rows to a file: csv or json"),
    row(
        SOCKETS,
        "n N",
        &[list(List::Find(FoundPosition::Next)), list(List::Find(FoundPosition::Previous))],
    )
    .does("match", "next, previous match of a search, `/?nginx`")
    .now(|app| if app.sockets().line().search().is_some() { "match" } else { "" }),
    row(SOCKETS, "j k", &[go(Move::Down), go(Move::Up)])
        .does("select", "next, previous row; also arrows")
        .also(&[(Key::Down, go(Move::Down)), (Key::Up, go(Move::Up))]),
    row(SOCKETS, "PgUp PgDn", &[go(Move::PageUp), go(Move::PageDown)])
        .does("", "a page up, down")
        .also(&[(Key::ShiftUp, go(Move::FarUp)), (Key::ShiftDown, go(Move::FarDown))]),
    row(SOCKETS, "Home End", &[go(Move::First), go(Move::Last)]).does("", "first, last row"),
    row(SOCKETS, "J K", &[Action::ScrollInspector(1), Action::ScrollInspector(-1)])
        .does("inspector", "next, previous inspector lines")
        .now(|_| ""),
    row(FREE, "y", &[free(Free::Perform)])
        .does("do it", "do what is selected")
        .now(|app| if app.may_perform() { "do it" } else { "" }),
    row(FREE, "1-9", &[])
        .does("choose", "select an action by its number")
        .now(|app| if app.offers_choices() { "choose" } else { "" }),
    row(FREE, "j k", &[free(Free::Down), free(Free::Up)])
        .does("select", "next, previous action; also arrows")
        .now(|app| if app.offers_choices() { "select" } else { "" })
        .also(&[(Key::Down, free(Free::Down)), (Key::Up, free(Free::Up))]),
    row(FREE, "c", &[free(Free::CopyCommand)])
        .does("copy the command", "copy the command that does the same")
        .now(|app| if app.offered_choice().is_some() { "copy the command" } else { "" }),
    row(FREE, "Esc", &[Action::Close]).does("close", "close the dialog"),
    row(FILTER, "Enter", &[list(List::KeepFilter)]).does("keep", "keep the filter"),
    row(FILTER, "Esc", &[list(List::ClearFilter)]).does("clear", "show all sockets"),
    row(FILTER, "Up Down", &[list(List::OlderFilter), list(List::NewerFilter)])
        .does("history", "earlier, later filters"),
    row(FILTER, "Tab", &[list(List::Complete)])
        .does("complete", "complete a keyword, state or name; take the suggestion"),
    row(LISTS_AND_MAP, "Space", &[Action::ToggleFreeze])
        .does("pause", "pause or resume the view")
        .now(|app| if app.is_frozen() { RESUME } else { "pause" }),
    row(OVERVIEW, "m", &[Action::ShowOnMap])
        .does("on map", "show the selected row's ports on the map; Esc returns"),
    row(MAP, "< >", &[go(Move::PreviousPort), go(Move::NextPort)])
        .does("one port", "previous, next port"),
    row(MAP, "J K", &[Action::ScrollInspector(1), Action::ScrollInspector(-1)])
        .does("inspector", "next, previous inspector lines"),
    row(MAP, "PgUp PgDn", &[go(Move::PageUp), go(Move::PageDown)])
        .does("", "half the map; Home, End: to the ends")
        .also(&[(Key::Home, go(Move::First)), (Key::End, go(Move::Last))]),
    row(ALLOCATE, "Space", &[own(Own::RunOrPause)])
        .does("run", "run or pause")
        .now(|app| if app.allocation().is_running() { "pause" } else { "run" }),
    row(ALLOCATE, "t", &[own(Own::ToggleTarget)])
        .does("target", "switch between this machine and a simulated occupancy")
        .now(other_target),
    row(ALLOCATE, "[ ]", &[own(Own::Slower), own(Own::Faster)]).does("speed", "slower, faster"),
    row(ALLOCATE, "o", &[own(Own::OpenSettings)])
        .does("settings", "strategy, protocol, range, attempts, seed, address"),
    row(ALLOCATE, "P", &[pool(Pool::Toggle)])
        .does("pool", "lease ports from a pool: priorities, quarantine, reclaim"),
    row(ALLOCATE, "H", &[own(Own::ToggleHold)])
        .does("hold", "hold allocated ports: on or off")
        .now(|app| if app.allocation().keeps_bound_ports() { "do not hold" } else { "hold" }),
    row(ALLOCATE, "+ -", &[own(Own::Fuller), own(Own::Emptier)])
        .does("occupancy", "raise, lower the simulated occupancy")
        .also(&[(Key::Char('='), own(Own::Fuller))])
        .now(|app| match app.allocation().target() {
            AllocatorTarget::Machine => "",
            AllocatorTarget::Simulated { .. } => "occupancy",
        }),
    row(ALLOCATE, "s S", &[own(Own::NextStrategy), own(Own::PreviousStrategy)])
        .does("strategy", "next, previous strategy, in a new run"),
    row(ALLOCATE, ".", &[own(Own::Step)]).does("step", "one attempt, then pause"),
    row(ALLOCATE, "x X", &[own(Own::ReleaseOne), own(Own::ReleaseAll)])
        .does("release", "release one port, all ports"),
    row(ALLOCATE, "Backspace", &[own(Own::Reset)]).does("reset", "new run with the same seed"),
    row(ALLOCATE, "m Enter", &[Action::ShowOnMap, Action::ShowOnMap])
        .does("on map", "show the last allocated port on the map"),
    row(POOL, "i I F", &[pool(Pool::Take), pool(Pool::TakeTen), pool(Pool::TakeAll)])
        .does("lease", "take one lease, ten, as many as possible"),
    row(POOL, "v", &[pool(Pool::NextClass)])
        .does("class", "class of the next lease: low, normal, high")
        .now(|app| match app.pool().next_class() {
            Priority::Low => "class low",
            Priority::Normal => "class normal",
            Priority::High => "class high",
        }),
    row(POOL, "x X", &[pool(Pool::Release), pool(Pool::ReleaseAll)])
        .does("release", "release the selected lease, all leases"),
    row(POOL, "P Esc", &[pool(Pool::Toggle), Action::Close])
        .does("back", "back to the allocator's runs; leases are kept"),
    row(POOL, "j k", &[pool(Pool::Down), pool(Pool::Up)])
        .does("select", "next, previous port; also arrows")
        .now(|app| if app.pool().selected_port().is_some() { "select" } else { "" })
        .also(&[(Key::Down, pool(Pool::Down)), (Key::Up, pool(Pool::Up))]),
    row(POOL, "E", &[pool(Pool::Reclaim)])
        .does("reclaim", "end the leases of processes that have exited")
        .now(|app| if app.pool().has_leases() { "reclaim" } else { "" }),
    row(POOL, "o", &[pool(Pool::OpenSettings)])
        .does("settings", "bands, quarantine, failure rate, attempts, lease holder"),
    row(POOL, "t", &[own(Own::ToggleTarget)])
        .does("target", "new pool on this machine or on the simulated occupancy")
        .now(other_target),
    row(POOL, "m Enter", &[Action::ShowOnMap, Action::ShowOnMap])
        .does("on map", "show the selected port on the map"),
    row(POOL, "PgUp PgDn", &[pool(Pool::PageUp), pool(Pool::PageDown)])
        .does("", "ten ports up, down"),
    row(POOL, "Home End", &[pool(Pool::First), pool(Pool::Last)])
        .does("", "first, last port of the list"),
    row(LAB, "Space", &[lab(Lab::RunOrPause)])
        .does("run", "run or pause all strategies")
        .now(|app| if app.lab().is_running() { "pause" } else { "run" }),
    row(LAB, "d", &[lab(Lab::NextPattern)])
        .does("distribution", "distribution: uniform, clustered, built")
        .now(|app| match app.lab().target() {
            LabTarget::Machine => "",
            LabTarget::Simulated { .. } => "distribution",
        }),
    row(LAB, "+ -", &[lab(Lab::Fuller), lab(Lab::Emptier)])
        .does("occupancy", "raise, lower the simulated occupancy")
        .also(&[(Key::Char('='), lab(Lab::Fuller))])
        .now(|app| match app.lab().target() {
            LabTarget::Machine => "",
            LabTarget::Simulated { .. } => "occupancy",
        }),
    row(LAB, "hjkl", &[])
        .does("select", "previous, next strategy; also arrows")
        .also(MOVES.split_at(SHORT_MOVES).0),
    row(LAB, "s S", &[lab(Lab::NextStrategy), lab(Lab::PreviousStrategy)])
        .does("strategy", "next, previous strategy in this column"),
    row(LAB, "t", &[lab(Lab::ToggleTarget)])
        .does("target", "simulated or real on this machine")
        .now(|app| match app.lab().target() {
            LabTarget::Machine => "simulated",
            LabTarget::Simulated { .. } => "real",
        }),
    row(LAB, "R", &[lab(Lab::Race)])
        .does("race", "race a competitor for a closed port, then for a port kept open"),
    row(RACE, "R", &[lab(Lab::Race)]).does("race", "end the race, or start another").now(|app| {
        if app.lab().race().is_some_and(|race| !race.is_over) {
            "end the race"
        } else {
            "race again"
        }
    }),
    row(LAB, "[ ]", &[lab(Lab::Slower), lab(Lab::Faster)]).does("speed", "slower, faster"),
    row(LAB, ".", &[lab(Lab::Step)]).does("step", "one attempt of each strategy, then pause"),
    row(LAB, "i x", &[lab(Lab::Add), lab(Lab::Remove)])
        .does("add, remove", "add a strategy, remove the selected one"),
    row(LAB, "o", &[lab(Lab::OpenSettings)])
        .does("settings", "protocol, range, attempts, seed, destinations"),
    row(LAB, "Backspace", &[lab(Lab::Reset)]).does("reset", "reset the figures, keep the seed"),
    row(
        SCREENS,
        "1 2 3 4 5",
        &[
            Action::Show(Screen::Overview),
            Action::Show(Screen::Map),
            Action::Show(Screen::Sockets),
            Action::Show(Screen::Allocate),
            Action::Show(Screen::Lab),
        ],
    )
    .does("", "Overview, Map, Sockets, Allocate, Lab"),
    row(BESIDE_MAP, "g", &[Action::OpenGoTo]).does("find", FIND_HELP),
    row(SCREENS, "Tab Shift-Tab", &[Action::NextScreen, Action::PreviousScreen])
        .does("screen", "next, previous screen"),
    row(SCREENS, "r", &[Action::ScanNow]).does("scan now", "scan now, also while paused"),
    row(SCREENS, "T", &[Action::NextTheme]).does("theme", "next theme: dark, light, high contrast"),
    row(
        &[Context::Map, Context::Sockets, Context::Pool, Context::Lab],
        "#",
        &[Action::ToggleMouse],
    )
    .does("", "mouse on or off: click selects, drag counts ports"),
    row(HELP, "Left Right Tab", &[Action::TurnPage(-1), Action::TurnPage(1), Action::TurnPage(1)])
        .does("page", "previous, next page: this screen, keys, states and colours, ranges")
        .also(&[(Key::BackTab, Action::TurnPage(-1))]),
    row(HELP, "j k", &[go(Move::Down), go(Move::Up)])
        .does("scroll", "next, previous lines of a page that does not fit; also arrows, PgUp, PgDn")
        .also(&[
            (Key::Down, go(Move::Down)),
            (Key::Up, go(Move::Up)),
            (Key::PageDown, go(Move::PageDown)),
            (Key::PageUp, go(Move::PageUp)),
            (Key::Home, go(Move::First)),
            (Key::End, go(Move::Last)),
        ]),
    row(&[Context::GoTo], "Enter", &[Action::GoTo]).does("find", "find what was typed"),
    row(WRITE_ROWS, "Enter", &[list(List::Write)]).does("write", "write the rows to this file"),
    row(WRITE_ROWS, "Esc", &[Action::Close]).does("cancel", "write nothing"),
    row(NAMES, "j k", &[go(Move::Down), go(Move::Up)])
        .does("", "next, previous name; also arrows")
        .also(&[(Key::Down, go(Move::Down)), (Key::Up, go(Move::Up))]),
    row(NAMES, "Enter", &[Action::ChooseName]).does("", "show the ports of this process"),
    row(
        &[
            Context::Map,
            Context::Sockets,
            Context::Race,
            Context::Help,
            Context::GoTo,
            Context::Names,
        ],
        "Esc",
        &[Action::Close],
    )
    .does("", "close or go back; never quits"),
    row(&Context::EACH, "Ctrl-Z", &[Action::Suspend]).does("", "suspend; `fg` resumes"),
    row(SCREENS_AND_FINDING, "?", &[Action::OpenHelp]).does("help", "open this help"),
    row(HELP, "?", &[Action::Close]).does("", "close the help"),
    row(SCREENS_AND_HELP, "q", &[Action::Quit]).does("quit", "quit; allocated ports are released"),
    row(&Context::EACH, "Ctrl-C", &[Action::Quit]).does("", "quit from any screen or dialog"),
];

const FIND_HELP: &str = "find a port, endpoint, name or pid";

/// Label of the key that ends a pause.
pub const RESUME: &str = "resume";

/// Names the target to which the allocator and the pool would switch.
fn other_target(app: &App) -> &'static str {
    match app.allocation().target() {
        AllocatorTarget::Machine => "simulated",
        AllocatorTarget::Simulated { .. } => "real",
    }
}

/// Returns the action of a key in a context. None: no command has this key.
pub fn find(context: Context, key: Key) -> Option<Action> {
    here(context)
        .flat_map(KeyCommand::bindings)
        .find(|(bound, _)| *bound == key)
        .map(|(_, action)| action)
}

/// Returns the rows that apply in a context.
pub fn here(context: Context) -> impl Iterator<Item = &'static KeyCommand> {
    COMMANDS.iter().filter(move |command| command.contexts.contains(&context))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn no_key_is_bound_twice_in_one_context() {
        for context in Context::EACH {
            let mut seen = HashSet::new();
            for (key, _) in here(context).flat_map(KeyCommand::bindings) {
                assert!(seen.insert(key), "{key:?} is bound twice in {context:?}");
            }
        }
    }

    /// Fails if a listed action has no key, or if an action with a key is not listed.
    #[test]
    fn every_action_has_a_row() {
        let mut wanted = [
            &[Action::Show(Screen::Overview), Action::Show(Screen::Map)][..],
            &[Action::Show(Screen::Allocate), Action::Show(Screen::Lab), Action::NextScreen],
            &[Action::PreviousScreen, Action::FitEphemeral, Action::FitAll],
            &[Action::Zoom(Zooming::In), Action::Zoom(Zooming::Out), Action::ToggleResolution],
            &[Action::NextRun, Action::PreviousRun, Action::TurnPage(1), Action::TurnPage(-1)],
            &[Action::NextTheme, Action::ToggleMouse, Action::OpenGoTo, Action::GoTo],
            &[Action::NextLens, Action::PreviousLens, Action::NextProtocols],
            &[Action::ScrollInspector(1), Action::ScrollInspector(-1)],
            &[Action::ToggleFreeze, Action::ScanNow, Action::ShowOnMap, Action::OpenHelp],
            &[Action::Copy],
            &[Action::OpenRow, Action::OpenReason, Action::ChooseName],
            &[Action::Close, Action::Suspend, Action::Quit, Action::Show(Screen::Sockets)],
        ]
        .concat();
        let moves = [
            &[Move::Left, Move::Right, Move::Up, Move::Down, Move::FarLeft, Move::FarRight][..],
            &[Move::FarUp, Move::FarDown, Move::PageUp, Move::PageDown, Move::First, Move::Last],
            &[Move::PreviousPort, Move::NextPort],
        ]
        .concat();
        let own = [
            &[Own::RunOrPause, Own::Step, Own::Slower, Own::Faster, Own::OpenSettings][..],
            &[Own::ToggleTarget, Own::Emptier, Own::Fuller, Own::NextStrategy],
            &[Own::PreviousStrategy, Own::ToggleHold, Own::ReleaseOne, Own::ReleaseAll],
            &[Own::Reset],
        ]
        .concat();
        let lab = [
            &[Lab::RunOrPause, Lab::Step, Lab::Slower, Lab::Faster, Lab::ToggleTarget][..],
            &[Lab::Emptier, Lab::Fuller, Lab::NextPattern, Lab::NextStrategy],
            &[Lab::PreviousStrategy, Lab::Add, Lab::Remove, Lab::OpenSettings, Lab::Race],
            &[Lab::Reset],
        ]
        .concat();
        let pool = [
            &[Pool::Toggle, Pool::Take, Pool::TakeTen, Pool::TakeAll, Pool::NextClass][..],
            &[Pool::Up, Pool::Down, Pool::PageUp, Pool::PageDown, Pool::First, Pool::Last],
            &[Pool::Release, Pool::ReleaseAll, Pool::Reclaim, Pool::OpenSettings],
        ]
        .concat();
        let list = [
            &[List::OpenFilter, List::KeepFilter, List::ClearFilter, List::OlderFilter][..],
            &[List::NewerFilter, List::Complete, List::NextOrder, List::Reverse],
            &[List::NextGroup, List::PreviousGroup, List::Open, List::Mark, List::MarkAll],
            &[List::Follow, List::CopyRows, List::OpenWrite, List::Write],
            &[FoundPosition::Next, FoundPosition::Previous].map(List::Find),
        ]
        .concat();
        let free = [Free::Open, Free::Up, Free::Down, Free::Perform, Free::CopyCommand];
        wanted.extend(free.into_iter().map(Action::Free));
        wanted.extend(list.into_iter().map(Action::Sockets));
        wanted.extend(moves.into_iter().map(Action::Move));
        wanted.extend(own.into_iter().map(Action::Allocation));
        wanted.extend(lab.into_iter().map(Action::Lab));
        wanted.extend(pool.into_iter().map(Action::Pool));
        let bound: HashSet<Action> =
            COMMANDS.iter().flat_map(KeyCommand::bindings).map(|(_, action)| action).collect();
        for action in &wanted {
            assert!(bound.contains(action), "{action:?} has no key");
        }
        assert_eq!(bound.len(), wanted.len(), "an action is bound that this test does not know");
    }

    #[test]
    fn displayed_keys_are_the_bound_keys() {
        for command in COMMANDS {
            for (key, _) in command.bindings() {
                // `=` is `+` without Shift.
                if let Key::Char(c) = key
                    && !" =".contains(c)
                {
                    assert!(command.keys.contains(c), "{} hides {c}", command.keys);
                }
            }
        }
    }

    /// Letters whose meaning depends on the screen: `h`, `j`, `k`, `l` move or select; `+` and `-`
    /// are more and less; Space runs and pauses; `i` adds a lease or a strategy; `x` releases or
    /// removes; `P` opens and closes the pool; `s` and `S` change the strategy or the order, `c` and
    /// `C` what the colours show or what the rows are, `v` the class of leases or the mark, `F` takes
    /// all leases or follows; `y` copies or does what is selected; Enter, Tab and others are no letters.
    #[test]
    fn a_letter_has_one_meaning() {
        let mut meanings: HashMap<char, HashSet<&str>> = HashMap::new();
        for command in COMMANDS {
            for (key, _) in command.bindings() {
                if let Key::Char(c) = key
                    && !"hjkl+-= ixyP?sScCvF".contains(c)
                {
                    let meaning =
                        if command.label.is_empty() { command.help } else { command.label };
                    meanings.entry(c).or_default().insert(meaning);
                }
            }
        }
        for (letter, meanings) in meanings {
            assert_eq!(meanings.len(), 1, "{letter}: {meanings:?}");
        }
    }

    #[test]
    fn r_only_scans_and_n_only_searches() {
        for context in Context::EACH {
            for key in "nN".chars().map(Key::Char) {
                let action = find(context, key);
                let searches = matches!(action, None | Some(Action::Sockets(List::Find(_))));
                assert!(searches, "{context:?} {action:?}");
            }
            let scan = find(context, Key::Char('r'));
            assert!(scan.is_none_or(|action| action == Action::ScanNow), "{context:?}");
        }
    }

    #[test]
    fn help_and_quit_are_last_in_the_footer() {
        for context in [
            Context::Map,
            Context::Sockets,
            Context::Allocate,
            Context::Lab,
            Context::Race,
            Context::Pool,
        ] {
            let labels: Vec<_> = here(context).map(|c| c.label).filter(|l| !l.is_empty()).collect();
            assert_eq!(labels[labels.len() - 2..], ["help", "quit"]);
        }
    }
}
