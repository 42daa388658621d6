//! The table of keys, from which the footer, the help and KEYS.md are made. Executes nothing.

use std::fmt::Write as _;

use crate::app::{
    Key, Move, Screen, allocation::AllocationAction, lab::LabAction, map::Zooming, pool::PoolAction,
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
    OpenGoTo,
    /// Moves the cursor to the port that was typed.
    GoTo,
    NextLens,
    PreviousLens,
    NextProtocols,
    ToggleFreeze,
    ScanNow,
    Allocation(AllocationAction),
    Lab(LabAction),
    Pool(PoolAction),
    /// Shows the port allocated last, or the ports of the selected row, on the map.
    ShowOnMap,
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
    Allocate,
    Lab,
    Help,
    /// The prompt for a port number is open.
    GoTo,
    /// A panel of the Allocate or Lab screen is open.
    Panel,
    /// The Lab screen shows a race.
    Race,
    /// The Allocate screen shows the pool.
    Pool,
}

impl Context {
    pub const EACH: [Self; 9] = [
        Self::Overview,
        Self::Map,
        Self::Allocate,
        Self::Lab,
        Self::Help,
        Self::GoTo,
        Self::Panel,
        Self::Race,
        Self::Pool,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Map => "Map",
            Self::Allocate => "Allocate",
            Self::Lab => "Lab",
            Self::Help => "help",
            Self::GoTo => "go to",
            Self::Panel => "panel",
            Self::Race => "race",
            Self::Pool => "pool",
        }
    }
}

/// A row of the table: keys that belong together.
pub struct KeyCommand {
    /// The keys as shown to the user.
    pub keys: &'static str,
    pub bindings: &'static [(Key, Action)],
    pub contexts: &'static [Context],
    /// Label in the footer; empty: not shown there.
    pub label: &'static str,
    /// Text for the help and KEYS.md.
    pub help: &'static str,
}

const OVERVIEW: &[Context] = &[Context::Overview];
const MAP: &[Context] = &[Context::Map];
const LISTS_AND_MAP: &[Context] = &[Context::Overview, Context::Map];
const ALLOCATE: &[Context] = &[Context::Allocate];
const LAB: &[Context] = &[Context::Lab];
const RACE: &[Context] = &[Context::Race];
const POOL: &[Context] = &[Context::Pool];
const SCREENS: &[Context] = &[
    Context::Overview,
    Context::Map,
    Context::Allocate,
    Context::Lab,
    Context::Race,
    Context::Pool,
];
const SCREENS_AND_HELP: &[Context] = &[
    Context::Overview,
    Context::Map,
    Context::Allocate,
    Context::Lab,
    Context::Race,
    Context::Pool,
    Context::Help,
];

const fn own(action: AllocationAction) -> Action {
    Action::Allocation(action)
}

const fn pool(action: PoolAction) -> Action {
    Action::Pool(action)
}

const fn lab(action: LabAction) -> Action {
    Action::Lab(action)
}

/// All commands, in the order of the footer. If the terminal is too narrow, the footer drops
/// commands from the right; it drops help and quit last.
pub const COMMANDS: &[KeyCommand] = &[
    KeyCommand {
        keys: "j k",
        bindings: &[
            (Key::Char('j'), Action::Move(Move::Down)),
            (Key::Char('k'), Action::Move(Move::Up)),
            (Key::Down, Action::Move(Move::Down)),
            (Key::Up, Action::Move(Move::Up)),
        ],
        contexts: OVERVIEW,
        label: "select",
        help: "next, previous row across all lists; also arrows",
    },
    KeyCommand {
        keys: "h l",
        bindings: &[
            (Key::Char('h'), Action::Move(Move::Left)),
            (Key::Char('l'), Action::Move(Move::Right)),
            (Key::Left, Action::Move(Move::Left)),
            (Key::Right, Action::Move(Move::Right)),
        ],
        contexts: OVERVIEW,
        label: "list",
        help: "previous, next list: destinations, owners, findings",
    },
    KeyCommand {
        keys: "Enter m",
        bindings: &[(Key::Enter, Action::ShowOnMap), (Key::Char('m'), Action::ShowOnMap)],
        contexts: OVERVIEW,
        label: "on map",
        help: "mark the selected row's ports on the map; Esc returns",
    },
    KeyCommand {
        keys: "PgUp PgDn",
        bindings: &[
            (Key::PageUp, Action::Move(Move::PageUp)),
            (Key::PageDown, Action::Move(Move::PageDown)),
            (Key::ShiftUp, Action::Move(Move::FarUp)),
            (Key::ShiftDown, Action::Move(Move::FarDown)),
        ],
        contexts: OVERVIEW,
        label: "",
        help: "ten rows up, down",
    },
    KeyCommand {
        keys: "Home End",
        bindings: &[(Key::Home, Action::Move(Move::First)), (Key::End, Action::Move(Move::Last))],
        contexts: OVERVIEW,
        label: "",
        help: "first, last row",
    },
    KeyCommand {
        keys: "hjkl",
        bindings: &[
            (Key::Char('h'), Action::Move(Move::Left)),
            (Key::Char('j'), Action::Move(Move::Down)),
            (Key::Char('k'), Action::Move(Move::Up)),
            (Key::Char('l'), Action::Move(Move::Right)),
            (Key::Left, Action::Move(Move::Left)),
            (Key::Down, Action::Move(Move::Down)),
            (Key::Up, Action::Move(Move::Up)),
            (Key::Right, Action::Move(Move::Right)),
        ],
        contexts: MAP,
        label: "move",
        help: "move by a block or a row; also arrows",
    },
    KeyCommand {
        keys: "+ -",
        bindings: &[
            (Key::Char('+'), Action::Zoom(Zooming::In)),
            (Key::Char('-'), Action::Zoom(Zooming::Out)),
        ],
        contexts: MAP,
        label: "zoom",
        help: "zoom at the cursor, up to one port per block; also the wheel",
    },
    KeyCommand {
        keys: "e",
        bindings: &[(Key::Char('e'), Action::FitEphemeral)],
        contexts: MAP,
        label: "range",
        help: "show the ephemeral range",
    },
    KeyCommand {
        keys: "a",
        bindings: &[(Key::Char('a'), Action::FitAll)],
        contexts: MAP,
        label: "all",
        help: "show all ports",
    },
    KeyCommand {
        keys: "c C",
        bindings: &[(Key::Char('c'), Action::NextLens), (Key::Char('C'), Action::PreviousLens)],
        contexts: MAP,
        label: "lens",
        help: "next, previous lens: what colours mean",
    },
    KeyCommand {
        keys: "g",
        bindings: &[(Key::Char('g'), Action::OpenGoTo)],
        contexts: MAP,
        label: "port",
        help: "go to a port: digits, then Enter",
    },
    KeyCommand {
        keys: "w b",
        bindings: &[(Key::Char('w'), Action::NextRun), (Key::Char('b'), Action::PreviousRun)],
        contexts: MAP,
        label: "next in use",
        help: "next, previous run of ports in use",
    },
    KeyCommand {
        keys: "f",
        bindings: &[(Key::Char('f'), Action::ToggleResolution)],
        contexts: MAP,
        label: "dots",
        help: "dots or blocks; the legend shows if dots do not fit",
    },
    KeyCommand {
        keys: "p",
        bindings: &[(Key::Char('p'), Action::NextProtocols)],
        contexts: MAP,
        label: "protocol",
        help: "TCP, UDP or both",
    },
    KeyCommand {
        keys: "Space",
        bindings: &[(Key::Char(' '), Action::ToggleFreeze)],
        contexts: LISTS_AND_MAP,
        label: "pause",
        help: "pause or resume the view",
    },
    KeyCommand {
        keys: "r",
        bindings: &[(Key::Char('r'), Action::ScanNow)],
        contexts: LISTS_AND_MAP,
        label: "scan now",
        help: "scan now",
    },
    KeyCommand {
        keys: "< >",
        bindings: &[
            (Key::Char('<'), Action::Move(Move::PreviousPort)),
            (Key::Char('>'), Action::Move(Move::NextPort)),
        ],
        contexts: MAP,
        label: "one port",
        help: "previous, next port",
    },
    KeyCommand {
        keys: "Shift+arrows",
        bindings: &[
            (Key::ShiftLeft, Action::Move(Move::FarLeft)),
            (Key::ShiftRight, Action::Move(Move::FarRight)),
            (Key::ShiftUp, Action::Move(Move::FarUp)),
            (Key::ShiftDown, Action::Move(Move::FarDown)),
        ],
        contexts: MAP,
        label: "",
        help: "move by ten",
    },
    KeyCommand {
        keys: "PgUp PgDn",
        bindings: &[
            (Key::PageUp, Action::Move(Move::PageUp)),
            (Key::PageDown, Action::Move(Move::PageDown)),
        ],
        contexts: MAP,
        label: "",
        help: "move by half the map",
    },
    KeyCommand {
        keys: "Home End",
        bindings: &[(Key::Home, Action::Move(Move::First)), (Key::End, Action::Move(Move::Last))],
        contexts: MAP,
        label: "",
        help: "first, last port shown",
    },
    KeyCommand {
        keys: "Space",
        bindings: &[(Key::Char(' '), own(AllocationAction::RunOrPause))],
        contexts: ALLOCATE,
        label: "run/pause",
        help: "run or pause",
    },
    KeyCommand {
        keys: ".",
        bindings: &[(Key::Char('.'), own(AllocationAction::Step))],
        contexts: ALLOCATE,
        label: "step",
        help: "one attempt, then pause",
    },
    KeyCommand {
        keys: "[ ]",
        bindings: &[
            (Key::Char('['), own(AllocationAction::Slower)),
            (Key::Char(']'), own(AllocationAction::Faster)),
        ],
        contexts: ALLOCATE,
        label: "speed",
        help: "slower, faster",
    },
    KeyCommand {
        keys: "t",
        bindings: &[(Key::Char('t'), own(AllocationAction::ToggleTarget))],
        contexts: ALLOCATE,
        label: "real/simulated",
        help: "switch between this machine and a simulated occupancy (90 %)",
    },
    KeyCommand {
        keys: "p",
        bindings: &[(Key::Char('p'), pool(PoolAction::Toggle))],
        contexts: ALLOCATE,
        label: "pool",
        help: "lease ports from a pool: classes, quarantine, reclaim",
    },
    KeyCommand {
        keys: "- =",
        bindings: &[
            (Key::Char('-'), own(AllocationAction::Emptier)),
            (Key::Char('='), own(AllocationAction::Fuller)),
        ],
        contexts: ALLOCATE,
        label: "occupancy",
        help: "lower, raise the simulated occupancy",
    },
    KeyCommand {
        keys: "o",
        bindings: &[(Key::Char('o'), own(AllocationAction::OpenSettings))],
        contexts: ALLOCATE,
        label: "settings",
        help: "strategy, protocol, range, attempts, seed, address",
    },
    KeyCommand {
        keys: "s S",
        bindings: &[
            (Key::Char('s'), own(AllocationAction::NextStrategy)),
            (Key::Char('S'), own(AllocationAction::PreviousStrategy)),
        ],
        contexts: ALLOCATE,
        label: "strategy",
        help: "next, previous strategy, in a new run",
    },
    KeyCommand {
        keys: "H",
        bindings: &[(Key::Char('H'), own(AllocationAction::ToggleHold))],
        contexts: ALLOCATE,
        label: "hold",
        help: "keep the ports it gets: on or off",
    },
    KeyCommand {
        keys: "x X",
        bindings: &[
            (Key::Char('x'), own(AllocationAction::ReleaseOne)),
            (Key::Char('X'), own(AllocationAction::ReleaseAll)),
        ],
        contexts: ALLOCATE,
        label: "release",
        help: "release one port, all ports",
    },
    KeyCommand {
        keys: "r",
        bindings: &[(Key::Char('r'), own(AllocationAction::Reset))],
        contexts: ALLOCATE,
        label: "reset",
        help: "reset the figures, keep the seed",
    },
    KeyCommand {
        keys: "m Enter",
        bindings: &[(Key::Char('m'), Action::ShowOnMap), (Key::Enter, Action::ShowOnMap)],
        contexts: ALLOCATE,
        label: "on map",
        help: "show the last allocated port on the map",
    },
    KeyCommand {
        keys: "a A f",
        bindings: &[
            (Key::Char('a'), pool(PoolAction::Take)),
            (Key::Char('A'), pool(PoolAction::TakeTen)),
            (Key::Char('f'), pool(PoolAction::TakeAll)),
        ],
        contexts: POOL,
        label: "take",
        help: "take one lease, ten, as many as possible",
    },
    KeyCommand {
        keys: "c",
        bindings: &[(Key::Char('c'), pool(PoolAction::NextClass))],
        contexts: POOL,
        label: "class",
        help: "class of the next lease: low, normal, high",
    },
    KeyCommand {
        keys: "x X",
        bindings: &[
            (Key::Char('x'), pool(PoolAction::Release)),
            (Key::Char('X'), pool(PoolAction::ReleaseAll)),
        ],
        contexts: POOL,
        label: "release",
        help: "release the selected lease, all leases",
    },
    KeyCommand {
        keys: "R",
        bindings: &[(Key::Char('R'), pool(PoolAction::Reclaim))],
        contexts: POOL,
        label: "reclaim",
        help: "end the leases of processes that have exited",
    },
    KeyCommand {
        keys: "p Esc",
        bindings: &[(Key::Char('p'), pool(PoolAction::Toggle)), (Key::Escape, Action::Close)],
        contexts: POOL,
        label: "back",
        help: "back to the allocator's runs; leases are kept",
    },
    KeyCommand {
        keys: "o",
        bindings: &[(Key::Char('o'), pool(PoolAction::OpenSettings))],
        contexts: POOL,
        label: "settings",
        help: "bands, quarantine, failure rate, attempts, lease holder",
    },
    KeyCommand {
        keys: "t",
        bindings: &[(Key::Char('t'), own(AllocationAction::ToggleTarget))],
        contexts: POOL,
        label: "real/simulated",
        help: "new pool on this machine or on the simulated occupancy",
    },
    KeyCommand {
        keys: "j k",
        bindings: &[
            (Key::Char('j'), pool(PoolAction::Down)),
            (Key::Char('k'), pool(PoolAction::Up)),
            (Key::Down, pool(PoolAction::Down)),
            (Key::Up, pool(PoolAction::Up)),
        ],
        contexts: POOL,
        label: "select",
        help: "next, previous port; also arrows",
    },
    KeyCommand {
        keys: "m Enter",
        bindings: &[(Key::Char('m'), Action::ShowOnMap), (Key::Enter, Action::ShowOnMap)],
        contexts: POOL,
        label: "on map",
        help: "show the selected port on the map",
    },
    KeyCommand {
        keys: "PgUp PgDn",
        bindings: &[
            (Key::PageUp, pool(PoolAction::PageUp)),
            (Key::PageDown, pool(PoolAction::PageDown)),
        ],
        contexts: POOL,
        label: "",
        help: "ten ports up, down",
    },
    KeyCommand {
        keys: "Home End",
        bindings: &[(Key::Home, pool(PoolAction::First)), (Key::End, pool(PoolAction::Last))],
        contexts: POOL,
        label: "",
        help: "first, last port of the list",
    },
    KeyCommand {
        keys: "Space",
        bindings: &[(Key::Char(' '), lab(LabAction::RunOrPause))],
        contexts: LAB,
        label: "run/pause",
        help: "run or pause all strategies",
    },
    KeyCommand {
        keys: ".",
        bindings: &[(Key::Char('.'), lab(LabAction::Step))],
        contexts: LAB,
        label: "step",
        help: "one attempt of each strategy, then pause",
    },
    KeyCommand {
        keys: "[ ]",
        bindings: &[
            (Key::Char('['), lab(LabAction::Slower)),
            (Key::Char(']'), lab(LabAction::Faster)),
        ],
        contexts: LAB,
        label: "speed",
        help: "slower, faster",
    },
    KeyCommand {
        keys: "- =",
        bindings: &[
            (Key::Char('-'), lab(LabAction::Emptier)),
            (Key::Char('='), lab(LabAction::Fuller)),
        ],
        contexts: LAB,
        label: "occupancy",
        help: "lower, raise the simulated occupancy",
    },
    KeyCommand {
        keys: "h l",
        bindings: &[
            (Key::Char('h'), Action::Move(Move::Left)),
            (Key::Char('l'), Action::Move(Move::Right)),
            (Key::Left, Action::Move(Move::Left)),
            (Key::Right, Action::Move(Move::Right)),
        ],
        contexts: LAB,
        label: "select",
        help: "previous, next column; also arrows",
    },
    KeyCommand {
        keys: "s S",
        bindings: &[
            (Key::Char('s'), lab(LabAction::NextStrategy)),
            (Key::Char('S'), lab(LabAction::PreviousStrategy)),
        ],
        contexts: LAB,
        label: "strategy",
        help: "next, previous strategy in the selected column",
    },
    KeyCommand {
        keys: "R",
        bindings: &[(Key::Char('R'), lab(LabAction::Race))],
        contexts: LAB,
        label: "race",
        help: "race a competitor for a closed port, then hand over an open one",
    },
    KeyCommand {
        keys: "R",
        bindings: &[(Key::Char('R'), lab(LabAction::Race))],
        contexts: RACE,
        label: "end/again",
        help: "end the race, or start another",
    },
    KeyCommand {
        keys: "d",
        bindings: &[(Key::Char('d'), lab(LabAction::NextPattern))],
        contexts: LAB,
        label: "distribution",
        help: "distribution of the ports in use: uniform, clustered, built",
    },
    KeyCommand {
        keys: "x X",
        bindings: &[
            (Key::Char('x'), lab(LabAction::Add)),
            (Key::Char('X'), lab(LabAction::Remove)),
        ],
        contexts: LAB,
        label: "columns",
        help: "add, remove a column",
    },
    KeyCommand {
        keys: "t",
        bindings: &[(Key::Char('t'), lab(LabAction::ToggleTarget))],
        contexts: LAB,
        label: "real/simulated",
        help: "switch between a simulation and real binds on this machine",
    },
    KeyCommand {
        keys: "o",
        bindings: &[(Key::Char('o'), lab(LabAction::OpenSettings))],
        contexts: LAB,
        label: "settings",
        help: "protocol, range, attempts, seed, remote endpoints",
    },
    KeyCommand {
        keys: "r",
        bindings: &[(Key::Char('r'), lab(LabAction::Reset))],
        contexts: LAB,
        label: "reset",
        help: "reset the figures, keep the seed",
    },
    KeyCommand {
        keys: "1 2 4 5",
        bindings: &[
            (Key::Char('1'), Action::Show(Screen::Overview)),
            (Key::Char('2'), Action::Show(Screen::Map)),
            (Key::Char('4'), Action::Show(Screen::Allocate)),
            (Key::Char('5'), Action::Show(Screen::Lab)),
        ],
        contexts: SCREENS,
        label: "",
        help: "Overview, Map, Allocate, Lab",
    },
    KeyCommand {
        keys: "Tab Shift-Tab",
        bindings: &[(Key::Tab, Action::NextScreen), (Key::BackTab, Action::PreviousScreen)],
        contexts: SCREENS,
        label: "screen",
        help: "next, previous screen",
    },
    KeyCommand {
        keys: "T",
        bindings: &[(Key::Char('T'), Action::NextTheme)],
        contexts: SCREENS,
        label: "",
        help: "next theme: dark, light, high contrast",
    },
    KeyCommand {
        keys: "#",
        bindings: &[(Key::Char('#'), Action::ToggleMouse)],
        contexts: SCREENS,
        label: "",
        help: "mouse on or off: hover inspects, click selects, drag measures",
    },
    KeyCommand {
        keys: "Left Right Tab",
        bindings: &[
            (Key::Right, Action::TurnPage(1)),
            (Key::Tab, Action::TurnPage(1)),
            (Key::Left, Action::TurnPage(-1)),
            (Key::BackTab, Action::TurnPage(-1)),
        ],
        contexts: &[Context::Help],
        label: "page",
        help: "next, previous page: keys, states and colours, ranges",
    },
    KeyCommand {
        keys: "Enter",
        bindings: &[(Key::Enter, Action::GoTo)],
        contexts: &[Context::GoTo],
        label: "go",
        help: "go to the entered port",
    },
    KeyCommand {
        keys: "Esc",
        bindings: &[(Key::Escape, Action::Close)],
        contexts: &[Context::Map, Context::Race, Context::Help, Context::GoTo],
        label: "",
        help: "close or go back; never quits",
    },
    KeyCommand {
        keys: "Ctrl-Z",
        bindings: &[(Key::Ctrl('z'), Action::Suspend)],
        contexts: &Context::EACH,
        label: "",
        help: "suspend; `fg` resumes",
    },
    KeyCommand {
        keys: "?",
        bindings: &[(Key::Char('?'), Action::OpenHelp)],
        contexts: SCREENS,
        label: "help",
        help: "open this help",
    },
    KeyCommand {
        keys: "?",
        bindings: &[(Key::Char('?'), Action::Close)],
        contexts: &[Context::Help],
        label: "",
        help: "close the help",
    },
    KeyCommand {
        keys: "q",
        bindings: &[(Key::Char('q'), Action::Quit)],
        contexts: SCREENS_AND_HELP,
        label: "quit",
        help: "quit and release held ports",
    },
    KeyCommand {
        keys: "Ctrl-C",
        bindings: &[(Key::Ctrl('c'), Action::Quit)],
        contexts: &Context::EACH,
        label: "",
        help: "quit from any screen or dialog",
    },
];

/// Returns the action of a key in a context. None: no command has this key.
pub fn find(context: Context, key: Key) -> Option<Action> {
    here(context)
        .flat_map(|command| command.bindings)
        .find(|(bound, _)| *bound == key)
        .map(|&(_, action)| action)
}

/// Returns the rows that apply in a context.
pub fn here(context: Context) -> impl Iterator<Item = &'static KeyCommand> {
    COMMANDS.iter().filter(move |command| command.contexts.contains(&context))
}

/// Returns the key table for KEYS.md, as Markdown.
pub fn key_table_markdown() -> String {
    let mut table = String::from("| key | where | does |\n|---|---|---|\n");
    for command in COMMANDS {
        let keys: Vec<String> = command.keys.split(' ').map(|key| format!("`{key}`")).collect();
        let places = if command.contexts.len() == Context::EACH.len() {
            "everywhere".to_owned()
        } else {
            let names: Vec<_> = command.contexts.iter().map(|context| context.name()).collect();
            names.join(", ")
        };
        writeln!(table, "| {} | {places} | {} |", keys.join(" "), command.help)
            .expect("writing to a String cannot fail");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_is_bound_twice_in_one_context() {
        for context in Context::EACH {
            let mut seen = HashSet::new();
            for (key, _) in here(context).flat_map(|command| command.bindings) {
                assert!(seen.insert(key), "{key:?} is bound twice in {context:?}");
            }
        }
    }

    const POOL_ACTIONS: [PoolAction; 15] = [
        PoolAction::Toggle,
        PoolAction::Take,
        PoolAction::TakeTen,
        PoolAction::TakeAll,
        PoolAction::NextClass,
        PoolAction::Up,
        PoolAction::Down,
        PoolAction::PageUp,
        PoolAction::PageDown,
        PoolAction::First,
        PoolAction::Last,
        PoolAction::Release,
        PoolAction::ReleaseAll,
        PoolAction::Reclaim,
        PoolAction::OpenSettings,
    ];

    /// Fails if a listed action has no key, or if an action with a key is not listed.
    #[test]
    fn every_action_has_a_row() {
        use AllocationAction as Own;
        let mut wanted = vec![
            Action::Show(Screen::Overview),
            Action::Show(Screen::Map),
            Action::Show(Screen::Allocate),
            Action::Show(Screen::Lab),
            Action::NextScreen,
            Action::PreviousScreen,
            Action::FitEphemeral,
            Action::FitAll,
            Action::Zoom(Zooming::In),
            Action::Zoom(Zooming::Out),
            Action::ToggleResolution,
            Action::NextRun,
            Action::PreviousRun,
            Action::TurnPage(1),
            Action::TurnPage(-1),
            Action::NextTheme,
            Action::ToggleMouse,
            Action::OpenGoTo,
            Action::GoTo,
            Action::NextLens,
            Action::PreviousLens,
            Action::NextProtocols,
            Action::ToggleFreeze,
            Action::ScanNow,
            Action::ShowOnMap,
            Action::OpenHelp,
            Action::Close,
            Action::Suspend,
            Action::Quit,
        ];
        wanted.extend(
            [
                Move::Left,
                Move::Right,
                Move::Up,
                Move::Down,
                Move::FarLeft,
                Move::FarRight,
                Move::FarUp,
                Move::FarDown,
                Move::PageUp,
                Move::PageDown,
                Move::First,
                Move::Last,
                Move::PreviousPort,
                Move::NextPort,
            ]
            .map(Action::Move),
        );
        wanted.extend(
            [
                Own::RunOrPause,
                Own::Step,
                Own::Slower,
                Own::Faster,
                Own::OpenSettings,
                Own::ToggleTarget,
                Own::Emptier,
                Own::Fuller,
                Own::NextStrategy,
                Own::PreviousStrategy,
                Own::ToggleHold,
                Own::ReleaseOne,
                Own::ReleaseAll,
                Own::Reset,
            ]
            .map(Action::Allocation),
        );
        wanted.extend(
            [
                LabAction::RunOrPause,
                LabAction::Step,
                LabAction::Slower,
                LabAction::Faster,
                LabAction::ToggleTarget,
                LabAction::Emptier,
                LabAction::Fuller,
                LabAction::NextPattern,
                LabAction::NextStrategy,
                LabAction::PreviousStrategy,
                LabAction::Add,
                LabAction::Remove,
                LabAction::OpenSettings,
                LabAction::Race,
                LabAction::Reset,
            ]
            .map(Action::Lab),
        );
        wanted.extend(POOL_ACTIONS.map(Action::Pool));
        let bound: HashSet<Action> =
            COMMANDS.iter().flat_map(|c| c.bindings).map(|&(_, action)| action).collect();
        for action in &wanted {
            assert!(bound.contains(action), "{action:?} has no key");
        }
        assert_eq!(bound.len(), wanted.len(), "an action is bound that this test does not know");
    }

    #[test]
    fn displayed_keys_are_the_bound_keys() {
        for command in COMMANDS {
            for (key, _) in command.bindings {
                if let Key::Char(c) = key
                    && *c != ' '
                {
                    assert!(command.keys.contains(*c), "{} hides {c}", command.keys);
                }
            }
        }
    }

    #[test]
    fn help_and_quit_are_last_in_the_footer() {
        for context in [Context::Map, Context::Allocate, Context::Lab, Context::Race, Context::Pool]
        {
            let labels: Vec<_> = here(context).map(|c| c.label).filter(|l| !l.is_empty()).collect();
            assert_eq!(labels[labels.len() - 2..], ["help", "quit"]);
        }
    }

    #[test]
    fn the_readme_table_has_a_line_for_each_row() {
        assert_eq!(key_table_markdown().lines().count(), COMMANDS.len() + 2);
    }
}
