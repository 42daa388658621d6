//! `portscope race-worker`, a hidden command: runs one of the processes of a race.

use crate::cli::exit::CommandEnd;

/// Plays the role that `words` describe. portscope starts this command itself. Errors: `words` are
/// invalid, or a system call failed.
#[cfg(target_os = "linux")]
pub fn run(words: &[String]) -> anyhow::Result<CommandEnd> {
    use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};

    use crate::host::linux::race::RaceRole;

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

#[cfg(not(target_os = "linux"))]
pub fn run(_: &[String]) -> anyhow::Result<CommandEnd> {
    anyhow::bail!("races run on Linux only")
}
