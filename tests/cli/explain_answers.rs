//! What `explain` answers first: who, what frees the port, which bind() gets it.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::MetadataExt as _,
    process::{Command, Output},
};

use serde_json::Value;

use crate::{
    namespace::in_new_namespace,
    outputs::{in_one_line, program, stdout},
    processes::{Sleeper, alone},
};

/// Runs the program. No other test starts a process meanwhile.
fn run(typed: &str) -> Output {
    let _alone = alone();
    run_beside(typed)
}

/// Runs the program while the caller holds `alone`.
fn run_beside(typed: &str) -> Output {
    let mut program = program();
    program.args(typed.split_whitespace()).output().unwrap()
}

/// Returns the output with each run of white space as one space.
fn words(typed: &str) -> String {
    in_one_line(stdout(&run(typed)))
}

fn json(typed: &str) -> Value {
    serde_json::from_slice(&run(&format!("{typed} --json")).stdout).unwrap()
}

#[test]
fn answer_names_the_process_and_the_command_that_frees_the_port() {
    let _alone = alone();
    in_new_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap().into();
        let holder = Sleeper::holding(&listener);
        drop(listener);
        let pid = holder.pid();
        let text = in_one_line(stdout(&run_beside("explain 8080 --protocol tcp")));
        let first = format!(
            "TCP 8080 (registered for http-alt) is held by sleep[{pid}] (LISTEN on 127.0.0.1:8080, \
             user root)."
        );
        assert!(text.starts_with(&first), "{text}");
        let parent = format!("[{}]", std::process::id());
        for expected in [
            &format!("- sleep[{pid}]: user root; started "),
            "; command: sleep ",
            "; directory /",
            "; parent ",
            &parent,
            &format!(
                "- To free it: sleep[{pid}] must exit; the port is then free at once. $ kill {pid}"
            ),
            "- Can I bind it? NO OPTION SO_REUSEADDR SO_REUSEPORT 0.0.0.0 no no ",
            "::1 yes yes yes",
            "- A connect() to a new destination cannot get this port",
            "Port 8080 is a registered port",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in {text}");
        }
        assert!(!text.contains("A bind() to"), "{text}");
        let output = run_beside("explain 8080 --protocol tcp --json");
        let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
        let tcp = &explained["protocols"][0];
        assert_eq!(tcp["free_with"], serde_json::json!([format!("kill {pid}")]));
        let killed = Command::new("kill").arg(pid.to_string()).status().unwrap();
        assert!(killed.success());
        drop(holder);
        assert_eq!(run_beside("explain 8080 --protocol tcp").status.code(), Some(1));
    });
}

#[test]
fn reasons_follow_with_why() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let text = words("explain 8080 --protocol tcp --why");
        let [answer, reason] =
            ["Can I bind it?", "A bind() to 0.0.0.0"].map(|words| text.find(words).unwrap());
        assert!(answer < reason, "{text}");
        assert!(!text.contains("--why shows"), "{text}");
    });
}

#[test]
fn addresses_of_one_process_are_one_sentence() {
    in_new_namespace(|| {
        let _listeners =
            ["127.0.0.1:8080", "127.0.0.2:8080"].map(|at| TcpListener::bind(at).unwrap());
        let text = words("explain 8080 --protocol tcp");
        assert!(text.contains("(LISTEN on 127.0.0.1:8080 and 127.0.0.2:8080"), "{text}");
        assert!(!text.contains("It is also held"), "{text}");
    });
}

#[test]
fn free_port_has_one_answer_for_each_bind() {
    in_new_namespace(|| {
        let text = words("explain 8080 --protocol udp");
        assert!(text.starts_with("UDP 8080 (registered for http-alt) is not in use."), "{text}");
        assert!(text.contains("Can I bind it? yes: each address, with any option."), "{text}");
        let probed = words("explain 8080 --protocol udp --probe");
        assert!(probed.contains("Can I bind it? yes (tried): each address"), "{probed}");
        assert!(!text.contains("To free it"), "{text}");
    });
}

#[test]
fn unused_port_that_is_a_remote_port_names_the_destination() {
    in_new_namespace(|| {
        let _clients: Vec<_> = [1, 1, 2]
            .into_iter()
            .map(|last| {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.connect((Ipv4Addr::new(127, 0, 0, last), 5432)).unwrap();
                client
            })
            .collect();
        let text = words("explain 5432 --protocol udp");
        let expected = "UDP 5432 (registered for postgresql) is not in use. - 3 sockets lead to \
                        remote port 5432: 127.0.0.1:5432 (2), 127.0.0.2:5432 (1).";
        assert!(text.starts_with(expected), "{text}");
        assert!(!words("explain 5432 --protocol tcp").contains("remote port"));
        let remote = &json("explain 5432 --protocol udp")["protocols"][0]["remote"];
        assert_eq!(remote["sockets"], 3);
        assert_eq!(remote["destinations"][0]["destination"], "127.0.0.1");
        let _here = UdpSocket::bind("127.0.0.9:5432").unwrap();
        assert!(json("explain 5432 --protocol udp")["protocols"][0]["remote"].is_null());
    });
}

#[test]
fn endpoint_and_protocol_of_the_argument_are_used() {
    in_new_namespace(|| {
        let explained = json("explain 127.0.0.3:8080/tcp");
        let protocols = explained["protocols"].as_array().unwrap();
        assert_eq!(protocols.len(), 1);
        let rows = protocols[0]["bind"].as_array().unwrap();
        assert!(rows.iter().any(|row| row["probe"] == "127.0.0.3"), "{explained}");
        for argument in [":8080", "8080/udp", "*:8080"] {
            assert_eq!(json(&format!("explain {argument}"))["port"], 8080, "{argument}");
        }
    });
}

#[test]
fn each_port_of_a_process_is_explained_its_listeners_first() {
    in_new_namespace(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "4001 4001").unwrap();
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let _server = listener.accept().unwrap();
        let _udp = UdpSocket::bind("127.0.0.1:8085").unwrap();
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        let pid = std::process::id();
        for argument in [name.trim_end().to_uppercase(), format!("pid {pid}")] {
            let explained = json(&format!("explain {argument}"));
            assert_eq!(explained["schema"], "portscope.explain/1");
            assert_eq!(explained["ports_left_out"], 0);
            let ports: Vec<_> = explained["ports"].as_array().unwrap().iter().collect();
            let numbers: Vec<u64> =
                ports.iter().map(|port| port["port"].as_u64().unwrap()).collect();
            assert_eq!(numbers, [8080, 8085, 4001], "{argument}");
            assert_eq!(ports[1]["protocols"][0]["protocol"], "udp");
        }
        let text = words(&format!("explain pid {pid}"));
        let held: BTreeSet<&str> = ["TCP 8080 ", "UDP 8085 ", "TCP 4001 "]
            .into_iter()
            .filter(|at| text.contains(at))
            .collect();
        assert_eq!(held.len(), 3, "{text}");
        assert_eq!(run("explain pid 4194303").status.code(), Some(1));
        let wrong = run("explain no-such-process");
        assert_eq!((wrong.status.code(), stdout(&wrong)), (Some(1), ""));
        let message = String::from_utf8_lossy(&wrong.stderr);
        assert!(message.contains("process named 'no-such-process' has a socket"), "{message}");
        // Other tests of this process have sockets in their namespaces.
        let ours = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
        let is_ours = |namespace: &&Value| namespace["host"]["network_namespace"] == ours;
        let each = json(&format!("explain pid {pid} --netns all"));
        let explained = each["namespaces"].as_array().unwrap().iter().find(is_ours).unwrap();
        assert_eq!(explained["ports"].as_array().unwrap().len(), 3, "{explained}");
        let text = words(&format!("explain pid {pid} --netns all"));
        assert_eq!(text.matches(&format!("(net {ours}) TCP 8080 ")).count(), 1, "{text}");
        let wrong = run("explain no-such-process --netns all");
        assert_eq!((wrong.status.code(), stdout(&wrong)), (Some(1), ""));
    });
}
