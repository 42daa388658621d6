//! What the map's colour answers, and the counts behind it. Not the colours.

use std::collections::HashMap;

use crate::domain::{
    Ephemeral, Gauge, Lane, Occupancy, Owner, PortRange, ProcessTable, Protocols, Snapshot, Socket,
    StateClass, Text,
};

/// What the map's colour answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lens {
    #[default]
    State,
    Owner,
    Protocol,
    /// The youngest socket of a block, on a log scale.
    Age,
    Parity,
    Density,
}

/// A row of the table of lenses.
pub struct LensRow {
    pub lens: Lens,
    pub name: &'static str,
}

/// In the order in which `c` goes through them.
pub const LENSES: &[LensRow] = &[
    LensRow { lens: Lens::State, name: "state" },
    LensRow { lens: Lens::Owner, name: "owner" },
    LensRow { lens: Lens::Protocol, name: "protocol" },
    LensRow { lens: Lens::Age, name: "age" },
    LensRow { lens: Lens::Parity, name: "parity" },
    LensRow { lens: Lens::Density, name: "density" },
];

impl Lens {
    pub fn name(self) -> &'static str {
        LENSES[self.index()].name
    }

    #[must_use]
    pub fn next(self) -> Self {
        LENSES[(self.index() + 1) % LENSES.len()].lens
    }

    #[must_use]
    pub fn previous(self) -> Self {
        LENSES[(self.index() + LENSES.len() - 1) % LENSES.len()].lens
    }

    fn index(self) -> usize {
        LENSES.iter().position(|row| row.lens == self).unwrap_or_default()
    }
}

/// Ports of a range, each counted once, by what is most telling on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub size: u32,
    pub occupied: u32,
    /// In the order of `StateClass::EACH`.
    pub by_class: [u32; StateClass::EACH.len()],
    /// Neither occupied nor reserved, and in the ephemeral range.
    pub available: u32,
    /// Reserved, occupied or not.
    pub reserved: u32,
    pub even: u32,
    pub occupied_even: u32,
}

impl Tally {
    pub fn count(
        range: PortRange,
        occupancy: &Occupancy,
        protocols: Protocols,
        ephemeral: &Ephemeral,
    ) -> Self {
        let reserved = ephemeral.reserved_in(range);
        let mut tally = Self { size: range.len(), reserved, ..Self::default() };
        for port in range.ports() {
            let is_even = port % 2 == 0;
            tally.even += u32::from(is_even);
            if let Some(class) = occupancy.port(port).most_telling(protocols) {
                tally.occupied += 1;
                tally.occupied_even += u32::from(is_even);
                tally.by_class[class as usize] += 1;
            } else if ephemeral.range.contains(port) && !ephemeral.is_reserved(port) {
                tally.available += 1;
            }
        }
        tally
    }

    pub fn of(&self, class: StateClass) -> u32 {
        self.by_class[class as usize]
    }

    pub fn share(&self) -> f32 {
        self.occupied as f32 / self.size.max(1) as f32
    }

    /// The class whose ports weigh most together: a rare telling one beats many usual ones.
    pub fn heaviest(&self) -> Option<StateClass> {
        let weight = |class: StateClass| self.of(class) * class.weight();
        // `rev`: of equals the more telling one, which stands first, is to win.
        let classes = StateClass::EACH.into_iter().rev();
        classes.filter(|&class| self.of(class) > 0).max_by_key(|&class| weight(class))
    }
}

/// How much of the ports that the kernel may choose from one lane takes; its reserved ports count
/// for nothing here.
pub fn automatic_gauge(occupancy: &Occupancy, lane: Lane, ephemeral: &Ephemeral) -> Gauge {
    let mut gauge = occupancy.gauge(lane, ephemeral.range);
    for reserved in ephemeral.reserved().iter().filter_map(|r| r.intersection(ephemeral.range)) {
        let skipped = occupancy.gauge(lane, reserved);
        gauge.size -= skipped.size;
        gauge.occupied -= skipped.occupied;
        gauge.occupied_even -= skipped.occupied_even;
        for (count, less) in gauge.by_class.iter_mut().zip(skipped.by_class) {
            *count -= less;
        }
    }
    gauge
}

/// Owners as the map groups them: workers of one name are one owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnerName {
    Process(Text),
    /// Not described yet.
    Pid(u32),
    Kernel,
    Hidden,
    Nobody,
    NotAsked,
}

impl OwnerName {
    pub fn words(&self) -> String {
        match self {
            Self::Process(name) => name.to_string(),
            Self::Pid(pid) => format!("pid {pid}"),
            Self::Kernel => "kernel".to_owned(),
            Self::Hidden => "hidden".to_owned(),
            Self::Nobody => "none visible".to_owned(),
            Self::NotAsked => "not looked up".to_owned(),
        }
    }
}

/// The owners of a range's ports, biggest first, and who has which port.
#[derive(Clone, Debug, Default)]
pub struct OwnerRanks {
    /// An owner and on how many ports it has sockets.
    pub owners: Vec<(OwnerName, u32)>,
    /// (port, index into `owners`), ascending; a shared port stands under its biggest owner.
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
        let mut ports: Vec<_> = pairs.iter().map(|&(p, owner)| (p, rank[owner as usize])).collect();
        ports.sort_unstable();
        ports.dedup_by_key(|&mut (port, _)| port);
        let owner = |&i: &u32| (names.list[i as usize].clone(), counts[i as usize]);
        Self { owners: order.iter().map(owner).collect(), ports }
    }

    /// Who has most ports of a block: index into `owners`.
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

/// Numbers for owners, given as they come.
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
            Owner::Kernel | Owner::Departed(_) => OwnerName::Kernel,
            Owner::Hidden => OwnerName::Hidden,
            Owner::Nobody => OwnerName::Nobody,
            Owner::NotAsked => OwnerName::NotAsked,
        };
        found(self.number(other));
    }

    fn process(&mut self, pid: u32) -> u32 {
        if let Some(&number) = self.by_pid.get(&pid) {
            return number;
        }
        let name = self.processes.get(pid).map(|p| OwnerName::Process(p.name.clone()));
        let number = self.number(name.unwrap_or(OwnerName::Pid(pid)));
        self.by_pid.insert(pid, number);
        number
    }

    fn number(&mut self, name: OwnerName) -> u32 {
        if let Some(&number) = self.by_name.get(&name) {
            return number;
        }
        let number = self.list.len() as u32;
        self.list.push(name.clone());
        self.by_name.insert(name, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_listening_port_outweighs_nine_established_ones() {
        let mut tally = Tally::default();
        tally.by_class[StateClass::Listen as usize] = 1;
        tally.by_class[StateClass::Established as usize] = 9;
        assert_eq!(tally.heaviest(), Some(StateClass::Listen));
        tally.by_class[StateClass::Established as usize] = 11;
        assert_eq!(tally.heaviest(), Some(StateClass::Established));
    }

    #[test]
    fn going_through_the_lenses_comes_back_to_the_first() {
        let around = LENSES.iter().fold(Lens::State, |lens, _| lens.next());
        assert_eq!(around, Lens::State);
        assert_eq!(Lens::State.next().previous(), Lens::State);
    }
}
