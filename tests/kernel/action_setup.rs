//! A network namespace with sockets to act on, and what a scan of it shows.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        ProcessTable, Protocol, Snapshot, Source,
        action::{
            ActionFacts, ActionForecast, ActionInput, EndSignal, PortAction, choices, forecast,
        },
        availability::{Bind, BindAddress, Reuse},
    },
    engine::sample::describe_or_miss,
    host::{
        Host as _, OwnerDepth, Scanner as _,
        actions::{ActionError, HostActions as _},
        linux::{LinuxHost, LinuxScanner, actions::LinuxActions, probe},
    },
};
use socket2::{Socket, Type};

use crate::{
    holders::{self, LOCAL4, SocketOption},
    namespace::set_sysctl,
};

/// The ephemeral range of the namespace. The ports of the situations follow each other in it.
pub const PORTS: (u16, u16) = (20_000, 59_999);
/// Where the clients of the situations connect to.
pub const PEER: u16 = 1000;
pub fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::yield_now();
    }
}

/// Returns whether a bind() on all addresses, without reuse options, gets the port.
pub fn is_free(protocol: Protocol, port: u16) -> bool {
    let bind = Bind { protocol, address: BindAddress::AnyDual, reuse: Reuse::None };
    probe::bind(bind, port).is_ok()
}

/// The network namespace in which sockets are made, and what a scan of it shows.
pub struct ActionSetup {
    scanner: LinuxScanner,
    pub snapshot: Snapshot,
    processes: ProcessTable,
    pub actions: LinuxActions,
    peer: Socket,
    next_port: u16,
}

impl ActionSetup {
    pub fn new() -> Self {
        set_sysctl("ip_local_port_range", &format!("{} {}", PORTS.0, PORTS.1));
        let machine = LinuxHost::new().machine();
        Self {
            scanner: LinuxScanner::new(Arc::clone(&machine)),
            snapshot: Snapshot::empty(machine, Source::SockDiag),
            processes: ProcessTable::default(),
            actions: LinuxActions::new(),
            peer: listening(LOCAL4, PEER, &[]),
            next_port: PORTS.0,
        }
    }

    pub fn port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    /// Scans, and reads the facts about the processes on the port.
    pub fn facts(&mut self, protocol: Protocol, port: u16) -> ActionFacts {
        self.scan();
        self.read_facts(protocol, port)
    }

    pub fn scan(&mut self) {
        self.scanner.scan(OwnerDepth::Full, &mut self.snapshot).unwrap();
        self.processes = describe_or_miss(&LinuxHost::new(), &mut self.snapshot);
    }

    /// Reads the facts about the processes that the last scan found on the port.
    pub fn read_facts(&mut self, protocol: Protocol, port: u16) -> ActionFacts {
        let sockets = self.snapshot.on_port(protocol, port).iter();
        let pids: BTreeSet<u32> =
            sockets.flat_map(|socket| self.snapshot.owner(socket).pids()).copied().collect();
        self.actions.facts(&pids, protocol, port)
    }

    pub fn input<'a>(
        &'a self,
        facts: &'a ActionFacts,
        protocol: Protocol,
        port: u16,
    ) -> ActionInput<'a> {
        ActionInput { snapshot: &self.snapshot, processes: &self.processes, facts, protocol, port }
    }

    /// Returns the action that ends all processes on the TCP port.
    pub fn end(&self, facts: &ActionFacts, port: u16, signal: EndSignal) -> PortAction {
        let is_end = |action: &PortAction| matches!(action, PortAction::End { signal: of, .. } if *of == signal);
        let choices = choices(&self.input(facts, Protocol::Tcp, port));
        choices.into_iter().map(|choice| choice.action).find(is_end).expect("a process to end")
    }

    /// Returns a client of the peer, whose port was given to bind() or chosen by connect(), and the
    /// accepted socket.
    pub fn client(&self, port: u16, is_bound: bool) -> [Socket; 2] {
        let client = holders::open(Type::STREAM, LOCAL4, &[]);
        if is_bound {
            client.bind(&SocketAddr::new(LOCAL4, port).into()).unwrap();
        } else {
            let client = holders::choosing(port, || {
                let client = holders::open(Type::STREAM, LOCAL4, &[SocketOption::OnlyPort(port)]);
                client.connect(&SocketAddr::new(LOCAL4, PEER).into()).unwrap();
                client
            });
            return [client, self.peer.accept().unwrap().0];
        }
        client.connect(&SocketAddr::new(LOCAL4, PEER).into()).unwrap();
        [client, self.peer.accept().unwrap().0]
    }

    /// Forecasts the end of the first socket on the port by SOCK_DESTROY, ends it, and returns both.
    pub fn close_first(
        &mut self,
        protocol: Protocol,
        port: u16,
    ) -> (ActionForecast, Result<(), ActionError>) {
        let facts = self.facts(protocol, port);
        let socket = self.snapshot.on_port(protocol, port)[0];
        let forecast =
            forecast(&self.input(&facts, protocol, port), &PortAction::Close(vec![socket]));
        (forecast, self.actions.close(&socket))
    }
}

pub fn bound(kind: Type, address: IpAddr, port: u16, with: &[SocketOption]) -> Socket {
    let socket = holders::open(kind, address, with);
    socket.bind(&SocketAddr::new(address, port).into()).unwrap();
    socket
}

pub fn listening(address: IpAddr, port: u16, with: &[SocketOption]) -> Socket {
    let socket = bound(Type::STREAM, address, port, with);
    socket.listen(64).unwrap();
    socket
}

/// A listener whose port bind() to port 0 chose.
pub fn listening_automatic(port: u16) -> Socket {
    let socket = udp_or_tcp_automatic(Type::STREAM, port);
    socket.listen(64).unwrap();
    socket
}

pub fn udp_or_tcp_automatic(kind: Type, port: u16) -> Socket {
    holders::choosing(port, || {
        let socket = holders::open(kind, LOCAL4, &[SocketOption::OnlyPort(port)]);
        socket.bind(&SocketAddr::new(LOCAL4, 0).into()).unwrap();
        socket
    })
}
