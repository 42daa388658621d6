//! A lab or a race as text: its conditions, and one line per strategy. At most 100 columns.

use std::io::{self, Write};

use crate::{
    allocator::Habit,
    domain::notation,
    report::{
        lab::{
            LabComparison, LabConditions, LabOutcome, LabSummary, RaceRounds, RaceSummary,
            RaceTarget, Rival,
        },
        paragraph,
    },
};

pub fn write(lab: &LabSummary<'_>, out: &mut dyn Write) -> io::Result<()> {
    match &lab.outcome {
        LabOutcome::Comparison(comparison) => write_comparison(&lab.terms, comparison, out),
        LabOutcome::Race(race) => write_race(&lab.terms, race, out),
    }
}

fn write_comparison(
    terms: &LabConditions,
    comparison: &LabComparison<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let LabComparison { max_attempts, destinations, runs, rivals } = comparison;
    let towards = match destinations {
        1 => String::new(),
        several => format!(" · {several} destinations in turn"),
    };
    let head = format!(
        "{} · {runs} runs of at most {max_attempts} attempts{towards} · seed {}",
        occupancy(terms),
        terms.seed
    );
    paragraph::write("", &head, out)?;
    paragraph::write("", meeting(terms), out)?;
    writeln!(out)?;
    let rows: Vec<_> = rivals.iter().map(cells).collect();
    write_table(HEADER, &rows, out)?;
    writeln!(out)?;
    paragraph::write("", LEGEND, out)
}

/// Describes the occupancy on which the strategies ran.
fn meeting(terms: &LabConditions) -> &'static str {
    match (terms.is_simulated, terms.occupancy) {
        (false, _) => "real bind() on this host, each port released at once",
        (true, "built") => "simulated: each strategy on the occupancy that it left itself",
        (true, _) => "simulated: a new occupancy for each run, the same for all strategies",
    }
}

fn occupancy(terms: &LabConditions) -> String {
    let LabConditions { range, candidates, occupied, .. } = terms;
    let reserved = match range.len() - candidates {
        0 => String::new(),
        reserved => format!(" ({reserved} more reserved)"),
    };
    let protocols = match terms.protocols.name() {
        "both" => "udp and tcp",
        name => name,
    };
    format!(
        "{candidates} ports of {range}{reserved}, {protocols} · {occupied} occupied ({}), {}",
        notation::percent(f64::from(*occupied) / f64::from((*candidates).max(1))),
        terms.occupancy
    )
}

const HEADER: [&str; 11] = [
    "STRATEGY",
    "RUNS",
    "FAILED",
    "EXPECTED",
    "ATTEMPTS",
    "EXPECTED",
    "P99",
    "TIME",
    "PORTS",
    "LOOKS LIKE",
    "BITS",
];

const LEGEND: &str = "EXPECTED: by a formula, - where there is none. ATTEMPTS: mean, including \
    those of failed runs. P99: fail if more than 1 % of the runs fail. TIME: per success, failed runs \
    included. PORTS: different ports allocated. LOOKS LIKE, BITS: the pattern that an observer \
    sees in the last ports, and the entropy left in the next.";

fn cells(rival: &Rival<'_>) -> [String; 11] {
    let figures = rival.figures;
    let expected = figures.expected;
    let p99 = match figures.quantile(0.99) {
        Some(attempts) => notation::grouped(attempts),
        None if figures.runs > 0 => "fail".into(),
        None => unknown(),
    };
    [
        rival.row.name.to_owned(),
        notation::grouped(figures.runs),
        figures.failure_rate().map_or_else(unknown, notation::fine_percent),
        expected.map_or_else(unknown, |expected| notation::fine_percent(expected.failure_rate)),
        figures.mean().map_or_else(unknown, number),
        expected.map_or_else(unknown, |expected| number(expected.mean_attempts)),
        p99,
        figures.time_of_success().map_or_else(unknown, notation::elapsed),
        notation::grouped(figures.distinct),
        habit(figures.predictability.habit),
        match figures.predictability.habit {
            Habit::Unseen => unknown(),
            _ => format!("{:.1}", figures.predictability.bits_left),
        },
    ]
}

fn unknown() -> String {
    "-".to_owned()
}

fn habit(habit: Habit) -> String {
    match habit {
        Habit::Unseen => "too few".into(),
        Habit::Stuck => "stuck".into(),
        Habit::Favourite { port } => format!("mostly {port}"),
        Habit::Counter { step } => format!("counter {step:+}"),
        Habit::EvenSteps => "even +2..16".into(),
        Habit::SmallSteps { most } => format!("steps <= {most}"),
        Habit::Narrow { ports } => format!("in {ports} ports"),
        Habit::OneParity => "one parity".into(),
        Habit::Uniform => "uniform".into(),
    }
}

/// Formats a number with about five digits.
fn number(value: f64) -> String {
    match value {
        value if value < 1e3 => format!("{value:.3}"),
        value if value < 1e4 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn write_race(terms: &LabConditions, race: &RaceSummary, out: &mut dyn Write) -> io::Result<()> {
    let head = format!(
        "race · {} · {} between close and rebind · competitor binds {} ports/s · seed {}",
        occupancy(terms),
        notation::elapsed(race.window),
        race.competitor_per_second,
        terms.seed
    );
    paragraph::write("", &head, out)?;
    let place = match &race.place {
        RaceTarget::Namespace => {
            "real sockets of two processes, in a private network namespace".into()
        }
        RaceTarget::Simulated { because } => format!("simulated, in memory: {because}"),
    };
    paragraph::write("", &place, out)?;
    writeln!(out)?;
    let model = |rounds: &RaceRounds| format!("{:.1} ± {:.1}", rounds.expected, rounds.deviation);
    let (rebound, kept) = (&race.rebound, &race.handed_over);
    let rows = [
        round_cells("closed, bound again", rebound, [model(rebound), unknown(), unknown()]),
        round_cells("kept, handed over", kept, ["0".into(), kept.refused.to_string(), model(kept)]),
    ];
    write_table(RACE_HEADER, &rows, out)?;
    writeln!(out)?;
    paragraph::write("", RACE_LEGEND, out)
}

const RACE_HEADER: [&str; 9] =
    ["PORT", "ROUNDS", "STOLEN", "EXPECTED", "REFUSED", "EXPECTED", "WINDOW", "BINDS/S", "FREE"];

const RACE_LEGEND: &str = "EXPECTED: the competitor hits a port with 1 - e^(-rate x window / free), \
    from the measured values, ± the standard deviation of the count. A closed port is then stolen; \
    with a kept one, the competitor is refused.";

fn round_cells(
    kind: &str,
    rounds: &RaceRounds,
    [model, refused, refused_model]: [String; 3],
) -> [String; 9] {
    [
        kind.to_owned(),
        rounds.count.to_string(),
        rounds.stolen.to_string(),
        model,
        refused,
        refused_model,
        notation::elapsed(rounds.window),
        format!("{:.0}", rounds.competitor_per_second),
        format!("{:.0}", rounds.free),
    ]
}

/// Writes a table. The first column is left-aligned, the others are right-aligned.
fn write_table<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    out: &mut dyn Write,
) -> io::Result<()> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(header[column].chars().count())
    });
    let rows = rows.iter().map(|row| row.each_ref().map(String::as_str));
    for row in std::iter::once(header).chain(rows) {
        let figures = row.into_iter().zip(widths).skip(1);
        let figures = figures.map(|(cell, width)| format!(" {cell:>width$}"));
        let line = format!("{:<1$}", row[0], widths[0]) + &figures.collect::<String>();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
