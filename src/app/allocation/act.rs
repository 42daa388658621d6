//! Handles user actions on the run and creates requests to the engine. Handles no reports.

use crate::{
    app::{
        Effect, Key,
        allocation::{
            Allocation, AllocationAction, AllocationOptions, AllocatorTarget, AttemptDensity,
            AttemptLog, AttemptMarks, LastScan, OccupancyCounts, RunStats, next_strategy,
            target::FillRatio,
        },
        run::{
            MAX_UNCONFIRMED_SPEED, NOTHING_SIMULATED, RunControl, RunRequest, RunScreen, RunState,
        },
    },
    engine::{AllocationRequest, Request, Setup},
};

impl Allocation {
    pub fn act(&mut self, action: AllocationAction, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.run.notice = None;
        match action {
            AllocationAction::RunOrPause => self.run_or_pause(scan),
            AllocationAction::Step => self.step(scan),
            AllocationAction::Slower => self.slower(),
            AllocationAction::Faster => self.faster(scan),
            AllocationAction::OpenSettings => self.open_settings(scan),
            AllocationAction::ToggleTarget => self.toggle_target(scan),
            AllocationAction::Emptier => self.change_fill(self.share.decreased()),
            AllocationAction::Fuller => self.change_fill(self.share.increased()),
            AllocationAction::NextStrategy => self.turn_strategy(1, scan),
            AllocationAction::PreviousStrategy => self.turn_strategy(-1, scan),
            AllocationAction::ToggleHold => self.toggle_hold(),
            AllocationAction::ReleaseOne => self.release_one(),
            AllocationAction::ReleaseAll => self.release_all(),
            AllocationAction::Reset => self.reset(scan),
        }
    }

    /// Handles a key while a panel is open; does nothing otherwise.
    pub fn press(&mut self, key: Key, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.press_in_panel(key, scan)
    }

    fn has_no_candidates(&self, scan: Option<LastScan<'_>>) -> bool {
        let range = self.options.range;
        scan.is_some_and(|scan| scan.snapshot.ephemeral.reserved_in(range) == range.len())
    }

    fn setup(&self, scan: Option<LastScan<'_>>) -> Setup {
        let AllocationOptions { strategy, protocols, range, max_attempts, seed, address } =
            self.options.clone();
        // No other process needs simulated ports, so all free ones may be held.
        let is_real = self.target == AllocatorTarget::Machine;
        let hold_limit = if is_real { self.hold_limit } else { range.len() };
        Setup {
            strategy,
            target: self.target,
            protocols,
            range,
            max_attempts,
            seed,
            address,
            reserved: scan.map(|s| s.snapshot.ephemeral.reserved().to_vec()).unwrap_or_default(),
            hold_limit,
            stop_after: None,
        }
    }

    fn open_settings(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.open_panel(self.options.clone(), scan);
        self.pause()
    }

    fn turn_strategy(&mut self, by: isize, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let strategy = next_strategy(self.options.strategy, by);
        self.change(AllocationOptions { strategy, ..self.options.clone() }, scan)
    }

    /// Switches between machine and simulation: ends the run and prepares a new one, paused. The
    /// speed stays, but is lowered to 20/s if it needs a confirmation.
    fn toggle_target(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        self.run.panel = None;
        self.target = match self.target {
            AllocatorTarget::Machine => AllocatorTarget::Simulated { share: self.share.ratio() },
            AllocatorTarget::Simulated { .. } => AllocatorTarget::Machine,
        };
        if self.run.speed > MAX_UNCONFIRMED_SPEED && !self.may_be_fast(scan) {
            self.run.speed = MAX_UNCONFIRMED_SPEED;
        }
        let had_run = self.run.is_prepared();
        self.run.state = RunState::None;
        self.forget();
        self.rescan_target(scan);
        let prepared = self.prepare(scan);
        prepared.unwrap_or_else(|| if had_run { stop() } else { Vec::new() })
    }

    /// Updates the occupancy after a switch between machine and simulation, or a change of options.
    /// The engine sends the simulated sockets later.
    fn rescan_target(&mut self, scan: Option<LastScan<'_>>) {
        self.simulated = None;
        self.occupancy = None;
        if let Some(scan) = scan.filter(|_| self.target == AllocatorTarget::Machine) {
            self.store_occupancy(OccupancyCounts::count(&self.options, scan), scan.snapshot);
        }
    }

    /// Changes the simulated fill. The run continues, and the ports that it holds stay held.
    fn change_fill(&mut self, share: FillRatio) -> Vec<Effect> {
        if self.target == AllocatorTarget::Machine {
            return self.run.refuse(NOTHING_SIMULATED);
        }
        if share == self.share {
            return Vec::new();
        }
        self.share = share;
        self.target = AllocatorTarget::Simulated { share: share.ratio() };
        let fill = ask(AllocationRequest::Fill(share.ratio()));
        if self.run.is_prepared() { vec![fill] } else { Vec::new() }
    }

    fn toggle_hold(&mut self) -> Vec<Effect> {
        self.keeps_bound_ports = !self.keeps_bound_ports;
        let hold = ask(AllocationRequest::Hold(self.keeps_bound_ports));
        if self.run.is_prepared() { vec![hold] } else { Vec::new() }
    }

    /// Releases the port allocated last. If it is no longer held, releases the highest held port.
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
        self.run.refuse("no port is held")
    }

    /// Prepares the run again, paused, with the same seed and empty figures. The engine releases
    /// the held ports.
    fn reset(&mut self, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        let had_run = self.run.is_prepared();
        self.run.state = RunState::None;
        self.forget();
        if !had_run {
            return Vec::new();
        }
        self.prepare(scan).unwrap_or_else(stop)
    }

    fn forget(&mut self) {
        self.figures = RunStats::default();
        self.ended = 0;
        self.log = AttemptLog::default();
        self.attempt_marks = AttemptMarks::default();
        self.heat = AttemptDensity::default();
        self.last = None;
        self.last_allocations.clear();
        self.held.clear();
        self.limitation = None;
        self.hold_note = None;
    }
}

impl RunScreen for Allocation {
    type Options = AllocationOptions;

    fn ask(request: RunRequest) -> Effect {
        ask(match request {
            RunRequest::Run => AllocationRequest::Run,
            RunRequest::Step => AllocationRequest::Step,
            RunRequest::Pause => AllocationRequest::Pause,
            RunRequest::Speed(speed) => AllocationRequest::Speed(speed),
        })
    }

    fn control(&mut self) -> &mut RunControl<AllocationOptions> {
        &mut self.run
    }

    fn prepare(&mut self, scan: Option<LastScan<'_>>) -> Option<Vec<Effect>> {
        if self.target == AllocatorTarget::Machine {
            let Some(scan) = scan else {
                self.run.refuse("no scan yet: try again after the first scan");
                return None;
            };
            let occupancy_counts = OccupancyCounts::count(&self.options, scan);
            self.store_occupancy(occupancy_counts, scan.snapshot);
            // On a machine that others use, hold at most a tenth of the free ports.
            let share = if scan.snapshot.machine.is_isolated { 1 } else { 10 };
            self.hold_limit = occupancy_counts.free() / share;
        }
        if self.has_no_candidates(scan) {
            let range = self.options.range;
            self.run.refuse(format!("all ports of {range} are reserved: choose another range (o)"));
            return None;
        }
        self.forget();
        if self.target != AllocatorTarget::Machine {
            self.count_simulated_occupancy();
        }
        self.run.number += 1;
        self.run.state = RunState::Paused;
        Some(vec![
            ask(AllocationRequest::Prepare(self.setup(scan))),
            ask(AllocationRequest::Speed(self.run.speed)),
            ask(AllocationRequest::Hold(self.keeps_bound_ports)),
        ])
    }

    fn is_real(&self) -> bool {
        self.target == AllocatorTarget::Machine
    }

    fn change(&mut self, wanted: AllocationOptions, scan: Option<LastScan<'_>>) -> Vec<Effect> {
        if wanted == self.options {
            return self.resume(scan);
        }
        self.options = wanted;
        self.rescan_target(scan);
        self.reset(scan)
    }
}

fn stop() -> Vec<Effect> {
    vec![ask(AllocationRequest::Pause), ask(AllocationRequest::ReleaseAll)]
}

fn ask(request: AllocationRequest) -> Effect {
    Effect::Ask(Request::Allocation(request))
}
