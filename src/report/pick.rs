//! The result of a search for ports: ports, attempts, holders, and why no port was found. Binds
//! nothing.

use std::{
    borrow::Cow,
    fmt,
    io::{self, Write},
};

use serde::{Serialize, Serializer};

use crate::{
    allocator::Attempt,
    domain::{
        AddressRefusal, Errno, Outcome, Owner, PortRange, Protocol, Protocols, Socket, State, Text,
        availability,
        notation::{self, counted, grouped},
    },
    report::{
        Scan,
        rows::{self, ProcessRow},
        text,
    },
};

/// A search and its result.
#[derive(Clone, Debug)]
pub struct Pick {
    pub strategy: &'static str,
    pub seed: u64,
    pub protocols: Protocols,
    pub range: PortRange,
    pub max_attempts: u32,
    /// Empty if fewer ports were found than requested.
    pub ports: Vec<u16>,
    /// Of `ports`: those that connect() and bind() to port 0 may choose, because they are in
    /// `ephemeral` and not reserved.
    pub automatic: Vec<u16>,
    pub ephemeral: PortRange,
    /// Empty unless the attempts were requested.
    pub attempts: Vec<TracedAttempt>,
    /// None: all requested ports were found.
    pub error: Option<NoPort>,
}

/// One attempt, and the holder if the port was in use.
#[derive(Clone, Debug)]
pub struct TracedAttempt {
    pub attempt: Attempt,
    /// The requested protocols.
    pub asked: Protocols,
    /// None: the port was not in use, or no holder was found.
    pub holder: Option<Collision>,
}

/// The holder of a port that an attempt found in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Collision {
    kind: &'static str,
    /// Pid and name, ascending by pid. None: the name is unknown.
    #[serde(serialize_with = "processes")]
    processes: Vec<(u32, Option<Text>)>,
    /// The kernel's tunnels that use the port, in words. None: `kind` is not `kernel`, or no tunnel
    /// uses the port.
    #[serde(skip)]
    tunnels: Option<String>,
    /// The user of a hidden process, in words. None: `kind` is not `hidden`, or the kernel reports
    /// no uid.
    #[serde(skip)]
    user: Option<String>,
}

impl Collision {
    /// Finds the holder of a port. If the port has several sockets, uses those with the most
    /// informative kind of owner. None: no socket is listed on the port, or owners were not looked
    /// up.
    pub fn find(scan: Scan<'_>, protocol: Protocol, port: u16) -> Option<Self> {
        let sockets = scan.snapshot.on_port(protocol, port);
        let owners = || sockets.iter().map(|socket| scan.snapshot.owner(socket));
        let kind = owners().min_by_key(|&owner| rank(owner))?.kind()?;
        let of_kind = owners().filter(|owner| owner.kind() == Some(kind));
        let mut pids: Vec<u32> = of_kind.flat_map(Owner::pids).copied().collect();
        pids.sort_unstable();
        pids.dedup();
        let name = |pid| scan.processes.get(pid).map(|process| process.name.clone());
        let tunnels = sockets.iter().find_map(|socket| scan.snapshot.tunnel_names(socket));
        let processes = pids.into_iter().map(|pid| (pid, name(pid))).collect();
        let mut hidden = sockets.iter().filter(|s| scan.snapshot.owner(s) == Owner::Hidden);
        let user = hidden
            .find_map(|socket| scan.user(socket))
            .map(|user| if user.is_known() { format!("user {user}") } else { user.to_string() });
        Some(Self {
            kind,
            processes,
            tunnels: tunnels.filter(|_| kind == "kernel"),
            user: user.filter(|_| kind == "hidden"),
        })
    }

    pub fn with_process(pid: u32, name: Text) -> Self {
        Self { kind: "process", processes: vec![(pid, Some(name))], tunnels: None, user: None }
    }
}

impl fmt::Display for Collision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tunnels) = &self.tunnels {
            return write!(f, "kernel: {tunnels}");
        }
        f.write_str(text::before_names(self.kind))?;
        if let Some(user) = &self.user {
            write!(f, " ({user})")?;
        }
        for (number, (pid, name)) in self.processes.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{}", notation::NamedProcess { name: name.as_ref(), pid: *pid })?;
        }
        Ok(())
    }
}

/// The line that `--trace` prints.
impl fmt::Display for TracedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attempt { number, port, refusal, took } = self.attempt;
        write!(f, "attempt {number} · ")?;
        match port {
            0 => f.write_str("any port")?,
            port => write!(f, "port {port}")?,
        }
        write!(f, " · {}", self.attempt.outcome().name())?;
        match refusal {
            Some(refusal) => write!(f, " ({} {})", refusal.protocol.name(), refusal.errno)?,
            None => write!(f, " ({})", self.asked.name())?,
        }
        write!(f, " · {}", notation::elapsed(took))?;
        match &self.holder {
            Some(holder) => write!(f, " · {holder}"),
            None if port > 0 && self.attempt.outcome() == Outcome::InUse => {
                f.write_str(" · holder unknown")
            }
            None => Ok(()),
        }
    }
}

/// Why no port was found. Failed attempts alone are never reported as "no free port": a free port
/// may not have been tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPort {
    AttemptsExhausted {
        /// Number of ports that were found before the search gave up.
        found: u32,
        /// Number of ports that were requested.
        wanted: u32,
        /// Number of attempts to find the next port.
        attempts: u32,
        /// None: the scan failed.
        free: Option<UnlistedCount>,
        /// Number of candidates: the ports that could be tried.
        of: u32,
        /// Number of ports of the range that are no candidates because they are reserved.
        reserved: u32,
        /// Number of refusals with an errno other than EADDRINUSE, and the last such errno. None:
        /// there were none.
        other: Option<(u32, Errno)>,
    },
    RangeFull {
        range: PortRange,
        /// Number of candidates: the ports that could be tried.
        of: u32,
        /// Number of ports of the range that are no candidates because they are reserved.
        reserved: u32,
        /// Each candidate with its holder in words. Empty: there are many, or the scan failed.
        holders: Vec<(u16, String)>,
    },
    RangeReserved {
        range: PortRange,
    },
    /// `length` consecutive free ports were not found.
    NoBlock {
        range: PortRange,
        length: u16,
        /// 0: the range has no run of `length` ports that are neither reserved nor excluded.
        attempts: u32,
    },
    /// No port of the address can be bound.
    AddressRefused(AddressRefusal),
    /// No port of the range can be bound, because this process lacks CAP_NET_BIND_SERVICE.
    RightMissing(AddressRefusal),
    /// A security policy refused port 0 and each port that was tried, with EACCES or EPERM.
    PolicyRefused {
        refusal: AddressRefusal,
        attempts: u32,
    },
}

/// Candidates that no listed socket blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnlistedCount {
    pub ports: u32,
    /// Number of these ports that were refused with EADDRINUSE all the same.
    pub refused: u32,
    /// Whether an unlisted socket may be on such a port, because not all sockets are listed.
    pub is_doubtful: bool,
}

/// Describes the most informative owner of the sockets on a port: `python3[812]`, `a socket in
/// TIME-WAIT (closed by its process, 42s left)`. Without sockets, returns `an unlisted socket`.
pub fn holder_words<'a>(scan: Scan<'a>, sockets: impl Iterator<Item = &'a Socket>) -> String {
    let owner = |socket: &&Socket| scan.snapshot.owner(socket);
    let Some(socket) = sockets.min_by_key(|socket| rank(owner(socket))) else {
        return "an unlisted socket".to_owned();
    };
    let names = || scan.names(socket);
    match owner(&socket) {
        Owner::Process(_) => names(),
        Owner::Backlog(_) => format!("a connection not yet accepted by {}", names()),
        Owner::Departed(_) => closed_by(&names(), socket),
        Owner::Kernel => match scan.snapshot.tunnel_names(socket) {
            Some(tunnels) => format!("the kernel: {tunnels}"),
            None => closed_by("its process", socket),
        },
        Owner::Hidden => availability::hidden_process(&scan.snapshot.machine.users, socket.uid),
        Owner::Nobody => format!("a socket without a visible process ({})", socket.state),
        Owner::Unresolved => "a process that opened or closed a socket during the scan".to_owned(),
        Owner::NotAsked => "an owner that was not looked up".to_owned(),
    }
}

fn closed_by(process: &str, socket: &Socket) -> String {
    let left = socket.expires_ms.filter(|_| socket.state == State::TimeWait);
    let left = left.map(|ms| format!(", {}s left", ms.div_ceil(1000))).unwrap_or_default();
    format!("a socket in {} (closed by {process}{left})", socket.state)
}

/// Orders owners by how much they say about the holder; the most informative is first.
fn rank(owner: Owner<'_>) -> u8 {
    match owner {
        Owner::Process(_) => 0,
        Owner::Backlog(_) => 1,
        Owner::Departed(_) => 2,
        Owner::Hidden => 3,
        Owner::Kernel => 4,
        Owner::Nobody => 5,
        Owner::Unresolved => 6,
        Owner::NotAsked => 7,
    }
}

impl NoPort {
    /// Returns `error.kind` for JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AttemptsExhausted { .. } => "attempts-exhausted",
            Self::RangeFull { .. } => "range-full",
            Self::RangeReserved { .. } => "range-reserved",
            Self::NoBlock { .. } => "no-block",
            Self::AddressRefused(_) => "address-refused",
            Self::RightMissing(_) | Self::PolicyRefused { .. } => "permission-denied",
        }
    }
}

impl fmt::Display for NoPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AttemptsExhausted { found, wanted, attempts, free, of, reserved, other } => {
                if *wanted > 1 {
                    write!(f, "found {} of the ", grouped(*found))?;
                    write!(f, "{} requested ports: ", grouped(*wanted))?;
                }
                write!(f, "gave up after {} · ", counted(*attempts, "attempt"))?;
                write_free(f, *free, (*of, *reserved))?;
                let Some((count, errno)) = other else { return Ok(()) };
                let failed = counted(*count, "attempt");
                write!(f, " · {failed} failed for another reason (last: {errno})")
            }
            Self::RangeFull { range, of, reserved, holders } => {
                write_full(f, *range, (*of, *reserved), holders)
            }
            Self::NoBlock { range, length, attempts: 0 } => write!(
                f,
                "range {range} has no {length} consecutive ports that are neither reserved nor \
                 excluded"
            ),
            Self::NoBlock { range, length, attempts } => write!(
                f,
                "found no block of {length} free ports in range {range} ({})",
                counted(*attempts, "attempt")
            ),
            Self::AddressRefused(refusal) | Self::RightMissing(refusal) => refusal.fmt(f),
            Self::PolicyRefused { refusal, attempts } => {
                let AddressRefusal { cause, errno, .. } = refusal;
                write!(f, "{cause} and to {} ({errno})", counted(*attempts, "other port"))
            }
            Self::RangeReserved { range } => write_reserved(f, *range),
        }
    }
}

fn write_reserved(f: &mut fmt::Formatter<'_>, range: PortRange) -> fmt::Result {
    let (ports, them) = match range.len() {
        1 => (format!("port {} is", range.first()), "it"),
        _ => (format!("all ports of range {range} are"), "them"),
    };
    write!(f, "{ports} reserved (ip_local_reserved_ports); use --ignore-reserved to include {them}")
}

fn write_free(
    f: &mut fmt::Formatter<'_>,
    free: Option<UnlistedCount>,
    (of, reserved): (u32, u32),
) -> fmt::Result {
    let ports = counted(of, "port");
    let all = if reserved >= of {
        let verb = is_or_are(of);
        format!("{ports} of the range that {verb} not reserved (ip_local_reserved_ports)")
    } else {
        format!("{ports} of the range")
    };
    match free {
        None => write!(f, "unknown how many of {all} are free"),
        Some(UnlistedCount { ports, refused: 0, is_doubtful: false }) => {
            write!(f, "{} of {all} {} free", grouped(ports), is_or_are(ports))
        }
        Some(UnlistedCount { ports, refused: 0, .. }) => {
            write!(f, "no listed socket blocks {} of {all}", grouped(ports))
        }
        Some(UnlistedCount { ports, refused, .. }) => write!(
            f,
            "no listed socket blocks {} of {all}, but {} of these {} refused with EADDRINUSE",
            grouped(ports),
            grouped(refused),
            if refused == 1 { "was" } else { "were" }
        ),
    }
}

fn is_or_are(number: u32) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// Writes that all ports of the range are in use.
fn write_full(
    f: &mut fmt::Formatter<'_>,
    range: PortRange,
    (of, reserved): (u32, u32),
    holders: &[(u16, String)],
) -> fmt::Result {
    match (range.len(), holders) {
        (1, [(port, holder)]) => return write!(f, "{port} is in use by {holder}"),
        (1, _) => return write!(f, "{} is in use", range.first()),
        _ => {}
    }
    if reserved == 0 {
        write!(f, "range {range} is full ({0} of {0})", grouped(of))?;
    } else {
        write_full_but_reserved(f, range, (of, reserved))?;
    }
    for (number, (port, holder)) in holders.iter().enumerate() {
        write!(f, "{} {port} by {holder}", if number == 0 { ":" } else { ";" })?;
    }
    Ok(())
}

/// Writes that all candidates of a range with reserved ports are in use. Names the reserved ports
/// first, because they reduce the number of candidates.
fn write_full_but_reserved(
    f: &mut fmt::Formatter<'_>,
    range: PortRange,
    (of, reserved): (u32, u32),
) -> fmt::Result {
    let has_excluded = reserved + of < range.len();
    if of == 1 && !has_excluded {
        return write!(
            f,
            "all but one port of range {range} are reserved (ip_local_reserved_ports), and that \
             one is in use"
        );
    }
    write!(
        f,
        "{} of the {} ports of range {range} {} reserved (ip_local_reserved_ports), ",
        grouped(reserved),
        grouped(range.len()),
        is_or_are(reserved)
    )?;
    match (of, has_excluded) {
        (1, _) => f.write_str("the only other one that is not excluded is in use"),
        (_, false) => write!(f, "the other {} are in use", grouped(of)),
        (_, true) => write!(f, "the {} others that are not excluded are in use", grouped(of)),
    }
}

/// Writes one port per line.
pub fn write_text(pick: &Pick, out: &mut dyn Write) -> io::Result<()> {
    pick.ports.iter().try_for_each(|port| writeln!(out, "{port}"))
}

/// Writes `portscope.pick/1`, whose keys and types are a contract.
pub fn write_json(pick: &Pick, out: &mut dyn Write) -> io::Result<()> {
    let document = PickDocument {
        schema: "portscope.pick/1",
        strategy: pick.strategy,
        seed: pick.seed,
        protocol: pick.protocols,
        range: pick.range,
        max_attempts: pick.max_attempts,
        ports: &pick.ports,
        in_ephemeral_range: &pick.automatic,
        attempts: &pick.attempts,
        error: pick
            .error
            .as_ref()
            .map(|error| ErrorRow { kind: error.kind(), message: error.to_string() }),
    };
    rows::write(&document, out)
}

#[derive(Serialize)]
struct PickDocument<'a> {
    schema: &'static str,
    strategy: &'static str,
    seed: u64,
    protocol: Protocols,
    range: PortRange,
    max_attempts: u32,
    ports: &'a [u16],
    in_ephemeral_range: &'a [u16],
    #[serde(serialize_with = "attempts")]
    attempts: &'a [TracedAttempt],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorRow>,
}

#[derive(Serialize)]
struct ErrorRow {
    kind: &'static str,
    message: String,
}

fn attempts<S: Serializer>(attempts: &[TracedAttempt], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(attempts.iter().map(AttemptRow::from))
}

#[derive(Serialize)]
struct AttemptRow<'a> {
    number: u32,
    port: u16,
    /// The protocol on which the port was refused, or all protocols on which it was bound.
    protocol: Protocols,
    outcome: &'static str,
    errno: Option<Cow<'static, str>>,
    nanoseconds: u64,
    holder: Option<&'a Collision>,
}

impl<'a> From<&'a TracedAttempt> for AttemptRow<'a> {
    fn from(traced_attempt: &'a TracedAttempt) -> Self {
        let Attempt { number, port, refusal, took } = traced_attempt.attempt;
        Self {
            number,
            port,
            protocol: refusal.map_or(traced_attempt.asked, |refusal| refusal.protocol.into()),
            outcome: traced_attempt.attempt.outcome().name(),
            errno: refusal.map(|refusal| refusal.errno.name()),
            nanoseconds: rows::nanoseconds(took),
            holder: traced_attempt.holder.as_ref(),
        }
    }
}

fn processes<S: Serializer>(
    processes: &[(u32, Option<Text>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        processes
            .iter()
            .map(|(pid, name)| ProcessRow { pid: *pid, name: name.as_ref().map(Text::as_str) }),
    )
}
