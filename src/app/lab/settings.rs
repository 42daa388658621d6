//! The fields of the Lab screen's settings, and the text that each accepts. Starts no run.

use crate::app::{
    lab::LabOptions,
    settings::{self, ATTEMPTS, EditableSettings, PROTOCOLS, SettingField, cycle, step},
};

/// The numbers of remote endpoints that Left and Right select.
const DESTINATIONS: [u32; 7] = [1, 2, 4, 10, 100, 1000, 10_000];

impl EditableSettings for LabOptions {
    const FIELDS: &'static [SettingField<Self>] = &[
        SettingField {
            name: "protocol",
            value: |options| options.protocols.name().to_owned(),
            accepts: settings::accepts_nothing,
            read: |_, _| Ok(()),
            turn: |options, by, _| options.protocols = cycle(&PROTOCOLS, options.protocols, by),
        },
        SettingField {
            name: "range",
            value: |options| options.range.to_string(),
            accepts: settings::accepts_range,
            read: |options, typed| settings::read_range(typed, &mut options.range),
            turn: |options, by, ephemeral| settings::turn_range(&mut options.range, by, ephemeral),
        },
        SettingField {
            name: "attempts",
            value: |options| options.max_attempts.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| settings::read_attempts(typed, &mut options.max_attempts),
            turn: |options, by, _| step(&ATTEMPTS, &mut options.max_attempts, by),
        },
        SettingField {
            name: "seed",
            value: |options| options.seed.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| settings::read_seed(typed, &mut options.seed),
            turn: |options, by, _| options.seed = options.seed.wrapping_add_signed(by as i64),
        },
        SettingField {
            name: "remotes",
            value: |options| options.destinations.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| {
                settings::read_positive("remote endpoints", typed, &mut options.destinations)
            },
            turn: |options, by, _| step(&DESTINATIONS, &mut options.destinations, by),
        },
    ];
}
