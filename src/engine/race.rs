//! Race for a port between close() and the next bind(), against a competitor. Counts stolen ports,
//! and computes the expected number.

mod real;
mod simulated;
mod tally;

use std::time::Duration;

use crate::{
    domain::{PortRange, Text},
    engine::message::{RaceBackend, RaceReport, RaceSetup},
    host::{Host, race_config::RaceConfig},
};

use tally::RaceTally;

/// Time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(33);

/// How long the competitor keeps a port: this multiple of the window, but at least this time. The
/// time is longer than the window, because a window may end late: the competitor must still hold
/// the port then.
const HOLD: (u32, Duration) = (2, Duration::from_millis(2));

/// Minimum number of free ports for a race. The holder uses two ports, and the competitor up to
/// half of the free ports.
pub const MIN_FREE: u32 = 8;

/// Maximum window. A larger value is treated as a mistake.
const MAX_WINDOW: Duration = Duration::from_mins(1);

/// Maximum number of ports that the competitor binds per second. A larger value is treated as a
/// mistake.
const FASTEST_COMPETITOR: f64 = 1e6;

/// Runs a race until its end, or until `reported` returns false. `reported` receives the
/// intermediate states. Returns the final state.
///
/// If `setup` contains a program, the race uses real ports in a network namespace that the
/// program's processes create. If there is no program, or the host cannot run these processes, the
/// race is simulated, and the report says why. If a value of `setup` is invalid, there is no race,
/// and the final state contains the failure.
pub fn run(
    host: &dyn Host,
    setup: &RaceSetup,
    reported: &mut dyn FnMut(&RaceReport) -> bool,
) -> RaceReport {
    let config = match config(setup) {
        Ok(config) => config,
        Err(why) => {
            return RaceReport { failure: Some(why), is_over: true, ..RaceReport::default() };
        }
    };
    let because = match &setup.program {
        None => Text::scrub("the path of the portscope executable is unknown"),
        Some(program) => match real::run(host, program, &config, reported) {
            Ok(report) => return report,
            Err(why) => why,
        },
    };
    let mut tally = RaceTally::at(RaceBackend::Simulated { because });
    simulated::run(&config, &mut tally, reported);
    tally.report(true)
}

/// Returns the configuration of the race, real or simulated.
///
/// Errors, as text: a value of `setup` is invalid, or too few ports are free.
fn config(setup: &RaceSetup) -> Result<RaceConfig, Text> {
    let range = setup.range;
    let range = PortRange::new(range.first().max(1), range.last())
        .map_err(|_| Text::scrub("invalid range: expected a port above 0"))?;
    if !(setup.competitor_binds_per_second > 0.0
        && setup.competitor_binds_per_second <= FASTEST_COMPETITOR)
    {
        return Err(Text::scrub(
            "invalid competitor rate: expected more than 0 and at most 1000000 binds/s",
        ));
    }
    if setup.window > MAX_WINDOW {
        return Err(Text::scrub("invalid window: expected at most 60s"));
    }
    let setup = RaceSetup { range, ..setup.clone() };
    let (others, free) = (setup.occupied(), setup.free());
    if free < MIN_FREE {
        return Err(Text::scrub(format!(
            "a race needs {MIN_FREE} free ports, range {range} has {free}: lower the fill or \
             widen the range"
        )));
    }
    let (windows, least) = HOLD;
    Ok(RaceConfig {
        range,
        others,
        window: setup.window,
        hold: (setup.window * windows).max(least),
        most: free / 2,
        per_second: setup.competitor_binds_per_second,
        rounds: setup.rounds,
        seed: setup.seed,
    })
}
