//! Draws the Overview: the verdict with its reason and advice, and how full ranges and destinations
//! are.

mod areas;
mod destinations;
mod findings;
mod graphs;
mod minimap;
mod owners;
mod ranges;
mod rule;
mod table;
mod verdict;

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    app::{
        App, LatestScan,
        overview::{Selected, headline::Headline},
    },
    domain::{Destination, diagnosis::SubjectStatus},
    view::{Theme, map},
};

pub use verdict::{badge, explanation, headline, whole_words};

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
    /// Number of distinct source addresses of the destinations.
    sources: usize,
}

pub fn render(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let (Some(scan), Some(headline)) = (app.scan(), app.headline()) else {
        map::waiting(app, theme, area, buffer);
        return;
    };
    let selected = app.overview().selected(scan);
    let (verdict, sources) = (headline.subject_status, destinations::sources(scan));
    let context = OverviewContext { app, scan, theme, headline, verdict, selected, sources };
    let lines = areas::OverviewSize::of(area).verdict(headline.is_bad);
    let verdict = verdict::lines(&context, area.width, lines);
    let areas = areas::OverviewAreas::within(&context, area, lines);
    verdict::render(&verdict, areas.verdict, buffer);
    ranges::render(&context, areas.ranges, buffer);
    destinations::render(&context, areas.destinations, buffer);
    owners::render(&context, areas.owners, buffer);
    findings::render(&context, areas.findings, buffer);
    minimap::render(&context, areas.map, buffer);
    graphs::drain(&context, areas.drain, buffer);
    graphs::usage(&context, areas.usage, buffer);
}

impl OverviewContext<'_> {
    /// Formats the destination, with its source address only if there are several: `10.0.0.7 →
    /// 10.0.3.17:443`.
    fn destination(&self, destination: &Destination) -> String {
        let Destination { source, remote, .. } = destination;
        if self.sources > 1 {
            format!("{source} {} {remote}", self.theme.glyph("→", "to"))
        } else {
            remote.to_string()
        }
    }
}
