//! The argument of the terminal program: a port, a range, an endpoint or a process, in private
//! network namespaces.

use std::net::{TcpListener, UdpSocket};

use crate::{namespace::in_new_namespace, pty::Session};

/// Starts the program with the arguments, and waits for the text.
fn shows(arguments: &[&str], text: &str) {
    let mut session = Session::start_sized(120, 40, arguments);
    session.wait_for_text(text);
}

/// Returns the name of this process, as the kernel cuts it off.
fn own_name() -> String {
    std::fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned()
}

#[test]
fn each_form_of_a_port_is_shown_on_the_map() {
    in_new_namespace(|| {
        let _tcp = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _udp = UdpSocket::bind("127.0.0.1:8085").unwrap();
        for argument in ["8080", ":8080", "*:8080", "8080/tcp", "127.0.0.1:8080"] {
            shows(&[argument], "Port 8080 ");
        }
        shows(&["8080-8090"], "8080-8090");
        shows(&["8085/udp"], "Port 8085 ");
    });
}

#[test]
fn endpoint_without_a_socket_is_reported() {
    in_new_namespace(|| shows(&["127.0.0.1:6379"], "no socket has the endpoint 127.0.0.1:6379"));
}

#[test]
fn process_is_found_in_any_case_by_a_prefix_or_by_its_pid() {
    in_new_namespace(|| {
        let _sockets =
            ["127.0.0.1:8080", "127.0.0.1:9090"].map(|at| TcpListener::bind(at).unwrap());
        let name = own_name();
        let ports = "2 ports: 8080, 9090";
        let pid = std::process::id().to_string();
        for argument in [&*name, &name.to_uppercase(), name.split_at(name.len() - 1).0] {
            shows(&[argument], ports);
        }
        shows(&["pid", &pid], ports);
        shows(&[&format!("pid {pid}")], ports);
    });
}

#[test]
fn unknown_process_is_reported_with_similar_names() {
    in_new_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let name = own_name();
        let wrong = format!("{}x", name.split_at(name.len() - 1).0);
        shows(&[&wrong], &format!("no process named '{wrong}' has a socket"));
        shows(&["pid", "4194303"], "pid 4194303 has no");
        // The names can be chosen, and nothing is offered if no name is similar.
        let mut session = Session::start_sized(120, 40, &[&wrong]);
        session.wait_for_text("which one?");
        session.wait_for_text(&format!("❯ {name} "));
        session.send(b"\r");
        session.wait_for_text("Port 8080 ");
        assert!(!session.screen().contents().contains("which one?"));
        let mut session = Session::start_sized(120, 40, &["zzzzzzzz"]);
        session.wait_for_text("process named 'zzzzzzzz' has a socket");
        assert!(!session.screen().contents().contains("which one?"));
        // Also where the terminal is too small for the map.
        let mut small = Session::start_sized(79, 23, &[&wrong]);
        small.wait_for_text(&format!("nearest: {name}"));
    });
}
