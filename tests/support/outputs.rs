//! The built program, and what it printed.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

use std::{
    collections::BTreeSet,
    process::{Command, Output},
};

use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_portscope");

/// Returns the command that starts the program as in any environment of the test.
pub fn program() -> Command {
    command(PROGRAM)
}

/// Returns a command in whose environment the program prints UTF-8, and lines of its usual width.
pub fn command(path: &str) -> Command {
    let mut command = Command::new(path);
    command.env("LC_ALL", "C.UTF-8").env_remove("COLUMNS").env_remove("NO_COLOR");
    command
}

pub fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

pub fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Returns the text with each run of white space as one space: the width decides where lines end.
pub fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asserts that the program printed nothing but one plain line that contains `reported`.
#[track_caller]
pub fn assert_refused(output: &Output, code: i32, reported: &str) {
    let line = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(
        line.starts_with("portscope: ") && line.contains(reported),
        "{line:?} lacks {reported:?}"
    );
    assert_eq!(line.matches('\n').count(), 1, "{line:?}");
    assert!(!line.trim_end().contains(char::is_control), "{line:?}");
    assert_eq!(output.stdout, b"");
}
