//! Draws, over the full width of the screen, how the last allocation ended.

use crate::{
    app::allocation::{Allocation, AllocatorTarget, Model},
    domain::notation,
    view::{
        Role, Theme,
        allocate::{AllocateContext, log},
        surface::{Surface, first_fitting},
        words,
    },
};

/// Draws the newest attempt and, directly above the footer, how the last allocation ended.
pub fn render(context: AllocateContext<'_>, column: &mut Surface<'_>) {
    let theme = column.theme;
    let (width, room) = (column.width(), usize::from(column.area.height));
    let notice = context.allocation.notice().map(|notice| (notice.to_owned(), Role::Warn));
    let newest = context.allocation.log().entries().next_back();
    let attempt = newest
        .filter(|_| !is_too_fast_to_read(context.allocation))
        .map(|newest| (log::detail(context, newest, theme, width), Role::Text));
    let ending = ending(context.allocation, theme, width);
    // If there is no room for all, a notice has priority over the ending, and the ending over the
    // attempt.
    let above = if notice.is_none() && ending.len() >= room { None } else { notice.or(attempt) };
    for (text, role) in above.into_iter().chain(ending).take(room) {
        column.text(&text, role);
    }
}

/// Describes in few words how the last allocation ended, for small terminals. A notice replaces it.
pub fn short(allocation: &Allocation, theme: &Theme, width: usize) -> Vec<(String, Role)> {
    if let Some(notice) = allocation.notice() {
        let lines = words::wrapped(notice, width);
        return lines.into_iter().map(|line| (line, Role::Warn)).collect();
    }
    let Some(last) = allocation.last().filter(|_| !is_too_fast_to_read(allocation)) else {
        return Vec::new();
    };
    let (start, role) = match last.port {
        Some(port) => (format!("{} {port} after", theme.glyph("✓", "OK")), Role::Ok),
        None => (format!("{} failed after", theme.glyph("✗", "!!")), Role::Critical),
    };
    let count = notation::grouped(last.attempts);
    let wordings = [notation::counted(last.attempts, "attempt"), count];
    let wordings = wordings.map(|attempts| format!("{start} {attempts}"));
    vec![(first_fitting(&wordings, width, theme), role)]
}

/// Returns whether single attempts and allocations are too fast to read.
fn is_too_fast_to_read(allocation: &Allocation) -> bool {
    allocation.is_running() && allocation.is_sampled()
}

/// Describes how the last allocation ended or, at speeds too high to read, how many failed. Takes
/// as many lines as it needs; none if there is nothing to describe.
fn ending(allocation: &Allocation, theme: &Theme, width: usize) -> Vec<(String, Role)> {
    let sign = theme.glyph("✗", "!!");
    let figures = allocation.figures();
    if is_too_fast_to_read(allocation) && figures.failures > 0 {
        let of = words::of(figures.failures, figures.finished());
        return failure(allocation, format!("{sign} {of} allocations failed"), width);
    }
    let Some(last) = allocation.last().filter(|_| !is_too_fast_to_read(allocation)) else {
        return Vec::new();
    };
    let attempts = notation::counted(last.attempts, "attempt");
    if let Some(port) = last.port {
        let sign = theme.glyph("✓", "OK");
        return vec![(format!("{sign} allocated {port} after {attempts}"), Role::Ok)];
    }
    let start = match last.attempts {
        0 => format!("{sign} failed: the strategy found no port to try"),
        _ => format!("{sign} failed after {attempts}"),
    };
    failure(allocation, start, width)
}

/// Describes a failed allocation. Never says "no free port", because that was not checked.
fn failure(allocation: &Allocation, start: String, width: usize) -> Vec<(String, Role)> {
    let mut parts = vec![start];
    if let Some(occupancy_counts) = allocation.occupancy_counts() {
        let of = words::of(occupancy_counts.free(), occupancy_counts.candidates);
        parts.push(match allocation.target() {
            AllocatorTarget::Machine => format!("{of} ports free at the last scan"),
            AllocatorTarget::Simulated { .. } => format!("{of} ports are free"),
        });
    }
    parts.extend(allocation.model().and_then(|model| needed(&model)));
    let lines = words::rows(&parts, " · ", width);
    lines.into_iter().map(|line| (line, Role::Critical)).collect()
}

/// Describes with how many attempts, by the model, at most one allocation in a million fails. None:
/// the model expects no failure.
fn needed(model: &Model) -> Option<String> {
    // With this model one attempt is enough. The allocation failed because a port that looked free
    // was not, so a number of attempts would be misleading.
    if *model == Model::OnlyFree {
        return None;
    }
    Some(match model.attempts_for(1e-6) {
        Some(needed) => {
            let limit = notation::grouped(needed);
            if model.failure(needed) > 0.0 {
                format!("with a limit of {limit}, 1 in a million fails")
            } else {
                format!("with a limit of {limit}, none fails")
            }
        }
        None => "no number of attempts would be enough".to_owned(),
    })
}
