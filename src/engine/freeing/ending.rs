//! Signals processes and waits until they have ended. Does not choose the processes.

use std::time::{Duration, Instant};

use crate::{
    domain::action::ProcessIdentity,
    engine::freeing::StepResult,
    host::actions::{ActionError, EndingProcess},
};

/// Maximum time for which the end of one process is not seen while another one is waited for.
const MAX_DELAY: Duration = Duration::from_millis(5);

/// A process that received the signal.
struct PendingEnd {
    pid: u32,
    ending: Box<dyn EndingProcess>,
    sent: Instant,
    /// The time from the signal to the end. None: it has not ended.
    after: Option<Duration>,
}

impl PendingEnd {
    fn wait(&mut self, timeout: Duration) {
        if self.after.is_none() && self.ending.wait(timeout) {
            self.after = Some(self.sent.elapsed());
        }
    }
}

/// Signals the processes by `end`, and waits until they have ended, at most for `timeout`. All
/// receive the signal before the first is waited for.
pub fn end_each(
    processes: &[ProcessIdentity],
    mut end: impl FnMut(ProcessIdentity) -> Result<Box<dyn EndingProcess>, ActionError>,
    timeout: Duration,
) -> Vec<StepResult> {
    let mut sent: Vec<Result<PendingEnd, StepResult>> = Vec::new();
    for &process in processes {
        let pid = process.pid;
        sent.push(match end(process) {
            Ok(ending) => Ok(PendingEnd { pid, ending, sent: Instant::now(), after: None }),
            Err(ActionError::Ended | ActionError::Replaced) => Err(StepResult::Ended { pid }),
            Err(error) => Err(StepResult::Refused { what: format!("end pid {pid}"), error }),
        });
    }
    wait_for_each(sent.iter_mut().flatten().collect(), timeout);
    let signalled =
        |process: PendingEnd| StepResult::Signalled { pid: process.pid, after: process.after };
    sent.into_iter().map(|sent| sent.map_or_else(|result| result, signalled)).collect()
}

fn wait_for_each(mut waiting: Vec<&mut PendingEnd>, timeout: Duration) {
    let started = Instant::now();
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        let is_last = waiting.len() == 1;
        let Some((first, others)) = waiting.split_first_mut() else { return };
        first.wait(if is_last { left } else { left.min(MAX_DELAY) });
        for process in others {
            process.wait(Duration::ZERO);
        }
        waiting.retain(|process| process.after.is_none());
        if left.is_zero() {
            return;
        }
    }
}
