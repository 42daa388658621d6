//! The state of the Allocate screen with the real allocation thread. Draws nothing.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use portscope::{
    app::{
        Effect, Key,
        allocation::{Allocation, AllocationAction, AllocationOptions, LastScan},
    },
    domain::{
        Ephemeral, MachineKind, Occupancy, PortRange, Protocol, Protocols, Snapshot, State,
        port::IANA_DYNAMIC,
    },
    engine::{
        AllocationRequest, Report, Request,
        allocation::{AllocationThread, spawn},
    },
    host::simulated::SimulatedHost,
};

use crate::mailbox::mailbox;

const SOON: Duration = Duration::from_mins(1);

/// A simulated machine that is treated as real, and the thread that allocates on it.
pub struct Session {
    pub allocation: Allocation,
    host: SimulatedHost,
    /// The last snapshot of the machine.
    real: Option<(Snapshot, Occupancy)>,
    /// Declared before the thread, which may block until there is room, so that it is dropped
    /// first.
    reports: mpsc::Receiver<Report>,
    thread: AllocationThread,
    started: Instant,
    /// Whether the thread made attempts by itself at its last report.
    pub runs: bool,
}

impl Session {
    /// Half full, with other processes that use it.
    pub fn shared() -> Self {
        Self::on(Ephemeral::default(), false, IANA_DYNAMIC)
    }

    /// Half full, without other processes that use it.
    pub fn alone() -> Self {
        Self::on(Ephemeral::default(), true, IANA_DYNAMIC)
    }

    pub fn reserving(reserved: PortRange) -> Self {
        let range = Ephemeral::default().range;
        Self::on(Ephemeral::new(range, vec![reserved]), false, IANA_DYNAMIC)
    }

    /// With an allocator over a few ports.
    pub fn small() -> Self {
        let range = PortRange::new(50_000, 50_199).expect("ascending");
        Self::on(Ephemeral::default(), true, range)
    }

    /// Before the first scan.
    pub fn unseen() -> Self {
        Self { real: None, ..Self::shared() }
    }

    fn on(ephemeral: Ephemeral, is_isolated: bool, range: PortRange) -> Self {
        let host = SimulatedHost::builder()
            .ephemeral(ephemeral)
            .fill(range, 0.5, State::Unconnected, 7)
            .build();
        let mut snapshot = host.snapshot();
        let mut machine = (*snapshot.machine).clone();
        (machine.kind, machine.is_isolated) = (MachineKind::Live, is_isolated);
        snapshot.machine = Arc::new(machine);
        let occupancy = Occupancy::count(&snapshot);
        let options = AllocationOptions { range, ..AllocationOptions::exo(42) };
        let mut allocation = Allocation::new(&options, true);
        allocation.observe(LastScan { snapshot: &snapshot, occupancy: &occupancy });
        let (outbox, reports) = mailbox(4096);
        let thread = spawn(Arc::new(host.clone()), outbox).expect("a thread");
        let real = Some((snapshot, occupancy));
        Self { allocation, host, real, reports, thread, started: Instant::now(), runs: false }
    }

    /// Returns the requests of the action to the engine, which receives them.
    pub fn ask(&mut self, action: AllocationAction) -> Vec<AllocationRequest> {
        let effects = self.allocation.act(action, last(self.real.as_ref()));
        self.follow(effects)
    }

    pub fn act(&mut self, action: AllocationAction) {
        self.ask(action);
    }

    /// Changes it in the settings panel.
    pub fn choose(&mut self, protocols: Protocols) {
        self.act(AllocationAction::OpenSettings);
        while self.allocation.options().protocols != protocols {
            self.press(Key::Down);
            self.press(Key::Right);
            self.press(Key::Escape);
            self.act(AllocationAction::OpenSettings);
        }
        self.press(Key::Escape);
    }

    /// Changes it in the settings panel.
    pub fn choose_strategy(&mut self, wanted: usize) {
        self.act(AllocationAction::OpenSettings);
        for _ in 0..wanted {
            self.press(Key::Right);
        }
        self.press(Key::Escape);
    }

    /// Sets the limit of attempts of an allocation in the settings panel.
    pub fn allow(&mut self, attempts: u32) {
        self.act(AllocationAction::OpenSettings);
        for _ in 0..3 {
            self.press(Key::Down);
        }
        for digit in attempts.to_string().chars() {
            self.press(Key::Char(digit));
        }
        self.press(Key::Enter);
        self.press(Key::Escape);
    }

    fn press(&mut self, key: Key) {
        let effects = self.allocation.press(key, last(self.real.as_ref()));
        self.follow(effects);
    }

    fn follow(&self, effects: Vec<Effect>) -> Vec<AllocationRequest> {
        let mut asked = Vec::new();
        for effect in effects {
            if let Effect::Ask(Request::Allocation(request)) = effect {
                assert!(self.thread.send(request.clone()), "the thread has ended");
                asked.push(request);
            }
        }
        asked
    }

    pub fn wait_for(&mut self, wanted: impl Fn(&Allocation) -> bool) {
        self.wait_until(|session| wanted(&session.allocation));
    }

    pub fn wait_until(&mut self, wanted: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + SOON;
        while !wanted(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            let report = self.reports.recv_timeout(left);
            self.receive(report.expect("what was waited for"));
        }
    }

    /// Processes all reports that have arrived.
    pub fn take_waiting(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.receive(report);
        }
    }

    fn receive(&mut self, report: Report) {
        match report {
            Report::Allocation(delta) => {
                self.runs = delta.is_running;
                let real = last(self.real.as_ref());
                let effects = self.allocation.apply(self.started.elapsed(), *delta, real);
                self.follow(effects);
            }
            Report::Simulated(snapshot) => self.allocation.set_simulated(snapshot),
            Report::AllocationFailed(why) => self.allocation.fail(why),
            other => panic!("{other:?}"),
        }
    }

    pub fn simulated_scan(&self) -> Option<&Snapshot> {
        self.allocation.scan(None).map(|scan| scan.snapshot)
    }

    /// Returns the ports held on the machine.
    pub fn host_held(&self) -> Vec<(Protocol, u16)> {
        self.host.held()
    }
}

fn last(real: Option<&(Snapshot, Occupancy)>) -> Option<LastScan<'_>> {
    real.map(|(snapshot, occupancy)| LastScan { snapshot, occupancy })
}
