//! The settings panel of the Lab screen: fields, keys, what may be typed. Starts no run.

use crate::{
    app::{
        Key,
        allocation::settings::{
            PROTOCOLS, next_attempts, next_range, read_attempts, read_range, read_seed, turned,
        },
        lab::LabOptions,
    },
    domain::{PortRange, Protocols},
};

/// A row of the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabField {
    Protocol,
    Range,
    Attempts,
    Seed,
    /// Remote endpoints that the runs are for in turn.
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

    /// Characters that a value of this field can have.
    fn takes(self, character: char) -> bool {
        match self {
            Self::Protocol => false,
            Self::Range => character.is_ascii_digit() || character == '-',
            Self::Attempts | Self::Seed | Self::Destinations => character.is_ascii_digit(),
        }
    }
}

/// The longest value: a seed.
const LONGEST: usize = 20;
const DESTINATIONS: [u32; 7] = [1, 2, 4, 10, 100, 1000, 10_000];

#[derive(Clone, Debug, PartialEq)]
pub struct LabSettingsPanel {
    options: LabOptions,
    ephemeral: Option<PortRange>,
    field: LabField,
    /// What is being typed for the field.
    typed: Option<String>,
    error: Option<String>,
}

impl LabSettingsPanel {
    /// `ephemeral`: the machine's own range, if known; one of those to choose from.
    pub(super) fn new(options: LabOptions, ephemeral: Option<PortRange>) -> Self {
        Self { options, ephemeral, field: LabField::Protocol, typed: None, error: None }
    }

    pub fn options(&self) -> &LabOptions {
        &self.options
    }

    pub fn field(&self) -> LabField {
        self.field
    }

    /// What is wrong with what was typed and what would be right.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// What is being typed for the field under the cursor.
    pub fn typed(&self) -> Option<&str> {
        self.typed.as_deref()
    }

    /// The value as chosen so far.
    pub fn value(&self, field: LabField) -> String {
        match field {
            LabField::Protocol => match self.options.protocols {
                Protocols::Both => "both".to_owned(),
                one => one.name().to_owned(),
            },
            LabField::Range => self.options.range.to_string(),
            LabField::Attempts => self.options.max_attempts.to_string(),
            LabField::Seed => self.options.seed.to_string(),
            LabField::Destinations => self.options.destinations.to_string(),
        }
    }

    /// False: the panel closes.
    pub(super) fn press(&mut self, key: Key) -> bool {
        match key {
            Key::Escape if self.typed.is_some() => self.forget_typed(),
            Key::Escape => return false,
            Key::Enter | Key::Char('o') if self.typed.is_none() => return false,
            Key::Enter => {
                self.accept();
            }
            Key::Up | Key::BackTab => self.go(-1),
            Key::Down | Key::Tab => self.go(1),
            Key::Left => self.turn(-1),
            Key::Right => self.turn(1),
            Key::Backspace => self.erase(),
            Key::Char(character) if self.field.takes(character) => self.type_in(character),
            _ => {}
        }
        true
    }

    fn forget_typed(&mut self) {
        (self.typed, self.error) = (None, None);
    }

    fn type_in(&mut self, character: char) {
        self.error = None;
        let typed = self.typed.get_or_insert_default();
        if typed.len() < LONGEST {
            typed.push(character);
        }
    }

    fn erase(&mut self) {
        self.error = None;
        let mut text = self.typed.take().unwrap_or_else(|| self.value(self.field));
        text.pop();
        self.typed = (self.field != LabField::Protocol).then_some(text);
    }

    fn go(&mut self, by: isize) {
        if self.accept() {
            let each = LabField::EACH;
            let at = each.into_iter().position(|field| field == self.field).unwrap_or_default();
            self.field = each[turned(at, by, each.len())];
        }
    }

    /// Takes what was typed. False: it cannot be taken, and the error says why.
    fn accept(&mut self) -> bool {
        let Some(typed) = &self.typed else { return true };
        match self.read(typed) {
            Ok(options) => {
                self.options = options;
                self.forget_typed();
                true
            }
            Err(error) => {
                self.error = Some(error);
                false
            }
        }
    }

    fn read(&self, typed: &str) -> Result<LabOptions, String> {
        let mut options = self.options.clone();
        match self.field {
            LabField::Protocol => {}
            LabField::Range => options.range = read_range(typed)?,
            LabField::Attempts => options.max_attempts = read_attempts(typed)?,
            LabField::Seed => options.seed = read_seed(typed)?,
            LabField::Destinations => options.destinations = read_destinations(typed)?,
        }
        Ok(options)
    }

    /// The next or previous of the usual values; what was typed is forgotten.
    fn turn(&mut self, by: isize) {
        self.forget_typed();
        let options = &mut self.options;
        match self.field {
            LabField::Protocol => {
                let at = PROTOCOLS.iter().position(|&p| p == options.protocols).unwrap_or_default();
                options.protocols = PROTOCOLS[turned(at, by, PROTOCOLS.len())];
            }
            LabField::Range => options.range = next_range(options.range, self.ephemeral, by),
            LabField::Attempts => options.max_attempts = next_attempts(options.max_attempts, by),
            LabField::Seed => options.seed = options.seed.wrapping_add_signed(by as i64),
            LabField::Destinations => {
                let now = options.destinations;
                let more = DESTINATIONS.into_iter().find(|&d| d > now);
                let fewer = DESTINATIONS.into_iter().rev().find(|&d| d < now);
                options.destinations = if by > 0 { more } else { fewer }.unwrap_or(now);
            }
        }
    }
}

fn read_destinations(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(0) => Err("0 remote endpoints would need no port: type 1 or more".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("{typed} is no number of remote endpoints: type 1 to {}", u32::MAX)),
    }
}
