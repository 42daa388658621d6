//! The Allocate screen's state: what was asked for, what came of it. Sends requests, binds nothing.

mod act;
mod figures;
mod ground;
mod log;
mod settings;
mod trail;

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{
    allocator::Law,
    app::Effect,
    domain::{Occupancy, PortRange, Protocols, Snapshot, Text, port},
    engine::{
        Request,
        message::{AllocationDelta, Finished},
    },
};

pub use crate::engine::{Site, Speed};
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
    /// This machine, or a simulated occupancy.
    ToggleSite,
    /// Less, more of the simulated occupancy.
    Emptier,
    Fuller,
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
    site: Site,
    /// Marks may fade and flash.
    motion: bool,
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
    pub fn new(options: &AllocationOptions, motion: bool) -> Self {
        Self {
            options: options.clone(),
            site: Site::default(),
            motion,
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

    /// What stands on the simulated site.
    pub fn see_simulated(&mut self, _snapshot: Arc<Snapshot>) {}

    /// The occupancy that the allocator meets: the machine's, or the simulated one.
    pub fn scan<'a>(&'a self, real: Option<LastScan<'a>>) -> Option<LastScan<'a>> {
        real
    }

    /// When a mark's look changes next; None: it does not.
    pub fn fades_again_after(&self, _now: Duration) -> Option<Duration> {
        None
    }

    pub fn site(&self) -> Site {
        self.site
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
}
