//! Draws leases, ports in quarantine and the attempts of the last lease request on the range. Draws
//! no figures.

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Span};

use crate::{
    app::{
        Grid,
        allocation::LastScan,
        pool::{BandUse, Leasing, Priority},
    },
    domain::{PortRange, Protocols},
    view::{
        Role, Theme,
        allocate::{
            column::TextColumn,
            map::{Below, badge, whole_parts},
            pool::{letter, role},
        },
        heatmap::{Paint, put},
    },
};

pub struct LeaseMap<'a> {
    pub leasing: &'a Leasing,
    pub grid: &'a Grid,
}

impl LeaseMap<'_> {
    pub fn render(
        &self,
        scan: LastScan<'_>,
        protocols: Protocols,
        theme: &Theme,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let below = Below { scan, protocols, grid: self.grid };
        // Without half blocks the map does not show the bands.
        let is_tinted = |paint: Paint| paint.free == Role::Available && !theme.needs_whole_cells();
        let tint = |ports: PortRange, paint: Paint| match self.band(ports) {
            Some(band) if is_tinted(paint) => Paint { free: band, ..paint },
            _ => paint,
        };
        let pane = below.render(&tint, theme, area, buffer);
        let Some(report) = self.leasing.report() else { return };
        let at = |port| pane.position(self.grid, port);
        for (port, strays) in report.resting.iter().map(|rest| (rest.port, rest.strays)) {
            if let Some(at) = at(port) {
                let (glyph, style) = resting(strays, theme);
                put(buffer, pane.cells, at.x, at.y, glyph, style);
            }
        }
        for attempt in report.attempts.iter().filter(|attempt| attempt.refusal.is_some()) {
            if let Some(at) = at(attempt.port) {
                let digit =
                    if attempt.number > 9 { "+".to_owned() } else { attempt.number.to_string() };
                badge(&digit, Role::Collision, 0, at, theme, buffer);
            }
        }
        // In a block with several classes, the highest one is drawn on top.
        for class in Priority::EACH {
            for lease in report.leases.iter().filter(|lease| lease.class == class) {
                if let Some(at) = at(lease.port) {
                    put(buffer, pane.cells, at.x, at.y, letter(class), theme.badge(role(class)));
                }
            }
        }
        if let Some(at) = self.leasing.selected_port().and_then(at) {
            buffer[at].set_style(theme.badge(Role::Cursor));
        }
    }

    /// Returns the role of a block's free ports if more than half of the block is reserved for the
    /// high or the normal class.
    fn band(&self, ports: PortRange) -> Option<Role> {
        let bands = &self.leasing.report()?.bands;
        let has = |band: &BandUse| {
            let part = band.ports.and_then(|reserved| reserved.intersection(ports));
            part.is_some_and(|part| part.len() * 2 > ports.len())
        };
        let class = [Priority::High, Priority::Normal]
            .into_iter()
            .find(|&class| has(&bands[class as usize]));
        class.map(band_role)
    }

    pub fn legend(theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut column = TextColumn::new(theme, area, buffer);
        let width = column.width();
        let leases = [Priority::High, Priority::Normal, Priority::Low].map(|class| {
            vec![
                Span::styled(letter(class), theme.badge(role(class))),
                Span::raw(format!(" {}", class.name())),
            ]
        });
        let (rest, rest_style) = resting(0, theme);
        let (stray, stray_style) = resting(1, theme);
        let mut parts: Vec<Vec<Span>> = leases.into();
        parts.push(vec![Span::styled(rest, rest_style), Span::raw(" in quarantine")]);
        let badge = theme.badge(Role::Collision);
        parts.push(vec![Span::styled(theme.glyph("1…9+", "1..9+"), badge), Span::raw(" refused")]);
        if theme.has_color() && !theme.ascii {
            for class in [Priority::High, Priority::Normal] {
                let block = Span::styled("██", theme.style(band_role(class)));
                parts.push(vec![block, Span::raw(format!(" reserved for {}", class.name()))]);
            }
        }
        parts.push(vec![Span::styled(stray, stray_style), Span::raw(" stray datagrams")]);
        column.line(whole_parts(parts, width));
    }
}

/// Returns the role of free ports that are reserved for a class.
fn band_role(class: Priority) -> Role {
    if class == Priority::High { Role::Scale(2) } else { Role::Scale(1) }
}

fn resting(strays: u64, theme: &Theme) -> (&'static str, Style) {
    if strays > 0 {
        ("!", theme.badge(Role::Warn))
    } else {
        (theme.glyph("○", "z"), theme.style(Role::Warn))
    }
}
