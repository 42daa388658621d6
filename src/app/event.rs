//! The input and output types of `App::update`, and the names of the keys.

use crate::{
    app::{Screen, sockets::RowsFile},
    domain::PortRange,
    engine::{Report, Request},
};

/// An event that the app handles.
#[derive(Clone, Debug)]
pub enum Event {
    Key(Key),
    /// A character of a paste. It goes to a text field and is never a command.
    Pasted(char),
    /// A mouse gesture, and what `view::layout` found at its position. None: nothing that reacts.
    Mouse(Gesture, Option<PointerTarget>),
    Resized {
        columns: u16,
        rows: u16,
    },
    Report(Report),
    /// The outcome of `Effect::Copy`.
    Copied(Copied),
    /// The outcome of `Effect::WriteRows`: what was written, or why nothing was.
    Written(Result<String, String>),
    /// Time has passed, so that the durations on screen may have changed.
    Tick,
}

/// A key, as used in the table of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Char(char),
    Ctrl(char),
    Up,
    Down,
    Left,
    Right,
    ShiftUp,
    ShiftDown,
    ShiftLeft,
    ShiftRight,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
}

impl Key {
    /// Returns the key with this name in the table of commands. None: there is none.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Space" => Self::Char(' '),
            "Enter" => Self::Enter,
            "Esc" => Self::Escape,
            "Tab" => Self::Tab,
            "Shift-Tab" => Self::BackTab,
            "Up" => Self::Up,
            "Down" => Self::Down,
            "Left" => Self::Left,
            "Right" => Self::Right,
            "PgUp" => Self::PageUp,
            "PgDn" => Self::PageDown,
            "Home" => Self::Home,
            "End" => Self::End,
            "Backspace" => Self::Backspace,
            "Ctrl-C" => Self::Ctrl('c'),
            "Ctrl-Z" => Self::Ctrl('z'),
            _ => {
                let mut characters = name.chars();
                let character = characters.next().filter(|_| characters.as_str().is_empty());
                return character.map(Self::Char);
            }
        })
    }
}

/// What was sent to the terminal's clipboard. Terminals do not report whether they accept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// Nothing is selected.
    Nothing,
    /// The text was sent in full, or only its first lines.
    Sent { title: String, is_whole: bool },
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// Motion with no button down.
    Hover,
    /// The left button went down.
    Press,
    /// Motion with the left button down.
    Drag,
    Release,
    WheelUp,
    WheelDown,
}

/// What is under the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerTarget {
    Screen(Screen),
    /// A key of the footer.
    Key(Key),
    /// A block of the map or of the loupe.
    Ports(PortRange),
    /// A column of the lab, or the title of a column of the list of sockets, counted from 0.
    Column(usize),
    /// A row of the open list or panel, or of the pool, counted from 0.
    Row(usize),
}

/// What the event loop must do after an update.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Ask(Request),
    NextTheme,
    /// Sends what is selected to the terminal's clipboard, and reports it with `Event::Copied`.
    Copy,
    /// Sends the rows of the Sockets screen to the terminal's clipboard.
    CopyRows,
    /// Rings the terminal's bell.
    Ring,
    /// Writes the rows of the Sockets screen to a file, and reports it with `Event::Written`.
    WriteRows(RowsFile),
    /// Restores the terminal and stops the process until `fg` (Ctrl-Z).
    Suspend,
    Quit,
}
