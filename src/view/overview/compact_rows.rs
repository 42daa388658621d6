//! Formats the rows of the first list as text, for terminals too small for tables.

use ratatui::text::Line;

use super::{destinations, listening};
use crate::{
    app::{App, overview::OverviewList},
    view::{Theme, words},
};

/// Returns the wordings of the first `most` rows of the first list, longest first: the destinations
/// if something is short, else the listeners. The owner is in all of them that have room for it.
pub fn compact_rows(app: &App, theme: &Theme, room: usize, most: usize) -> Vec<Vec<Line<'static>>> {
    let Some(scan) = app.scan() else { return Vec::new() };
    let rows: Vec<[String; 4]> = if app.overview().order()[0] == OverviewList::Listening {
        scan.listeners.iter().take(most).map(|row| listening::parts(app, row)).collect()
    } else {
        let rows = scan.analysis.destinations.iter().take(most);
        rows.map(|row| destinations::parts(app, row, theme)).collect()
    };
    let wordings = |[name, second, third, owner]: &[String; 4]| {
        let row = |parts: &[&str]| {
            let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            Line::raw(parts.join("  "))
        };
        vec![
            row(&[name, second, third, owner]),
            row(&[name, second, owner]),
            row(&[name, owner]),
            Line::raw(words::shorten(name, room)),
        ]
    };
    rows.iter().map(wordings).collect()
}
