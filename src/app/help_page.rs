//! The pages of the help, and the one that is open. Contains no text.

use crate::app::{Move, settings::cycle};

/// The help that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenHelp {
    pub page: HelpPage,
    /// Number of the part of the page that is shown, modulo the number of its parts. Only the view
    /// knows how many parts a page has.
    pub part: isize,
}

impl OpenHelp {
    pub(super) fn turn(&mut self, by: isize) {
        *self = Self { page: cycle(&HelpPage::EACH, self.page, by), part: 0 };
    }

    pub(super) fn go(&mut self, movement: Move) {
        self.part = match movement {
            Move::Down | Move::FarDown | Move::PageDown => self.part + 1,
            Move::Up | Move::FarUp | Move::PageUp => self.part - 1,
            Move::First => 0,
            Move::Last => -1,
            _ => self.part,
        };
    }
}

/// A page of the help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HelpPage {
    /// What the current screen shows, and its words.
    #[default]
    Words,
    /// The keys of the current screen, and what the scan could not read.
    Keys,
    /// One sentence for each state and colour.
    States,
    /// Which ranges exist, and how bind() and connect() use them.
    Ranges,
}

impl HelpPage {
    pub const EACH: [Self; 4] = [Self::Words, Self::Keys, Self::States, Self::Ranges];

    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "Words",
            Self::Keys => "Keys",
            Self::States => "States and colours",
            Self::Ranges => "Ranges",
        }
    }
}
