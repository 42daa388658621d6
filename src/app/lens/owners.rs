//! The owner of each port, and owners ranked by number of ports. Does not define their colours.

use std::collections::HashMap;

use crate::domain::{
    Owner, OwnerKey, PortRange, ProcessTable, Protocols, Snapshot, Socket, listing::OwnerName,
};

/// The owners of the ports of a range, the owner of the most ports first, and the owner of each
/// port.
#[derive(Clone, Debug, Default)]
pub struct OwnerRanks {
    /// Each owner, and the number of ports on which it has sockets.
    pub owners: Vec<(OwnerName, u32)>,
    /// (port, index into `owners`), ascending. A shared port is listed under the process with most
    /// ports; without a process, under its biggest owner.
    ports: Vec<(u16, u32)>,
}

impl OwnerRanks {
    pub fn count(
        range: PortRange,
        protocols: Protocols,
        snapshot: &Snapshot,
        processes: &ProcessTable,
    ) -> Self {
        let mut names = Names::of(processes);
        let mut pairs = Vec::new();
        for socket in &snapshot.sockets {
            if range.contains(socket.local.port) && protocols.includes(socket.protocol) {
                names.each(snapshot, socket, |owner| pairs.push((socket.local.port, owner)));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        let mut counts = vec![0; names.list.len()];
        for &(_, owner) in &pairs {
            counts[owner as usize] += 1;
        }
        let mut order: Vec<u32> = (0..counts.len() as u32).collect();
        order.sort_by_key(|&owner| {
            let owner = owner as usize;
            (std::cmp::Reverse(counts[owner]), names.list[owner].words())
        });
        let mut rank = vec![0; counts.len()];
        for (place, &owner) in order.iter().enumerate() {
            rank[owner as usize] = place as u32;
        }
        let is_process = |owner: u32| {
            let name = &names.list[owner as usize];
            matches!(name, OwnerName::Process(_) | OwnerName::Unnamed(OwnerKey::Process(_)))
        };
        let ranked = pairs.iter().map(|&(p, owner)| (p, !is_process(owner), rank[owner as usize]));
        let mut ports: Vec<_> = ranked.collect();
        ports.sort_unstable();
        ports.dedup_by_key(|&mut (port, ..)| port);
        let ports = ports.into_iter().map(|(port, _, rank)| (port, rank)).collect();
        let owner = |&i: &u32| (names.list[i as usize].clone(), counts[i as usize]);
        Self { owners: order.iter().map(owner).collect(), ports }
    }

    /// Returns the owner of the most ports in a block, as index into `owners`. None: no port is in
    /// use.
    pub fn biggest_in(&self, block: PortRange) -> Option<usize> {
        let start = self.ports.partition_point(|&(port, _)| port < block.first());
        let inside = self.ports[start..].iter().take_while(|&&(port, _)| block.contains(port));
        let mut counts: Vec<(u32, u32)> = Vec::new();
        for &(_, owner) in inside {
            match counts.iter_mut().find(|(o, _)| *o == owner) {
                Some((_, count)) => *count += 1,
                None => counts.push((owner, 1)),
            }
        }
        let most = counts.into_iter().max_by_key(|&(owner, n)| (n, std::cmp::Reverse(owner)));
        most.map(|(owner, _)| owner as usize)
    }
}

/// Numbers owners in the order in which they are found.
struct Names<'a> {
    processes: &'a ProcessTable,
    list: Vec<OwnerName>,
    by_name: HashMap<OwnerName, u32>,
    by_pid: HashMap<u32, u32>,
}

impl<'a> Names<'a> {
    fn of(processes: &'a ProcessTable) -> Self {
        Self { processes, list: Vec::new(), by_name: HashMap::new(), by_pid: HashMap::new() }
    }

    fn each(&mut self, snapshot: &Snapshot, socket: &Socket, mut found: impl FnMut(u32)) {
        let other = match snapshot.owner(socket) {
            Owner::Process(pids) | Owner::Backlog(pids) => {
                for &pid in pids {
                    found(self.process(pid));
                }
                return;
            }
            Owner::Kernel | Owner::Departed(_) => OwnerKey::Kernel,
            Owner::Hidden => OwnerKey::Hidden(None),
            Owner::Nobody => OwnerKey::Nobody,
            Owner::Unresolved => OwnerKey::Unresolved,
            Owner::NotAsked => OwnerKey::NotAsked,
        };
        found(self.number(OwnerName::Unnamed(other)));
    }

    fn process(&mut self, pid: u32) -> u32 {
        if let Some(&number) = self.by_pid.get(&pid) {
            return number;
        }
        let name = self.processes.get(pid).map(|p| OwnerName::Process(p.name.clone()));
        let number = self.number(name.unwrap_or(OwnerName::Unnamed(OwnerKey::Process(pid))));
        self.by_pid.insert(pid, number);
        number
    }

    fn number(&mut self, name: OwnerName) -> u32 {
        *self.by_name.entry(name).or_insert_with_key(|name| {
            self.list.push(name.clone());
            self.list.len() as u32 - 1
        })
    }
}
