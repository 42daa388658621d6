//! Writes a lab or a race as text: the conditions, then a table with one line per strategy or kind
//! of round.

use std::io::{self, Write as _};

use crate::{
    allocator::{
        ALLOCATORS, Habit,
        lab::{LabReport, LabSetup, StrategyReport},
        race::{RaceBackend, RaceReport, RaceSetup, Rounds},
    },
    domain::{Protocols, notation},
    report::{
        Page,
        columns::{TextCell, TextColumn, TextTable, UNKNOWN},
        lab::{LabConditions, LabOutcome},
        paragraph,
    },
};

pub fn write(lab: LabOutcome<'_>, page: &mut Page<'_>) -> io::Result<()> {
    let conditions = lab.conditions();
    match lab {
        LabOutcome::Comparison { setup, runs, report } => {
            paragraph::write("", &comparison_head(&conditions, setup, runs), page)?;
            write_comparison(&conditions, report, page)
        }
        LabOutcome::Race { setup, report } => {
            paragraph::write("", &race_head(&conditions, setup), page)?;
            write_race(report, page)
        }
    }
}

fn comparison_head(conditions: &LabConditions, setup: &LabSetup, runs: u64) -> String {
    let towards = match setup.destinations {
        1 => String::new(),
        several => format!(" · {} in turn", notation::counted(several, "destination")),
    };
    format!(
        "{} · {} of at most {}{towards} · seed {}",
        occupancy(conditions),
        notation::counted(runs, "run"),
        notation::counted(setup.max_attempts, "attempt"),
        conditions.seed
    )
}

fn write_comparison(
    conditions: &LabConditions,
    report: &LabReport,
    page: &mut Page<'_>,
) -> io::Result<()> {
    paragraph::write("", method(conditions), page)?;
    writeln!(page)?;
    let rows = report.strategy_reports.iter().map(cells).collect();
    let table = TextTable::new(COLUMNS, rows, page);
    table.write(page)?;
    writeln!(page)?;
    table.legend().write(page)
}

/// Describes whether ports were bound, and on which occupancy the strategies ran.
fn method(conditions: &LabConditions) -> &'static str {
    match (conditions.is_simulated, conditions.occupancy) {
        (false, _) => "real bind() on this host, each port released at once",
        (true, "built") => "simulated: each strategy on an occupancy that it built itself",
        (true, _) => "simulated: a new occupancy for each run, the same for all strategies",
    }
}

/// Formats the candidates and the occupied ports: `16,384 ports of 49152-65535, TCP and UDP ·
/// 14,746 occupied (90.0 %), uniform`.
fn occupancy(conditions: &LabConditions) -> String {
    let &LabConditions { range, candidates, occupied, .. } = conditions;
    let reserved = match range.len() - candidates {
        0 => String::new(),
        reserved => format!(" ({} more reserved)", notation::grouped(reserved)),
    };
    let protocols = match conditions.protocols {
        Protocols::Tcp => "TCP",
        Protocols::Udp => "UDP",
        Protocols::Both => "TCP and UDP",
    };
    format!(
        "{} of {range}{reserved}, {protocols} · {} occupied ({}), {}",
        notation::counted(candidates, "port"),
        notation::grouped(occupied),
        notation::percent_of(occupied, candidates),
        conditions.occupancy
    )
}

const EXPECTED: TextColumn =
    TextColumn::number("EXPECTED").about("by a formula; - if there is none");

const COLUMNS: [TextColumn; 11] = [
    TextColumn::text("STRATEGY"),
    TextColumn::number("RUNS").left_out(1),
    TextColumn::number("FAILED").left_out(7),
    EXPECTED.left_out(6),
    TextColumn::number("ATTEMPTS").about("mean, failed runs included"),
    EXPECTED.left_out(8),
    TextColumn::number("P99")
        .left_out(9)
        .about("attempts within which 99 % of the runs got a port; fail: more than 1 % failed"),
    TextColumn::number("TIME").left_out(3).about("per success, failed runs included"),
    TextColumn::number("PORTS").left_out(2).about("different ports allocated"),
    TextColumn::text("PATTERN").left_out(5).about("what an observer sees in the last ports"),
    TextColumn::number("BITS")
        .left_out(4)
        .about("bits of the next port that the observer cannot predict"),
];

fn cells(StrategyReport { strategy, figures, .. }: &StrategyReport) -> [TextCell; 11] {
    let expected = figures.expected;
    let p99 = match figures.quantile(0.99) {
        Some(attempts) => notation::grouped(attempts),
        None if figures.runs > 0 => "fail".into(),
        None => unknown(),
    };
    let cells = [
        ALLOCATORS[*strategy].name.to_owned(),
        notation::grouped(figures.runs),
        figures.failure_rate().map_or_else(unknown, notation::fine_percent),
        expected.map_or_else(unknown, |expected| notation::fine_percent(expected.failure_rate)),
        figures.mean().map_or_else(unknown, notation::mean),
        expected.map_or_else(unknown, |expected| notation::mean(expected.mean_attempts)),
        p99,
        figures.time_of_success().map_or_else(unknown, notation::elapsed),
        notation::grouped(figures.distinct),
        pattern(figures.predictability.habit),
        match figures.predictability.habit {
            Habit::Unseen => unknown(),
            _ => format!("{:.1}", figures.predictability.bits_left),
        },
    ];
    cells.map(TextCell::from)
}

fn unknown() -> String {
    UNKNOWN.to_owned()
}

fn pattern(habit: Habit) -> String {
    match habit {
        Habit::Unseen => "too few ports".into(),
        Habit::Stuck => "always the same".into(),
        Habit::Favourite { port } => format!("mostly {port}"),
        Habit::Counter { step } => format!("counter {step:+}"),
        Habit::EvenSteps => "even steps 2-16".into(),
        Habit::SmallSteps { most } => format!("steps up to {}", notation::grouped(most)),
        Habit::Narrow { ports } => format!("within {}", notation::counted(ports, "port")),
        Habit::OneParity => "one parity".into(),
        Habit::Uniform => "uniform".into(),
    }
}

/// Rounds to a whole number: `1,000`.
fn whole(value: f64) -> String {
    notation::grouped(value.round() as u64)
}

fn race_head(conditions: &LabConditions, setup: &RaceSetup) -> String {
    format!(
        "race · {} · {} between close and rebind · competitor binds {} ports/s · seed {}",
        occupancy(conditions),
        notation::elapsed(setup.window),
        requested(setup.competitor_binds_per_second),
        conditions.seed
    )
}

fn write_race(race: &RaceReport, page: &mut Page<'_>) -> io::Result<()> {
    let race_words = match &race.backend {
        RaceBackend::Simulated { because } => format!("simulated, in memory: {because}"),
        RaceBackend::Unknown | RaceBackend::Namespace => {
            "real sockets of three processes, in a private network namespace".into()
        }
    };
    paragraph::write("", &race_words, page)?;
    writeln!(page)?;
    let model = |rounds: &Rounds| format!("{:.1} ± {:.1}", rounds.expected, rounds.deviation);
    let (rebound, kept) = (&race.rebound, &race.handed_over);
    let refused = notation::grouped(kept.refused);
    let rows = vec![
        round_cells("closed, bound again", rebound, [model(rebound), unknown(), unknown()]),
        round_cells("kept open, handed over", kept, ["0".into(), refused, model(kept)]),
    ];
    let table = TextTable::new(RACE_COLUMNS, rows, page);
    table.write(page)?;
    writeln!(page)?;
    table.legend().write(page)
}

const RACE_EXPECTED: TextColumn = TextColumn::number("EXPECTED").about(
    "number of rounds in which the competitor tries the port, ± its standard deviation. If the \
     port was closed, the competitor takes it; if it was kept open, the competitor's bind() fails",
);

const RACE_COLUMNS: [TextColumn; 9] = [
    TextColumn::text("PORT"),
    TextColumn::number("ROUNDS").left_out(4),
    TextColumn::number("STOLEN"),
    RACE_EXPECTED,
    TextColumn::number("REFUSED").left_out(6),
    RACE_EXPECTED.left_out(5),
    TextColumn::number("WINDOW").left_out(3).about("mean time between close and rebind"),
    TextColumn::number("BINDS/S").left_out(2).about(
        "rate of the competitor in the windows, measured; it waits while it holds half of the \
         free ports",
    ),
    TextColumn::number("FREE").left_out(1).about(
        "mean number of ports that it can bind, without those that it holds; it tries the port in \
         a round with probability 1 - e^(-BINDS/S x WINDOW / FREE)",
    ),
];

fn round_cells(
    kind: &str,
    rounds: &Rounds,
    [model, refused, refused_model]: [String; 3],
) -> [TextCell; 9] {
    let cells = [
        kind.to_owned(),
        notation::grouped(rounds.count),
        notation::grouped(rounds.stolen),
        model,
        refused,
        refused_model,
        notation::elapsed(rounds.window),
        whole(rounds.competitor_per_second),
        whole(rounds.free),
    ];
    cells.map(TextCell::from)
}

/// Formats a value as it was requested: `1,000`, `2.5`.
fn requested(value: f64) -> String {
    if value.fract() == 0.0 { whole(value) } else { value.to_string() }
}
