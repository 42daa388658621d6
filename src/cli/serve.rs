//! `portscope serve`: leases ports to other programs until a signal arrives, and logs to stderr.

use std::{os::fd::AsFd as _, time::Duration};

use crate::{
    allocator::{Bands, Candidates, Lease, PoolSetup, Quarantine, privileged},
    cli::{
        args::{SearchArguments, ServeArguments},
        exit::{self, CommandEnd},
        search,
        settings::BadInput,
        value,
    },
    domain::{AddressRefusal, PortRange, Protocols, notation},
    engine::{
        lease_server::{
            CloseReason, EventCounts, LeaseServer, MAX_WAITING, ServerEvent, ServerWake, Statistics,
        },
        lease_table::{LeaseTable, NoLease, PoolPorts},
        permit,
    },
    host::{
        Host, HostBinder, HostError, descriptors,
        lease_socket::SocketPath,
        signals::{EndingSignals, SIGUSR1},
    },
};

/// Probability with which a search may give up although a port is free.
const FAILURE_RATE: f64 = 1e-9;

/// Default quarantine, if neither --quarantine nor --drain is given.
const QUARANTINE: Duration = Duration::from_secs(2);

/// Minimum time between two messages that no port is available, unless --trace is set.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Number of descriptors needed in addition to those of the binder: the listener, the lock, a
/// client and a file in /proc. A bind() uses sockets that are already open.
const MORE_DESCRIPTORS: u32 = 4;

/// Serves until a signal arrives, then removes the files that this process created.
/// `CommandEnd::Signal` has the signal, which is raised again at exit. Errors: the options are
/// invalid, /proc is that of another pid namespace, or a system call failed.
pub fn run(host: &dyn Host, settings: &ServeArguments) -> anyhow::Result<CommandEnd> {
    descriptors::raise_limit();
    // Signals are caught before the first file is created, so that no signal leaves a file behind.
    let signals = EndingSignals::listen(SIGUSR1);
    let signals = signals.map_err(|error| HostError::new("wait for signals", error))?;
    if !host.has_our_pids()? {
        return Err(foreign_proc().into());
    }
    let policy = search::policy(host)?;
    let SearchArguments { protocol, address, seed, .. } = settings.search;
    let (range, reserved) = settings.search.ports(&policy);
    let candidates = Candidates::new(range, reserved);
    if candidates.len() == 0 {
        return Err(all_reserved(range).into());
    }
    let binder = permit::binder(host, &candidates, protocol, address);
    let mut binder = binder.map_err(|refused| BadInput(refused.to_string()))?;
    let start = policy.unprivileged_start;
    let permitted = privileged::permitted(&mut *binder, candidates, start, reserved, |left_out| {
        exit::report_partial([left_out]);
    });
    let missing = || BadInput(AddressRefusal::missing_right(start).to_string());
    let candidates = permitted.ok_or_else(missing)?;
    let ports = candidates.len();
    exit::report_partial(binder.limitation());
    let seed = value::seed_or_drawn(seed)?;
    let capacity = Capacity::of(&*binder);
    let setup = setup(settings, candidates, &capacity);
    let lease_table = LeaseTable::new(setup, binder, seed)?;
    descriptors::check_left(MORE_DESCRIPTORS)
        .map_err(|error| HostError::new("open the files that a lease needs", error))?;
    let socket = host.lease_socket(&settings.socket)?;
    report_start(settings, range, ports, seed);
    let mut log = ServeLog { host, trace: settings.trace, complained: None };
    let mut on_event = |event: &ServerEvent| log.write(event);
    let server = LeaseServer::new(host, socket, lease_table, capacity.clients, &mut on_event);
    server.run(signals.as_fd(), || wake(&signals))?;
    Ok(signals.last().map_or(CommandEnd::Done, CommandEnd::Signal))
}

fn wake(signals: &EndingSignals) -> ServerWake {
    signals.clear();
    match (signals.last(), signals.take_report()) {
        (Some(_), _) => ServerWake::End,
        (None, true) => ServerWake::Count,
        (None, false) => ServerWake::Nothing,
    }
}

fn foreign_proc() -> BadInput {
    BadInput(
        "/proc shows another pid namespace, where pids belong to other processes: mount /proc \
         (unshare --mount-proc)"
            .to_owned(),
    )
}

fn all_reserved(range: PortRange) -> BadInput {
    BadInput(format!(
        "every port of {range} is reserved (ip_local_reserved_ports): use another --range, or \
         --ignore-reserved"
    ))
}

/// The limits that divide the allowed descriptors between clients and ports.
struct Capacity {
    /// Maximum number of clients in each queue of the server.
    clients: usize,
    /// Maximum number of ports that stay bound in quarantine (--drain).
    ports: u32,
}

impl Capacity {
    fn of(binder: &dyn HostBinder) -> Self {
        let ports = binder.hold_capacity();
        // A held port needs one descriptor per protocol; a client needs one.
        let clients = (ports / 2).clamp(1, MAX_WAITING as u32);
        Self { clients: clients as usize, ports: ports.saturating_sub(clients) }
    }
}

fn setup(settings: &ServeArguments, candidates: Candidates, capacity: &Capacity) -> PoolSetup {
    PoolSetup {
        candidates,
        bands: Bands::default(),
        quarantine: match (settings.quarantine, settings.drain) {
            (None, Some(quiet)) => Quarantine::Drain(quiet),
            (time, _) => Quarantine::Time(time.unwrap_or(QUARANTINE)),
        },
        failure_rate: FAILURE_RATE,
        max_attempts: settings.search.max_attempts.get(),
        max_held: capacity.ports,
    }
}

fn report_start(settings: &ServeArguments, range: PortRange, ports: u32, seed: u64) {
    let protocols = match settings.search.protocol {
        Protocols::Tcp => "tcp",
        Protocols::Udp => "udp",
        Protocols::Both => "tcp and udp",
    };
    // Clients may run in another directory, so the absolute path is shown, unless it is too long
    // for their socket address.
    let absolute = match &settings.socket {
        SocketPath::Path(path) => std::path::absolute(path).ok().map(SocketPath::Path),
        SocketPath::Abstract(_) => None,
    };
    let absolute = absolute.filter(SocketPath::fits_clients);
    let address = absolute.as_ref().unwrap_or(&settings.socket);
    let ports = notation::counted(ports, "port");
    exit::print_stderr(format_args!(
        "portscope: leasing {ports} of {range} ({protocols}) to clients of the portserver \
         protocol: PORTSERVER_ADDRESS={address}"
    ));
    if settings.trace {
        let attempts = notation::counted(settings.search.max_attempts.get(), "attempt");
        exit::print_stderr(format_args!("seed {seed} · at most {attempts}"));
    }
}

/// Writes messages to stderr.
struct ServeLog<'a> {
    host: &'a dyn Host,
    trace: bool,
    /// Time of the last message that no port is available; None: there was none.
    complained: Option<Duration>,
}

impl ServeLog<'_> {
    fn write(&mut self, event: &ServerEvent) {
        match event {
            ServerEvent::Refused { pid, why: why @ NoLease::Shortage(_), at } => {
                let next = self.complained.map_or(Duration::ZERO, |at| at + COMPLAINT_INTERVAL);
                if self.trace || *at >= next {
                    self.complained = Some(*at);
                    exit::print_stderr(format_args!(
                        "portscope: no port for {}: {why}",
                        named(self.host, *pid)
                    ));
                }
            }
            ServerEvent::Counted(statistics) => exit::print_stderr(counted(statistics)),
            event if self.trace => exit::print_stderr(trace(self.host, event)),
            _ => {}
        }
    }
}

fn trace(host: &dyn Host, event: &ServerEvent) -> String {
    let of = |Lease { number, port, holder, .. }: &Lease| {
        format!("lease {number} · port {port} · {}", named(host, holder.pid))
    };
    match event {
        ServerEvent::Leased(lease) => of(lease),
        ServerEvent::GivenBack(lease) => {
            format!("{}: returned, the client disconnected", of(lease))
        }
        ServerEvent::Refused { pid, why: why @ NoLease::Endless(_), .. } => {
            format!("pid {pid} refused: {why}: {}", endless(*pid))
        }
        // The name is left out: the pid may belong to another pid namespace.
        ServerEvent::Refused { pid, why, .. } => format!("pid {pid} refused: {why}"),
        ServerEvent::NotUnderstood(line) => line.to_string(),
        ServerEvent::Closed(CloseReason::Silent) => {
            "closed: the client sent no request in time".into()
        }
        ServerEvent::Closed(CloseReason::TooManyClients) => {
            "closed: too many pending clients".into()
        }
        ServerEvent::Reclaimed(port) => format!("port {port} released: its process has exited"),
        ServerEvent::Counted(statistics) => counted(statistics),
    }
}

/// Formats a process as `nginx[812]`, or as `pid 812` if it has ended or is not visible.
fn named(host: &dyn Host, pid: u32) -> String {
    notation::NamedProcess { name: host.name_of(pid).as_ref(), pid }.to_string()
}

/// Returns why the process does not end before this server.
fn endless(pid: u32) -> &'static str {
    match pid {
        0 => "0 is not a process",
        1 => "init does not exit",
        pid if pid == std::process::id() => "it is this server",
        _ => "kernel threads do not exit",
    }
}

fn counted(statistics: &Statistics) -> String {
    let Statistics { event_counts, ports, waiting } = *statistics;
    let PoolPorts { leased, free, in_quarantine } = ports;
    let [leased, in_quarantine, waiting] =
        [leased, in_quarantine, waiting].map(|number| notation::grouped(number as u64));
    let free = notation::grouped(free);
    let EventCounts { leased: given, reclaimed, given_back, refused, not_understood, closed } =
        event_counts;
    let [given, reclaimed, given_back, refused, not_understood, closed] =
        [given, reclaimed, given_back, refused, not_understood, closed].map(notation::grouped);
    format!(
        "portscope: ports: {leased} leased, {free} free, {in_quarantine} in quarantine; clients: \
         {waiting} waiting; since start: {given} leased, {reclaimed} released, {given_back} \
         returned, {refused} refused, {not_understood} invalid, {closed} closed without a request"
    )
}
