//! Actions on ports: what the kernel does to each kind of socket, which process a signal reaches, and
//! the list of reserved ports. `action_situations` has the forecasts of random situations.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    time::Duration,
};

use portscope::{
    domain::{
        Errno, PortRange, Protocol, Socket, State,
        action::{
            ActionForecast, EndSignal, Frees, Permission, PortAction, ReservedChange, choices, plan,
        },
    },
    engine::freeing::{self, StepResult},
    host::{
        actions::{ActionError, HostActions as _},
        linux::{
            LinuxHost,
            actions::{process, reserved},
            policy,
        },
    },
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use socket2::Type;

use crate::{
    action_setup::{
        ActionSetup, bound, is_free, listening, listening_automatic, udp_or_tcp_automatic,
        wait_until,
    },
    holders::{ANY4, SocketOption},
    namespace::{in_new_namespace, needs_linux},
    processes::{self, Sleeper, in_private_pid_namespace, is_in_role},
};

/// Every row of the table "SOCK_DESTROY and the port": the forecast, the port afterwards, and what
/// the program sees.
#[test]
fn sock_destroy_does_to_each_kind_of_socket_what_is_forecast() {
    in_new_namespace(|| {
        let mut setup = ActionSetup::new();
        connections_lose_an_automatic_port(&mut setup);
        numbered_sockets_keep_their_port(&mut setup);
        datagram_sockets_follow_the_same_rule(&mut setup);
    });
}

fn assert_closed(
    (forecast, closed): (ActionForecast, Result<(), ActionError>),
    frees: Frees,
    (protocol, port): (Protocol, u16),
) {
    assert_eq!(forecast.frees, frees, "{forecast:?}");
    assert_eq!(forecast.permission, Permission::Granted);
    closed.unwrap();
    assert_eq!(is_free(protocol, port), frees == Frees::Yes, "{forecast:?}");
}

fn connections_lose_an_automatic_port(setup: &mut ActionSetup) {
    let tcp = Protocol::Tcp;
    let port = setup.port();
    let [client, server] = setup.client(port, false);
    assert_closed(setup.close_first(tcp, port), Frees::Yes, (tcp, port));
    let seen = (&client).read(&mut [0; 1]).unwrap_err();
    assert_eq!(seen.raw_os_error(), Some(103), "ECONNABORTED");
    assert_eq!((&server).read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);

    let port = setup.port();
    let [client, server] = setup.client(port, false);
    server.shutdown(Shutdown::Both).unwrap();
    assert_eq!((&client).read(&mut [0; 1]).unwrap(), 0);
    assert_closed(setup.close_first(tcp, port), Frees::Yes, (tcp, port));

    let port = setup.port();
    drop(setup.client(port, false));
    assert!(wait_until(Duration::from_secs(5), || {
        setup.facts(tcp, port);
        setup.snapshot.on_port(tcp, port).first().is_some_and(|s| s.state == State::TimeWait)
    }));
    if needs_linux((6, 0), "ends TIME-WAIT by SOCK_DESTROY") {
        assert_closed(setup.close_first(tcp, port), Frees::Yes, (tcp, port));
    }
}

fn numbered_sockets_keep_their_port(setup: &mut ActionSetup) {
    let tcp = Protocol::Tcp;
    let port = setup.port();
    let [client, _server] = setup.client(port, true);
    assert_closed(setup.close_first(tcp, port), Frees::No, (tcp, port));
    assert_eq!((&client).read(&mut [0; 1]).unwrap_err().raw_os_error(), Some(103));
    drop(client);
    assert!(is_free(tcp, port), "the descriptor is closed");

    let port = setup.port();
    let listener = listening(ANY4, port, &[]);
    assert_closed(setup.close_first(tcp, port), Frees::No, (tcp, port));
    assert_eq!(Errno::from(&listener.accept().unwrap_err()), Errno::EINVAL);
    setup.facts(tcp, port);
    assert_eq!(setup.snapshot.on_port(tcp, port)[0].state, State::Bound);

    // What remains is bound-inactive, which SOCK_DESTROY does not find.
    let (forecast, closed) = setup.close_first(tcp, port);
    assert_eq!(forecast.frees, Frees::No);
    assert!(matches!(closed, Err(ActionError::Unsupported(_))), "{closed:?}");
    assert!(!is_free(tcp, port));

    let port = setup.port();
    let _listener = listening_automatic(port);
    assert_closed(setup.close_first(tcp, port), Frees::Yes, (tcp, port));
}

fn datagram_sockets_follow_the_same_rule(setup: &mut ActionSetup) {
    let udp = Protocol::Udp;
    let port = setup.port();
    let socket = bound(Type::DGRAM, ANY4, port, &[]);
    assert_closed(setup.close_first(udp, port), Frees::No, (udp, port));
    assert_eq!((&socket).read(&mut [0; 1]).unwrap_err().raw_os_error(), Some(103));

    let port = setup.port();
    let socket = udp_or_tcp_automatic(Type::DGRAM, port);
    assert_closed(setup.close_first(udp, port), Frees::Yes, (udp, port));
    assert_eq!((&socket).read(&mut [0; 1]).unwrap_err().raw_os_error(), Some(103));
}

/// The kernel finds a socket by its endpoints, and only then compares the cookie.
#[test]
fn socket_with_the_endpoints_of_another_one_has_not_ended() {
    in_new_namespace(|| {
        let mut setup = ActionSetup::new();
        let port = setup.port();
        let reuse = [SocketOption::ReusePort];
        let _listeners: Vec<_> = (0..8).map(|_| listening(ANY4, port, &reuse)).collect();
        // A hash decides which listener of the group is found, here at most one of the two: if it is
        // the first, then afterwards it is the one before or the last of the group.
        let results = close(&mut setup, (Protocol::Tcp, port), 8, |sockets| {
            [sockets[3], sockets[5]].to_vec()
        });
        assert!(results.iter().any(|result| !result.is_done()), "{results:?}");
        let port = setup.port();
        let shared = [SocketOption::ReuseAddress];
        let _sockets = [0; 2].map(|_| bound(Type::DGRAM, ANY4, port, &shared));
        close(&mut setup, (Protocol::Udp, port), 2, <[Socket]>::to_vec);

        let port = setup.port();
        let listener = listening(ANY4, port, &[]);
        setup.scan();
        drop(listener);
        let closed = setup.actions.close(&setup.snapshot.on_port(Protocol::Tcp, port)[0]);
        assert!(matches!(closed, Err(ActionError::SocketGone)), "{closed:?}");
    });
}

/// Closes some of the `count` sockets on the port, of which none has ended: none is counted as gone.
fn close(
    setup: &mut ActionSetup,
    (protocol, port): (Protocol, u16),
    count: usize,
    chosen: impl Fn(&[Socket]) -> Vec<Socket>,
) -> Vec<StepResult> {
    setup.scan();
    let sockets = setup.snapshot.on_port(protocol, port);
    assert_eq!(sockets.len(), count);
    let close = PortAction::Close(chosen(sockets));
    let results = freeing::perform(&mut setup.actions, &close, Duration::ZERO);
    for result in &results {
        assert!(!matches!(result, StepResult::Closed { gone: 1.., .. }), "{results:?}");
    }
    results
}

/// Returns a connection on the port that is closed, and whose data the peer does not read.
fn with_undelivered_data(setup: &mut ActionSetup, port: u16) -> socket2::Socket {
    let [client, server] = setup.client(port, false);
    client.set_nonblocking(true).unwrap();
    while (&client).write(&[0; 8192]).is_ok() {}
    drop(client);
    assert!(wait_until(Duration::from_secs(5), || {
        setup.scan();
        setup
            .snapshot
            .on_port(Protocol::Tcp, port)
            .iter()
            .any(|socket| socket.state == State::FinWait1 && socket.has_undelivered_data())
    }));
    server
}

#[test]
fn undelivered_data_of_closed_connections_is_only_lost_with_sigkill() {
    in_new_namespace(|| {
        if !needs_linux((6, 12), "ends every closed connection by SOCK_DESTROY") {
            return;
        }
        let tcp = Protocol::Tcp;
        let mut setup = ActionSetup::new();
        let port = setup.port();
        let server = with_undelivered_data(&mut setup, port);
        let facts = setup.read_facts(tcp, port);
        let input = setup.input(&facts, tcp, port);
        let choices = choices(&input);
        assert_eq!(plan(&input, &choices, EndSignal::Term).action, None);
        let hard = plan(&input, &choices, EndSignal::Kill);
        let (Some(drain), Frees::Yes) = (hard.action, hard.frees) else { panic!("{choices:?}") };
        let results = freeing::perform(&mut setup.actions, &drain, Duration::ZERO);
        assert!(results.iter().all(StepResult::is_done), "{results:?}");
        assert!(is_free(tcp, port));
        let mut received = Vec::new();
        assert!((&server).read_to_end(&mut received).is_err(), "the peer sees the loss");

        // The end of a process by SIGTERM, after which closed connections are ended, leaves it alone.
        for (signal, is_lost) in [(EndSignal::Term, false), (EndSignal::Kill, true)] {
            let port = setup.port();
            let server = with_undelivered_data(&mut setup, port);
            let end = PortAction::End { processes: Vec::new(), signal, inodes: Vec::new() };
            let host = LinuxHost::new();
            let ports = [(tcp, port)];
            freeing::free_ports(&host, &ports, &end, true, Duration::ZERO).unwrap();
            assert_eq!(is_free(tcp, port), is_lost, "{signal:?}");
            let mut received = Vec::new();
            assert_eq!((&server).read_to_end(&mut received).is_err(), is_lost, "{signal:?}");
        }
    });
}

#[test]
fn missing_capability_is_known_before_a_socket_is_closed() {
    in_new_namespace(|| {
        let mut setup = ActionSetup::new();
        let port = setup.port();
        let _listener = listening_automatic(port);
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        let (forecast, closed) = setup.close_first(Protocol::Tcp, port);
        let Permission::Missing { capability, .. } = forecast.permission else {
            panic!("{forecast:?}")
        };
        assert_eq!(capability, "CAP_NET_ADMIN");
        assert!(matches!(closed, Err(ActionError::Denied("CAP_NET_ADMIN"))), "{closed:?}");
        assert!(!is_free(Protocol::Tcp, port), "nothing was closed");
    });
}

#[test]
fn reused_pid_is_never_signalled() {
    in_private_pid_namespace("", "actions::reuse_pids_role");
}

/// Runs as the first process of a pid namespace, in which the next pid can be chosen.
#[test]
#[ignore = "a role"]
fn reuse_pids_role() {
    if !is_in_role() {
        return;
    }
    in_new_namespace(|| {
        let wanted =
            std::env::var("PORTSCOPE_PID_REUSES").map_or(100, |typed| typed.parse().unwrap());
        let mut setup = ActionSetup::new();
        let (mut reused, mut rounds) = (0, 0);
        while reused < wanted && rounds < 2 * wanted {
            rounds += 1;
            reused += u32::from(is_reused_pid_spared(&mut setup));
        }
        assert_eq!(reused, wanted, "of {rounds} rounds");
        assert!(wanted >= 100, "fewer rounds prove nothing");
    });
}

/// Lets another process get the pid of a holder after the owners were searched for, and asserts that
/// it receives no signal, whether the start time was read before or afterwards. Returns whether it
/// got the pid.
fn is_reused_pid_spared(setup: &mut ActionSetup) -> bool {
    let port = setup.port();
    let listener = OwnedFd::from(listening(ANY4, port, &[]));
    let first = Sleeper::holding(&listener);
    setup.scan();
    let early = process::facts(first.pid()).unwrap().identity;
    drop(first);
    // Until then, a new process may have the same start time: it is counted in ticks.
    assert!(wait_until(Duration::from_secs(5), || ticks() > early.started + 1));
    fs::write("/proc/sys/kernel/ns_last_pid", (early.pid - 1).to_string()).unwrap();
    let innocent = Sleeper::spawn(Command::new("sleep").arg("1000"));
    if innocent.pid() != early.pid {
        return false;
    }
    let inodes: Vec<u32> = setup
        .snapshot
        .on_port(Protocol::Tcp, port)
        .iter()
        .filter_map(|socket| socket.inode)
        .collect();
    let ended = process::end(early, EndSignal::Kill, &inodes);
    assert!(matches!(ended, Err(ActionError::Replaced)), "{:?}", ended.err());
    let facts = setup.read_facts(Protocol::Tcp, port);
    let end = setup.end(&facts, port, EndSignal::Kill);
    let PortAction::End { processes, .. } = &end else { panic!("{end:?}") };
    assert!(processes.iter().any(|late| late.pid == early.pid && *late != early), "{end:?}");
    let results = freeing::perform(&mut setup.actions, &end, Duration::from_secs(5));
    let [StepResult::Refused { error, .. }] = results.as_slice() else { panic!("{results:?}") };
    assert!(matches!(error, ActionError::NotHolder), "{error}");
    let identity = process::facts(innocent.pid()).map(|facts| facts.identity);
    assert_eq!(identity.as_ref(), processes.first(), "it lives");
    true
}

#[test]
fn process_that_has_closed_its_socket_is_not_signalled() {
    in_new_namespace(|| {
        let _alone = processes::alone();
        let mut setup = ActionSetup::new();
        for rounds in 0..20 {
            let port = setup.port();
            let listener = OwnedFd::from(listening(ANY4, port, &[]));
            let script = "read line; exec 2>/dev/null; echo closed; exec sleep 1000";
            let mut holder = Sleeper::spawn(
                Command::new("sh")
                    .args(["-c", script])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(listener),
            );
            let facts = setup.facts(Protocol::Tcp, port);
            let end = setup.end(&facts, port, EndSignal::Term);
            holder.child().stdin.take().unwrap().write_all(b"\n").unwrap();
            let mut line = [0; 7];
            holder.child().stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
            assert_eq!(&line, b"closed\n");
            let results = freeing::perform(&mut setup.actions, &end, Duration::from_secs(5));
            let [StepResult::Refused { error, .. }] = results.as_slice() else {
                panic!("{results:?}")
            };
            assert!(matches!(error, ActionError::NotHolder), "round {rounds}: {error}");
            assert!(holder.child().try_wait().unwrap().is_none(), "round {rounds}: it lives");
        }
    });
}

/// Returns the time since boot in clock ticks of 10 ms, as in /proc/PID/stat.
fn ticks() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 100 + now.tv_nsec as u64 / 10_000_000
}

#[test]
fn reserved_ports_are_merged_and_removed_whatever_the_length_of_the_list() {
    in_new_namespace(|| {
        let single = |port| PortRange::new(port, port).unwrap();
        // About 14 kB, which the kernel takes in four parts.
        let odd: Vec<PortRange> = (30_001..35_000).step_by(2).map(single).collect();
        let result = reserved::change(&ReservedChange::add(odd.clone())).unwrap();
        assert_eq!((result.before.len(), &result.after), (0, &odd));
        assert_eq!(policy::read_reserved().unwrap(), odd);
        reserved::change(&ReservedChange::remove(odd[1..].to_vec())).unwrap();
        assert_eq!(policy::read_reserved().unwrap(), odd[..1]);
        reserved::change(&ReservedChange::remove(odd)).unwrap();
        assert_eq!(policy::read_reserved().unwrap(), []);
    });
}

#[test]
fn concurrent_changes_of_the_reserved_ports_lose_no_entry() {
    in_new_namespace(|| {
        let (threads, each) = (4, 100);
        // A thread starts in the namespace of the thread that starts it.
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    for number in 0..each {
                        let port = 20_000 + (number * threads + thread) * 2;
                        let port = PortRange::new(port, port).unwrap();
                        reserved::change(&ReservedChange::add(vec![port])).unwrap();
                    }
                });
            }
        });
        let listed = policy::read_reserved().unwrap();
        assert_eq!(listed.len(), usize::from(threads * each));
    });
}

#[test]
fn process_of_another_user_needs_cap_kill() {
    let socket = OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let Some(theirs) = Sleeper::of_user(1000, &socket) else {
        return processes::not_tested("no right to start a process of another user");
    };
    let denied = std::thread::spawn(move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::KILL);
        set_capabilities(None, sets).unwrap();
        rustix::thread::set_thread_uid(rustix::thread::Uid::from_raw(1001)).unwrap();
        let facts = process::facts(theirs.pid()).unwrap();
        let refused = process::end(facts.identity, EndSignal::Term, &[]);
        (facts.permission, matches!(refused, Err(ActionError::Denied("CAP_KILL"))), theirs)
    });
    let (permission, is_denied, _theirs) = denied.join().unwrap();
    assert!(matches!(permission, Permission::Missing { capability: "CAP_KILL", .. }));
    assert!(is_denied);
}
