//! The dialog that frees ports, without its screen: what it offers for real sockets, what it does, and
//! what it refuses to do because something has changed.

use std::{os::fd::OwnedFd, time::Duration};

use portscope::{
    domain::{
        PortRange, Protocol, Snapshot, Socket, Source, State,
        action::{ActionChoice, EndSignal, Frees, PortAction},
    },
    engine::{
        FreeNews, FreeOffer, FreeRequest,
        freeing::offer::{self, answer},
    },
    host::{
        Host as _, OwnerDepth,
        linux::{LinuxHost, policy},
    },
};

use crate::{
    action_setup::{ActionSetup, is_free, listening, wait_until},
    holders::ANY4,
    namespace::{in_new_namespace, needs_linux},
    processes::{Sleeper, alone},
};

const TCP: Protocol = Protocol::Tcp;

fn snapshot() -> Snapshot {
    let host = LinuxHost::new();
    let mut snapshot = Snapshot::empty(host.machine(), Source::SockDiag);
    host.scanner().unwrap().scan(OwnerDepth::Full, &mut snapshot).unwrap();
    snapshot
}

fn sockets_on(ports: &[u16]) -> Vec<Socket> {
    let snapshot = snapshot();
    ports.iter().flat_map(|&port| snapshot.on_port(TCP, port)).copied().collect()
}

fn asked(sockets: &[Socket], choice: Option<ActionChoice>) -> FreeOffer {
    let choice = choice.map(Box::new);
    let request = FreeRequest { number: 1, sockets: sockets.into(), choice };
    answer(&LinuxHost::new(), &request).unwrap()
}

/// Returns the first choice for the sockets that satisfies a condition.
fn choice(sockets: &[Socket], is_wanted: impl Fn(&PortAction) -> bool) -> ActionChoice {
    let offer = asked(sockets, None);
    assert_eq!(offer.news, FreeNews::None);
    let found = offer.choices.iter().find(|choice| is_wanted(&choice.action));
    found.unwrap_or_else(|| panic!("{:?}", offer.choices)).clone()
}

fn is_term(action: &PortAction) -> bool {
    matches!(action, PortAction::End { signal: EndSignal::Term, .. })
}

fn is_close(action: &PortAction) -> bool {
    matches!(action, PortAction::Close(_))
}

/// Returns a process that alone holds a listener on the port.
fn holder(port: u16) -> Sleeper {
    Sleeper::holding(&OwnedFd::from(listening(ANY4, port, &[])))
}

#[test]
fn the_end_of_a_process_frees_its_port_as_forecast() {
    in_new_namespace(|| {
        let _alone = alone();
        let _setup = ActionSetup::new();
        let sleeper = holder(8080);
        let sockets = sockets_on(&[8080]);
        let end = choice(&sockets, is_term);
        assert_eq!(end.forecast.frees, Frees::Yes, "{end:?}");
        assert!(!is_free(TCP, 8080), "a look changes nothing");
        let offer = asked(&sockets, Some(end));
        let FreeNews::Done { steps, is_done: true } = &offer.news else {
            panic!("{:?}", offer.news)
        };
        let words = format!("sleep[{}] ended ", sleeper.pid());
        assert!(steps[0].as_str().starts_with(&words), "{steps:?}");
        assert_eq!((offer.ports[0].sockets, offer.choices.len()), (0, 0));
        assert!(is_free(TCP, 8080));
    });
}

#[test]
fn another_process_on_the_port_by_then_is_not_ended() {
    in_new_namespace(|| {
        let _alone = alone();
        let _setup = ActionSetup::new();
        for port in 8081..8101 {
            let listener = OwnedFd::from(listening(ANY4, port, &[]));
            let first = Sleeper::holding(&listener);
            let second = Sleeper::holding(&listener);
            drop(listener);
            let sockets = sockets_on(&[port]);
            let mut end = choice(&sockets, is_term);
            // The dialog was shown while only the first process held the socket.
            drop(first);
            let PortAction::End { processes, .. } = &mut end.action else { panic!() };
            processes.retain(|identity| identity.pid != second.pid());
            let offer = asked(&sockets, Some(end));
            assert!(matches!(offer.news, FreeNews::Changed(_)), "{:?}", offer.news);
            assert_eq!(sockets_on(&[port]).len(), 1, "the second process lives");
            assert!(is_term(&offer.choices[0].action), "the new choices are offered");
        }
    });
}

#[test]
fn a_socket_in_another_state_by_then_is_not_closed() {
    in_new_namespace(|| {
        let mut setup = ActionSetup::new();
        let port = setup.port();
        let [client, server] = setup.client(port, false);
        let sockets = sockets_on(&[port]);
        let close = choice(&sockets, is_close);
        server.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(wait_until(Duration::from_secs(5), || {
            sockets_on(&[port]).iter().all(|socket| socket.state == State::CloseWait)
        }));
        let offer = asked(&sockets, Some(close));
        let FreeNews::Changed(words) = &offer.news else { panic!("{:?}", offer.news) };
        assert!(words.as_str().contains("another state"), "{words}");
        assert_eq!(sockets_on(&[port]).len(), 1, "it was not closed");
        let close = choice(&sockets_on(&[port]), is_close);
        assert!(matches!(
            asked(&sockets_on(&[port]), Some(close)).news,
            FreeNews::Done { is_done: true, .. }
        ));
        assert!(is_free(TCP, port));
        drop(client);
    });
}

#[test]
fn marked_sockets_on_several_ports_are_closed_together() {
    in_new_namespace(|| {
        let mut setup = ActionSetup::new();
        let ports: Vec<u16> = (0..5).map(|_| setup.port()).collect();
        let pairs: Vec<_> = ports.iter().map(|&port| setup.client(port, false)).collect();
        let sockets = sockets_on(&ports);
        let close = choice(&sockets, is_close);
        assert_eq!(close.forecast.frees, Frees::Yes, "{close:?}");
        let offer = asked(&sockets, Some(close));
        assert!(matches!(offer.news, FreeNews::Done { is_done: true, .. }), "{:?}", offer.news);
        assert!(ports.iter().all(|&port| is_free(TCP, port)));
        drop(pairs);

        // One of them is bound by its number, and stays.
        let ports = [setup.port(), setup.port(), setup.port()];
        let kept = setup.client(ports[1], true);
        let others = [setup.client(ports[0], false), setup.client(ports[2], false)];
        let sockets = sockets_on(&ports);
        let close = choice(&sockets, is_close);
        assert_eq!(close.forecast.frees, Frees::No);
        assert!(close.forecast.because.starts_with("frees 2 of 3 ports"), "{close:?}");
        let offer = asked(&sockets, Some(close));
        let free: Vec<bool> = offer.ports.iter().map(|port| port.sockets == 0).collect();
        assert_eq!(free, [true, false, true]);
        assert_eq!(ports.map(|port| is_free(TCP, port)), [true, false, true]);
        drop((kept, others));
    });
}

#[test]
fn a_row_in_time_wait_offers_the_drain_of_its_destination() {
    in_new_namespace(|| {
        if !needs_linux((6, 0), "ends TIME-WAIT by SOCK_DESTROY") {
            return;
        }
        let mut setup = ActionSetup::new();
        let ports: Vec<u16> = (0..8).map(|_| setup.port()).collect();
        for &port in &ports {
            drop(setup.client(port, false));
        }
        assert!(wait_until(Duration::from_secs(5), || {
            let sockets = sockets_on(&ports);
            sockets.len() == 8 && sockets.iter().all(|socket| socket.state == State::TimeWait)
        }));
        let row = &sockets_on(&ports[..1]);
        let is_of_destination = |action: &PortAction| matches!(action, PortAction::Drain { destination: Some(_), sockets } if sockets.len() == 8);
        let drain = choice(row, is_of_destination);
        let offer = asked(row, Some(drain));
        assert!(matches!(offer.news, FreeNews::Done { is_done: true, .. }), "{:?}", offer.news);
        assert_eq!(sockets_on(&ports), []);
    });
}

#[test]
fn the_port_of_a_row_is_reserved() {
    in_new_namespace(|| {
        let mut setup = ActionSetup::new();
        let port = setup.port();
        let _pair = setup.client(port, false);
        let row = sockets_on(&[port]);
        let reserve = choice(&row, |action| *action == PortAction::Reserve);
        asked(&row, Some(reserve));
        assert_eq!(policy::read_reserved().unwrap(), [PortRange::new(port, port).unwrap()]);
        assert_eq!(offer::ports_of(&row), [(TCP, port)]);
    });
}
