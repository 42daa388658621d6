//! A search for ports by an allocation strategy on real sockets, the same for `pick` and `exec`. What
//! becomes of the ports is theirs.

use rand::{SeedableRng as _, rngs::ChaCha8Rng};

use crate::{
    allocator::{Allocator, Attempt, Candidates, FreePorts, Sight as _, Tuning},
    cli::{
        exit, scan, seed,
        settings::{self, BadInput, search::SearchSettings},
    },
    domain::{Errno, Gap, Outcome, PortRange, ProcessTable, Refusal, Snapshot, Text},
    engine::sample,
    host::{Held, Host, HostBinder, HostError, OwnerDepth},
    report::{Collision, NoPort, Pick, Scan, Tried},
    tui,
};

/// What a command wants of the search.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Each attempt in `Pick::attempts`, with who was met.
    pub attempts: bool,
    /// More ports than the soft limit of descriptors allows, where the hard one does.
    pub raised_limit: bool,
}

/// The ports held so far, with what keeps them.
pub type Ports = Vec<(u16, Box<dyn Held>)>;

/// All ports asked for, or none and the reason in `Pick::error`.
pub fn run(
    host: &dyn Host,
    settings: &SearchSettings,
    wishes: Wishes,
) -> anyhow::Result<(Pick, Ports)> {
    let (policy, gaps) = host.policy()?;
    tell_assumptions(&gaps);
    let range = settings.range.resolve(&policy);
    let reserved = if settings.ignore_reserved { &[] } else { policy.reserved() };
    let candidates = Candidates::new(range, reserved);
    if settings.ignore_reserved && settings.strategy.lets_machine_choose {
        tell_kept_reserved(policy.reserved_in(range));
    }
    let mut search = Search::new(host, settings, wishes, range)?;
    let held = if candidates.len() == 0 {
        search.pick.error = Some(NoPort::RangeReserved { range });
        Ports::new()
    } else {
        settings::check_count(settings.count, range, candidates.len())?;
        search.run(candidates)?
    };
    Ok((search.pick, held))
}

pub fn tell_assumptions(gaps: &[Gap]) {
    for gap in gaps.iter().filter(|gap| matches!(gap, Gap::PolicyAssumed { .. })) {
        exit::tell(format_args!("portscope: partial: {gap}"));
    }
}

fn tell_kept_reserved(ports: u32) {
    if ports > 0 {
        exit::tell(format_args!(
            "portscope: partial: the kernel never chooses a reserved port ({ports} of the range are)"
        ));
    }
}

/// All ports are held at the same time, by one descriptor a protocol.
fn check_capacity(count: u32, may_raise: bool, binder: &dyn HostBinder) -> Result<(), BadInput> {
    if may_raise && count > binder.hold_capacity() {
        tui::signals::raise_descriptor_limit();
    }
    let capacity = binder.hold_capacity();
    if count <= capacity {
        return Ok(());
    }
    let fewer = if capacity > 0 { format!("use up to {capacity}, or ") } else { String::new() };
    Err(BadInput(format!(
        "--count {count} needs more open files than allowed: {fewer}raise ulimit -n"
    )))
}

/// A search under way.
struct Search<'a> {
    host: &'a dyn Host,
    settings: &'a SearchSettings,
    wishes: Wishes,
    /// Only where somebody wants to know who was met.
    witness: Option<Witness<'a>>,
    /// Refusals by something else than a socket: how many, and the last of them.
    other: Option<(u32, Errno)>,
    pick: Pick,
}

impl<'a> Search<'a> {
    fn new(
        host: &'a dyn Host,
        settings: &'a SearchSettings,
        wishes: Wishes,
        range: PortRange,
    ) -> Result<Self, HostError> {
        let is_told = settings.trace || wishes.attempts;
        let pick = Pick {
            strategy: settings.strategy.name,
            seed: seed::or_drawn(settings.seed)?,
            protocols: settings.protocols,
            range,
            max_attempts: settings.max_attempts.get(),
            ports: Vec::new(),
            attempts: Vec::new(),
            error: None,
        };
        let witness = is_told.then(|| Witness::new(host));
        Ok(Self { host, settings, wishes, witness, other: None, pick })
    }

    /// All ports asked for, or none and the reason in `pick.error`.
    fn run(&mut self, candidates: Candidates) -> anyhow::Result<Ports> {
        let SearchSettings { strategy, protocols, address, .. } = *self.settings;
        let mut binder = self.host.binder(protocols, address)?;
        if strategy.lets_machine_choose {
            binder.choose_within(self.pick.range)?;
        }
        let sight = if strategy.needs_sight {
            FreePorts::seen(&scan::look(self.host, OwnerDepth::Skip)?, protocols, address)
        } else {
            FreePorts::everything()
        };
        if let Some(limitation) = binder.limitation() {
            exit::tell(format_args!("portscope: partial: {limitation}"));
        }
        check_capacity(self.settings.count.get(), self.wishes.raised_limit, &*binder)?;
        self.trace_setup(&candidates);
        let mut allocator = Allocator::new(
            binder,
            (strategy.make)(Tuning::default()),
            ChaCha8Rng::seed_from_u64(self.pick.seed),
            candidates,
            self.settings.max_attempts.get(),
        )
        .seeing(sight);
        let mut held = Ports::new();
        while held.len() < self.settings.count.get() as usize {
            match allocator.allocate(|attempt| self.see(attempt, &held)) {
                Ok(won) => {
                    allocator.sight_mut().take(won.0);
                    held.push(won);
                }
                Err(gave_up) => {
                    held.clear();
                    let error = self.explain(gave_up.attempts, allocator.candidates());
                    self.pick.error = Some(error);
                    return Ok(held);
                }
            }
        }
        self.pick.ports = held.iter().map(|(port, _)| *port).collect();
        Ok(held)
    }

    fn trace_setup(&self, candidates: &Candidates) {
        let Pick { strategy, seed, range, max_attempts, .. } = self.pick;
        if self.settings.trace {
            exit::tell(format_args!(
                "strategy {strategy} · seed {seed} · range {range} · {} ports · at most {max_attempts} attempts",
                candidates.len(),
            ));
        }
    }

    fn see(&mut self, attempt: &Attempt, held: &Ports) {
        if let Some(refusal) = attempt.refusal
            && refusal.outcome() != Outcome::InUse
        {
            let (count, _) = self.other.unwrap_or((0, refusal.errno));
            self.other = Some((count + 1, refusal.errno));
        }
        let Some(witness) = &mut self.witness else { return };
        let is_ours = held.iter().any(|&(port, _)| port == attempt.port);
        // Port 0: the machine had none to choose, so nobody in particular was met.
        let collision = attempt.refusal.filter(|_| attempt.port > 0);
        let collision = collision.filter(|refusal| refusal.outcome() == Outcome::InUse);
        let holder = match collision {
            Some(_) if is_ours => Some(ourselves()),
            Some(refusal) => witness.holder(refusal, attempt.port),
            None => None,
        };
        let tried = Tried { attempt: *attempt, asked: self.settings.protocols, holder };
        if self.settings.trace {
            exit::tell(&tried);
        }
        if self.wishes.attempts {
            self.pick.attempts.push(tried);
        }
    }

    fn explain(&self, attempts: u32, candidates: &Candidates) -> NoPort {
        let of = candidates.len();
        match self.count_free(candidates) {
            Some(0) => NoPort::RangeFull { range: self.pick.range, of },
            free => NoPort::AttemptsExhausted { attempts, free, of, other: self.other },
        }
    }

    /// Candidates without a socket now, as far as the machine tells.
    fn count_free(&self, candidates: &Candidates) -> Option<u32> {
        let snapshot = match scan::look(self.host, OwnerDepth::Skip) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                exit::tell(format_args!("portscope: partial: {error}"));
                return None;
            }
        };
        scan::tell_gaps(&snapshot);
        let SearchSettings { protocols, address, .. } = *self.settings;
        let sight = FreePorts::seen(&snapshot, protocols, address);
        Some(candidates.ports().filter(|&port| sight.looks_free(port)).count() as u32)
    }
}

/// Who holds a port of an allocation before.
fn ourselves() -> Collision {
    Collision::with_process(std::process::id(), Text::scrub(env!("CARGO_PKG_NAME")))
}

/// Names who has a port, from at most two looks at the machine.
struct Witness<'a> {
    host: &'a dyn Host,
    seen: Option<(Snapshot, ProcessTable)>,
    may_look_again: bool,
}

impl<'a> Witness<'a> {
    fn new(host: &'a dyn Host) -> Self {
        let mut witness = Self { host, seen: None, may_look_again: true };
        witness.look();
        witness
    }

    fn look(&mut self) {
        match scan::look(self.host, OwnerDepth::Full) {
            Ok(snapshot) => {
                let processes = sample::describe(self.host, &snapshot);
                self.seen = Some((snapshot, processes));
            }
            Err(error) => {
                exit::tell(format_args!("portscope: partial: holders are not seen: {error}"));
                self.may_look_again = false;
            }
        }
    }

    /// None: not seen. A socket may come and go between a look and an attempt.
    fn holder(&mut self, refusal: Refusal, port: u16) -> Option<Collision> {
        let known = self.find(refusal, port);
        if known.is_some() || !self.may_look_again {
            return known;
        }
        self.may_look_again = false;
        self.look();
        self.find(refusal, port)
    }

    fn find(&self, refusal: Refusal, port: u16) -> Option<Collision> {
        let (snapshot, processes) = self.seen.as_ref()?;
        Collision::find(Scan { snapshot, processes }, refusal.protocol, port)
    }
}
