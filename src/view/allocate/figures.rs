//! The figures of a run beside what the law says. Counts nothing.

use crate::{
    app::allocation::{Allocation, Order, Reached, Site},
    view::{
        Role,
        allocate::{
            Sight,
            column::{Column, counted, first_fitting, fitted},
        },
        words::thousands,
    },
};

/// Lines of `section`.
pub const ROOMY_ROWS: u16 = 6;
/// Lines of `narrow`.
pub const NARROW_ROWS: u16 = 11;

/// Of the columns of `section`: the label's, then one each figure.
const LABEL: usize = 5;
const WIDTHS: [usize; 6] = [7, 7, 7, 7, 8, 9];

/// A row of the table: what it is, what was seen, what the law says.
type Row = (&'static str, String, String);

/// One column a figure.
pub fn section(sight: Sight<'_>, column: &mut Column<'_>) {
    let allocation = sight.allocation;
    let figures = allocation.figures();
    let failures = format!("{} gave up", thousands(figures.failures));
    let finished = counted(figures.finished(), "allocation");
    column.rule("Running", &fitted(&[&finished, &failures], column.width().saturating_sub(10)));
    let rows = rows(allocation);
    let line = |label: &str, pick: &dyn Fn(&Row) -> String| {
        let cells = rows.iter().zip(WIDTHS).map(|(row, width)| format!("{:>width$}", pick(row)));
        cells.fold(format!("{label:<LABEL$}"), |line, cell| line + &cell)
    };
    column.text(&line("", &|row| row.0.to_owned()), Role::Dim);
    column.text(&line("seen", &|row| row.1.clone()), Role::Text);
    column.text(&line("law", &|row| row.2.clone()), Role::Dim);
    let each = if figures.attempts == 0 {
        String::new()
    } else {
        format!("{} each", nanoseconds(allocation))
    };
    let attempts = counted(figures.attempts, "attempt");
    let rate = rate(sight).map_or_else(String::new, |rate| format!("{rate} a second"));
    let parts = [attempts, rate, each];
    column.text(&fitted(&parts.each_ref().map(String::as_str), column.width()), Role::Text);
    let law = law_words(allocation);
    let words = match allocation.site() {
        Site::Machine => vec![format!("{law} at the last scan"), law],
        Site::Simulated { .. } => vec![law],
    };
    column.text(&first_fitting(&words, column.width(), column.theme), Role::Dim);
}

/// Which law it is that the figures are held against.
fn law_words(allocation: &Allocation) -> String {
    let Some(law) = allocation.law() else {
        return format!(
            "no law is known for {} on an occupancy that stands",
            allocation.row().name
        );
    };
    let tries = match allocation.row().order {
        Order::Shuffled => "uniform tries, no port twice,",
        Order::Scan => "a scan of these very runs,",
        Order::OnlyFree => "only free ports are tried,",
        Order::Replacement | Order::Fixed | Order::Unknown => "uniform tries at",
    };
    let occupied = allocation.ground().map_or_else(|| law.miss(), |ground| ground.share());
    format!("law: {tries} {} in use", percent(occupied))
}

/// One line a figure.
pub fn narrow(sight: Sight<'_>, column: &mut Column<'_>) {
    let allocation = sight.allocation;
    let figures = allocation.figures();
    column.rule("Running", "");
    let pace = match rate(sight) {
        Some(rate) => ("a second", rate),
        None => ("a try", nanoseconds(allocation)),
    };
    for (label, value) in [
        ("won", thousands(figures.successes)),
        ("gave up", thousands(figures.failures)),
        ("attempts", thousands(figures.attempts)),
        pace,
    ] {
        column.pair(&format!("{label:<9}"), Role::Dim, &format!("{value:>13}"), Role::Text);
    }
    column.text(&format!("{:>14}{:>8}", "seen", "law"), Role::Dim);
    for (label, seen, law) in rows(allocation).into_iter().filter(|row| row.0 != "fail") {
        column.pair(&format!("{label:<6}"), Role::Dim, &format!("{seen:>8}{law:>8}"), Role::Text);
    }
}

/// Attempts a second, where the speed does not say it already.
pub fn rate(sight: Sight<'_>) -> Option<String> {
    let rate = sight.allocation.attempts_per_second(sight.now);
    let is_told = sight.allocation.is_running() && sight.allocation.is_sampled();
    is_told.then(|| thousands(rate.round() as u64))
}

fn rows(allocation: &Allocation) -> [Row; 6] {
    let (figures, law) = (allocation.figures(), allocation.law());
    let law = law.as_ref();
    let limit = allocation.options().max_attempts;
    let seen = |share| {
        figures.quantile(share).map(|reached| match reached {
            Reached::After(attempts) => thousands(attempts),
            Reached::GaveUp => format!(">{}", thousands(limit)),
        })
    };
    let lawful = |share| {
        law.map(|law| match law.quantile(share, limit) {
            Some(attempts) => thousands(attempts),
            None => format!(">{}", thousands(limit)),
        })
    };
    let failed =
        (figures.finished() > 0).then(|| figures.failures as f64 / figures.finished() as f64);
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mean = |value: f64| format!("{value:.2}");
    [
        (
            "mean",
            text(figures.mean(limit).map(mean)),
            text(law.map(|l| mean(l.expected_attempts(limit)))),
        ),
        ("p50", text(seen(0.50)), text(lawful(0.50))),
        ("p99", text(seen(0.99)), text(lawful(0.99))),
        ("max", text(figures.most().map(thousands)), String::new()),
        ("fail", text(failed.map(percent)), text(law.map(|l| percent(l.failure(limit))))),
        (
            "in use",
            text(figures.collision_rate().map(percent)),
            text(law.map(|l| percent(l.miss()))),
        ),
    ]
}

fn nanoseconds(allocation: &Allocation) -> String {
    let each = allocation.figures().nanoseconds_per_attempt();
    each.map_or_else(|| "-".to_owned(), |each| format!("{} ns", thousands(each)))
}

/// Never says nothing or all of what is some.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent <= 0.0 => "0 %".to_owned(),
        percent if percent < 0.1 => "<0.1 %".to_owned(),
        percent if (99.95..100.0).contains(&percent) => ">99.9 %".to_owned(),
        percent if percent >= 100.0 => "100 %".to_owned(),
        percent => format!("{percent:.1} %"),
    }
}
