//! Groups processes by name or systemd unit, so that the same problem in several processes is one
//! finding.

use std::collections::HashMap;

use crate::domain::{
    Evidence, OwnerKey, Process,
    diagnosis::{Figure, wording::owner_key},
    notation::grouped,
};

/// Owners of sockets that have the same problem and the same program or systemd unit, each with its
/// data.
pub(super) struct OwnerGroup<T> {
    /// Sorted by the `amount` of `groups`, highest first.
    pub members: Vec<(OwnerKey, T)>,
    /// For summaries: `holder[7]`, `holder, 3 processes`, `web.service, 3 processes`.
    pub name: String,
    /// For advice: `holder[7]`, `holder`, `web.service`.
    pub program: String,
}

/// Groups owners by systemd unit or program name. The groups are in the order in which `owner_keys`
/// first names one of their members.
pub(super) fn groups<T: Copy>(
    evidence: &Evidence<'_>,
    owner_keys: impl IntoIterator<Item = (OwnerKey, T)>,
    amount: impl Fn(T) -> u32,
) -> Vec<OwnerGroup<T>> {
    let owner_keys: Vec<(OwnerKey, T)> = owner_keys.into_iter().collect();
    let units = only_units(evidence, owner_keys.iter().map(|(owner_key, _)| *owner_key));
    let mut indexes: HashMap<GroupKey<'_>, usize> = HashMap::new();
    let mut groups: Vec<Vec<(OwnerKey, T)>> = Vec::new();
    for (owner_key, of_owner) in owner_keys {
        let index =
            *indexes.entry(GroupKey::of(evidence, owner_key, &units)).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Vec::new());
        }
        groups[index].push((owner_key, of_owner));
    }
    let named = |mut members: Vec<(OwnerKey, T)>| {
        members.sort_by_key(|(_, of_owner)| std::cmp::Reverse(amount(*of_owner)));
        let [name, program] = names(evidence, &members);
        OwnerGroup { members, name, program }
    };
    groups.into_iter().map(named).collect()
}

impl<T: Copy> OwnerGroup<T> {
    pub fn first(&self) -> OwnerKey {
        self.members[0].0
    }

    pub fn has(&self, owner_key: OwnerKey) -> bool {
        self.members.iter().any(|(member, _)| *member == owner_key)
    }

    pub fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    pub fn sum(&self, amount: impl Fn(T) -> u32) -> u32 {
        self.members.iter().map(|(_, of_owner)| amount(*of_owner)).sum()
    }

    /// Returns `1,000 each`, or `250 to 1,000 each` if the amounts differ.
    pub fn each(&self, amount: impl Fn(T) -> u32) -> String {
        let amounts = || self.members.iter().map(|(_, of_owner)| amount(*of_owner));
        let (least, most) = (amounts().min().unwrap_or_default(), amounts().max());
        match most.filter(|&most| most != least) {
            Some(most) => format!("{} to {} each", grouped(least), grouped(most)),
            None => format!("{} each", grouped(least)),
        }
    }

    /// Returns the number of members and their pids as evidence; empty if there is only one member.
    pub fn figures(&self) -> Vec<(&'static str, Figure)> {
        if self.is_single() {
            return Vec::new();
        }
        let pids = self.pids().map(|pid| pid.to_string()).collect();
        let count = self.members.len() as u64;
        vec![("processes", Figure::Count(count)), ("pids", Figure::List(pids))]
    }

    /// Returns the pids in the order of `members`, without owners that have no known pid.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.members.iter().filter_map(|(owner_key, _)| owner_key.pid())
    }
}

/// What the members of a group have in common.
#[derive(PartialEq, Eq, Hash)]
enum GroupKey<'a> {
    Unit(&'a str),
    Name(&'a str),
    /// Nothing: the process is unknown, or the owner is not a process.
    Alone(OwnerKey),
}

impl<'a> GroupKey<'a> {
    fn of(
        evidence: &Evidence<'a>,
        owner_key: OwnerKey,
        units: &HashMap<&'a str, Option<&'a str>>,
    ) -> Self {
        let Some(process) = process(evidence, owner_key) else { return Self::Alone(owner_key) };
        let name = process.name.as_str();
        units.get(name).copied().flatten().map_or(Self::Name(name), Self::Unit)
    }
}

/// Maps each process name to the unit in which all processes of this name run, or to None if they
/// do not share a unit.
fn only_units<'a>(
    evidence: &Evidence<'a>,
    owner_keys: impl Iterator<Item = OwnerKey>,
) -> HashMap<&'a str, Option<&'a str>> {
    let mut units = HashMap::new();
    for process in owner_keys.filter_map(|owner_key| process(evidence, owner_key)) {
        let unit = unit(process);
        let known = units.entry(process.name.as_str()).or_insert(unit);
        if *known != unit {
            *known = None;
        }
    }
    units
}

fn process<'a>(evidence: &Evidence<'a>, owner_key: OwnerKey) -> Option<&'a Process> {
    evidence.processes.get(owner_key.pid()?)
}

/// Returns the systemd unit or container of the process. None: it has neither, or it is in a scope
/// or a user's service manager, whose processes are unrelated.
fn unit(process: &Process) -> Option<&str> {
    let unit = process.unit.as_ref()?.as_str();
    let is_session =
        |unit: &&str| unit.starts_with("user@") || unit.strip_suffix(".scope").is_some();
    Some(unit).filter(|unit| !is_session(unit))
}

fn names<T>(evidence: &Evidence<'_>, members: &[(OwnerKey, T)]) -> [String; 2] {
    let [(only, _)] = members else {
        let processes =
            || members.iter().filter_map(|(owner_key, _)| process(evidence, *owner_key));
        let first = processes().next();
        let name = first.map_or("", |process| process.name.as_str());
        let is_one_name = processes().all(|process| process.name.as_str() == name);
        let unit = first.and_then(unit).filter(|_| !is_one_name);
        let program = unit.unwrap_or(name).to_owned();
        return [format!("{program}, {} processes", members.len()), program];
    };
    let name = owner_key(evidence, *only);
    [name.clone(), name]
}
