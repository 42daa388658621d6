//! A simulated client of one destination, listed as a machine would list it. Asserts nothing.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use portscope::{
    domain::{
        Analysis, Destination, Endpoint, Ephemeral, Family, Forecast, History, Holder, PortRange,
        Protocol, Snapshot, Socket, Source, State, Subject, Timer, Trend, Trends,
    },
    host::{Host, simulated::SimulatedHost},
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// How long the kernel keeps TIME-WAIT, in seconds.
const TIME_WAIT: f64 = 60.0;

/// The earliest time of the first snapshot, since 1970.
pub const START: Duration = Duration::from_secs(1_700_000_000);

pub struct Churn {
    pub now: f64,
    /// When the last free port was used.
    pub full_at: Option<f64>,
    /// New connections per second.
    pub rate: f64,
    /// Seconds until a connection is closed.
    pub lifetime: f64,
    /// TIME-WAIT ends only at multiples of this many seconds, like the timers of the kernel; 0: at
    /// once.
    pub timer_period: f64,
    /// Seconds from one burst to the next, and connections per burst.
    pub burst: Option<(f64, u32)>,
    /// The times at which connect() found no port.
    pub failed: Vec<f64>,
    next_burst: f64,
    random: ChaCha8Rng,
    next_arrival: f64,
    range: PortRange,
    free: Vec<u16>,
    connections: BTreeMap<u16, Connection>,
    /// The ports in TIME-WAIT, in the order in which it ends.
    ending: VecDeque<u16>,
    cookie: u64,
    number: u64,
    template: Snapshot,
}

#[derive(Clone, Copy)]
struct Connection {
    cookie: u64,
    closed_at: f64,
}

/// A machine that is scanned, and the data kept about it.
#[derive(Default)]
pub struct TrendWatch {
    pub history: History,
    pub trends: Trends,
}

impl Churn {
    /// Connections that stay open, opened at `rate` per second on `ports` ports.
    pub fn new(rate: f64, ports: u16, seed: u64) -> Self {
        let range = PortRange::new(32_768, 32_767 + ports).unwrap();
        let mut template =
            Snapshot::empty(SimulatedHost::builder().build().machine(), Source::Simulated);
        template.ephemeral = Ephemeral::new(range, Vec::new());
        let mut churn = Self {
            now: 0.0,
            full_at: None,
            rate,
            lifetime: f64::INFINITY,
            timer_period: 0.0,
            burst: None,
            failed: Vec::new(),
            next_burst: 0.0,
            random: ChaCha8Rng::seed_from_u64(seed),
            next_arrival: 0.0,
            range,
            free: range.ports().rev().collect(),
            connections: BTreeMap::new(),
            ending: VecDeque::new(),
            cookie: 0,
            number: 0,
            template,
        };
        churn.next_arrival = churn.pause();
        churn
    }

    pub fn with_lifetime(mut self, seconds: f64) -> Self {
        self.lifetime = seconds;
        self
    }

    /// Adds connections that are open from the start and stay open.
    pub fn with_pool(mut self, connections: u16) -> Self {
        for _ in 0..connections {
            self.open(0.0, f64::INFINITY);
        }
        self
    }

    pub fn run_until(&mut self, time: f64) {
        while let at = self.next_arrival.min(self.next_burst_at())
            && at <= time
        {
            self.end_until(at);
            if self.next_arrival <= at {
                self.open(at, self.lifetime);
                self.next_arrival = at + self.pause();
            } else if let Some((every, connections)) = self.burst {
                (0..connections).for_each(|_| self.open(at, self.lifetime));
                self.next_burst = at + every;
            }
        }
        self.end_until(time);
        self.now = time;
    }

    fn next_burst_at(&self) -> f64 {
        if self.burst.is_some() { self.next_burst } else { f64::INFINITY }
    }

    pub fn left(&self) -> u32 {
        self.free.len() as u32
    }

    pub fn snapshot(&mut self) -> Snapshot {
        self.number += 1;
        let mut snapshot = self.template.clone();
        snapshot.number = self.number;
        snapshot.taken_at = START + Duration::from_secs_f64(self.now);
        snapshot.sockets =
            self.connections.iter().map(|(&port, known)| self.socket(port, known)).collect();
        snapshot
    }

    fn socket(&self, port: u16, known: &Connection) -> Socket {
        let is_closed = known.closed_at <= self.now;
        let left = known.closed_at + TIME_WAIT - self.now;
        Socket {
            cookie: Some(known.cookie),
            timer: if is_closed { Timer::TimeWait } else { Timer::None },
            expires_ms: is_closed.then_some((left * 1000.0) as u32),
            ..tcp(port, if is_closed { State::TimeWait } else { State::Established }, 443)
        }
    }

    fn open(&mut self, at: f64, lifetime: f64) {
        let Some(port) = self.free.pop() else {
            self.failed.push(at);
            return;
        };
        self.cookie += 1;
        self.connections.insert(port, Connection { cookie: self.cookie, closed_at: at + lifetime });
        if lifetime.is_finite() {
            self.ending.push_back(port);
        }
        if self.free.is_empty() {
            self.full_at.get_or_insert(at);
        }
    }

    fn end_until(&mut self, time: f64) {
        while let Some(&port) = self.ending.front()
            && self.free_at(port) <= time
        {
            self.ending.pop_front();
            self.connections.remove(&port);
            self.free.push(port);
        }
    }

    fn free_at(&self, port: u16) -> f64 {
        let ends = self.connections[&port].closed_at + TIME_WAIT;
        if self.timer_period > 0.0 {
            (ends / self.timer_period).ceil() * self.timer_period
        } else {
            ends
        }
    }

    fn pause(&mut self) -> f64 {
        -(1.0 - self.random.random::<f64>()).ln() / self.rate
    }
}

impl TrendWatch {
    pub fn observe(&mut self, snapshot: &Snapshot) {
        self.history.observe(snapshot);
        self.trends.observe(snapshot, &Analysis::of(snapshot), &self.history);
    }

    pub fn trend(&self) -> Option<Trend> {
        self.trends.of(Subject::Destination(destination(443)))
    }

    pub fn forecast(&self, available: u32) -> Option<Forecast> {
        self.trend()?.until(available)
    }
}

/// A connection from 192.0.2.1 to 198.51.100.7.
pub fn tcp(port: u16, state: State, remote_port: u16) -> Socket {
    Socket {
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        state,
        timer: Timer::None,
        local: ([192, 0, 2, 1], port).into(),
        remote: Some(remote(remote_port)),
        interface: None,
        inode: None,
        uid: None,
        cookie: Some(u64::from(port) << 16 | u64::from(remote_port)),
        expires_ms: None,
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        holder: Holder::NotAsked,
    }
}

pub fn destination(port: u16) -> Destination {
    Destination { source: [192, 0, 2, 1].into(), remote: remote(port), interface: None }
}

fn remote(port: u16) -> Endpoint {
    ([198, 51, 100, 7], port).into()
}

/// A snapshot of these sockets, taken at `second`.
pub fn snapshot_of(number: u64, second: f64, sockets: Vec<Socket>) -> Snapshot {
    let machine = SimulatedHost::builder().build().machine();
    let mut snapshot = Snapshot::empty(Arc::clone(&machine), Source::Simulated);
    snapshot.number = number;
    snapshot.taken_at = START + Duration::from_secs_f64(second);
    snapshot.sockets = sockets;
    snapshot.sort();
    snapshot
}
