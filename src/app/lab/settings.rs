//! The fields of the Lab screen's settings, and the text that each accepts. Starts no run.

use crate::app::{
    lab::LabOptions,
    settings::{self, EditableSettings, SettingField},
};

pub type LabSettingsPanel = settings::SettingsPanel<LabOptions>;

/// The numbers of remote endpoints that Left and Right select.
const DESTINATIONS: [u32; 7] = [1, 2, 4, 10, 100, 1000, 10_000];

impl EditableSettings for LabOptions {
    const FIELDS: &'static [SettingField<Self>] = &[
        SettingField {
            name: "protocol",
            value: |options| settings::protocols(options.protocols),
            accepts: settings::accepts_nothing,
            read: |_, _| Ok(()),
            turn: |options, by, _| {
                options.protocols = settings::next_protocols(options.protocols, by);
            },
        },
        SettingField {
            name: "range",
            value: |options| options.range.to_string(),
            accepts: settings::accepts_range,
            read: |options, typed| settings::read_range(typed).map(|value| options.range = value),
            turn: |options, by, ephemeral| {
                options.range = settings::next_range(options.range, ephemeral, by);
            },
        },
        SettingField {
            name: "attempts",
            value: |options| options.max_attempts.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| {
                settings::read_attempts(typed).map(|value| options.max_attempts = value)
            },
            turn: |options, by, _| {
                options.max_attempts = settings::next_attempts(options.max_attempts, by);
            },
        },
        SettingField {
            name: "seed",
            value: |options| options.seed.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| settings::read_seed(typed).map(|value| options.seed = value),
            turn: |options, by, _| options.seed = settings::next_seed(options.seed, by),
        },
        SettingField {
            name: "remotes",
            value: |options| options.destinations.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| {
                read_destinations(typed).map(|value| options.destinations = value)
            },
            turn: |options, by, _| {
                options.destinations = settings::next_of(&DESTINATIONS, options.destinations, by);
            },
        },
    ];
}

fn read_destinations(typed: &str) -> Result<u32, String> {
    match typed.parse() {
        Ok(0) => Err("invalid remote endpoints '0': expected 1 or more".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("invalid remote endpoints '{typed}': expected 1 to {}", u32::MAX)),
    }
}
