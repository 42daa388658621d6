//! What the person's wishes do to the run, and what they ask of the engine. Hears no reports.

use crate::{
    app::{
        Effect, Key,
        allocation::{
            Allocation, AllocationAction, AllocationOptions, Figures, Ground, LastScan, Log,
            POLITE, Panel, RunState, SettingsPanel, Speed, Trail,
        },
    },
    domain::{Snapshot, Text},
    engine::{AllocationRequest, Request, Setup},
};

impl Allocation {
    pub fn act(&mut self, action: AllocationAction, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.notice = None;
        match action {
            AllocationAction::RunOrPause => self.run_or_pause(scan),
            AllocationAction::Step => self.step(scan),
            AllocationAction::Slower => self.slower(),
            AllocationAction::Faster => self.faster(scan),
            AllocationAction::OpenSettings => self.open_settings(scan),
            AllocationAction::ToggleSite | AllocationAction::Emptier | AllocationAction::Fuller => {
                Vec::new()
            }
            AllocationAction::ToggleHold => self.toggle_hold(),
            AllocationAction::ReleaseOne => self.release_one(),
            AllocationAction::ReleaseAll => self.release_all(),
            AllocationAction::Reset => self.reset(scan),
        }
    }

    /// A key while a panel is open; without one it does nothing.
    pub fn press(&mut self, key: Key, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        match &mut self.panel {
            None => Vec::new(),
            Some(Panel::ConfirmSpeed(speed)) => {
                let speed = *speed;
                self.answer(key, speed)
            }
            Some(Panel::Settings(panel)) => {
                if panel.press(key) {
                    return Vec::new();
                }
                let wanted = panel.options().clone();
                self.panel = None;
                self.change(wanted, scan)
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
        self.state = RunState::Running;
        effects.push(ask(AllocationRequest::Run));
        effects
    }

    fn step(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let Some(mut effects) = self.ready(scan) else { return Vec::new() };
        self.state = RunState::Paused;
        effects.push(ask(AllocationRequest::Step));
        effects
    }

    pub(super) fn pause(&mut self) -> Vec<Effect> {
        if !self.is_running() {
            return Vec::new();
        }
        self.state = RunState::Paused;
        vec![ask(AllocationRequest::Pause)]
    }

    /// Makes sure that the engine has a run to go on with. None: it cannot, and the notice says why.
    fn ready(&mut self, scan: Option<LastScan<'_>>) -> Option<Vec<Effect>> {
        if self.is_prepared() { Some(Vec::new()) } else { self.prepare(scan) }
    }

    fn prepare(&mut self, scan: Option<LastScan<'_>>) -> Option<Vec<Effect>> {
        let Some(scan) = scan else {
            self.notice = Some(Text::scrub("no scan yet: the allocator waits for the first one"));
            return None;
        };
        let ground = Ground::count(&self.options, scan);
        self.ground = Some(ground);
        if ground.candidates == 0 {
            let range = self.options.range;
            self.notice = Some(Text::scrub(format!(
                "all ports of {range} are reserved: choose another range (o)"
            )));
            return None;
        }
        self.forget();
        // Elsewhere than alone we take no more than a tenth of what is free.
        let share = if scan.snapshot.machine.is_isolated { 1 } else { 10 };
        self.hold_limit = ground.free() / share;
        self.run += 1;
        self.state = RunState::Paused;
        Some(vec![
            ask(AllocationRequest::Prepare(self.setup(scan.snapshot))),
            ask(AllocationRequest::Speed(self.speed)),
            ask(AllocationRequest::Hold(self.keeps_what_it_wins)),
        ])
    }

    fn setup(&self, snapshot: &Snapshot) -> Setup {
        let AllocationOptions { protocols, range, max_attempts, seed, address } =
            self.options.clone();
        Setup {
            site: self.site,
            protocols,
            range,
            max_attempts,
            seed,
            address,
            reserved: snapshot.ephemeral.reserved().to_vec(),
            hold_limit: self.hold_limit,
            stop_after: None,
        }
    }

    fn slower(&mut self) -> Vec<Effect> {
        let slower = Speed::EACH.into_iter().rev().find(|&s| s < self.speed);
        slower.map_or_else(Vec::new, |speed| self.set_speed(speed))
    }

    fn faster(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let Some(faster) = Speed::EACH.into_iter().find(|&s| s > self.speed) else {
            return Vec::new();
        };
        let is_isolated = scan.is_some_and(|s| s.snapshot.machine.is_isolated);
        if faster > POLITE && !is_isolated && !self.has_leave_for_speed {
            self.panel = Some(Panel::ConfirmSpeed(faster));
            return Vec::new();
        }
        self.set_speed(faster)
    }

    fn set_speed(&mut self, speed: Speed) -> Vec<Effect> {
        self.speed = speed;
        let mut effects = Vec::new();
        if self.is_prepared() {
            effects.push(ask(AllocationRequest::Speed(speed)));
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

    fn open_settings(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let ephemeral = scan.map(|s| s.snapshot.ephemeral.range);
        self.panel = Some(Panel::Settings(SettingsPanel::new(self.options.clone(), ephemeral)));
        self.pause()
    }

    fn change(&mut self, wanted: AllocationOptions, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if wanted == self.options {
            return Vec::new();
        }
        self.options = wanted;
        self.ground = scan.map(|s| Ground::count(&self.options, s));
        self.reset(scan)
    }

    fn toggle_hold(&mut self) -> Vec<Effect> {
        self.keeps_what_it_wins = !self.keeps_what_it_wins;
        let hold = ask(AllocationRequest::Hold(self.keeps_what_it_wins));
        if self.is_prepared() { vec![hold] } else { Vec::new() }
    }

    /// The one won last, if it is still held.
    fn release_one(&mut self) -> Vec<Effect> {
        let won = self.last.and_then(|f| f.port).filter(|p| self.held.binary_search(p).is_ok());
        match won.or(self.held.last().copied()) {
            Some(port) => vec![ask(AllocationRequest::Release(port))],
            None => self.nothing_held(),
        }
    }

    fn release_all(&mut self) -> Vec<Effect> {
        if self.held.is_empty() {
            return self.nothing_held();
        }
        vec![ask(AllocationRequest::ReleaseAll)]
    }

    fn nothing_held(&mut self) -> Vec<Effect> {
        self.notice = Some(Text::scrub("nothing is held"));
        Vec::new()
    }

    /// Fresh figures and the same seed again; the engine drops what was held.
    fn reset(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let had_run = self.is_prepared();
        self.state = RunState::None;
        self.forget();
        if !had_run {
            return Vec::new();
        }
        let stop = || vec![ask(AllocationRequest::Pause), ask(AllocationRequest::ReleaseAll)];
        self.prepare(scan).unwrap_or_else(stop)
    }

    fn forget(&mut self) {
        self.figures = Figures::default();
        self.log = Log::default();
        self.trail = Trail::default();
        self.last = None;
        self.held.clear();
        self.hold_note = None;
    }
}

fn ask(request: AllocationRequest) -> Effect {
    Effect::Ask(Request::Allocation(request))
}
