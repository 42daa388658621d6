//! The Lab screen's race for a port between close() and the next bind(): options, start and end.
//! Does not run the race.

use std::time::Duration;

use crate::{
    app::{
        Effect,
        lab::{LabScreen, RaceReport, act::ask},
        run::RunScreen as _,
    },
    domain::PortRange,
    engine::{LabRequest, message::RaceSetup},
};

/// First and last port of the race. The range is small, so that the competitor often takes the
/// port before its holder binds it again.
const RANGE: (u16, u16) = (49_152, 50_175);

impl LabScreen {
    /// Progress or result of the race; None: no race is shown.
    pub fn race(&self) -> Option<&RaceReport> {
        self.race.as_ref()
    }

    pub fn is_race_shown(&self) -> bool {
        self.race.is_some()
    }

    /// Stores a report. A report of another race is late and ignored.
    pub fn take_race(&mut self, race: RaceReport) {
        if self.race.is_some() && race.number == self.race_number {
            self.race = Some(race);
        }
    }

    /// Ends the race if one is running; its last report still arrives and is shown. Starts a new
    /// race otherwise.
    pub(super) fn race_or_end(&mut self) -> Vec<Effect> {
        match &self.race {
            Some(race) if !race.is_over => vec![ask(LabRequest::EndRace)],
            _ => self.begin_race(),
        }
    }

    /// Starts a race. Pauses the lab, so that the lab does not slow down the race.
    fn begin_race(&mut self) -> Vec<Effect> {
        let mut effects = self.pause();
        effects.push(ask(LabRequest::Race(self.race_setup())));
        self.race_number += 1;
        self.race = Some(RaceReport { number: self.race_number, ..RaceReport::default() });
        self.run.panel = None;
        effects
    }

    fn race_setup(&self) -> RaceSetup {
        let (first, last) = RANGE;
        RaceSetup {
            program: self.options.program.clone(),
            rounds: 1000,
            window: Duration::from_millis(10),
            competitor_binds_per_second: 1000.0,
            range: PortRange::new(first, last).expect("the first port comes before the last"),
            share: 0.9,
            seed: self.options.seed,
        }
    }

    /// Closes the race and returns to the lab. Ends a running race; its result is not shown.
    pub fn close(&mut self) -> Vec<Effect> {
        match self.race.take() {
            Some(race) if !race.is_over => vec![ask(LabRequest::EndRace)],
            _ => Vec::new(),
        }
    }
}
