//! The settings panel of the Allocate screen: fields, keys, what may be typed. Starts no run.

use std::net::IpAddr;

use crate::{
    app::{Key, allocation::AllocationOptions},
    domain::{PortRange, Protocols, port},
};

/// A row of the panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Protocol,
    Range,
    Attempts,
    Seed,
    Address,
}

impl Field {
    pub const EACH: [Self; 5] =
        [Self::Protocol, Self::Range, Self::Attempts, Self::Seed, Self::Address];

    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Range => "range",
            Self::Attempts => "attempts",
            Self::Seed => "seed",
            Self::Address => "address",
        }
    }

    /// Characters that a value of this field can have.
    fn takes(self, character: char) -> bool {
        match self {
            Self::Protocol => false,
            Self::Range => character.is_ascii_digit() || character == '-',
            Self::Attempts | Self::Seed => character.is_ascii_digit(),
            Self::Address => character.is_ascii_hexdigit() || matches!(character, '.' | ':'),
        }
    }
}

pub const PROTOCOLS: [Protocols; 3] = [Protocols::Udp, Protocols::Tcp, Protocols::Both];
const ATTEMPTS: [u32; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
/// The longest value: an IPv6 address.
const LONGEST: usize = 45;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsPanel {
    options: AllocationOptions,
    ephemeral: Option<PortRange>,
    field: Field,
    /// What is being typed for the field.
    typed: Option<String>,
    error: Option<String>,
}

impl SettingsPanel {
    /// `ephemeral`: the machine's own range, if known; one of those to choose from.
    pub(super) fn new(options: AllocationOptions, ephemeral: Option<PortRange>) -> Self {
        Self { options, ephemeral, field: Field::Protocol, typed: None, error: None }
    }

    pub fn options(&self) -> &AllocationOptions {
        &self.options
    }

    pub fn field(&self) -> Field {
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
    pub fn value(&self, field: Field) -> String {
        match field {
            Field::Protocol => match self.options.protocols {
                Protocols::Both => "both".to_owned(),
                one => one.name().to_owned(),
            },
            Field::Range => self.options.range.to_string(),
            Field::Attempts => self.options.max_attempts.to_string(),
            Field::Seed => self.options.seed.to_string(),
            Field::Address => match self.options.address {
                Some(address) => address.to_string(),
                None => "all".to_owned(),
            },
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
        self.typed = None;
        self.error = None;
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
        self.typed = (self.field != Field::Protocol).then_some(text);
    }

    fn go(&mut self, by: isize) {
        if self.accept() {
            let at = Field::EACH.into_iter().position(|f| f == self.field).unwrap_or(0);
            self.field = Field::EACH[turned(at, by, Field::EACH.len())];
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

    fn read(&self, typed: &str) -> Result<AllocationOptions, String> {
        let mut options = self.options.clone();
        match self.field {
            Field::Protocol => {}
            Field::Range => options.range = read_range(typed)?,
            Field::Attempts => options.max_attempts = read_attempts(typed)?,
            Field::Seed => options.seed = read_seed(typed)?,
            Field::Address => options.address = read_address(typed)?,
        }
        Ok(options)
    }

    /// The next or previous of the usual values; what was typed is forgotten.
    fn turn(&mut self, by: isize) {
        self.forget_typed();
        let options = &mut self.options;
        match self.field {
            Field::Protocol => {
                let at = PROTOCOLS.iter().position(|&p| p == options.protocols).unwrap_or(0);
                options.protocols = PROTOCOLS[turned(at, by, PROTOCOLS.len())];
            }
            Field::Range => options.range = next_range(options.range, self.ephemeral, by),
            Field::Attempts => options.max_attempts = next_attempts(options.max_attempts, by),
            Field::Seed => options.seed = options.seed.wrapping_add_signed(by as i64),
            Field::Address => {}
        }
    }
}

pub fn turned(at: usize, by: isize, length: usize) -> usize {
    (at + length).saturating_add_signed(by) % length
}

pub fn next_range(range: PortRange, ephemeral: Option<PortRange>, by: isize) -> PortRange {
    let unprivileged = PortRange::new(1024, 65_535).expect("1024 is less than 65535");
    let mut usual =
        vec![port::IANA_DYNAMIC, ephemeral.unwrap_or(port::LINUX_DEFAULT), unprivileged];
    usual.dedup();
    let at = usual.iter().position(|&r| r == range);
    usual[at.map_or(0, |at| turned(at, by, usual.len()))]
}

pub fn next_attempts(attempts: u32, by: isize) -> u32 {
    let more = ATTEMPTS.into_iter().find(|&a| a > attempts);
    let fewer = ATTEMPTS.into_iter().rev().find(|&a| a < attempts);
    if by > 0 { more } else { fewer }.unwrap_or(attempts)
}

pub fn read_range(typed: &str) -> Result<PortRange, String> {
    let example = "such as 49152-65535";
    let (first, last) = typed
        .split_once('-')
        .ok_or_else(|| format!("{typed} is no range: type two ports, {example}"))?;
    let read = |text: &str| match text.parse::<u16>() {
        Ok(0) => {
            Err("port 0 cannot be tried: the kernel would choose; begin at 1 or above".to_owned())
        }
        Ok(port) => Ok(port),
        Err(_) if text.is_empty() => Err(format!("{typed} is no range: type two ports, {example}")),
        Err(_) => Err(format!("{text} is no port: ports are 1 to 65535")),
    };
    PortRange::new(read(first)?, read(last)?)
        .map_err(|e| format!("{typed} is reversed: did you mean {}-{}?", e.last, e.first))
}

pub fn read_attempts(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(0) => Err("0 attempts would try nothing: type 1 or more".to_owned()),
        Ok(attempts) => Ok(attempts),
        Err(_) => Err(format!("{typed} is no number of attempts: type 1 to {}", u32::MAX)),
    }
}

pub fn read_seed(typed: &str) -> Result<u64, String> {
    typed.parse().map_err(|_| format!("{typed} is no seed: type 0 to {}", u64::MAX))
}

fn read_address(typed: &str) -> Result<Option<IpAddr>, String> {
    if typed.is_empty() || typed == "all" {
        return Ok(None);
    }
    typed.parse().map(Some).map_err(|_| {
        format!("{typed} is no address: type one such as 127.0.0.1, or nothing for all")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_range_is_told_what_would_be_right() {
        for (typed, words) in [
            ("9", "9 is no range: type two ports, such as 49152-65535"),
            ("9-", "9- is no range: type two ports, such as 49152-65535"),
            ("9-8", "9-8 is reversed: did you mean 8-9?"),
            ("1-65536", "65536 is no port: ports are 1 to 65535"),
            ("0-9", "port 0 cannot be tried: the kernel would choose; begin at 1 or above"),
            ("1-2-3", "2-3 is no port: ports are 1 to 65535"),
        ] {
            assert_eq!(read_range(typed), Err(words.to_owned()));
        }
        assert_eq!(read_range("8-8"), Ok(PortRange::new(8, 8).unwrap()));
    }

    #[test]
    fn zero_attempts_are_refused() {
        assert!(read_attempts("0").is_err() && read_attempts("4294967296").is_err());
        assert_eq!(read_attempts("1"), Ok(1));
    }
}
