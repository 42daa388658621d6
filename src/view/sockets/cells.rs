//! Formats what the columns show of a socket. Does not choose the columns.

use unicode_width::UnicodeWidthStr;

use crate::{
    app::App,
    domain::{
        Age, Endpoint, Family, Owner, Snapshot, Socket, Source, State,
        notation::{self, grouped},
    },
    view::words,
};

/// Formats the protocol and the family as ss(8) users know them: `tcp4`, `udp6`; `tcp` if the socket
/// is of both families.
pub fn protocol(socket: &Socket) -> String {
    let family = match socket.family {
        Family::Ipv4 => "4",
        Family::Ipv6 => "6",
        Family::Dual => "46",
    };
    format!("{}{family}", socket.protocol.name())
}

/// Formats the local endpoint. If it is too wide, cuts the address and keeps the port.
pub fn local(snapshot: &Snapshot, socket: &Socket, width: usize) -> String {
    cut_endpoint(&snapshot.interfaces.local(socket).to_string(), width)
}

pub fn remote(remote: Option<Endpoint>, none: &str, width: usize) -> String {
    remote.map_or_else(|| none.to_owned(), |remote| cut_endpoint(&remote.to_string(), width))
}

fn cut_endpoint(endpoint: &str, width: usize) -> String {
    if endpoint.width() <= width {
        return endpoint.to_owned();
    }
    let (address, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    let room = width.saturating_sub(port.len() + 1);
    format!("{}:{port}", words::shorten(address, room))
}

/// Names the owner. Of processes, the first one, and how many others there are; in parentheses, the
/// process that has closed the socket.
pub fn owner(app: &App, snapshot: &Snapshot, socket: &Socket, width: usize) -> String {
    let owner = snapshot.owner(socket);
    let others = |pids: &[u32]| match pids.len() {
        0 | 1 => String::new(),
        all => format!(" +{}", grouped(all as u64 - 1)),
    };
    let named = |pids: &[u32], room: usize| match pids.first() {
        Some(&pid) => words::short_name(&app.processes().named(pid).to_string(), room),
        None => String::new(),
    };
    match owner {
        Owner::Process(pids) => {
            let others = others(pids);
            format!("{}{others}", named(pids, width.saturating_sub(others.len())))
        }
        Owner::Departed(pids) => format!("({})", named(pids, width.saturating_sub(2))),
        Owner::Backlog([]) => "backlog".to_owned(),
        Owner::Backlog(pids) => {
            const OF: &str = "backlog: ";
            match width.checked_sub(OF.len()).filter(|room| *room >= 6) {
                Some(room) => format!("{OF}{}", named(pids, room)),
                None => words::shorten("backlog", width),
            }
        }
        _ => words::shorten(&words::owner_line(app, snapshot, socket), width),
    }
}

/// Names the user of the socket; empty: unknown.
pub fn user(snapshot: &Snapshot, socket: &Socket, width: usize) -> String {
    socket.uid.map_or_else(String::new, |uid| words::shorten(&words::user(snapshot, uid), width))
}

/// Names the unit or container of the first process that has one.
pub fn unit(app: &App, snapshot: &Snapshot, socket: &Socket, width: usize) -> String {
    let mut pids = snapshot.owner(socket).pids().iter();
    let unit = pids.find_map(|&pid| app.processes().get(pid)?.unit.as_ref());
    unit.map_or_else(String::new, |unit| words::shorten(words::unit(unit).1, width))
}

/// Formats the queues: of a listener, the connections that wait for accept() and their limit, `3/511`;
/// else the bytes received and sent that nobody has taken. Empty: the socket has none. /proc/net does
/// not have the limit.
pub fn queue(snapshot: &Snapshot, socket: &Socket) -> String {
    match (socket.state, socket.receive_queue, socket.send_queue) {
        (State::Listen, waiting, 0) if snapshot.source == Source::Procfs => grouped(waiting),
        (State::Listen, waiting, limit) => format!("{}/{}", grouped(waiting), grouped(limit)),
        (_, 0, 0) => String::new(),
        (_, received, sent) => format!("{}/{}", grouped(received), grouped(sent)),
    }
}

/// Formats the time left in TIME-WAIT, or the age, `>17m` if it is only a lower limit. `index`: the
/// position of the socket in the latest snapshot.
pub fn age(app: &App, socket: &Socket, index: usize) -> String {
    if let Some(seconds) = words::seconds_left(socket) {
        return format!("{seconds}s left");
    }
    match app.history().age_at(index) {
        Some(Age::Exactly(age)) => notation::rounded(age.as_secs_f64()),
        Some(Age::AtLeast(age)) => format!(">{}", notation::rounded(age.as_secs_f64())),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_endpoint_keeps_its_port() {
        assert_eq!(cut_endpoint("10.0.0.5:443", 12), "10.0.0.5:443");
        assert_eq!(cut_endpoint("[2001:db8::1]:40101", 14), "[2001:..:40101");
    }
}
