//! `portscope run-actor`, a hidden command: plays an actor in this process.

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};

use crate::{
    cli::exit::CommandEnd,
    host::{actor::Actor, linux::actor},
};

/// Plays the actor that `words` describe. portscope starts this command itself. Errors: `words` are
/// invalid, or a system call failed.
pub fn run(words: &[String]) -> anyhow::Result<CommandEnd> {
    anyhow::ensure!(
        !words.is_empty(),
        "run-actor is started by 'lab --race' and the Lab screen only"
    );
    let described = Actor::parse(words)?;
    let mut random = ChaCha8Rng::seed_from_u64(described.seed());
    match actor::play(&described, &mut || random.random::<f64>()) {
        // The process that started this one has ended, so it ends too.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(CommandEnd::Done),
        outcome => Ok(outcome.map(|()| CommandEnd::Done)?),
    }
}
