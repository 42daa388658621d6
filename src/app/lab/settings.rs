//! The fields of the Lab screen's settings, and the text that each accepts. Starts no run.

use crate::app::{
    lab::LabOptions,
    settings::{self, EditableSettings, SettingField, run_fields, step},
};

/// The numbers of remote endpoints that Left and Right select.
const DESTINATIONS: [u32; 7] = [1, 2, 4, 10, 100, 1000, 10_000];

impl EditableSettings for LabOptions {
    const FIELDS: &'static [SettingField<Self>] = run_fields![
        ;
        SettingField {
            name: "destinations",
            value: |options| options.destinations.to_string(),
            accepts: settings::accepts_digits,
            read: |options, typed| {
                settings::read_positive("number of destinations", typed, &mut options.destinations)
            },
            turn: |options, by, _| step(&DESTINATIONS, &mut options.destinations, by),
        },
    ];
}
