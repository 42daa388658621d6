//! The thief of a race, and the way into the processes of one. The race itself is the victim's.
//!
//! The engine starts `arena victim`, which makes a network namespace of its own and starts
//! `arena thief` and `arena heir` in it. Each ends with the one that started it.

pub mod child;
mod ground;
mod heir;
pub mod line;
mod victim;

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use crate::{
    domain::{Binder as _, Errno, PortRange, Protocols},
    host::{Held, course::Course, linux::binder::RealBinder},
};

/// Lag that the thief makes up for; more (a stopped process) would make a burst of binds.
const LAG: Duration = Duration::from_millis(1);

/// Tries of one search for each port of the range, after which there is none.
const PATIENCE: u32 = 32;

/// Draws a number of [0, 1) by chance.
pub type Chance<'a> = &'a mut dyn FnMut() -> f64;

/// What a process is in a race.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Victim(Course),
    Thief(Course),
    /// It gets the sockets that are handed over.
    Heir,
}

impl Role {
    /// None: these words say no role.
    pub fn parse(words: &[String]) -> Option<Self> {
        let (name, rest) = words.split_first()?;
        match name.as_str() {
            "victim" => Course::parse(rest).map(Self::Victim),
            "thief" => Course::parse(rest).map(Self::Thief),
            "heir" if rest.is_empty() => Some(Self::Heir),
            _ => None,
        }
    }

    /// For the generator of the process; no two processes of a race have the same.
    pub fn seed(&self) -> u64 {
        match self {
            Self::Victim(course) => course.seed,
            Self::Thief(course) => !course.seed,
            Self::Heir => 0,
        }
    }

    /// To the end of the race, or of the process that started this one.
    ///
    /// Errors: nobody listens any more, or the system refuses what has to be had.
    pub fn play(self, chance: Chance<'_>) -> io::Result<()> {
        match self {
            Self::Victim(course) => victim::run(&course, chance),
            Self::Thief(course) => Thief::new(&course)?.run(&course, chance),
            Self::Heir => heir::run(),
        }
    }
}

/// Binds ports by chance, knows nothing of the victim, and tells its pipe: "up 0" it begins,
/// "b HELD" a port was bound while so many were held, "r PORT" a port was refused that it does not
/// hold itself.
struct Thief {
    binder: RealBinder,
    /// Oldest first, with the time of their release.
    held: VecDeque<(Instant, Box<dyn Held>)>,
    told: String,
}

impl Thief {
    fn new(course: &Course) -> io::Result<Self> {
        ground::be_named(c"portscope-thief");
        ground::end_with_parent()?;
        ground::wake_punctually();
        let binder = udp_binder()?;
        Ok(Self {
            binder,
            held: VecDeque::with_capacity(course.most as usize),
            told: String::new(),
        })
    }

    fn run(mut self, course: &Course, chance: Chance<'_>) -> io::Result<()> {
        self.told.push_str("up 0\n");
        self.tell()?;
        let mut due = Instant::now() + gap(course, chance);
        loop {
            let release = self.held.front().map(|(release, _)| *release);
            ground::wait_until(release.map_or(due, |release| release.min(due)))?;
            let now = Instant::now();
            while self.held.front().is_some_and(|(release, _)| *release <= now) {
                self.held.pop_front();
            }
            if now < due {
                continue;
            }
            let from = match self.held.front() {
                // It would skip all binds until then, and what comes after knows nothing of before.
                Some((release, _)) if self.held.len() >= course.most as usize => *release,
                _ => {
                    self.search(course, chance)?;
                    due.max(now.checked_sub(LAG).unwrap_or(now))
                }
            };
            due = from + gap(course, chance);
        }
    }

    /// Tries ports by chance until one is bound.
    fn search(&mut self, course: &Course, chance: Chance<'_>) -> io::Result<()> {
        let others = self.held.len();
        for _ in 0..PATIENCE * course.range.len() {
            let port = draw(course.range, chance);
            match self.binder.bind(port).0 {
                Ok(held) => {
                    self.held.push_back((Instant::now() + course.hold, held));
                    let _ = writeln!(self.told, "b {others}");
                    break;
                }
                Err(refusal) if refusal.errno == Errno::EADDRINUSE => {
                    if !self.held.iter().any(|(_, held)| held.port() == port) {
                        let _ = writeln!(self.told, "r {port}");
                    }
                }
                Err(refusal) => return Err(io::Error::from_raw_os_error(refusal.errno.0)),
            }
        }
        self.tell()
    }

    fn tell(&mut self) -> io::Result<()> {
        io::stdout().write_all(self.told.as_bytes())?;
        self.told.clear();
        io::stdout().flush()
    }
}

/// Until the thief's next bind: exponential, so that its binds are a Poisson process.
fn gap(course: &Course, chance: Chance<'_>) -> Duration {
    Duration::from_secs_f64((-(1.0 - chance()).ln() / course.per_second).min(3600.0))
}

fn draw(range: PortRange, chance: Chance<'_>) -> u16 {
    let number = (chance() * f64::from(range.len())) as u32;
    range.first() + number.min(range.len() - 1) as u16
}

/// UDP on IPv4, which needs no interface.
fn udp_binder() -> io::Result<RealBinder> {
    let everywhere = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    RealBinder::new(Protocols::Udp, Some(everywhere.into())).map_err(|error| error.source)
}
