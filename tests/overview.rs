//! The Overview, played by keys, and what it shows at each size and in each palette. Simulated
//! machines only.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/session.rs"]
mod session;

use std::{sync::Arc, time::Duration};

use portscope::{
    app::{
        Context, Event, Focus, Key, Lens, Screen,
        overview::{List, Row},
    },
    domain::{Destination, Ephemeral, Party, PortRange, ProcessTable, Snapshot, State, Subject},
    engine::Report,
    host::{Host, simulated::SimulatedHost},
    view::{
        Theme,
        theme::{Depth, Ground},
    },
};
use session::{Session, ascii, assert_golden, busy, dark, light, range, styles, text};

const S: (u16, u16) = (80, 24);
const M: (u16, u16) = (120, 40);
const L: (u16, u16) = (160, 48);
const XL: (u16, u16) = (200, 60);
const SIZES: [(u16, u16); 4] = [S, M, L, XL];

/// The range of 64 ports, so many of them connected to the first destination, a few to a second.
fn small(first: u16, second: u16) -> SimulatedHost {
    let here = [10, 0, 0, 7];
    let ports = range(40_000, 40_063);
    let mut machine = SimulatedHost::builder()
        .ephemeral(Ephemeral::new(ports, Vec::new()))
        .process(4121, "payments-api", "/srv/payments", 1000)
        .process(4122, "log-shipper", "/srv/ship", 1000);
    for port in 0..first {
        machine = machine
            .tcp((here, 40_000 + port), State::Established)
            .connected_to(([10, 0, 3, 17], 443))
            .owned_by(&[4121]);
    }
    for port in 0..second {
        machine = machine
            .tcp((here, 40_000 + port), State::Established)
            .connected_to(([10, 0, 9, 4], 6379))
            .owned_by(&[4122]);
    }
    machine.build()
}

fn on(host: &SimulatedHost, theme: Theme, (columns, rows): (u16, u16)) -> Session {
    let mut session = Session::on(Screen::Overview, theme, columns, rows);
    scan(&mut session, host, 1);
    session
}

fn scan(session: &mut Session, host: &SimulatedHost, number: u64) {
    session.now += Duration::from_secs(1);
    let mut snapshot = Snapshot { number, ..host.snapshot() };
    snapshot.taken_at += Duration::from_secs(number);
    let processes: ProcessTable = host.describer().describe(&snapshot.pids).into_iter().collect();
    session.tell(Event::Report(Report::Scanned(Arc::new(snapshot))));
    session.tell(Event::Report(Report::Described(Arc::new(processes))));
}

#[test]
fn show() {
    for size in SIZES {
        println!("{}", text(&on(&busy(), dark(), size).draw()));
    }
    for size in [S, M, L] {
        let mut session = on(&small(20, 5), dark(), size);
        for step in 1..8 {
            scan(&mut session, &small(20 + step * 5, 5), 1 + u64::from(step));
        }
        println!("{}", text(&session.draw()));
        println!("{}", text(&session.press("ll").draw()));
    }
}
