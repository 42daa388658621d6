//! The text of the reports: its width, its colours, and its characters.

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener},
    process::{Command, Output},
    sync::Mutex,
    time::Duration,
};

use portscope::{
    domain::{
        Ephemeral, Errno, Evidence, Gap, PortRange, Protocol, Protocols, State, Text, Thresholds,
        availability::{Answer, Bind, BindAddress, Reuse, Verdict, probing::Probed},
        diagnosis::diagnose,
    },
    engine::sample::Sample,
    host::simulated::SimulatedHost,
    report::{
        self, Explanation, Health, Page, PageStyle, Scan,
        diagnose::text::ReportedFindings::{self, AllInFull, FirstInFull},
        explain::{BindRow, Explanations, ProtocolPort, Reasons},
    },
};

use crate::{
    namespace::in_new_namespace, outputs::program, processes, pty::Session,
    snapshots::assert_golden,
};

const WIDTHS: [usize; 4] = [60, 80, 100, 160];

/// Returns a machine on which payments-api uses 970 of the 1,000 ports towards a database.
fn payments() -> SimulatedHost {
    let range = PortRange::new(33_000, 33_999).unwrap();
    let mut host = SimulatedHost::builder()
        .ephemeral(Ephemeral::new(range, Vec::new()))
        .user(33, "www-data")
        .process(812, "nginx", "nginx: master process", 0)
        .process(7911, "payments-api", "/srv/payments", 33)
        .tcp(([0, 0, 0, 0], 80), State::Listen)
        .owned_by(&[812]);
    for number in 0..970u16 {
        let local = ([10, 0, 1, 7], 33_000 + number);
        let remote = ([10, 0, 3, 17], 5432);
        host = if number % 3 == 0 {
            host.tcp(local, State::TimeWait).connected_to(remote).departed_from(&[7911])
        } else {
            host.tcp(local, State::Established).connected_to(remote).owned_by(&[7911])
        };
    }
    host.build()
}

/// Writes a report of a sample as text.
fn written(
    sample: &Sample,
    style: PageStyle,
    write: impl Fn(&Health<'_>, &mut Page<'_>) -> std::io::Result<()>,
) -> String {
    let Sample { snapshot, analysis, monitor, processes } = sample;
    let thresholds = Thresholds::default();
    let diagnosis = diagnose(&Evidence {
        snapshot,
        analysis,
        trends: monitor.trends(),
        processes,
        before: None,
        thresholds,
    });
    let health = Health {
        scan: Scan { snapshot, processes },
        analysis,
        trends: monitor.trends(),
        diagnosis: &diagnosis,
        protocols: Protocols::Both,
        thresholds,
        sampled: None,
        top: None,
        filter: None,
    };
    let mut text = Vec::new();
    write(&health, &mut Page::new(&mut text, style)).unwrap();
    String::from_utf8(text).unwrap()
}

fn sample() -> Sample {
    Sample::take(&payments(), Protocols::Both, Duration::ZERO, &Mutex::default()).unwrap()
}

fn diagnosed(sample: &Sample, detail: ReportedFindings, style: PageStyle) -> String {
    written(sample, style, |health, page| report::diagnose::text::write(health, detail, page))
}

fn wide(width: usize) -> PageStyle {
    PageStyle { width: Some(width), ..PageStyle::default() }
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

fn is_command(line: &str) -> bool {
    line.trim_start().starts_with("sysctl -w ")
}

#[test]
fn diagnose_fits_each_width_and_breaks_no_command() {
    let sample = sample();
    for width in WIDTHS {
        let text = diagnosed(&sample, FirstInFull, wide(width));
        assert_golden(&format!("text-diagnose-{width}"), &text);
        for line in text.lines() {
            assert!(is_command(line) || line.chars().count() <= width, "{width}: {line}");
        }
        let all = diagnosed(&sample, AllInFull, wide(width));
        let commands = all.lines().filter(|line| is_command(line));
        for command in commands {
            let command = command.trim_start().strip_prefix("sysctl -w ").unwrap();
            assert!(command.starts_with("net.") && !command.contains(" ("), "{command}");
        }
        assert!(all.contains("payments-api[7911] 970"), "the owner is shown: {all}");
    }
    assert_golden("text-diagnose-all-80", &diagnosed(&sample, AllInFull, wide(80)));
}

#[test]
fn diagnose_is_short_unless_all_is_asked_for() {
    let sample = sample();
    let short = diagnosed(&sample, FirstInFull, PageStyle::default());
    let all = diagnosed(&sample, AllInFull, PageStyle::default());
    let count = |text: &str, word: &str| text.lines().filter(|l| l.starts_with(word)).count();
    assert_eq!(count(&short, "  rule    "), 1, "{short}");
    assert!(count(&all, "  rule    ") > 2, "{all}");
    assert!(short.contains("in short; --all shows") && !all.contains("--all"), "{short}");
    // A program reads the verdict from the first line.
    let verdict = short.lines().next().unwrap();
    assert!(verdict.starts_with("CRITICAL  TCP 10.0.1.7 → 10.0.3.17:5432 uses 970 of 1,000 "));
    assert!(verdict.ends_with(" left"), "{verdict}");
}

#[test]
fn a_scan_leaves_columns_out_only_on_a_narrow_terminal() {
    let sample = sample();
    let scan = |style| {
        let text =
            written(&sample, style, |health, page| report::text::write_scan(health.scan, page));
        text.split_inclusive('\n').take(4).collect::<String>()
    };
    for width in WIDTHS {
        assert_golden(&format!("text-scan-{width}"), &scan(wide(width)));
    }
    let piped = scan(PageStyle::default());
    assert_eq!(piped, scan(wide(160)), "programs read the columns by position");
}

fn lab(columns: &str) -> String {
    let mut command = program();
    command.args(["lab", "--runs", "200", "--seed", "7"]);
    text(&processes::output_of(command.env("COLUMNS", columns).env("LC_ALL", "C.UTF-8")))
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_lab_fits_each_width() {
    for columns in ["60", "80"] {
        // Without the measured times, the text depends only on the seed.
        assert_golden(&format!("text-lab-{columns}"), &lab(columns));
    }
    for columns in ["100", "160"] {
        let text = lab(columns);
        assert!(widest(&text) <= columns.parse().unwrap(), "{text}");
        assert!(text.contains(" RUNS ") && text.contains(" TIME "), "{text}");
        assert!(!text.contains("Not shown"), "{text}");
    }
}

/// Runs the program in a terminal of 80 columns, and returns what it wrote.
fn on_terminal(variables: &str, arguments: &str) -> String {
    let script = format!("{variables} LC_ALL=C.UTF-8 exec \"$0\" {arguments}");
    let mut session = Session::start_script(&script);
    session.wait_for_end();
    String::from_utf8_lossy(&session.bytes).into_owned()
}

fn piped(arguments: &str) -> Command {
    let mut command = program();
    command.args(arguments.split(' ')).env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
    command
}

#[test]
fn colours_are_for_terminals_unless_an_option_says_otherwise() {
    in_new_namespace(|| {
        let diagnose = "diagnose --sample 0";
        let good = "\x1b[1;32mOK\x1b[0m";
        assert!(on_terminal("", diagnose).contains(good));
        for (variables, arguments) in [
            ("NO_COLOR=1", diagnose.to_owned()),
            ("TERM=dumb", diagnose.to_owned()),
            ("", format!("{diagnose} --color never")),
            ("", format!("{diagnose} --format json --color always")),
        ] {
            let text = on_terminal(variables, &arguments);
            assert!(!text.contains('\x1b'), "{variables} {arguments}: {text:?}");
        }
        assert!(on_terminal("NO_COLOR=1", &format!("{diagnose} --color always")).contains(good));
        for command in [diagnose, "scan", "explain 80", "lab --runs 2 --seed 1"] {
            let plain = text(&processes::output_of(&mut piped(command)));
            assert!(!plain.contains('\x1b'), "{command}: {plain:?}");
        }
        let asked = format!("{diagnose} --color always");
        assert!(text(&processes::output_of(&mut piped(&asked))).contains(good));
    });
}

#[test]
fn text_has_the_width_of_the_terminal_or_of_columns() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        for (columns, width) in
            [("stty cols 100;", 100), ("stty cols 100; COLUMNS=60", 60), ("", 80)]
        {
            for arguments in ["diagnose --sample 0", "explain 8080", "lab --runs 2", "scan"] {
                let text = on_terminal(columns, &format!("{arguments} --color never"));
                let widest = widest(&text.replace('\r', ""));
                assert!(widest <= width, "{columns} {arguments}: {widest} columns\n{text}");
                let is_long = arguments.starts_with("explain");
                assert!(!is_long || widest > width - 20, "{columns} {arguments}: {text}");
            }
        }
    });
}

#[test]
fn text_is_ascii_in_a_locale_that_is_not_utf8_and_json_is_unchanged() {
    let ascii = PageStyle { is_ascii: true, ..wide(80) };
    let diagnosed = diagnosed(&sample(), AllInFull, ascii);
    assert!(
        diagnosed.is_ascii() && diagnosed.contains("10.0.1.7 -> 10.0.3.17:5432"),
        "{diagnosed}"
    );
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _client = std::net::TcpStream::connect("127.0.0.1:8080").unwrap();
        let _server = listener.accept().unwrap();
        for command in [
            "diagnose --sample 0 --all",
            "scan",
            "explain 8080",
            "lab --runs 2 --seed 1",
            "pick --trace --seed 1",
        ] {
            for locale in ["C", "POSIX", "de_DE.ISO-8859-1"] {
                let output = processes::output_of(piped(command).env("LC_ALL", locale));
                assert!(
                    output.stdout.is_ascii() && output.stderr.is_ascii(),
                    "{command}: {output:?}"
                );
                let mut answers = text(&output);
                if command.starts_with("explain") {
                    answers = answers.replace("Can I bind it?", "");
                }
                assert!(!answers.contains('?'), "{command}: {output:?}");
            }
        }
        let json = |locale| {
            let mut command = piped("lab --runs 2 --seed 1 --format json");
            let output = text(&processes::output_of(command.env("LC_ALL", locale)));
            let mut lab: serde_json::Value = serde_json::from_str(&output).unwrap();
            lab["strategies"] = serde_json::Value::Null;
            lab
        };
        assert_eq!(json("C"), json("C.UTF-8"));
    });
}

/// Returns the text of `explain --probe` about a port where each bind() has this answer.
fn explained(width: usize, errno: Errno) -> String {
    let addresses = [
        BindAddress::Any4,
        BindAddress::AnyDual,
        BindAddress::Any6,
        BindAddress::At(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ];
    let row = |(address, reuse): (BindAddress, Reuse)| BindRow {
        probe: address.to_string(),
        bind: Bind { protocol: Protocol::Tcp, address, reuse },
        answer: Answer { verdict: Verdict::Free, because: "no socket is on the port".to_owned() },
        refusal: None,
        probed: Probed::Tried(if reuse == Reuse::Port { Ok(()) } else { Err(errno) }),
    };
    let each = addresses.into_iter().flat_map(|a| Reuse::EACH.map(|reuse| (a, reuse)));
    let sides = [ProtocolPort {
        protocol: Protocol::Tcp,
        service: None,
        binds: each.map(row).collect(),
        connects: Vec::new(),
        destinations_left_out: 0,
        remote: None,
        frees_when: None,
    }];
    let Sample { snapshot, processes, .. } = sample();
    let scan = Scan { snapshot: &snapshot, processes: &processes };
    let explanation = Explanation { scan, port: 9999, publications: &None, sides: &sides };
    let answer = Explanations { scan, ports: vec![explanation], left_out: None };
    let mut text = Vec::new();
    let mut page = Page::new(&mut text, wide(width));
    report::explain::text::write(&answer, Reasons::Omitted, &mut page).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_table_of_binds_never_folds() {
    for width in [40, 60, 80, 100, 160] {
        for errno in [Errno::EADDRNOTAVAIL, Errno::EACCES] {
            let text = explained(width, errno);
            assert!(widest(&text) <= width, "{width}\n{text}");
            // A row has its three answers on one line, or the address begins a paragraph.
            let local = text.lines().filter(|line| line.contains("127.0.0.1")).collect::<Vec<_>>();
            let is_row = local[0].matches(&errno.to_string()).count() == 2;
            assert!(is_row || local[0].contains("127.0.0.1: "), "{width}\n{text}");
        }
    }
    let text = explained(80, Errno::EADDRNOTAVAIL);
    assert!(text.contains("127.0.0.1            EADDRNOTAVAIL* EADDRNOTAVAIL* yes"), "{text}");
    assert!(text.contains("    * tried; the tables of sockets say yes.\n"), "{text}");
    assert!(explained(100, Errno::EADDRNOTAVAIL).contains("yes (tried: EADDRNOTAVAIL)"));
}

#[test]
fn values_that_could_not_be_read_are_marked_in_text_and_null_in_json() {
    let assumed = |sysctl: &str| {
        let sysctl = Text::scrub(sysctl);
        Gap::PolicyAssumed { sysctl, error: Errno::EACCES }
    };
    let reported = |gaps: &[Gap]| {
        let Sample { mut snapshot, processes, .. } = sample();
        snapshot.gaps = gaps.to_vec();
        let scan = Scan { snapshot: &snapshot, processes: &processes };
        let explanation = Explanation { scan, port: 80, publications: &None, sides: &[] };
        let answer = Explanations { scan, ports: vec![explanation], left_out: None };
        let (mut text, mut explained, mut scanned) = (Vec::new(), Vec::new(), Vec::new());
        let mut page = Page::new(&mut text, wide(200));
        report::explain::text::write(&answer, Reasons::Omitted, &mut page).unwrap();
        report::explain::json::write(&answer, &mut explained).unwrap();
        report::json::write_scan(scan, &mut scanned).unwrap();
        let json = |bytes: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
        (String::from_utf8(text).unwrap(), json(explained), json(scanned)["ephemeral"].clone())
    };
    let (text, explained, ephemeral) = reported(&[]);
    assert!(!text.contains("assumed") && text.contains("needs CAP_NET_BIND_SERVICE."), "{text}");
    assert_eq!((&explained["reserved"], &explained["privileged"]), (&false.into(), &true.into()));
    assert!(ephemeral["first"].is_number() && ephemeral["reserved"].is_array(), "{ephemeral}");

    let gaps = [Gap::RANGE, Gap::RESERVED, Gap::UNPRIVILEGED_START].map(assumed);
    let (text, explained, ephemeral) = reported(&gaps);
    for expected in
        [" (assumed); whether it is reserved is unknown", "needs CAP_NET_BIND_SERVICE (assumed)."]
    {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    for key in ["ranges", "reserved", "privileged"] {
        assert!(explained[key].is_null(), "{key}: {explained}");
    }
    for key in ["first", "last", "reserved", "automatic_capacity"] {
        assert!(ephemeral[key].is_null(), "{key}: {ephemeral}");
    }
}
