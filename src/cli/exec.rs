//! `portscope exec`: finds ports, keeps them bound, and replaces this process with the program that
//! gets the sockets.

use std::{
    ffi::{OsStr, OsString},
    io::{self, IsTerminal as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use crate::{
    cli::{
        args::ExecArguments,
        exit::{self, CommandEnd, NotStarted},
        namespaces, output,
        search::{self, SearchOptions},
        settings::BadInput,
    },
    domain::Text,
    host::linux::handover::{self, HandoverError, Program},
    report::NoPort,
};

/// Finds the ports and replaces this process with the program. Returns only if the program could
/// not be started.
pub fn run(settings: &ExecArguments) -> anyhow::Result<CommandEnd> {
    let (path, arguments) = settings.program()?;
    // The limit is not raised: the program inherits the sockets and the limit that they count
    // against.
    let options = SearchOptions { attempts: false, raised_limit: false, beside_ended: true };
    let find = &settings.find;
    // Only the search runs in the other namespace: the program runs in that of the caller.
    let (pick, ports) = namespaces::run_in(find.search.namespace.choice(), |host| {
        search::run(host, find, options)
    })??;
    if let Some(NoPort::AddressRefused(refusal)) = pick.error {
        return Err(BadInput(refusal.to_string()).into());
    }
    if let Some(error) = pick.error {
        exit::print_stderr(format_args!("portscope: {error}"));
        return Ok(CommandEnd::NotStarted(NotStarted::NoPort));
    }
    let held = ports.into_iter().map(|(_, held)| held).collect();
    let stale: Vec<OsString> =
        std::env::vars_os().map(|(name, _)| name).filter(|name| is_numbered_port(name)).collect();
    let program = Program { path, arguments, stale: &stale };
    let result = if settings.no_hold {
        search::report_automatic(&pick);
        handover::become_binder(&program, held)
    } else {
        hint_at_shell(path);
        handover::become_program(&program, held)
    };
    match result {
        Ok(never) => match never {},
        Err(HandoverError::Sockets(error)) => Err(error.into()),
        Err(HandoverError::Program(error)) => Ok(CommandEnd::NotStarted(explain(path, &error))),
    }
}

/// Whether `name` is `PORT_1`, `PORT_2` and so on. An enclosing `portscope exec` may have set such
/// variables.
fn is_numbered_port(name: &OsStr) -> bool {
    let number = name.as_bytes().strip_prefix(b"PORT_");
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Warns on a terminal if the program is a shell: a shell does not use the passed sockets, and the
/// programs that it starts seldom do.
fn hint_at_shell(program: &OsStr) {
    const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"];
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    if SHELLS.contains(&name) && std::io::stderr().is_terminal() {
        exit::print_stderr(format_args!(
            "portscope: {name} passes the socket on as descriptor 3; a program that binds $PORT \
             itself fails with EADDRINUSE and needs --no-hold"
        ));
    }
}

fn explain(program: &OsStr, error: &io::Error) -> NotStarted {
    let is_name = !program.as_bytes().contains(&b'/');
    let program = Text::scrub(program.as_bytes());
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    if is_missing && is_name {
        exit::print_stderr(format_args!("portscope: '{program}' not found in PATH"));
    } else {
        let error = output::described(error);
        exit::print_stderr(format_args!("portscope: could not run '{program}': {error}"));
    }
    if is_missing { NotStarted::NotFound } else { NotStarted::NotExecutable }
}
