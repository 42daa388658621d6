//! Processes that race for a port: with `exec` they keep it; with close and rebind they may lose
//! it.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use portscope::domain::PortRange;

use crate::{
    handover::{HandoverMethod, PORT_CLIENTS, can_bind, race},
    namespace::in_new_namespace,
    outputs::program,
    processes::alone,
};

/// Fewer rounds than `cargo bench --bench handover` runs.
const ROUNDS: u32 = 15;

fn sixty_four() -> PortRange {
    PortRange::new(40_000, 40_063).unwrap()
}

#[test]
fn concurrent_execs_get_distinct_ports_and_leak_none_when_killed() {
    let _alone = alone();
    in_new_namespace(|| {
        let tally = race(HandoverMethod::Exec, sixty_four(), ROUNDS).unwrap();
        assert_eq!(tally.port_clients, ROUNDS * PORT_CLIENTS as u32);
        assert_eq!((tally.duplicates, tally.lost, tally.leaked), (0, 0, 0), "{tally:?}");
        eprintln!("{tally:?}");
    });
}

/// There is one port for each process: the last one finds 15 of 16 ports in use.
#[test]
fn concurrent_execs_share_a_range_with_just_enough_ports() {
    let _alone = alone();
    in_new_namespace(|| {
        let range = PortRange::new(40_000, 40_000 + PORT_CLIENTS as u16 - 1).unwrap();
        let tally = race(HandoverMethod::Exec, range, 3).unwrap();
        // 100 random attempts may miss the last free port (exit code 75), but no port is given out
        // twice.
        assert_eq!((tally.duplicates, tally.leaked), (0, 0), "{tally:?}");
        assert!(tally.lost <= 3, "{tally:?}");
    });
}

#[test]
fn concurrent_picks_collide_when_the_port_is_closed_and_bound_again() {
    let _alone = alone();
    in_new_namespace(|| {
        let tally = race(HandoverMethod::CloseThenRebind, sixty_four(), ROUNDS).unwrap();
        eprintln!("{tally:?}");
        assert!(tally.duplicates > 0 && tally.lost > 0, "{tally:?}");
        assert_eq!(tally.leaked, 0, "{tally:?}");
    });
}

/// Also between its start and the exec() of the program.
#[test]
fn exec_killed_at_any_moment_leaves_no_port_behind() {
    let _alone = alone();
    in_new_namespace(|| {
        for step in 0..100 {
            let mut command = program();
            command.args(["exec", "--protocol", "both", "--range", "40000-40063", "--count", "32"]);
            command.args(["--strategy", "bitmap", "--", "sleep", "1000"]).stderr(Stdio::null());
            let mut process = command.spawn().unwrap();
            let end = Instant::now() + Duration::from_micros(step * 200);
            while Instant::now() < end {
                std::thread::yield_now();
            }
            process.kill().unwrap();
            process.wait().unwrap();
            let left = sixty_four().ports().filter(|&port| !can_bind(port)).count();
            assert_eq!(left, 0, "killed after {} µs", step * 200);
        }
    });
}
