//! The built program from outside: its output, where it goes, and the exit code.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    folder::Folder,
    namespace::{self, in_new_namespace, is_linux_at_least},
    outputs::{PROGRAM, assert_refused, command, json, keys, program, stderr, stdout},
    processes,
};

fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    processes::output_of(program().args(arguments))
}

#[test]
fn name_near_a_command_is_refused_unless_a_process_begins_with_it() {
    in_new_namespace(|| {
        let misspelt = |word: &str| stderr(&run([word])).contains("unknown command");
        assert!(misspelt("serv") && misspelt("lam"));
        let folder = Folder::new();
        let listener: OwnedFd = TcpListener::bind("127.0.0.1:8080").unwrap().into();
        let path = folder.path("Server-7");
        let alone = processes::alone();
        fs::copy("/proc/self/exe", &path).unwrap();
        let mut server = Command::new(path);
        server.args(["--exact", "cli::sleeps", "--ignored"]).stdout(Stdio::null());
        let server = processes::Sleeper::spawn(server.stdin(listener));
        drop(alone);
        assert!(server.pid() > 0);
        assert!(!misspelt("serv") && misspelt("lam"));
    });
}

#[test]
#[ignore = "a role"]
fn sleeps() {
    loop {
        std::thread::park();
    }
}

#[test]
fn help_lists_only_what_exists() {
    let unbuilt = [
        "record",
        "replay",
        "scenario",
        "\n  report",
        "\n  export",
        "completions",
        "--fallback",
        "--fault",
        "\n  help",
    ];
    for arguments in [
        &["--help"][..],
        &["scan", "--help"],
        &["diagnose", "--help"],
        &["explain", "--help"],
        &["pick", "--help"],
        &["exec", "--help"],
        &["serve", "--help"],
        &["lab", "--help"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stderr(&output), "");
        for word in unbuilt {
            assert!(!stdout(&output).contains(word), "{arguments:?} tells of {word}");
        }
    }
    assert!(stdout(&run(["--help"])).contains("scan") && stdout(&run(["--help"])).contains("pick"));
    assert!(stdout(&run(["pick", "--help"])).contains("hint"));
}

#[test]
fn bad_input_is_reported_in_one_line_and_has_no_effect() {
    for (arguments, reported) in [
        ("scan --range 9-8", "expected 8-9"),
        ("scan --range 1-70000", "0 to 65535"),
        ("scan --range abc", "FIRST-LAST"),
        ("scan --range", "needs a value"),
        ("scan --protocol icmp", "tcp, udp, both"),
        ("scan --format yaml", "text, json, csv"),
        ("scan --frobnicate", "scan has no option '--frobnicate'"),
        ("scan --xyz", "see 'portscope scan --help'"),
        ("pick -count 3", "pick has no option '-count': did you mean '--count'?"),
        ("pick 8080", "unexpected argument '8080': use --range 8080"),
        ("diagnos", "unknown command 'diagnos': did you mean 'diagnose'?"),
        ("explian 8080", "unknown command 'explian': did you mean 'explain'?"),
        ("run-actor", "run-actor is started by 'lab --race'"),
        ("scan extra more", "unexpected argument 'more'"),
        ("explain", "missing argument <PORT|NAME>: see 'portscope explain --help'"),
        ("explain 0", "1 to 65535"),
        ("explain 65536", "1 to 65535"),
        ("explain -1", "1 to 65535"),
        ("explain 80 443", "unexpected argument '443'"),
        ("explain 80 --address nowhere", "127.0.0.1"),
        ("explain 80 --format csv", "text, json"),
        ("explain 80 --output=", "invalid value '' for --output: expected a file"),
        ("--ascii diagnose", "must come first"),
        ("pick --format csv", "text, json"),
        ("pick --strategy best", "random"),
        ("pick --range 0", "1 to 65535"),
        ("pick --range 0-7", "expected 1-7"),
        ("pick --range 50-40", "expected 40-50"),
        ("pick --max-attempts 0", "1 to 4294967295"),
        ("pick --count 0", "1 to 65535"),
        ("pick --block 65536", "1 to 65535"),
        (
            "pick --count 5 --range 1-4",
            "invalid value '5' for --count: expected 1 to 4 (range 1-4 has 4 ports)",
        ),
        ("pick --seed 9007199254740992", "below 2^53"),
        ("pick --address nowhere", "127.0.0.1"),
        ("--interval 0", "0.1 to 3600"),
        ("--theme pink", "auto, dark, light, high-contrast, high-contrast-light"),
        ("--no-motion=1", "--no-motion"),
        ("70000", "0 to 65535"),
        ("8080 redis", "unexpected argument 'redis'"),
        ("--ascii scan", "must come first"),
    ] {
        assert_refused(&run(arguments.split(' ')), 2, reported);
    }
}

#[test]
fn echoed_arguments_are_escaped() {
    for option in ["--range", "--format", "--\u{1b}]0;PWN\u{7}"] {
        let output = run(["scan", option, "\u{1b}[2J\n\u{202e}x"]);
        assert_refused(&output, 2, "\\u{1b}");
    }
    let file = OsStr::from_bytes(b"/nowhere/\x1b[2J\xff");
    let output = run([OsStr::new("scan"), OsStr::new("--output"), file]);
    assert_refused(&output, 2, "could not write /nowhere/\\u{1b}[2J\\xff: ");
}

#[test]
fn without_a_terminal_the_error_names_the_matching_command() {
    for arguments in [&[][..], &["8080"], &["--color", "truecolor"]] {
        let output = run(arguments);
        assert_refused(&output, 2, "portscope scan");
    }
}

const READERS: [&str; 4] = ["scan", "scan --format json", "scan --format csv", "--help"];

#[test]
fn output_that_cannot_be_written_is_an_error() {
    READERS.into_iter().for_each(assert_lost_output_is_reported);
    in_new_namespace(|| assert_lost_output_is_reported("pick"));
    assert_refused(&run(["scan", "--output", "/dev/full"]), 2, "No space left on device");
}

fn assert_lost_output_is_reported(arguments: &str) {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = program().args(arguments.split(' ')).stdout(full).output();
    assert_refused(&output.unwrap(), 2, "No space left on device");
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" >&-", PROGRAM]).args(arguments.split(' '));
    assert_refused(&shell.output().unwrap(), 2, "standard output");
}

#[test]
fn a_closed_pipe_is_a_silent_success() {
    READERS.into_iter().for_each(assert_closed_pipe_is_quiet);
    in_new_namespace(|| assert_closed_pipe_is_quiet("pick"));
}

fn assert_closed_pipe_is_quiet(arguments: &str) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = program().args(arguments.split(' ')).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{arguments}");
}

#[test]
fn an_output_file_is_replaced_atomically_and_a_link_is_kept() {
    let folder = Folder::new();
    let (file, link) = (folder.path("scan.json"), folder.path("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink("scan.json", &link).unwrap();
    let output = run([
        OsStr::new("scan"),
        OsStr::new("--format=json"),
        OsStr::new("--output"),
        link.as_os_str(),
    ]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), ""));
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["schema"], "portscope.scan/1");
    assert!(link.is_symlink());
    assert_eq!(folder.names().len(), 2);
}

#[test]
fn scan_json_keeps_the_contract() {
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:40001").unwrap();
        let _client = TcpStream::connect("127.0.0.1:40001").unwrap();
        let _udp = UdpSocket::bind("[::]:40002").unwrap();
        let scan = json(&run(["scan", "--format", "json"]));
        drop(listener);
        assert_eq!(
            keys(&scan),
            ["schema", "taken_at", "host", "source", "complete", "missing", "ephemeral", "sockets"]
                .into()
        );
        assert_eq!(keys(&scan["host"]), ["name", "kernel", "network_namespace"].into());
        assert_eq!(
            keys(&scan["ephemeral"]),
            ["first", "last", "reserved", "automatic_capacity"].into()
        );
        let taken_at = scan["taken_at"].as_str().unwrap();
        assert!(taken_at.len() == 27 && taken_at.ends_with('Z'), "{taken_at}");
        let sockets = scan["sockets"].as_array().unwrap();
        assert_eq!(sockets.len(), 4);
        for socket in sockets {
            assert_socket_keeps_the_contract(socket);
        }
        let udp = sockets.iter().find(|s| s["protocol"] == "udp").unwrap();
        assert_eq!((&udp["family"], &udp["state"]), (&"dual".into(), &"UNCONNECTED".into()));
        assert_eq!(udp["remote"], Value::Null);
    });
}

fn assert_socket_keeps_the_contract(socket: &Value) {
    let expected = [
        "protocol",
        "family",
        "state",
        "local",
        "interface",
        "remote",
        "inode",
        "uid",
        "user",
        "cookie",
        "expires_ms",
        "owner",
    ];
    assert_eq!(keys(socket), expected.into());
    assert!(socket["local"]["address"].is_string() && socket["local"]["port"].is_u64());
    assert!(socket["remote"].is_null() || socket["remote"]["port"].is_u64());
    assert_eq!(socket["uid"].is_null(), socket["user"].is_null());
    assert!(socket["interface"].is_null(), "bound to none");
    assert_eq!(keys(&socket["owner"]), ["kind", "processes"].into());
    for process in socket["owner"]["processes"].as_array().unwrap() {
        assert_eq!(keys(process), ["pid", "name"].into());
        assert!(process["pid"].is_u64());
    }
}

#[test]
fn without_owners_the_json_owner_is_null() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:40001").unwrap();
        let scan = json(&run(["scan", "--no-owners", "--format", "json"]));
        assert_eq!(scan["sockets"][0]["owner"], Value::Null);
        assert!(stdout(&run(["scan", "--no-owners"])).trim_end().ends_with(" -"));
    });
}

#[test]
fn scan_lists_the_ports_and_protocols_asked_for() {
    in_new_namespace(|| {
        let _tcp = TcpListener::bind("127.0.0.1:40001").unwrap();
        let _udp = UdpSocket::bind("127.0.0.1:40001").unwrap();
        let _far = TcpListener::bind("127.0.0.1:80").unwrap();
        let lines = |arguments: &str| stdout(&run(arguments.split(' '))).lines().count() - 1;
        assert_eq!(lines("scan"), 3);
        assert_eq!(lines("scan --protocol tcp"), 2);
        assert_eq!(lines("scan --range 40001"), 2);
        assert_eq!(lines("scan --range ephemeral --protocol udp"), 1);
        assert_eq!(lines("scan --range 0-79"), 0);
    });
}

#[test]
fn csv_has_the_header_of_the_contract_and_plain_line_ends() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("[::1]:40001").unwrap();
        let output = run(["scan", "--format", "csv"]);
        let table = stdout(&output);
        let header = "protocol,family,state,local_address,local_port,remote_address,remote_port,\
                      uid,user,inode,cookie,expires_ms,owner_kind,pids,names\n";
        assert!(table.starts_with(header), "{table}");
        assert!(!table.contains('\r'));
        let rows: Vec<_> = csv::Reader::from_reader(table.as_bytes()).into_records().collect();
        let row = rows[0].as_ref().unwrap();
        assert_eq!((rows.len(), row.len()), (1, 15));
        assert_eq!((&row[0], &row[2], &row[3], &row[4]), ("tcp", "LISTEN", "::1", "40001"));
        // Until its exec(), a process that another test starts holds copies of our descriptors,
        // too.
        let own = std::process::id().to_string();
        assert!(row[13].split(';').any(|pid| pid == own), "{row:?}");
    });
}

/// Starts a shell, under this file name, that holds `socket` until the test ends.
fn holder(folder: &Folder, name: &[u8], socket: impl Into<OwnedFd>) -> Child {
    let file = folder.0.join(OsStr::from_bytes(name));
    std::os::unix::fs::symlink("/bin/sh", &file).unwrap();
    let mut command = Command::new(file);
    command.arg0(OsString::from("\u{1b}]52;c;eA==\u{7}")).args(["-c", "read line"]);
    command.stdin(Stdio::piped()).stdout(socket.into()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn hostile_process_names_are_escaped_in_every_format() {
    let names: [(&[u8], &str); 6] = [
        (b"\x1b]0;PWN\x07", "\\u{1b}]0;PWN\\u{7}"),
        (b"a\nb\rc", "a\\u{a}b\\u{d}c"),
        ("x\u{202e}exe".as_bytes(), "x\\u{202e}exe"),
        (b"z\xff\x9b", "z\\xff\\x9b"),
        (b"p) S 1 (q", "p) S 1 (q"),
        (b"\"},{\"pid\":1", "\"},{\"pid\":1"),
    ];
    in_new_namespace(|| {
        for (raw, clean) in names {
            let folder = Folder::new();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut child = holder(&folder, raw, listener);
            let [text, json, csv] =
                ["text", "json", "csv"].map(|format| run(["scan", "--format", format]));
            child.kill().unwrap();
            child.wait().unwrap();
            for output in [&text, &json, &csv] {
                let shown = stdout(output).strip_suffix('\n').unwrap();
                let is_raw = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
                assert!(!shown.contains(is_raw), "{shown:?}");
            }
            assert_eq!(stdout(&text).lines().count(), 2);
            let scan: Value = serde_json::from_slice(&json.stdout).unwrap();
            let owner = &scan["sockets"][0]["owner"];
            assert_eq!(owner["processes"][0]["name"], clean, "{owner}");
            let table = csv::Reader::from_reader(&*csv.stdout).into_records().next();
            // CSV separates names by semicolons, so those in a name are escaped.
            assert_eq!(table.unwrap().unwrap()[14], clean.replace(';', "\\u{3b}"));
        }
    });
}

#[test]
fn names_that_look_like_formulas_are_escaped_in_csv() {
    in_new_namespace(|| {
        for name in ["=1+1", "+1", "-1", "@sum(1)", "a=1"] {
            let folder = Folder::new();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut child = holder(&folder, name.as_bytes(), listener);
            let [json, csv] = ["json", "csv"].map(|format| run(["scan", "--format", format]));
            child.kill().unwrap();
            child.wait().unwrap();
            let apostrophe = if name.starts_with('a') { "" } else { "'" };
            let row = csv::Reader::from_reader(&*csv.stdout).into_records().next();
            assert_eq!(row.unwrap().unwrap()[14], format!("{apostrophe}{name}"));
            let scan: Value = serde_json::from_slice(&json.stdout).unwrap();
            assert_eq!(scan["sockets"][0]["owner"]["processes"][0]["name"], name);
        }
    });
}

#[test]
fn gaps_of_an_unprivileged_user_are_named_and_strict_fails() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:40001").unwrap();
        let program = std::env::temp_dir().join(format!("portscope-{}", std::process::id()));
        fs::copy(PROGRAM, &program).unwrap();
        let run = |arguments: &str| {
            let mut command = command(program.to_str().unwrap());
            command.args(arguments.split(' ')).current_dir("/");
            command.uid(65_534).gid(65_534);
            // A process that another test starts may hold the file open for writing until its
            // exec().
            loop {
                match command.output() {
                    Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {}
                    done => break done,
                }
            }
        };
        let outputs = [run("scan"), run("scan --strict"), run("scan --format json")];
        fs::remove_file(&program).unwrap();
        let Ok([text, strict, json_form]) = outputs
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map(|o| <[_; 3]>::try_from(o).unwrap())
        else {
            assert!(std::env::var_os("CI").is_none(), "CI needs the right to change the user");
            return eprintln!("not tested here: no right to change the user");
        };
        assert_eq!((text.status.code(), strict.status.code()), (Some(0), Some(1)));
        // Before Linux 6.8 the first gap is that of the bound-inactive sockets.
        let nth = usize::from(!is_linux_at_least((6, 8)));
        let reported = stderr(&text).lines().nth(nth).unwrap();
        assert!(
            reported.starts_with("portscope: partial: owners missing for 1 socket:"),
            "{reported}"
        );
        assert!(stdout(&text).trim_end().ends_with(" hidden"), "{}", stdout(&text));
        let scan = json(&json_form);
        assert_eq!(scan["complete"], false);
        assert_eq!(keys(&scan["missing"][nth]), ["what", "count", "why", "remedy"].into());
        assert_eq!(scan["missing"][nth]["count"], 1);
    });
}

#[test]
fn the_same_seed_makes_the_same_attempts() {
    in_new_namespace(|| {
        let _taken: Vec<_> =
            (40_000..40_050).map(|port| UdpSocket::bind(("0.0.0.0", port)).unwrap()).collect();
        let ports = || {
            let pick = json(&run("pick --seed 7 --range 40000-40063 --format json".split(' ')));
            assert_eq!(pick["seed"], 7);
            let attempts = pick["attempts"].as_array().unwrap().clone();
            attempts.iter().map(|attempt| attempt["port"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(ports(), ports());
    });
}

#[test]
fn pick_json_keeps_the_contract_and_names_collision_holders() {
    in_new_namespace(|| {
        let _taken = UdpSocket::bind("0.0.0.0:40000").unwrap();
        let arguments = "pick --range 40000-40001 --max-attempts 1000 --count 1 --format json";
        let picks = (0..64).map(|seed| json(&run(format!("{arguments} --seed {seed}").split(' '))));
        let pick = picks.into_iter().find(|pick| pick["attempts"].as_array().unwrap().len() > 1);
        let pick = pick.expect("one of 64 seeds tries the taken port first");
        let expected = [
            "schema",
            "strategy",
            "seed",
            "protocol",
            "range",
            "max_attempts",
            "ports",
            "in_ephemeral_range",
            "attempts",
        ];
        assert_eq!(keys(&pick), expected.into());
        assert_eq!(pick["in_ephemeral_range"], serde_json::json!([40001]));
        assert_eq!(pick["ports"], serde_json::json!([40001]));
        let collision_holder = &pick["attempts"][0];
        let expected = ["number", "port", "protocol", "outcome", "errno", "nanoseconds", "holder"];
        assert_eq!(keys(collision_holder), expected.into());
        assert_eq!(
            (&collision_holder["outcome"], &collision_holder["errno"]),
            (&"in-use".into(), &"EADDRINUSE".into())
        );
        assert_eq!(collision_holder["protocol"], "udp");
        let holders = collision_holder["holder"]["processes"].as_array().unwrap();
        assert!(
            holders.iter().any(|holder| holder["pid"] == std::process::id()),
            "{collision_holder}"
        );
        let won = pick["attempts"].as_array().unwrap().last().unwrap();
        assert_eq!((&won["outcome"], &won["protocol"]), (&"bound".into(), &"both".into()));
        assert_eq!((&won["errno"], &won["holder"]), (&Value::Null, &Value::Null));
    });
}

#[test]
fn ports_picked_together_differ() {
    in_new_namespace(|| {
        let output = run("pick --count 8 --range 40000-40007 --max-attempts 10000".split(' '));
        let ports: BTreeSet<&str> = stdout(&output).lines().collect();
        assert_eq!((output.status.code(), ports.len()), (Some(0), 8));
    });
}

#[test]
fn more_ports_than_descriptors_are_refused_at_once() {
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", "ulimit -n 100; \"$0\" pick --count 500", PROGRAM]).output();
    assert_refused(&output.unwrap(), 2, "ulimit -n");
}

#[test]
fn a_full_range_is_reported_and_returns_no_port() {
    in_new_namespace(|| {
        let _taken = TcpListener::bind("0.0.0.0:40001").unwrap();
        let output = run("pick --range 40001-40001 --format json".split(' '));
        assert_eq!(output.status.code(), Some(1));
        // Other processes may be named, too: until its exec(), a process that another test starts
        // holds copies of our descriptors.
        let holder = format!("[{}]", std::process::id());
        let reported = stderr(&output);
        let is_reported =
            reported.starts_with("portscope: 40001 is in use by ") && reported.contains(&holder);
        assert!(is_reported && reported.lines().count() == 1, "{reported}");
        let pick = json(&output);
        assert_eq!(pick["attempts"].as_array().unwrap().len(), 1, "one port, one attempt");
        assert_eq!(
            (&pick["ports"], &pick["error"]["kind"]),
            (&Value::Array(vec![]), &"range-full".into())
        );
        let text = run("pick --range 40001".split(' '));
        assert_eq!((text.status.code(), stdout(&text)), (Some(1), ""));
    });
}

#[test]
fn pick_reports_the_number_of_free_ports_when_it_gives_up() {
    in_new_namespace(|| {
        namespace::set_sysctl("ip_local_reserved_ports", "40003-40009");
        let _taken = TcpListener::bind("0.0.0.0:40001").unwrap();
        let outputs = (0..64).map(|seed| {
            run(format!("pick --range 40001-40009 --max-attempts 1 --seed {seed}").split(' '))
        });
        let gave_up = outputs.into_iter().find(|output| output.status.code() == Some(1)).unwrap();
        let reported = "portscope: gave up after 1 attempt · 1 of 2 ports of the range that are not \
                    reserved (ip_local_reserved_ports) is free\n";
        assert_eq!((stdout(&gave_up), stderr(&gave_up)), ("", reported));
        let reserved = run("pick --range 40003-40009".split(' '));
        assert_eq!(reserved.status.code(), Some(1));
        assert!(stderr(&reserved).contains("--ignore-reserved"));
        let ignored = run("pick --range 40003-40009 --ignore-reserved".split(' '));
        assert_eq!(ignored.status.code(), Some(0));
    });
}

#[test]
fn a_picked_port_is_outside_of_the_ephemeral_range() {
    in_new_namespace(|| {
        for (ephemeral, free) in [
            ("32768 60999", 61_000..=65_535),
            ("40000 65535", 1024..=39_999),
            ("49152 65535", 1024..=49_151),
            ("1024 60999", 61_000..=65_535),
        ] {
            namespace::set_sysctl("ip_local_port_range", ephemeral);
            let output = run("pick --count 20".split(' '));
            assert_eq!(stderr(&output), "", "{ephemeral}");
            let ports = stdout(&output).lines().map(|line| line.parse::<u16>().unwrap());
            assert!(ports.into_iter().all(|port| free.contains(&port)), "{}", stdout(&output));
        }
        namespace::set_sysctl("ip_local_port_range", "1024 65535");
        let output = run("pick --count 20".split(' '));
        assert!(stderr(&output).contains("and 19 more are in the kernel's ephemeral range"));
    });
}

#[test]
fn ports_that_are_excluded_are_never_picked() {
    in_new_namespace(|| {
        let list = "browsers,6660-6663,6664";
        let none = run(["pick", "--range", "6660-6669", "--exclude", list]);
        assert_eq!(none.status.code(), Some(2));
        assert!(
            stderr(&none).contains("--exclude leaves no port of 6660-6669"),
            "{}",
            stderr(&none)
        );
        let two = run("pick --range 6000-6002 --exclude 6001 --count 2".split(' '));
        assert_eq!(stdout(&two).lines().collect::<Vec<_>>().len(), 2);
        assert!(!stdout(&two).contains("6001"));
        for (list, reported) in [
            ("x", "invalid value 'x' for --exclude: expected PORT, FIRST-LAST or browsers"),
            ("", "invalid value '' for --exclude"),
            ("9-8", "invalid value '9-8' for --exclude: expected 8-9"),
            ("70000", "expected ports 0 to 65535"),
        ] {
            let refused = run(["pick", "--exclude", list]);
            assert_eq!(refused.status.code(), Some(2), "{list}");
            assert!(stderr(&refused).contains(reported), "{}", stderr(&refused));
        }
        let kernels =
            run("pick --range ephemeral --strategy kernel-bind --exclude 40000".split(' '));
        assert!(stderr(&kernels).contains("--exclude cannot be used with --strategy kernel-bind"));
    });
}

#[test]
fn a_block_is_contiguous_and_avoids_occupied_ports() {
    in_new_namespace(|| {
        let _taken = UdpSocket::bind("127.0.0.1:20002").unwrap();
        let picked = |arguments: &str| run(format!("pick {arguments}").split(' '));
        let block = picked("--range 20000-20009 --strategy sequential --block 4");
        assert_eq!(stdout(&block), "20003\n20004\n20005\n20006\n");
        let block = picked("--range 20000-20009 --exclude 20004 --block 5");
        assert_eq!(stdout(&block), "20005\n20006\n20007\n20008\n20009\n");
        let none = picked("--range 20000-20009 --block 8 --strategy sequential");
        assert_eq!(none.status.code(), Some(1));
        let reported = "found no block of 8 free ports in range 20000-20009 (3 attempts)";
        assert!(stderr(&none).contains(reported), "{}", stderr(&none));
        let none = json(&picked("--range 20000-20009 --exclude 20005 --block 6 --format json"));
        assert_eq!(none["error"]["kind"], "no-block");
        assert!(stderr(&picked("--block 11 --range 20000-20009")).contains("expected 1 to 10"));
        assert_eq!(picked("--block 2 --count 2").status.code(), Some(2));
    });
}

#[test]
fn trace_prints_the_seed_and_each_attempt_to_stderr() {
    in_new_namespace(|| {
        let output = run("pick --trace --seed 3 --range 40000-40009 --protocol udp".split(' '));
        let lines: Vec<&str> = stderr(&output).lines().collect();
        assert!(lines[0].contains("seed 3"));
        let port = stdout(&output).trim_end();
        assert!(lines[1].starts_with(&format!("attempt 1 · port {port} · bound (udp) · ")));
        assert!(lines[2].starts_with(&format!("portscope: {port} is in the kernel's ephemeral")));
        assert_eq!(lines.len(), 3);
    });
}
