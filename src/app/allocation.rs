//! The Allocate screen's state: what was asked for, what came of it. Sends requests, binds nothing.

mod figures;
mod ground;
mod log;
mod settings;
mod trail;

use std::{net::IpAddr, time::Duration};

use crate::{
    allocator::Law,
    app::{Effect, Key},
    domain::{Occupancy, PortRange, Protocols, Snapshot, Text, port},
    engine::{
        AllocationRequest, Request, Setup,
        message::{AllocationDelta, Finished},
    },
};

pub use crate::engine::Speed;
pub use figures::{Figures, Reached};
pub use ground::Ground;
pub use log::{HolderSeen, Log, LogEntry, Who};
pub use settings::{Field, SettingsPanel};
pub use trail::{Mark, Trail};

/// What a run of allocations goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationOptions {
    pub protocols: Protocols,
    pub range: PortRange,
    pub max_attempts: u32,
    /// The same seed on the same occupancy shows the same run again.
    pub seed: u64,
    /// None: all addresses of both families.
    pub address: Option<IpAddr>,
}

impl AllocationOptions {
    /// exo's demo: UDP, the IANA dynamic ports, 100 attempts.
    pub fn exo(seed: u64) -> Self {
        Self {
            protocols: Protocols::Udp,
            range: port::IANA_DYNAMIC,
            max_attempts: 100,
            seed,
            address: None,
        }
    }
}

/// What the person wants of the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AllocationAction {
    RunOrPause,
    /// One attempt, then pause.
    Step,
    Slower,
    Faster,
    OpenSettings,
    ToggleHold,
    ReleaseOne,
    ReleaseAll,
    Reset,
}

/// The latest look at the machine and the count of it.
#[derive(Clone, Copy)]
pub struct LastScan<'a> {
    pub snapshot: &'a Snapshot,
    pub occupancy: &'a Occupancy,
}

/// What lies over the screen and takes the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Panel {
    Settings(SettingsPanel),
    /// May this speed be used although others share the machine's ports?
    ConfirmSpeed(Speed),
}

/// The fastest speed that needs no leave on a machine which others use.
const POLITE: Speed = Speed::Twenty;

/// What the engine has of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunState {
    /// Nothing that it could go on with.
    None,
    Paused,
    Running,
}

#[derive(Clone, Debug)]
pub struct Allocation {
    options: AllocationOptions,
    speed: Speed,
    /// Given once, for the rest of the program.
    has_leave_for_speed: bool,
    keeps_what_it_wins: bool,
    /// Counts what was sent as `Prepare`; deltas of other runs are too late.
    run: u64,
    state: RunState,
    panel: Option<Panel>,
    ground: Option<Ground>,
    figures: Figures,
    log: Log,
    trail: Trail,
    last: Option<Finished>,
    held: Vec<u16>,
    hold_limit: u32,
    notice: Option<Text>,
    limitation: Option<&'static str>,
    hold_note: Option<&'static str>,
}

impl Allocation {
    pub fn new(options: &AllocationOptions) -> Self {
        Self {
            options: options.clone(),
            speed: Speed::Four,
            has_leave_for_speed: false,
            keeps_what_it_wins: false,
            run: 0,
            state: RunState::None,
            panel: None,
            ground: None,
            figures: Figures::default(),
            log: Log::default(),
            trail: Trail::default(),
            last: None,
            held: Vec::new(),
            hold_limit: 0,
            notice: None,
            limitation: None,
            hold_note: None,
        }
    }

    pub fn act(&mut self, action: AllocationAction, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.notice = None;
        match action {
            AllocationAction::RunOrPause => self.run_or_pause(scan),
            AllocationAction::Step => self.step(scan),
            AllocationAction::Slower => self.slower(),
            AllocationAction::Faster => self.faster(scan),
            AllocationAction::OpenSettings => self.open_settings(scan),
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

    /// What the engine reports of the run.
    pub fn apply(
        &mut self,
        at: Duration,
        delta: AllocationDelta,
        scan: Option<LastScan<'_>>,
    ) -> Vec<Effect> {
        if !self.is_prepared() || delta.run != self.run {
            return Vec::new();
        }
        self.figures.add(&delta);
        self.trail.add(at, &delta);
        self.last = delta.finished.or(self.last);
        self.held = delta.held;
        self.limitation = delta.limitation;
        self.hold_note = delta.hold_note;
        // `delta.is_running` is not read: it may be older than the last key.
        let is_slow = self.speed <= POLITE;
        let ends = self.figures.finished();
        let snapshot = scan.map(|s| s.snapshot);
        self.log.add(&delta.recent, ends, self.options.max_attempts, &self.held, snapshot);
        let must_look = is_slow && self.log.wants_scan();
        if must_look { vec![Effect::Ask(Request::ScanNow)] } else { Vec::new() }
    }

    /// A new look at the machine.
    pub fn observe(&mut self, scan: LastScan<'_>) {
        self.ground = Some(Ground::count(&self.options, scan));
        self.log.look_again(scan.snapshot);
    }

    /// The run cannot go on.
    pub fn fail(&mut self, why: Text) {
        self.state = RunState::None;
        self.held.clear();
        self.notice = Some(why);
    }

    /// The person looks at another screen: the run pauses, held ports stay held.
    pub fn leave(&mut self) -> Vec<Effect> {
        self.panel = None;
        self.pause()
    }

    pub fn options(&self) -> &AllocationOptions {
        &self.options
    }

    pub fn speed(&self) -> Speed {
        self.speed
    }

    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }

    /// So fast that single attempts are a sample of what happens.
    pub fn is_sampled(&self) -> bool {
        self.speed > POLITE
    }

    pub fn keeps_what_it_wins(&self) -> bool {
        self.keeps_what_it_wins
    }

    pub fn panel(&self) -> Option<&Panel> {
        self.panel.as_ref()
    }

    /// None before the first scan.
    pub fn ground(&self) -> Option<Ground> {
        self.ground
    }

    /// What the law says at that occupancy; None before the first scan.
    pub fn law(&self) -> Option<Law> {
        self.ground.and_then(|ground| Law::new(ground.occupied, ground.candidates))
    }

    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// How the last allocation ended.
    pub fn last(&self) -> Option<Finished> {
        self.last
    }

    /// Ascending.
    pub fn held(&self) -> &[u16] {
        &self.held
    }

    /// At most so many ports of this run are held.
    pub fn hold_limit(&self) -> Option<u32> {
        self.is_prepared().then_some(self.hold_limit)
    }

    /// What the run cannot do that was asked for ("IPv4 only").
    pub fn limitation(&self) -> Option<&'static str> {
        self.limitation
    }

    /// Why the last key did nothing, why the run failed, or why no more is held.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_ref().map(Text::as_str).or(self.hold_note)
    }

    /// What is on the map, later ones on top of earlier ones.
    pub fn marks(&self) -> Vec<(u16, Mark)> {
        let held = self.held.iter().map(|&port| (port, Mark::Held));
        let trail: Vec<_> = match self.speed {
            Speed::Step | Speed::One | Speed::Four => self.trail.of_allocation().collect(),
            Speed::Twenty => self.trail.last_sixty().collect(),
            Speed::Thousand | Speed::Max => self.trail.of_last_second().collect(),
        };
        if self.is_sampled() {
            trail.into_iter().chain(held).collect()
        } else {
            held.chain(trail).collect()
        }
    }

    fn is_prepared(&self) -> bool {
        self.state != RunState::None
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

    fn pause(&mut self) -> Vec<Effect> {
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
