//! What the lab goes by, in one line, and what is wrong with it. Not the figures.

use ratatui::{buffer::Buffer, layout::Rect, text::Span};

use crate::{
    app::lab::{Lab, LabSite, Pattern, Speed},
    domain::Protocols,
    view::{
        Role, Theme,
        allocate::column::{Column, counted},
        words::{fitted, thousands},
    },
};

pub fn render(lab: &Lab, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut column = Column::new(theme, area, buffer);
    let (place, role) = match lab.site() {
        LabSite::Machine => ("real bind() on this machine", Role::Warn),
        LabSite::Simulated { .. } => ("simulated", Role::Accent),
    };
    let state = if lab.is_running() { "running" } else { "paused" };
    let head = format!("Lab  {state} {}  ", lab.speed().name());
    let separator = theme.glyph(" · ", " - ");
    let room = column.width().saturating_sub(head.len() + place.len() + separator.len());
    let rest = fitted(&parts(lab), separator, room);
    column.line([
        Span::styled(head, theme.style(Role::Text).bold()),
        Span::styled(place, theme.style(role)),
        Span::raw(if rest.is_empty() { "" } else { separator }),
        Span::styled(rest, theme.style(Role::Dim)),
    ]);
    second(lab, &mut column);
}

/// What must be known, then what may be left out from its end.
fn parts(lab: &Lab) -> Vec<String> {
    let options = lab.options();
    let how = match (lab.site(), lab.pattern()) {
        (LabSite::Machine, _) => "",
        (_, Pattern::Uniform) => "uniform, ",
        (_, Pattern::Clustered) => "clustered, ",
        (_, Pattern::Built) => "built by each, ",
    };
    let candidates = lab.ground().map_or(options.range.len(), |ground| ground.candidates);
    let share = lab.share().map_or_else(|| "?".to_owned(), |share| format!("{:.1}", share * 100.0));
    let runs = lab.contender(lab.selected()).map_or(0, |contender| contender.figures.runs);
    let protocols = match options.protocols {
        Protocols::Both => "udp and tcp",
        one => one.name(),
    };
    let mut parts = vec![
        format!("{how}{share} % of {} ports used", thousands(candidates)),
        counted(runs, "run"),
        format!("at most {}", counted(u64::from(options.max_attempts), "attempt")),
        format!("{} {protocols}", options.range),
        format!("seed {}", options.seed),
    ];
    if options.destinations > 1 {
        parts.insert(3, format!("{} remote endpoints", thousands(options.destinations)));
    }
    parts
}

/// Why the last key did nothing, else how the picture is to be read.
fn second(lab: &Lab, column: &mut Column<'_>) {
    if let Some(notice) = lab.notice() {
        return column.text(notice.as_str(), Role::Warn);
    }
    let limitation = lab.report().and_then(|report| report.limitation);
    if let Some(limitation) = limitation {
        return column.text(limitation, Role::Warn);
    }
    let words: &[&str] = match (lab.site(), lab.speed()) {
        (LabSite::Machine, _) => &[
            "the occupancy is the machine's own and stands still as far as it does; each port is released at once",
            "the machine's own occupancy; each port is released at once",
        ],
        (_, Speed::Max | Speed::Thousand) if lab.is_running() => &[
            "each run meets a fresh occupancy, the same for all · maps and digits are a sample, ten a second",
            "a fresh occupancy each run, the same for all · the maps are a sample",
        ],
        (_, _) if lab.pattern() == Pattern::Built => &[
            "each strategy filled its range itself, as far as said, before each run",
            "each strategy filled its range itself",
        ],
        _ => &[
            "each run meets a fresh occupancy, the same for all strategies",
            "a fresh occupancy each run, the same for all",
        ],
    };
    let fits = |words: &&&str| words.chars().count() <= column.width();
    if let Some(words) = words.iter().find(fits) {
        column.text(words, Role::Dim);
    }
}
