//! What the person's wishes do to the lab, and what they ask of the engine. Hears no reports.

use std::time::Duration;

use crate::{
    allocator::ALLOCATORS,
    app::{
        Effect, Key, Move,
        allocation::{LastScan, Share},
        lab::{
            Lab, LabAction, LabPanel, LabSettingsPanel, LabSite, MOST_COLUMNS, POLITE, Pattern,
            Speed, State,
        },
    },
    domain::{PortRange, Text},
    engine::{
        LabRequest, LabSetup, Request,
        message::{RaceReport, RaceSetup},
    },
};

/// The first of the ports that a race is about, and the last: few, so that thefts are frequent.
const RACED: (u16, u16) = (49_152, 50_175);

impl Lab {
    pub fn act(&mut self, action: LabAction, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.notice = None;
        match action {
            LabAction::RunOrPause => self.run_or_pause(scan),
            LabAction::Step => self.step(scan),
            LabAction::Slower => self.slower(),
            LabAction::Faster => self.faster(scan),
            LabAction::ToggleSite => self.toggle_site(scan),
            LabAction::Emptier => self.refill(self.share.emptier()),
            LabAction::Fuller => self.refill(self.share.fuller()),
            LabAction::NextPattern => self.next_pattern(scan),
            LabAction::NextStrategy => self.turn_strategy(1, scan),
            LabAction::PreviousStrategy => self.turn_strategy(-1, scan),
            LabAction::Add => self.add(scan),
            LabAction::Remove => self.remove(scan),
            LabAction::OpenSettings => self.open_settings(scan),
            LabAction::Race => self.race_or_end(),
            LabAction::Reset => self.begin_anew(scan),
        }
    }

    /// The screen opens. On the machine itself nothing happens without a key.
    pub fn enter(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if !self.is_simulated || std::mem::replace(&mut self.was_visited, true) {
            return Vec::new();
        }
        self.run_or_pause(scan)
    }

    /// The screen is left.
    pub fn leave(&mut self) -> Vec<Effect> {
        self.panel = None;
        let mut effects = self.pause();
        effects.extend(self.end_race());
        effects
    }

    /// To another column.
    pub fn go(&mut self, movement: Move) {
        let last = self.picked.len() - 1;
        self.selected = match movement {
            Move::Left => self.selected.saturating_sub(1),
            Move::Right => (self.selected + 1).min(last),
            Move::First => 0,
            Move::Last => last,
            _ => self.selected,
        };
    }

    /// A key while a panel is open; without one it does nothing.
    pub fn press(&mut self, key: Key, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        match &mut self.panel {
            None => Vec::new(),
            Some(LabPanel::Race) => match key {
                Key::Escape | Key::Enter | Key::Char('R') => self.end_race(),
                _ => Vec::new(),
            },
            Some(LabPanel::ConfirmSpeed(speed)) => {
                let speed = *speed;
                self.answer(key, speed)
            }
            Some(LabPanel::Settings(panel)) => {
                if panel.press(key) {
                    return Vec::new();
                }
                let wanted = panel.options().clone();
                self.panel = None;
                if wanted == self.options {
                    return Vec::new();
                }
                self.options = wanted;
                self.begin_anew(scan)
            }
        }
    }

    fn run_or_pause(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if self.is_running() {
            return self.pause();
        }
        if self.speed == Speed::Step {
            return self.step(scan);
        }
        let Some(mut effects) = self.ready(scan) else { return Vec::new() };
        self.state = State::Running;
        effects.push(ask(LabRequest::Run));
        effects
    }

    fn step(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let Some(mut effects) = self.ready(scan) else { return Vec::new() };
        self.state = State::Paused;
        effects.push(ask(LabRequest::Step));
        effects
    }

    fn pause(&mut self) -> Vec<Effect> {
        if !self.is_running() {
            return Vec::new();
        }
        self.state = State::Paused;
        vec![ask(LabRequest::Pause)]
    }

    /// Makes sure that the engine has something to go on with. None: it cannot, and the notice says
    /// why.
    fn ready(&mut self, scan: Option<LastScan<'_>>) -> Option<Vec<Effect>> {
        if self.state == State::None { self.prepare(scan) } else { Some(Vec::new()) }
    }

    fn prepare(&mut self, scan: Option<LastScan<'_>>) -> Option<Vec<Effect>> {
        let reserved = scan.map(|scan| scan.snapshot.ephemeral.reserved().to_vec());
        if reserved.is_none() && !self.is_simulated {
            self.notice = Some(Text::scrub("no scan yet: the lab waits for the first one"));
            return None;
        }
        self.report = None;
        self.number += 1;
        self.state = State::Paused;
        let setup = LabSetup {
            site: self.site(),
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
        Some(vec![ask(LabRequest::Prepare(setup)), ask(LabRequest::Speed(self.speed))])
    }

    /// Fresh figures; what ran goes on.
    fn begin_anew(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let was_running = self.is_running();
        let Some(mut effects) = self.prepare(scan) else { return self.pause() };
        if was_running {
            self.state = State::Running;
            effects.push(ask(LabRequest::Run));
        }
        effects
    }

    fn slower(&mut self) -> Vec<Effect> {
        let slower = Speed::EACH.into_iter().rev().find(|&s| s < self.speed);
        slower.map_or_else(Vec::new, |speed| self.set_speed(speed))
    }

    fn faster(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let Some(faster) = Speed::EACH.into_iter().find(|&s| s > self.speed) else {
            return Vec::new();
        };
        if faster > POLITE && !self.may_be_fast(scan) {
            self.panel = Some(LabPanel::ConfirmSpeed(faster));
            return Vec::new();
        }
        self.set_speed(faster)
    }

    /// Nobody else is disturbed, or the person agreed.
    fn may_be_fast(&self, scan: Option<LastScan<'_>>) -> bool {
        let is_alone = scan.is_some_and(|scan| scan.snapshot.machine.is_isolated);
        self.is_simulated || is_alone || self.has_leave_for_speed
    }

    fn set_speed(&mut self, speed: Speed) -> Vec<Effect> {
        self.speed = speed;
        let mut effects = Vec::new();
        if self.state != State::None {
            effects.push(ask(LabRequest::Speed(speed)));
        }
        if speed == Speed::Step {
            effects.extend(self.pause());
        }
        effects
    }

    fn answer(&mut self, key: Key, speed: Speed) -> Vec<Effect> {
        match key {
            Key::Enter | Key::Char('y' | 'Y') => {
                self.panel = None;
                self.has_leave_for_speed = true;
                self.set_speed(speed)
            }
            Key::Escape | Key::Char('n' | 'N') => {
                self.panel = None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// To the machine paused, and at a speed that needs no leave; back at the same one.
    fn toggle_site(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.is_simulated = !self.is_simulated;
        let mut effects = self.pause();
        if self.speed > POLITE && !self.may_be_fast(scan) {
            self.speed = Speed::Four;
        }
        (self.state, self.report) = (State::None, None);
        effects.extend(self.prepare(scan).unwrap_or_default());
        effects
    }

    fn refill(&mut self, share: Share) -> Vec<Effect> {
        if !self.is_simulated || share == self.share {
            return Vec::new();
        }
        self.share = share;
        if self.state == State::None {
            return Vec::new();
        }
        vec![ask(LabRequest::Fill(share.part()))]
    }

    fn next_pattern(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if self.site() == LabSite::Machine {
            self.notice = Some(Text::scrub("the machine's occupancy is as it is: t simulates one"));
            return Vec::new();
        }
        let at = Pattern::EACH.iter().position(|&p| p == self.pattern).unwrap_or_default();
        self.pattern = Pattern::EACH[(at + 1) % Pattern::EACH.len()];
        self.begin_anew(scan)
    }

    /// The next one, or the one before, that no column has.
    fn turn_strategy(&mut self, by: isize, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let count = ALLOCATORS.len();
        let turned = |number: usize| (number + count).saturating_add_signed(by) % count;
        let first = turned(self.picked[self.selected]);
        let mut others = std::iter::successors(Some(first), |&number| Some(turned(number)));
        if let Some(free) = others.by_ref().take(count).find(|n| !self.picked.contains(n)) {
            self.picked[self.selected] = free;
        }
        self.begin_anew(scan)
    }

    fn add(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let free = (0..ALLOCATORS.len()).find(|number| !self.picked.contains(number));
        let Some(free) = free.filter(|_| self.picked.len() < MOST_COLUMNS) else {
            let words = format!("{MOST_COLUMNS} columns at most: s changes the selected one");
            self.notice = Some(Text::scrub(words));
            return Vec::new();
        };
        self.picked.push(free);
        self.selected = self.picked.len() - 1;
        self.begin_anew(scan)
    }

    fn remove(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if self.picked.len() == 1 {
            self.notice = Some(Text::scrub("one column is the least: s changes its strategy"));
            return Vec::new();
        }
        self.picked.remove(self.selected);
        self.selected = self.selected.min(self.picked.len() - 1);
        self.begin_anew(scan)
    }

    fn open_settings(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let ephemeral = scan.map(|scan| scan.snapshot.ephemeral.range);
        let panel = LabSettingsPanel::new(self.options.clone(), ephemeral);
        self.panel = Some(LabPanel::Settings(panel));
        self.pause()
    }

    fn race_or_end(&mut self) -> Vec<Effect> {
        if self.is_race_shown() {
            return self.end_race();
        }
        let (first, last) = RACED;
        let setup = RaceSetup {
            program: self.options.program.clone(),
            rounds: 1000,
            window: Duration::from_millis(10),
            thefts_per_second: 1000.0,
            range: PortRange::new(first, last).expect("the first port comes before the last"),
            share: 0.9,
            seed: self.options.seed,
        };
        self.race = Some(RaceReport::default());
        self.panel = Some(LabPanel::Race);
        let mut effects = self.pause();
        effects.push(ask(LabRequest::Race(setup)));
        effects
    }

    fn end_race(&mut self) -> Vec<Effect> {
        if self.is_race_shown() {
            self.panel = None;
        }
        let was_raced = self.race.take().is_some();
        if was_raced { vec![ask(LabRequest::EndRace)] } else { Vec::new() }
    }
}

fn ask(request: LabRequest) -> Effect {
    Effect::Ask(Request::Lab(request))
}
