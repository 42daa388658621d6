//! `portscope` alone: the terminal program. Refuses where there is no terminal.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _},
};

use crate::cli::{
    exit::Verdict,
    settings::{BadInput, LiveSettings},
};

pub fn run(_settings: LiveSettings) -> anyhow::Result<Verdict> {
    require_terminal()?;
    anyhow::bail!("interim: the terminal program is not merged yet")
}

fn require_terminal() -> Result<(), BadInput> {
    let missing = if !io::stdin().is_terminal() {
        "standard input is no terminal"
    } else if !io::stdout().is_terminal() {
        "standard output is no terminal"
    } else if std::env::var_os("TERM").as_deref() == Some(OsStr::new("dumb")) {
        "TERM=dumb cannot show it"
    } else {
        return Ok(());
    };
    Err(BadInput(format!(
        "the terminal program needs a terminal, and {missing}: use 'portscope scan' for a list"
    )))
}
