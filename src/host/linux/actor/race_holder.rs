//! The holder in a race: runs the rounds and prints the result of each. Does not evaluate them.

use std::{
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fd::OwnedFd,
    net::{SendFlags, SocketAddrV4},
};

use crate::{
    domain::{Binder as _, Errno, PortRange, Protocols, Text},
    host::{
        ActorProcess as _, ChildInput, Held, HostError,
        actor::ActorEvent,
        descriptors,
        linux::{
            actor::{
                RandomFraction, TIMEOUT, actor_process, child::Child, draw, private_namespace,
                race_receiver::Receiver,
            },
            binder::RealBinder,
        },
        race_config::RaceConfig,
        race_line::{RaceLine, RoundReport},
    },
};

/// The executable of this process, even if its file was replaced or removed.
const OURSELVES: &str = "/proc/self/exe";

/// Descriptors that the processes of a race need besides those that hold ports.
const DESCRIPTORS_KEPT: u64 = 64;

/// The holder waits for the end of the window in parts of this length, and reads the competitor's
/// pipe between them.
const PART: Duration = Duration::from_millis(20);

/// Maximum number of consecutive rounds whose window is not shorter than `RaceConfig::hold`. After
/// that many, the race fails.
const MAX_DELAYED_ROUNDS: u32 = 100;

/// Runs the race. Errors: the engine has ended, so standard input is closed or standard output has
/// no reader.
pub fn run(config: &RaceConfig, random_fraction: RandomFraction<'_>) -> io::Result<()> {
    let mut holder = match RaceHolder::prepare(*config, random_fraction) {
        Ok(holder) => holder,
        Err(error) => {
            let why = Text::around_scrubbed(error.to_string());
            return print_line(&RaceLine::Impossible(why));
        }
    };
    print_line(&RaceLine::Ready)?;
    for _ in 0..config.rounds {
        match holder.counted_round() {
            Ok(round) => print_line(&RaceLine::Round(round))?,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
            Err(error) => {
                return print_line(&RaceLine::Failed(Text::around_scrubbed(error.to_string())));
            }
        }
    }
    print_line(&RaceLine::Over)
}

fn print_line(line: &RaceLine) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(format!("{line}\n").as_bytes())?;
    stdout.flush()
}

struct RaceHolder<'a> {
    config: RaceConfig,
    random_fraction: RandomFraction<'a>,
    binder: RealBinder,
    competitor: Watched,
    receiver: Receiver,
    /// Held until the race ends.
    _others: Vec<Box<dyn Held>>,
    rounds: u64,
}

impl<'a> RaceHolder<'a> {
    fn prepare(config: RaceConfig, random_fraction: RandomFraction<'a>) -> Result<Self, HostError> {
        private_namespace::make()?;
        actor_process::end_with_parent()
            .map_err(|error| HostError::new("set the parent-death signal", error))?;
        actor_process::reduce_timer_slack();
        let others = occupy(config.range, config.others, random_fraction)?;
        let binder = udp_binder()?;
        let competitor =
            Watched::start(&config).map_err(|e| HostError::new("start the competitor", e))?;
        let receiver = Receiver::start(Path::new(OURSELVES))
            .map_err(|error| HostError::new("start the receiver", error))?;
        Ok(Self {
            config,
            random_fraction,
            binder,
            competitor,
            receiver,
            _others: others,
            rounds: 0,
        })
    }

    fn counted_round(&mut self) -> io::Result<RoundReport> {
        for _ in 0..MAX_DELAYED_ROUNDS {
            let round = self.round()?;
            // In a longer window (on a busy machine) the competitor may have released a stolen
            // port.
            if round.window < self.config.hold {
                return Ok(round);
            }
        }
        Err(io::Error::other("the host is too busy: no window ended in time"))
    }

    fn round(&mut self) -> io::Result<RoundReport> {
        let config = self.config;
        let closed = self.bind_some()?;
        let kept = self.bind_some()?;
        let (port, kept_port) = (closed.port(), kept.port());
        let kept = kept.into_descriptors().pop().ok_or(io::ErrorKind::NotFound)?;
        self.send_to(&kept, kept_port)?;
        self.rounds += 1;
        self.competitor.catch_up()?;
        self.competitor.wait_for_loss(kept_port);
        drop(closed);
        let begun = Instant::now();
        self.wait_until(begun + config.window)?;
        let (again, took) = self.binder.bind(port);
        let window = begun.elapsed().saturating_sub(took);
        let is_stolen = match again {
            Ok(_) => false,
            Err(refusal) if refusal.errno == Errno::EADDRINUSE => true,
            Err(refusal) => return Err(refusal.errno.into()),
        };
        self.competitor.catch_up()?;
        let received = self.receiver.give(kept);
        // Converts the error, because `run` takes `BrokenPipe` as the end of the engine.
        let received =
            received.map_err(|error| io::Error::other(format!("the receiver failed: {error}")))?;
        Ok(RoundReport {
            window,
            // The competitor cannot bind the kept port, but can bind the closed one.
            free: f64::from(config.range.len() - config.others - 1) - self.competitor.mean_held(),
            is_stolen,
            is_kept: received == (kept_port, self.rounds - 1),
            refused: self.competitor.refused,
            bound: self.competitor.binds,
        })
    }

    fn wait_until(&mut self, end: Instant) -> io::Result<()> {
        while Instant::now() + PART < end {
            actor_process::wait_until(Instant::now() + PART)?;
            self.competitor.catch_up()?;
        }
        actor_process::wait_until(end)
    }

    /// Tries random ports until one is bound. Errors: none is bound after `TIMEOUT` attempts per
    /// port of the range, or bind() fails with an error other than EADDRINUSE.
    fn bind_some(&mut self) -> io::Result<Box<dyn Held>> {
        let range = self.config.range;
        for _ in 0..TIMEOUT * range.len() {
            match self.binder.bind(draw(range, self.random_fraction)).0 {
                Ok(held) => return Ok(held),
                Err(refusal) if refusal.errno == Errno::EADDRINUSE => {}
                Err(refusal) => return Err(refusal.errno.into()),
            }
        }
        Err(io::Error::other("no free port was found"))
    }

    /// Sends the number of the round to the kept socket. Only the receiver reads it.
    fn send_to(&self, kept: &OwnedFd, port: u16) -> io::Result<()> {
        let to = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, port);
        rustix::net::sendto(kept, &self.rounds.to_be_bytes(), SendFlags::empty(), &to)?;
        Ok(())
    }
}

/// Binds `count` ports of the range, chosen at random, and holds them until the result is dropped.
/// Errors: the descriptor limit is too low, or a socket cannot be created or bound.
pub fn occupy(
    range: PortRange,
    count: u32,
    random_fraction: RandomFraction<'_>,
) -> Result<Vec<Box<dyn Held>>, HostError> {
    let needed = u64::from(count) + DESCRIPTORS_KEPT;
    let limit = descriptors::raise_limit();
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        let operation = format!("hold {count} ports ({needed} descriptors needed, limit {limit})");
        return Err(HostError::new(&operation, Errno::EMFILE));
    }
    let mut ports: Vec<u16> = range.ports().collect();
    let mut binder = udp_binder()?;
    (0..count as usize)
        .map(|index| {
            let left = ports.len() - index;
            let chosen = index + ((random_fraction() * left as f64) as usize).min(left - 1);
            ports.swap(index, chosen);
            let port = ports[index];
            let held = binder.bind(port).0;
            held.map_err(|refusal| HostError::new(&format!("hold port {port}"), refusal.errno))
        })
        .collect()
}

/// Creates a binder for UDP on all IPv4 addresses, which works without any interface.
fn udp_binder() -> Result<RealBinder, HostError> {
    let everywhere = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    RealBinder::new(Protocols::Udp, Some(everywhere.into()))
}

/// The competitor's process, and what it reported.
struct Watched {
    process: Child,
    is_up: bool,
    /// Number of refused attempts to bind `port`.
    refused: u32,
    port: u16,
    /// Number of ports that the competitor held at its last bind.
    held: u32,
    /// Binds since `wait_for_loss`, and the sum of the numbers of ports held at each.
    binds: u32,
    held_sum: u64,
}

impl Watched {
    /// Starts the competitor and waits until it runs.
    fn start(config: &RaceConfig) -> io::Result<Self> {
        let process = Child::start(Path::new(OURSELVES), &config.competitor())?;
        let mut competitor =
            Self { process, is_up: false, refused: 0, port: 0, held: 0, held_sum: 0, binds: 0 };
        while !competitor.is_up {
            actor_process::wait_until(Instant::now())?;
            competitor.listen(PART)?;
        }
        Ok(competitor)
    }

    /// Counts the binds, and the refused attempts to bind `port`, from now on.
    fn wait_for_loss(&mut self, port: u16) {
        self.port = port;
        self.refused = 0;
        self.held_sum = 0;
        self.binds = 0;
    }

    /// Reads all lines that have arrived.
    fn catch_up(&mut self) -> io::Result<()> {
        while self.listen(Duration::ZERO)? {}
        Ok(())
    }

    /// Reads one line. Returns false if none arrived within `wait`. Errors: the competitor has
    /// ended, or the line is invalid.
    fn listen(&mut self, wait: Duration) -> io::Result<bool> {
        let line = match self.process.receive(wait)? {
            ChildInput::Line(line) => line,
            ChildInput::Nothing => return Ok(false),
            ChildInput::End => return Err(io::Error::other("the competitor has ended")),
        };
        match ActorEvent::parse(&line) {
            Some(ActorEvent::Up { .. }) => self.is_up = true,
            Some(ActorEvent::Opened { held, .. }) => {
                self.held = held;
                self.held_sum += u64::from(held);
                self.binds += 1;
            }
            Some(ActorEvent::Refused { port, errno: Errno::EADDRINUSE }) => {
                self.refused += u32::from(port == self.port);
            }
            Some(ActorEvent::Refused { errno, .. }) => {
                return Err(io::Error::other(format!("the competitor failed: {errno}")));
            }
            None => return Err(io::Error::other("unexpected output of the competitor")),
        }
        Ok(true)
    }

    fn mean_held(&self) -> f64 {
        match self.binds {
            0 => f64::from(self.held),
            binds => self.held_sum as f64 / f64::from(binds),
        }
    }
}
