//! The built program from outside: `diagnose` and `explain`, their formats and their exit codes.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::MetadataExt as _,
    process::{Output, Stdio},
    sync::Mutex,
    time::Duration,
};

use portscope::{
    domain::{Diagnosis, Gap, Protocols, Table, Thresholds},
    engine::sample::Sample,
    host::simulated::SimulatedHost,
    report::{self, Health, Scan, Status, diagnose::text::ReportedFindings},
};
use serde_json::Value;

use crate::{
    folder::Folder,
    namespace::{self, in_new_namespace},
    outputs::{json, keys, program, stderr, stdout},
    processes,
};

fn run(arguments: &str) -> Output {
    let arguments = arguments.split(' ');
    let mut command = program();
    processes::output_of(command.args(arguments))
}

/// Whether our process is among the owners. Until its exec(), a process that another test starts
/// holds copies of our descriptors, too.
fn is_among(owners: &Value) -> bool {
    owners.as_array().unwrap().iter().any(|owner| owner["pid"] == std::process::id())
}

/// Asserts that the object has at least these keys, which the format promises.
#[track_caller]
fn assert_keys(object: &Value, required_keys: &[&str]) {
    let keys = keys(object);
    for key in required_keys {
        assert!(keys.contains(key), "{key} is missing in {object}");
    }
}

fn assert_text_is_plain(output: &Output) {
    let text = stdout(output);
    assert!(!text.contains(|c: char| c != '\n' && c.is_control()), "{text:?}");
    assert!(text.ends_with('\n') && !text.contains(" \n"), "{text}");
}

/// Sets the ephemeral range, and uses all its ports for connections to one listener.
fn fill(range: &str) -> (TcpListener, Vec<TcpStream>) {
    namespace::set_sysctl("ip_local_port_range", range);
    let listener = TcpListener::bind("127.0.0.1:5000").unwrap();
    let mut streams = Vec::new();
    while let Ok(stream) = TcpStream::connect("127.0.0.1:5000") {
        streams.push(stream);
        streams.push(listener.accept().unwrap().0);
    }
    (listener, streams)
}

#[test]
fn bad_input_of_diagnose_is_unknown_in_one_line() {
    for (arguments, reported) in [
        ("diagnose --warn 101", "1 to 100"),
        ("diagnose --warn 0", "1 to 100"),
        ("diagnose --warn -5", "1 to 100"),
        ("diagnose --critical 100.5", "1 to 100"),
        ("diagnose --critical much", "1 to 100"),
        ("diagnose --critical NaN", "1 to 100"),
        ("diagnose --critical inf", "1 to 100"),
        ("diagnose --warn=", "1 to 100"),
        ("diagnose --warn 90", "--critical 85"),
        ("diagnose --warn 60 --critical 50", "lower --warn, or raise --critical"),
        ("diagnose --sample 61", "0 to 60"),
        ("diagnose --sample -1", "0 to 60"),
        ("diagnose --sample soon", "0 to 60"),
        ("diagnose --format csv", "text, json, prometheus"),
        ("diagnose --top 1001", "0 to 1000"),
        ("diagnose --top -1", "0 to 1000"),
        ("diagnose --top all", "0 to 1000"),
        ("diagnose --protocol sctp", "tcp, udp, both"),
        ("diagnose --output=", "expected a file"),
        ("diagnose --sample 0 --output /nowhere/x", "could not write /nowhere/x"),
        ("diagnose --frobnicate", "diagnose has no option '--frobnicate'"),
        ("diagnose 80", "unexpected argument '80'"),
        ("diagnose --warn", "needs a value"),
        ("diagnose --warn 50 --warn 60", "twice"),
    ] {
        let output = run(arguments);
        let line = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{arguments}: {line}");
        assert!(
            line.starts_with("portscope: ") && line.contains(reported),
            "{line:?} lacks {reported:?}"
        );
        // If only writing the output fails, gaps may be printed before the error.
        let is_written = arguments.contains("nowhere");
        assert!(is_written || line.matches('\n').count() == 1, "{line:?}");
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn help_names_the_exit_codes_of_each_command() {
    for (arguments, reported) in
        [("diagnose --help", "3 UNKNOWN"), ("explain --help", "1 port not in use")]
    {
        let output = run(arguments);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
        let words: Vec<&str> = stdout(&output).split_whitespace().collect();
        assert!(words.join(" ").contains(reported), "{}", stdout(&output));
    }
}

#[test]
fn an_idle_machine_is_ok_and_reports_the_ports_left() {
    in_new_namespace(|| {
        let output = run("diagnose --sample 0");
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        let text = stdout(&output);
        assert!(text.starts_with("OK  TCP uses 0 of 28,232 ports (0 %), UDP uses 0 of 28,232"));
        assert!(text.contains("ports left: 28,232 for any destination"), "{text}");
        assert_text_is_plain(&output);
        let udp = run("diagnose --sample 0 --protocol udp");
        assert!(stdout(&udp).starts_with("OK  UDP uses 0 of 28,232 ports (0 %)\n"));
        assert!(!stdout(&udp).contains("tcp"), "{}", stdout(&udp));
    });
}

#[test]
fn a_full_destination_is_critical_and_others_are_not_affected() {
    in_new_namespace(|| {
        let _full = fill("40000 40063");
        let output = run("diagnose --sample 0");
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.starts_with("CRITICAL  "), "{text}");
        assert!(text.lines().next().unwrap().contains("127.0.0.1:5000"), "{text}");
        assert_text_is_plain(&output);
        let health = json(&run("diagnose --sample 0 --format json"));
        assert_eq!(
            (&health["schema"], &health["status"]),
            (&"portscope.diagnose/1".into(), &"critical".into())
        );
        let row = &health["destinations"][0];
        assert_eq!(
            (&row["used"], &row["capacity"], &row["available"]),
            (&64.into(), &64.into(), &0.into())
        );
        assert!(is_among(&row["owners"]), "{row}");
        let rules: Vec<_> =
            health["findings"].as_array().unwrap().iter().map(|f| &f["rule"]).collect();
        assert!(rules.contains(&&"destination-exhausted".into()), "{rules:?}");
        // UDP has no destinations, and its range is unused.
        assert_eq!(run("diagnose --sample 0 --protocol udp").status.code(), Some(0));
    });
}

#[test]
fn the_thresholds_decide_between_ok_warning_and_critical() {
    in_new_namespace(|| {
        namespace::set_sysctl("ip_local_port_range", "40000 40099");
        let _held: Vec<_> =
            (40_000..40_060).map(|port| UdpSocket::bind(("127.0.0.1", port)).unwrap()).collect();
        let code = |options: &str| {
            run(&format!("diagnose --sample 0 --protocol udp {options}")).status.code()
        };
        assert_eq!(code("--warn 61 --critical 70"), Some(0));
        assert_eq!(code("--warn 59.5 --critical 70"), Some(1));
        assert_eq!(code("--warn 10 --critical 60"), Some(2));
    });
}

#[test]
fn sockets_that_could_not_be_listed_make_an_ok_unknown() {
    let error = portscope::domain::Errno::EACCES;
    for (table, protocols, status) in [
        (Table::Udp4, Protocols::Both, Status::Unknown),
        (Table::Udp4, Protocols::Udp, Status::Unknown),
        (Table::Udp4, Protocols::Tcp, Status::Ok),
    ] {
        let gap = Gap::TableRefused { table, error };
        let host = SimulatedHost::builder().gap(gap).build();
        let sample = Sample::take(&host, protocols, Duration::ZERO, &Mutex::default()).unwrap();
        let diagnosis = Diagnosis::default();
        let health = Health {
            scan: Scan { snapshot: &sample.snapshot, processes: &sample.processes },
            analysis: &sample.analysis,
            trends: sample.monitor.trends(),
            diagnosis: &diagnosis,
            protocols,
            thresholds: Thresholds::default(),
            sampled: None,
            top: None,
            filter: None,
        };
        assert_eq!(health.status(), status, "{protocols:?}");
        let mut text = Vec::new();
        let mut page = report::Page::new(&mut text, report::PageStyle::default());
        report::diagnose::text::write(&health, ReportedFindings::FirstInFull, &mut page).unwrap();
        let reported = String::from_utf8(text).unwrap();
        let is_reported = reported
            .starts_with("UNKNOWN  sockets missing: the UDP over IPv4 table cannot be read (");
        assert_eq!(is_reported, status == Status::Unknown, "{reported}");
    }
}

#[test]
fn counts_of_sockets_that_could_not_be_listed_are_unknown() {
    let error = portscope::domain::Errno::EACCES;
    for gap in [
        Gap::TableRefused { table: Table::Udp4, error },
        Gap::DumpTruncated { table: Table::Udp4 },
        Gap::DumpInterrupted { table: Table::Udp4 },
    ] {
        let host = SimulatedHost::builder().gap(gap).build();
        let sample =
            Sample::take(&host, Protocols::Both, Duration::ZERO, &Mutex::default()).unwrap();
        let diagnosis = Diagnosis::default();
        let health = Health {
            scan: Scan { snapshot: &sample.snapshot, processes: &sample.processes },
            analysis: &sample.analysis,
            trends: sample.monitor.trends(),
            diagnosis: &diagnosis,
            protocols: Protocols::Both,
            thresholds: Thresholds::default(),
            sampled: None,
            top: None,
            filter: None,
        };
        assert_eq!(health.status(), Status::Unknown);
        let mut document = Vec::new();
        report::diagnose::json::write(&health, &mut document).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        let [tcp, udp] = [0, 1].map(|index| &document["ranges"][index]);
        assert_eq!((&tcp["level"], &udp["level"]), (&"OK".into(), &"UNKNOWN".into()));
        for key in ["occupied", "time_wait", "bind_available", "low_parity_available"] {
            assert!(tcp[key].is_number() && udp[key].is_null(), "{key}: {tcp} {udp}");
        }
        assert_eq!(udp["size"], 28_232);
        let mut text = Vec::new();
        let mut page = report::Page::new(&mut text, report::PageStyle::default());
        report::diagnose::text::write(&health, ReportedFindings::FirstInFull, &mut page).unwrap();
        let reported = String::from_utf8(text).unwrap();
        let row = reported.lines().find(|line| line.starts_with("udp")).unwrap();
        assert!(row.contains("UNKNOWN") && row.contains(" ? "), "{reported}");
    }
}

#[test]
fn the_requested_number_of_destinations_is_listed() {
    in_new_namespace(|| {
        let listener = TcpListener::bind("0.0.0.0:5000").unwrap();
        let to = |last: u8| TcpStream::connect((Ipv4Addr::new(127, 0, 0, last), 5000)).unwrap();
        let _streams: Vec<_> =
            (1..=12).map(|last| (to(last), listener.accept().unwrap())).collect();
        for (asked, in_text, in_json) in [("", 10, 12), (" --top 3", 3, 3), (" --top 0", 0, 0)] {
            let text = run(&format!("diagnose --sample 0{asked}"));
            let listed = stdout(&text).lines().filter(|line| line.starts_with("127.0.0.1 →"));
            assert_eq!(listed.count(), in_text, "{asked}: {}", stdout(&text));
            let more = format!("and {} more destinations", 12 - in_text);
            assert!(stdout(&text).contains(&more), "{}", stdout(&text));
            let health = json(&run(&format!("diagnose --sample 0 --format json{asked}")));
            assert_eq!(health["destinations"].as_array().unwrap().len(), in_json, "{asked}");
            assert_eq!(health["destinations_total"], 12);
        }
    });
}

#[test]
fn diagnose_json_keeps_the_contract() {
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:5000").unwrap();
        let _client = TcpStream::connect("127.0.0.1:5000").unwrap();
        let _server = listener.accept().unwrap();
        let health = json(&run("diagnose --format json --sample 1"));
        let top = ["schema", "status", "ranges", "destinations", "findings", "taken_at", "host"];
        assert_keys(&health, &top);
        assert_keys(&health, &["complete", "missing", "destinations_total"]);
        let protocols: Vec<_> =
            health["ranges"].as_array().unwrap().iter().map(|range| &range["protocol"]).collect();
        assert_eq!(protocols, ["tcp", "udp"]);
        for range in health["ranges"].as_array().unwrap() {
            let required_keys = [
                "protocol",
                "first",
                "last",
                "size",
                "occupied",
                "time_wait",
                "bind_available",
                "low_parity_available",
                "unconnectable",
                "suspected",
            ];
            assert_keys(range, &required_keys);
        }
        let required_keys = [
            "protocol",
            "source",
            "destination",
            "port",
            "used",
            "capacity",
            "available",
            "time_wait",
            "per_second",
            "seconds_to_exhaustion",
            "seconds_to_exhaustion_earliest",
            "seconds_to_exhaustion_latest",
            "owners",
            "owners_total",
            "used_share",
        ];
        let row = &health["destinations"][0];
        assert_keys(row, &required_keys);
        assert_eq!((&row["destination"], &row["port"]), (&"127.0.0.1".into(), &5000.into()));
        assert_eq!((&row["used"], &row["owners_total"]), (&1.into(), &1.into()));
        assert!(row["per_second"].is_number(), "{row}");
        assert_keys(&row["owners"][0], &["pid", "name", "sockets"]);
        let single = json(&run("diagnose --format json --sample 0"));
        assert_eq!(single["destinations"][0]["per_second"], Value::Null);
        assert_eq!(single["destinations"][0]["seconds_to_exhaustion"], Value::Null);
    });
}

#[test]
fn each_json_finding_has_a_subject_and_advice() {
    in_new_namespace(|| {
        let _full = fill("40000 40063");
        let health = json(&run("diagnose --format json --sample 0"));
        let findings = health["findings"].as_array().unwrap();
        assert!(!findings.is_empty());
        for finding in findings {
            let required_keys = ["rule", "severity", "summary", "evidence", "advice", "meaning"];
            assert_keys(finding, &required_keys);
            assert_keys(finding, &["avoid", "about"]);
            assert!(finding["evidence"].is_object() && finding["about"]["kind"].is_string());
            assert!(!finding["advice"].as_array().unwrap().is_empty(), "{finding}");
        }
    });
}

#[test]
fn a_report_goes_to_a_file_and_its_status_to_the_exit_code() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:40101").unwrap();
        let folder = Folder::new();
        let file = folder.path("report.json");
        for (command, schema) in [
            ("diagnose --sample 0", "portscope.diagnose/1"),
            ("explain 40101", "portscope.explain/1"),
        ] {
            let output = run(&format!("{command} --format json --output {}", file.display()));
            assert_eq!((output.status.code(), stdout(&output)), (Some(0), ""));
            let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            assert_eq!(written["schema"], schema);
        }
    });
}

#[test]
fn a_closed_pipe_is_silent_and_a_full_disk_is_an_error() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:40101").unwrap();
        for (command, failed) in [("diagnose --sample 0", 3), ("explain 40101", 2)] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let full = fs::File::options().write(true).open("/dev/full").unwrap();
            let run = |out: Stdio| program().args(command.split(' ')).stdout(out).output().unwrap();
            let closed = run(writer.into());
            assert_eq!((closed.status.code(), stderr(&closed)), (Some(0), ""), "{command}");
            let lost = run(full.into());
            assert_eq!(lost.status.code(), Some(failed), "{command}");
            assert!(stderr(&lost).contains("No space left on device"), "{}", stderr(&lost));
        }
    });
}

#[test]
fn a_closed_pipe_does_not_make_a_critical_machine_ok() {
    in_new_namespace(|| {
        let _full = fill("40000 40063");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program();
        let output = command.args(["diagnose", "--sample", "0"]).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(2), ""));
    });
}

#[test]
fn a_free_port_is_explained_with_exit_code_1() {
    in_new_namespace(|| {
        let output = run("explain 40101");
        assert_eq!((output.status.code(), stderr(&output)), (Some(1), ""));
        let text = stdout(&output);
        assert!(text.contains("TCP 40101 is not in use"), "{text}");
        assert!(text.contains("UDP 40101 is not in use"), "{text}");
        assert_text_is_plain(&output);
    });
}

#[test]
fn explain_names_the_holder_of_a_port_and_what_it_blocks() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("0.0.0.0:40101").unwrap();
        let output = run("explain 40101 --protocol tcp --why");
        let words: Vec<&str> = stdout(&output).split_whitespace().collect();
        let text = words.join(" ");
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{text}");
        // Until its exec(), a process that another test starts holds copies of our descriptors,
        // too.
        let holder = format!("[{}]", std::process::id());
        assert!(text.contains("TCP 40101 is held by ") && text.contains(&holder), "{text}");
        assert!(text.contains("] (LISTEN on 0.0.0.0:40101, user root)."), "{text}");
        assert!(text.contains("A bind() to 0.0.0.0"), "{text}");
        assert!(text.contains("fails with EADDRINUSE"), "{text}");
        assert!(text.contains("Started: ") && text.contains("Open since: unknown"), "{text}");
        assert!(text.contains("A connect() to a new destination"), "{text}");
        assert!(!text.contains("UDP 40101"), "{text}");
        assert_text_is_plain(&output);
        // The port is not in use on UDP.
        assert_eq!(run("explain 40101 --protocol udp").status.code(), Some(1));
    });
}

#[test]
fn explain_json_keeps_the_contract() {
    in_new_namespace(|| {
        namespace::set_sysctl("ip_local_reserved_ports", "40101");
        let listener = TcpListener::bind("127.0.0.1:40101").unwrap();
        let client = TcpStream::connect("127.0.0.1:40101").unwrap();
        let _server = listener.accept().unwrap();
        let reported = json(&run("explain 40101 --format json --address 127.0.0.3"));
        assert_keys(&reported, &["schema", "port", "ranges", "reserved", "protocols", "complete"]);
        assert_eq!(
            (&reported["schema"], &reported["port"]),
            (&"portscope.explain/1".into(), &40101.into())
        );
        assert_eq!(reported["ranges"], serde_json::json!(["ephemeral"]));
        assert_eq!(reported["reserved"], true);
        let [tcp, udp] = [&reported["protocols"][0], &reported["protocols"][1]];
        assert_eq!((&tcp["protocol"], &udp["protocol"]), (&"tcp".into(), &"udp".into()));
        assert_eq!(tcp["sockets"].as_array().unwrap().len(), 2);
        assert_keys(&tcp["sockets"][0], &["protocol", "state", "local", "remote", "owner"]);
        assert!(tcp["frees_when"].is_string() && udp["frees_when"].is_null());
        let rows: Vec<(&str, &str)> = tcp["bind"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["probe"].as_str().unwrap(), row["reuse"].as_str().unwrap()))
            .collect();
        let probes = ["0.0.0.0", "[::] dual", "[::] v6only", "127.0.0.1", "::1", "127.0.0.3"];
        let expected =
            probes.iter().flat_map(|probe| ["none", "address", "port"].map(|r| (*probe, r)));
        assert_eq!(rows, expected.collect::<Vec<_>>());
        for row in tcp["bind"].as_array().unwrap().iter().chain(udp["bind"].as_array().unwrap()) {
            assert_keys(row, &["probe", "reuse", "verdict", "because", "probed"]);
            assert!(["free", "in-use", "unknown"].contains(&row["verdict"].as_str().unwrap()));
            assert_eq!(row["probed"], Value::Null);
        }
        let connect = tcp["connect"].as_array().unwrap();
        assert_eq!(
            (&connect[0]["source"], &connect[0]["destination"]),
            (&Value::Null, &Value::Null)
        );
        let peer = client.local_addr().unwrap();
        assert!(
            connect
                .iter()
                .any(|row| row["destination"] == "127.0.0.1" && row["port"] == peer.port())
        );
        assert!(is_among(&tcp["holders"]), "{tcp}");
        let holder = &tcp["holders"][0];
        assert!(holder["started"].as_str().unwrap().ends_with('Z'));
        assert_eq!(holder["started_at"], holder["started"]);
        assert_keys(holder, &["command", "cwd", "unit", "parent", "uid", "user"]);
        assert!(holder["parent"]["pid"].is_u64(), "{holder}");
        // This process is one of the holders.
        let cwd = std::env::current_dir().unwrap();
        let own = tcp["holders"].as_array().unwrap().iter();
        let own = own.filter(|holder| holder["pid"] == std::process::id()).collect::<Vec<_>>();
        assert_eq!(own[0]["cwd"], cwd.to_str().unwrap());
    });
}

/// Each verdict that is certain must agree with a real bind().
#[test]
fn a_probe_confirms_the_answer_from_the_tables() {
    in_new_namespace(|| {
        let _tcp = TcpListener::bind("127.0.0.1:40101").unwrap();
        let _udp = UdpSocket::bind("[::]:40101").unwrap();
        let reported = json(&run("explain 40101 --probe --format json"));
        let mut tried = BTreeSet::new();
        for protocol in reported["protocols"].as_array().unwrap() {
            for row in protocol["bind"].as_array().unwrap() {
                let (verdict, probed) = (row["verdict"].as_str(), row["probed"].as_str());
                assert!(verdict == Some("unknown") || verdict == probed, "{protocol} {row}");
                assert_eq!(row["errno"].is_null(), probed == Some("free"), "{row}");
                tried.insert(probed.unwrap());
            }
        }
        assert_eq!(tried, ["free", "in-use"].into());
        let text = run("explain 40101 --probe --why");
        assert!(stdout(&text).contains("Tried: EADDRINUSE."), "{}", stdout(&text));
        assert!(stdout(&text).contains("Tried: it succeeded."), "{}", stdout(&text));
    });
}

#[test]
fn a_foreign_address_is_neither_free_nor_in_use() {
    in_new_namespace(|| {
        let reported = json(&run("explain 40101 --probe --address 192.0.2.1 --format json"));
        let rows = reported["protocols"][0]["bind"].as_array().unwrap();
        let foreign: Vec<_> = rows.iter().filter(|row| row["probe"] == "192.0.2.1").collect();
        assert_eq!(foreign.len(), 3);
        for row in foreign {
            assert_eq!(
                (&row["probed"], &row["errno"]),
                (&"unknown".into(), &"EADDRNOTAVAIL".into())
            );
        }
    });
}

#[test]
fn each_namespace_is_diagnosed_and_the_worst_status_is_returned() {
    in_new_namespace(|| {
        let _full = fill("40000 40063");
        let ours = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
        let is_ours = |reported: &&Value| reported["host"]["network_namespace"] == ours;
        let output = run("diagnose --netns all --sample 0 --format json");
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let all = json(&output);
        assert_eq!(keys(&all), ["schema", "status", "namespaces", "complete", "missing"].into());
        assert_eq!(
            (&all["schema"], &all["status"]),
            (&"portscope.diagnose/1".into(), &"critical".into())
        );
        let judged = all["namespaces"].as_array().unwrap().iter().find(is_ours).unwrap();
        assert_eq!(judged["status"], "critical");
        assert_eq!(judged["destinations"][0]["used"], 64);
        let text = run("diagnose --netns all --sample 0");
        let heading = format!("(net {ours})\nCRITICAL  TCP 127.0.0.1 → 127.0.0.1:5000 ");
        assert_eq!(text.status.code(), Some(2));
        assert!(stdout(&text).contains(&heading), "{}", stdout(&text));
    });
}

#[test]
fn a_port_is_explained_in_each_namespace() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:46733").unwrap();
        let ours = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
        let is_ours = |reported: &&Value| reported["host"]["network_namespace"] == ours;
        let output = run("explain 46733 --netns all --format json");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let all = json(&output);
        assert_eq!(keys(&all), ["schema", "namespaces", "complete", "missing"].into());
        let reported = all["namespaces"].as_array().unwrap().iter().find(is_ours).unwrap();
        assert_eq!(
            (&reported["port"], &reported["schema"]),
            (&46733.into(), &"portscope.explain/1".into())
        );
        assert_eq!(reported["protocols"][0]["sockets"].as_array().unwrap().len(), 1);
        let text = run("explain 46733 --netns all");
        assert_eq!(text.status.code(), Some(0));
        assert!(stdout(&text).contains(&format!("(net {ours})\nTCP 46733 is held by ")));
    });
}
