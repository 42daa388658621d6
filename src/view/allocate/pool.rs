//! Draws the pool of leases, which the Allocate screen shows instead of runs while the pool is
//! open: its map, bands, leases and ports in quarantine. Does not change state.

mod facts;
mod map;
mod table;

use ratatui::{buffer::Buffer, layout::Rect, text::Span};
use unicode_width::UnicodeWidthStr;

use crate::{
    app::{
        RowsPerLine,
        pool::{Leasing, PoolField, PoolSettingsPanel, Priority},
    },
    domain::{ProcessTable, Text},
    view::{
        Role, Theme,
        allocate::{
            AllocateContext,
            areas::{AllocateAreas, AllocateSize as Room},
            column::{TextColumn, fitted},
            panel::{self, SettingRow},
            title::{place_role, places},
        },
    },
};
use map::LeaseMap;

/// Data from which the screen is drawn: the pool at one moment, the occupancy, the processes.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub sight: AllocateContext<'a>,
    pub leasing: &'a Leasing,
    /// Processes of the host, even if the ports are simulated, because lease holders are real.
    pub processes: &'a ProcessTable,
}

/// Draws the screen between header and footer.
pub fn render(scene: Scene<'_>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let Scene { sight, leasing, .. } = scene;
    let rows = if theme.needs_whole_cells() { RowsPerLine::One } else { RowsPerLine::Two };
    let (mut areas, grid) = AllocateAreas::within(area, sight.allocation.options().range, rows);
    if areas.class == Room::Small {
        areas.legend = Rect { height: 1, ..areas.outcome }.intersection(areas.outcome);
        areas.outcome.y += areas.legend.height;
        areas.outcome.height -= areas.legend.height;
    }
    title(scene, theme, areas.title, buffer);
    let mut setup = TextColumn::new(theme, areas.setup, buffer);
    setup.text(&facts::terms(leasing, setup.width()), Role::Text);
    if let (Some(grid), Some(scan)) = (&grid, sight.scan) {
        let map = LeaseMap { leasing, grid };
        map.render(scan, sight.allocation.options().protocols, theme, areas.map, buffer);
        LeaseMap::legend(theme, areas.legend, buffer);
    } else if sight.scan.is_none() && areas.class > Room::Tiny {
        TextColumn::new(theme, areas.map, buffer).text("no scan yet", Role::Dim);
    }
    // The facts end above the legend, if that has the full width, or above the notice.
    let bottom = if areas.class == Room::Small { areas.legend.y } else { areas.outcome.y };
    let height = bottom.saturating_sub(areas.facts.y);
    let facts = Rect { height: height.max(areas.facts.height), ..areas.facts };
    let mut column = TextColumn::new(theme, facts.intersection(area), buffer);
    match areas.class {
        Room::Tiny => facts::tiny(leasing, &mut column),
        Room::Small => {
            facts::narrow(leasing, &mut column);
            table::narrow(scene, &mut column);
        }
        Room::Medium | Room::Large | Room::Huge => {
            facts::section(scene, &mut column);
            column.blank();
            facts::bands(leasing, &mut column);
            column.blank();
            table::section(scene, &mut column);
        }
    }
    notice(leasing, &mut TextColumn::new(theme, areas.outcome, buffer));
    if let Some(options) = leasing.panel() {
        settings(options, &mut panel::open("Settings of the pool", 12, theme, area, buffer));
    }
}

fn settings(settings: &PoolSettingsPanel, column: &mut TextColumn<'_>) {
    let row = |field: PoolField| {
        let is_here = field == settings.field();
        let typed = settings.typed().filter(|_| is_here);
        SettingRow { name: field.name(), value: settings.value(field), typed, is_here }
    };
    let words = "Changing a setting other than the holder ends all leases";
    panel::fields(&PoolField::EACH.map(row), settings.error(), words, column);
}

/// Draws where the ports are bound, which ports they are, and the lease holder.
fn title(scene: Scene<'_>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Scene { sight, leasing, .. } = scene;
    let options = sight.allocation.options();
    let mut line = TextColumn::new(theme, area, buffer);
    let width = line.width();
    let places = places(sight.allocation.site(), sight.scan);
    let fits = |place: &&String| place.width() + 8 <= width;
    let place = places.iter().find(fits).cloned().unwrap_or_default();
    let ports = format!("{} {}", options.protocols.name(), options.range);
    let address = options.address.map(|address| format!("on {address}")).unwrap_or_default();
    let whose = format!("leased to {}", table::holder(scene));
    let rest = fitted(&[&ports, &whose, &address], width.saturating_sub(place.width() + 8));
    let separator = if place.is_empty() || rest.is_empty() { "" } else { " · " };
    let is_closed = leasing.plan().is_none() && leasing.notice().is_some();
    let role = if is_closed { Role::Warn } else { place_role(sight.allocation.site(), sight.scan) };
    line.line([
        Span::styled("Pool ", theme.style(Role::Accent).bold()),
        Span::styled(place, theme.style(role).bold()),
        Span::raw(separator),
        Span::raw(rest),
    ]);
}

/// Draws the reason why the last key had no effect or only part of it. Without such a reason, and
/// if nothing was leased yet, draws which key to press first.
fn notice(leasing: &Leasing, column: &mut TextColumn<'_>) {
    let trouble = leasing.report().and_then(|report| report.trouble.as_ref());
    if let Some(words) = leasing.notice().or(trouble.map(Text::as_str)) {
        column.text(words, Role::Warn);
        return;
    }
    let is_empty = leasing.report().is_some_and(|report| report.counts.given == 0);
    if is_empty {
        let words = format!("a takes a lease of class {}, A takes ten", leasing.class().name());
        column.text(&words, Role::Dim);
    }
}

/// Returns the letter of a class, which makes it readable without colour.
fn letter(class: Priority) -> &'static str {
    match class {
        Priority::High => "H",
        Priority::Normal => "N",
        Priority::Low => "L",
    }
}

fn role(class: Priority) -> Role {
    Role::Category(match class {
        Priority::High => 1,
        Priority::Normal => 0,
        Priority::Low => 2,
    })
}
