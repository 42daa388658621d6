//! The steps of an action and the report of `free`, with actions that a test invents. Ends no process
//! and closes no socket.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        Errno, Gap, LocalAddress, Machine, PortRange, Protocol, Protocols, Snapshot, Socket, State,
        Table, Text,
        action::{
            ActionFacts, EndSignal, FreePlan, Frees, Permission, PortAction, ProcessFacts,
            ProcessIdentity, ReservedChange, ReservedPorts, Supervisor, TermReaction,
        },
        filter::Comparison,
        port::LINUX_DEFAULT,
        wait_condition::WaitCondition,
    },
    engine::{
        FreeNews, FreeRequest,
        freeing::{FreeSurvey, StepResult, free_ports, offer, perform},
    },
    host::{
        Describer, Host, HostBinder, HostError, Scanner,
        actions::{ActionError, EndingProcess, HostActions},
        simulated::SimulatedHost,
    },
    report::{
        Page, PageStyle, Scan,
        free::{FreeReport, FreeSide, json, text},
        reserve::{self, Reservation},
    },
};

/// The sysctl of the ephemeral range.
const RANGE: &str = "net.ipv4.ip_local_port_range";

const TCP: Protocol = Protocol::Tcp;

/// Actions whose results depend only on the pid or the port.
#[derive(Clone, Copy)]
struct InventedActions;

/// Ends at this time.
struct EndsAt(Instant);

impl EndingProcess for EndsAt {
    fn wait(&mut self, timeout: Duration) -> bool {
        let left = self.0.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(timeout));
        Instant::now() >= self.0
    }
}

impl HostActions for InventedActions {
    fn facts(&mut self, pids: &BTreeSet<u32>, _: Protocol, _: u16) -> ActionFacts {
        let facts = |&pid: &u32| ProcessFacts {
            identity: ProcessIdentity { pid, started: 1 },
            reaction: TermReaction::Ends,
            supervisor: Supervisor::None,
            protection: None,
            permission: Permission::Granted,
        };
        ActionFacts {
            processes: pids.iter().map(|pid| (*pid, facts(pid))).collect::<BTreeMap<_, _>>(),
            by_number: Some(BTreeSet::new()),
            may_close: Permission::Granted,
            may_reserve: Permission::Granted,
            own_pid: 4242,
        }
    }

    fn may_reserve(&self) -> Permission {
        Permission::Granted
    }

    /// A process ends after as many milliseconds as its pid says. One with an even pid above 1000
    /// has ended.
    fn end(
        &mut self,
        process: ProcessIdentity,
        _: EndSignal,
        inodes: &[u32],
    ) -> Result<Box<dyn EndingProcess>, ActionError> {
        match process.pid {
            1001 => Err(ActionError::NotHolder),
            1002 => Err(ActionError::Ended),
            1004 => Err(ActionError::Replaced),
            _ if inodes.is_empty() => Err(ActionError::NotHolder),
            pid => Ok(Box::new(EndsAt(Instant::now() + Duration::from_millis(pid.into())))),
        }
    }

    fn close(&mut self, socket: &Socket) -> Result<(), ActionError> {
        match socket.local.port {
            1..10 => Ok(()),
            10..20 if socket.state == State::Bound => {
                Err(ActionError::Unsupported("the kernel closes no socket in BOUND"))
            }
            10..20 => Err(ActionError::SocketGone),
            20..30 => Err(ActionError::Denied("CAP_NET_ADMIN")),
            _ => Err(ActionError::failed("close the socket", Errno::ENOMEM)),
        }
    }

    fn reserve(&mut self, _: &ReservedChange) -> Result<ReservedPorts, ActionError> {
        Err(ActionError::Contended)
    }
}

/// A machine with invented actions, of which a number of scanners can be created.
struct LosingHost {
    simulated: SimulatedHost,
    scanners: AtomicU32,
}

impl Host for LosingHost {
    fn machine(&self) -> Arc<Machine> {
        self.simulated.machine()
    }

    fn scanner(&self) -> Result<Box<dyn Scanner>, HostError> {
        let left = self
            .scanners
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| HostError::new("open a netlink socket", Errno::EMFILE))?;
        self.simulated.scanner()
    }

    fn describer(&self) -> Box<dyn Describer> {
        self.simulated.describer()
    }

    fn binder(
        &self,
        protocols: Protocols,
        address: Option<LocalAddress>,
    ) -> Result<Box<dyn HostBinder>, HostError> {
        self.simulated.binder(protocols, address)
    }

    fn actions(&self) -> Result<Box<dyn HostActions>, HostError> {
        Ok(Box::new(InventedActions))
    }
}

fn end(pids: &[u32]) -> PortAction {
    let processes = pids.iter().map(|&pid| ProcessIdentity { pid, started: 1 }).collect();
    PortAction::End { processes, signal: EndSignal::Term, inodes: vec![7] }
}

#[test]
fn each_process_has_its_own_time() {
    let results = perform(&mut InventedActions, &end(&[400, 1, 900]), Duration::from_millis(600));
    let after: Vec<Option<Duration>> = results
        .iter()
        .map(|result| match result {
            StepResult::Signalled { after, .. } => *after,
            other => panic!("{other:?}"),
        })
        .collect();
    let [Some(slow), Some(fast), None] = after[..] else { panic!("{after:?}") };
    assert!(fast < Duration::from_millis(200), "{fast:?}");
    assert!(slow >= Duration::from_millis(400), "{slow:?}");
}

#[test]
fn process_that_had_ended_before_counts_as_done() {
    let results = perform(&mut InventedActions, &end(&[1002, 1004, 1001]), Duration::ZERO);
    let done: Vec<bool> = results.iter().map(StepResult::is_done).collect();
    assert_eq!(done, [true, true, false]);
    let words = |number: usize| results[number].words(&[].into_iter().collect());
    assert!(words(0).ends_with("had ended before"), "{}", words(0));
    assert_eq!(
        words(2),
        "could not end pid 1001: the process no longer holds a socket on the port"
    );
}

#[test]
fn closed_gone_and_refused_sockets_are_counted_by_reason() {
    let socket = |port: u16| Socket::new(TCP, State::TimeWait, ([10, 0, 0, 7], port).into());
    let ports = (1..5).chain(10..13).chain(20..22).chain(30..31);
    let mut sockets: Vec<Socket> = ports.map(socket).collect();
    sockets.push(Socket { state: State::Bound, ..socket(11) });
    let drain = PortAction::Drain { sockets, destination: None };
    let results = perform(&mut InventedActions, &drain, Duration::ZERO);
    let words: Vec<String> =
        results.iter().map(|result| result.words(&[].into_iter().collect())).collect();
    assert_eq!(words[0], "closed 4 sockets; 3 had ended before");
    assert_eq!(words[1], "could not close 2 sockets: permission denied: needs CAP_NET_ADMIN");
    assert!(words[2].starts_with("could not close the socket in TIME-WAIT on 10.0.0.7:30: "));
    assert!(words[2].contains("ENOMEM"), "{words:?}");
    assert!(words[3].contains("in BOUND on 10.0.0.7:11: not possible"), "{words:?}");
    assert_eq!(words.len(), 4);
}

fn losing(scanners: u32) -> LosingHost {
    let simulated = SimulatedHost::builder()
        .process(5, "node", "node app.js", 1000)
        .tcp(([0, 0, 0, 0], 8080), State::Listen)
        .owned_by(&[5])
        .build();
    LosingHost { simulated, scanners: AtomicU32::new(scanners) }
}

#[test]
fn error_after_an_action_does_not_hide_what_was_done() {
    let host = losing(0);
    let results = free_ports(&host, &[(TCP, 8080)], &end(&[5]), false, Duration::from_secs(5));
    let results = results.unwrap();
    assert!(matches!(results[..], [StepResult::Signalled { pid: 5, after: Some(_) }]));

    let sockets: Arc<[Socket]> = host.simulated.snapshot().on_port(TCP, 8080).into();
    let request = |choice| FreeRequest { number: 1, sockets: Arc::clone(&sockets), choice };
    let offer = offer::answer(&losing(1), &request(None)).unwrap();
    let choice = offer.choices.first().cloned();
    // The scanner of the first look is the last one.
    let done = offer::answer(&losing(1), &request(choice.map(Box::new))).unwrap();
    let FreeNews::Done { steps, is_done: false } = &done.news else { panic!("{:?}", done.news) };
    assert!(steps[0].as_str().starts_with("node[5] ended after"), "{steps:?}");
    assert!(steps[1].as_str().starts_with("could not look at the sockets again"), "{steps:?}");
}

/// Returns the report of `free 8080` as text and JSON, and whether it counts as free.
fn report(host: &SimulatedHost) -> (String, serde_json::Value, bool) {
    let survey = FreeSurvey::take(host, 8080, &[Protocol::Udp], EndSignal::Term).unwrap();
    let side = &survey.sides[0];
    let side = FreeSide {
        protocol: side.protocol,
        choices: &side.choices,
        plan: side.plan.as_ref(),
        may_be_unlisted: side.may_be_unlisted,
        outcome: None,
    };
    let scan = Scan { snapshot: &survey.snapshot, processes: &survey.processes };
    let report = FreeReport { scan, port: 8080, sides: vec![side] };
    let (mut words, mut document) = (Vec::new(), Vec::new());
    text::write(&report, &mut Page::new(&mut words, PageStyle::default())).unwrap();
    json::write(&report, &mut document).unwrap();
    let document = serde_json::from_slice(&document).unwrap();
    (String::from_utf8(words).unwrap(), document, report.sides[0].is_freed())
}

#[test]
fn port_is_not_reported_as_free_if_a_socket_on_it_may_be_unlisted() {
    let (words, document, is_freed) = report(&SimulatedHost::builder().build());
    assert_eq!((words.as_str(), is_freed), ("UDP 8080 is not in use: nothing to do.\n", true));
    assert_eq!(document["protocols"][0]["in_use"], false);

    let gap = Gap::TableRefused { table: Table::Udp6, error: Errno::EACCES };
    let (words, document, is_freed) = report(&SimulatedHost::builder().gap(gap).build());
    let expected = "No socket is listed on UDP 8080, but an unlisted one may use it.\n";
    assert_eq!((words.as_str(), is_freed), (expected, false));
    assert_eq!(document["protocols"][0]["in_use"], serde_json::Value::Null);
}

#[test]
fn port_whose_end_is_unknown_is_not_reported_as_freed() {
    for (frees, expected) in [(Frees::Yes, true), (Frees::Unknown, false), (Frees::No, false)] {
        let action = Some(PortAction::Wait);
        let plan = FreePlan { action, then_drain: false, frees, refusal: None };
        let side = FreeSide {
            protocol: TCP,
            choices: &[],
            plan: Some(&plan),
            may_be_unlisted: false,
            outcome: None,
        };
        assert_eq!(side.is_freed(), expected, "{frees:?}");
    }
}

#[test]
fn command_of_reserve_keeps_long_lists_and_is_left_out_for_an_assumed_one() {
    let report = |before: Vec<PortRange>, gaps: &[Gap]| {
        let change = ReservedChange::add(vec![PortRange::new(8080, 8080).unwrap()]);
        let ports = ReservedPorts { after: change.apply(&before), before };
        let (change, ports) = (&change, &ports);
        let (is_made, refusal, range) = (false, None, LINUX_DEFAULT);
        let reservation = Reservation { change, ports, is_made, refusal, range, gaps };
        let (mut text, mut document) = (Vec::new(), Vec::new());
        reserve::write_text(&reservation, &mut text).unwrap();
        let machine = SimulatedHost::builder().build().machine();
        reserve::write_json(&reservation, &machine, &mut document).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        (String::from_utf8(text).unwrap(), document)
    };
    let (text, document) = report(Vec::new(), &[]);
    assert!(text.contains("    $ sysctl -w net.ipv4.ip_local_reserved_ports=8080\n"), "{text}");
    assert!(text.ends_with(":\n    net.ipv4.ip_local_reserved_ports = 8080\n"), "{text}");
    assert_eq!(document["sysctl_line"], "net.ipv4.ip_local_reserved_ports = 8080");

    // sysctl(8) would write 4,095 bytes of it.
    let each = (0..800).map(|i| 20_000 + 2 * i);
    let long = each.map(|port| PortRange::new(port, port).unwrap()).collect();
    let (text, document) = report(long, &[]);
    assert!(text.contains("    $ echo 8080,20000,"), "{text}");
    assert!(!text.contains("sysctl -w") && !text.contains("put this line"), "{text}");
    assert!(document["command"].as_str().unwrap().starts_with("echo "), "{document}");
    assert!(document["sysctl_line"].is_null(), "{document}");

    let sysctl = Text::scrub(Gap::RESERVED);
    let (text, document) =
        report(Vec::new(), &[Gap::PolicyAssumed { sysctl, error: Errno::EACCES }]);
    assert!(!text.contains('$') && !text.contains("put this line"), "{text}");
    assert!(document["command"].is_null() && document["sysctl_line"].is_null(), "{document}");
}

#[test]
fn number_of_available_ports_is_unknown_if_a_table_is_missing() {
    let met = |gap: Option<Gap>, comparison, ports| {
        let mut snapshot: Snapshot = SimulatedHost::builder().build().snapshot();
        snapshot.gaps.extend(gap);
        WaitCondition::Available { protocol: TCP, comparison, ports }.is_met(&snapshot)
    };
    let (more, less) = (Comparison::Greater, Comparison::Less);
    assert!(met(None, more, 5) && !met(None, less, 5) && met(None, less, 65_536));
    let refused = Gap::TableRefused { table: Table::Tcp6, error: Errno::EACCES };
    assert!(!met(Some(refused.clone()), more, 5), "there may be more sockets");
    assert!(!met(Some(refused), less, 65_536), "the number is unknown");
    let of_udp = Gap::TableRefused { table: Table::Udp4, error: Errno::EACCES };
    assert!(met(Some(of_udp), more, 5));
    let assumed = Gap::PolicyAssumed { sysctl: Text::scrub(RANGE), error: Errno::EACCES };
    assert!(!met(Some(assumed.clone()), more, 5) && !met(Some(assumed), less, 65_536));
}
