//! Starts, pauses and paces a run in the engine, for the screens Allocate and Lab. Contains neither
//! their options nor their results.

use crate::{
    app::{
        Effect, Key,
        allocation::LastScan,
        settings::{EditableSettings, SettingsPanel},
    },
    domain::Text,
    engine::Speed,
};

/// The fastest speed that needs no confirmation on a machine that others use.
pub(super) const MAX_UNCONFIRMED_SPEED: Speed = Speed::Twenty;

/// Why the occupancy of a machine cannot be changed.
pub(super) const NOTHING_SIMULATED: &str =
    "cannot change the host's occupancy; t switches to simulation";

/// State of a run in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    /// The engine has no run that could continue.
    None,
    Paused,
    Running,
}

/// The requests that runs of both screens have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunRequest {
    Run,
    Step,
    Pause,
    Speed(Speed),
}

/// A panel that covers the screen and receives the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunPanel<S: EditableSettings> {
    Settings(SettingsPanel<S>),
    /// Asks whether this speed may be used although other processes need the machine's ports.
    ConfirmSpeed(Speed),
}

/// The state that runs of both screens have in common. `S` is the type of their options.
#[derive(Clone, Debug)]
pub(super) struct RunControl<S: EditableSettings> {
    pub state: RunState,
    /// Number of `Prepare` requests sent. Reports with another number are late and ignored.
    pub number: u64,
    /// Whether the user allowed speeds above `MAX_UNCONFIRMED_SPEED`. Stays set until the program
    /// ends.
    pub is_speed_confirmed: bool,
    pub speed: Speed,
    pub panel: Option<RunPanel<S>>,
    /// Whether the settings paused the run, which then continues if they are closed unchanged.
    pub is_interrupted: bool,
    /// Why the last key had no effect, or why the run ended. None: there is nothing to report.
    pub notice: Option<Text>,
}

impl<S: EditableSettings> RunControl<S> {
    pub fn new(speed: Speed) -> Self {
        Self {
            state: RunState::None,
            number: 0,
            is_speed_confirmed: false,
            speed,
            panel: None,
            is_interrupted: false,
            notice: None,
        }
    }

    /// Ends the run because it cannot continue.
    pub fn fail(&mut self, why: Text) {
        (self.state, self.notice) = (RunState::None, Some(why));
    }

    /// Shows why a key has no effect. Returns no requests.
    pub fn refuse(&mut self, why: impl AsRef<str>) -> Vec<Effect> {
        self.notice = Some(Text::scrub(why.as_ref()));
        Vec::new()
    }

    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }

    /// Whether the run is so fast that only a sample of it is shown.
    pub fn is_sampled(&self) -> bool {
        self.speed > MAX_UNCONFIRMED_SPEED
    }

    /// Whether the engine has a run to continue.
    pub fn is_prepared(&self) -> bool {
        self.state != RunState::None
    }
}

/// A screen with a run.
pub(super) trait RunScreen {
    type Options: EditableSettings;

    /// Creates a request to the engine's thread for these runs.
    fn ask(request: RunRequest) -> Effect;

    fn control(&mut self) -> &mut RunControl<Self::Options>;

    /// Prepares a new run, paused, and returns the requests for it. None: the run cannot start, and
    /// the notice says why.
    fn prepare(&mut self, scan: Option<LastScan<'_>>) -> Option<Vec<Effect>>;

    /// Whether the run binds real ports.
    fn is_real(&self) -> bool;

    /// Uses the options that were set in the panel. A change ends the run.
    fn change(&mut self, wanted: Self::Options, scan: Option<LastScan<'_>>) -> Vec<Effect>;

    /// Opens the settings. `options` are the present ones.
    fn open_panel(&mut self, options: Self::Options, scan: Option<LastScan<'_>>) {
        let ephemeral = scan.map(|scan| scan.snapshot.ephemeral.range);
        let panel = SettingsPanel::new(options, ephemeral);
        let control = self.control();
        control.is_interrupted = control.is_running();
        control.panel = Some(RunPanel::Settings(panel));
    }

    /// Continues the run that the settings paused. Does nothing if they paused none.
    fn resume(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let control = self.control();
        if !std::mem::take(&mut control.is_interrupted) || control.is_running() {
            return Vec::new();
        }
        self.start(RunState::Running, RunRequest::Run, scan)
    }

    /// Adds a pasted character to the selected settings field, if the settings are open.
    fn paste(&mut self, character: char) {
        if let Some(RunPanel::Settings(panel)) = &mut self.control().panel {
            panel.paste(character);
        }
    }

    /// Handles a click on a row of the settings, if they are open.
    fn click_in_panel(&mut self, row: usize) {
        if let Some(RunPanel::Settings(panel)) = &mut self.control().panel {
            panel.click(row);
        }
    }

    /// Handles a key while a panel is open; does nothing otherwise.
    fn press_in_panel(&mut self, key: Key, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        match &mut self.control().panel {
            None => Vec::new(),
            Some(RunPanel::ConfirmSpeed(speed)) => {
                let speed = *speed;
                self.answer(key, speed)
            }
            Some(RunPanel::Settings(panel)) => {
                if panel.press(key) {
                    return Vec::new();
                }
                let wanted = panel.options().clone();
                self.control().panel = None;
                let effects = self.change(wanted, scan);
                self.control().is_interrupted = false;
                effects
            }
        }
    }

    fn run_or_pause(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if self.control().is_running() {
            return self.pause();
        }
        if self.control().speed == Speed::Step {
            return self.step(scan);
        }
        self.start(RunState::Running, RunRequest::Run, scan)
    }

    fn step(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.start(RunState::Paused, RunRequest::Step, scan)
    }

    /// Prepares a run if the engine has none to continue, and adds this request. Returns no request
    /// if no run can start; the notice then says why.
    fn start(
        &mut self,
        state: RunState,
        request: RunRequest,
        scan: Option<LastScan<'_>>,
    ) -> Vec<Effect> {
        let is_prepared = self.control().is_prepared();
        let prepared = if is_prepared { Some(Vec::new()) } else { self.prepare(scan) };
        let Some(mut effects) = prepared else { return Vec::new() };
        self.control().state = state;
        effects.push(Self::ask(request));
        effects
    }

    fn pause(&mut self) -> Vec<Effect> {
        let control = self.control();
        if !control.is_running() {
            return Vec::new();
        }
        control.state = RunState::Paused;
        vec![Self::ask(RunRequest::Pause)]
    }

    fn slower(&mut self) -> Vec<Effect> {
        let speed = self.control().speed;
        let slower = Speed::EACH.into_iter().rev().find(|&s| s < speed);
        slower.map_or_else(Vec::new, |speed| self.set_speed(speed))
    }

    fn faster(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let speed = self.control().speed;
        let Some(faster) = Speed::EACH.into_iter().find(|&s| s > speed) else { return Vec::new() };
        if faster > MAX_UNCONFIRMED_SPEED && !self.may_be_fast(scan) {
            self.control().panel = Some(RunPanel::ConfirmSpeed(faster));
            return Vec::new();
        }
        self.set_speed(faster)
    }

    /// Whether speeds above `MAX_UNCONFIRMED_SPEED` are allowed: they affect no other process, or
    /// the user confirmed.
    fn may_be_fast(&mut self, scan: Option<LastScan<'_>>) -> bool {
        let is_alone = scan.is_some_and(|scan| scan.snapshot.machine.is_isolated);
        !self.is_real() || is_alone || self.control().is_speed_confirmed
    }

    fn set_speed(&mut self, speed: Speed) -> Vec<Effect> {
        let control = self.control();
        control.speed = speed;
        let mut effects = Vec::new();
        if control.is_prepared() {
            effects.push(Self::ask(RunRequest::Speed(speed)));
        }
        if speed == Speed::Step {
            effects.extend(self.pause());
        }
        effects
    }

    /// Handles a key while the question for this speed is open.
    fn answer(&mut self, key: Key, speed: Speed) -> Vec<Effect> {
        match key {
            Key::Enter | Key::Char('y' | 'Y') => {
                let control = self.control();
                (control.panel, control.is_speed_confirmed) = (None, true);
                return self.set_speed(speed);
            }
            Key::Escape | Key::Char('n' | 'N') => self.control().panel = None,
            _ => {}
        }
        Vec::new()
    }
}
