//! Groups of sockets: by owner, destination, state, port, user, unit or container.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr};

use crate::domain::{
    Endpoint, OwnerKey, Protocol, Socket, State, StateClass, Text,
    listing::{ListingSource, OwnerName},
    occupancy::ByClass,
    owner::is_container,
    socket::canonical,
};

/// What the rows of a list are.
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
    /// By systemd unit.
    Unit,
    Container,
}

impl GroupBy {
    pub const EACH: [Self; 8] = [
        Self::Nothing,
        Self::Owner,
        Self::Destination,
        Self::State,
        Self::Port,
        Self::User,
        Self::Unit,
        Self::Container,
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
            Self::Container => "container",
        }
    }

    /// Returns whether the groups are known only if the owners of the sockets are.
    pub fn needs_owners(self) -> bool {
        matches!(self, Self::Owner | Self::Unit | Self::Container)
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
    /// The processes are in no systemd unit, or in a container.
    NoUnit,
    Container(Text),
    NoContainer,
}

/// The sockets of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowGroup {
    pub id: GroupId,
    pub sockets: u32,
    pub by_class: ByClass,
    /// Sockets in ESTABLISHED. Unlike its class, does not include SYN-SENT and SYN-RECEIVED.
    pub established: u32,
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
    pub const EACH: [Self; 3] = [Self::Sockets, Self::Ports, Self::Name];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Ports => "ports",
            Self::Name => "name",
        }
    }

    /// Returns the next one; after the last one, the first.
    #[must_use]
    pub fn next(self) -> Self {
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

impl RowGroup {
    fn new(id: GroupId) -> Self {
        let by_class = ByClass::default();
        Self {
            id,
            sockets: 0,
            by_class,
            established: 0,
            ports: 0,
            last_port: None,
            processes: None,
        }
    }

    /// Returns the number of sockets of a class of states.
    pub fn of_class(&self, class: StateClass) -> u32 {
        self.by_class[class as usize]
    }

    /// Returns the number of sockets that are neither in LISTEN nor ESTABLISHED nor TIME-WAIT.
    pub fn others(&self) -> u32 {
        let [listen, time_wait] =
            [StateClass::Listen, StateClass::TimeWait].map(|class| self.of_class(class));
        self.sockets - listen - self.established - time_wait
    }
}

impl ListingSource<'_> {
    /// Counts sockets of the snapshot by group; `sockets` must be in the order of the snapshot, or
    /// in its reverse. A socket that several programs hold is counted in the group of each. Empty
    /// if `group_by` is `Nothing`.
    pub fn grouped<'s>(
        self,
        group_by: GroupBy,
        sockets: impl Iterator<Item = &'s Socket>,
        order: GroupOrder,
    ) -> Vec<RowGroup> {
        let mut table = GroupTable {
            group_by,
            source: self,
            groups: Vec::new(),
            by_id: HashMap::new(),
            by_pid: HashMap::new(),
            found: Vec::new(),
        };
        sockets.for_each(|socket| table.add(socket));
        let mut groups = table.groups;
        groups.sort_by_cached_key(|group| {
            let key = match order.column {
                GroupColumn::Sockets => group.sockets,
                GroupColumn::Ports => group.ports,
                GroupColumn::Name => 0,
            };
            (Reverse(key), group.id.sort_name())
        });
        if order.is_reversed {
            groups.reverse();
        }
        groups
    }
}

struct GroupTable<'a> {
    group_by: GroupBy,
    source: ListingSource<'a>,
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
        let ephemeral = &self.source.snapshot.ephemeral;
        let is_automatic = ephemeral.range.contains(socket.local.port);
        for &index in &found {
            let group = &mut self.groups[index as usize];
            group.sockets += 1;
            group.by_class[StateClass::of(socket.state) as usize] += 1;
            group.established += u32::from(socket.state == State::Established);
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
            GroupBy::Owner | GroupBy::Unit | GroupBy::Container => {
                return self.find_processes(socket, found);
            }
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
        let snapshot = self.source.snapshot;
        match snapshot.owner(socket).pids() {
            [] => {
                let other = OwnerName::Unnamed(OwnerKey::of(snapshot, socket));
                found.push(self.number(GroupId::Owner(other)));
            }
            pids => found.extend(pids.iter().map(|&pid| self.process(pid))),
        }
    }

    fn process(&mut self, pid: u32) -> u32 {
        if let Some(&number) = self.by_pid.get(&pid) {
            return number;
        }
        let id = match self.source.processes.get(pid) {
            None => GroupId::Owner(OwnerName::Unnamed(OwnerKey::Process(pid))),
            Some(process) => match (self.group_by, &process.unit) {
                (GroupBy::Unit, Some(unit)) if !is_container(unit) => GroupId::Unit(unit.clone()),
                (GroupBy::Unit, _) => GroupId::NoUnit,
                (GroupBy::Container, Some(unit)) if is_container(unit) => {
                    GroupId::Container(unit.clone())
                }
                (GroupBy::Container, _) => GroupId::NoContainer,
                _ => GroupId::Owner(OwnerName::Process(process.name.clone())),
            },
        };
        let number = self.number(id);
        let group = &mut self.groups[number as usize];
        let (least, count) = group.processes.unwrap_or((pid, 0));
        group.processes = Some((least.min(pid), count + 1));
        self.by_pid.insert(pid, number);
        number
    }

    fn number(&mut self, id: GroupId) -> u32 {
        let groups = &mut self.groups;
        *self.by_id.entry(id).or_insert_with_key(|id| {
            groups.push(RowGroup::new(id.clone()));
            groups.len() as u32 - 1
        })
    }
}

impl GroupId {
    /// Returns a text that sorts as the names on screen do; numbers as numbers.
    fn sort_name(&self) -> String {
        match self {
            Self::Owner(OwnerName::Unnamed(OwnerKey::Hidden(uid))) => {
                let number = uid.map_or_else(|| "unknown".to_owned(), |uid| format!("{uid:010}"));
                format!("{} {number}", OwnerKey::Hidden(*uid).words())
            }
            Self::Owner(owner) => owner.words().to_lowercase(),
            Self::Destination(remote) => match remote.address {
                IpAddr::V4(address) => {
                    format!("4{:032x}{:05}", address.to_bits(), remote.port)
                }
                IpAddr::V6(address) => {
                    format!("6{:032x}{:05}", address.to_bits(), remote.port)
                }
            },
            Self::State(state) => state.name().to_owned(),
            Self::Port(port) => format!("{port:05}"),
            Self::User(uid) => format!("{uid:010}"),
            Self::Unit(name) | Self::Container(name) => name.as_str().to_lowercase(),
            Self::NoPeer | Self::NoUser | Self::NoUnit | Self::NoContainer => "\u{7f}".to_owned(),
        }
    }
}
