//! The hidden command by which the program is victim and thief of its own race.

use crate::cli::exit::Verdict;

pub fn run(_: &[String]) -> anyhow::Result<Verdict> {
    anyhow::bail!("not built")
}
