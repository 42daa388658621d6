//! `portscope exec`: finds ports, keeps them bound, and becomes the program that gets the sockets.

use std::{io, os::unix::ffi::OsStrExt as _};

use crate::{
    cli::{
        exit::{self, NotStarted, Verdict},
        namespaces,
        search::{self, Wishes},
        settings::search::ExecSettings,
    },
    domain::Text,
    host::linux::handover::{self, HandoverError},
};

/// Returns only if the program was not started.
pub fn run(settings: &ExecSettings) -> anyhow::Result<Verdict> {
    // What is held counts against the limit under which the program then runs.
    let wishes = Wishes { attempts: false, raised_limit: false };
    let search = &settings.search;
    // Only the search happens in another namespace: the program stays where it was started.
    let (pick, ports) =
        namespaces::run_in(&search.namespace, |host| search::run(host, search, wishes))??;
    if let Some(error) = pick.error {
        exit::tell(format_args!("portscope: {error}"));
        return Ok(Verdict::NotStarted(NotStarted::NoPort));
    }
    let held = ports.into_iter().map(|(_, held)| held).collect();
    match handover::become_program(&settings.program, &settings.arguments, held) {
        Ok(never) => match never {},
        Err(HandoverError::Sockets(error)) => Err(error.into()),
        Err(HandoverError::Program(error)) => Ok(Verdict::NotStarted(explain(settings, &error))),
    }
}

fn explain(settings: &ExecSettings, error: &io::Error) -> NotStarted {
    let program = Text::scrub(settings.program.as_bytes());
    let is_name = !settings.program.as_bytes().contains(&b'/');
    match error.kind() {
        io::ErrorKind::NotFound if is_name => {
            exit::tell(format_args!("portscope: there is no '{program}' in PATH"));
            NotStarted::NotFound
        }
        kind => {
            exit::tell(format_args!("portscope: could not run '{program}': {error}"));
            let is_missing = kind == io::ErrorKind::NotFound;
            if is_missing { NotStarted::NotFound } else { NotStarted::NotExecutable }
        }
    }
}
