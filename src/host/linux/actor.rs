//! Runs actors (`host::actor`): starts their processes, and is the entry point of these processes.
//!
//! An actor works in the network namespace of the thread that starts it. The holder of a race moves
//! itself into a new one first.

mod actor_process;
mod child;
mod private_namespace;
mod race_holder;
mod race_receiver;
mod socket_actor;

use std::{io, path::Path};

use crate::{
    domain::{PortRange, Text},
    host::{
        ActorProcess,
        actor::{Actor, ActorRole},
    },
};
use child::Child;
use socket_actor::SocketActor;

/// Number of attempts to bind a port at random, per port of the range, after which a search gives
/// up.
const TIMEOUT: u32 = 32;

/// Draws a number from [0, 1) at random.
pub type RandomFraction<'a> = &'a mut dyn FnMut() -> f64;

/// Starts an actor as a process of `program`, which is portscope. Dropping the result ends it; so
/// does the end of the calling thread. The caller reads the actor's lines, because the actor waits
/// while the pipe is full.
///
/// Errors, as text: the process cannot be started.
pub fn start(program: &Path, actor: &Actor) -> Result<Box<dyn ActorProcess>, Text> {
    match Child::start(program, actor) {
        Ok(child) => Ok(Box::new(child)),
        Err(error) => Err(Text::scrub(format!("could not start {}: {error}", program.display()))),
    }
}

/// Plays the actor in this process, until the process that started it ends.
///
/// Errors: the process that started this one has ended (`BrokenPipe`), or a system call fails.
pub fn play(actor: &Actor, random_fraction: RandomFraction<'_>) -> io::Result<()> {
    actor_process::set_name(&actor.name);
    match &actor.role {
        ActorRole::Listen(role) => SocketActor::listening(role, random_fraction)?.run(),
        ActorRole::Open(role) => SocketActor::opening(*role, random_fraction)?.run(),
        ActorRole::RaceHolder(config) => race_holder::run(config, random_fraction),
        ActorRole::RaceReceiver => race_receiver::run(),
    }
}

fn draw(range: PortRange, random_fraction: RandomFraction<'_>) -> u16 {
    let number = (random_fraction() * f64::from(range.len())) as u32;
    range.first() + number.min(range.len() - 1) as u16
}
