//! `portscope exec`: finds ports, keeps them bound, and becomes the program that gets the sockets.

use std::{
    ffi::{OsStr, OsString},
    io::{self, IsTerminal as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use crate::{
    cli::{
        exit::{self, NotStarted, Verdict},
        namespaces,
        search::{self, Wishes},
        settings::search::ExecSettings,
    },
    domain::Text,
    host::linux::handover::{self, HandoverError, Program},
};

/// Returns only if the program was not started.
pub fn run(settings: &ExecSettings) -> anyhow::Result<Verdict> {
    // What is held counts against the limit under which the program then runs.
    let wishes = Wishes { attempts: false, raised_limit: false, beside_ended: true };
    let search = &settings.search;
    // Only the search happens in another namespace: the program stays where it was started.
    let (pick, ports) =
        namespaces::run_in(&search.namespace, |host| search::run(host, search, wishes))??;
    if let Some(error) = pick.error {
        exit::tell(format_args!("portscope: {error}"));
        return Ok(Verdict::NotStarted(NotStarted::NoPort));
    }
    let held = ports.into_iter().map(|(_, held)| held).collect();
    let stale: Vec<OsString> =
        std::env::vars_os().map(|(name, _)| name).filter(|name| is_numbered_port(name)).collect();
    let ExecSettings { program: path, arguments, .. } = settings;
    let program = Program { path, arguments, stale: &stale };
    let result = if settings.holds {
        hint_at_shell(path);
        handover::become_program(&program, held)
    } else {
        search::tell_automatic(&pick);
        handover::become_binder(&program, held)
    };
    match result {
        Ok(never) => match never {},
        Err(HandoverError::Sockets(error)) => Err(error.into()),
        Err(HandoverError::Program(error)) => Ok(Verdict::NotStarted(explain(settings, &error))),
    }
}

/// `PORT_1`, as an exec around this one has set it.
fn is_numbered_port(name: &OsStr) -> bool {
    let number = name.as_bytes().strip_prefix(b"PORT_");
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// A shell takes no descriptor, and what it starts seldom does.
fn hint_at_shell(program: &OsStr) {
    const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"];
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    if SHELLS.contains(&name) && std::io::stderr().is_terminal() {
        exit::tell(format_args!(
            "portscope: {name} hands the socket on as descriptor 3; a program that binds $PORT \
             itself fails with EADDRINUSE: use --no-hold for it"
        ));
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
