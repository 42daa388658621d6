//! The lenses of the map: what they count, when they count again, and the legend.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use portscope::{
    app::{
        App, AppOptions, Event, Extent, Key, Lens,
        lens::{LENSES, OwnerRanks},
    },
    domain::{OwnerKey, PortRange, ProcessTable, Protocols, Snapshot, State, listing::OwnerName},
    engine::Report,
    host::simulated::SimulatedHost,
    view::{self, Theme},
};
use proptest::prelude::*;
use ratatui::{Terminal, backend::TestBackend, buffer::Cell};

use crate::app_options::options;

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

/// Returns a busy machine with `more` additional bound sockets.
fn machine(more: u16) -> Snapshot {
    let mut machine = SimulatedHost::builder()
        .process(812, "nginx", "nginx: worker", 33)
        .process(4121, "payments-api", "/srv/payments", 1000)
        .tcp(([192, 0, 2, 1], 53), State::Listen)
        .udp(([192, 0, 2, 1], 53))
        .owned_by(&[812])
        .fill(range(32_768, 40_999), 0.5, State::Established, 1)
        .owned_by(&[4121])
        .fill(range(41_000, 44_999), 0.9, State::TimeWait, 2)
        .fill(range(44_000, 47_999), 0.1, State::Unconnected, 3);
    if more > 0 {
        machine = machine.fill(range(50_000, 49_999 + more), 1.0, State::Bound, 4);
    }
    machine.build().snapshot()
}

struct Session(App);

impl Session {
    fn new(columns: u16, rows: u16) -> Self {
        let mut app = App::new(AppOptions { extent: Extent::All, ..options() });
        app.update(Duration::ZERO, Event::Resized { columns, rows });
        Self(app)
    }

    fn scanned(&mut self, second: u64, mut snapshot: Snapshot) {
        snapshot.number = second;
        snapshot.taken_at = Duration::from_secs(1_700_000_000 + second);
        let event = Event::Report(Report::Scanned(Arc::new(snapshot)));
        self.0.update(Duration::from_secs(second), event);
    }

    fn press(&mut self, key: char) {
        self.0.update(Duration::from_secs(9), Event::Key(Key::Char(key)));
    }

    fn set_lens(&mut self, lens: Lens) {
        while self.0.map().lens != lens {
            self.press('c');
        }
    }

    /// Returns the number of ports in each category of the lens.
    fn counts(&self) -> Vec<u32> {
        (0..9).map(|category| self.0.scan().unwrap().categories.ports(category)).collect()
    }

    fn occupied(&self) -> u32 {
        self.0.scan().unwrap().lens_counts.occupied
    }

    fn drawn(&self, columns: u16, rows: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| view::render(&self.0, &Theme::MONOCHROME, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let lines = buffer.content.chunks(usize::from(columns));
        lines.map(|line| line.iter().map(Cell::symbol).collect()).collect()
    }
}

#[test]
fn every_lens_has_a_row_and_a_name_of_its_own() {
    let names: BTreeSet<&str> = LENSES.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), LENSES.len());
    let around = LENSES.iter().fold(Lens::default(), |lens, row| {
        assert_eq!(lens, row.lens);
        lens.after(1)
    });
    assert_eq!(around, Lens::default());
}

#[test]
fn the_protocol_lens_counts_both_protocols_whatever_the_map_shows() {
    let mut session = Session::new(80, 24);
    session.scanned(1, machine(0));
    session.set_lens(Lens::Protocol);
    let [tcp, udp, both] = session.counts()[..3] else { unreachable!() };
    assert!(tcp > 4000 && udp > 0 && both > 1, "{tcp} {udp} {both}");
    session.press('p');
    assert_eq!(session.0.map().protocols, Protocols::Tcp);
    assert_eq!(session.counts()[..3], [tcp, 0, both], "a port does not lose its UDP socket");
}

#[test]
fn the_parity_lens_counts_both_parities() {
    let mut session = Session::new(80, 24);
    let even = (40_000..41_000).step_by(2);
    let stripes = even.fold(SimulatedHost::builder(), |machine, port| {
        machine.tcp(([192, 0, 2, 1], port), State::Established)
    });
    session.scanned(1, stripes.tcp(([0, 0, 0, 0], 40_001), State::Listen).build().snapshot());
    session.set_lens(Lens::Parity);
    assert_eq!(session.counts()[..3], [500, 1, 0]);
}

#[test]
fn the_age_lens_distinguishes_new_sockets_from_those_of_the_first_scan() {
    let mut session = Session::new(80, 24);
    session.scanned(1, machine(0));
    session.set_lens(Lens::Age);
    let old = session.occupied();
    assert_eq!(session.counts()[8], old, "older than this session");
    session.scanned(2, machine(300));
    assert_eq!((session.counts()[0], session.counts()[8]), (300, old));
    let drawn = session.drawn(80, 24).join("\n");
    assert!(drawn.contains("before start") || drawn.contains("older  "), "{drawn}");
    assert!(!drawn.contains("older than  "), "{drawn}");
    session.scanned(8, machine(300));
    assert_eq!((session.counts()[0], session.counts()[1]), (0, 300), "under ten seconds");
    session.scanned(100, machine(300));
    assert_eq!(session.counts()[3], 300, "under ten minutes");
    session.scanned(200_000, machine(300));
    assert_eq!(session.counts()[7], 300, "over a day");
}

#[test]
fn the_density_lens_recounts_when_blocks_change() {
    let mut session = Session::new(80, 24);
    session.scanned(1, machine(0));
    session.set_lens(Lens::Density);
    let small = session.counts();
    session.0.update(Duration::from_secs(9), Event::Resized { columns: 200, rows: 60 });
    let large = session.counts();
    assert_ne!(small, large);
    assert_eq!(small.iter().sum::<u32>(), session.occupied());
    assert_eq!(large.iter().sum::<u32>(), session.occupied());
}

#[test]
fn only_the_active_lens_is_counted() {
    let mut session = Session::new(80, 24);
    session.scanned(1, machine(0));
    session.set_lens(Lens::Owner);
    assert!(!session.0.scan().unwrap().owners.owners.is_empty());
    assert_eq!(session.counts(), [0; 9]);
    session.set_lens(Lens::Age);
    assert!(session.0.scan().unwrap().owners.owners.is_empty());
    assert_ne!(session.counts(), [0; 9]);
}

#[test]
fn the_legend_names_its_lens_and_cuts_no_word() {
    let words = "state owner protocol age parity density free reserved in range LISTEN \
                 ESTABLISHED TIME-WAIT closing BOUND UDP TCP only both mixed block even odd \
                 older than this session kernel payments-api nginx none visible pid 4121 812 \
                 < > s min h d % few under over half full connect no connections eligible never \
                 chosen left → to use, up of them reuse connected likely bound \
                 bind ports by fill their block: blocks filled CLOSE-WAIT and [::], in use \
                 unknown · x : ░ ▒ ▓ █ + e o u t b a c f p \
                 g 1 2 3 4 5 6 7 8 9";
    let known: BTreeSet<&str> = words.split_whitespace().collect();
    for (columns, rows) in [(80, 24), (100, 30), (120, 40), (200, 60)] {
        let mut session = Session::new(columns, rows);
        session.scanned(1, machine(0));
        session.scanned(2, machine(300));
        for row in LENSES {
            let legend = legend_of(&session.drawn(columns, rows), row.name);
            for word in legend.split_whitespace() {
                let number = word.trim_matches(['<', '>']);
                let number = number.trim_end_matches(['k', 's', 'm', 'h', 'd']);
                let is_number = number.chars().all(|c| !c.is_alphabetic());
                assert!(is_number || known.contains(word), "{word:?} in {legend:?}");
            }
            session.press('c');
        }
    }
}

/// Returns the line of the legend that begins with the name of the lens, left of the inspector.
fn legend_of(lines: &[String], lens: &str) -> String {
    let below = lines.len().saturating_sub(6);
    let lines = lines[below..].iter().map(|line| line.split('│').next().unwrap());
    let mut from = lines.skip_while(|line| !line.starts_with(&format!(" {lens} ")));
    from.next().unwrap_or_else(|| panic!("no legend of {lens}")).to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn each_occupied_port_is_in_one_category_of_every_lens(
        fills in proptest::collection::vec((any::<u16>(), 1..2000_u16, 0.0..1.0_f64, 0..5_usize), 1..6),
        columns in 20_u16..220,
        rows in 5_u16..70,
        keys in "[pea+-]{0,4}",
    ) {
        let states = [
            State::Listen, State::Established, State::TimeWait, State::Bound, State::Unconnected,
        ];
        let filled = fills.iter().fold(SimulatedHost::builder(), |machine, &(first, more, share, state)| {
            machine.fill(range(first, first.saturating_add(more)), share, states[state], 5)
        });
        let mut session = Session::new(columns, rows);
        session.scanned(1, filled.build().snapshot());
        for lens in [Lens::Protocol, Lens::Age, Lens::Parity, Lens::Density] {
            session.set_lens(lens);
            keys.chars().for_each(|key| session.press(key));
            prop_assert_eq!(session.counts().iter().sum::<u32>(), session.occupied(), "{:?}", lens);
        }
    }
}

#[test]
fn a_port_belongs_to_its_process_although_the_kernel_has_more_ports() {
    let local = |port| ([10, 0, 0, 1], port);
    let server = |port| ([10, 0, 3, 17], port);
    let snapshot = SimulatedHost::builder()
        .process(4121, "payments-api", "/srv/payments", 1000)
        .tcp(local(40_000), State::Established)
        .connected_to(server(443))
        .owned_by(&[4121])
        .tcp(local(40_000), State::TimeWait)
        .connected_to(server(9000))
        .tcp(local(40_001), State::TimeWait)
        .connected_to(server(9000))
        .build()
        .snapshot();
    let ports = range(40_000, 40_001);
    let ranks = OwnerRanks::count(ports, Protocols::Both, &snapshot, &ProcessTable::default());
    let unnamed = OwnerName::Unnamed;
    assert_eq!(
        ranks.owners,
        [(unnamed(OwnerKey::Kernel), 2), (unnamed(OwnerKey::Process(4121)), 1)]
    );
    assert_eq!(ranks.biggest_in(range(40_000, 40_000)), Some(1));
    assert_eq!(ranks.biggest_in(range(40_001, 40_001)), Some(0));
}
