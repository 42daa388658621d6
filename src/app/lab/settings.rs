//! The fields of the Lab screen's settings, and the text that each accepts. Starts no run.

use crate::{
    app::{
        lab::LabOptions,
        settings::{self, EditableSettings},
    },
    domain::PortRange,
};

pub type LabSettingsPanel = settings::SettingsPanel<LabOptions>;

/// A row of the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabField {
    Protocol,
    Range,
    Attempts,
    Seed,
    /// Number of remote endpoints, which the runs use in turn.
    Destinations,
}

impl LabField {
    pub const EACH: [Self; 5] =
        [Self::Protocol, Self::Range, Self::Attempts, Self::Seed, Self::Destinations];

    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Range => "range",
            Self::Attempts => "attempts",
            Self::Seed => "seed",
            Self::Destinations => "remotes",
        }
    }
}

/// The numbers of remote endpoints that Left and Right select.
const DESTINATIONS: [u32; 7] = [1, 2, 4, 10, 100, 1000, 10_000];

impl EditableSettings for LabOptions {
    type Field = LabField;

    const FIELDS: &'static [LabField] = &LabField::EACH;

    fn value(&self, field: LabField) -> String {
        match field {
            LabField::Protocol => settings::protocols(self.protocols),
            LabField::Range => self.range.to_string(),
            LabField::Attempts => self.max_attempts.to_string(),
            LabField::Seed => self.seed.to_string(),
            LabField::Destinations => self.destinations.to_string(),
        }
    }

    fn accepts_character(field: LabField, _: &str, character: char) -> bool {
        match field {
            LabField::Protocol => false,
            LabField::Range => character.is_ascii_digit() || character == '-',
            LabField::Attempts | LabField::Seed | LabField::Destinations => {
                character.is_ascii_digit()
            }
        }
    }

    fn read(&mut self, field: LabField, typed: &str) -> Result<(), String> {
        match field {
            LabField::Protocol => {}
            LabField::Range => self.range = settings::read_range(typed)?,
            LabField::Attempts => self.max_attempts = settings::read_attempts(typed)?,
            LabField::Seed => self.seed = settings::read_seed(typed)?,
            LabField::Destinations => self.destinations = read_destinations(typed)?,
        }
        Ok(())
    }

    fn cycle(&mut self, field: LabField, by: isize, ephemeral: Option<PortRange>) {
        match field {
            LabField::Protocol => self.protocols = settings::next_protocols(self.protocols, by),
            LabField::Range => self.range = settings::next_range(self.range, ephemeral, by),
            LabField::Attempts => {
                self.max_attempts = settings::next_attempts(self.max_attempts, by);
            }
            LabField::Seed => self.seed = settings::next_seed(self.seed, by),
            LabField::Destinations => {
                self.destinations = settings::next_of(&DESTINATIONS, self.destinations, by);
            }
        }
    }
}

fn read_destinations(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(0) => Err("invalid remote endpoints '0': expected 1 or more".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("invalid remote endpoints '{typed}': expected 1 to {}", u32::MAX)),
    }
}
