//! Sets of socket states, by the names that ss(8) gives them (`scan_state`, misc/ss.c).

use crate::domain::State;

/// A set of states. UDP sockets have the states that `ss` gives them: `established` with a peer,
/// `closed` without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateSet(u16);

/// The names of the states in `ss`, in the order of their numbers in the kernel; the number is the
/// position of the bit.
const NAMES: [&str; 12] = [
    "established",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "time-wait",
    "closed",
    "close-wait",
    "last-ack",
    "listening",
    "closing",
    "bound-inactive",
];

/// Other names of single states: those that `ss` accepts too, and those that `ss` or portscope
/// print but `ss` does not accept.
const ALIASES: [(&str, &str); 10] = [
    ("close", "closed"),
    ("unconnected", "closed"),
    ("unconn", "closed"),
    ("syn-rcv", "syn-recv"),
    ("syn-received", "syn-recv"),
    ("estab", "established"),
    ("listen", "listening"),
    ("bound", "bound-inactive"),
    ("fin-wait1", "fin-wait-1"),
    ("fin-wait2", "fin-wait-2"),
];

/// The names of groups of states, as `ss` defines them.
const GROUPS: [(&str, StateSet); 5] = [
    ("all", StateSet::ALL),
    ("connected", StateSet::CONNECTED),
    ("synchronized", StateSet(StateSet::CONNECTED.0 & !StateSet::SYN_SENT.0)),
    ("bucket", StateSet::BUCKET),
    ("big", StateSet(StateSet::ALL.0 & !StateSet::BUCKET.0)),
];

impl StateSet {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);
    const SYN_SENT: Self = Self(1 << 1);
    const BUCKET: Self = Self(1 << 2 | 1 << 5);
    const CONNECTED: Self = Self(Self::ALL.0 & !(1 << 6 | 1 << 9));
    /// The states of `ss -l`: of sockets that wait for connections or datagrams.
    pub const WAITING: Self = Self(1 << 6 | 1 << 9);

    /// Returns the state or group that the name means, in upper or lower case. None: it is no such
    /// name.
    pub fn named(name: &str) -> Option<Self> {
        let group = GROUPS.iter().find(|(group, _)| group.eq_ignore_ascii_case(name));
        group.map(|&(_, set)| set).or_else(|| Self::single(name))
    }

    /// Returns the single state that the name means. None: it is no such name, or that of a group.
    pub fn single(name: &str) -> Option<Self> {
        let alias = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
        let name = alias.map_or(name, |(_, state)| state);
        let number = NAMES.iter().position(|state| state.eq_ignore_ascii_case(name))?;
        Some(Self(1 << number))
    }

    /// Returns the names of all states and groups.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().chain(GROUPS.into_iter().map(|(name, _)| name))
    }

    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[must_use]
    pub fn complement(self) -> Self {
        Self::ALL.without(self)
    }

    pub fn contains(self, state: State) -> bool {
        let number = match state {
            State::Established | State::Connected => 0,
            State::SynSent => 1,
            State::SynReceived => 2,
            State::FinWait1 => 3,
            State::FinWait2 => 4,
            State::TimeWait => 5,
            State::Unconnected => 6,
            State::CloseWait => 7,
            State::LastAck => 8,
            State::Listen => 9,
            State::Closing => 10,
            State::Bound => 11,
        };
        self.0 & 1 << number != 0
    }

    /// Returns the name of the state if the set contains exactly one.
    pub(super) fn single_name(self) -> Option<&'static str> {
        let mut names = self.members();
        names.next().filter(|_| names.next().is_none())
    }

    fn members(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().enumerate().filter(move |(bit, _)| self.0 & 1 << bit != 0).map(|(_, n)| n)
    }

    /// Returns the clauses that mean this set, the fewest of `state` or of `exclude`: `state
    /// time-wait`, `exclude closed exclude listening`.
    pub(super) fn clauses(self) -> String {
        if self == Self::ALL {
            return "state all".to_owned();
        }
        let missing = self.complement();
        let (word, names) = if missing.members().count() < self.members().count() {
            ("exclude", missing)
        } else {
            ("state", self)
        };
        let clauses: Vec<String> = names.members().map(|name| format!("{word} {name}")).collect();
        clauses.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_one_bit() {
        let all = State::EACH.into_iter();
        for state in all.clone() {
            let sets: Vec<&str> = NAMES
                .into_iter()
                .filter(|name| StateSet::single(name).unwrap().contains(state))
                .collect();
            assert_eq!(sets.len(), 1, "{state}: {sets:?}");
        }
        assert!(all.clone().all(|state| StateSet::ALL.contains(state)));
        let printed = all.filter(|&state| state != State::Connected);
        for state in printed {
            let set = StateSet::single(state.name()).unwrap();
            assert!(set.contains(state), "{state}");
        }
    }

    #[test]
    fn groups_are_those_of_ss() {
        let connected = StateSet::named("CONNECTED").unwrap();
        assert!(!connected.contains(State::Listen) && !connected.contains(State::Unconnected));
        assert!(connected.contains(State::TimeWait) && connected.contains(State::Connected));
        let synchronized = StateSet::named("synchronized").unwrap();
        assert_eq!(connected.without(synchronized), StateSet::single("syn-sent").unwrap());
        let bucket = StateSet::named("bucket").unwrap();
        assert_eq!(StateSet::named("big").unwrap(), bucket.complement());
        assert_eq!(StateSet::single("big"), None);
    }

    #[test]
    fn clauses_are_the_fewest() {
        let set = |names: &[&str]| {
            names.iter().fold(StateSet::NONE, |set, n| set.with(StateSet::named(n).unwrap()))
        };
        assert_eq!(set(&["time-wait", "syn-recv"]).clauses(), "state syn-recv state time-wait");
        assert_eq!(set(&["connected"]).clauses(), "exclude closed exclude listening");
        assert_eq!(StateSet::ALL.clauses(), "state all");
    }
}
