//! The competitor of a race, and the entry point of the race's processes. The race itself is run by
//! the holder.
//!
//! portscope starts the process of the holder, which creates a network namespace and starts the
//! competitor and the receiver in it. Each process ends with the one that started it.

mod child;
mod holder;
mod race_namespace;
mod receiver;

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    domain::{Binder as _, Errno, PortRange, Protocols, Text},
    host::{Held, RaceProcess, linux::binder::RealBinder, race_config::RaceConfig},
};
use child::Child;

/// Maximum delay that the competitor catches up with. Catching up with more, for example after the
/// process was stopped, would cause a burst of binds.
const MAX_LAG: Duration = Duration::from_millis(1);

/// Number of attempts, per port of the range, after which a search gives up.
const TIMEOUT: u32 = 32;

/// Time for the holder to end its own children before it is killed.
const GRACE: Duration = Duration::from_millis(500);

/// Starts the holder as a process of `program`. Errors, as text: the process cannot be started.
pub fn start(program: &Path, config: &RaceConfig) -> Result<Box<dyn RaceProcess>, Text> {
    let words = [vec!["holder".to_owned()], config.words()].concat();
    match Child::start(program, &words, GRACE) {
        Ok(holder) => Ok(Box::new(holder)),
        Err(error) => Err(Text::scrub(format!("could not start {}: {error}", program.display()))),
    }
}

/// Draws a number from [0, 1) at random.
pub type RandomFraction<'a> = &'a mut dyn FnMut() -> f64;

/// The role of a process in a race.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RaceRole {
    RaceHolder(RaceConfig),
    Competitor(RaceConfig),
    /// Receives the sockets that are handed over.
    Receiver,
}

impl RaceRole {
    /// Parses the arguments of the process. None: they name no role, or the arguments of the role
    /// are invalid.
    pub fn parse(words: &[String]) -> Option<Self> {
        let (name, rest) = words.split_first()?;
        match name.as_str() {
            "holder" => RaceConfig::parse(rest).map(Self::RaceHolder),
            "competitor" => RaceConfig::parse(rest).map(Self::Competitor),
            "receiver" if rest.is_empty() => Some(Self::Receiver),
            _ => None,
        }
    }

    /// Returns the seed of the process's generator. The holder and the competitor have different
    /// seeds; the receiver draws no random numbers.
    pub fn seed(&self) -> u64 {
        match self {
            Self::RaceHolder(config) => config.seed,
            Self::Competitor(config) => !config.seed,
            Self::Receiver => 0,
        }
    }

    /// Runs until the race ends or the process that started this one ends.
    ///
    /// Errors: the process that started this one has ended (`BrokenPipe`), or a system call fails.
    pub fn play(self, random_fraction: RandomFraction<'_>) -> io::Result<()> {
        match self {
            Self::RaceHolder(config) => holder::run(&config, random_fraction),
            Self::Competitor(config) => Competitor::new(config, random_fraction)?.run(),
            Self::Receiver => receiver::run(),
        }
    }
}

/// Binds ports at random, knows nothing of the holder, and reports on stdout: "up 0" (it begins),
/// "b HELD" (it bound a port while it held HELD others), "r PORT" (PORT was in use, but not by the
/// competitor itself).
struct Competitor<'a> {
    config: RaceConfig,
    random_fraction: RandomFraction<'a>,
    binder: RealBinder,
    /// The ports that it holds, oldest first, each with the time of its release.
    held: VecDeque<(Instant, Box<dyn Held>)>,
    reported: String,
}

impl<'a> Competitor<'a> {
    fn new(config: RaceConfig, random_fraction: RandomFraction<'a>) -> io::Result<Self> {
        race_namespace::set_process_name(c"race-competitor");
        race_namespace::end_with_parent()?;
        race_namespace::reduce_timer_slack();
        let binder = udp_binder()?;
        let held = VecDeque::with_capacity(config.most as usize);
        Ok(Self { config, random_fraction, binder, held, reported: String::new() })
    }

    fn run(mut self) -> io::Result<()> {
        self.reported.push_str("up 0\n");
        self.send_result()?;
        let mut due = Instant::now() + self.gap();
        loop {
            let release = self.held.front().map(|(release, _)| *release);
            race_namespace::wait_until(release.map_or(due, |release| release.min(due)))?;
            let now = Instant::now();
            while self.held.front().is_some_and(|(release, _)| *release <= now) {
                self.held.pop_front();
            }
            if now < due {
                continue;
            }
            let from = match self.held.front() {
                // At the maximum, all binds until the next release are skipped. A Poisson process
                // has no memory, so the next gap can begin at that release.
                Some((release, _)) if self.held.len() >= self.config.most as usize => *release,
                _ => {
                    self.search()?;
                    due.max(now.checked_sub(MAX_LAG).unwrap_or(now))
                }
            };
            due = from + self.gap();
        }
    }

    /// Tries random ports until one is bound, or until the search gives up (`TIMEOUT`).
    fn search(&mut self) -> io::Result<()> {
        let others = self.held.len();
        let RaceConfig { range, hold, .. } = self.config;
        for _ in 0..TIMEOUT * range.len() {
            let port = draw(range, self.random_fraction);
            match self.binder.bind(port).0 {
                Ok(held) => {
                    self.held.push_back((Instant::now() + hold, held));
                    let _ = writeln!(self.reported, "b {others}");
                    break;
                }
                Err(refusal) if refusal.errno == Errno::EADDRINUSE => {
                    if !self.held.iter().any(|(_, held)| held.port() == port) {
                        let _ = writeln!(self.reported, "r {port}");
                    }
                }
                Err(refusal) => return Err(refusal.errno.into()),
            }
        }
        self.send_result()
    }

    fn send_result(&mut self) -> io::Result<()> {
        io::stdout().write_all(self.reported.as_bytes())?;
        self.reported.clear();
        io::stdout().flush()
    }

    /// Returns the time until the next bind, at most one hour. It is exponentially distributed, so
    /// that the binds are a Poisson process.
    fn gap(&mut self) -> Duration {
        let seconds = -(1.0 - (self.random_fraction)()).ln() / self.config.per_second;
        Duration::from_secs_f64(seconds.min(3600.0))
    }
}

fn draw(range: PortRange, random_fraction: RandomFraction<'_>) -> u16 {
    let number = (random_fraction() * f64::from(range.len())) as u32;
    range.first() + number.min(range.len() - 1) as u16
}

/// Creates a binder for UDP on all IPv4 addresses, which works without any interface.
fn udp_binder() -> io::Result<RealBinder> {
    let everywhere = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    RealBinder::new(Protocols::Udp, Some(everywhere.into())).map_err(|error| error.source)
}
