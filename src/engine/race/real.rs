//! A race of real processes: starts the holder process and reads its reports. Binds no ports
//! itself.

use std::{
    fmt::Display,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    domain::Text,
    engine::{
        message::{RaceBackend, RaceReport},
        race::{REPORT_INTERVAL, tally::RaceTally},
    },
    host::{
        ActorProcess, ChildInput, Host,
        race_config::RaceConfig,
        race_line::{BadRaceLine, RaceLine},
    },
};

/// Maximum time between two lines of the holder, in addition to two windows.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of bytes of an unexpected line that an error shows.
const MAX_SHOWN_BYTES: usize = 60;

/// Runs a race of processes of `program` until its end, or until `on_report` returns false. Returns
/// the final state, which contains the failure if the race was aborted.
///
/// Errors, as text: the processes cannot be started, or cannot race on this host.
pub fn run(
    host: &dyn Host,
    program: &Path,
    config: &RaceConfig,
    on_report: &mut dyn FnMut(&RaceReport) -> bool,
) -> Result<RaceReport, Text> {
    let holder = host.race(program, config)?;
    let timeout = TIMEOUT + config.window * 2;
    let mut race = RealRace { holder, tally: RaceTally::default(), timeout, is_ready: false };
    let mut reported = Instant::now();
    let mut received = Instant::now();
    loop {
        match race.receive(&mut received) {
            Ok(true) => {}
            Ok(false) => break,
            Err(RaceError::Impossible(why)) => return Err(why),
            Err(RaceError::Failed(why)) => {
                race.tally.failure = Some(why);
                break;
            }
        }
        if reported.elapsed() >= REPORT_INTERVAL {
            reported = Instant::now();
            if !on_report(&race.tally.report(false)) {
                break;
            }
        }
    }
    Ok(race.tally.report(true))
}

enum RaceError {
    Impossible(Text),
    Failed(Text),
}

struct RealRace {
    holder: Box<dyn ActorProcess>,
    tally: RaceTally,
    timeout: Duration,
    is_ready: bool,
}

impl RealRace {
    /// Waits for a line, at most for `REPORT_INTERVAL`, and handles it. `received` is the time of
    /// the last line, and is updated. Returns false if the race is over.
    fn receive(&mut self, received: &mut Instant) -> Result<bool, RaceError> {
        match self.holder.receive(REPORT_INTERVAL).map_err(|error| failed(error.to_string()))? {
            ChildInput::Line(line) => {
                *received = Instant::now();
                let line =
                    RaceLine::parse(&line).map_err(|BadRaceLine(line)| unexpected_line(&line))?;
                self.handle(line)
            }
            ChildInput::Nothing if received.elapsed() < self.timeout => Ok(true),
            ChildInput::Nothing => Err(failed("it timed out")),
            ChildInput::End => Err(failed("it ended before the end of the race")),
        }
    }

    fn handle(&mut self, line: RaceLine) -> Result<bool, RaceError> {
        match line {
            RaceLine::Ready if !self.is_ready => {
                self.is_ready = true;
                self.tally = RaceTally::at(RaceBackend::Namespace);
            }
            RaceLine::Round(round) if self.is_ready => self.tally.add(&round),
            RaceLine::Over if self.is_ready => return Ok(false),
            RaceLine::Impossible(why) if !self.is_ready => return Err(RaceError::Impossible(why)),
            RaceLine::Failed(why) => return Err(RaceError::Failed(why)),
            line => return Err(unexpected_line(line.to_string().as_bytes())),
        }
        Ok(true)
    }
}

/// Returns the error for a line that is invalid, or not expected at this point.
fn unexpected_line(line: &[u8]) -> RaceError {
    let shown = &line[..line.len().min(MAX_SHOWN_BYTES)];
    let words = [b"the holder process failed: unexpected output \"", shown, b"\""].concat();
    RaceError::Failed(Text::scrub(words))
}

fn failed(why: impl Display) -> RaceError {
    RaceError::Failed(Text::scrub(format!("the holder process failed: {why}")))
}
