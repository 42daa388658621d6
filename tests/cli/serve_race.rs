//! Sixteen processes that race for 64 ports through `portscope serve` for many rounds, half of them
//! killed: no port is leased twice, lost or leaked. PORTSCOPE_ROUNDS=1000 runs more rounds.

#![expect(clippy::print_stdout, reason = "a racer tells what it got")]

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, PipeReader, Read as _, Write as _, pipe},
    net::{Ipv6Addr, TcpListener, UdpSocket},
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::{
    folder::Folder,
    lease_server::{Server, answer, parse, signal_to},
    namespace::in_new_namespace,
};

const PORT_CLIENTS: usize = 16;
const EACH: usize = 4;
const ROUNDS: u32 = 50;

/// The variable that names the socket, for the processes that this test starts from its own binary.
const SOCKET: &str = "PORTSCOPE_RACE_SOCKET";
const NAME: &str = "serve_race::concurrent_clients_never_share_lose_or_leak_a_port";

#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    leases: u32,
    /// Ports that two clients got, or that were already bound when a client tried to bind them.
    duplicates: u32,
    /// Requests that got no port, although there are enough.
    lost: u32,
}

/// The result of one request.
enum ClientResult {
    Port(u16),
    /// A port was leased, but another process had bound it.
    Occupied,
    Refused,
}

#[test]
fn concurrent_clients_never_share_lose_or_leak_a_port() {
    if std::env::var_os(SOCKET).is_some() {
        return race();
    }
    let rounds =
        std::env::var("PORTSCOPE_ROUNDS").map_or(ROUNDS, |reported| reported.parse().unwrap());
    in_new_namespace(|| {
        let folder = Folder::new();
        let options = ["--range", "20000-20063", "--quarantine", "0"];
        let server = Server::start(&folder.path("s"), &options);
        let mut figures = Figures::default();
        // A port that leaks in one round is missing in the next, because each round needs all 64
        // ports.
        for _ in 0..=rounds {
            run_round(&server, &mut figures);
        }
        eprintln!("{rounds} rounds and one more: {figures:?}\n{}", server.reported());
        let leases = (rounds + 1) * (PORT_CLIENTS * EACH) as u32;
        assert_eq!(figures, Figures { leases, ..Figures::default() });
    });
}

fn run_round(server: &Server, figures: &mut Figures) {
    let (start_pipe, start) = pipe().unwrap();
    let mut port_clients: Vec<Child> =
        (0..PORT_CLIENTS).map(|_| port_client(server, &start_pipe)).collect();
    // Closing the pipe starts all clients at the same time.
    drop(start);
    let mut ports = BTreeSet::new();
    for result in port_clients.iter_mut().flat_map(reported) {
        match result {
            ClientResult::Refused => figures.lost += 1,
            ClientResult::Port(port) if ports.insert(port) => figures.leases += 1,
            ClientResult::Port(_) | ClientResult::Occupied => figures.duplicates += 1,
        }
    }
    // Half of them are killed without a chance to clean up.
    for (number, port_client) in port_clients.iter_mut().enumerate() {
        let signal = if number % 2 == 0 { Signal::KILL } else { Signal::TERM };
        signal_to(port_client.id(), signal);
    }
    for mut port_client in port_clients {
        port_client.wait().unwrap();
    }
}

fn reported(port_client: &mut Child) -> Vec<ClientResult> {
    let lines = BufReader::new(port_client.stdout.take().unwrap()).lines();
    let mut words = lines.filter_map(|line| Some(line.unwrap().split_once("raced:")?.1.to_owned()));
    let words = words.next().expect("a racer tells what it got");
    let result = |word: &str| match word {
        "refused" => ClientResult::Refused,
        "taken" => ClientResult::Occupied,
        port => ClientResult::Port(port.parse().unwrap()),
    };
    words.split_whitespace().map(result).collect()
}

/// Starts this test binary as a client, which runs when the other end of `start_pipe` is closed.
fn port_client(server: &Server, start_pipe: &PipeReader) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact", NAME])
        .env(SOCKET, &server.socket)
        .stdin(start_pipe.try_clone().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The client: requests ports, binds them, prints them, and keeps them until it is killed.
fn race() {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let socket = std::env::var_os(SOCKET).unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let mut held = Vec::new();
    let mut race_once = || {
        let mut stream = UnixStream::connect(&socket).unwrap();
        writeln!(stream, "{}", std::process::id()).unwrap();
        let Some(port) = parse(&answer(&mut stream)) else { return "refused".to_owned() };
        let Ok(sockets) = bind(port) else { return "taken".to_owned() };
        held.push(sockets);
        port.to_string()
    };
    let words: Vec<String> = (0..EACH).map(|_| race_once()).collect();
    println!("raced: {}", words.join(" "));
    loop {
        std::thread::park();
    }
}

fn bind(port: u16) -> std::io::Result<(TcpListener, UdpSocket)> {
    let everywhere = Ipv6Addr::UNSPECIFIED;
    Ok((TcpListener::bind((everywhere, port))?, UdpSocket::bind((everywhere, port))?))
}
