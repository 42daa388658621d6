//! Draws leases, ports in quarantine and the refused attempts of the last lease request on the
//! range. Draws no figures.

use ratatui::{style::Style, text::Span};

use crate::{
    app::{
        Grid,
        allocation::LastScan,
        pool::{BandUse, PoolScreen, Priority},
    },
    domain::{PortRange, Protocols},
    view::{
        Role, Theme,
        allocate::pool::{letter, role},
        attempt_map::{self, badge, digit},
        heatmap::Paint,
        surface::{Surface, whole_parts},
    },
};

pub struct LeaseMap<'a> {
    pub pool_screen: &'a PoolScreen,
    pub grid: &'a Grid,
}

impl LeaseMap<'_> {
    pub fn render(&self, scan: LastScan<'_>, protocols: Protocols, surface: &mut Surface<'_>) {
        let theme = surface.theme;
        // Without half blocks the map does not show the bands.
        let is_tinted = |paint: Paint| paint.free == Role::Available && !theme.needs_whole_cells();
        let tint = |ports: PortRange, paint: Paint| match self.band(ports) {
            Some(band) if is_tinted(paint) => Paint { free: band, ..paint },
            _ => paint,
        };
        let pane = attempt_map::of_scan(scan, protocols, self.grid, &tint, surface);
        let Some(report) = self.pool_screen.report() else { return };
        let at = |port| pane.position(self.grid, port);
        for entry in &report.quarantined {
            if let Some(at) = at(entry.port) {
                let (glyph, style) = quarantined(entry.late_datagrams, theme);
                surface.within(pane.cells).put(at.x, at.y, glyph, style);
            }
        }
        for attempt in report.attempts.iter().filter(|attempt| attempt.refusal.is_some()) {
            if let Some(at) = at(attempt.port) {
                badge(&digit(attempt.number, 9), Role::Collision, 0, at, surface);
            }
        }
        // In a block with several classes, the highest one is drawn on top.
        for class in Priority::EACH {
            for lease in report.leases.iter().filter(|lease| lease.class == class) {
                if let Some(at) = at(lease.port) {
                    let style = theme.badge(role(class));
                    surface.within(pane.cells).put(at.x, at.y, letter(class), style);
                }
            }
        }
        if let Some(at) = self.pool_screen.selected_port().and_then(at) {
            surface.buffer[at].set_style(theme.badge(Role::Cursor));
        }
    }

    /// Returns the role of a block's free ports if more than half of the block is in the band of
    /// the high or the normal class. None: it is not.
    fn band(&self, ports: PortRange) -> Option<Role> {
        let bands = &self.pool_screen.report()?.bands;
        let has = |band: &BandUse| {
            let part = band.ports.and_then(|reserved| reserved.intersection(ports));
            part.is_some_and(|part| part.len() * 2 > ports.len())
        };
        let mut classes = [Priority::High, Priority::Normal].into_iter();
        classes.find(|&class| has(&bands[class as usize])).map(band_role)
    }

    pub fn legend(column: &mut Surface<'_>) {
        let (theme, width) = (column.theme, column.width());
        let leases = [Priority::High, Priority::Normal, Priority::Low].map(|class| {
            vec![
                Span::styled(letter(class), theme.badge(role(class))),
                Span::raw(format!(" {}", class.name())),
            ]
        });
        let (entry, quarantine_style) = quarantined(0, theme);
        let (stray, stray_style) = quarantined(1, theme);
        let mut parts: Vec<Vec<Span>> = leases.into();
        parts.push(vec![Span::styled(entry, quarantine_style), Span::raw(" in quarantine")]);
        let badge = theme.badge(Role::Collision);
        parts.push(vec![Span::styled(theme.glyph("1…9+", "1..9+"), badge), Span::raw(" refused")]);
        if theme.has_color() && !theme.ascii {
            for class in [Priority::High, Priority::Normal] {
                let block = Span::styled("██", theme.style(band_role(class)));
                parts.push(vec![block, Span::raw(format!(" reserved for {}", class.name()))]);
            }
        }
        parts.push(vec![Span::styled(stray, stray_style), Span::raw(" late datagrams")]);
        column.line(whole_parts(parts, width));
    }
}

/// Returns the role of free ports in the band of the high or the normal class.
fn band_role(class: Priority) -> Role {
    if class == Priority::High { Role::Scale(2) } else { Role::Scale(1) }
}

fn quarantined(late_datagrams: u64, theme: &Theme) -> (&'static str, Style) {
    if late_datagrams > 0 {
        ("!", theme.badge(Role::Warn))
    } else {
        (theme.glyph("○", "z"), theme.style(Role::Warn))
    }
}
