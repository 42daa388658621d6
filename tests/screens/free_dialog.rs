//! The dialog that frees ports: its frames, and what its keys ask for. Answers are made here; nothing
//! is changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use portscope::{
    app::{Context, Effect, Event, Key, Overlay},
    domain::{
        ProcessTable, Protocol, State, Text,
        action::{
            ActionFacts, ActionInput, Permission, PortAction, ProcessFacts, ProcessIdentity,
            RestartPolicy, Supervisor, TermReaction, choices_for,
        },
    },
    engine::{FreeNews, FreeOffer, FreeRequest, Report, Request, message::OfferedPort},
    host::{Host, simulated::SimulatedHost},
    view::{self, copied},
};

use crate::{
    session::{Session, ascii, dark, keep_ansi, light, sixteen, styles, text},
    snapshots::assert_golden,
    sockets_session::machine,
};
use portscope::view::Theme;

/// Returns what the engine would answer about the first socket of this machine on a port.
fn offer(host: &SimulatedHost, port: u16, permission: &Permission) -> FreeOffer {
    let snapshot = host.snapshot();
    let processes: ProcessTable = host.describer().describe(&snapshot.pids).into_iter().collect();
    let facts = |&pid: &u32| ProcessFacts {
        identity: ProcessIdentity { pid, started: u64::from(pid) },
        reaction: TermReaction::Handles,
        supervisor: Supervisor::Service {
            unit: Text::scrub("nginx.service"),
            is_user: false,
            restart: Some(RestartPolicy::OnFailure),
            parent: None,
        },
        protection: None,
        permission: permission.clone(),
    };
    let cookies: BTreeSet<u64> = snapshot.sockets.iter().filter_map(|s| s.cookie).collect();
    let facts = ActionFacts {
        processes: snapshot.pids.iter().map(|pid| (*pid, facts(pid))).collect::<BTreeMap<_, _>>(),
        by_number: Some(cookies),
        may_close: permission.clone(),
        may_reserve: Permission::Granted,
        own_pid: 4242,
    };
    let protocol = Protocol::Tcp;
    let input =
        ActionInput { snapshot: &snapshot, processes: &processes, facts: &facts, protocol, port };
    let sockets = &snapshot.on_port(protocol, port)[..1];
    let pids = snapshot.owner(&sockets[0]).pids();
    FreeOffer {
        ports: vec![OfferedPort {
            protocol,
            port,
            sockets: 1,
            example: Some((sockets[0].state, None)),
            may_be_unlisted: false,
        }],
        holders: pids.iter().filter_map(|&pid| processes.get(pid).cloned()).collect(),
        choices: choices_for(&[input], sockets),
        news: FreeNews::None,
    }
}

/// The dialog about the listener on port 80, without an answer.
fn opened(theme: Theme, (columns, rows): (u16, u16)) -> Session {
    Session::of(&machine(), theme, columns, rows).press("3/:80 listen\nx")
}

fn answered(session: &mut Session, number: u64, offer: FreeOffer) {
    session.update(Event::Report(Report::Free { number, offer: Ok(Box::new(offer)) }));
    session.app.frame_drawn(view::visible_choices(&session.app));
}

#[test]
fn what_does_not_fit_is_not_done() {
    let mut session = offered(dark(), (80, 6));
    assert!(requests(&mut session, Key::Char('y')).is_empty());
    session.resize((80, 24));
    session.app.frame_drawn(view::visible_choices(&session.app));
    assert!(!requests(&mut session, Key::Char('y')).is_empty());
}

/// The dialog about the listener on port 80, with its choices.
fn offered(theme: Theme, size: (u16, u16)) -> Session {
    let mut session = opened(theme, size);
    answered(&mut session, 1, offer(&machine(), 80, &Permission::Granted));
    session
}

fn requests(session: &mut Session, key: Key) -> Vec<Effect> {
    session.app.update(session.now, Event::Key(key))
}

fn done(is_free: bool) -> FreeOffer {
    let mut offer = offer(&machine(), 80, &Permission::Granted);
    let step = if is_free {
        "nginx[812] ended after 210 ms"
    } else {
        "nginx[812] received the signal and has not ended"
    };
    offer.news = FreeNews::Done { steps: vec![Text::scrub(step)], is_done: is_free };
    if is_free {
        (offer.ports[0].sockets, offer.ports[0].example) = (0, None);
        (offer.choices, offer.holders) = (Vec::new(), Vec::new());
    } else {
        offer.ports[0].example = Some((State::Listen, Some(Text::scrub("nginx[812]"))));
    }
    offer
}

#[test]
fn the_dialog_at_each_size() {
    for size in [(80, 20), (80, 24), (100, 30), (120, 40), (200, 60)] {
        let mut session = offered(dark(), size);
        session = session.press("2");
        let buffer = session.draw();
        let name = format!("free-choices-{}x{}", size.0, size.1);
        keep_ansi(&name, &buffer);
        assert_golden(&format!("{name}.text"), &text(&buffer));
        if size == (80, 24) {
            assert_golden(&format!("{name}.style"), &styles(&buffer));
        }
    }
}

#[test]
fn the_dialog_before_and_after_an_action() {
    let size = (80, 24);
    let frame = |name: &str, session: &Session| {
        let buffer = session.draw();
        keep_ansi(name, &buffer);
        assert_golden(&format!("{name}-80x24.text"), &text(&buffer));
    };
    frame("free-waiting", &opened(dark(), size));
    for (name, is_free) in [("free-done", true), ("free-not-done", false)] {
        let mut session = offered(dark(), size).press("y");
        answered(&mut session, 2, done(is_free));
        frame(name, &session);
    }
    let mut session = offered(dark(), size).press("y");
    let mut changed = offer(&machine(), 80, &Permission::Granted);
    changed.news = FreeNews::Changed(Text::scrub("other processes hold the sockets now"));
    answered(&mut session, 2, changed);
    frame("free-changed", &session);
    let mut session = opened(dark(), size);
    let missing = Permission::Missing { capability: "CAP_KILL", what: "to signal a process" };
    answered(&mut session, 1, offer(&machine(), 80, &missing));
    frame("free-not-permitted", &session);
}

#[test]
fn the_dialog_without_colour_and_in_ascii() {
    let frame = |theme| text(&offered(theme, (80, 24)).draw());
    assert!(frame(ascii()).is_ascii());
    assert_eq!(frame(light()), frame(dark()));
    assert_eq!(frame(sixteen()), frame(dark()));
    assert_golden(
        "free-nocolor-80x24.style",
        &styles(&offered(Theme::MONOCHROME, (80, 24)).draw()),
    );
}

#[test]
fn only_y_does_what_is_selected() {
    let mut session = offered(dark(), (80, 24));
    for key in "x23\nqns 0".chars() {
        let key = if key == '\n' { Key::Enter } else { Key::Char(key) };
        assert_eq!(requests(&mut session, key), [], "{key:?}");
    }
    session.update(Event::Pasted('y'));
    assert_eq!(session.app.context(), Context::Free);
    let effects = requests(&mut session, Key::Char('y'));
    let [Effect::Ask(Request::Free(FreeRequest { number: 2, sockets, choice: Some(choice) }))] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(sockets[0].local.port, 80);
    assert!(matches!(choice.action, PortAction::Close(_)), "3 selects the third: {choice:?}");
    // No second request before the answer.
    assert_eq!(requests(&mut session, Key::Char('y')), []);
    // An answer to an earlier request does not count.
    answered(&mut session, 1, done(true));
    assert!(session.app.free_dialog().unwrap().is_waiting);
}

#[test]
fn what_was_not_shown_is_not_done_and_an_answer_selects_nothing() {
    let mut session = opened(dark(), (80, 24));
    let offer = offer(&machine(), 80, &Permission::Granted);
    session.update(Event::Report(Report::Free { number: 1, offer: Ok(Box::new(offer)) }));
    assert_eq!(requests(&mut session, Key::Char('y')), [], "no frame has shown it");
    session.app.frame_drawn(view::visible_choices(&session.app));
    assert_eq!(requests(&mut session, Key::Char('y')).len(), 1);
    answered(&mut session, 2, done(false));
    assert_eq!(requests(&mut session, Key::Char('y')), [], "the user has to choose again");
    session = session.press("1");
    assert_eq!(requests(&mut session, Key::Char('y')).len(), 1);
}

#[test]
fn what_was_done_is_reported_after_the_dialog_was_closed() {
    for keys in ["^", "^x"] {
        let mut session = offered(dark(), (80, 24)).press("y").press(keys);
        answered(&mut session, 2, done(true));
        assert_eq!(session.app.notice(), Some("nginx[812] ended after 210 ms"), "{keys}");
    }
}

#[test]
fn nothing_that_is_not_permitted_is_asked_for() {
    let mut session = opened(dark(), (80, 24));
    assert_eq!(requests(&mut session, Key::Char('y')), [], "the choices are not known yet");
    let missing = Permission::Missing { capability: "CAP_KILL", what: "to signal a process" };
    answered(&mut session, 1, offer(&machine(), 80, &missing));
    assert_eq!(requests(&mut session, Key::Char('y')), [], "nothing is selected");
    session = session.press("1");
    assert_eq!(requests(&mut session, Key::Char('y')), []);
    assert!(session.app.notice().unwrap().contains("CAP_KILL"));
}

#[test]
fn the_command_is_copied_instead() {
    let mut session = offered(dark(), (80, 24));
    assert_eq!(requests(&mut session, Key::Char('c')), [Effect::Copy]);
    let copied = copied::text(&session.app, &dark()).unwrap();
    assert_eq!(copied.text, "kill -TERM 812 813\n");
    assert_eq!(requests(&mut session, Key::Escape), []);
    assert_eq!(*session.app.overlay(), Overlay::None);
    assert_eq!(copied::text(&session.app, &dark()).unwrap().title, "the ss command");
}

#[test]
fn a_watched_port_rings_when_it_is_free() {
    let mut session = offered(dark(), (80, 24));
    let wait = session.app.free_dialog().unwrap().offer.as_ref().unwrap().choices.len();
    session = session.press(&wait.to_string());
    assert_eq!(requests(&mut session, Key::Char('y')), []);
    assert_eq!(*session.app.overlay(), Overlay::None);
    let mut scans = Vec::new();
    for number in 2..4 {
        session.now += Duration::from_secs(1);
        let mut snapshot = machine().snapshot();
        snapshot.number = number;
        if number == 3 {
            snapshot.keep_sockets(|socket| socket.local.port != 80);
        }
        let report = Report::Scanned(std::sync::Arc::new(snapshot));
        scans.push(session.app.update(session.now, Event::Report(report)));
    }
    assert_eq!(scans, [vec![], vec![Effect::Ring]]);
    assert_eq!(session.app.notice(), Some("TCP 80 is free"));
}

#[test]
fn ended_rows_and_groups_open_no_dialog() {
    let session = Session::of(&machine(), dark(), 80, 24).press("3cx");
    assert_eq!(*session.app.overlay(), Overlay::None);
    assert!(session.app.notice().is_some());
}
