//! `portscope race-worker`, a hidden command: runs one of the processes of a race.

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};

use crate::{cli::exit::CommandEnd, host::linux::race::RaceRole};

/// Plays the role that `words` describe. portscope starts this command itself. Errors: `words` are
/// invalid, or a system call failed.
pub fn run(words: &[String]) -> anyhow::Result<CommandEnd> {
    let Some(role) = RaceRole::parse(words) else {
        anyhow::bail!("race-worker is started by 'lab --race' and the Lab screen only");
    };
    let mut random = ChaCha8Rng::seed_from_u64(role.seed());
    match role.play(&mut || random.random::<f64>()) {
        // The process that started this worker has ended, so the worker ends too.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(CommandEnd::Done),
        outcome => Ok(outcome.map(|()| CommandEnd::Done)?),
    }
}
