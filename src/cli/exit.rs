//! Exit codes, and the format of errors: one line on stderr. `tui::Exit` has the codes after a
//! signal, a panic or the loss of the terminal.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    cli::{locale, output::WriteError},
    domain::notation,
    host::signals,
    report::Status,
    tui,
};

/// Outcome of a command that could run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// The result is complete, or partial with the gaps reported on stderr.
    Done,
    /// Negative result: no port found, port not in use, no socket of the process, or a partial
    /// result with `--strict`.
    No,
    /// Status of `diagnose`.
    Status(Status),
    /// `exec` could not start COMMAND. On success it becomes COMMAND and does not return.
    NotStarted(NotStarted),
    /// The terminal program ended, for this reason.
    Ended(tui::Exit),
    /// `serve` ended because of this signal.
    Signal(i32),
}

/// Why COMMAND was not started. Each reason has its own exit code, so that scripts can distinguish
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    NoPort,
    NotExecutable,
    NotFound,
}

/// Exit code of a usage error, or of a command that could not run. For `diagnose` see `UNKNOWN`.
pub const FAILED: u8 = 2;
/// `FAILED` for `diagnose`, where 2 means CRITICAL. Also the exit code of `Status::Unknown`.
pub const UNKNOWN: u8 = 3;

/// Returns the exit code of a command. If the command could not run, prints the error and returns
/// `failed`. An error because the reader closed the pipe is a success.
pub fn code(result: anyhow::Result<CommandEnd>, failed: u8) -> ExitCode {
    match result {
        Ok(CommandEnd::Done) => ExitCode::SUCCESS,
        Ok(CommandEnd::No) => ExitCode::FAILURE,
        Ok(CommandEnd::Status(status)) => ExitCode::from(match status {
            Status::Ok => 0,
            Status::Warning => 1,
            Status::Critical => 2,
            Status::Unknown => UNKNOWN,
        }),
        Ok(CommandEnd::NotStarted(why)) => ExitCode::from(match why {
            // EX_TEMPFAIL in sysexits.h: a later attempt may succeed.
            NotStarted::NoPort => 75,
            // The codes of the shell and env(1).
            NotStarted::NotExecutable => 126,
            NotStarted::NotFound => 127,
        }),
        Ok(CommandEnd::Ended(exit)) => exit.finish(),
        Ok(CommandEnd::Signal(signal)) => signals::die_by(signal),
        // The program that reads the output closed the pipe: it has read enough.
        Err(error) if error.downcast_ref().is_some_and(WriteError::is_closed_pipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_stderr(format_args!("portscope: {error}"));
            ExitCode::from(failed)
        }
    }
}

/// Prints on stderr what the result lacks, one line each.
pub fn report_partial(missing: impl IntoIterator<Item = impl Display>) {
    for what in missing {
        print_stderr(format_args!("portscope: partial: {what}"));
    }
}

/// Prints one line on stderr, in the characters of the locale. A failure is ignored: there is
/// nowhere else to report it.
pub fn print_stderr(line: impl Display) {
    let line = format!("{line}\n");
    let readable = if locale::is_utf8() { line } else { notation::ascii(&line).into_owned() };
    let _ = io::stderr().write_all(readable.as_bytes());
}
