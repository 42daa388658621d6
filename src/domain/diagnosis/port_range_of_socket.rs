//! `port-range-of-socket`: a process limits itself to a block of ports and has used it up, while
//! other ports of the range are left. The finding is suspected, not proved, because the kernel's
//! tables do not show IP_LOCAL_PORT_RANGE.
//!
//! Without that option, connect() first takes the ports of the whole range that have the parity of
//! its first port, the low parity (`__inet_hash_connect`). A program that uses all ports of a
//! block, of both parities, and none outside must therefore limit its ports.

use std::collections::BTreeMap;

use crate::domain::{
    Destination, DestinationUse, Endpoint, Evidence, Finding, OwnerKey, PortRange, Protocol,
    Severity, Socket,
    diagnosis::{
        About, Advice, MAX_FINDINGS,
        wording::{owner_key, ports},
    },
    notation::grouped,
    socket::inode_batch,
};

/// Minimum number of used ports. A block of fewer may be a coincidence.
const MIN_PORTS: usize = 16;
/// Used share (0 to 1) from which a block counts as full.
const FULL: f64 = 0.95;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = evidence.analysis.destinations.iter();
    let candidates: BTreeMap<Destination, &DestinationUse> =
        rows.filter(|row| may_be_limited(row)).map(|row| (row.destination, row)).collect();
    // If the range is assumed, it is unknown whether ports outside of the block are left.
    if candidates.is_empty() || !evidence.snapshot.knows_range() {
        return Vec::new();
    }
    let clients = clients(evidence, &candidates);
    let blocks = clients.iter().filter_map(|(&(destination, owner_key), sockets)| {
        let row = candidates.get(&destination)?;
        let block = Block::of(evidence, row, sockets)?;
        Some(finding(evidence, row, owner_key, &block))
    });
    blocks.take(MAX_FINDINGS).collect()
}

/// Returns whether a process may have limited its ports to the destination: at least `MIN_PORTS`
/// and at most half of the capacity are in use, at least a quarter of the used ports are of each
/// parity, and at least a quarter of the low parity is left. Most machines have no such
/// destination.
fn may_be_limited(row: &DestinationUse) -> bool {
    let (low, used) = (row.low_parity_used, row.used);
    used as usize >= MIN_PORTS
        && low * 4 >= used
        && low * 4 <= used * 3
        && used * 2 <= row.capacity
        && row.low_parity_available() * 4 >= row.low_parity_capacity
}

/// Returns the open connections of each process to each candidate.
fn clients<'a>(
    evidence: &Evidence<'a>,
    candidates: &BTreeMap<Destination, &DestinationUse>,
) -> BTreeMap<(Destination, OwnerKey), Vec<&'a Socket>> {
    let mut clients: BTreeMap<(Destination, OwnerKey), Vec<&Socket>> = BTreeMap::new();
    for socket in evidence.snapshot.sockets.iter().filter(|socket| socket.inode.is_some()) {
        let Some(destination) = Destination::of(socket) else { continue };
        let owner_key = OwnerKey::of(evidence.snapshot, socket);
        if owner_key.pid().is_some() && candidates.contains_key(&destination) {
            clients.entry((destination, owner_key)).or_default().push(socket);
        }
    }
    clients
}

/// The ports from the first to the last that a process uses towards a destination.
struct Block {
    range: PortRange,
    /// Ports in use towards the destination by any process, or not available to connect().
    taken: u32,
    /// Ports that the process uses.
    own: u32,
}

impl Block {
    /// Returns None if the block is not full, is too small, exceeds half of the range or leaves it,
    /// or is explained otherwise: by bind() before connect(), by ports chosen in ascending order,
    /// or by other processes that use most of its ports.
    fn of(evidence: &Evidence<'_>, row: &DestinationUse, sockets: &[&Socket]) -> Option<Self> {
        let ports = sockets.iter().map(|socket| socket.local.port);
        let range = PortRange::new(ports.clone().min()?, ports.clone().max()?).ok()?;
        let ephemeral = &evidence.snapshot.ephemeral;
        let is_within = ephemeral.range.intersection(range) == Some(range);
        if !is_within || sockets.len() < MIN_PORTS || range.len() * 2 > ephemeral.range.len() {
            return None;
        }
        let is_bound = |port| evidence.analysis.suspected.contains(port);
        if counts_up(sockets)
            || ports.clone().filter(|&port| is_bound(port)).count() * 2 > sockets.len()
        {
            return None;
        }
        let block = Self {
            range,
            taken: taken(evidence, row.destination, range),
            own: sockets.len() as u32,
        };
        let is_full = f64::from(block.taken) >= FULL * f64::from(range.len());
        (is_full && block.own * 2 >= range.len()).then_some(block)
    }
}

/// Returns whether the program chooses its ports in ascending order. A program that binds the next
/// number each time also has a block without gaps, but its next port is free. With connect(), the
/// ports descend more often: each search starts 1 to 8 ports after the last one chosen, so that it
/// takes several passes to fill the block.
fn counts_up(sockets: &[&Socket]) -> bool {
    let ports_by_inode =
        sockets.iter().filter_map(|socket| Some((socket.inode?, socket.local.port)));
    let mut ports_by_inode: Vec<(u32, u16)> = ports_by_inode.collect();
    ports_by_inode.sort_unstable();
    let is_back = |pair: &&[(u32, u16)]| {
        pair[1].1 < pair[0].1 && inode_batch(pair[1].0) == inode_batch(pair[0].0)
    };
    // Two descents are allowed: the program may have started again at its first port.
    ports_by_inode.windows(2).filter(is_back).count() <= 2
}

fn taken(evidence: &Evidence<'_>, destination: Destination, range: PortRange) -> u32 {
    let ephemeral = &evidence.snapshot.ephemeral;
    let is_taken = |&port: &u16| {
        let mut here = evidence.snapshot.on_port(Protocol::Tcp, port).iter();
        ephemeral.is_reserved(port)
            || here.any(|socket| {
                socket.state.blocks_connect() || Destination::of(socket) == Some(destination)
            })
    };
    range.ports().filter(is_taken).count() as u32
}

fn finding(
    evidence: &Evidence<'_>,
    row: &DestinationUse,
    owner: OwnerKey,
    block: &Block,
) -> Finding {
    let Destination { source, remote, .. } = row.destination;
    let (range, size) = (block.range, block.range.len());
    let who = owner_key(evidence, owner);
    let (in_use, fails) = if block.taken >= size {
        (format!("all {} are in use", grouped(size)), "fails")
    } else {
        (format!("{} of these {} are in use", grouped(block.taken), grouped(size)), "may fail")
    };
    let summary = format!("suspected: {who} uses only ports {range} to {remote}, and {in_use}");
    let others = row.capacity.saturating_sub(row.used);
    Finding::new(Severity::Warning, About::Destination(row.destination), summary)
        .cause(format!("{who} limits itself to ports {range}: {in_use}"))
        .meaning(format!(
            "Its next connect() from {source} {fails} with EADDRNOTAVAIL, although {} of {} are \
             left: with IP_LOCAL_PORT_RANGE, connect() uses no port outside of its range. (If \
             the program gives the ports to bind() instead, bind() may fail with EADDRINUSE.) \
             This is inferred, because the kernel's tables do not show the option: without it, \
             connect() first uses every second port of the whole range, but {who} uses even and \
             odd ports of {range} and none outside.",
            ports(others),
            evidence.snapshot.ephemeral.range,
        ))
        .figure("source", source.to_string())
        .figure("destination", remote.to_string())
        .figure("first", range.first())
        .figure("last", range.last())
        .figure("size", size)
        .figure("used", block.taken)
        .figure("own_sockets", block.own)
        // Includes the unused ports of the block.
        .figure("others_available", others)
        .advice(advice(&who, remote, range))
        .avoid("do not widen ip_local_port_range: this does not change the option of the socket")
}

fn advice(who: &str, remote: Endpoint, range: PortRange) -> Advice {
    let widen = format!(
        "in {who}: set a wider range with setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, ...), or \
         remove the call (a configuration file may have an option for it, such as a source port \
         range)"
    );
    let fewer = format!("keep fewer connections to {remote} open at once");
    let address = format!("add a source address: each address can use all ports of {range}");
    Advice::default()
        .now(("widen its IP_LOCAL_PORT_RANGE", widen))
        .now(("open fewer connections at once", fewer))
        .now(("add a source address", address))
}
