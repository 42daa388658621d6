//! Draws the Overview: the verdict with its reason and advice, how full the ranges are, and the
//! lists of destinations, listeners, owners and findings.

mod areas;
mod compact_rows;
mod destinations;
mod findings;
mod graphs;
mod list;
mod listening;
mod minimap;
mod owners;
mod page;
mod ranges;
mod rule;
mod verdict;
mod who;

use std::cell::OnceCell;

use crate::{
    app::{
        App, LatestScan,
        lens::LensCounts,
        overview::{OverviewList, Selected, headline::Headline},
    },
    domain::{Destination, PortRange, Protocols, diagnosis::SubjectStatus},
    view::{
        Theme, map,
        surface::{Surface, indented},
    },
};

pub use compact_rows::compact_rows;
pub use listening::parts as listener;
pub use page::render as render_page;
pub use verdict::{badge, explanation, headline};

/// Data from which each part of the screen is drawn.
#[derive(Clone, Copy)]
struct OverviewContext<'a> {
    app: &'a App,
    scan: &'a LatestScan,
    theme: &'a Theme,
    headline: &'a Headline,
    verdict: SubjectStatus,
    /// None: there are no rows.
    selected: Option<Selected>,
    /// See `OverviewContext::counts`.
    counts: &'a OnceCell<LensCounts>,
}

pub fn render(app: &App, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let (Some(scan), Some(headline)) = (app.scan(), app.headline()) else {
        map::waiting(app, surface);
        return;
    };
    let selected = app.overview().selected(scan);
    let verdict = headline.subject_status;
    let counts = &OnceCell::new();
    let context = OverviewContext { app, scan, theme, headline, verdict, selected, counts };
    let lines = areas::verdict_lines(headline.is_bad);
    let verdict = verdict::lines(&context, area.width, lines);
    let areas = areas::OverviewAreas::within(&context, area, lines);
    surface.within(indented(areas.verdict)).lines(&verdict);
    ranges::render(&context, &mut surface.within(areas.ranges));
    destinations::render(&context, &mut surface.within(areas.destinations));
    listening::render(&context, &mut surface.within(areas.listening));
    owners::render(&context, &mut surface.within(areas.owners));
    findings::render(&context, &mut surface.within(areas.findings));
    minimap::render(&context, &mut surface.within(areas.map));
    graphs::drain(&context, &mut surface.within(areas.drain));
    graphs::usage(&context, &mut surface.within(areas.usage));
}

impl OverviewContext<'_> {
    /// Returns the list with the selected row; the first list if there are no rows.
    fn overview_list(&self) -> OverviewList {
        self.selected.map_or(self.app.overview().order()[0], |selected| selected.list)
    }

    fn range(&self) -> PortRange {
        self.scan.snapshot.ephemeral.range
    }

    /// Returns the counts of the ephemeral range, counted only when first needed, because not every
    /// screen has the small map.
    fn counts(&self) -> &LensCounts {
        let ephemeral = &self.scan.snapshot.ephemeral;
        self.counts.get_or_init(|| {
            LensCounts::count(ephemeral.range, &self.scan.occupancy, Protocols::Both, ephemeral)
        })
    }

    /// Returns the selected row of a list. None: another list has it.
    fn selected_index(&self, list: OverviewList) -> Option<usize> {
        self.selected.filter(|selected| selected.list == list).map(|selected| selected.index)
    }

    /// Formats the destination, with its source address only if there are several: `10.0.0.7 →
    /// 10.0.3.17:443`.
    fn destination(&self, destination: &Destination) -> String {
        let Destination { source, remote, .. } = destination;
        if self.scan.sources > 1 {
            format!("{source} {} {remote}", self.theme.glyph("→", "to"))
        } else {
            remote.to_string()
        }
    }
}
