//! Close-then-rebind against a thief: who has the port in the end. Counts thefts beside the law.

#[cfg(target_os = "linux")]
mod real;
mod simulated;
mod tally;

use std::time::Duration;

use crate::{
    domain::{PortRange, Text},
    engine::message::{RacePlace, RaceReport, RaceSetup},
    host::course::Course,
};

use tally::Tally;

/// Between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(33);

/// The thief keeps a port for so many windows, and at least so long, for a window may end late.
const HOLD: (u32, Duration) = (2, Duration::from_millis(2));

/// With fewer free ports there is no race: the victim has two, the thief some.
const LEAST_FREE: u32 = 8;

/// What can be asked of a race; more is a slip.
const LONGEST_WINDOW: Duration = Duration::from_mins(1);
const FASTEST_THIEF: f64 = 1e6;

/// Runs to the end, or until `told` says false; `told` hears from time to time how it stands, and is
/// not told the end, which is returned.
///
/// With a program the ports are real, in a network namespace that its processes make; where none can
/// be made, or there is no program, the race is simulated and says so.
pub fn run(setup: &RaceSetup, told: &mut dyn FnMut(&RaceReport) -> bool) -> RaceReport {
    let course = match course(setup) {
        Ok(course) => course,
        Err(why) => {
            return RaceReport { trouble: Some(why), is_over: true, ..RaceReport::default() };
        }
    };
    let because = match &setup.program {
        None => Text::scrub("no program was given that could be victim and thief"),
        #[cfg(target_os = "linux")]
        Some(program) => match real::run(program, &course, told) {
            Ok(report) => return report,
            Err(real::Impossible(why)) => why,
        },
        #[cfg(not(target_os = "linux"))]
        Some(_) => Text::scrub("network namespaces are Linux's"),
    };
    let mut tally = Tally::at(RacePlace::Simulated { because });
    simulated::run(&course, &mut tally, told);
    tally.report(true)
}

/// What the processes go by.
///
/// Errors, in words: there can be no such race.
fn course(setup: &RaceSetup) -> Result<Course, Text> {
    let range = setup.range;
    let range = PortRange::new(range.first().max(1), range.last())
        .map_err(|_| Text::scrub("port 0 is no port to race for"))?;
    if !(setup.thefts_per_second > 0.0 && setup.thefts_per_second <= FASTEST_THIEF) {
        return Err(Text::scrub("a thief binds more than 0 and at most 1000000 ports a second"));
    }
    if setup.window > LONGEST_WINDOW {
        return Err(Text::scrub("a window is at most 60 s long"));
    }
    let others = (f64::from(range.len()) * setup.share.clamp(0.0, 1.0)).round() as u32;
    let free = range.len() - others;
    if free < LEAST_FREE {
        return Err(Text::scrub(format!(
            "a race needs {LEAST_FREE} free ports, {range} has {free}"
        )));
    }
    let (windows, least) = HOLD;
    Ok(Course {
        range,
        others,
        window: setup.window,
        hold: (setup.window * windows).max(least),
        most: free / 2,
        per_second: setup.thefts_per_second,
        rounds: setup.rounds,
        seed: setup.seed,
    })
}
