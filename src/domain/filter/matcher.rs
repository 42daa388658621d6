//! Tests sockets. What a filter needs from processes and users is looked up once, so that testing a
//! socket allocates nothing.

use std::{net::IpAddr, time::Duration};

use crate::domain::{
    Age, Endpoint, Family, Interfaces, Owner, PortRange, Process, ProcessTable, Protocol, Snapshot,
    Socket, Text, Users,
    attribution::ListenerUids,
    filter::{
        Comparison, Connective, Expression, Filter, HostPattern, IpVersion, Side, StateSet, Term,
        Test,
    },
};

/// Number of bytes of /proc/PID/comm, where the kernel cuts a longer name off (`TASK_COMM_LEN`).
const LONGEST_NAME: usize = 15;

/// What a filter looks names up in.
#[derive(Clone, Copy, Debug)]
pub struct FilterContext<'a> {
    pub interfaces: &'a Interfaces,
    pub processes: &'a ProcessTable,
    pub users: &'a Users,
    /// All sockets. A connection that waits for accept() has the user of its listener.
    pub sockets: &'a [Socket],
}

impl<'a> FilterContext<'a> {
    pub fn of(snapshot: &'a Snapshot, processes: &'a ProcessTable) -> Self {
        Self {
            interfaces: &snapshot.interfaces,
            processes,
            users: &snapshot.machine.users,
            sockets: &snapshot.sockets,
        }
    }
}

/// A socket, and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct FilterRow<'a> {
    pub socket: &'a Socket,
    pub owner: Owner<'a>,
    /// None: unknown.
    pub age: Option<Age>,
}

/// A filter whose names were looked up in a [`FilterContext`].
#[derive(Clone, Debug)]
pub struct Matcher {
    states: StateSet,
    family: Option<IpVersion>,
    chain: Option<Chain>,
}

#[derive(Clone, Debug)]
struct Chain {
    first: Check,
    rest: Vec<(Connective, Check)>,
}

/// A term of a filter, with the names looked up.
#[derive(Clone, Debug)]
enum Check {
    State(StateSet),
    Protocol(Protocol),
    Port(Side, Comparison, u16),
    Host(Side, HostPattern),
    EitherPort(PortRange),
    EitherHost(HostPattern),
    /// None: the socket is bound to no device.
    Device(Option<u32>),
    /// No device that a socket is bound to has the name.
    NoDevice,
    Processes(ProcessCheck),
    User(UserCheck),
    Age(Comparison, Duration),
    Not(Box<Self>),
    Group(Box<Chain>),
}

impl Filter {
    /// Looks up the names of the filter. The result is valid until processes, users or interfaces
    /// change.
    pub fn matcher(&self, context: FilterContext<'_>) -> Matcher {
        Matcher {
            states: self.states.unwrap_or(StateSet::ALL),
            family: self.family,
            chain: self.expression.as_ref().map(|expression| Chain::of(expression, context)),
        }
    }
}

impl Matcher {
    /// Returns whether the socket matches. None: that depends on something unknown, as the name of
    /// a hidden owner.
    pub fn matches(&self, row: &FilterRow<'_>) -> Option<bool> {
        if !self.states.contains(row.socket.state) || !is_of(row.socket, self.family) {
            return Some(false);
        }
        self.chain.as_ref().map_or(Some(true), |chain| chain.matches(row))
    }
}

fn is_of(socket: &Socket, family: Option<IpVersion>) -> bool {
    match family {
        None => true,
        Some(IpVersion::V4) => socket.family == Family::Ipv4,
        Some(IpVersion::V6) => socket.family != Family::Ipv4,
    }
}

impl Chain {
    fn of(expression: &Expression, context: FilterContext<'_>) -> Self {
        let first = Check::of(&expression.first, context);
        let mut chain = Self { first, rest: Vec::with_capacity(expression.rest.len()) };
        for (connective, term) in &expression.rest {
            let check = Check::of(term, context);
            let before = match chain.rest.last_mut() {
                None => Some(&mut chain.first),
                Some((Connective::Or, before)) => Some(before),
                Some((Connective::And, _)) => None,
            };
            let is_merged = *connective == Connective::Or
                && match (before, &check) {
                    (Some(Check::Processes(before)), Check::Processes(pid)) => {
                        before.merge_pids(pid)
                    }
                    _ => false,
                };
            if !is_merged {
                chain.rest.push((*connective, check));
            }
        }
        chain
    }

    /// Evaluates the terms from left to right. A term that cannot change the result is not tested.
    fn matches(&self, row: &FilterRow<'_>) -> Option<bool> {
        let mut result = self.first.matches(row);
        for (connective, check) in &self.rest {
            let absorbing = Some(*connective == Connective::Or);
            if result == absorbing {
                continue;
            }
            let next = check.matches(row);
            // Unless it decides, the next term leaves an unknown result unknown.
            if next == absorbing || result.is_some() {
                result = next;
            }
        }
        result
    }
}

impl Check {
    fn of(term: &Term, context: FilterContext<'_>) -> Self {
        match term {
            Term::Not(term) => Self::Not(Box::new(Self::of(term, context))),
            Term::Group(expression) => Self::Group(Box::new(Chain::of(expression, context))),
            Term::Test(test) => Self::of_test(test, context),
        }
    }

    fn of_test(test: &Test, context: FilterContext<'_>) -> Self {
        match test {
            Test::State(states) => Self::State(*states),
            Test::Protocol(protocol) => Self::Protocol(*protocol),
            &Test::Port(side, comparison, port) => Self::Port(side, comparison, port),
            &Test::Host(side, host) => Self::Host(side, host),
            Test::EitherPort(range) => Self::EitherPort(*range),
            Test::EitherHost(host) => Self::EitherHost(*host),
            Test::Device(name) => Self::device(name, context.interfaces),
            Test::Name(name) => Self::Processes(ProcessCheck::named(name, context.processes)),
            Test::Pid(pid) => Self::Processes(ProcessCheck::of_pid(*pid)),
            Test::Unit(unit) => Self::Processes(ProcessCheck::of_unit(unit, context.processes)),
            Test::User(user) => Self::User(UserCheck::of(user, context)),
            &Test::Age(comparison, age) => Self::Age(comparison, age),
        }
    }

    /// Looks the device up by its name, or else by its index, `7` or `if7`, as `ss` does. Index 0
    /// means no device.
    fn device(name: &str, interfaces: &Interfaces) -> Self {
        let number = name.parse().or_else(|_| name.strip_prefix("if").unwrap_or("").parse());
        match interfaces.index(Text::scrub(name).as_str()).or(number.ok()) {
            Some(0) => Self::Device(None),
            Some(index) => Self::Device(Some(index)),
            None => Self::NoDevice,
        }
    }

    fn matches(&self, row: &FilterRow<'_>) -> Option<bool> {
        let socket = row.socket;
        Some(match self {
            Self::State(states) => states.contains(socket.state),
            Self::Protocol(protocol) => socket.protocol == *protocol,
            Self::Port(side, comparison, port) => {
                comparison.holds(&endpoint(socket, *side).port, port)
            }
            Self::Host(side, host) => host.matches(endpoint(socket, *side)),
            Self::EitherPort(range) => {
                range.contains(socket.local.port)
                    || range.contains(endpoint(socket, Side::Remote).port)
            }
            Self::EitherHost(host) => {
                host.matches(socket.local) || host.matches(endpoint(socket, Side::Remote))
            }
            Self::Device(index) => socket.interface == *index,
            Self::NoDevice => false,
            Self::Processes(check) => return check.matches(row),
            Self::User(check) => return check.matches(socket),
            Self::Age(comparison, age) => return holds(*comparison, row.age?, *age),
            Self::Not(check) => return check.matches(row).map(|is_match| !is_match),
            Self::Group(chain) => return chain.matches(row),
        })
    }
}

/// Returns an endpoint of the socket. If it has no peer, the remote one is 0.0.0.0:0 or `[::]:0`, as
/// the kernel reports.
fn endpoint(socket: &Socket, side: Side) -> Endpoint {
    match (side, socket.remote) {
        (Side::Local, _) => socket.local,
        (Side::Remote, Some(remote)) => remote,
        (Side::Remote, None) => match socket.local.address {
            IpAddr::V4(_) => Endpoint::from((std::net::Ipv4Addr::UNSPECIFIED, 0)),
            IpAddr::V6(_) => Endpoint::from((std::net::Ipv6Addr::UNSPECIFIED, 0)),
        },
    }
}

/// Compares an age. None: it is a lower bound that does not decide.
fn holds(comparison: Comparison, age: Age, limit: Duration) -> Option<bool> {
    match age {
        Age::Exactly(age) => Some(comparison.holds(&age, &limit)),
        Age::AtLeast(least) => match comparison {
            Comparison::Greater if least > limit => Some(true),
            Comparison::GreaterOrEqual if least >= limit => Some(true),
            Comparison::Less if least >= limit => Some(false),
            Comparison::LessOrEqual if least > limit => Some(false),
            _ => None,
        },
    }
}

/// A test of the processes that hold a socket.
#[derive(Clone, Debug)]
struct ProcessCheck {
    /// The processes that are known, ascending, and whether each satisfies the test.
    processes: Vec<(u32, bool)>,
    /// The answer for other processes. None: it depends on what is not known of them.
    others: Option<bool>,
    /// The answer for the kernel's own sockets.
    kernel: bool,
}

impl ProcessCheck {
    fn new(processes: &ProcessTable, is_wanted: impl Fn(&Process) -> bool) -> Self {
        let processes = processes.iter().map(|process| (process.pid, is_wanted(process)));
        Self { processes: processes.collect(), others: None, kernel: false }
    }

    /// The name of the process contains `name`, in upper or lower case. A longer name than the
    /// kernel keeps is compared with the part that the kernel keeps. `kernel` is the kernel.
    fn named(name: &str, processes: &ProcessTable) -> Self {
        let needle = name.to_lowercase();
        let is_named = |process: &Process| {
            let is_cut = process.name.as_str().len() == LONGEST_NAME;
            let name = process.name.as_str().to_lowercase();
            name.contains(&needle) || (is_cut && needle.starts_with(&name))
        };
        Self { kernel: needle == "kernel", ..Self::new(processes, is_named) }
    }

    /// The unit or container of the process contains `unit`, in upper or lower case.
    fn of_unit(unit: &str, processes: &ProcessTable) -> Self {
        let needle = unit.to_lowercase();
        let is_in = |unit: &Text| unit.as_str().to_lowercase().contains(&needle);
        Self::new(processes, |process| process.unit.as_ref().is_some_and(is_in))
    }

    fn of_pid(pid: u32) -> Self {
        Self { processes: vec![(pid, true)], others: Some(false), kernel: false }
    }

    /// Makes this the test of its pids or those of the other, if both are tests of pids. Returns
    /// whether it did: a chain of many pids is then searched at once.
    fn merge_pids(&mut self, other: &Self) -> bool {
        let are_pids = self.others.is_some() && other.others.is_some();
        if are_pids {
            for &(pid, is_wanted) in &other.processes {
                let at = self.processes.partition_point(|&(before, _)| before < pid);
                self.processes.insert(at, (pid, is_wanted));
            }
        }
        are_pids
    }

    /// Returns whether one of the processes satisfies the test that hold the socket, held it before
    /// they closed it, or listen for it.
    fn matches(&self, row: &FilterRow<'_>) -> Option<bool> {
        match row.owner {
            Owner::Process(pids) | Owner::Departed(pids) | Owner::Backlog(pids) => {
                let mut found = Some(false);
                for &pid in pids {
                    match self.answer(pid) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => found = None,
                    }
                }
                found
            }
            Owner::Kernel => Some(self.kernel),
            Owner::Nobody => Some(false),
            Owner::Hidden | Owner::Unresolved | Owner::NotAsked => None,
        }
    }

    fn answer(&self, pid: u32) -> Option<bool> {
        match self.processes.binary_search_by_key(&pid, |&(pid, _)| pid) {
            Ok(index) => self.processes.get(index).map(|&(_, is_wanted)| is_wanted),
            Err(_) => self.others,
        }
    }
}

/// A test of the user of a socket.
#[derive(Clone, Debug)]
struct UserCheck {
    /// The uids that have the name or are it, ascending.
    uids: Vec<u32>,
    /// The uid that represents all users without a uid here. None: there is none, or it was asked
    /// for by its number.
    unmapped: Option<u32>,
    listeners: ListenerUids,
}

impl UserCheck {
    fn of(user: &str, context: FilterContext<'_>) -> Self {
        let users = context.users;
        let number = user.parse::<u32>().ok();
        let uids = users.named(user).chain(number);
        let mut uids: Vec<u32> = uids.collect();
        uids.sort_unstable();
        let unmapped = users.unmapped_uid().filter(|uid| Some(*uid) != number);
        Self { uids, unmapped, listeners: ListenerUids::of(context.sockets) }
    }

    fn matches(&self, socket: &Socket) -> Option<bool> {
        let of_listener = || self.listeners.uid_of(socket).filter(|_| socket.is_in_backlog());
        match socket.uid.or_else(of_listener) {
            Some(uid) if self.unmapped == Some(uid) => None,
            Some(uid) => Some(self.uids.binary_search(&uid).is_ok()),
            // The process has closed it, so that it has no user.
            None if socket.is_closed_by_process() => Some(false),
            None => None,
        }
    }
}
