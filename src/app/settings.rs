//! A panel of settings: fields, keys, accepted characters, selectable values. Each screen defines
//! its own fields.

use crate::{
    app::Key,
    domain::{PortRange, Protocols, port},
};

/// Options that a panel can change, field by field.
pub trait EditableSettings: Clone + 'static {
    /// The fields, in the order of the panel.
    const FIELDS: &'static [SettingField<Self>];
}

/// A field of a panel. `S` is the type of the options.
pub struct SettingField<S> {
    pub name: &'static str,
    /// Returns the value as shown to the user.
    pub value: fn(&S) -> String,
    /// Whether a character may follow the typed text.
    pub accepts: fn(&str, char) -> bool,
    /// Parses the typed text and stores the value. The error says what is wrong and what is
    /// accepted.
    pub read: fn(&mut S, &str) -> Result<(), String>,
    /// Selects the next (1) or previous (-1) of the selectable values. The range is the host's
    /// ephemeral range; None: it is not known yet.
    pub turn: fn(&mut S, isize, Option<PortRange>),
}

/// The fields that the runs of Allocate and Lab have in common, between those that only one of them
/// has: `run_fields![FIELDS; FIELDS]`.
macro_rules! run_fields {
    ($($before:expr),* $(,)?; $($after:expr),* $(,)?) => {
        &[
            $($before,)*
            SettingField {
                name: "protocol",
                value: |options| options.protocols.name().to_owned(),
                accepts: settings::accepts_nothing,
                read: |_, _| Ok(()),
                turn: |options, by, _| {
                    options.protocols =
                        settings::cycle(&settings::PROTOCOLS, options.protocols, by);
                },
            },
            SettingField {
                name: "range",
                value: |options| options.range.to_string(),
                accepts: settings::accepts_range,
                read: |options, typed| settings::read_range(typed, &mut options.range),
                turn: |options, by, ephemeral| {
                    settings::turn_range(&mut options.range, by, ephemeral);
                },
            },
            settings::attempts_field!(settings::ATTEMPTS),
            SettingField {
                name: "seed",
                value: |options| options.seed.to_string(),
                accepts: settings::accepts_digits,
                read: |options, typed| settings::read_seed(typed, &mut options.seed),
                turn: |options, by, _| options.seed = options.seed.wrapping_add_signed(by as i64),
            },
            $($after,)*
        ]
    };
}
pub(super) use run_fields;

/// The field for the maximum number of attempts. Left and Right select one of `$usual`.
macro_rules! attempts_field {
    ($usual:expr) => {
        SettingField {
            name: "attempts",
            value: |options| options.max_attempts.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| settings::read_attempts(typed, &mut options.max_attempts),
            turn: |options, by, _| settings::step(&$usual, &mut options.max_attempts, by),
        }
    };
}
pub(super) use attempts_field;

/// A field as the panel shows it now.
pub struct SettingRow<'a> {
    pub name: &'static str,
    pub value: String,
    /// Text typed for the field so far. None: nothing is being typed.
    pub typed: Option<&'a str>,
    /// Whether keys change this field.
    pub is_selected: bool,
}

/// Length of the longest value, in bytes: an IPv6 address with the name of an interface.
const MAX_LENGTH: usize = 61;
/// The protocols in the order in which Right selects them.
pub const PROTOCOLS: [Protocols; 3] = [Protocols::Udp, Protocols::Tcp, Protocols::Both];
/// The attempt limits of a run that Left and Right select.
pub const ATTEMPTS: [u32; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsPanel<S: EditableSettings> {
    options: S,
    ephemeral: Option<PortRange>,
    /// Index of the selected field.
    field: usize,
    /// Text typed for the field so far. None: nothing was typed, and the stored value is shown.
    typed: Option<String>,
    error: Option<String>,
}

impl<S: EditableSettings> SettingsPanel<S> {
    /// Creates a panel. `ephemeral` is the host's ephemeral range. If it is known, it is one of the
    /// ranges that Left and Right select.
    pub(super) fn new(options: S, ephemeral: Option<PortRange>) -> Self {
        Self { options, ephemeral, field: 0, typed: None, error: None }
    }

    pub fn options(&self) -> &S {
        &self.options
    }

    /// What is wrong with the typed text, and what is accepted. None: no error was found.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The fields with their values, in the order of the panel.
    pub fn rows(&self) -> impl Iterator<Item = SettingRow<'_>> {
        S::FIELDS.iter().enumerate().map(|(index, field)| {
            let is_selected = index == self.field;
            let typed = self.typed.as_deref().filter(|_| is_selected);
            SettingRow { name: field.name, value: (field.value)(&self.options), typed, is_selected }
        })
    }

    fn selected(&self) -> &'static SettingField<S> {
        &S::FIELDS[self.field]
    }

    /// Handles a key. Returns false to close the panel.
    pub(super) fn press(&mut self, key: Key) -> bool {
        match key {
            Key::Escape if self.typed.is_some() => self.discard_typed(),
            Key::Escape => return false,
            Key::Enter | Key::Char('o') if self.typed.is_none() => return false,
            Key::Enter => {
                self.accept();
            }
            Key::Up | Key::BackTab => self.select_field(-1),
            Key::Down | Key::Tab => self.select_field(1),
            Key::Left => self.cycle(-1),
            Key::Right => self.cycle(1),
            Key::Backspace => self.erase(),
            Key::Char(character) if self.accepts_character(character) => self.type_in(character),
            _ => {}
        }
        true
    }

    pub(super) fn paste(&mut self, character: char) {
        if self.accepts_character(character) {
            self.type_in(character);
        }
    }

    /// Selects the field in a row; of the selected field, selects the next value.
    pub(super) fn click(&mut self, row: usize) {
        if row == self.field && self.typed.is_none() {
            self.cycle(1);
        } else if row < S::FIELDS.len() && self.accept() {
            self.field = row;
        }
    }

    fn discard_typed(&mut self) {
        (self.typed, self.error) = (None, None);
    }

    fn accepts_character(&self, character: char) -> bool {
        (self.selected().accepts)(self.typed.as_deref().unwrap_or_default(), character)
    }

    fn type_in(&mut self, character: char) {
        self.error = None;
        let typed = self.typed.get_or_insert_default();
        if typed.len() < MAX_LENGTH {
            typed.push(character);
        }
    }

    /// Erases the last character. Leaves a value unchanged that contains characters that cannot be
    /// typed in this field.
    fn erase(&mut self) {
        self.error = None;
        let mut text = self.typed.take().unwrap_or_else(|| (self.selected().value)(&self.options));
        let mut characters = text.char_indices();
        let accepts = self.selected().accepts;
        let is_typed = characters.all(|(at, character)| accepts(text.split_at(at).0, character));
        text.pop();
        self.typed = is_typed.then_some(text);
    }

    fn select_field(&mut self, by: isize) {
        if self.accept() {
            self.field = wrapping_index(self.field, by, S::FIELDS.len());
        }
    }

    /// Stores the typed text as the field's value. Returns false if it is invalid; the error then
    /// says why.
    fn accept(&mut self) -> bool {
        let Some(typed) = &self.typed else { return true };
        let mut wanted = self.options.clone();
        match (self.selected().read)(&mut wanted, typed) {
            Ok(()) => {
                self.options = wanted;
                self.discard_typed();
                true
            }
            Err(error) => {
                self.error = Some(error);
                false
            }
        }
    }

    /// Selects the next (1) or previous (-1) selectable value and discards the typed text.
    fn cycle(&mut self, by: isize) {
        self.discard_typed();
        (self.selected().turn)(&mut self.options, by, self.ephemeral);
    }
}

/// For fields whose value is selected, not typed.
pub fn accepts_nothing(_: &str, _: char) -> bool {
    false
}

pub fn accepts_digits(_: &str, character: char) -> bool {
    character.is_ascii_digit()
}

pub fn accepts_range(_: &str, character: char) -> bool {
    character.is_ascii_digit() || character == '-'
}

/// Returns the element after (`by` is 1) or before (-1) `current`. The last one is followed by the
/// first.
pub fn cycle<T: Copy + PartialEq>(each: &[T], current: T, by: isize) -> T {
    let at = each.iter().position(|&one| one == current).unwrap_or_default();
    each[wrapping_index(at, by, each.len())]
}

/// Selects the next (`by` is 1) or previous (-1) of three ranges: IANA's dynamic ports, `ephemeral`
/// (None: Linux's default), 1024-65535. Selects IANA's if `range` is none of them.
pub fn turn_range(range: &mut PortRange, by: isize, ephemeral: Option<PortRange>) {
    let unprivileged = PortRange::new(1024, 65_535).expect("1024 is less than 65535");
    let mut usual =
        vec![port::IANA_DYNAMIC, ephemeral.unwrap_or(port::LINUX_DEFAULT), unprivileged];
    usual.dedup();
    let at = usual.iter().position(|r| r == range);
    *range = usual[at.map_or(0, |at| wrapping_index(at, by, usual.len()))];
}

/// Selects the next larger (`by` > 0) or next smaller value of `usual`, which must be ascending.
/// Does nothing if there is none.
pub fn step(usual: &[u32], value: &mut u32, by: isize) {
    let more = usual.iter().find(|&each| *each > *value);
    let fewer = usual.iter().rev().find(|&each| *each < *value);
    *value = if by > 0 { more } else { fewer }.copied().unwrap_or(*value);
}

/// Parses `FIRST-LAST`, 1 to 65535. The error says what is wrong and what is accepted.
pub fn read_range(typed: &str, range: &mut PortRange) -> Result<(), String> {
    let example = "expected two ports, such as 49152-65535";
    let (first, last) =
        typed.split_once('-').ok_or_else(|| format!("invalid range '{typed}': {example}"))?;
    let read = |text: &str| match text.parse::<u16>() {
        Ok(0) => Err("invalid port '0': expected 1 to 65535".to_owned()),
        Ok(port) => Ok(port),
        Err(_) if text.is_empty() => Err(format!("invalid range '{typed}': {example}")),
        Err(_) => Err(format!("invalid port '{text}': expected 1 to 65535")),
    };
    *range = PortRange::new(read(first)?, read(last)?).map_err(|e| {
        format!("range '{typed}' is reversed: did you mean {}-{}?", e.last, e.first)
    })?;
    Ok(())
}

pub fn read_attempts(typed: &str, attempts: &mut u32) -> Result<(), String> {
    read_positive("attempts", typed, attempts)
}

/// Parses a number of `what`, 1 or more. The error says what is accepted.
pub fn read_positive(what: &str, typed: &str, number: &mut u32) -> Result<(), String> {
    *number = match typed.parse() {
        Ok(0) => return Err(format!("invalid {what} '0': expected 1 or more")),
        Ok(positive) => positive,
        Err(_) => return Err(format!("invalid {what} '{typed}': expected 1 to {}", u32::MAX)),
    };
    Ok(())
}

/// Parses a seed, any `u64`. The error says what is accepted.
pub fn read_seed(typed: &str, seed: &mut u64) -> Result<(), String> {
    let wrong = |_| format!("invalid seed '{typed}': expected 0 to {}", u64::MAX);
    typed.parse().map(|number| *seed = number).map_err(wrong)
}

/// Adds 1 or -1 to an index. The last index is followed by the first.
pub fn wrapping_index(at: usize, by: isize, length: usize) -> usize {
    (at + length).saturating_add_signed(by) % length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_range_errors_say_what_is_expected() {
        for (typed, words) in [
            ("9", "invalid range '9': expected two ports, such as 49152-65535"),
            ("9-", "invalid range '9-': expected two ports, such as 49152-65535"),
            ("9-8", "range '9-8' is reversed: did you mean 8-9?"),
            ("1-65536", "invalid port '65536': expected 1 to 65535"),
            ("0-9", "invalid port '0': expected 1 to 65535"),
            ("1-2-3", "invalid port '2-3': expected 1 to 65535"),
        ] {
            let mut range = port::ALL;
            assert_eq!(read_range(typed, &mut range), Err(words.to_owned()));
            assert_eq!(range, port::ALL);
        }
        let mut range = port::ALL;
        assert_eq!(read_range("8-8", &mut range), Ok(()));
        assert_eq!(range, PortRange::new(8, 8).unwrap());
    }

    #[test]
    fn zero_attempts_are_refused() {
        let mut attempts = 7;
        for typed in ["0", "4294967296"] {
            assert!(read_attempts(typed, &mut attempts).is_err());
        }
        assert_eq!((attempts, read_attempts("1", &mut attempts)), (7, Ok(())));
        assert_eq!(attempts, 1);
    }
}
