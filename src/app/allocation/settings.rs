//! The fields of the Allocate screen's settings, and the text that each accepts. Starts no run.

use crate::{
    allocator::ALLOCATORS,
    app::{
        allocation::AllocationOptions,
        settings::{self, EditableSettings, SettingField, run_fields},
    },
    domain::LocalAddress,
};

/// The value shown if no address is set: all addresses of both families.
const ALL: &str = "all";

impl EditableSettings for AllocationOptions {
    const FIELDS: &'static [SettingField<Self>] = run_fields![
        SettingField {
            name: "strategy",
            value: |options| ALLOCATORS[options.strategy].name.to_owned(),
            accepts: settings::accepts_nothing,
            read: |_, _| Ok(()),
            turn: |options, by, _| options.strategy = next_strategy(options.strategy, by),
        },
        ;
        SettingField {
            name: "address",
            value: |options| {
                options.address.map_or_else(|| ALL.to_owned(), |address| address.to_string())
            },
            accepts: accepts_address,
            read: |options, typed| read_address(typed).map(|value| options.address = value),
            turn: |_, _, _| {},
        },
    ];
}

/// Returns the index of the next (`by` = 1) or previous (-1) strategy in `ALLOCATORS`; wraps
/// around.
pub fn next_strategy(strategy: usize, by: isize) -> usize {
    settings::wrapping_index(strategy, by, ALLOCATORS.len())
}

fn accepts_address(typed: &str, character: char) -> bool {
    if typed.contains('%') {
        // The name of an interface follows: fe80::1%eth0.
        return character.is_ascii_graphic();
    }
    character.is_ascii_hexdigit() || ".:%".contains(character)
}

fn read_address(typed: &str) -> Result<Option<LocalAddress>, String> {
    if typed.is_empty() || typed == ALL {
        return Ok(None);
    }
    typed.parse().map(Some).map_err(|error| format!("{typed}: {error}; empty: all"))
}
