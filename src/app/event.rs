//! What goes into `App::update` and what comes out of it. No behaviour.

use crate::{
    domain::PortRange,
    engine::{Report, Request},
};

/// Everything that can happen to the program. Each arrives with its time since the start.
#[derive(Clone, Debug)]
pub enum Event {
    Key(Key),
    /// A character of a paste, for a text field: no command, whatever it is.
    Pasted(char),
    /// The mouse, its place already translated by `view::layout`.
    Mouse(Gesture, Option<Target>),
    Resized {
        columns: u16,
        rows: u16,
    },
    Report(Report),
    /// Time has passed: the age on screen may have changed.
    Tick,
}

/// A key as commands name it.
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

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// It moved with no button down.
    Hover,
    /// The left button.
    Press,
    Drag,
    Release,
    WheelUp,
    WheelDown,
}

/// What the pointer stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Screen(Screen),
    /// A block of the map, or of the loupe.
    Ports(PortRange),
    /// A column of the lab, counted from 0.
    Column(usize),
}

/// The screens that exist; their numbers are permanent (1, 2, 4 and 5 so far).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Screen {
    Overview,
    Map,
    Allocate,
    Lab,
}

impl Screen {
    pub const EACH: [Self; 4] = [Self::Overview, Self::Map, Self::Allocate, Self::Lab];
}

/// What the loop must do after an update.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Ask(Request),
    /// Have the terminal report the mouse, or leave it to the terminal.
    Mouse(bool),
    NextTheme,
    /// Ctrl-Z: give the terminal back and stop until `fg`.
    Suspend,
    Quit,
}
