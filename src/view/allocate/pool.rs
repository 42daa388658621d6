//! Draws the pool of leases, which the Allocate screen shows instead of runs while the pool is
//! open: its map, bands, leases and ports in quarantine. Does not change state.

mod facts;
mod map;
mod table;

use std::collections::HashSet;

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    text::Span,
};
use unicode_width::UnicodeWidthStr;

use crate::{
    app::{
        App,
        pool::{PoolReport, PoolScreen, Priority},
    },
    domain::{PortRange, ProcessTable, Text},
    view::{
        Role, Theme,
        allocate::{
            self, AllocateAreas, AllocateContext,
            title::{self, target_role, target_wordings},
        },
        dialog,
        size_class::SizeClass,
        surface::{Surface, fitted},
    },
};
use map::LeaseMap;
use table::TableRows;

/// Data from which the screen is drawn: the pool at one moment, the occupancy, the processes.
#[derive(Clone, Copy)]
pub struct PoolContext<'a> {
    pub allocate_context: AllocateContext<'a>,
    pub pool_screen: &'a PoolScreen,
    /// Processes of the host, even if the ports are simulated, because lease holders are real.
    pub processes: &'a ProcessTable,
}

impl<'a> PoolContext<'a> {
    pub fn of(app: &'a App) -> Self {
        let (pool_screen, processes) = (app.pool(), app.processes());
        Self { allocate_context: AllocateContext::of(app), pool_screen, processes }
    }

    /// Counts the ports that were in use at the last scan and are not the pool's. None: there was
    /// no scan, or there are no ports.
    fn others_in(&self, ports: Option<PortRange>, report: &PoolReport) -> Option<u32> {
        let occupancy = self.allocate_context.scan?.occupancy;
        let protocols = self.allocate_context.allocation.options().protocols;
        let leased: HashSet<u16> = report.leases.iter().map(|lease| lease.port).collect();
        let quarantined: HashSet<u16> = report.quarantined.iter().map(|entry| entry.port).collect();
        let is_own = |port: &u16| leased.contains(port) || quarantined.contains(port);
        let is_occupied = |port: &u16| occupancy.port(*port).is_occupied(protocols);
        let others = ports?.ports().filter(|port| is_occupied(port) && !is_own(port));
        Some(others.count() as u32)
    }
}

/// Draws the screen between header and footer.
pub fn render(pool_context: PoolContext<'_>, surface: &mut Surface<'_>) {
    let PoolContext { allocate_context, pool_screen, .. } = pool_context;
    let (mut areas, grid) = allocate::areas(allocate_context.allocation, surface);
    if areas.class == SizeClass::Small {
        areas.put_legend_above_outcome();
    }
    title(pool_context, &mut surface.within(areas.title));
    let mut setup = surface.within(areas.setup);
    setup.text(&facts::setup_words(pool_screen, setup.width()), Role::Text);
    if let (Some(grid), Some(scan)) = (&grid, allocate_context.scan) {
        let map = LeaseMap { pool_screen, grid };
        let protocols = allocate_context.allocation.options().protocols;
        map.render(scan, protocols, &mut surface.within(areas.map));
        LeaseMap::legend(&mut surface.within(areas.legend));
    } else if allocate_context.scan.is_none() && areas.class > SizeClass::Tiny {
        surface.within(areas.map).text("no scan yet", Role::Dim);
    }
    facts_and_table(pool_context, &areas, surface);
    notice(pool_screen, &mut surface.within(areas.outcome));
    if let Some(panel) = pool_screen.panel() {
        let note = "Changing a setting other than the holder ends all leases";
        dialog::settings("Settings of the pool", 11, panel, note, surface);
    }
}

/// Returns the row of the table at this position, counted from 0. None: no row is there.
pub fn row_at(app: &App, area: Rect, at: Position) -> Option<usize> {
    // The places of the rows follow from what is drawn above them. The theme does not change them.
    let mut buffer = Buffer::empty(area);
    let mut surface = Surface::new(&Theme::MONOCHROME, area, &mut buffer);
    let range = app.allocation().options().range;
    let (mut areas, _) = AllocateAreas::within(area, range, app.map().rows_per_line());
    if areas.class == SizeClass::Small {
        areas.put_legend_above_outcome();
    }
    let rows = facts_and_table(PoolContext::of(app), &areas, &mut surface)?;
    rows.area.contains(at).then(|| rows.first + usize::from(at.y - rows.area.y))
}

/// Draws the facts, then the table, whose rows it returns. None: there is no table.
fn facts_and_table(
    pool_context: PoolContext<'_>,
    areas: &AllocateAreas,
    surface: &mut Surface<'_>,
) -> Option<TableRows> {
    // The facts end above the notice or, in size class `Small`, above the legend, which has the
    // full width.
    let bottom = if areas.class == SizeClass::Small { areas.legend.y } else { areas.outcome.y };
    let height = bottom.saturating_sub(areas.facts.y);
    let facts = Rect { height: height.max(areas.facts.height), ..areas.facts };
    let mut column = surface.within(facts.intersection(surface.area));
    match areas.class {
        SizeClass::Tiny => {
            facts::tiny(pool_context.pool_screen, &mut column);
            None
        }
        SizeClass::Small => {
            facts::narrow(pool_context, &mut column);
            let rows = table::narrow(pool_context, &mut column);
            facts::section(pool_context, &mut surface.within(areas.spare));
            rows
        }
        SizeClass::Medium | SizeClass::Large | SizeClass::Huge => {
            facts::section(pool_context, &mut column);
            column.blank();
            facts::bands(pool_context, &mut column);
            column.blank();
            table::section(pool_context, &mut column)
        }
    }
}

/// Draws where the ports are bound, which ports they are, and the lease holder.
fn title(pool_context: PoolContext<'_>, line: &mut Surface<'_>) {
    let PoolContext { allocate_context, pool_screen, .. } = pool_context;
    let options = allocate_context.allocation.options();
    let (theme, width) = (line.theme, line.width());
    let target_wordings =
        target_wordings(allocate_context.allocation.target(), allocate_context.scan);
    let fits = |target_words: &&String| target_words.width() + 8 <= width;
    let target_words = target_wordings.iter().find(fits).cloned().unwrap_or_default();
    let ports = format!("{} {}", options.protocols.name(), options.range);
    let address = options.address.map(|address| format!("on {address}")).unwrap_or_default();
    let holder_words = format!("leased to {}", table::holder(pool_context));
    let rest =
        fitted(&[&ports, &holder_words, &address], width.saturating_sub(target_words.width() + 8));
    let is_closed = pool_screen.plan().is_none() && pool_screen.notice().is_some();
    let role = if is_closed {
        Role::Warn
    } else {
        target_role(allocate_context.allocation.target(), allocate_context.scan)
    };
    let target = Span::styled(target_words, theme.style(role).bold());
    title::draw(Span::styled("Pool ", theme.style(Role::Accent).bold()), target, rest, line);
}

/// Draws the notice about the last key or the failure of the pool. If there is neither and nothing
/// was leased yet, draws which key to press first.
fn notice(pool_screen: &PoolScreen, column: &mut Surface<'_>) {
    let failure = pool_screen.report().and_then(|report| report.failure.as_ref());
    if let Some(words) = pool_screen.notice().or(failure.map(Text::as_str)) {
        column.text(words, Role::Warn);
        return;
    }
    let is_empty = pool_screen.report().is_some_and(|report| report.counts.given == 0);
    if is_empty {
        let words = format!("i takes a lease of class {}, I takes ten", pool_screen.class().name());
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
