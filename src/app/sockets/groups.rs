//! Groups of sockets that are entered: which term each adds to the filter. Does not count.

use crate::{
    app::settings::wrapping_index,
    domain::{
        Filter, OwnerKey, Process, ProcessTable, State, Text, Users,
        filter::{
            AddressPrefix, Comparison, Connective, Expression, HostPattern, Side, StateSet, Term,
            Test,
        },
        listing::{GroupBy, GroupId, OwnerName},
    },
};

/// Returns the way to group that comes after this one, or before it if `by` is -1.
pub(super) fn after(group_by: GroupBy, by: isize) -> GroupBy {
    GroupBy::EACH[wrapping_index(group_by as usize, by, GroupBy::EACH.len())]
}

/// Returns the term of a filter that selects exactly the sockets of the group. None: there is
/// none, because the filter language does not name them.
pub(super) fn term(id: &GroupId, processes: &ProcessTable, users: &Users) -> Option<Term> {
    let test = match id {
        GroupId::Owner(owner) => return owner_term(owner, processes),
        GroupId::Unit(unit) | GroupId::Container(unit) => return unit_term(unit, processes),
        GroupId::Destination(remote) => {
            let length = if remote.address.is_ipv4() { 32 } else { 128 };
            let prefix = AddressPrefix::new(remote.address, length);
            let host = HostPattern { family: None, prefix, port: Some(remote.port) };
            Test::Host(Side::Remote, host)
        }
        GroupId::NoPeer => Test::Port(Side::Remote, Comparison::Equal, 0),
        GroupId::State(state) => return state_term(*state),
        GroupId::Port(port) => Test::Port(Side::Local, Comparison::Equal, *port),
        GroupId::User(uid) => {
            let name = users.name(*uid).map(Text::as_str);
            let is_only =
                |name: &&str| users.named(name).count() == 1 && name.parse::<u32>().is_err();
            let name = name.filter(is_only).map(str::to_owned);
            Test::User(name.unwrap_or_else(|| uid.to_string()))
        }
        GroupId::NoUser | GroupId::NoUnit | GroupId::NoContainer => return None,
    };
    Some(Term::Test(test))
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
        OwnerName::Unnamed(_) => None,
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
