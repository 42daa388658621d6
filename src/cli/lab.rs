//! `portscope lab`: strategies side by side without a screen, and the race.

use crate::cli::{exit::Verdict, settings::LabSettings};

pub fn run(_: &LabSettings) -> anyhow::Result<Verdict> {
    anyhow::bail!("not built")
}
