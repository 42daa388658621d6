//! What goes into `App::update` and what comes out of it. No behaviour.

use crate::engine::{Report, Request};

/// Everything that can happen to the program. Each arrives with its time since the start.
#[derive(Clone, Debug)]
pub enum Event {
    Key(Key),
    /// A mouse click, already translated by `view::layout`.
    Click(Target),
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

/// What a click can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Screen(Screen),
    /// The first port of the block under the pointer.
    Port(u16),
}

/// The screens that exist; their numbers are permanent (2 and 4 so far).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Screen {
    Map,
    Allocate,
}

/// What the loop must do after an update.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Ask(Request),
    /// Ctrl-Z: give the terminal back and stop until `fg`.
    Suspend,
    Quit,
}
