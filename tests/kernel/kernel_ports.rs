//! Ports that no process holds: those of the kernel's tunnels, and those that only DNAT publishes.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    process::Command,
};

use portscope::domain::{Owner, Severity, TunnelKind};
use serde_json::Value;

use crate::{
    diagnoser::Diagnoser,
    namespace::{in_new_namespace, set_sysctl},
    outputs::{in_one_line, program, stdout},
    processes::{Sleeper, alone, not_tested},
};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Whether the command succeeds in this namespace.
fn run(command: &str) -> bool {
    let _alone = alone();
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    output.status.success()
}

/// Returns what portscope prints, with line breaks replaced by single spaces.
fn print(arguments: &str) -> String {
    let _alone = alone();
    let mut command = program();
    let output = command.args(arguments.split(' ')).output().unwrap();
    in_one_line(stdout(&output))
}

/// Returns what it prints on stderr.
fn trace(arguments: &str) -> String {
    let _alone = alone();
    let mut command = program();
    String::from_utf8(command.args(arguments.split(' ')).output().unwrap().stderr).unwrap()
}

fn json(arguments: &str) -> Value {
    serde_json::from_str(&print(&format!("{arguments} --format json"))).unwrap()
}

/// Creates a VXLAN interface on loopback and sets it up. Prints that nothing is tested if the
/// kernel cannot create one.
fn add_vxlan(name: &str, id: u32, port: u16) -> bool {
    let is_made = run(&format!(
        "ip link add {name} type vxlan id {id} dev lo local 127.0.0.1 dstport {port} && \
         ip link set {name} up"
    ));
    if !is_made {
        not_tested("no VXLAN interface can be made");
    }
    is_made
}

#[test]
fn the_port_of_a_tunnel_is_held_by_the_kernel_until_its_interface_is_down() {
    in_new_namespace(|| {
        if !add_vxlan("vx0", 7, 8472) {
            return;
        }
        assert!(UdpSocket::bind(("0.0.0.0", 8472)).is_err());
        let text = print("explain 8472 --protocol udp");
        for words in [
            "is held by the kernel: VXLAN tunnel vx0",
            "To free it: the kernel uses the UDP port for VXLAN tunnel vx0.",
            "`ip link set vx0 down` frees it",
        ] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        assert!(print("scan").contains("0.0.0.0:8472 - root kernel: VXLAN tunnel vx0"));
        let owner = &json("scan")["sockets"][0]["owner"];
        assert_eq!(owner["kind"], "kernel");
        let tunnel = serde_json::json!({ "kind": "vxlan", "device": "vx0", "certain": true });
        assert_eq!(owner["tunnels"], serde_json::json!([tunnel]));

        let attempt = trace("pick --protocol udp --range 8472 --max-attempts 1 --trace");
        assert!(attempt.contains("in-use (udp EADDRINUSE)") && attempt.contains("kernel: VXLAN"));
        let refusal = trace("pick --protocol udp --range 8472");
        assert_eq!(refusal, "portscope: 8472 is in use by the kernel: VXLAN tunnel vx0\n");

        assert!(run("ip link set vx0 down"));
        assert!(UdpSocket::bind(("0.0.0.0", 8472)).is_ok());
        assert!(print("explain 8472 --protocol udp").contains("UDP 8472 (registered for otv)"));
        assert_eq!(json("scan")["sockets"], serde_json::json!([]));
    });
}

#[test]
fn all_tunnels_that_share_a_port_are_named_and_other_sockets_are_not() {
    in_new_namespace(|| {
        if !add_vxlan("vx0", 7, 4789) || !add_vxlan("vx1", 8, 4789) || !add_vxlan("vx2", 9, 4790) {
            return;
        }
        let text = print("explain 4789 --protocol udp");
        assert!(text.contains("the kernel: VXLAN tunnel vx0, VXLAN tunnel vx1"), "{text}");
        assert!(text.contains("`ip link set vx0 down; ip link set vx1 down` frees it"), "{text}");
        // A process holds this socket.
        let held = UdpSocket::bind((LOCAL, 5000)).unwrap();
        let diagnoser = Diagnoser::now();
        let mut owners =
            diagnoser.snapshot.sockets.iter().map(|s| (s, diagnoser.snapshot.owner(s)));
        let (_, owner) = owners.find(|(socket, _)| socket.local.port == 5000).unwrap();
        assert!(matches!(owner, Owner::Process(_)), "{owner:?}");
        let kinds = diagnoser.snapshot.vitals.tunnels.iter().map(|tunnel| tunnel.kind);
        assert_eq!(kinds.collect::<Vec<_>>(), [TunnelKind::Vxlan; 3]);
        drop(held);
    });
}

#[test]
fn a_tunnel_port_inside_the_range_is_reported_as_listener_in_range() {
    in_new_namespace(|| {
        if !add_vxlan("vx0", 7, 48_472) {
            return;
        }
        let words = ["UDP 48472 VXLAN tunnel vx0", "ip_local_reserved_ports=48472"];
        Diagnoser::now().one("listener-in-range", Severity::Notice, &words);
        set_sysctl("ip_local_reserved_ports", "48472");
        Diagnoser::now().assert_no_finding("listener-in-range");
    });
}

#[test]
fn without_a_socket_that_has_no_process_no_interface_is_listed() {
    in_new_namespace(|| {
        if !run("ip link add vx0 type vxlan id 7 dev lo local 127.0.0.1 dstport 8472") {
            return not_tested("no VXLAN interface can be made");
        }
        let _held = UdpSocket::bind((LOCAL, 5000)).unwrap();
        assert_eq!(Diagnoser::now().snapshot.vitals.tunnels, [], "it is down, and has no socket");
    });
}

/// If another network namespace is scanned, its interfaces are listed.
#[test]
fn a_tunnel_of_another_namespace_is_named_there() {
    in_new_namespace(|| {
        if !add_vxlan("vx0", 7, 8472) {
            return;
        }
        let inside = Sleeper::spawn(Command::new("sleep").arg("1000"));
        let pid = inside.pid();
        let text = in_new_namespace(|| print(&format!("scan --netns {pid}"))).unwrap();
        assert!(text.contains("kernel: VXLAN tunnel vx0"), "{text}");
    });
}

/// Adds a rule that sends flows to this port of the machine to the server.
fn publish(port: u16, server: &TcpListener) -> bool {
    let to = server.local_addr().unwrap();
    let is_done = run(&format!(
        "nft add table ip n && nft 'add chain ip n o {{ type nat hook output priority -100 ; }}' && \
         nft add rule ip n o tcp dport {port} dnat to {to}"
    ));
    if !is_done {
        not_tested("nft cannot translate addresses here");
    }
    is_done
}

#[test]
fn a_port_published_by_dnat_is_named_while_a_flow_uses_it() {
    in_new_namespace(|| {
        let text = print("explain 8080 --protocol tcp");
        assert!(!text.contains("DNAT"), "nothing is tracked here: {text}");
        let server = TcpListener::bind((LOCAL, 5000)).unwrap();
        if !publish(8080, &server) {
            return;
        }
        let other = TcpStream::connect((LOCAL, 5000)).unwrap();
        let text = print("explain 8080 --protocol tcp");
        assert!(text.contains("Unknown whether DNAT publishes the port: no flow"), "{text}");
        assert_eq!(
            json("explain 8080 --protocol tcp")["protocols"][0]["published"],
            serde_json::json!([])
        );

        let flows = [8080, 8080].map(|port| TcpStream::connect((LOCAL, port)).unwrap());
        let text = print("explain 8080 --protocol tcp");
        let words = "Published by DNAT: traffic to 127.0.0.1:8080 is redirected to 127.0.0.1:5000 (2 \
                     flows now); the port is not in use";
        assert!(text.contains(words), "{text}");
        let published = &json("explain 8080 --protocol tcp")["protocols"][0]["published"];
        let row = serde_json::json!({
            "address": "127.0.0.1", "to": { "address": "127.0.0.1", "port": 5000 }, "flows": 2,
        });
        assert_eq!(published, &serde_json::json!([row]));
        assert!(!print("explain 8080 --protocol udp").contains("Published"));

        let _held = TcpListener::bind((LOCAL, 8080)).unwrap();
        let text = print("explain 8080 --protocol tcp");
        assert!(text.contains("they do not reach the sockets on the port"), "{text}");
        let text = print("explain 5000 --protocol tcp");
        assert!(!text.contains("DNAT"), "{text}");
        drop((other, flows));
    });
}

#[test]
fn explain_names_a_self_connected_socket() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40000 40015");
        let client = loop {
            if let Ok(client) = TcpStream::connect((LOCAL, 40_002)) {
                break client;
            }
        };
        assert_eq!(client.local_addr().unwrap(), client.peer_addr().unwrap());
        let text = print("explain 40002 --protocol tcp --why");
        for words in [
            "ESTABLISHED on 127.0.0.1:40002 → 127.0.0.1:40002, connected to itself",
            "must close the socket in ESTABLISHED that is connected to itself.",
            "`ss --kill` ends a connection at once",
        ] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
    });
}
