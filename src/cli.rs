//! The command line: from arguments to an exit code. Each subcommand has its own file.

mod arena;
mod args;
mod diagnose;
mod exec;
mod exit;
mod explain;
mod lab;
mod namespaces;
mod output;
mod pick;
mod refusal;
mod scan;
mod search;
mod seed;
mod serve;
mod settings;
mod tui;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser as _;

use crate::cli::{args::Arguments, exit::Verdict, output::Destination, settings::Settings};

/// Runs the command that the arguments describe and returns the exit code. The first argument is
/// the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let is_diagnose = arguments.get(1).is_some_and(|command| command == "diagnose");
    let failed = if is_diagnose { exit::UNKNOWN } else { exit::FAILED };
    exit::code(obey(arguments), failed)
}

fn obey(arguments: Vec<OsString>) -> anyhow::Result<Verdict> {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(help) if !help.use_stderr() => {
            Destination::StandardOutput.write(|out| write!(out, "{}", help.render()))?;
            return Ok(Verdict::Done);
        }
        Err(error) => return Err(refusal::explain(&error).into()),
    };
    match Settings::try_from(arguments)? {
        Settings::Live(settings) => tui::run(namespaces::host(&settings.namespace)?, &settings),
        Settings::Scan(settings) => scan::run(&settings),
        Settings::Diagnose(settings) => diagnose::run(&settings),
        Settings::Explain(settings) => explain::run(&settings),
        Settings::Exec(settings) => exec::run(&settings),
        Settings::Serve(settings) => {
            namespaces::run_in(&settings.namespace, |host| serve::run(host, &settings))?
        }
        Settings::Lab(settings) => lab::run(&settings),
        Settings::Arena(words) => arena::run(&words),
        Settings::Pick(settings) => {
            namespaces::run_in(&settings.search.namespace, |host| pick::run(host, &settings))?
        }
    }
}
