//! Searches for ports with an allocation strategy on real sockets, for `pick` and `exec`. Does not
//! decide what happens to the ports.

use std::collections::BTreeMap;

use rand::{SeedableRng as _, rngs::ChaCha8Rng};

use crate::{
    allocator::{
        Attempt, AttemptSearch, Candidates, EarlyEnd, FreePorts, Neighbours, PortView as _, Tuning,
        WantedAddress, privileged,
    },
    cli::{
        args::{FindArguments, SearchArguments},
        exit,
        range::{self, check_count},
        scan,
        settings::BadInput,
        value,
    },
    domain::{
        AddressRefusal, Binder, Ephemeral, Errno, Gap, Outcome, PortRange, ProcessTable, Protocol,
        Protocols, Refusal, Snapshot, Socket, Text, availability, notation, port,
    },
    engine::sample,
    host::{Held, Host, HostBinder, HostError, OwnerDepth, descriptors},
    report::{self, Collision, NoPort, Pick, Scan, TracedAttempt, pick::UnlistedCount},
};

/// Maximum number of candidates for which an error names the holders.
const MAX_HOLDERS: u32 = 3;

/// Options of the search that differ between commands.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions {
    /// Record each attempt in `Pick::attempts`, with the holder of the port.
    pub attempts: bool,
    /// Raise the soft limit of descriptors, as far as the hard one allows, if the ports need it.
    pub raised_limit: bool,
    /// If there is only one candidate and only connections closed by their processes use it
    /// (TIME-WAIT and orphaned sockets), bind it with SO_REUSEADDR.
    pub beside_ended: bool,
}

/// The ports held so far, with the sockets that hold them.
pub type HeldPorts = Vec<(u16, Box<dyn Held>)>;

/// Returns all requested ports, or none and the reason in `Pick::error`. Errors: the options are
/// invalid, or the host cannot be read.
pub fn run(
    host: &dyn Host,
    settings: &FindArguments,
    options: SearchOptions,
) -> anyhow::Result<(Pick, HeldPorts)> {
    let policy = policy(host)?;
    let (range, reserved) = settings.search.ports(&policy);
    let left_out = PortRange::merged([reserved, settings.excluded()].concat());
    let candidates = Candidates::new(range, &left_out);
    if settings.strategy.lets_machine_choose {
        check_machines_choice(settings)?;
        check_machines_range(settings, range, policy.range)?;
        if settings.search.ignore_reserved {
            report_kept_reserved(policy.reserved_in(range));
        }
    }
    let mut search = PortFinder::new(host, settings, options, range)?;
    let held = if candidates.len() == 0 {
        if Candidates::new(range, reserved).len() > 0 {
            return Err(all_excluded(range).into());
        }
        search.pick.error = Some(NoPort::RangeReserved { range });
        HeldPorts::new()
    } else {
        let (option, wanted) = (settings.count_option(), settings.wanted());
        check_count(option, wanted, range, candidates.len())?;
        search.reserved = Candidates::new(range, settings.excluded()).len() - candidates.len();
        search.run(candidates, &policy, &left_out)?
    };
    let ports = search.pick.ports.iter().copied();
    search.pick.automatic = ports.filter(|&port| policy.may_choose(port)).collect();
    search.pick.ephemeral = policy.range;
    Ok((search.pick, held))
}

fn all_excluded(range: PortRange) -> BadInput {
    let range = range::range_text(range);
    BadInput(format!("--exclude leaves no port of {range}: exclude fewer ports"))
}

/// Rejects --block and --exclude if the kernel chooses the port: it chooses single ports and knows
/// no excluded ones.
fn check_machines_choice(settings: &FindArguments) -> Result<(), BadInput> {
    let option = match (settings.block.is_some(), settings.excluded().is_empty()) {
        (true, _) => "--block",
        (false, false) => "--exclude",
        (false, true) => return Ok(()),
    };
    let name = settings.strategy.name;
    Err(BadInput(format!(
        "{option} cannot be used with --strategy {name}: the kernel chooses the port"
    )))
}

/// Rejects a range that has no port of the ephemeral range, because the kernel could choose none.
fn check_machines_range(
    settings: &FindArguments,
    range: PortRange,
    ephemeral: PortRange,
) -> Result<(), BadInput> {
    if range.intersection(ephemeral).is_some() {
        return Ok(());
    }
    let name = settings.strategy.name;
    Err(BadInput(format!(
        "--strategy {name} chooses only ports of ip_local_port_range {ephemeral}: got --range \
         {range}"
    )))
}

/// Warns about found ports of the ephemeral range: connect() of any process may take them before
/// the program binds them.
pub fn report_automatic(pick: &Pick) {
    let Some((first, others)) = pick.automatic.split_first() else { return };
    let (subject, verb, it) = match others.len() {
        0 => (first.to_string(), "is", "it"),
        more => (format!("{first} and {more} more"), "are", "them"),
    };
    exit::print_stderr(format_args!(
        "portscope: {subject} {verb} in the kernel's ephemeral range {}: until your program binds \
         {it}, any connect() may take {it}; a --range outside that range avoids this",
        pick.ephemeral
    ));
}

/// Returns the kernel's rules for automatic ports, and prints on stderr which sysctls could not be
/// read and are assumed.
pub fn policy(host: &dyn Host) -> Result<Ephemeral, HostError> {
    let (policy, gaps) = host.policy()?;
    exit::report_partial(gaps.iter().filter(|gap| matches!(gap, Gap::PolicyAssumed { .. })));
    Ok(policy)
}

fn report_kept_reserved(ports: u32) {
    if ports > 0 {
        let ports = notation::grouped(ports);
        exit::report_partial([format_args!(
            "--ignore-reserved has no effect with this strategy: the kernel never chooses reserved \
             ports ({ports} in the range)"
        )]);
    }
}

/// Checks the limit of descriptors: all ports are held at the same time, with one socket per
/// protocol. Raises the soft limit before, if `may_raise` is set and the ports need it.
fn check_capacity(count: u32, may_raise: bool, binder: &dyn HostBinder) -> Result<(), BadInput> {
    if may_raise && count > binder.hold_capacity() {
        descriptors::raise_limit();
    }
    let capacity = binder.hold_capacity();
    if count <= capacity {
        return Ok(());
    }
    let fewer = if capacity > 0 { format!("request up to {capacity}, or ") } else { String::new() };
    let ports = notation::counted(count, "port");
    let need = if count == 1 { "needs" } else { "need" };
    Err(BadInput(format!(
        "{ports} {need} more file descriptors than allowed: {fewer}raise ulimit -n"
    )))
}

/// State of a search.
struct PortFinder<'a> {
    host: &'a dyn Host,
    settings: &'a FindArguments,
    options: SearchOptions,
    /// Finds the holders that the trace and `Pick::attempts` show. None: neither was requested.
    holder_finder: Option<HolderFinder<'a>>,
    /// Refusals other than EADDRINUSE: their number, and the errno of the last one.
    other: Option<(u32, Errno)>,
    /// Ports that were refused with EADDRINUSE, except those that this search holds, and the
    /// protocol of the refused bind().
    in_use_ports: BTreeMap<u16, Protocol>,
    /// The refusal of a bind() to port 0 by a security policy (EACCES or EPERM); the policy may
    /// allow other ports. None: no policy refused port 0.
    policy: Option<AddressRefusal>,
    /// Number of ports of the range that are left out only because they are reserved.
    reserved: u32,
    pick: Pick,
}

impl<'a> PortFinder<'a> {
    fn new(
        host: &'a dyn Host,
        settings: &'a FindArguments,
        options: SearchOptions,
        range: PortRange,
    ) -> Result<Self, HostError> {
        let is_reported = settings.trace || options.attempts;
        let pick = Pick {
            strategy: settings.strategy.name,
            seed: value::seed_or_drawn(settings.search.seed)?,
            protocols: settings.search.protocol,
            range,
            max_attempts: settings.search.max_attempts.get(),
            ports: Vec::new(),
            automatic: Vec::new(),
            ephemeral: port::LINUX_DEFAULT,
            attempts: Vec::new(),
            error: None,
        };
        let holder_finder = is_reported.then(|| HolderFinder::new(host));
        Ok(Self {
            host,
            settings,
            options,
            holder_finder,
            other: None,
            in_use_ports: BTreeMap::new(),
            policy: None,
            reserved: 0,
            pick,
        })
    }

    /// Returns all requested ports, or none and the reason in `pick.error`.
    fn run(
        &mut self,
        candidates: Candidates,
        policy: &Ephemeral,
        left_out: &[PortRange],
    ) -> anyhow::Result<HeldPorts> {
        let SearchArguments { protocol: protocols, address, .. } = self.settings.search;
        let strategy = self.settings.strategy;
        match self.host.refusal(protocols, address) {
            Some(refusal) if refusal.is_policy() => self.policy = Some(refusal),
            Some(refusal) => return Ok(self.fail(NoPort::AddressRefused(refusal))),
            None => {}
        }
        let mut binder = self.host.binder(protocols, address)?;
        if strategy.lets_machine_choose {
            binder.choose_within(self.pick.range)?;
        }
        exit::report_partial(binder.limitation());
        check_capacity(self.settings.wanted().get(), self.options.raised_limit, &*binder)?;
        let start = policy.unprivileged_start;
        let candidates = match self.permitted(&mut *binder, candidates, start, left_out) {
            Some(candidates) if candidates.len() >= self.settings.wanted().get() => candidates,
            _ => return Ok(self.fail(NoPort::RightMissing(AddressRefusal::missing_right(start)))),
        };
        self.trace_setup(&candidates);
        self.allocate(binder, candidates)
    }

    fn fail(&mut self, error: NoPort) -> HeldPorts {
        self.pick.error = Some(error);
        HeldPorts::new()
    }

    /// Returns the candidates that this process has the right to bind; None: there are none.
    /// Returns all candidates in two cases: the kernel chooses the port, because it chooses only
    /// ports that need no right; or a security policy refused port 0, because the EACCES of the
    /// policy would look like a missing right.
    fn permitted(
        &self,
        binder: &mut dyn HostBinder,
        candidates: Candidates,
        start: u16,
        left_out: &[PortRange],
    ) -> Option<Candidates> {
        if self.settings.strategy.lets_machine_choose || self.policy.is_some() {
            return Some(candidates);
        }
        privileged::permitted(binder, candidates, start, left_out, |missing| {
            exit::report_partial([missing]);
        })
    }

    fn allocate(
        &mut self,
        binder: Box<dyn HostBinder>,
        candidates: Candidates,
    ) -> anyhow::Result<HeldPorts> {
        let count = self.settings.wanted().get();
        if self.settings.block.is_none() {
            return self.search(binder, candidates, count, |port, held| vec![(port, held)]);
        }
        let length = u16::try_from(count).unwrap_or(u16::MAX);
        let starts = candidates.followed_by(length);
        if starts.len() == 0 {
            return Ok(self.fail(NoPort::NoBlock { range: self.pick.range, length, attempts: 0 }));
        }
        self.search(Neighbours { binder, count: length }, starts, 1, |_, held| held)
    }

    /// Allocates `times` times. `ports_of` returns the ports of one successful allocation.
    fn search<B: Binder>(
        &mut self,
        binder: B,
        candidates: Candidates,
        times: u32,
        ports_of: impl Fn(u16, B::Held) -> HeldPorts,
    ) -> anyhow::Result<HeldPorts> {
        let SearchArguments { protocol: protocols, address, .. } = self.settings.search;
        let strategy = self.settings.strategy;
        let port_view = if strategy.needs_port_view {
            let snapshot = scan::take_snapshot(self.host, OwnerDepth::Skip)?;
            FreePorts::from_snapshot(&snapshot, protocols, address)
        } else {
            FreePorts::all_free()
        };
        let all_denied = self.policy.is_some().then_some(privileged::DENIED_ATTEMPTS);
        let mut allocator = AttemptSearch::new(
            binder,
            (strategy.make)(Tuning::default()),
            ChaCha8Rng::seed_from_u64(self.pick.seed),
            candidates,
            port_view,
        );
        allocator.set_max_attempts(self.settings.search.max_attempts.get());
        allocator.set_early_end(EarlyEnd { all_refused: true, all_denied });
        let mut held = HeldPorts::new();
        for _ in 0..times {
            match allocator.allocate(|attempt| self.record_attempt(attempt, &held)) {
                Ok((port, bound)) => {
                    allocator.port_view_mut().mark_occupied(port);
                    held.extend(ports_of(port, bound));
                }
                Err(gave_up) => {
                    let found = held.len() as u32;
                    held.clear();
                    if let Some(bound) = self.beside_ended(allocator.candidates()) {
                        held.push(bound);
                        break;
                    }
                    let error = self.explain(found, gave_up.attempts, allocator.candidates());
                    return Ok(self.fail(error));
                }
            }
        }
        self.pick.ports = held.iter().map(|(port, _)| *port).collect();
        Ok(held)
    }

    /// Binds the only candidate with SO_REUSEADDR if all TCP sockets on it are connections that
    /// their processes have closed. None: the option `beside_ended` is off, there are other sockets
    /// or candidates, or the scan or the bind failed.
    fn beside_ended(&self, candidates: &Candidates) -> Option<(u16, Box<dyn Held>)> {
        let mut ports = candidates.ports();
        let (Some(port), None) = (ports.next(), ports.next()) else { return None };
        if !self.options.beside_ended || self.in_use_ports.get(&port) != Some(&Protocol::Tcp) {
            return None;
        }
        let snapshot = scan::take_snapshot(self.host, OwnerDepth::Skip).ok()?;
        let sockets = snapshot.on_port(Protocol::Tcp, port);
        let have_ended = sockets.iter().all(Socket::is_closed_by_process);
        if sockets.is_empty() || !have_ended {
            return None;
        }
        let SearchArguments { protocol: protocols, address, .. } = self.settings.search;
        let mut binder = self.host.binder(protocols, address).ok()?;
        binder.reuse_address();
        binder.bind(port).0.ok().map(|held| (port, held))
    }

    fn trace_setup(&self, candidates: &Candidates) {
        let Pick { strategy, seed, range, max_attempts, .. } = self.pick;
        if self.settings.trace {
            let ports = notation::counted(candidates.len(), "port");
            let attempts = notation::counted(max_attempts, "attempt");
            exit::print_stderr(format_args!(
                "strategy {strategy} · seed {seed} · range {range} · {ports} · at most {attempts}"
            ));
        }
    }

    fn record_attempt(&mut self, attempt: &Attempt, held: &HeldPorts) {
        let is_ours = held.iter().any(|&(port, _)| port == attempt.port);
        let collision = attempt.refusal.filter(|refusal| refusal.outcome() == Outcome::InUse);
        match (collision, attempt.refusal) {
            (Some(refusal), _) if !is_ours => {
                self.in_use_ports.insert(attempt.port, refusal.protocol);
            }
            (None, Some(refusal)) => {
                let (count, _) = self.other.unwrap_or((0, refusal.errno));
                self.other = Some((count + 1, refusal.errno));
            }
            _ => {}
        }
        let Some(holder_finder) = &mut self.holder_finder else { return };
        // A refusal of port 0 has no holder: the kernel found no port to choose.
        let collision = collision.filter(|_| attempt.port > 0);
        let length = self.settings.block.map_or(1, |length| length.get() as u16);
        let mut block = attempt.port..=attempt.port.saturating_add(length - 1);
        let holder = match collision {
            Some(_) if is_ours => Some(own_process()),
            Some(refusal) => block.find_map(|port| holder_finder.holder(refusal, port)),
            None => None,
        };
        let traced_attempt =
            TracedAttempt { attempt: *attempt, asked: self.pick.protocols, holder };
        if self.settings.trace {
            exit::print_stderr(&traced_attempt);
        }
        if self.options.attempts {
            self.pick.attempts.push(traced_attempt);
        }
    }

    /// Returns why no further port was found, after `found` ones.
    fn explain(&self, found: u32, attempts: u32, candidates: &Candidates) -> NoPort {
        let (of, range) = (candidates.len(), self.pick.range);
        if let Some(length) = self.settings.block {
            return NoPort::NoBlock { range, length: length.get() as u16, attempts };
        }
        if let Some(refusal) = &self.policy
            && self.in_use_ports.is_empty()
        {
            return NoPort::PolicyRefused { refusal: refusal.clone(), attempts };
        }
        let reserved = self.reserved;
        let are_all_met = self.in_use_ports.len() as u32 == of;
        let free = self.count_free(candidates);
        if are_all_met || free.as_ref().is_some_and(|free| free.ports == 0) {
            return NoPort::RangeFull { range, of, reserved, holders: self.holders(candidates) };
        }
        let (wanted, other) = (self.settings.wanted().get(), self.other);
        NoPort::AttemptsExhausted { found, wanted, attempts, free, of, reserved, other }
    }

    /// Names the holder of each candidate. Empty: there are more than `MAX_HOLDERS` candidates, or
    /// the scan failed. For a candidate that was not refused with EADDRINUSE, considers all
    /// requested protocols.
    fn holders(&self, candidates: &Candidates) -> Vec<(u16, String)> {
        if candidates.len() > MAX_HOLDERS {
            return Vec::new();
        }
        let Ok(snapshot) = scan::take_snapshot(self.host, OwnerDepth::Full) else {
            return Vec::new();
        };
        let processes = sample::describe(self.host, &snapshot);
        let scan = Scan { snapshot: &snapshot, processes: &processes };
        let SearchArguments { protocol: protocols, address, .. } = self.settings.search;
        let wanted = WantedAddress::of(&snapshot, address);
        let holder = |port| {
            let in_use_ports =
                self.in_use_ports.get(&port).copied().map_or(protocols, Protocols::from);
            let asked =
                Protocol::EACH.into_iter().filter(|&protocol| in_use_ports.includes(protocol));
            let sockets = asked.flat_map(|protocol| snapshot.on_port(protocol, port));
            let in_the_way = sockets.filter(|socket| wanted.conflicts_with(socket));
            (port, report::pick::holder_words(scan, in_the_way))
        };
        candidates.ports().map(holder).collect()
    }

    /// Counts the candidates on which no listed socket conflicts with the requested protocols and
    /// address. None: the scan failed.
    fn count_free(&self, candidates: &Candidates) -> Option<UnlistedCount> {
        let snapshot = match scan::take_snapshot(self.host, OwnerDepth::Skip) {
            // A full scan also looks for hidden sockets among the descriptors of processes.
            Ok(scanned) if scanned.hides_bound_inactive() => {
                scan::take_snapshot(self.host, OwnerDepth::Full).unwrap_or(scanned)
            }
            Ok(scanned) => scanned,
            Err(error) => {
                exit::report_partial([error]);
                return None;
            }
        };
        scan::report_gaps([&snapshot], None);
        let SearchArguments { protocol: protocols, address, .. } = self.settings.search;
        let port_view = FreePorts::from_snapshot(&snapshot, protocols, address);
        let ports = candidates.ports().filter(|&port| port_view.looks_free(port)).count() as u32;
        let may_hide = |protocol, port| availability::may_be_unlisted(&snapshot, protocol, port);
        let is_hidden = Protocol::EACH.into_iter().any(|protocol| {
            protocols.includes(protocol) && candidates.ports().any(|port| may_hide(protocol, port))
        });
        let is_refused = |port: &&u16| candidates.contains(**port) && port_view.looks_free(**port);
        let refused = self.in_use_ports.keys().filter(is_refused).count() as u32;
        Some(UnlistedCount { ports, refused, is_doubtful: is_hidden })
    }
}

/// Returns the holder of a port that this search allocated before: this process.
fn own_process() -> Collision {
    Collision::with_process(std::process::id(), Text::scrub(env!("CARGO_PKG_NAME")))
}

/// Finds the holders of ports, with at most two scans of the machine.
struct HolderFinder<'a> {
    host: &'a dyn Host,
    scanned: Option<(Snapshot, ProcessTable)>,
    may_rescan: bool,
}

impl<'a> HolderFinder<'a> {
    fn new(host: &'a dyn Host) -> Self {
        let mut holder_finder = Self { host, scanned: None, may_rescan: true };
        holder_finder.rescan();
        holder_finder
    }

    fn rescan(&mut self) {
        match scan::take_snapshot(self.host, OwnerDepth::Full) {
            Ok(snapshot) => {
                let processes = sample::describe(self.host, &snapshot);
                self.scanned = Some((snapshot, processes));
            }
            Err(error) => {
                exit::report_partial([format_args!("holders unknown: {error}")]);
                self.may_rescan = false;
            }
        }
    }

    /// Returns the holder of a refused port. None: a scan failed, or found no socket on the port:
    /// the socket may have been opened after the scan or closed before it, or may not be listed.
    fn holder(&mut self, refusal: Refusal, port: u16) -> Option<Collision> {
        let known = self.find(refusal, port);
        if known.is_some() || !self.may_rescan {
            return known;
        }
        self.may_rescan = false;
        self.rescan();
        self.find(refusal, port)
    }

    fn find(&self, refusal: Refusal, port: u16) -> Option<Collision> {
        let (snapshot, processes) = self.scanned.as_ref()?;
        Collision::find(Scan { snapshot, processes }, refusal.protocol, port)
    }
}
