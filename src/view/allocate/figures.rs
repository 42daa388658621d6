//! Draws the figures of a run, measured and expected.

use std::time::Duration;

use crate::{
    app::allocation::{Allocation, AllocatorTarget, Model, Reached},
    domain::notation::{self, percent},
    view::{
        Role,
        allocate::AllocateContext,
        surface::{Surface, first_fitting, fitted},
    },
};

/// Number of lines that `section` draws.
pub const ROOMY_ROWS: u16 = 6;

/// Width of the label of `section`, and of the columns of its figures.
const LABEL: usize = 8;
const WIDTHS: [usize; 6] = [7, 6, 7, 6, 8, 8];
/// Minimum number of attempts for their refused share to be shown.
const MIN_ATTEMPTS: u64 = 100;
/// Width of a line of `narrow`.
const NARROW: usize = 22;

/// A figure: its name, its measured value, its expected value.
type FigureRow = (&'static str, String, String);

/// Draws the figures as a table, one column per figure.
pub fn section(context: AllocateContext<'_>, column: &mut Surface<'_>) {
    let allocation = context.allocation;
    let figures = allocation.figures();
    let failures = format!("{} failed", notation::grouped(figures.failures));
    let finished = notation::counted(figures.finished(), "allocation");
    column.rule("Totals", &fitted(&[&finished, &failures], column.width().saturating_sub(10)));
    let rows = rows(allocation);
    let line = |label: &str, pick: &dyn Fn(&FigureRow) -> String| {
        let cells = rows.iter().zip(WIDTHS).map(|(row, width)| format!("{:>width$}", pick(row)));
        cells.fold(format!("{label:<LABEL$}"), |line, cell| line + &cell)
    };
    column.text(&line("", &|row| row.0.to_owned()), Role::Dim);
    column.text(&line("measured", &|row| row.1.clone()), Role::Text);
    column.text(&line("expected", &|row| row.2.clone()), Role::Dim);
    let is_simulated = matches!(allocation.target(), AllocatorTarget::Simulated { .. });
    let each = if figures.attempts == 0 || is_simulated {
        String::new()
    } else {
        format!("{} each", attempt_time(allocation))
    };
    let attempts = notation::counted(figures.attempts, "attempt");
    let rate = rate(context).map_or_else(String::new, |rate| format!("{rate}/s"));
    let parts = [attempts, rate, each, snapshots(allocation)];
    column.text(&fitted(&parts.each_ref().map(String::as_str), column.width()), Role::Text);
    let words = model_words(allocation);
    column.text(&first_fitting(&words, column.width(), column.theme), Role::Dim);
}

/// Returns the wordings for the model of the expected values, longest first.
fn model_words(allocation: &Allocation) -> Vec<String> {
    let Some(occupancy_counts) = allocation.occupancy_counts() else {
        return vec!["model: not known yet".to_owned()];
    };
    let name = allocation.row().name;
    let (words, few) = match allocation.model() {
        None if occupancy_counts.free() == 0 => {
            return vec!["no model: no port is free".to_owned(), "no model here".to_owned()];
        }
        None => {
            return vec![
                format!("no model for {name} with these ports in use"),
                "no model with these ports in use".to_owned(),
                "no model here".to_owned(),
            ];
        }
        Some(Model::Replacement { .. }) => ("random ports", "random ports"),
        Some(Model::Unique { .. }) => ("random ports, none twice", "none twice"),
        Some(Model::Scan { .. }) => ("in order, random start", "in order"),
        Some(Model::OnlyFree) => ("one attempt", "one attempt"),
    };
    let share = percent(occupancy_counts.share());
    let [long, short] = [words, few].map(|words| format!("model: {words}; {share} in use"));
    match allocation.target() {
        AllocatorTarget::Machine => vec![format!("{long} at the last scan"), long, short],
        AllocatorTarget::Simulated { .. } => vec![long, short],
    }
}

/// Formats the number of snapshots that the strategy took, and the mean time of one. Empty: it took
/// none.
fn snapshots(allocation: &Allocation) -> String {
    let count = notation::counted(allocation.figures().snapshots.0, "snapshot");
    snapshot_time(allocation)
        .map_or_else(String::new, |each| format!("{count}, {} each", notation::elapsed(each)))
}

fn snapshot_time(allocation: &Allocation) -> Option<Duration> {
    let (count, time) = allocation.figures().snapshots;
    u32::try_from(count).ok().and_then(|count| time.checked_div(count))
}

/// Returns the number of lines that `narrow` draws.
pub fn narrow_rows(allocation: &Allocation) -> u16 {
    11 + u16::from(allocation.row().needs_port_view)
}

/// Draws one line per figure.
pub fn narrow(context: AllocateContext<'_>, column: &mut Surface<'_>) {
    let allocation = context.allocation;
    let figures = allocation.figures();
    column.rule("Totals", "");
    let pace = match rate(context) {
        Some(rate) => ("rate", format!("{rate}/s")),
        None => ("per attempt", attempt_time(allocation)),
    };
    for (label, value) in [
        ("allocated", notation::grouped(figures.successes)),
        ("failed", notation::grouped(figures.failures)),
        ("attempts", notation::grouped(figures.attempts)),
        pace,
    ] {
        let label = format!("{label:<9}");
        let width = NARROW - label.len();
        column.labelled(&label, &format!("{value:>width$}"));
    }
    if allocation.row().needs_port_view {
        let (count, _) = figures.snapshots;
        let value = match snapshot_time(allocation) {
            Some(each) => {
                format!("{} x {}", notation::grouped(count), notation::elapsed(each))
            }
            None => "-".to_owned(),
        };
        column.labelled("snapshot ", &format!("{value:>13}"));
    }
    column.text(&format!("{:>13} {:>8}", "measured", "expected"), Role::Dim);
    for (label, measured, model) in rows(allocation).into_iter().filter(|row| row.0 != "failed") {
        column.labelled(&format!("{label:<7}"), &values(label, &measured, &model));
    }
}

/// Formats the measured and the expected value beside a label, with gaps between the three. Two of
/// the widest shares, `>99.9 %`, do not fit beside `refused`: the expected one is then left out.
fn values(label: &str, measured: &str, model: &str) -> String {
    let is_full = label.len() + measured.len() + model.len() + 2 > NARROW;
    let model = if is_full { "" } else { model };
    let width = measured.len().max(7) + usize::from(label.len() + measured.len() >= 14);
    let rest = NARROW - 7 - width;
    format!("{measured:>width$}{model:>rest$}")
}

/// Returns the attempts per second during a sampled run. None: the run is paused, or it is not
/// sampled, so that the name of its speed states the rate.
pub fn rate(context: AllocateContext<'_>) -> Option<String> {
    let rate = context.allocation.attempts_per_second(context.now);
    let is_reported = context.allocation.is_running() && context.allocation.is_sampled();
    is_reported.then(|| notation::grouped(rate.round() as u64))
}

fn rows(allocation: &Allocation) -> [FigureRow; 6] {
    let (figures, model) = (allocation.figures(), allocation.model());
    let model = model.as_ref();
    let (limit, most) = (allocation.options().max_attempts, allocation.attempt_limit());
    let measured = |share| {
        figures.quantile(share).map(|reached| match reached {
            Reached::After(attempts) => notation::grouped(attempts),
            Reached::GaveUp => format!(">{}", notation::grouped(limit)),
        })
    };
    let expected = |share| {
        model.map(|model| match model.quantile(share, most) {
            Some(attempts) => notation::grouped(attempts),
            None => format!(">{}", notation::grouped(limit)),
        })
    };
    let failed =
        (figures.finished() > 0).then(|| figures.failures as f64 / figures.finished() as f64);
    // The expected share of refused attempts among all attempts, those of failed allocations
    // included.
    let collisions =
        model.map(|model| 1.0 - (1.0 - model.failure(most)) / model.expected_attempts(most));
    // A share of a few attempts would look like a result.
    let refused = figures.collision_rate().filter(|_| figures.attempts >= MIN_ATTEMPTS);
    let mean = |value: f64| format!("{value:.2}");
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        ("mean", figures.mean().map(mean), model.map(|m| mean(m.expected_attempts(most)))),
        ("p50", measured(0.50), expected(0.50)),
        ("p99", measured(0.99), expected(0.99)),
        ("max", figures.most().map(notation::grouped), Some(String::new())),
        ("failed", failed.map(percent), model.map(|model| percent(model.failure(most)))),
        ("refused", refused.map(percent), collisions.map(percent)),
    ]
    .map(|(name, measured, expected)| (name, text(measured), text(expected)))
}

/// Formats the mean time of an attempt; `-` before the first one, and in a simulation, which has no
/// bind() to measure.
fn attempt_time(allocation: &Allocation) -> String {
    let is_real = allocation.target() == AllocatorTarget::Machine;
    let each = allocation.figures().nanoseconds_per_attempt().filter(|_| is_real);
    each.map_or_else(|| "-".to_owned(), |each| notation::elapsed(Duration::from_nanos(each)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_and_its_values_never_touch() {
        assert_eq!(values("mean", "10.00", "10.00"), "  10.00   10.00");
        assert_eq!(values("refused", ">99.9 %", "99.0 %"), " >99.9 % 99.0 %");
        assert_eq!(values("refused", ">99.9 %", ">99.9 %"), " >99.9 %       ");
    }
}
