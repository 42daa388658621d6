//! The report of `portscope wait`. Does not wait.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;

use crate::{
    domain::{Snapshot, notation::elapsed, wait_condition::WaitCondition},
    report::rows::{self, HostDocument, Missing},
};

/// How a wait ended.
pub struct Waited {
    pub condition: WaitCondition,
    pub is_met: bool,
    pub time: Duration,
    /// Number of times that the tables were read.
    pub looks: u64,
}

impl Waited {
    /// The message that the condition was not met.
    pub fn not_met(&self) -> String {
        format!("gave up after {}: it is not true that {}", elapsed(self.time), self.condition)
    }
}

/// Writes one line if the condition is met.
pub fn write_text(waited: &Waited, out: &mut dyn Write) -> io::Result<()> {
    if waited.is_met {
        writeln!(out, "{}", waited.condition)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct WaitDocument<'a> {
    schema: &'static str,
    host: HostDocument<'a>,
    complete: bool,
    missing: Missing<'a>,
    /// In words.
    condition: String,
    met: bool,
    seconds: f64,
    looks: u64,
}

/// Writes `portscope.wait/1`.
pub fn write_json(waited: &Waited, last: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let document = WaitDocument {
        schema: "portscope.wait/1",
        host: HostDocument::of(last),
        complete: last.is_complete(),
        missing: Missing(&last.gaps),
        condition: waited.condition.to_string(),
        met: waited.is_met,
        seconds: waited.time.as_secs_f64(),
        looks: waited.looks,
    };
    rows::write(&document, out)
}
