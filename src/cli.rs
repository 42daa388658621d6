//! The command line: from arguments to an exit code. Each subcommand has its own file.

mod args;
mod diagnose;
mod exec;
mod exit;
mod explain;
mod help;
mod lab;
mod namespaces;
mod output;
mod pick;
mod race_worker;
mod refusal;
mod scan;
mod search;
mod seed;
mod serve;
mod settings;
mod tui;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser as _, error::ErrorKind};

use crate::cli::{
    args::{Arguments, COMMANDS},
    exit::CommandEnd,
    output::OutputTarget,
    settings::CommandSettings,
};

/// Runs the command that the arguments describe and returns the exit code. The first argument is
/// the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let arguments = without_alias(&arguments).unwrap_or(arguments);
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
    let arguments = match Arguments::try_parse_from(typed) {
        Ok(arguments) => arguments,
        Err(shown) if !shown.use_stderr() => {
            let text = match shown.kind() {
                ErrorKind::DisplayHelp => help::render(typed),
                _ => shown.render().to_string(),
            };
            OutputTarget::StandardOutput.write(|out| write!(out, "{text}"))?;
            return Ok(CommandEnd::Done);
        }
        Err(error) => return Err(refusal::explain(&error, typed).into()),
    };
    match CommandSettings::try_from(arguments)? {
        CommandSettings::Live(settings) => {
            tui::run(namespaces::host(&settings.namespace)?, &settings)
        }
        CommandSettings::Scan(settings) => scan::run(&settings),
        CommandSettings::Diagnose(settings) => diagnose::run(&settings),
        CommandSettings::Explain(settings) => explain::run(&settings),
        CommandSettings::Exec(settings) => exec::run(&settings),
        CommandSettings::Serve(settings) => {
            namespaces::run_in(&settings.namespace, |host| serve::run(host, &settings))?
        }
        CommandSettings::Lab(settings) => lab::run(&settings),
        CommandSettings::RaceWorker(words) => race_worker::run(&words),
        CommandSettings::Pick(settings) => {
            namespaces::run_in(&settings.search.namespace, |host| pick::run(host, &settings))?
        }
    }
}
