//! The command line: from arguments to an exit code. Each subcommand has its own file.

mod args;
mod diagnose;
mod exec;
mod exit;
mod explain;
mod free;
mod help;
mod lab;
mod locale;
mod namespaces;
mod output;
mod pick;
mod range;
mod refusal;
mod reserve;
mod rows_file;
mod run_actor;
mod scan;
mod search;
mod serve;
mod settings;
mod target;
mod tui;
mod value;
mod wait;

pub use tui::parse_find;

use std::{ffi::OsString, process::ExitCode};

use clap::error::ErrorKind;

use crate::cli::{
    args::{Arguments, COMMANDS, Command},
    exit::CommandEnd,
};

/// Runs the command that the arguments describe and returns the exit code. The first argument is
/// the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let arguments = without_alias(&arguments).unwrap_or(arguments);
    let arguments = target::join_pid(arguments);
    let is_diagnose = arguments.get(1).is_some_and(|command| command == "diagnose");
    let failed = if is_diagnose { exit::UNKNOWN } else { exit::FAILED };
    exit::code(apply(&arguments), failed)
}

/// Replaces the words `help`, `help COMMAND` and `version` by the options `--help` and `--version`.
/// None: the arguments are other words.
fn without_alias(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let [program, words @ ..] = arguments else { return None };
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let options = match words[..] {
        ["help"] | ["help", "help" | "version"] => vec!["--help"],
        ["help", command] if COMMANDS.contains(&command) => vec![command, "--help"],
        ["version"] => vec!["--version"],
        _ => return None,
    };
    Some([program.clone()].into_iter().chain(options.into_iter().map(OsString::from)).collect())
}

fn apply(typed: &[OsString]) -> anyhow::Result<CommandEnd> {
    if let Some(error) = refusal::unknown_topic(typed) {
        return Err(error.into());
    }
    let arguments = match Arguments::read(typed) {
        Ok(arguments) => arguments,
        Err(shown) if !shown.use_stderr() => {
            let text = match shown.kind() {
                ErrorKind::DisplayHelp => help::render(typed),
                _ => shown.render().to_string(),
            };
            output::write(None, |out| write!(out, "{text}"))?;
            return Ok(CommandEnd::Done);
        }
        Err(error) => return Err(refusal::explain(&error, typed).into()),
    };
    let Some(command) = arguments.command else {
        let live = &arguments.live;
        return tui::run(namespaces::host(live.namespace.choice())?, live);
    };
    settings::check(&command)?;
    match &command {
        Command::Scan(typed) => scan::run(typed),
        Command::Diagnose(typed) => diagnose::run(typed),
        Command::Explain(typed) => explain::run(typed),
        Command::Free(typed) => {
            namespaces::run_in(typed.waiting.namespace.choice(), |host| free::run(host, typed))?
        }
        Command::Wait(typed) => {
            namespaces::run_in(typed.waiting.namespace.choice(), |host| wait::run(host, typed))?
        }
        Command::Reserve(typed) => {
            namespaces::run_in(typed.namespace.choice(), |host| reserve::run(host, typed))?
        }
        Command::Exec(typed) => exec::run(typed),
        Command::Serve(typed) => {
            namespaces::run_in(typed.search.namespace.choice(), |host| serve::run(host, typed))?
        }
        Command::Lab(typed) => lab::run(typed),
        Command::RunActor(typed) => run_actor::run(&typed.words),
        Command::Pick(typed) => {
            namespaces::run_in(typed.find.search.namespace.choice(), |host| pick::run(host, typed))?
        }
    }
}
