//! The fields of the Allocate screen's settings, and the text that each accepts. Starts no run.

use crate::{
    allocator::ALLOCATORS,
    app::{
        allocation::AllocationOptions,
        settings::{self, EditableSettings},
    },
    domain::{LocalAddress, PortRange},
};

pub type AllocationPanel = settings::SettingsPanel<AllocationOptions>;

/// A row of the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Strategy,
    Protocol,
    Range,
    Attempts,
    Seed,
    Address,
}

impl Field {
    pub const EACH: [Self; 6] =
        [Self::Strategy, Self::Protocol, Self::Range, Self::Attempts, Self::Seed, Self::Address];

    pub fn name(self) -> &'static str {
        match self {
            Self::Strategy => "strategy",
            Self::Protocol => "protocol",
            Self::Range => "range",
            Self::Attempts => "attempts",
            Self::Seed => "seed",
            Self::Address => "address",
        }
    }
}

/// The value shown if no address is set: all addresses of both families.
const ALL: &str = "all";

impl EditableSettings for AllocationOptions {
    type Field = Field;

    const FIELDS: &'static [Field] = &Field::EACH;

    fn value(&self, field: Field) -> String {
        match field {
            Field::Strategy => ALLOCATORS[self.strategy].name.to_owned(),
            Field::Protocol => settings::protocols(self.protocols),
            Field::Range => self.range.to_string(),
            Field::Attempts => self.max_attempts.to_string(),
            Field::Seed => self.seed.to_string(),
            Field::Address => self.address.map_or_else(|| ALL.to_owned(), |a| a.to_string()),
        }
    }

    fn accepts_character(field: Field, typed: &str, character: char) -> bool {
        match field {
            Field::Strategy | Field::Protocol => false,
            Field::Range => character.is_ascii_digit() || character == '-',
            Field::Attempts | Field::Seed => character.is_ascii_digit(),
            // The name of an interface follows: fe80::1%eth0.
            Field::Address if typed.contains('%') => character.is_ascii_graphic(),
            Field::Address => character.is_ascii_hexdigit() || ".:%".contains(character),
        }
    }

    fn read(&mut self, field: Field, typed: &str) -> Result<(), String> {
        match field {
            Field::Strategy | Field::Protocol => {}
            Field::Range => self.range = settings::read_range(typed)?,
            Field::Attempts => self.max_attempts = settings::read_attempts(typed)?,
            Field::Seed => self.seed = settings::read_seed(typed)?,
            Field::Address => self.address = read_address(typed)?,
        }
        Ok(())
    }

    fn cycle(&mut self, field: Field, by: isize, ephemeral: Option<PortRange>) {
        match field {
            Field::Strategy => self.strategy = next_strategy(self.strategy, by),
            Field::Protocol => self.protocols = settings::next_protocols(self.protocols, by),
            Field::Range => self.range = settings::next_range(self.range, ephemeral, by),
            Field::Attempts => self.max_attempts = settings::next_attempts(self.max_attempts, by),
            Field::Seed => self.seed = settings::next_seed(self.seed, by),
            Field::Address => {}
        }
    }
}

/// Returns the index of the next (`by` = 1) or previous (-1) strategy in `ALLOCATORS`; wraps
/// around.
pub fn next_strategy(strategy: usize, by: isize) -> usize {
    (strategy + ALLOCATORS.len()).saturating_add_signed(by) % ALLOCATORS.len()
}

fn read_address(typed: &str) -> Result<Option<LocalAddress>, String> {
    if typed.is_empty() || typed == ALL {
        return Ok(None);
    }
    typed.parse().map(Some).map_err(|error| format!("{typed}: {error}; empty: all"))
}
