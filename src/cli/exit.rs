//! Exit codes, and how an error is told: one line on stderr. The one place that knows either.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{cli::output::WriteError, report::Status, tui};

/// How a command ended that could run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Complete, or with the gaps named.
    Done,
    /// The answer is no: no port found, or partial where `--strict` was asked for.
    No,
    /// Of `diagnose`.
    Status(Status),
    /// Of `exec`, which ends here only if COMMAND was not started.
    NotStarted(NotStarted),
    /// The terminal program, for that reason.
    Ended(tui::Exit),
}

/// Why there is no COMMAND: codes by which scripts tell it from COMMAND's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    NoPort,
    NotExecutable,
    NotFound,
}

/// Usage, or could not run.
pub const FAILED: u8 = 2;
/// The same of `diagnose`, whose 2 is CRITICAL.
pub const UNKNOWN: u8 = 3;

/// The exit code of a command, `failed` where it could not run; tells its error, if any.
pub fn code(result: anyhow::Result<Verdict>, failed: u8) -> ExitCode {
    match result {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::No) => ExitCode::FAILURE,
        Ok(Verdict::Status(status)) => ExitCode::from(match status {
            Status::Ok => 0,
            Status::Warning => 1,
            Status::Critical => 2,
            Status::Unknown => UNKNOWN,
        }),
        Ok(Verdict::NotStarted(why)) => ExitCode::from(match why {
            // EX_TEMPFAIL of sysexits.h: it may work later.
            NotStarted::NoPort => 75,
            // As a shell and env(1).
            NotStarted::NotExecutable => 126,
            NotStarted::NotFound => 127,
        }),
        Ok(Verdict::Ended(exit)) => exit.finish(),
        // Whoever closed the pipe had enough.
        Err(error) if error.downcast_ref().is_some_and(WriteError::is_closed_pipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(format_args!("portscope: {error}"));
            ExitCode::from(failed)
        }
    }
}

/// One line on stderr. Nobody can be told that stderr cannot be written.
pub fn tell(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
