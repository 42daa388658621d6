//! The options of an app, as of a user who gives none.

use portscope::{
    app::{
        AppOptions, Extent, GlyphSet, LabOptions, RowsPerLine, Screen,
        allocation::AllocationOptions,
    },
    cli::parse_find,
    domain::{Protocols, ServiceNames},
};

/// On the map, with exo's allocator.
pub fn options() -> AppOptions {
    AppOptions {
        first: Screen::Map,
        glyphs: GlyphSet { rows_per_line: RowsPerLine::Two, has_dots: true },
        extent: Extent::Ephemeral,
        protocols: Protocols::Both,
        find: None,
        parse_find,
        allocation: AllocationOptions::exo(7),
        lab: LabOptions::new(7, None),
        mouse: true,
        motion: true,
        services: ServiceNames::default(),
        is_read_only: false,
    }
}
