//! Writes `portscope.lab/1`, whose keys and types are a contract.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    allocator::{
        ALLOCATORS,
        lab::StrategyReport,
        race::{RaceBackend, RaceReport, Rounds},
    },
    domain::Text,
    report::{
        lab::{self, LabConditions, LabOutcome},
        rows::{self, nanoseconds},
    },
};

pub fn write(lab: LabOutcome<'_>, out: &mut dyn Write) -> io::Result<()> {
    rows::write(&document(lab), out)
}

#[derive(Serialize)]
struct LabDocument<'a> {
    schema: &'static str,
    #[serde(flatten)]
    conditions: LabConditions,
    max_attempts: Option<u32>,
    destinations: Option<u32>,
    strategies: Vec<StrategyRow<'a>>,
    race: Option<RaceRow<'a>>,
}

fn document(lab: LabOutcome<'_>) -> LabDocument<'_> {
    let (setup, strategies, race) = match lab {
        LabOutcome::Comparison { setup, report, .. } => {
            (Some(setup), report.strategy_reports.iter().map(StrategyRow::from).collect(), None)
        }
        LabOutcome::Race { report, .. } => (None, Vec::new(), Some(RaceRow::from(report))),
    };
    LabDocument {
        schema: "portscope.lab/1",
        conditions: lab.conditions(),
        max_attempts: setup.map(|setup| setup.max_attempts),
        destinations: setup.map(|setup| setup.destinations),
        strategies,
        race,
    }
}

#[derive(Serialize)]
struct StrategyRow<'a> {
    strategy: &'static str,
    runs: u64,
    failures: u64,
    failure_rate: Option<f64>,
    expected_failure_rate: Option<f64>,
    attempts: AttemptsRow<'a>,
    model: Option<&'static str>,
    distinct_ports: u32,
    entropy_bits: Option<f64>,
    nanoseconds_per_success: Option<u64>,
    predictability: PredictabilityRow,
    snapshots: SnapshotsRow,
}

#[derive(Serialize)]
struct AttemptsRow<'a> {
    mean: Option<f64>,
    expected_mean: Option<f64>,
    standard_error: Option<f64>,
    median: Option<u32>,
    p99: Option<u32>,
    max: Option<u32>,
    histogram: &'a [(u32, u64)],
}

#[derive(Serialize)]
struct PredictabilityRow {
    habit: Option<&'static str>,
    bits_left: Option<f64>,
    guess: Option<u16>,
}

#[derive(Serialize)]
struct SnapshotsRow {
    count: u64,
    nanoseconds: u64,
}

impl<'a> From<&'a StrategyReport> for StrategyRow<'a> {
    fn from(StrategyReport { strategy, figures, .. }: &'a StrategyReport) -> Self {
        let seen = figures.predictability;
        let habit = lab::habit_name(seen.habit);
        let (count, took) = figures.snapshots;
        Self {
            strategy: ALLOCATORS[*strategy].name,
            runs: figures.runs,
            failures: figures.failures,
            failure_rate: figures.failure_rate(),
            expected_failure_rate: figures.expected.map(|expected| expected.failure_rate),
            attempts: AttemptsRow {
                mean: figures.mean(),
                expected_mean: figures.expected.map(|expected| expected.mean_attempts),
                standard_error: figures.standard_error(),
                median: figures.quantile(0.5),
                p99: figures.quantile(0.99),
                max: figures.most(),
                histogram: &figures.histogram,
            },
            model: lab::model(figures),
            distinct_ports: figures.distinct,
            entropy_bits: figures.entropy_bits,
            nanoseconds_per_success: figures.time_of_success().map(nanoseconds),
            predictability: PredictabilityRow {
                habit,
                bits_left: habit.map(|_| seen.bits_left),
                guess: seen.guess,
            },
            snapshots: SnapshotsRow { count, nanoseconds: nanoseconds(took) },
        }
    }
}

#[derive(Serialize)]
struct RaceRow<'a> {
    place: &'static str,
    because: Option<&'a str>,
    rebound: RoundsRow,
    handed_over: RoundsRow,
    trouble: Option<&'a str>,
}

#[derive(Serialize)]
struct RoundsRow {
    rounds: u32,
    stolen: u32,
    refused: u32,
    expected: f64,
    standard_deviation: f64,
    window_seconds: f64,
    competitor_per_second: f64,
    free: f64,
}

impl<'a> From<&'a RaceReport> for RaceRow<'a> {
    fn from(race: &'a RaceReport) -> Self {
        let (place, because) = match &race.backend {
            RaceBackend::Simulated { because } => ("simulated", Some(because.as_str())),
            RaceBackend::Unknown | RaceBackend::Namespace => ("namespace", None),
        };
        Self {
            place,
            because,
            rebound: RoundsRow::from(&race.rebound),
            handed_over: RoundsRow::from(&race.handed_over),
            trouble: race.failure.as_ref().map(Text::as_str),
        }
    }
}

impl From<&Rounds> for RoundsRow {
    fn from(rounds: &Rounds) -> Self {
        Self {
            rounds: rounds.count,
            stolen: rounds.stolen,
            refused: rounds.refused,
            expected: rounds.expected,
            standard_deviation: rounds.deviation,
            window_seconds: rounds.window.as_secs_f64(),
            competitor_per_second: rounds.competitor_per_second,
            free: rounds.free,
        }
    }
}
