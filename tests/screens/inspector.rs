//! The inspector: what it shows about a port at each width, and that no port or size breaks it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use portscope::{
    app::{Event, Gesture, Key, Lens, PointerTarget},
    domain::{ParentProcess, PortRange, ProcessTable, Protocol, Snapshot, Socket, State, Text},
    engine::Report,
    host::{Host as _, simulated::SimulatedHost},
    view::{Theme, layout},
};
use proptest::prelude::*;
use ratatui::layout::Rect;

use crate::{
    session::{self, Session, busy, dark, range},
    snapshots::assert_golden,
};

const START: u64 = 1_767_225_600;

/// Reports a scan of the busy machine at `second` seconds after the program's start.
fn scan_at(session: &mut Session, second: u64, change: impl FnOnce(&mut Vec<Socket>)) {
    let mut snapshot: Snapshot = busy().snapshot();
    change(&mut snapshot.sockets);
    snapshot.sort();
    snapshot.number = second + 1;
    snapshot.taken_at = Duration::from_secs(START + second);
    session.now = Duration::from_secs(second);
    session.update(Event::Report(Report::Scanned(Arc::new(snapshot))));
}

/// Returns a session with units and with earlier events: the connection on port 49152 appears at 60
/// s, is gone at 72 s, and is back at 200 s.
fn watched(theme: Theme, columns: u16, rows: u16) -> Session {
    let host = busy();
    let mut session = Session::new(theme, columns, rows);
    let described = host.describer().describe(&host.snapshot().pids);
    let processes: ProcessTable = described
        .into_iter()
        .map(|mut process| {
            process.unit = match process.pid {
                812 | 813 => Some(Text::scrub("nginx.service")),
                4121 => Some(Text::scrub("docker 3f2a1b0c9d8e")),
                4122 => Some(Text::scrub("log-shipper.service")),
                _ => None,
            };
            process
        })
        .collect();
    session.update(Event::Report(Report::Described(Arc::new(processes))));
    let is_new = |socket: &Socket| socket.local.port == 49_152 && socket.remote.is_some();
    scan_at(&mut session, 0, |sockets| sockets.retain(|socket| !is_new(socket)));
    scan_at(&mut session, 60, |_| {});
    scan_at(&mut session, 72, |sockets| {
        sockets.retain(|socket| !is_new(socket));
    });
    scan_at(&mut session, 200, |_| {});
    session
}

/// Returns the text in the inspector's area.
fn shown(session: &Session) -> String {
    let size = Rect::new(0, 0, session.columns, session.rows);
    let area = layout::areas(size, &session.app).inspector;
    let buffer = session.draw();
    let line = |y| (area.left()..area.right()).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    let lines: Vec<String> = (area.top()..area.bottom()).map(line).collect();
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

fn at(port: u16, columns: u16, rows: u16) -> String {
    shown(&watched(dark(), columns, rows).press(&format!("g{port}\n")))
}

/// Moves the pointer over some ports of the map.
fn hovered(mut session: Session, ports: PortRange) -> Session {
    session.update(Event::Mouse(Gesture::Hover, Some(PointerTarget::Ports(ports))));
    session
}

/// Drags from some ports to others.
fn measured(mut session: Session, from: PortRange, to: PortRange) -> Session {
    session.update(Event::Mouse(Gesture::Press, Some(PointerTarget::Ports(from))));
    session.update(Event::Mouse(Gesture::Drag, Some(PointerTarget::Ports(to))));
    session
}

fn golden(name: &str, inspector: &str) {
    assert_golden(&format!("inspector-{name}.text"), inspector);
}

#[test]
fn the_inspector_beside_the_map() {
    golden("beside-120x40", &at(49_152, 120, 40));
    golden("beside-160x48", &at(49_152, 160, 48));
    golden("listening-120x40", &at(443, 120, 40));
    golden("available-160x48", &at(46_000, 160, 48));
}

#[test]
fn a_wide_and_high_inspector_has_one_column() {
    let session = watched(dark(), 240, 60);
    let area = layout::areas(Rect::new(0, 0, 240, 60), &session.app).inspector;
    assert!(area.width >= 76, "{area:?}");
    let inspector = at(49_152, 240, 60);
    let command = "│ command   [4121] /srv/payments --pool 64 --listen 0.0.0.0:8443\n";
    assert!(inspector.contains(command), "{inspector}");
    golden("one-column-240x60", &inspector);
}

#[test]
fn the_inspector_below_the_map() {
    golden("below-80x24", &at(49_152, 80, 24));
    golden("below-100x30", &at(49_152, 100, 30));
    golden("below-available-80x24", &at(43_210, 80, 24));
}

#[test]
fn omitted_lines_are_counted() {
    let inspector = at(49_152, 80, 22);
    assert!(inspector.ends_with("\n lines 1-4 of 11 · J K scroll"), "{inspector}");
    let below = at(49_152, 109, 50);
    assert!(!below.contains("scroll"), "{below}");
    golden("below-109x50", &below);
}

#[test]
fn a_port_with_two_owners_is_complete_before_its_neighbours_are_shown() {
    let inspector = at(49_152, 120, 40);
    assert!(!inspector.contains("scroll"), "{inspector}");
    for words in
        ["unit      log-shipper.service", "[4121] /srv/payments", "10.0.3.17:443, exists for 2m"]
    {
        assert!(inspector.contains(words), "{inspector}");
    }
}

#[test]
fn the_inspector_in_ascii_and_without_colour() {
    let ascii = watched(session::ascii(), 120, 40).press("g49152\n");
    assert!(shown(&ascii).is_ascii());
    golden("ascii-120x40", &shown(&ascii));
    golden("plain-120x40", &shown(&watched(Theme::MONOCHROME, 120, 40).press("g49152\n")));
}

#[test]
fn the_inspector_shows_the_hovered_block_instead_of_the_cursor() {
    let session = hovered(watched(dark(), 120, 40).press("g49152\n"), range(5432, 5439));
    let inspector = shown(&session);
    assert!(inspector.contains("Port 5432 under the pointer"), "{inspector}");
    assert!(inspector.contains("registered for postgresql"), "{inspector}");
    assert!(inspector.contains("block 5432-5439: 1 of 8 in use"), "{inspector}");
    let small = shown(&hovered(watched(dark(), 80, 24).press("g49152\n"), range(22, 22)));
    assert!(
        small.starts_with("  22  under the pointer: systemd[1] root\n   LISTEN  TCP 0.0.0.0"),
        "{small}"
    );
}

#[test]
fn a_service_name_shows_its_protocol_if_they_differ() {
    assert!(at(514, 120, 40).contains("registered for shell over TCP, syslog"));
    assert!(!at(50_000, 120, 40).contains("registered for"));
}

#[test]
fn the_age_of_a_socket_from_the_first_scan_is_a_lower_bound() {
    let inspector = at(49_152, 160, 48);
    assert!(inspector.contains("ESTABLISHED  TCP 10.0.1.7:49152 →\n"), "{inspector}");
    assert!(inspector.contains("10.0.3.17:443, exists for 2m"), "{inspector}");
    assert!(inspector.contains("BOUND  TCP 0.0.0.0, seen for 3m"), "{inspector}");
}

#[test]
fn the_time_left_in_time_wait_precedes_the_age_and_the_owner_has_a_label() {
    let host = SimulatedHost::builder()
        .tcp(([127, 0, 0, 1], 40_000), State::TimeWait)
        .connected_to(([127, 0, 0, 1], 9000))
        .build();
    let seen = shown(&Session::of(&host, dark(), 80, 24).press("g40000\n"));
    assert!(seen.contains("127.0.0.1:9000, 30s left"), "{seen}");
    assert!(seen.contains("owner kernel"), "{seen}");
}

#[test]
fn the_inspector_lists_the_history_of_a_port() {
    let mut session = Session::new(dark(), 160, 48);
    let is_it = |socket: &Socket| socket.local.port == 8443;
    scan_at(&mut session, 0, |_| {});
    scan_at(&mut session, 10, |sockets| sockets.retain(|socket| !is_it(socket)));
    scan_at(&mut session, 70, |_| {});
    scan_at(&mut session, 83, |sockets| sockets.retain(|socket| !is_it(socket)));
    let inspector = shown(&session.press("g8443\n"));
    let reported = ["now     free", "−13s    ESTABLISHED → 10.0.3.17:443", "−1m 13s free"];
    let lines: Vec<&str> = inspector.lines().map(|line| line.trim_start_matches("│ ")).collect();
    assert!(lines.windows(3).any(|window| window == reported), "{inspector}");
}

#[test]
fn the_range_measured_with_the_mouse_is_shown_first() {
    let session = watched(dark(), 120, 40).press("g49152\n");
    let inspector = shown(&measured(session, range(53_000, 53_009), range(53_090, 53_099)));
    assert!(inspector.starts_with("│ Span 53000-53099 "), "{inspector}");
    assert!(inspector.contains("│ 100 ports, "), "{inspector}");
    assert!(inspector.contains("closing "), "{inspector}");
    let session = watched(dark(), 80, 24);
    let small = shown(&measured(session, range(53_000, 53_019), range(53_080, 53_099)));
    assert!(small.starts_with("  53000-53099  100 ports, "), "{small}");
}

#[test]
fn the_parity_that_connect_uses_first_is_named() {
    let mut session = watched(dark(), 120, 40);
    assert!(shown(&session).contains("TCP connect() tries even ports first"));
    session.update(Event::Key(Key::Char('p')));
    assert!(shown(&session).contains("connect() tries even ports first"));
    session.update(Event::Key(Key::Char('p')));
    assert!(shown(&session).contains("UDP uses even and odd ports alike"));
}

#[test]
fn neighbours_are_uncoloured_under_other_lenses() {
    let mut session = watched(dark(), 120, 40).press("g49152\n");
    let area = layout::areas(Rect::new(0, 0, 120, 40), &session.app).inspector;
    let backgrounds = |session: &Session| {
        let buffer = session.draw();
        let title = (area.top()..area.bottom()).find(|&y| buffer[(area.x + 2, y)].symbol() == "N");
        let row = title.unwrap() + 3;
        let cells = (area.x + 8..area.x + 40).step_by(2);
        cells.filter(|&x| buffer[(x, row)].symbol() == "T").map(|x| buffer[(x, row)].bg).collect()
    };
    let colored: Vec<_> = backgrounds(&session);
    while session.app.map().lens != Lens::Owner {
        session = session.press("c");
    }
    let plain: Vec<_> = backgrounds(&session);
    assert!(!colored.is_empty() && colored.len() == plain.len());
    assert!(colored.iter().all(|color| !plain.contains(color)), "{colored:?} {plain:?}");
}

#[test]
fn a_udp_socket_beside_a_tcp_socket_is_named_as_udp() {
    let mut session = Session::new(dark(), 160, 48);
    scan_at(&mut session, 0, |sockets| sockets.retain(|socket| socket.local.port != 5353));
    scan_at(&mut session, 5, |sockets| {
        let mut both = *sockets.iter().find(|socket| socket.local.port == 5353).unwrap();
        (both.protocol, both.state, both.cookie) = (Protocol::Tcp, State::Listen, Some(99));
        sockets.push(both);
    });
    let inspector = shown(&session.press("g5353\n"));
    assert!(inspector.contains("now     tcp LISTEN"), "{inspector}");
    assert!(inspector.contains("now     udp UNCONNECTED"), "{inspector}");
}

/// A machine with nginx on port 80 (two sockets, five processes), a development server on 8080, and
/// a database with 18,600 connections on 5432.
fn servers() -> SimulatedHost {
    let [any, any6]: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let nginx = [812, 813, 814, 815, 816];
    let master = "nginx: master process nginx -c /etc/nginx/nginx.conf";
    let mut host = SimulatedHost::builder()
        .user(33, "www-data")
        .user(70, "postgres")
        .process(812, "nginx", master, 0)
        .process(900, "python3", "python3 -m http.server 8080", 0)
        .process(7736, "postgres", "postgres -D /var/lib/postgresql/17/main", 70);
    for &pid in &nginx[1..] {
        host = host.process(pid, "nginx", "nginx: worker process", 33);
    }
    host = host.tcp((any, 80), State::Listen).owned_by(&nginx);
    host = host.tcp((any6, 80), State::Listen).owned_by(&nginx);
    host = host.tcp((any, 8080), State::Listen).owned_by(&[900]);
    for address in [any, any6] {
        host = host.tcp((address, 5432), State::Listen).owned_by(&[7736]);
    }
    for port in 30_000..48_600 {
        host = host.tcp(([10, 0, 3, 17], 5432), State::Established);
        host = host.connected_to(([10, 0, 0, 7], port)).owned_by(&[7736]);
    }
    host.build()
}

/// Shows a port of `servers`, with units, directories and parents.
fn served(port: u16, columns: u16, rows: u16) -> Session {
    let host = servers();
    let mut session = Session::of(&host, dark(), columns, rows);
    let processes = host.describer().describe(&host.snapshot().pids);
    let processes: ProcessTable = processes
        .into_iter()
        .map(|mut process| {
            let (unit, directory) = match process.pid {
                900 => (None, "/srv/web"),
                7736 => (Some("postgresql.service"), "/var/lib/postgresql"),
                _ => (Some("nginx.service"), "/"),
            };
            process.unit = unit.map(Text::scrub);
            process.directory = Some(Text::scrub(directory));
            let name = Some(Text::scrub("systemd"));
            process.parent = Some(ParentProcess { pid: 1, name });
            process
        })
        .collect();
    session.update(Event::Report(Report::Described(Arc::new(processes))));
    session.press(&format!("g{port}\n"))
}

#[test]
fn the_owner_of_a_port_is_complete_at_the_usual_sizes() {
    let nginx = [
        "nginx[812] root, nginx[813] [814] [815] [816] www-data",
        "[812] nginx: master process nginx -c /etc/nginx/nginx.conf",
        " LISTEN  TCP 0.0.0.0 and [::]",
        "unit nginx.service",
        "directory /",
    ];
    let python = [
        "python3[900] root",
        "python3 -m http.server 8080",
        " LISTEN  TCP 0.0.0.0",
        "started 23h 45m ago",
        "directory /srv/web",
    ];
    let postgres = [
        "postgres[7736] postgres",
        "postgres -D /var/lib/postgresql/17/main",
        " LISTEN  TCP 0.0.0.0 and [::]",
        " ESTABLISHED  TCP 18,600 sockets, peer 10.0.0.7",
        "unit postgresql.service",
    ];
    for (port, expected) in [(80, nginx), (8080, python), (5432, postgres)] {
        for (columns, rows) in [(80, 24), (100, 30), (120, 40), (200, 60)] {
            let inspector = shown(&served(port, columns, rows));
            golden(&format!("port-{port}-{columns}x{rows}"), &inspector);
            assert!(!inspector.contains("scroll"), "{inspector}");
            if columns < 110 {
                for words in expected.into_iter().chain(["parent systemd[1]"]) {
                    assert!(inspector.contains(words), "{words}\n{inspector}");
                }
            }
        }
    }
}

#[test]
fn a_port_without_sockets_shows_those_that_lead_to_it_elsewhere() {
    let mut host = SimulatedHost::builder();
    for (port, remote) in [(40_000, 17), (40_001, 17), (40_002, 18)] {
        host = host
            .tcp(([10, 0, 0, 1], port), State::Established)
            .connected_to(([10, 0, 3, remote], 5432));
    }
    let host = host.build();
    for (columns, rows) in [(80, 20), (80, 24), (120, 40)] {
        let session = Session::of(&host, dark(), columns, rows);
        let inspector = shown(&session.press("g5432\n"));
        let text = inspector.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>();
        let text = text.join(" ");
        for words in [
            "nothing here uses this port",
            "3 sockets lead to remote port 5432: 10.0.3.17:5432 (2), 10.0.3.18:5432 (1)",
        ] {
            assert!(text.contains(words), "{columns}x{rows}\n{inspector}");
        }
    }
}

#[test]
fn an_inspector_below_the_map_has_room_for_the_owner_at_every_height() {
    for rows in 20..=36 {
        for port in [80, 8080, 5432] {
            let session = served(port, 80, rows);
            let area = layout::areas(Rect::new(0, 0, 80, rows), &session.app).inspector;
            assert!(area.height >= 5, "{rows} rows: {area:?}");
            let inspector = shown(&session);
            assert!(inspector.contains("parent systemd[1]"), "{port}, {rows} rows\n{inspector}");
            assert!(!inspector.contains("scroll"), "{port}, {rows} rows\n{inspector}");
        }
    }
}

#[test]
fn the_lines_of_the_inspector_are_scrolled_in_a_circle() {
    let session = watched(dark(), 80, 22).press("g49152\n");
    let first = shown(&session);
    let session = session.press("J");
    let second = shown(&session);
    assert!(first.contains("BOUND") && second.contains("[4121] /srv/payments"), "{second}");
    assert!(second.contains(" · J K scroll"), "{second}");
    assert_eq!(shown(&session.press("K")), first);
    let mut session = watched(dark(), 80, 22).press("g49152\nJ");
    let mut pages = 1;
    while shown(&session) != first {
        session = session.press("J");
        pages += 1;
        assert!(pages < 20, "{}", shown(&session));
    }
    let moved = session.press("J").press("g49154\n");
    assert!(shown(&moved).starts_with("  49154  "), "{}", shown(&moved));
}

#[test]
fn a_socket_that_the_map_hides_is_marked() {
    let session = served(8080, 100, 30);
    assert!(!shown(&session).contains("not on this map"));
    let inspector = shown(&session.press("pp"));
    assert!(inspector.contains("LISTEN  TCP 0.0.0.0, not on this map (TCP)"), "{inspector}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_port_and_no_size_breaks_the_inspector(
        port: u16,
        columns in 1u16..260,
        rows in 1u16..70,
        turns in 0usize..6,
        theme in 0usize..3,
        pointer in prop::option::of((any::<u16>(), 0u16..200)),
        drag: bool,
    ) {
        let theme = [dark(), session::ascii(), Theme::MONOCHROME][theme].clone();
        let mut session = watched(theme, columns, rows).press(&format!("g{port}\n"));
        session = session.press(&"c".repeat(turns));
        if let Some((first, length)) = pointer {
            let ports = range(first, first.saturating_add(length));
            session = hovered(session, ports);
            if drag {
                session = measured(session, range(port, port), ports);
            }
        }
        session.draw();
    }
}
