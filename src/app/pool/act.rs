//! Handles user actions on the pool and creates requests to the engine. Handles no reports.

use crate::{
    app::{
        Effect, Key,
        allocation::{Allocation, AllocatorTarget, LastScan, OccupancyCounts},
        pool::{PoolAction, PoolPlan, PoolScreen, PoolSettingsPanel},
    },
    domain::{Text, notation},
    engine::{PoolRequest, Request},
};

/// Number of rows that a page key moves.
const PAGE: usize = 10;
const NOTHING_LEASED: &str = "no port is leased";

/// The input of a pool besides its own options: the allocator's options and the last scan.
#[derive(Clone, Copy)]
pub struct PoolInput<'a> {
    pub allocation: &'a Allocation,
    pub scan: Option<LastScan<'a>>,
}

impl PoolScreen {
    pub fn act(&mut self, action: PoolAction, input: PoolInput<'_>) -> Vec<Effect> {
        self.notice = None;
        match action {
            PoolAction::Toggle => {
                self.is_open = !self.is_open;
                return self.sync_pool(input);
            }
            PoolAction::Take => return self.take(1, input),
            PoolAction::TakeTen => return self.take(10, input),
            PoolAction::TakeAll => return self.take(u32::MAX, input),
            PoolAction::NextClass => self.class = self.next_class(),
            PoolAction::Up => self.selected = self.selected.saturating_sub(1),
            PoolAction::Down => self.select(self.selected + 1),
            PoolAction::PageUp => self.selected = self.selected.saturating_sub(PAGE),
            PoolAction::PageDown => self.select(self.selected + PAGE),
            PoolAction::First => self.selected = 0,
            PoolAction::Last => self.select(usize::MAX),
            PoolAction::Release => return self.release_one(),
            PoolAction::ReleaseAll => return self.release(PoolRequest::ReleaseAll),
            PoolAction::Reclaim => return self.release(PoolRequest::Reclaim),
            PoolAction::OpenSettings => {
                let ephemeral = input.scan.map(|scan| scan.snapshot.ephemeral.range);
                self.panel = Some(PoolSettingsPanel::new(self.options, ephemeral));
            }
        }
        Vec::new()
    }

    /// Adds a pasted character to the selected settings field, if the settings are open.
    pub fn paste(&mut self, character: char) {
        if let Some(panel) = &mut self.panel {
            panel.paste(character);
        }
    }

    /// Handles a click on a row of the settings if they are open, else on a row of the list.
    pub fn click(&mut self, row: usize) {
        match &mut self.panel {
            Some(panel) => panel.click(row),
            None => self.select(row),
        }
    }

    /// Handles a key while the settings are open; does nothing otherwise.
    pub fn press(&mut self, key: Key, input: PoolInput<'_>) -> Vec<Effect> {
        let Some(panel) = &mut self.panel else { return Vec::new() };
        if panel.press(key) {
            return Vec::new();
        }
        let wanted = *panel.options();
        self.panel = None;
        if wanted == self.options {
            return Vec::new();
        }
        self.notice = None;
        self.options = wanted;
        self.sync_pool(input)
    }

    /// Called when the user leaves the screen: closes the settings; the leases stay.
    pub fn leave(&mut self) {
        self.panel = None;
    }

    /// Handles the first snapshot of the machine: opens a pool that waited for it. A simulated pool
    /// does not wait, because the engine itself reads the reserved ports.
    pub fn observe(&mut self, input: PoolInput<'_>) -> Vec<Effect> {
        if self.asked.is_some() {
            return Vec::new();
        }
        self.notice = None;
        self.sync_pool(input)
    }

    /// Returns the requests that make the engine's pool match the current options, if the pool is
    /// shown.
    pub fn sync_pool(&mut self, input: PoolInput<'_>) -> Vec<Effect> {
        if !self.is_open {
            return Vec::new();
        }
        match self.wanted(input) {
            Err(words) => {
                self.notice = Some(words);
                let had_pool = self.asked.is_some();
                self.forget();
                if had_pool { vec![ask(PoolRequest::Close)] } else { Vec::new() }
            }
            Ok(wanted) => self.apply_plan(wanted),
        }
    }

    fn apply_plan(&mut self, wanted: PoolPlan) -> Vec<Effect> {
        match &mut self.asked {
            Some(asked) if is_alike(asked, &wanted) => {
                if asked.holder == wanted.holder {
                    return Vec::new();
                }
                asked.holder = wanted.holder;
                vec![ask(PoolRequest::LeaseHolder(wanted.holder))]
            }
            _ => {
                let lost = self.report().map_or(0, |report| report.leases.len() as u64);
                let words = format!("new pool: {} ended", notation::counted(lost, "lease"));
                self.notice = (lost > 0).then(|| Text::scrub(words));
                self.forget();
                self.number += 1;
                self.asked = Some(wanted.clone());
                vec![ask(PoolRequest::Open(wanted))]
            }
        }
    }

    /// Returns the plan of the pool. The error says why there can be no pool now.
    fn wanted(&self, PoolInput { allocation, scan }: PoolInput<'_>) -> Result<PoolPlan, Text> {
        let options = allocation.options();
        let target = allocation.target();
        let is_alone = scan.is_some_and(|scan| scan.snapshot.machine.is_isolated);
        let hold_share = match target {
            AllocatorTarget::Machine if scan.is_none() => {
                return Err(Text::scrub("no scan yet: the pool opens after the first scan"));
            }
            // On a machine that others use, hold at most a tenth of the free ports.
            AllocatorTarget::Machine if !is_alone => 0.1,
            AllocatorTarget::Machine | AllocatorTarget::Simulated { .. } => 1.0,
        };
        let count = |scan| OccupancyCounts::count(options, scan).candidates;
        let candidates = scan.map_or(options.range.len(), count);
        if candidates == 0 {
            let words = format!(
                "all ports of {} are reserved: choose another range (P, then o)",
                options.range
            );
            return Err(Text::scrub(words));
        }
        self.check_bands(candidates)?;
        Ok(PoolPlan {
            target,
            protocols: options.protocols,
            range: options.range,
            reserved: scan.map(|s| s.snapshot.ephemeral.reserved().to_vec()).unwrap_or_default(),
            address: options.address,
            bands: self.options.bands,
            quarantine: self.options.quarantine,
            failure_rate: self.options.failure_rate,
            max_attempts: self.options.max_attempts,
            hold_share,
            seed: options.seed,
            holder: self.options.holder,
        })
    }

    fn check_bands(&self, candidates: u32) -> Result<(), Text> {
        let bands = self.options.bands;
        let asked = u64::from(bands.high) + u64::from(bands.normal);
        if asked <= u64::from(candidates) {
            return Ok(());
        }
        let words = format!(
            "bands need {}, range has {}: reduce them (o)",
            notation::counted(asked, "port"),
            notation::grouped(candidates)
        );
        Err(Text::scrub(words))
    }

    fn take(&mut self, count: u32, input: PoolInput<'_>) -> Vec<Effect> {
        // After a failure, the key first tries to open the pool again.
        let mut effects = if self.asked.is_none() { self.sync_pool(input) } else { Vec::new() };
        if self.asked.is_some() {
            effects.push(ask(PoolRequest::Take { class: self.class, count }));
        }
        effects
    }

    fn release_one(&mut self) -> Vec<Effect> {
        let is_leased = self.report().is_some_and(|report| self.selected < report.leases.len());
        match self.selected_port() {
            Some(port) if is_leased => vec![ask(PoolRequest::Release(port))],
            Some(port) => self.refuse(format!("{port} is in quarantine")),
            None => self.refuse(NOTHING_LEASED),
        }
    }

    fn release(&mut self, request: PoolRequest) -> Vec<Effect> {
        if self.has_leases() {
            return vec![ask(request)];
        }
        self.refuse(NOTHING_LEASED)
    }

    /// Shows why a key has no effect. Returns no requests.
    fn refuse(&mut self, why: impl AsRef<[u8]>) -> Vec<Effect> {
        self.notice = Some(Text::scrub(why));
        Vec::new()
    }

    fn select(&mut self, row: usize) {
        self.selected = row.min(self.rows().saturating_sub(1));
    }
}

/// Whether two plans are equal except for the lease holder and the reserved ports, which may differ
/// between scans.
fn is_alike(asked: &PoolPlan, wanted: &PoolPlan) -> bool {
    let as_then =
        PoolPlan { reserved: asked.reserved.clone(), holder: asked.holder, ..wanted.clone() };
    *asked == as_then
}

fn ask(request: PoolRequest) -> Effect {
    Effect::Ask(Request::Pool(request))
}
