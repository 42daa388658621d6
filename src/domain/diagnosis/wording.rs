//! Formats numbers and names for findings.

use std::time::Duration;

use crate::domain::{
    Evidence, Forecast, LastMinute, Level, Party, Protocol, Snapshot,
    availability::{Scope, scopes},
    diagnosis::Standing,
    notation::{NamedProcess, counted, grouped, rounded},
};

/// Names a process: `nginx[812]`, or the pid alone if the name is unknown.
pub(super) fn process(evidence: &Evidence<'_>, pid: u32) -> String {
    let name = evidence.processes.get(pid).map(|process| &process.name);
    NamedProcess { name, pid }.to_string()
}

/// Names the owner of sockets.
pub(super) fn party(evidence: &Evidence<'_>, party: Party) -> String {
    match party {
        Party::Process(pid) => process(evidence, pid),
        Party::Hidden(Some(uid)) => {
            let users = &evidence.snapshot.machine.users;
            let name = users.name(uid).map(ToString::to_string);
            let user = name.or_else(|| users.unmapped(uid).map(|words| format!("an {words}")));
            let user = user.unwrap_or_else(|| format!("user {uid}"));
            format!("a hidden process of {user}")
        }
        Party::Hidden(None) => "a hidden process".to_owned(),
        Party::Kernel => "a process that closed its sockets before the scan".to_owned(),
        Party::Nobody | Party::NotAsked => "an unknown process".to_owned(),
        Party::Unresolved => {
            "a process that opened or closed its sockets during the scan".to_owned()
        }
    }
}

/// Names the process with most sockets, or the first party if there is no process. `owners` must be
/// sorted by number of sockets, most first.
pub(super) fn maker(evidence: &Evidence<'_>, owners: &[(Party, u32)]) -> String {
    let process = owners.iter().find(|(party, _)| matches!(party, Party::Process(_)));
    let (named, _) = process.or(owners.first()).copied().unwrap_or((Party::Nobody, 0));
    party(evidence, named)
}

/// Names the process with most sockets for advice, or `the client` if there is no process.
pub(super) fn client(evidence: &Evidence<'_>, owners: &[(Party, u32)]) -> String {
    let process = owners.iter().find(|(party, _)| matches!(party, Party::Process(_)));
    process.map_or("the client".to_owned(), |&(named, _)| party(evidence, named))
}

/// Converts `&[&str]` to steps.
pub(super) fn steps(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|&step| step.to_owned()).collect()
}

/// `1 port`, `28,232 ports`
pub(super) fn ports(number: u32) -> String {
    counted(number, "port")
}

/// Returns the prefix of the number of ports left for a new destination. Before Linux 6.18 (commit
/// d57f4b874946), connect() skips a port to which a socket was bound while the port had
/// connections. No table shows this after the bound socket is closed.
pub fn at_most(snapshot: &Snapshot) -> &'static str {
    let is_old = snapshot.machine.is_at_least((6, 18)) == Some(false);
    if is_old && snapshot.connected_ports() != (0, 0) { "at most " } else { "" }
}

/// Says why fewer ports of the range may be left than the listed sockets show.
pub(super) fn unlisted(most: u32) -> String {
    let sockets = if most == 1 { "an unlisted socket" } else { "unlisted sockets" };
    format!("{sockets} may be bound to {} of the range (see not-seen)", ports(most))
}

/// Lists the ports left for bind() to port 0 by address, if they differ:
/// `0.0.0.0 0, 127.0.0.1 0, other local IPv4 addresses 16`.
pub(super) fn by_address(evidence: &Evidence<'_>, protocol: Protocol) -> Option<String> {
    let scopes = scopes(evidence.snapshot, protocol);
    let first = scopes.first()?.left;
    let has_differences = scopes.iter().any(|scope| scope.left != first);
    let words = |Scope { address, left }: &Scope| match address {
        Some(address) => format!("{address} {left}"),
        None => format!("other local IPv4 addresses {left}"),
    };
    let words: Vec<String> = scopes.iter().map(words).collect();
    has_differences.then(|| words.join(", "))
}

/// `full in about 3 min (2 min to 5 min)`, `full in about 3 min (uncertain)`
pub(super) fn full_in(forecast: Forecast) -> String {
    let span = match forecast.latest {
        Some(latest) => format!("{} to {}", rounded(forecast.earliest), rounded(latest)),
        None => "uncertain".to_owned(),
    };
    format!("full in about {} ({span})", rounded(forecast.seconds))
}

/// A call that fails once no port is left.
pub(super) struct Call {
    pub name: &'static str,
    pub is_plural: bool,
    pub errno: &'static str,
    /// Number of used ports that are in TIME-WAIT.
    pub time_wait: u32,
}

/// Used share from which calls may have failed between a few scans.
const NEARLY_FULL: f64 = 0.98;
/// Minimum time that scans must cover to show the effect of TIME-WAIT, which lasts a minute.
const LONG_ENOUGH: Duration = Duration::from_secs(59);

impl Call {
    /// Describes how the call fails: always, intermittently, or only once no port is left.
    pub fn fails(&self, standing: &Standing) -> String {
        let Self { name, errno, .. } = self;
        let [verb, again] =
            if self.is_plural { ["fail", "They fail with"] } else { ["fails", "It gets"] };
        match (standing.level, standing.last_minute) {
            (Level::Exhausted, _) if standing.left.most > 0 => {
                format!("{name} may fail with {errno}.")
            }
            (Level::Exhausted, _) => format!("{name} {verb} with {errno}."),
            (Level::Failing, Some(last)) => {
                let verb = if last.full > 0 { verb } else { "may fail" };
                let seen = on_and_off(last);
                format!("{name} {verb} intermittently: {seen}. {again} {errno}.")
            }
            (_, last) if standing.share >= NEARLY_FULL && is_brief(last) => {
                let waves = match self.time_wait {
                    0 => "",
                    _ => ": ports enter and leave TIME-WAIT in waves",
                };
                format!(
                    "{name} may already fail intermittently with {errno}{waves}. Run portscope \
                     diagnose --sample 60 to check."
                )
            }
            _ => format!("{name} {verb} with {errno} once no port is left."),
        }
    }
}

fn is_brief(last: Option<LastMinute>) -> bool {
    last.is_none_or(|last| last.span < LONG_ENOUGH)
}

/// Formats the ports left, for a summary: `309 left, full in about 3 min (2 min to 5 min)`
pub(super) fn left(standing: &Standing) -> String {
    let left = format!("{} left", standing.left);
    match (standing.level, standing.last_minute, standing.forecast) {
        (Level::Exhausted, ..) if standing.left.most == 0 => "none left".to_owned(),
        (Level::Exhausted, ..) => left,
        (Level::Failing, Some(last), _) if last.full > 0 => format!("{left}, {}", full_at(last)),
        (Level::Failing, Some(last), _) => format!("{left}, {}", few_left(last)),
        (_, _, Some(forecast)) => format!("{left}, {}", full_in(forecast)),
        _ => left,
    }
}

/// `full at 6 of the last 60 scans, last 4 s ago`
fn on_and_off(last: LastMinute) -> String {
    match last.since_full {
        Some(since) => {
            let seconds = since.as_secs_f64().round().max(1.0);
            format!("{}, last {seconds}s ago", full_at(last))
        }
        None => few_left(last),
    }
}

/// `12 left at a scan, up to 48 taken between two scans`
fn few_left(LastMinute { fewest, expected, .. }: LastMinute) -> String {
    format!(
        "{} left at a scan, up to {} taken between two scans",
        grouped(fewest),
        grouped(expected)
    )
}

/// `full at 6 of the last 60 scans`
fn full_at(LastMinute { scans, full, .. }: LastMinute) -> String {
    format!("full at {full} of the last {scans} scans")
}
