//! Sockets of this process in a network namespace of their own, and which of them `scan` lists.

use std::{
    collections::BTreeSet,
    fs,
    net::{TcpListener, TcpStream, UdpSocket},
    process::Output,
};

use crate::{
    namespace::in_new_namespace,
    outputs::{json, program},
    processes,
};

pub const TCP: &str = "tcp 8080 LISTEN";
pub const UDP: &str = "udp 8085 UNCONNECTED";
pub const CLIENT: &str = "tcp 40001 ESTABLISHED";
pub const SERVER: &str = "tcp 8080 ESTABLISHED";

/// Runs `body` while this process has a listener on 127.0.0.1:8080 with one connection from port
/// 40001, and a UDP socket on 127.0.0.1:8085.
pub fn with_sockets(body: impl FnOnce() + Send) {
    in_new_namespace(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40001 40001").unwrap();
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let _server = listener.accept().unwrap();
        let _udp = UdpSocket::bind("127.0.0.1:8085").unwrap();
        body();
    });
}

/// Runs the program in the namespace of the caller.
pub fn run(words: &[&str]) -> Output {
    processes::output_of(program().args(words))
}

/// Returns `tcp 8080 LISTEN` for each socket that the command lists.
pub fn listed(words: &[&str]) -> BTreeSet<String> {
    let scan = json(&run(&[words, &["--json"]].concat()));
    let sockets = scan["sockets"].as_array().unwrap().iter();
    sockets
        .map(|socket| {
            let [protocol, state] = ["protocol", "state"].map(|key| socket[key].as_str().unwrap());
            format!("{protocol} {} {state}", socket["local"]["port"])
        })
        .collect()
}

pub fn set(sockets: &[&str]) -> BTreeSet<String> {
    sockets.iter().map(|&socket| socket.to_owned()).collect()
}
