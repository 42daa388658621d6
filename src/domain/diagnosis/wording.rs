//! Numbers and names as findings say them.

use crate::domain::{Evidence, Forecast, Party};

/// `28,232`
pub(super) fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `nginx (pid 812)`, or the pid alone while it is not described.
pub(super) fn process(evidence: &Evidence<'_>, pid: u32) -> String {
    match evidence.processes.get(pid) {
        Some(process) => format!("{} (pid {pid})", process.name),
        None => format!("pid {pid}"),
    }
}

/// A name for whoever holds sockets.
pub(super) fn party(evidence: &Evidence<'_>, party: Party) -> String {
    match party {
        Party::Process(pid) => process(evidence, pid),
        Party::Hidden(Some(uid)) => {
            let users = &evidence.snapshot.machine.users;
            let name = users.name(uid).map(ToString::to_string);
            let user = name.or_else(|| users.unmapped(uid).map(|words| format!("an {words}")));
            let user = user.unwrap_or_else(|| format!("user {uid}"));
            format!("a process of {user} that we may not see")
        }
        Party::Hidden(None) => "a process that we may not see".to_owned(),
        Party::Kernel => "processes that had closed them before we looked".to_owned(),
        Party::Nobody | Party::NotAsked => "a process not seen".to_owned(),
        Party::Unresolved => "processes that opened or closed them during the scan".to_owned(),
    }
}

/// The parties of a list that is in order, most first: the process to name, if there is one.
pub(super) fn maker(evidence: &Evidence<'_>, owners: &[(Party, u32)]) -> String {
    let process = owners.iter().find(|(party, _)| matches!(party, Party::Process(_)));
    let (named, _) = process.or(owners.first()).copied().unwrap_or((Party::Nobody, 0));
    party(evidence, named)
}

/// As `maker`, where the one to change it is meant.
pub(super) fn client(evidence: &Evidence<'_>, owners: &[(Party, u32)]) -> String {
    let process = owners.iter().find(|(party, _)| matches!(party, Party::Process(_)));
    process.map_or("the client".to_owned(), |&(named, _)| party(evidence, named))
}

/// `[&str]` as steps.
pub(super) fn steps(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|&step| step.to_owned()).collect()
}

/// `86.5 %`; a share that is not all is never rounded to 100.
pub(super) fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() / 10.0;
    let tenths = if share < 1.0 { tenths.min(99.9) } else { tenths };
    if tenths.fract() == 0.0 { format!("{tenths:.0} %") } else { format!("{tenths:.1} %") }
}

/// `full in about 3 min (2 min to 5 min)`
pub(super) fn full_in(forecast: Forecast) -> String {
    let latest = forecast.latest.map_or("or never".to_owned(), |s| format!("to {}", time(s)));
    format!("full in about {} ({} {latest})", time(forecast.seconds), time(forecast.earliest))
}

/// `45 s`, `3 min`, `2 h`: whole ones.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.0} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}
