//! Builds the simulated host of a run: its processes and occupied ports. Runs nothing.

use crate::{
    allocator::Candidates,
    domain::{PortRange, ProcessTable, Protocols, State},
    host::{
        Host, HostError,
        simulated::{SimulatedHost, SimulatedHostBuilder},
    },
};

/// Processes that hold the simulated host's occupied ports: pid, name, command, uid.
const RESIDENTS: [(u32, &str, &str, u32); 4] = [
    (1187, "nginx", "nginx: worker process", 33),
    (2240, "postgres", "postgres: checkpointer", 70),
    (3061, "node", "node server.js", 1000),
    (4711, "python3", "python3 load.py", 1000),
];

/// Users of these processes, in addition to `root` and `user`, which every simulated host has.
const USERS: [(u32, &str); 2] = [(33, "www-data"), (70, "postgres")];

/// A TCP socket is bound-inactive if its port is a multiple of this number, and ESTABLISHED
/// otherwise.
const BOUND_EACH: u16 = 4;

/// Builds the simulated host of a run, in which `share` (0 to 1) of the candidates are occupied.
/// Returns it with its reserved ports, which are those of `machine`.
///
/// Errors: the policy of `machine` could not be read.
pub fn build(
    machine: &dyn Host,
    protocols: Protocols,
    range: PortRange,
    seed: u64,
    share: f64,
) -> Result<(SimulatedHost, Vec<PortRange>), HostError> {
    let (mut ephemeral, _) = machine.policy()?;
    let reserved = ephemeral.reserved().to_vec();
    // Privileges are not simulated: no port needs a capability.
    ephemeral.unprivileged_start = 0;
    let candidates = Candidates::new(range, &reserved);
    let pids = RESIDENTS.map(|(pid, ..)| pid);
    let mut builder = inhabited().ephemeral(ephemeral);
    // The same ports are occupied for each protocol, so that `share` is a share of the ports.
    if protocols != Protocols::Tcp {
        builder =
            builder.fill_ports(candidates.ports(), share, State::Unconnected, seed).dealt_to(&pids);
    }
    if protocols != Protocols::Udp {
        builder = builder
            .fill_ports(candidates.ports(), share, State::Established, seed)
            .dealt_to(&pids)
            .each(|socket| {
                if socket.local.port.is_multiple_of(BOUND_EACH) {
                    (socket.state, socket.remote) = (State::Bound, None);
                }
            });
    }
    Ok((builder.build(), reserved))
}

/// Returns the processes of every simulated host.
pub fn simulated_processes() -> ProcessTable {
    let pids = RESIDENTS.map(|(pid, ..)| pid);
    inhabited().build().describer().describe(&pids).into_iter().collect()
}

fn inhabited() -> SimulatedHostBuilder {
    let builder = USERS.iter().fold(SimulatedHost::builder(), |b, &(uid, name)| b.user(uid, name));
    RESIDENTS.iter().fold(builder, |builder, &(pid, name, command, uid)| {
        builder.process(pid, name, command, uid)
    })
}
