//! Draws the figures of one strategy, measured and expected. Does not count.

use ratatui::{style::Style, text::Span};

use crate::{
    app::{
        LabScreen,
        lab::{Habit, Predictability, StrategyFigures},
    },
    domain::notation,
    view::{
        Role, Theme,
        allocate::column::{TextColumn, fitted},
        heatmap::bar,
        lab::LabColumn,
    },
};

/// Lines of `section`.
pub const LINES: u16 = 9;
const LABEL: usize = 9;
/// Measured figures agree with the expected ones within this many standard errors.
const ERRORS: f64 = 4.0;
/// Minimum number of runs for a comparison.
const ENOUGH: u64 = 30;

/// Draws the figures. If `is_brief`, leaves out those that the table shows.
pub fn section(
    lab: &LabScreen,
    entry: &LabColumn<'_>,
    is_brief: bool,
    column: &mut TextColumn<'_>,
) {
    let Some(contender) = entry.contender else {
        column.text("nothing measured yet", Role::Dim);
        (1..LINES).for_each(|_| column.blank());
        return;
    };
    let figures = &contender.figures;
    if is_brief {
        quantiles("attempts", figures, column);
    } else {
        mean(figures, column);
        quantiles("", figures, column);
        failures(figures, column);
    }
    guess(lab, &figures.predictability, column);
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

/// Draws the longest of these wordings that fits beside a label; cuts none of them.
fn line(name: &str, wordings: &[String], role: Role, column: &mut TextColumn<'_>) {
    let room = column.width().saturating_sub(LABEL);
    let words = wordings.iter().find(|words| words.chars().count() <= room);
    let words = words.map_or("", String::as_str).to_owned();
    let style = column.theme.style(role);
    column.line([label(name, column.theme), Span::styled(words, style)]);
}

/// Draws a measured figure beside the expected one; its colour shows whether they agree.
fn beside(
    name: &str,
    [prefix, measured, expected]: [&str; 3],
    role: Role,
    column: &mut TextColumn<'_>,
) {
    let theme = column.theme;
    let room = column.width().saturating_sub(LABEL + prefix.len() + measured.len());
    let model = if expected.is_empty() {
        [" no model".to_owned(), String::new()]
    } else {
        [format!(" expected {expected}"), format!(" exp. {expected}")]
    };
    let model = model.into_iter().find(|model| model.len() <= room).unwrap_or_default();
    let style = theme.style(role);
    let style = if role == Role::Text { style } else { style.bold() };
    column.line([
        label(name, theme),
        Span::raw(prefix.to_owned()),
        Span::styled(measured.to_owned(), style),
        Span::styled(model, theme.style(Role::Dim)),
    ]);
}

fn mean(figures: &StrategyFigures, column: &mut TextColumn<'_>) {
    let measured = figures.mean().map_or_else(String::new, number);
    let expected = figures.expected.map(|model| model.mean_attempts);
    let reported = expected.map(number).unwrap_or_default();
    beside("attempts", ["mean ", &measured, &reported], mean_role(figures), column);
}

/// Returns the role of the measured mean: `Ok` within four standard errors of the expected mean,
/// else `Warn`. Returns `Text` if there are too few runs or no model.
pub fn mean_role(figures: &StrategyFigures) -> Role {
    let expected = figures.expected.map(|model| model.mean_attempts);
    let (Some(mean), Some(model), Some(error)) =
        (figures.mean(), expected, figures.standard_error())
    else {
        return Role::Text;
    };
    if figures.runs < ENOUGH {
        return Role::Text;
    }
    // If all runs took the same number of attempts, the measured standard error is 0. Then uses the
    // error of independent attempts, which is 0 only if exactly one attempt is expected.
    let error = if error > 0.0 {
        error
    } else {
        (model * (model - 1.0)).max(0.0).sqrt() / (figures.runs as f64).sqrt()
    };
    // The last term allows for rounding errors.
    verdict((mean - model).abs() <= ERRORS * error + 1e-9 * model)
}

pub fn failure_role(figures: &StrategyFigures) -> Role {
    let (Some(rate), Some(model)) = (figures.failure_rate(), figures.expected) else {
        return Role::Text;
    };
    if figures.runs < ENOUGH {
        return Role::Text;
    }
    let runs = figures.runs as f64;
    let error = (model.failure_rate * (1.0 - model.failure_rate) / runs).max(0.0).sqrt();
    // The last term allows for one failure more or less.
    verdict((rate - model.failure_rate).abs() <= ERRORS * error + 1.0 / runs)
}

fn verdict(agrees: bool) -> Role {
    if agrees { Role::Ok } else { Role::Warn }
}

fn quantiles(name: &str, figures: &StrategyFigures, column: &mut TextColumn<'_>) {
    let reported = |share| match (figures.runs, figures.quantile(share)) {
        (0, _) => "–".to_owned(),
        (_, Some(attempts)) => notation::grouped(attempts),
        (_, None) => "fails".to_owned(),
    };
    let most = figures.most().map(|most| format!("max {}", notation::grouped(most)));
    let [half, p99] = [format!("p50 {}", reported(0.5)), format!("p99 {}", reported(0.99))];
    let parts = [half.as_str(), p99.as_str(), most.as_deref().unwrap_or_default()];
    let room = column.width().saturating_sub(LABEL);
    line(name, &[fitted(&parts, room)], Role::Text, column);
}

fn failures(figures: &StrategyFigures, column: &mut TextColumn<'_>) {
    let measured = figures.failure_rate().map(notation::fine_percent).unwrap_or_default();
    let reported = figures
        .expected
        .map(|model| notation::fine_percent(model.failure_rate))
        .unwrap_or_default();
    beside("failed", ["", &measured, &reported], failure_role(figures), column);
}

/// Draws what an observer can infer from the last ports, and a bar with the known share of the next
/// port.
fn guess(lab: &LabScreen, judged: &Predictability, column: &mut TextColumn<'_>) {
    let known = known(lab, judged);
    let role = known.map_or(Role::Dim, guess_role);
    line("guess", &habit(judged), role, column);
    let Some(known) = known else {
        line("", &["too few ports yet".to_owned()], Role::Dim, column);
        return;
    };
    let theme = column.theme;
    let percent = format!(" {:.0} % known", known * 100.0);
    let width = column.width().saturating_sub(LABEL + percent.len()).min(24) as u16;
    let filled = bar(known as f32, width, theme);
    let rest = usize::from(width).saturating_sub(filled.chars().count());
    let ground = Style::new().bg(theme.color(Role::Available));
    let empty = if theme.needs_whole_cells() { theme.glyph("·", ".") } else { " " };
    column.line([
        label("", theme),
        Span::styled(filled, theme.style(role).patch(ground)),
        Span::styled(empty.repeat(rest), theme.style(Role::Dim).patch(ground)),
        Span::styled(percent, theme.style(Role::Dim)),
    ]);
}

/// Returns the known share of the next port's bits; `None` if too few ports were allocated.
pub fn known(lab: &LabScreen, judged: &Predictability) -> Option<f64> {
    let candidates = lab.ground().map_or(lab.options().range.len(), |ground| ground.candidates);
    let all = f64::from(candidates.max(2)).log2();
    let known = 1.0 - (judged.bits_left / all).clamp(0.0, 1.0);
    (judged.habit != Habit::Unseen).then_some(known)
}

/// Returns the role of the known share. The more of the next port is known, the easier another
/// process can take it.
pub fn guess_role(known: f64) -> Role {
    match known {
        known if known > 0.7 => Role::Critical,
        known if known > 0.3 => Role::Warn,
        _ => Role::Ok,
    }
}

/// Returns the wordings for how predictable the ports are, longest first.
pub fn habit(judged: &Predictability) -> Vec<String> {
    let bits = bits(judged.bits_left);
    let next = judged.guess.map(|port| port.to_string()).unwrap_or_default();
    match judged.habit {
        Habit::Unseen => vec!["–".to_owned()],
        Habit::Stuck => vec![format!("stuck, {bits}: next {next}"), "stuck".to_owned()],
        Habit::Favourite { port } => {
            vec![format!("mostly {port}, {bits} left"), format!("mostly {port}")]
        }
        Habit::Counter { step } => vec![
            format!("counter {step:+}, {bits}: next {next}"),
            format!("counter {step:+}: {next}"),
            "counter".to_owned(),
        ],
        Habit::EvenSteps => vec![
            format!("even steps 2 to 16, {bits} left"),
            format!("even steps, {bits}"),
            "even steps".to_owned(),
        ],
        Habit::SmallSteps { most } => vec![
            format!("steps up to {most}, {bits} left"),
            format!("steps up to {most}, {bits}"),
            format!("steps up to {most}"),
            "steps".to_owned(),
        ],
        Habit::Narrow { ports } => vec![
            format!("next within {ports} ports, {bits} left"),
            format!("within {ports} ports, {bits}"),
            format!("within {ports} ports"),
            "narrow".to_owned(),
        ],
        Habit::OneParity => vec![
            format!("one parity, {bits} left"),
            format!("one parity, {bits}"),
            "one parity".to_owned(),
        ],
        Habit::Uniform => {
            vec![format!("uniform, {bits} left"), format!("uniform, {bits}"), "uniform".to_owned()]
        }
    }
}

/// Formats bits: `0 bits`, `14.0 bits`.
fn bits(bits: f64) -> String {
    if bits <= 0.0 { "0 bits".to_owned() } else { format!("{bits:.1} bits") }
}

fn given(figures: &StrategyFigures, column: &mut TextColumn<'_>) {
    let distinct = format!("{} distinct", notation::grouped(figures.distinct));
    let entropy = figures.entropy_bits.map(|bits| format!("entropy {bits:.1} bits"));
    let parts = [distinct.as_str(), entropy.as_deref().unwrap_or_default()];
    let room = column.width().saturating_sub(LABEL);
    line("ports", &[fitted(&parts, room)], Role::Text, column);
}

fn time(figures: &StrategyFigures, column: &mut TextColumn<'_>) {
    let runs = notation::counted(figures.runs, "run");
    let time = figures.time_of_success().map(|time| {
        let nanoseconds = time.as_nanos();
        format!("{}ns/success", notation::grouped(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
    });
    let time = time.unwrap_or_else(|| "not timed yet".to_owned());
    let room = column.width().saturating_sub(LABEL);
    line("time", &[fitted(&[&time, &runs], room)], Role::Text, column);
}

/// Draws the lengths of the runs of occupied ports that the strategy currently meets.
fn lengths(figures: &StrategyFigures, column: &mut TextColumn<'_>) {
    let longest = figures.lengths.last().map_or(0, |&(length, _)| length);
    let (ports, runs) =
        figures.lengths.iter().fold((0.0, 0.0), |(ports, runs), &(length, many)| {
            (ports + f64::from(length) * f64::from(many), runs + f64::from(many))
        });
    let wordings = if runs > 0.0 {
        let (longest, mean) = (notation::grouped(longest), number(ports / runs));
        vec![
            format!("longest run {longest}, mean {mean}"),
            format!("runs ≤ {longest}, mean {mean}"),
            format!("runs ≤ {longest}"),
        ]
    } else {
        vec!["none".to_owned()]
    };
    let ascii = column.theme.ascii;
    let wordings: Vec<String> =
        wordings.into_iter().map(|w| if ascii { w.replace('≤', "<=") } else { w }).collect();
    line("occupied", &wordings, Role::Text, column);
}

/// Draws the cost of the snapshots that a strategy takes before it chooses a port.
fn snapshots(figures: &StrategyFigures, column: &mut TextColumn<'_>) {
    let (looks, time) = figures.snapshots;
    let each = time.as_secs_f64() * 1e6 / looks as f64;
    let wordings =
        [format!("{} at {each:.1}µs each", notation::grouped(looks)), format!("{each:.0}µs each")];
    let ascii = column.theme.ascii;
    let wordings = wordings.map(|w| if ascii { w.replace('µ', "u") } else { w });
    line("snapshot", &wordings, Role::Text, column);
}

fn last(entry: &LabColumn<'_>, column: &mut TextColumn<'_>) {
    let Some(last) = entry.contender.and_then(|contender| contender.last) else {
        column.blank();
        return;
    };
    let attempts = notation::grouped(last.attempts);
    let (words, role) = match last.port {
        Some(port) => (vec![format!("{port}, try {attempts}"), port.to_string()], Role::Dim),
        None => (vec![format!("gave up after {attempts}"), "gave up".to_owned()], Role::Dim),
    };
    line("last", &words, role, column);
}

/// Formats a number with two digits after the point, one from 100 on, none from 1,000 on.
pub fn number(value: f64) -> String {
    match value {
        value if value < 99.995 => format!("{value:.2}"),
        value if value < 999.95 => format!("{value:.1}"),
        value => notation::grouped(value.round() as u64),
    }
}
