//! Forecasts of actions on simulated machines: who else holds a socket, supervisors, what is not
//! visible. Uses no real sockets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use portscope::{
    domain::{
        Endpoint, Errno, Gap, Holders, Machine, ProcessTable, Protocol, Snapshot, State, Text,
        UnreadHolders, UnreadableProcess,
        action::{
            ActionChoice, ActionFacts, ActionInput, EndSignal, Frees, Permission, PortAction,
            ProcessFacts, ProcessIdentity, Protection, RestartPolicy, Supervisor, TermReaction,
            choices, drain_destination, plan,
        },
        availability::{frees_when, release},
    },
    engine::freeing::FreeSurvey,
    host::{
        Describer as _, Host as _,
        actions::ActionError,
        simulated::{SimulatedHost, SimulatedHostBuilder},
    },
};

const PORT: u16 = 8080;

/// A machine, and what is known about its processes.
struct ForecastCase {
    snapshot: Snapshot,
    processes: ProcessTable,
    facts: ActionFacts,
}

impl ForecastCase {
    /// Every process ends by SIGTERM, and has no supervisor. Sockets were bound by number.
    fn of(builder: SimulatedHostBuilder) -> Self {
        let mut host = builder.build();
        let snapshot = host.snapshot();
        let pids: Vec<u32> = snapshot.pids.clone();
        let facts = |pid: u32| ProcessFacts {
            identity: ProcessIdentity { pid, started: u64::from(pid) },
            reaction: TermReaction::Ends,
            supervisor: Supervisor::None,
            protection: None,
            permission: Permission::Granted,
        };
        let cookies: BTreeSet<u64> = snapshot.sockets.iter().filter_map(|s| s.cookie).collect();
        Self {
            processes: host.describe(&pids).into_iter().collect(),
            facts: ActionFacts {
                processes: pids.into_iter().map(|pid| (pid, facts(pid))).collect(),
                by_number: Some(cookies),
                may_close: Permission::Granted,
                may_reserve: Permission::Granted,
                own_pid: 4242,
            },
            snapshot,
        }
    }

    fn input(&self) -> ActionInput<'_> {
        let Self { snapshot, processes, facts } = self;
        ActionInput { snapshot, processes, facts, protocol: Protocol::Tcp, port: PORT }
    }

    fn choices(&self) -> Vec<ActionChoice> {
        choices(&self.input())
    }

    /// Returns the first choice, which ends the processes by SIGTERM.
    fn end(&self) -> ActionChoice {
        let first = self.choices().into_iter().next().expect("the port is in use");
        let signal = EndSignal::Term;
        assert!(matches!(&first.action, PortAction::End { signal: of, .. } if *of == signal));
        first
    }
}

fn listener(pids: &[u32]) -> SimulatedHostBuilder {
    SimulatedHost::builder()
        .process(1, "systemd", "/sbin/init", 0)
        .process(20, "node", "node app.js", 1000)
        .process(21, "node", "node app.js", 1000)
        .tcp(([0, 0, 0, 0], PORT), State::Listen)
        .owned_by(pids)
}

#[test]
fn end_of_the_only_holder_frees_the_port() {
    let choice = ForecastCase::of(listener(&[20])).end();
    assert_eq!(choice.forecast.frees, Frees::Yes);
    assert_eq!(choice.forecast.because, "no other process holds the socket");
    assert_eq!(choice.forecast.command, "kill -TERM 20");
    assert!(choice.forecast.is_useful());
}

#[test]
fn all_processes_that_share_a_socket_are_ended_together() {
    let case = ForecastCase::of(listener(&[20, 21]));
    assert_eq!(case.end().forecast.command, "kill -TERM 20 21");
    assert_eq!(case.end().forecast.frees, Frees::Yes);
}

#[test]
fn socket_activation_keeps_the_port_and_process_1_is_never_ended() {
    let case = ForecastCase::of(listener(&[1, 20]));
    let choice = case.end();
    assert_eq!(choice.forecast.command, "kill -TERM 20");
    assert_eq!(choice.forecast.frees, Frees::No);
    assert_eq!(choice.forecast.other_holders, [1]);
    assert!(choice.forecast.because.contains("socket activation"), "{choice:?}");
    assert!(choice.forecast.because.contains("(systemctl list-sockets)"), "{choice:?}");
    let plan = plan(&case.input(), &case.choices(), EndSignal::Term);
    assert_eq!((plan.action, plan.frees), (None, Frees::No));
}

#[test]
fn protected_processes_are_never_ended_and_the_reason_is_given() {
    let refusal = |case: &ForecastCase| {
        let choices = case.choices();
        assert!(!choices.iter().any(|choice| matches!(choice.action, PortAction::End { .. })));
        let plan = plan(&case.input(), &choices, EndSignal::Kill);
        assert_eq!((plan.action, plan.frees), (None, Frees::No));
        plan.refusal.unwrap()
    };
    let words = refusal(&ForecastCase::of(listener(&[1])));
    assert!(words.contains("(socket activation): stop its socket unit"), "{words}");

    let words = refusal(&ForecastCase::of(listener(&[1]).process(1, "tini", "tini -- x", 0)));
    assert_eq!(words, "tini[1] holds a socket on it, and process 1 is never ended");

    let mut case = ForecastCase::of(listener(&[20]));
    case.facts.processes.get_mut(&20).unwrap().protection = Some(Protection::UserManager);
    let words = refusal(&case);
    assert!(words.contains("systemctl --user list-sockets"), "{words}");

    case.facts.processes.get_mut(&20).unwrap().protection = Some(Protection::FirstOfNamespace);
    let words = refusal(&case);
    assert!(words.contains("is the first process of a container"), "{words}");

    // Another holder is ended, but that does not free the port.
    let mut case = ForecastCase::of(listener(&[20, 21]));
    case.facts.processes.get_mut(&20).unwrap().protection = Some(Protection::UserManager);
    let choice = case.end();
    assert_eq!(
        (choice.forecast.command.as_str(), choice.forecast.frees),
        ("kill -TERM 21", Frees::No)
    );
    assert!(choice.forecast.because.contains("service manager"), "{choice:?}");
}

/// A port with closed connections only: TIME-WAIT, FIN-WAIT-1 with data, and one that a process has
/// half closed.
fn closed_connections(is_half_closed: bool) -> ForecastCase {
    let mut builder = SimulatedHost::builder()
        .process(22, "node", "node app.js", 1000)
        .tcp(([10, 0, 0, 7], PORT), State::TimeWait)
        .connected_to(([10, 0, 0, 5], 1001))
        .tcp(([10, 0, 0, 7], PORT), State::FinWait2)
        .connected_to(([10, 0, 0, 5], 1002))
        .departed_from(&[22])
        .tcp(([10, 0, 0, 7], PORT), State::FinWait1)
        .connected_to(([10, 0, 0, 5], 1003))
        .departed_from(&[22])
        .each(|socket| socket.send_queue = 5001);
    if is_half_closed {
        builder = builder
            .tcp(([10, 0, 0, 7], PORT), State::FinWait2)
            .connected_to(([10, 0, 0, 5], 1004))
            .owned_by(&[22]);
    }
    let mut case = ForecastCase::of(builder);
    let kernel = Text::scrub("6.18.0");
    case.snapshot.machine = Arc::new(Machine { kernel, ..(*case.snapshot.machine).clone() });
    case
}

#[test]
fn undelivered_data_is_only_given_up_with_sigkill() {
    let case = closed_connections(false);
    let choices = case.choices();
    let drains: Vec<&ActionChoice> =
        choices.iter().filter(|choice| matches!(choice.action, PortAction::Drain { .. })).collect();
    let [safe, all] = drains[..] else { panic!("{drains:?}") };
    assert_eq!((safe.forecast.frees, safe.forecast.program_sees.as_deref()), (Frees::No, None));
    assert_eq!(all.forecast.frees, Frees::Yes);
    let lost = all.forecast.program_sees.as_deref().unwrap();
    assert!(lost.contains("may not receive 5,000 bytes of 1 connection"), "{lost}");
    assert!(all.action.title().ends_with("also with undelivered data"));

    let term = plan(&case.input(), &choices, EndSignal::Term);
    assert_eq!((&term.action, term.frees), (&None, Frees::No));
    let refusal = term.refusal.unwrap();
    assert!(refusal.contains("--hard") && refusal.contains("5,000 bytes"), "{refusal}");
    let kill = plan(&case.input(), &choices, EndSignal::Kill);
    assert_eq!((kill.action.as_ref(), kill.frees), (Some(&all.action), Frees::Yes));
    assert_eq!(drain_destination(&case.snapshot, ([10, 0, 0, 5], 1003).into()), None);
}

#[test]
fn end_that_leaves_undelivered_data_frees_the_port_at_an_unknown_time() {
    for (send_queue, term) in [(0, Frees::Yes), (1, Frees::Unknown)] {
        let builder = listener(&[20])
            .tcp(([10, 0, 0, 7], PORT), State::Established)
            .connected_to(([10, 0, 0, 5], 1003))
            .owned_by(&[20])
            .each(|socket| socket.send_queue = send_queue);
        let mut case = ForecastCase::of(builder);
        let kernel = Text::scrub("6.18.0");
        case.snapshot.machine = Arc::new(Machine { kernel, ..(*case.snapshot.machine).clone() });
        for (signal, frees) in [(EndSignal::Term, term), (EndSignal::Kill, Frees::Yes)] {
            let plan = plan(&case.input(), &case.choices(), signal);
            assert_eq!((plan.then_drain, plan.frees), (true, frees), "{send_queue} {signal:?}");
        }
    }
}

#[test]
fn command_of_a_drain_selects_no_socket_of_a_process() {
    let command = |case: &ForecastCase| {
        let choices = case.choices();
        let drain = choices.iter().find(|choice| matches!(choice.action, PortAction::Drain { .. }));
        drain.unwrap().forecast.command.clone()
    };
    assert_eq!(
        command(&closed_connections(false)),
        "ss -K -t state fin-wait-2 state time-wait 'sport = :8080'"
    );
    assert_eq!(
        command(&closed_connections(true)),
        "ss -K -t state time-wait 'sport = :8080'; \
         ss -K -t state fin-wait-2 src 10.0.0.7:8080 dst 10.0.0.5:1002"
    );
}

#[test]
fn parent_inside_the_service_may_start_the_process_again() {
    let mut case = ForecastCase::of(listener(&[20]));
    case.facts.processes.get_mut(&20).unwrap().supervisor = Supervisor::Service {
        unit: Text::scrub("pm2.service"),
        is_user: false,
        restart: Some(RestartPolicy::No),
        parent: Some(21),
    };
    let words = case.end().forecast.restart.unwrap();
    assert!(
        words.starts_with("its parent pid 21 may restart the process; systemd does not"),
        "{words}"
    );
    let mut case = ForecastCase::of(listener(&[20, 21]));
    case.facts.processes.get_mut(&20).unwrap().supervisor = Supervisor::Service {
        unit: Text::scrub("pm2.service"),
        is_user: false,
        restart: Some(RestartPolicy::No),
        parent: Some(21),
    };
    let words = case.end().forecast.restart.unwrap();
    assert!(!words.contains("parent"), "it is ended as well: {words}");
}

#[test]
fn hidden_holder_makes_the_effect_unknown() {
    let builder = listener(&[20]).tcp(([127, 0, 0, 1], PORT), State::Bound).hidden();
    assert_eq!(ForecastCase::of(builder).end().forecast.frees, Frees::Unknown);
}

#[test]
fn unread_process_that_may_hold_the_socket_makes_the_effect_unknown() {
    let unreadable = vec![UnreadableProcess { pid: 1, uid: Some(0) }];
    let unread = UnreadHolders::of(&Holders { unreadable, ..Holders::default() });
    let words = |case: &ForecastCase| {
        let release = release(&case.snapshot, &case.processes, Protocol::Tcp, PORT).unwrap();
        let long = frees_when(&case.snapshot, &case.processes, Protocol::Tcp, PORT).unwrap();
        (release, long)
    };
    // The user of the process created the socket.
    let mut case = ForecastCase::of(listener(&[20]));
    case.snapshot.unread_holders = unread.clone();
    let choice = case.end();
    assert_eq!(choice.forecast.frees, Frees::Yes);
    assert_eq!(choice.forecast.because, "no other visible process holds the socket");
    assert!(words(&case).0.words.ends_with("the port is then free at once."));

    // Root created it: systemd (socket activation), or a parent that keeps its privileges.
    let mut case = ForecastCase::of(listener(&[20]).each(|socket| socket.uid = Some(0)));
    case.snapshot.unread_holders = unread;
    let choice = case.end();
    assert_eq!(choice.forecast.frees, Frees::Unknown);
    assert_eq!(choice.forecast.because, "a process that is not visible here may hold it, too");
    let plan = plan(&case.input(), &case.choices(), EndSignal::Term);
    assert_eq!((plan.action.as_ref(), plan.frees), (Some(&choice.action), Frees::Unknown));
    let (release, long) = words(&case);
    assert_eq!(release.commands, [""; 0]);
    for words in [release.words, long] {
        assert!(words.contains("A process that is not visible here may hold"), "{words}");
        assert!(!words.contains("at once."), "{words}");
    }
}

#[test]
fn closed_connection_keeps_the_port_until_the_peer_acknowledges() {
    for (state, send_queue, receive_queue, frees) in [
        (State::CloseWait, 0, 1, Frees::Yes),
        (State::CloseWait, 7, 1, Frees::Unknown),
        // Unread data: close() resets the connection.
        (State::CloseWait, 7, 2, Frees::Yes),
        (State::LastAck, 1, 0, Frees::Unknown),
        (State::LastAck, 1, 1, Frees::Unknown),
        (State::LastAck, 1, 2, Frees::Yes),
    ] {
        let builder = SimulatedHost::builder()
            .process(20, "node", "node app.js", 1000)
            .tcp(([10, 0, 0, 7], PORT), state)
            .connected_to(([10, 0, 0, 5], 1003))
            .owned_by(&[20])
            .each(|socket| {
                (socket.send_queue, socket.receive_queue) = (send_queue, receive_queue);
            });
        let case = ForecastCase::of(builder);
        assert_eq!(case.end().forecast.frees, frees, "{state} {send_queue} {receive_queue}");
        let release = release(&case.snapshot, &case.processes, Protocol::Tcp, PORT).unwrap();
        let is_sure = !case.snapshot.sockets[0].waits_for_acknowledgement();
        assert_eq!(release.words.contains("free at once"), is_sure, "{}", release.words);
    }
}

#[test]
fn wait_frees_the_port_only_if_all_sockets_are_listed() {
    let of_wait = |case: &ForecastCase| {
        let choices = case.choices();
        let wait = choices.iter().find(|choice| choice.action == PortAction::Wait).unwrap();
        wait.forecast.frees
    };
    let builder = || {
        SimulatedHost::builder()
            .tcp(([10, 0, 0, 7], PORT), State::TimeWait)
            .connected_to(([10, 0, 0, 5], 1001))
    };
    assert_eq!(of_wait(&ForecastCase::of(builder())), Frees::Yes);
    let gap = Gap::BoundInactiveUnlisted { assumed: false };
    assert_eq!(of_wait(&ForecastCase::of(builder().gap(gap))), Frees::Unknown);
}

#[test]
fn connection_in_the_queue_of_an_unlisted_listener_makes_the_effect_unknown() {
    let builder = SimulatedHost::builder()
        .process(20, "node", "node app.js", 1000)
        .tcp(([127, 0, 0, 1], PORT), State::Bound)
        .owned_by(&[20])
        .tcp(([10, 0, 0, 7], PORT), State::SynReceived)
        .connected_to(([10, 0, 0, 5], 1001))
        .each(|socket| socket.inode = None);
    let case = ForecastCase::of(builder);
    let forecast = case.end().forecast;
    assert_eq!(forecast.frees, Frees::Unknown, "{forecast:?}");
}

#[test]
fn reservation_is_offered_only_if_the_present_list_is_known() {
    let ephemeral = portscope::domain::Ephemeral::new(
        portscope::domain::PortRange::new(8000, 9000).unwrap(),
        Vec::new(),
    );
    let is_offered = |builder: SimulatedHostBuilder| {
        let case = ForecastCase::of(builder);
        case.choices().iter().any(|choice| choice.action == PortAction::Reserve)
    };
    assert!(is_offered(listener(&[20]).ephemeral(ephemeral.clone())));
    let sysctl = Text::scrub(Gap::RESERVED);
    let gap = Gap::PolicyAssumed { sysctl, error: Errno::EACCES };
    assert!(!is_offered(listener(&[20]).ephemeral(ephemeral).gap(gap)));
}

#[test]
fn restart_of_a_service_depends_on_its_policy_and_the_signal() {
    for (policy, term, kill) in [
        (RestartPolicy::No, "does not start", "does not start"),
        (RestartPolicy::Always, "starts web.service again (", "starts web.service again ("),
        (RestartPolicy::OnFailure, "depending on its exit code", "starts web.service again ("),
        (RestartPolicy::OnAbnormal, "does not start", "starts web.service again ("),
        (RestartPolicy::OnSuccess, "depending on its exit code", "does not start"),
        (RestartPolicy::OnWatchdog, "does not start", "does not start"),
    ] {
        let mut case = ForecastCase::of(listener(&[20]));
        let facts = case.facts.processes.get_mut(&20).unwrap();
        facts.supervisor = Supervisor::Service {
            unit: Text::scrub("web.service"),
            is_user: false,
            restart: Some(policy),
            parent: None,
        };
        let restart = |number: usize| case.choices()[number].forecast.restart.clone().unwrap();
        assert!(restart(0).contains(term), "{policy:?}: {}", restart(0));
        assert!(restart(1).contains(kill), "{policy:?}: {}", restart(1));
    }
}

#[test]
fn process_that_does_not_end_by_sigterm_keeps_the_port() {
    for (reaction, frees) in [
        (TermReaction::Ends, Frees::Yes),
        (TermReaction::Handles, Frees::Yes),
        (TermReaction::Ignores, Frees::No),
        (TermReaction::IsStopped, Frees::No),
        (TermReaction::Blocks, Frees::Unknown),
        (TermReaction::Unknown, Frees::Unknown),
    ] {
        let mut case = ForecastCase::of(listener(&[20]));
        case.facts.processes.get_mut(&20).unwrap().reaction = reaction;
        let choices = case.choices();
        assert_eq!(choices[0].forecast.frees, frees, "{reaction:?}");
        assert_eq!(choices[1].forecast.frees, Frees::Yes, "SIGKILL, {reaction:?}");
    }
}

#[test]
fn missing_capability_makes_an_action_useless_but_not_its_forecast() {
    let mut case = ForecastCase::of(listener(&[20]));
    let missing = Permission::Missing { capability: "CAP_KILL", what: "to signal" };
    case.facts.processes.get_mut(&20).unwrap().permission = missing;
    let choice = case.end();
    assert_eq!(choice.forecast.frees, Frees::Yes);
    assert!(!choice.forecast.is_useful());
    let plan = plan(&case.input(), &case.choices(), EndSignal::Term);
    assert_eq!(plan.refusal.as_deref(), Some("needs CAP_KILL to signal"));
}

#[test]
fn time_wait_sockets_of_a_destination_are_drained_together() {
    let remote = Endpoint::from(([10, 0, 0, 5], 443));
    let mut builder = SimulatedHost::builder();
    for port in 40_000..40_010 {
        builder = builder.tcp(([10, 0, 0, 7], port), State::TimeWait).connected_to(remote);
    }
    let case = ForecastCase::of(builder);
    let Some(PortAction::Drain { sockets, destination }) =
        drain_destination(&case.snapshot, remote)
    else {
        panic!("there are TIME-WAIT sockets")
    };
    assert_eq!((sockets.len(), destination), (10, Some(remote)));
    let other = Endpoint::from(([10, 0, 0, 6], 443));
    assert_eq!(drain_destination(&case.snapshot, other), None);
}

#[test]
fn simulated_machine_says_why_it_cannot_be_changed() {
    let host = listener(&[20]).build();
    let survey =
        FreeSurvey::take(&host, PORT, &[Protocol::Tcp, Protocol::Udp], EndSignal::Term).unwrap();
    let side = &survey.sides[0];
    assert_eq!(side.facts.may_close, Permission::Unsupported("the machine is simulated"));
    assert_eq!(side.facts.processes, BTreeMap::new());
    assert_eq!(side.plan.as_ref().unwrap().action, None);
    assert!(survey.sides[1].plan.is_none(), "no UDP socket is on the port");
    let mut actions = host.actions().unwrap();
    let process = ProcessIdentity { pid: 20, started: 20 };
    let refused = actions.end(process, EndSignal::Kill, &[]).err();
    assert!(matches!(refused, Some(ActionError::Unsupported("the machine is simulated"))));
}
