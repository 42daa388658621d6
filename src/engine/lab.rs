//! The lab thread: strategies side by side, on a simulated occupancy or on the machine's own.

use crate::{
    domain::Text,
    engine::message::{LabReport, LabSetup},
    host::Host,
};

/// So many runs at once, without a thread: for those who wait for the result.
///
/// Errors, in words: no socket could be made, or no port may be tried.
pub fn complete(host: &dyn Host, setup: &LabSetup, runs: u64) -> Result<LabReport, Text> {
    let _ = (host, setup, runs);
    Err(Text::scrub("not built"))
}
