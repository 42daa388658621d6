//! Draws the main figures of a run on terminals that are too small for a map.

use unicode_width::UnicodeWidthStr;

use crate::{
    app::allocation::Allocation,
    domain::notation,
    view::{
        Role,
        allocate::{AllocateContext, outcome, setup},
        surface::{Surface, fitted},
        words,
    },
};

/// Draws the most important lines first; each line has the parts that fit in full.
pub fn render(context: AllocateContext<'_>, column: &mut Surface<'_>) {
    let allocation = context.allocation;
    let width = column.width();
    for (words, role) in outcome::short(allocation, column.theme, width) {
        column.text(&words, role);
    }
    let pace = format!("{} {}", allocation.speed().name(), setup::pace(allocation));
    let [long, short] = setup::hold_words(allocation);
    let hold = if pace.width() + 3 + long.width() <= width { long } else { short };
    for parts in [[pace, hold], figures(allocation), occupancy(allocation), mean(allocation)] {
        let line = fitted(&parts.each_ref().map(String::as_str), width);
        if !line.is_empty() {
            column.text(&line, Role::Text);
        }
    }
}

fn figures(allocation: &Allocation) -> [String; 2] {
    let figures = allocation.figures();
    let won = format!("allocated {}", notation::grouped(figures.successes));
    [won, format!("failed {}", notation::grouped(figures.failures))]
}

fn occupancy(allocation: &Allocation) -> [String; 2] {
    allocation.occupancy_counts().map_or_else(Default::default, |occupancy_counts| {
        let of = words::of(occupancy_counts.occupied, occupancy_counts.candidates);
        [format!("{} in use", notation::percent(occupancy_counts.share())), of + " ports"]
    })
}

fn mean(allocation: &Allocation) -> [String; 2] {
    let measured = allocation.figures().mean();
    let model = allocation.model().map(|model| model.expected_attempts(allocation.attempt_limit()));
    [
        measured.map_or_else(String::new, |mean| format!("mean {mean:.2} attempts")),
        model.map_or_else(String::new, |mean| format!("expected {mean:.2}")),
    ]
}
