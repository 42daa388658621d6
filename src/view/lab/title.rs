//! Draws the first lines of the screen: what is compared, where ports are bound, the speed. Does
//! not change settings.

use ratatui::{
    text::Span,
    widgets::{Clear, Widget},
};

use crate::{
    app::{
        App, LabScreen,
        allocation::AllocatorTarget,
        lab::{LabTarget, Pattern},
    },
    domain::notation,
    view::{
        Role,
        allocate::target_wordings,
        map, speeds,
        surface::{Surface, fitted, lines_of},
        words,
    },
};

pub fn render(app: &App, line: &mut Surface<'_>) {
    let lab = app.lab();
    let (theme, width) = (line.theme, line.width());
    let is_wide = width >= 100;
    let name = if is_wide { "Lab " } else { "" };
    let target_words = target_words(app, is_wide);
    let room = width.saturating_sub(name.len() + target_words.len() + 3);
    let strategies = match lab.picked().len() {
        1 => "1 strategy".to_owned(),
        count => format!("{count} strategies"),
    };
    let same = match lab.target() {
        LabTarget::Machine => "same machine, same seed",
        LabTarget::Simulated { .. } => "same occupancies, same seed",
    };
    let limit = format!("at most {}", notation::counted(lab.options().max_attempts, "attempt"));
    let runs = lab.strategy_report(lab.selected()).map(|report| report.figures.runs);
    let allocations = runs.map(|runs| notation::counted(runs, "allocation")).unwrap_or_default();
    let usage = usage(lab);
    let parts = [usage.as_str(), &limit, &allocations, &strategies, same];
    let rest = fitted(&parts, room);
    let role = match lab.target() {
        LabTarget::Machine => Role::Ok,
        LabTarget::Simulated { .. } => Role::Accent,
    };
    line.line([
        Span::styled(name, theme.style(Role::Accent)),
        Span::styled(target_words, theme.style(role).bold()),
        Span::raw(if rest.is_empty() { "" } else { " · " }),
        Span::raw(rest),
    ]);
}

/// Describes where ports are bound. Describes a simulation at length only if `is_wide`, so that the
/// other parts of the line have room.
fn target_words(app: &App, is_wide: bool) -> String {
    match app.lab().target() {
        LabTarget::Simulated { pattern: Pattern::Built, .. } if is_wide => {
            "simulated, filled by the strategy".to_owned()
        }
        LabTarget::Simulated { pattern, .. } => format!("simulated, {}", pattern.name()),
        LabTarget::Machine => {
            let wordings = target_wordings(AllocatorTarget::Machine, app.last_scan());
            let longest = wordings.into_iter().next();
            longest.unwrap_or_else(|| "this machine, not scanned yet".to_owned())
        }
    }
}

/// Formats the occupancy: `90.0 % of 16,384 ports used`.
fn usage(lab: &LabScreen) -> String {
    let Some(share) = lab.share().map(notation::percent) else {
        return "occupancy unknown".to_owned();
    };
    match lab.occupancy_counts() {
        Some(counts) => format!("{share} of {} ports used", notation::grouped(counts.candidates)),
        None => format!("{share} used"),
    }
}

/// What the maps show at speeds at which a single attempt cannot be read, longest wording first.
const SAMPLE: [&str; 2] =
    ["maps: one allocation each, changed every 400ms", "maps: a sample every 400ms"];

/// Draws speed, state, and the settings needed to repeat a run.
pub fn setup(lab: &LabScreen, column: &mut Surface<'_>) {
    let pace = if lab.is_running() { "running" } else { "paused" };
    let seed = format!("seed {}", lab.options().seed);
    let protocols = map::protocols_name(lab.options().protocols);
    let where_to = format!("{protocols} {}", lab.options().range);
    let destinations = match lab.options().destinations {
        1 => String::new(),
        more => format!("{} destinations", notation::grouped(more)),
    };
    let limitation = lab.report().and_then(|report| report.limitation).unwrap_or_default();
    let rest = |room| {
        // The longest wording is used only if nothing else is dropped for it.
        let others = seed.len() + where_to.len() + 6;
        let fits =
            |&(sample, others): &(&str, usize)| pace.len() + 3 + sample.len() + others <= room;
        let wordings = SAMPLE.into_iter().zip([others, 0]);
        let sample = wordings
            .into_iter()
            .find(fits)
            .map(|(sample, _)| sample)
            .filter(|_| lab.is_running() && lab.is_sampled())
            .unwrap_or_default();
        fitted(&[pace, sample, limitation, &seed, &where_to, &destinations], room)
    };
    speeds::line(lab.speed(), rest, column);
}

/// Draws the notice over the second line and as many lines below as it needs.
pub fn notice(lab: &LabScreen, surface: &mut Surface<'_>) {
    let Some(notice) = lab.notice() else { return };
    let lines = words::wrapped(notice.as_str(), surface.width());
    let message_area = lines_of(surface.area, 1, lines.len() as u16);
    Clear.render(message_area, surface.buffer);
    let mut column = surface.within(message_area);
    for line in &lines {
        column.text(line, Role::Warn);
    }
}
