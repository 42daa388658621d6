//! The command that does the same as an action, for a shell.

use std::{collections::BTreeSet, net::IpAddr};

use crate::domain::{
    Endpoint, PortRange, Protocol, Socket, State,
    action::{ActionInput, EndSignal, PortAction},
    reserved_list,
};

/// Returns `kill -TERM 812 813`.
pub fn end(pids: &BTreeSet<u32>, signal: EndSignal) -> String {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    format!("kill -{} {}", signal.name(), pids.join(" "))
}

/// Returns the ss(8) commands that close the sockets. Other sockets with the same endpoints and state
/// match as well: ss has no filter by cookie.
pub fn close(sockets: &[Socket]) -> String {
    sockets.iter().map(close_one).collect::<Vec<_>>().join("; ")
}

fn close_one(socket: &Socket) -> String {
    let option = option(socket.protocol);
    let state = state_name(socket.state);
    let local = format!("src {}", endpoint(socket.local));
    let remote = socket.remote.map(|remote| format!(" dst {}", endpoint(remote)));
    format!("ss -K {option} state {state} {local}{}", remote.unwrap_or_default())
}

/// Returns the ss(8) commands that end the closed connections of the port, or those to the
/// destination. Of a state in which another socket there is as well, for example one that a process
/// still holds, each connection is selected by its endpoints.
pub fn drain(input: &ActionInput<'_>, action: &PortAction) -> String {
    let PortAction::Drain { sockets, destination } = action else { return String::new() };
    let listed: &[Socket] = match destination {
        Some(_) => &input.snapshot.sockets,
        None => input.sockets(),
    };
    let count = |sockets: &[Socket], state: State| {
        let is_it = |socket: &&Socket| {
            socket.state == state && (destination.is_none() || socket.remote == *destination)
        };
        sockets.iter().filter(is_it).count()
    };
    let states: BTreeSet<State> = sockets.iter().map(|socket| socket.state).collect();
    let (whole, mixed): (Vec<State>, Vec<State>) =
        states.into_iter().partition(|&state| count(listed, state) == count(sockets, state));
    let each = sockets.iter().filter(|socket| mixed.contains(&socket.state)).map(close_one);
    let selected = match destination {
        Some(remote) => format!("dst {}", endpoint(*remote)),
        None => format!("'sport = :{}'", input.port),
    };
    let names = whole.iter().map(|&state| format!("state {} ", state_name(state)));
    let names: String = names.collect();
    let whole = (!whole.is_empty()).then(|| format!("ss -K -t {names}{selected}"));
    whole.into_iter().chain(each).collect::<Vec<_>>().join("; ")
}

/// Returns the command that adds the port to the reserved ones.
pub fn reserve(input: &ActionInput<'_>) -> String {
    let port = PortRange::new(input.port, input.port).ok();
    let reserved = [input.snapshot.ephemeral.reserved(), port.as_slice()].concat();
    reserved_list::set_to(&PortRange::merged(reserved))
}

pub fn wait(input: &ActionInput<'_>) -> String {
    format!("portscope wait {}/{}", input.port, input.protocol.name())
}

fn option(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "-t",
        Protocol::Udp => "-u",
    }
}

/// Formats an endpoint for a filter of ss(8).
fn endpoint(endpoint: Endpoint) -> String {
    match endpoint.address {
        IpAddr::V6(address) if address.is_unspecified() => format!("[::]:{}", endpoint.port),
        _ => endpoint.to_string(),
    }
}

/// Returns the name of a state in a filter of ss(8).
fn state_name(state: State) -> &'static str {
    match state {
        State::Listen => "listening",
        State::SynSent => "syn-sent",
        State::SynReceived => "syn-recv",
        State::Established | State::Connected => "established",
        State::FinWait1 => "fin-wait-1",
        State::FinWait2 => "fin-wait-2",
        State::CloseWait => "close-wait",
        State::Closing => "closing",
        State::LastAck => "last-ack",
        State::TimeWait => "time-wait",
        State::Bound => "bound-inactive",
        State::Unconnected => "unconnected",
    }
}
