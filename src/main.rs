//! The program: hands its arguments to `cli` and ends with the code that comes back.

use std::process::ExitCode;

fn main() -> ExitCode {
    portscope::cli::run(std::env::args_os())
}
