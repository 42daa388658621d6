//! Formats numbers and names for findings.

use std::time::Duration;

use crate::domain::{
    DestinationUse, Evidence, Forecast, LastMinute, Left, Level, MachineKind, OwnerKey, Protocol,
    Snapshot,
    availability::{Scope, hidden_process, scopes},
    diagnosis::SubjectStatus,
    notation::{counted, grouped, rounded},
};

/// Names a process: `nginx[812]`, or only the pid if the name is unknown.
pub(super) fn process(evidence: &Evidence<'_>, pid: u32) -> String {
    evidence.processes.named(pid).to_string()
}

/// Names the owner of sockets.
pub(super) fn owner_key(evidence: &Evidence<'_>, owner_key: OwnerKey) -> String {
    match owner_key {
        OwnerKey::Process(pid) => process(evidence, pid),
        OwnerKey::Hidden(uid) => hidden_process(&evidence.snapshot.machine.users, uid),
        OwnerKey::Kernel => "a process that has exited or closed its sockets".to_owned(),
        OwnerKey::Nobody | OwnerKey::NotAsked => "an unknown process".to_owned(),
        OwnerKey::Unresolved => {
            "a process that opened or closed its sockets during the scan".to_owned()
        }
    }
}

/// Names the main owner of the ports of a destination.
pub(super) fn main_owner(evidence: &Evidence<'_>, row: &DestinationUse) -> String {
    let main = row.owners.main();
    owner_key(evidence, main.map_or(OwnerKey::Nobody, |(owner_key, _)| owner_key))
}

/// Names the main owner of the ports of a destination, in the words of `by`.
pub(super) fn used_by(evidence: &Evidence<'_>, row: &DestinationUse) -> String {
    let sockets = row.owners.main().map_or(0, |(_, sockets)| sockets);
    by(&main_owner(evidence, row), sockets, row.used)
}

/// Returns how many of `whole` ports this process uses: `by nginx[812]`, `most by nginx[812]`,
/// `49 of them by nginx[812]`. A `part` of 0 means that the number is unknown.
pub(super) fn by(name: &str, part: u32, whole: u32) -> String {
    match part {
        part if part == 0 || part >= whole => format!("by {name}"),
        part if part > whole / 2 => format!("most by {name}"),
        part => format!("{} of them by {name}", grouped(part)),
    }
}

/// Names the process with most sockets of a destination for advice, or `the client` if there is no
/// process.
pub(super) fn client(evidence: &Evidence<'_>, row: &DestinationUse) -> String {
    let process = row.owners.process();
    process.map_or("the client".to_owned(), |(named, _)| owner_key(evidence, named))
}

/// Returns `even` or `odd`.
pub(super) fn parity(port: u16) -> &'static str {
    if port.is_multiple_of(2) { "even" } else { "odd" }
}

/// Returns `1 port` or `28,232 ports`.
pub(super) fn ports(number: u32) -> String {
    counted(number, "port")
}

/// Returns `1 port`, `28,232 ports` or `24 to 64 ports`.
pub(super) fn ports_left(left: Left) -> String {
    if left.is_exact() { ports(left.most) } else { format!("{left} ports") }
}

/// Returns `1 port is` or `24 to 64 ports are`.
pub(super) fn ports_are(left: Left) -> String {
    let verb = if left.is_exact() && left.most == 1 { "is" } else { "are" };
    format!("{} {verb}", ports_left(left))
}

/// Returns `at most ` if fewer ports may be left for a new destination than counted, or an empty
/// string. Before Linux 6.18 (commit d57f4b874946), connect() skips a port to which a socket was
/// bound while the port had connections. No table shows this after the bound socket is closed.
pub fn at_most(snapshot: &Snapshot) -> &'static str {
    let machine = &snapshot.machine;
    let is_new = machine.is_at_least((6, 18)).unwrap_or(machine.kind == MachineKind::Simulated);
    if !is_new && snapshot.connected_ports() != (0, 0) { "at most " } else { "" }
}

/// Explains why fewer ports of the range may be left than the listed sockets show.
pub(super) fn unlisted(most: u32) -> String {
    let sockets = if most == 1 { "an unlisted socket" } else { "unlisted sockets" };
    format!("{sockets} may be bound to {} of the range (see rule not-seen)", ports(most))
}

/// Lists the ports left for bind() to port 0 by address:
/// `0 on 0.0.0.0, 0 on 127.0.0.1, 16 on other local IPv4 addresses`. None: the numbers do not
/// differ.
pub(super) fn by_address(evidence: &Evidence<'_>, protocol: Protocol) -> Option<String> {
    let scopes = scopes(evidence.snapshot, protocol);
    let first = scopes.first()?.left;
    let has_differences = scopes.iter().any(|scope| scope.left != first);
    let words = |Scope { address, left }: &Scope| match address {
        Some(address) => format!("{left} on {}", address.in_words()),
        None => format!("{left} on other local IPv4 addresses"),
    };
    let words: Vec<String> = scopes.iter().map(words).collect();
    has_differences.then(|| words.join(", "))
}

/// Returns `full in about 3m (2m to 5m)`.
pub(super) fn full_in(forecast: Forecast) -> String {
    format!("full in about {} ({})", rounded(forecast.seconds), span(forecast))
}

/// Returns `2m to 5m`, or `2m or later` if the ports may never be used up.
pub fn span(forecast: Forecast) -> String {
    match forecast.latest {
        Some(latest) => format!("{} to {}", rounded(forecast.earliest), rounded(latest)),
        None => format!("{} or later", rounded(forecast.earliest)),
    }
}

/// A call that fails once no port is left.
pub(super) struct Call {
    pub name: &'static str,
    pub is_plural: bool,
    pub errno: &'static str,
    /// Number of used ports in TIME-WAIT that the call cannot reuse.
    pub time_wait: u32,
}

/// Share (0 to 1) from which calls may fail between two scans, although each scan finds ports left.
const NEARLY_FULL: f64 = 0.98;
/// Minimum time that the scans must cover to show the effect of TIME-WAIT, which lasts 60 s.
const MIN_SPAN_SHOWN: Duration = Duration::from_secs(59);

impl Call {
    /// Describes how the call fails: always, intermittently, or only once no port is left.
    pub fn fails(&self, subject_status: &SubjectStatus) -> String {
        let Self { name, errno, .. } = self;
        let verb = if self.is_plural { "fail" } else { "fails" };
        match (subject_status.level, subject_status.last_minute) {
            (Level::Exhausted, _) if subject_status.left.most > 0 => {
                format!("{name} may fail with {errno}.")
            }
            (Level::Exhausted, _) => format!("{name} {verb} with {errno}."),
            (Level::Failing, Some(last)) => {
                let verb = if last.full > 0 { verb } else { "may fail" };
                format!("{name} {verb} intermittently with {errno}: {}.", shortage(last))
            }
            (_, last) if subject_status.share >= NEARLY_FULL && is_brief(last) => {
                let waves = match self.time_wait {
                    0 => "",
                    _ => ": ports enter and leave TIME-WAIT in waves",
                };
                format!(
                    "{name} may already fail intermittently with {errno}{waves}. Run portscope \
                     diagnose --sample 60 to check."
                )
            }
            _ => format!("Once no port is left, {name} {verb} with {errno}."),
        }
    }
}

fn is_brief(last: Option<LastMinute>) -> bool {
    last.is_none_or(|last| last.span < MIN_SPAN_SHOWN)
}

/// Returns the ports left, for a summary: `309 left, full in about 3m (2m to 5m)`. `of` is inserted
/// after `left`.
pub(super) fn left(subject_status: &SubjectStatus, of: &str) -> String {
    let left = format!("{} left{of}", subject_status.left);
    match (subject_status.level, subject_status.last_minute, subject_status.forecast) {
        (Level::Exhausted, ..) if subject_status.left.most == 0 => format!("none left{of}"),
        (Level::Exhausted, ..) => left,
        (Level::Failing, Some(LastMinute { scans, full: full @ 1.., .. }), _) => {
            format!("{left}, none at {full} of the last {scans} scans")
        }
        (Level::Failing, Some(LastMinute { fewest, expected, .. }), _) => format!(
            "{left}{}; up to {} more may be used before the next scan",
            if fewest == subject_status.left.least {
                String::new()
            } else {
                format!(", {} at the worst scan", grouped(fewest))
            },
            grouped(expected)
        ),
        (_, _, Some(forecast)) => format!("{left}, {}", full_in(forecast)),
        _ => left,
    }
}

/// Returns `no port was left at 6 of the last 60 scans, most recently 4s ago`, or
/// `12 ports were left at the worst scan, and up to 48 more may be used before the next one`.
fn shortage(LastMinute { scans, full, since_full, fewest, expected, .. }: LastMinute) -> String {
    match since_full {
        Some(since) => format!(
            "no port was left at {full} of the last {scans} scans, most recently {} ago",
            rounded(since.as_secs_f64().round().max(1.0))
        ),
        None => format!(
            "{} left at the worst scan, and up to {} more may be used before the next one",
            match fewest {
                1 => "1 port was".to_owned(),
                fewest => format!("{} were", ports(fewest)),
            },
            grouped(expected)
        ),
    }
}
