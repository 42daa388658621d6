//! Draws the figures of one strategy, and whether the measured ones agree with the expected ones.

use std::time::Duration;

use ratatui::text::Span;

use crate::{
    app::{
        LabScreen,
        lab::{Habit, Predictability, StrategyFigures},
    },
    domain::notation,
    view::{
        Role, Theme, bars,
        lab::LabColumn,
        surface::{Surface, fitted},
    },
};

/// Maximum number of lines that `section` draws.
pub const LINES: u16 = 9;
const LABEL: usize = 9;
/// A measured figure agrees if it is at most this many standard errors off the expected one.
const MAX_STANDARD_ERRORS: f64 = 4.0;
/// Minimum number of runs for a comparison.
const MIN_RUNS: u64 = 30;
/// Minimum width at which the bar of the next port has the word `predictable`.
const WITH_PREDICTABLE: usize = 36;

/// Draws the figures. If `is_brief`, leaves out those that the table shows.
pub fn section(lab: &LabScreen, entry: &LabColumn<'_>, is_brief: bool, column: &mut Surface<'_>) {
    let Some(figures) = entry.figures() else {
        let note = if lab.is_running() { "nothing measured yet" } else { "Space starts the lab" };
        column.text(note, Role::Dim);
        return column.skip(LINES - 1);
    };
    quantiles(figures, lab.options().max_attempts, column);
    if !is_brief {
        mean(figures, column);
        failures(figures, column);
    }
    next(lab, &figures.predictability, column);
    given(figures, column);
    time(figures, column);
    lengths(figures, column);
    if figures.snapshots.0 > 0 {
        snapshots(figures, column);
    } else {
        last(entry, column);
    }
}

fn label(label: &str, theme: &Theme) -> Span<'static> {
    Span::styled(format!("{label:<LABEL$}"), theme.style(Role::Dim))
}

/// Draws the first of `wordings` that fits beside the label; cuts none. `wordings` must be ordered
/// longest first.
fn line(name: &str, wordings: &[String], role: Role, column: &mut Surface<'_>) {
    let room = column.width().saturating_sub(LABEL);
    let words = wordings.iter().find(|words| words.chars().count() <= room);
    let words = words.cloned().unwrap_or_default();
    let style = column.theme.style(role);
    column.line([label(name, column.theme), Span::styled(words, style)]);
}

/// Draws a measured figure, `-` if there is none, beside the expected one. The colour of `role`
/// shows whether they agree.
fn beside(
    name: &str,
    [measured, expected]: [Option<String>; 2],
    role: Role,
    column: &mut Surface<'_>,
) {
    let theme = column.theme;
    let model = match (&measured, expected) {
        // The mark is that of expected values in the histogram.
        (_, Some(expected)) => {
            let mark = theme.glyph("◇", "o");
            [format!(" expected {expected}"), format!(" {mark} {expected}")]
        }
        (Some(_), None) => [" no model".to_owned(), String::new()],
        (None, None) => Default::default(),
    };
    let measured = measured.unwrap_or_else(|| "-".to_owned());
    let room = column.width().saturating_sub(LABEL + measured.len());
    let model = model.into_iter().find(|model| model.chars().count() <= room);
    let model = model.unwrap_or_default();
    let style = theme.style(role);
    let style = if role == Role::Text { style } else { style.bold() };
    column.line([
        label(name, theme),
        Span::styled(measured, style),
        Span::styled(model, theme.style(Role::Dim)),
    ]);
}

fn mean(figures: &StrategyFigures, column: &mut Surface<'_>) {
    let expected = figures.expected.map(|model| number(model.mean_attempts));
    beside("mean", [figures.mean().map(number), expected], mean_role(figures), column);
}

/// Returns the role of the measured mean: `Ok` within four standard errors of the expected mean,
/// else `Warn`. Returns `Text` if there are too few runs or no model.
pub fn mean_role(figures: &StrategyFigures) -> Role {
    let expected = figures.expected.filter(|_| figures.runs >= MIN_RUNS);
    let expected = expected.map(|model| model.mean_attempts);
    let (Some(mean), Some(model), Some(error)) =
        (figures.mean(), expected, figures.standard_error())
    else {
        return Role::Text;
    };
    // If all runs took the same number of attempts, the measured standard error is 0. In that case
    // the standard error of independent attempts is used, which is 0 only if exactly one attempt is
    // expected.
    let error = if error > 0.0 {
        error
    } else {
        (model * (model - 1.0)).max(0.0).sqrt() / (figures.runs as f64).sqrt()
    };
    // The last term allows for rounding errors.
    verdict((mean - model).abs() <= MAX_STANDARD_ERRORS * error + 1e-9 * model)
}

/// Returns the role of the measured failure rate, as [`mean_role`] does for the mean.
pub fn failure_role(figures: &StrategyFigures) -> Role {
    let expected = figures.expected.filter(|_| figures.runs >= MIN_RUNS);
    let (Some(rate), Some(model)) = (figures.failure_rate(), expected) else { return Role::Text };
    let runs = figures.runs as f64;
    let error = (model.failure_rate * (1.0 - model.failure_rate) / runs).max(0.0).sqrt();
    // The last term allows for one failure more or less.
    verdict((rate - model.failure_rate).abs() <= MAX_STANDARD_ERRORS * error + 1.0 / runs)
}

fn verdict(agrees: bool) -> Role {
    if agrees { Role::Ok } else { Role::Warn }
}

/// Formats the number of attempts within which this share (0 to 1) of all allocations got a port;
/// `>100` if fewer did within the limit of 100 attempts, `-` before the first allocation.
pub fn quantile(figures: &StrategyFigures, share: f64, limit: u32) -> String {
    match figures.quantile(share) {
        Some(attempts) => notation::grouped(attempts),
        None if figures.runs > 0 => format!(">{}", notation::grouped(limit)),
        None => "-".to_owned(),
    }
}

/// Draws p50, p99 and the maximum of the attempts of all allocations.
fn quantiles(figures: &StrategyFigures, limit: u32, column: &mut Surface<'_>) {
    let reported = |share| quantile(figures, share, limit);
    let most = figures.most().map(|most| format!("max {}", notation::grouped(most)));
    let [half, p99] = [format!("p50 {}", reported(0.5)), format!("p99 {}", reported(0.99))];
    let parts = [half.as_str(), p99.as_str(), most.as_deref().unwrap_or_default()];
    let room = column.width().saturating_sub(LABEL);
    line("attempts", &[fitted(&parts, room)], Role::Text, column);
}

fn failures(figures: &StrategyFigures, column: &mut Surface<'_>) {
    let measured = figures.failure_rate().map(notation::fine_percent);
    let expected = figures.expected.map(|model| notation::fine_percent(model.failure_rate));
    beside("failed", [measured, expected], failure_role(figures), column);
}

/// Draws what an observer can infer from the last ports, and a bar with the share of the next
/// port's bits that the observer knows.
fn next(lab: &LabScreen, judged: &Predictability, column: &mut Surface<'_>) {
    let known = known(lab, judged);
    let role = known.map_or(Role::Dim, guess_role);
    line("next", &habit(judged), role, column);
    let Some(known) = known else { return column.blank() };
    let theme = column.theme;
    let noun = if column.width() < WITH_PREDICTABLE { "" } else { " predictable" };
    let percent = format!(" {}{noun}", notation::percent(known));
    let width = column.width().saturating_sub(LABEL + percent.len()).min(24) as u16;
    let [filled, rest] = bars::track(known as f32, width, role, theme);
    column.line([label("", theme), filled, rest, Span::styled(percent, theme.style(Role::Dim))]);
}

/// Returns the share (0 to 1) of the next port's bits that an observer of the last ports knows.
/// None: too few ports were allocated.
pub fn known(lab: &LabScreen, judged: &Predictability) -> Option<f64> {
    let counts = lab.occupancy_counts();
    let candidates = counts.map_or(lab.options().range.len(), |counts| counts.candidates);
    let all = f64::from(candidates.max(2)).log2();
    let known = 1.0 - (judged.bits_left / all).clamp(0.0, 1.0);
    (judged.habit != Habit::Unseen).then_some(known)
}

/// Returns the role of the known share (0 to 1) of the next port's bits. The higher the share, the
/// easier another process can bind the port first.
pub fn guess_role(known: f64) -> Role {
    match known {
        known if known > 0.7 => Role::Critical,
        known if known > 0.3 => Role::Warn,
        _ => Role::Ok,
    }
}

/// Returns the wordings for what the last ports show about the next one, longest first.
fn habit(judged: &Predictability) -> Vec<String> {
    let next = judged.guess.map(|port| port.to_string()).unwrap_or_default();
    let pattern = match judged.habit {
        Habit::Unseen => return vec!["too few ports yet".to_owned()],
        Habit::Stuck => format!("always {next}"),
        Habit::Favourite { port } => format!("mostly {port}"),
        Habit::Counter { step } => {
            let sign = if step < 0 { '−' } else { '+' };
            let counter = format!("counter {sign} {}", notation::grouped(step.unsigned_abs()));
            return vec![format!("{counter} = {next}"), format!("counter: {next}"), counter];
        }
        Habit::EvenSteps => "even step, 2 to 16".to_owned(),
        Habit::SmallSteps { most } => format!("step ≤ {}", notation::grouped(most)),
        Habit::Narrow { ports } => format!("within {}", notation::counted(ports, "port")),
        Habit::OneParity => "all even or all odd".to_owned(),
        Habit::Uniform => "no pattern".to_owned(),
    };
    let bits = bits(judged.bits_left);
    let long = match judged.habit {
        Habit::SmallSteps { most } => {
            format!("at most {} above the last", notation::grouped(most))
        }
        _ => pattern.clone(),
    };
    vec![format!("{long}, {bits} unknown"), format!("{pattern}, {bits} unknown"), pattern]
}

/// Formats bits: `0 bits`, `14.0 bits`.
fn bits(bits: f64) -> String {
    if bits <= 0.0 { "0 bits".to_owned() } else { format!("{bits:.1} bits") }
}

fn given(figures: &StrategyFigures, column: &mut Surface<'_>) {
    let distinct = format!("{} distinct", notation::grouped(figures.distinct));
    let entropy = figures.entropy_bits.map(|bits| format!("entropy {bits:.1} bits"));
    let parts = [distinct.as_str(), entropy.as_deref().unwrap_or_default()];
    let room = column.width().saturating_sub(LABEL);
    line("ports", &[fitted(&parts, room)], Role::Text, column);
}

fn time(figures: &StrategyFigures, column: &mut Surface<'_>) {
    let allocations = notation::counted(figures.runs, "allocation");
    let time = match figures.time_of_success() {
        Some(time) => format!("{}/success", notation::elapsed(time)),
        None if figures.runs > 0 && figures.failures == figures.runs => "no success".to_owned(),
        None => "too few allocations".to_owned(),
    };
    let room = column.width().saturating_sub(LABEL);
    line("time", &[fitted(&[&time, &allocations], room)], Role::Text, column);
}

/// Draws the longest and the mean length of the runs of occupied ports in the current occupancy of
/// the strategy.
fn lengths(figures: &StrategyFigures, column: &mut Surface<'_>) {
    let longest = figures.lengths.last().map_or(0, |&(length, _)| length);
    let (ports, runs) =
        figures.lengths.iter().fold((0.0, 0.0), |(ports, runs), &(length, many)| {
            (ports + f64::from(length) * f64::from(many), runs + f64::from(many))
        });
    let wordings = if runs > 0.0 {
        let (longest, mean) = (notation::grouped(longest), number(ports / runs));
        vec![format!("longest run {longest}, mean {mean}"), format!("longest run {longest}")]
    } else {
        vec!["none".to_owned()]
    };
    line("occupied", &wordings, Role::Text, column);
}

/// Draws the cost of the snapshots that a strategy takes before it chooses a port.
fn snapshots(figures: &StrategyFigures, column: &mut Surface<'_>) {
    let (looks, time) = figures.snapshots;
    let each = Duration::from_secs_f64(time.as_secs_f64() / looks.max(1) as f64);
    let each = format!("{} each", notation::elapsed(each));
    let wordings = [format!("{}, {each}", notation::grouped(looks)), each];
    line("snapshot", &wordings, Role::Text, column);
}

fn last(entry: &LabColumn<'_>, column: &mut Surface<'_>) {
    let Some(last) = entry.strategy_report.and_then(|report| report.last) else {
        return column.blank();
    };
    let start = last.port.map_or_else(|| "failed".to_owned(), |port| port.to_string());
    let number = notation::grouped(last.attempts);
    let words = [
        format!("{start} after {}", notation::counted(last.attempts, "attempt")),
        format!("{start} after {number}"),
        start,
    ];
    line("last", &words, Role::Dim, column);
}

/// Formats a number with two digits after the point, one from 100 on, none from 1,000 on.
pub fn number(value: f64) -> String {
    match value {
        value if value < 99.995 => format!("{value:.2}"),
        value if value < 999.95 => format!("{value:.1}"),
        value => notation::grouped(value.round() as u64),
    }
}
