//! The program: passes its arguments to `cli`, and ends with the exit code that `cli` returns.

use std::process::ExitCode;

fn main() -> ExitCode {
    portscope::cli::run(std::env::args_os())
}
