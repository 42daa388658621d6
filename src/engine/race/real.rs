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
        message::{RacePlace, RaceReport},
        race::{
            REPORT_INTERVAL,
            tally::{RaceTally, RoundResult},
        },
    },
    host::{
        course::Course,
        linux::race::{
            child::{Child, ChildInput},
            line::{self, BadRaceLine, RaceLine},
        },
    },
};

/// How long the holder may send nothing, in addition to two windows.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time for the holder to end its own children before it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// Maximum number of bytes shown of an invalid line.
const LONGEST_SHOWN: usize = 60;

/// No processes can race on this host; the text says why.
pub struct Impossible(pub Text);

pub fn run(
    program: &Path,
    course: &Course,
    on_report: &mut dyn FnMut(&RaceReport) -> bool,
) -> Result<RaceReport, Impossible> {
    let words = [vec!["holder".to_owned()], course.words()].concat();
    let holder = Child::start(program, &words, GRACE).map_err(|error| {
        Impossible(Text::scrub(format!("could not start {}: {error}", program.display())))
    })?;
    let silence = TIMEOUT + course.window * 2;
    let mut race = RealRace { holder, tally: RaceTally::default(), silence, is_ready: false };
    let mut reported = Instant::now();
    let mut received = Instant::now();
    loop {
        match race.receive(&mut received) {
            Ok(RaceProgress::On) => {}
            Ok(RaceProgress::Over) => break,
            Err(Trouble::Impossible(why)) => return Err(Impossible(why)),
            Err(Trouble::Failed(why)) => {
                race.tally.trouble = Some(why);
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

enum RaceProgress {
    On,
    Over,
}

enum Trouble {
    Impossible(Text),
    Failed(Text),
}

struct RealRace {
    holder: Child,
    tally: RaceTally,
    silence: Duration,
    is_ready: bool,
}

impl RealRace {
    /// Waits for a line and handles it. Waits at most `REPORT_INTERVAL`. `received` is the time of
    /// the last line, and is updated.
    fn receive(&mut self, received: &mut Instant) -> Result<RaceProgress, Trouble> {
        match self.holder.receive(REPORT_INTERVAL).map_err(|error| failed(error.to_string()))? {
            ChildInput::Line(line) => {
                *received = Instant::now();
                let line = RaceLine::parse(&line).map_err(|BadRaceLine(line)| said(&line))?;
                self.understand(line)
            }
            ChildInput::Nothing if received.elapsed() < self.silence => Ok(RaceProgress::On),
            ChildInput::Nothing => Err(failed("it timed out")),
            ChildInput::End => Err(failed("it ended before the end of the race")),
        }
    }

    fn understand(&mut self, line: RaceLine) -> Result<RaceProgress, Trouble> {
        match line {
            RaceLine::Ready if !self.is_ready => {
                self.is_ready = true;
                self.tally = RaceTally::at(RacePlace::Namespace);
            }
            RaceLine::Round(round) if self.is_ready => self.count(&round),
            RaceLine::Over if self.is_ready => return Ok(RaceProgress::Over),
            RaceLine::Impossible(why) if !self.is_ready => return Err(Trouble::Impossible(why)),
            RaceLine::Failed(why) => return Err(Trouble::Failed(why)),
            line => return Err(said(line.to_string().as_bytes())),
        }
        Ok(RaceProgress::On)
    }

    fn count(&mut self, round: &line::RoundReport) {
        let counted = RoundResult {
            window: round.window,
            free: round.free,
            bound: round.bound,
            is_stolen: round.is_stolen,
            is_kept: round.is_kept,
            is_refused: round.refused > 0,
        };
        self.tally.add(&counted);
    }
}

/// Returns the error for a line that is invalid, or not expected at this point.
fn said(line: &[u8]) -> Trouble {
    let shown = &line[..line.len().min(LONGEST_SHOWN)];
    let words = [b"the holder process failed: unexpected output \"", shown, b"\""].concat();
    Trouble::Failed(Text::scrub(words))
}

fn failed(why: impl Display) -> Trouble {
    Trouble::Failed(Text::scrub(format!("the holder process failed: {why}")))
}
