//! Groups of sockets: by owner, destination, state, port, user, or unit. A group can be entered,
//! which adds a term to the filter. Does not draw.

use std::collections::HashMap;

use crate::{
    app::{
        lens::OwnerName,
        settings::wrapping_index,
        sockets::list::{ListRow, SocketsInput},
    },
    domain::{
        Endpoint, Filter, Owner, OwnerKey, Process, ProcessTable, Protocol, Snapshot, Socket,
        State, StateClass, Text, Users,
        filter::{
            AddressPrefix, Comparison, Connective, Expression, HostPattern, Side, StateSet, Term,
            Test,
        },
        occupancy::ByClass,
        socket::canonical,
    },
};

/// What the rows of the screen are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// Each row is a socket.
    #[default]
    Nothing,
    Owner,
    Destination,
    State,
    Port,
    User,
    /// By systemd unit or container.
    Unit,
}

impl GroupBy {
    pub const EACH: [Self; 7] = [
        Self::Nothing,
        Self::Owner,
        Self::Destination,
        Self::State,
        Self::Port,
        Self::User,
        Self::Unit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Owner => "owner",
            Self::Destination => "destination",
            Self::State => "state",
            Self::Port => "port",
            Self::User => "user",
            Self::Unit => "unit",
        }
    }

    pub(super) fn after(self, by: isize) -> Self {
        Self::EACH[wrapping_index(self as usize, by, Self::EACH.len())]
    }
}

/// What the sockets of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GroupId {
    Owner(OwnerName),
    /// An IPv4-mapped address is the IPv4 one.
    Destination(Endpoint),
    NoPeer,
    State(State),
    /// A local port, of both protocols.
    Port(u16),
    User(u32),
    /// The kernel reports no user.
    NoUser,
    Unit(Text),
    NoUnit,
}

/// The sockets of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowGroup {
    pub id: GroupId,
    pub sockets: u32,
    pub by_class: ByClass,
    /// Distinct (protocol, port) pairs of the ephemeral range.
    pub ports: u32,
    /// The port that was counted last.
    last_port: Option<(Protocol, u16)>,
    /// The processes of the group, if it is one of processes: the lowest pid, and how many.
    pub processes: Option<(u32, u32)>,
}

/// What the groups are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupColumn {
    #[default]
    Sockets,
    Ports,
    Name,
}

impl GroupColumn {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Sockets => Self::Ports,
            Self::Ports => Self::Name,
            Self::Name => Self::Sockets,
        }
    }
}

/// The order of the groups. The largest come first, and names in the order of the alphabet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupOrder {
    pub column: GroupColumn,
    pub is_reversed: bool,
}

/// Counts the rows by group. A socket that several programs hold is counted in the group of each.
pub(super) fn count(
    group_by: GroupBy,
    rows: &[ListRow],
    input: SocketsInput<'_>,
    order: GroupOrder,
) -> Vec<RowGroup> {
    let mut table = GroupTable {
        group_by,
        snapshot: &input.scan.snapshot,
        processes: input.processes,
        groups: Vec::new(),
        by_id: HashMap::new(),
        by_pid: HashMap::new(),
        found: Vec::new(),
    };
    for row in rows {
        if let ListRow::Listed(index) = *row
            && let Some(socket) = table.snapshot.sockets.get(index as usize)
        {
            table.add(socket);
        }
    }
    let mut groups = table.groups;
    groups.sort_by_cached_key(|group| {
        let key = match order.column {
            GroupColumn::Sockets => group.sockets,
            GroupColumn::Ports => group.ports,
            GroupColumn::Name => 0,
        };
        (std::cmp::Reverse(key), group.id.sort_name())
    });
    if order.is_reversed {
        groups.reverse();
    }
    groups
}

struct GroupTable<'a> {
    group_by: GroupBy,
    snapshot: &'a Snapshot,
    processes: &'a ProcessTable,
    groups: Vec<RowGroup>,
    by_id: HashMap<GroupId, u32>,
    by_pid: HashMap<u32, u32>,
    /// The groups of the socket that is counted.
    found: Vec<u32>,
}

impl GroupTable<'_> {
    fn add(&mut self, socket: &Socket) {
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        self.find(socket, &mut found);
        found.sort_unstable();
        found.dedup();
        let port = Some(socket.protocol_port());
        let ephemeral = &self.snapshot.ephemeral;
        let is_automatic = ephemeral.range.contains(socket.local.port);
        for &index in &found {
            let group = &mut self.groups[index as usize];
            group.sockets += 1;
            group.by_class[StateClass::of(socket.state) as usize] += 1;
            if is_automatic && group.last_port != port {
                group.ports += 1;
                group.last_port = port;
            }
        }
        self.found = found;
    }

    fn find(&mut self, socket: &Socket, found: &mut Vec<u32>) {
        let id = match self.group_by {
            GroupBy::Nothing => return,
            GroupBy::Owner | GroupBy::Unit => return self.find_processes(socket, found),
            GroupBy::Destination => socket.remote.map_or(GroupId::NoPeer, |remote| {
                GroupId::Destination(Endpoint { address: canonical(remote.address), ..remote })
            }),
            GroupBy::State => GroupId::State(socket.state),
            GroupBy::Port => GroupId::Port(socket.local.port),
            GroupBy::User => socket.uid.map_or(GroupId::NoUser, GroupId::User),
        };
        found.push(self.number(id));
    }

    fn find_processes(&mut self, socket: &Socket, found: &mut Vec<u32>) {
        match self.snapshot.owner(socket) {
            Owner::Process(pids) | Owner::Departed(pids) | Owner::Backlog(pids) => {
                for &pid in pids {
                    found.push(self.process(pid));
                }
            }
            _ => {
                let other = OwnerName::Unnamed(OwnerKey::of(self.snapshot, socket));
                found.push(self.number(GroupId::Owner(other)));
            }
        }
    }

    fn process(&mut self, pid: u32) -> u32 {
        if let Some(&number) = self.by_pid.get(&pid) {
            return number;
        }
        let process = self.processes.get(pid);
        let id = match (self.group_by, process) {
            (GroupBy::Unit, Some(Process { unit: Some(unit), .. })) => GroupId::Unit(unit.clone()),
            (GroupBy::Unit, Some(_)) => GroupId::NoUnit,
            (_, Some(process)) => GroupId::Owner(OwnerName::Process(process.name.clone())),
            (_, None) => GroupId::Owner(OwnerName::Unnamed(OwnerKey::Process(pid))),
        };
        let number = self.number(id);
        let group = &mut self.groups[number as usize];
        let (least, count) = group.processes.unwrap_or((pid, 0));
        group.processes = Some((least.min(pid), count + 1));
        self.by_pid.insert(pid, number);
        number
    }

    fn number(&mut self, id: GroupId) -> u32 {
        if let Some(&number) = self.by_id.get(&id) {
            return number;
        }
        let number = self.groups.len() as u32;
        self.groups.push(RowGroup {
            id: id.clone(),
            sockets: 0,
            by_class: ByClass::default(),
            ports: 0,
            last_port: None,
            processes: None,
        });
        self.by_id.insert(id, number);
        number
    }
}

impl GroupId {
    /// Returns a text that sorts as the names on screen do; numbers as numbers.
    fn sort_name(&self) -> String {
        match self {
            Self::Owner(OwnerName::Unnamed(OwnerKey::Hidden(uid))) => {
                format!("{} {:010}", OwnerKey::Hidden(*uid).words(), uid.unwrap_or(0))
            }
            Self::Owner(owner) => owner.words().to_lowercase(),
            Self::Destination(remote) => match remote.address {
                std::net::IpAddr::V4(address) => {
                    format!("4{:032x}{:05}", address.to_bits(), remote.port)
                }
                std::net::IpAddr::V6(address) => {
                    format!("6{:032x}{:05}", address.to_bits(), remote.port)
                }
            },
            Self::State(state) => state.name().to_owned(),
            Self::Port(port) => format!("{port:05}"),
            Self::User(uid) => format!("{uid:010}"),
            Self::Unit(unit) => unit.as_str().to_lowercase(),
            Self::NoPeer | Self::NoUser | Self::NoUnit => "\u{7f}".to_owned(),
        }
    }

    /// Returns the term of a filter that selects exactly the sockets of the group. None: there is
    /// none, because the filter language does not name them.
    pub(super) fn term(&self, processes: &ProcessTable, users: &Users) -> Option<Term> {
        let test = match self {
            Self::Owner(owner) => return owner_term(owner, processes),
            Self::Unit(unit) => return unit_term(unit, processes),
            Self::Destination(remote) => {
                let length = if remote.address.is_ipv4() { 32 } else { 128 };
                let prefix = AddressPrefix::new(remote.address, length);
                let host = HostPattern { family: None, prefix, port: Some(remote.port) };
                Test::Host { side: Side::Remote, host }
            }
            Self::NoPeer => {
                Test::Port { side: Side::Remote, comparison: Comparison::Equal, port: 0 }
            }
            Self::State(state) => return state_term(*state),
            Self::Port(port) => {
                Test::Port { side: Side::Local, comparison: Comparison::Equal, port: *port }
            }
            Self::User(uid) => {
                let name = users.name(*uid).map(Text::as_str);
                let is_only =
                    |name: &&str| users.named(name).count() == 1 && name.parse::<u32>().is_err();
                let name = name.filter(is_only).map(str::to_owned);
                Test::User(name.unwrap_or_else(|| uid.to_string()))
            }
            Self::NoUser | Self::NoUnit => return None,
        };
        Some(Term::Test(test))
    }
}

/// Returns the processes that satisfy a test, as a term.
fn pids_term(processes: &ProcessTable, is_wanted: impl Fn(&Process) -> bool) -> Option<Term> {
    let wanted = processes.iter().filter(|process| is_wanted(process));
    let mut tests = wanted.map(|process| Term::Test(Test::Pid(process.pid)));
    let first = tests.next()?;
    let rest = tests.map(|term| (Connective::Or, term)).collect();
    Some(Term::group(Expression { first, rest }))
}

/// A bare name also selects processes whose name contains it. If there are any, the term lists the
/// pids.
fn owner_term(owner: &OwnerName, processes: &ProcessTable) -> Option<Term> {
    let by_name = |name: &str| Term::Test(Test::Name(name.to_owned()));
    let contains = |process: &Process, part: &str| {
        process.name.as_str().to_lowercase().contains(&part.to_lowercase())
    };
    match owner {
        OwnerName::Process(name) => {
            let is_other =
                |process: &Process| process.name != *name && contains(process, name.as_str());
            if processes.iter().any(is_other) || name.as_str().eq_ignore_ascii_case("kernel") {
                pids_term(processes, |process| process.name == *name)
            } else {
                Some(by_name(name.as_str()))
            }
        }
        OwnerName::Unnamed(OwnerKey::Process(pid)) => Some(Term::Test(Test::Pid(*pid))),
        OwnerName::Unnamed(OwnerKey::Kernel)
            if !processes.iter().any(|process| contains(process, "kernel")) =>
        {
            Some(by_name("kernel"))
        }
        _ => None,
    }
}

fn unit_term(unit: &Text, processes: &ProcessTable) -> Option<Term> {
    let part = unit.as_str().to_lowercase();
    let is_other = |process: &Process| {
        let other = process.unit.as_ref().filter(|other| *other != unit);
        other.is_some_and(|other| other.as_str().to_lowercase().contains(&part))
    };
    if processes.iter().any(is_other) {
        pids_term(processes, |process| process.unit.as_ref() == Some(unit))
    } else {
        Some(Term::Test(Test::Unit(unit.as_str().to_owned())))
    }
}

/// TCP and UDP have a state that the filter language names alike.
fn state_term(state: State) -> Option<Term> {
    let set = StateSet::single(match state {
        State::Connected => "established",
        _ => state.name(),
    })?;
    let test = Term::Test(Test::State(set));
    let protocol = Term::Test(Test::Protocol(state.protocol()));
    Some(match state {
        State::Connected | State::Established => {
            Term::group(Expression { first: protocol, rest: vec![(Connective::And, test)] })
        }
        _ => test,
    })
}

/// Returns the filter that selects what `filter` and `term` both select.
pub(super) fn narrowed(filter: &Filter, term: Term) -> Filter {
    let expression = match (filter.expression.clone(), term) {
        (None, Term::Group(inner)) => *inner,
        (None, term) => Expression::of(term),
        (Some(expression), term) => {
            let mut all = if expression.is_conjunction() {
                expression
            } else {
                Expression::of(Term::group(expression))
            };
            match term {
                Term::Group(inner) if inner.is_conjunction() => {
                    all.rest.push((Connective::And, inner.first));
                    all.rest.extend(inner.rest);
                }
                term => all.rest.push((Connective::And, term)),
            }
            all
        }
    };
    Filter { expression: Some(expression), ..filter.clone() }
}
