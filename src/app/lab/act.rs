//! Handles user actions on the lab and creates requests to the engine. Handles no reports.

use std::iter;

use crate::{
    allocator::ALLOCATORS,
    app::{
        Effect, Move,
        allocation::{FillRatio, LastScan, next_strategy},
        lab::{LabAction, LabOptions, LabScreen, MAX_COLUMNS},
        run::{NOTHING_SIMULATED, RunControl, RunRequest, RunScreen, RunState},
    },
    engine::{LabRequest, LabSetup, Request},
};

impl LabScreen {
    pub fn act(&mut self, action: LabAction, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.run.notice = None;
        match action {
            LabAction::RunOrPause => self.run_or_pause(scan),
            LabAction::Step => self.step(scan),
            LabAction::Slower => self.slower(),
            LabAction::Faster => self.faster(scan),
            LabAction::ToggleTarget => self.toggle_target(scan),
            LabAction::Emptier => self.change_fill(self.share.decreased()),
            LabAction::Fuller => self.change_fill(self.share.increased()),
            LabAction::NextPattern => self.next_pattern(scan),
            LabAction::NextStrategy => self.turn_strategy(1, scan),
            LabAction::PreviousStrategy => self.turn_strategy(-1, scan),
            LabAction::Add => self.add(scan),
            LabAction::Remove => self.remove(scan),
            LabAction::OpenSettings => self.open_settings(scan),
            LabAction::Race => self.race_or_end(),
            LabAction::Reset => self.restart(scan),
        }
    }

    /// Handles the first snapshot of the machine. Restarts a prepared lab if the range has reserved
    /// ports, which were unknown before.
    pub fn observe(&mut self, scan: LastScan<'_>) -> Vec<Effect> {
        let reserved = scan.snapshot.ephemeral.reserved_in(self.options.range);
        let is_outdated = self.run.is_prepared() && reserved > 0;
        if is_outdated { self.restart(Some(scan)) } else { Vec::new() }
    }

    /// Called when the user leaves the screen: pauses the lab and ends the race.
    pub fn leave(&mut self) -> Vec<Effect> {
        let mut effects = self.pause();
        effects.extend(self.close());
        self.run.panel = None;
        effects
    }

    /// Selects the previous or next strategy. Ignores moves by more than one.
    pub fn go(&mut self, movement: Move) {
        let last = self.picked.len() - 1;
        self.selected = match movement {
            Move::Left | Move::Up => self.selected.saturating_sub(1),
            Move::Right | Move::Down => (self.selected + 1).min(last),
            _ => self.selected,
        };
    }

    /// Selects a column, if it exists and nothing covers it.
    pub fn select(&mut self, column: usize) {
        if column < self.picked.len() && self.run.panel.is_none() && self.race.is_none() {
            self.selected = column;
        }
    }

    /// Prepares the lab again with the current options and empty figures. A running lab keeps
    /// running; otherwise the new lab is paused.
    fn restart(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.begin(self.is_running(), scan)
    }

    fn begin(&mut self, runs: bool, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let Some(mut effects) = self.prepare(scan) else {
            let effects = self.pause();
            // The engine's lab does not match the new options.
            (self.run.state, self.report) = (RunState::None, None);
            return effects;
        };
        if runs {
            self.run.state = RunState::Running;
            effects.push(ask(LabRequest::Run));
        }
        effects
    }

    /// Switches between machine and simulation, and pauses. Each has its own speed.
    fn toggle_target(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.is_simulated = !self.is_simulated;
        std::mem::swap(&mut self.run.speed, &mut self.other_speed);
        self.begin(false, scan)
    }

    /// Changes the simulated fill. A running lab continues, with empty figures.
    fn change_fill(&mut self, share: FillRatio) -> Vec<Effect> {
        if !self.is_simulated {
            return self.nothing_simulated();
        }
        if share == self.share {
            return Vec::new();
        }
        self.share = share;
        if self.run.state == RunState::None {
            return Vec::new();
        }
        vec![ask(LabRequest::Fill(share.ratio()))]
    }

    fn next_pattern(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if !self.is_simulated {
            return self.nothing_simulated();
        }
        self.pattern = self.next_pattern_name();
        self.restart(scan)
    }

    fn nothing_simulated(&mut self) -> Vec<Effect> {
        self.run.refuse(NOTHING_SIMULATED)
    }

    /// Gives the selected column the next or previous strategy that is in no column.
    fn turn_strategy(&mut self, by: isize, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let picked = self.picked[self.selected];
        let others = iter::successors(Some(picked), |&number| Some(next_strategy(number, by)));
        if let Some(free) = others.take(ALLOCATORS.len()).find(|n| !self.picked.contains(n)) {
            self.picked[self.selected] = free;
        }
        self.restart(scan)
    }

    fn add(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let free = (0..ALLOCATORS.len()).find(|number| !self.picked.contains(number));
        let Some(free) = free.filter(|_| self.picked.len() < MAX_COLUMNS) else {
            let words = format!("at most {MAX_COLUMNS} strategies: s replaces the selected one");
            return self.run.refuse(words);
        };
        self.picked.push(free);
        self.selected = self.picked.len() - 1;
        self.restart(scan)
    }

    fn remove(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if self.picked.len() == 1 {
            return self.run.refuse("at least one strategy: s replaces it");
        }
        self.picked.remove(self.selected);
        self.selected = self.selected.min(self.picked.len() - 1);
        self.restart(scan)
    }

    fn open_settings(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.open_panel(self.options.clone(), scan);
        // A simulation affects no other process, so it need not pause.
        if self.is_simulated { Vec::new() } else { self.pause() }
    }
}

impl RunScreen for LabScreen {
    type Options = LabOptions;

    fn ask(request: RunRequest) -> Effect {
        ask(match request {
            RunRequest::Run => LabRequest::Run,
            RunRequest::Step => LabRequest::Step,
            RunRequest::Pause => LabRequest::Pause,
            RunRequest::Speed(speed) => LabRequest::Speed(speed),
        })
    }

    fn control(&mut self) -> &mut RunControl<LabOptions> {
        &mut self.run
    }

    fn prepare(&mut self, scan: Option<LastScan<'_>>) -> Option<Vec<Effect>> {
        let reserved = scan.map(|scan| scan.snapshot.ephemeral.reserved().to_vec());
        if reserved.is_none() && !self.is_simulated {
            self.run.refuse("no scan yet: try again after the first scan");
            return None;
        }
        self.report = None;
        self.run.number += 1;
        self.run.state = RunState::Paused;
        let setup = LabSetup {
            target: self.target(),
            strategies: self.picked.clone(),
            protocols: self.options.protocols,
            range: self.options.range,
            reserved: reserved.unwrap_or_default(),
            address: None,
            max_attempts: self.options.max_attempts,
            seed: self.options.seed,
            destinations: self.options.destinations,
            tuning: self.options.tuning,
        };
        Some(vec![ask(LabRequest::Prepare(setup)), ask(LabRequest::Speed(self.speed()))])
    }

    fn is_real(&self) -> bool {
        !self.is_simulated
    }

    fn change(&mut self, wanted: LabOptions, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if wanted == self.options {
            return self.resume(scan);
        }
        self.options = wanted;
        self.restart(scan)
    }
}

pub(super) fn ask(request: LabRequest) -> Effect {
    Effect::Ask(Request::Lab(request))
}
