//! The hidden command by which the program is victim and thief of its own race.

use crate::cli::exit::Verdict;

/// Started by ourselves, with words of our own; by people only for a look.
#[cfg(target_os = "linux")]
pub fn run(words: &[String]) -> anyhow::Result<Verdict> {
    use anyhow::Context as _;
    use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};

    use crate::host::linux::thief::Role;

    let role = Role::parse(words).context("'arena' is what portscope says to itself")?;
    let mut random = ChaCha8Rng::seed_from_u64(role.seed());
    match role.play(&mut || random.random::<f64>()) {
        // Whoever started it has ended, so does it.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Verdict::Done),
        outcome => Ok(outcome.map(|()| Verdict::Done)?),
    }
}

#[cfg(not(target_os = "linux"))]
pub fn run(_: &[String]) -> anyhow::Result<Verdict> {
    anyhow::bail!("races are run on Linux")
}
