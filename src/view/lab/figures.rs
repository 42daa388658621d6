//! A strategy's figures beside what theory predicts. Counts nothing.

use std::time::Duration;

use ratatui::{style::Style, text::Span};

use super::Sight;
use crate::{
    app::lab::{Contender, Figures, Habit, Predictability},
    view::{Role, Theme, allocate::column::Column, words::thousands},
};

/// Of the words before a figure.
const LABEL: usize = 10;
/// Standard errors that a measurement may be off without being doubted.
const TOLERANCE: f64 = 4.0;
const BAR: usize = 8;

pub fn render(sight: &Sight<'_>, column: &mut Column<'_>) {
    let Some(contender) = sight.contender else {
        return column.text("not run yet", Role::Dim);
    };
    let figures = &contender.figures;
    attempts(figures, column);
    failures(figures, column);
    let guess = &figures.predictability;
    labelled("looks like", &habit(guess), Role::Text, column);
    guessed(sight, guess, column);
    labelled("a success", &time(figures), Role::Text, column);
    labelled("ports", &ports(figures), Role::Text, column);
    labelled("occupied", &runs(contender), Role::Text, column);
    if figures.snapshots.0 > 0 {
        labelled("looked", &looks(figures), Role::Text, column);
    }
    labelled("last", &last(contender), Role::Text, column);
}

fn labelled(label: &str, value: &str, role: Role, column: &mut Column<'_>) {
    let dim = column.theme.style(Role::Dim);
    let style = column.theme.style(role);
    column.line([Span::styled(format!("{label:<LABEL$} "), dim), Span::styled(value, style)]);
}

/// Measured, predicted, and how they agree.
fn attempts(figures: &Figures, column: &mut Column<'_>) {
    let mean = figures.mean();
    let predicted = figures.predicted.map(|predicted| predicted.mean_attempts);
    let error = figures.standard_error().unwrap_or(f64::INFINITY);
    let style = agreement(mean.zip(predicted), error, column.theme);
    let law = predicted.map_or_else(|| "no law".to_owned(), |law| format!("law {}", number(law)));
    let p99 = figures.quantile(0.99).map_or_else(|| "none".to_owned(), thousands);
    let dim = column.theme.style(Role::Dim);
    let mean = mean.map_or_else(|| "-".to_owned(), number);
    column.line([
        Span::styled(format!("{:<LABEL$} ", "attempts"), dim),
        Span::styled(mean, style.bold()),
        Span::styled(format!("  {law}"), dim),
        Span::styled(format!("  p99 {p99}"), dim),
    ]);
}

fn failures(figures: &Figures, column: &mut Column<'_>) {
    let rate = figures.failure_rate();
    let predicted = figures.predicted.map(|predicted| predicted.failure_rate);
    // Of a count: at least that of one failure, where none was expected either.
    let error = predicted.map_or(f64::INFINITY, |law| {
        let runs = figures.runs.max(1) as f64;
        (law * (1.0 - law) / runs).sqrt().max(0.25 / runs)
    });
    let style = agreement(rate.zip(predicted), error, column.theme);
    let law = predicted.map_or_else(|| "no law".to_owned(), |law| format!("law {}", percent(law)));
    let dim = column.theme.style(Role::Dim);
    column.line([
        Span::styled(format!("{:<LABEL$} ", "failed"), dim),
        Span::styled(rate.map_or_else(|| "-".to_owned(), percent), style),
        Span::styled(format!("  {law}"), dim),
    ]);
}

fn agreement(pair: Option<(f64, f64)>, error: f64, theme: &Theme) -> Style {
    match pair {
        Some((seen, law)) if (seen - law).abs() <= TOLERANCE * error + 1e-9 => {
            theme.style(Role::Ok)
        }
        Some(_) => theme.style(Role::Warn),
        None => theme.style(Role::Text),
    }
}

fn number(value: f64) -> String {
    match value {
        ..100.0 => format!("{value:.2}"),
        ..1000.0 => format!("{value:.1}"),
        _ => thousands(value.round() as u64),
    }
}

/// Of 0 to 1.
fn percent(rate: f64) -> String {
    match rate * 100.0 {
        0.0 => "0 %".to_owned(),
        small @ ..0.001 => format!("{small:.0e} %"),
        small @ ..1.0 => format!("{small:.3} %"),
        large => format!("{large:.2} %"),
    }
}

pub fn habit(guess: &Predictability) -> String {
    match guess.habit {
        Habit::Unseen => "too few ports yet".to_owned(),
        Habit::Stuck => "always the same".to_owned(),
        Habit::Favourite { port } => format!("mostly {port}"),
        Habit::Counter { step } => format!("counter {step:+}"),
        Habit::EvenSteps => "even steps 2 to 16".to_owned(),
        Habit::SmallSteps { most } => format!("steps up to {}", thousands(most)),
        Habit::Narrow { ports } => format!("within {} ports", thousands(ports)),
        Habit::OneParity => "one parity".to_owned(),
        Habit::Uniform => "uniform".to_owned(),
    }
}

/// How much of the next port is known, as a bar, in bits, and the best guess.
fn guessed(sight: &Sight<'_>, guess: &Predictability, column: &mut Column<'_>) {
    if guess.habit == Habit::Unseen {
        return labelled("", "", Role::Dim, column);
    }
    let theme = sight.theme;
    let all = f64::from(sight.lab.options().range.len().max(2)).log2();
    let known = (1.0 - guess.bits_left / all).clamp(0.0, 1.0);
    let filled = (known * BAR as f64).round() as usize;
    let role = match known {
        ..0.2 => Role::Ok,
        ..0.6 => Role::Warn,
        _ => Role::Critical,
    };
    let bits = format!(" {:.1} bits left", guess.bits_left);
    let next = guess.guess.map(|port| format!(": {port}?")).unwrap_or_default();
    column.line([
        Span::styled(format!("{:<LABEL$} ", "guessable"), theme.style(Role::Dim)),
        Span::styled(theme.glyph("█", "#").repeat(filled), theme.style(role)),
        Span::styled(theme.glyph("░", ".").repeat(BAR - filled), theme.style(Role::Faint)),
        Span::raw(bits + &next),
    ]);
}

fn time(figures: &Figures) -> String {
    figures.time_of_success().map_or_else(|| "-".to_owned(), short)
}

/// Three digits and a unit.
pub fn short(time: Duration) -> String {
    match time.as_nanos() {
        nanoseconds @ ..1_000 => format!("{nanoseconds} ns"),
        nanoseconds @ ..1_000_000 => format!("{:.1} us", nanoseconds as f64 / 1e3),
        nanoseconds => format!("{:.1} ms", nanoseconds as f64 / 1e6),
    }
}

fn ports(figures: &Figures) -> String {
    let entropy = figures.entropy_bits.map(|bits| format!(", {bits:.1} bits")).unwrap_or_default();
    format!("{} different{entropy}", thousands(figures.distinct))
}

/// The occupied runs that a scan would walk.
fn runs(contender: &Contender) -> String {
    let lengths = &contender.figures.lengths;
    let Some((longest, _)) = lengths.last() else { return "no runs".to_owned() };
    let count: u32 = lengths.iter().map(|(_, count)| count).sum();
    let ports: u32 = lengths.iter().map(|(length, count)| length * count).sum();
    let mean = f64::from(ports) / f64::from(count.max(1));
    format!("runs of {mean:.1}, longest {}", thousands(*longest))
}

fn looks(figures: &Figures) -> String {
    let (count, time) = figures.snapshots;
    let each = time / u32::try_from(count).unwrap_or(u32::MAX).max(1);
    format!("{} times, {} each", thousands(count), short(each))
}

fn last(contender: &Contender) -> String {
    match contender.last {
        None => "-".to_owned(),
        Some(finished) => match finished.port {
            Some(port) => format!("{port} after {}", thousands(finished.attempts)),
            None => format!("gave up after {}", thousands(finished.attempts)),
        },
    }
}
