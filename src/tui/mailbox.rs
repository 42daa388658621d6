//! The bounded channel into the event loop. Does not handle the messages.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};

use crate::{
    engine::{Outbox, Report},
    tui::decoder::Input,
};

/// Maximum number of messages that wait while a frame is drawn. More keys and clicks wait in the
/// terminal's buffer.
const CAPACITY: usize = 256;

/// A message to the event loop.
pub enum LoopWake {
    Input(Input),
    Report(
        Report,
        #[expect(dead_code, reason = "frees the slot when the message is dropped")]
        Option<ReportSlot>,
    ),
    /// Wakes the loop to check the signals, the size, and whether the program must end.
    Check,
}

pub fn channel() -> (SyncSender<LoopWake>, Receiver<LoopWake>) {
    sync_channel(CAPACITY)
}

/// The only slot of an outbox for an offered report. While the slot is occupied, `offer` returns
/// the next report to the worker. The slot is free again when the loop has handled the report. A
/// snapshot is big, so only one may wait while the terminal does not read.
pub struct ReportSlot(Arc<AtomicBool>);

impl ReportSlot {
    fn occupy(slot: &Arc<AtomicBool>) -> Option<Self> {
        (!slot.swap(true, Ordering::AcqRel)).then(|| Self(slot.clone()))
    }
}

impl Drop for ReportSlot {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Sends the reports of one worker to the event loop.
pub struct LoopOutbox {
    to_loop: SyncSender<LoopWake>,
    slot: Arc<AtomicBool>,
}

impl LoopOutbox {
    pub fn new(to_loop: SyncSender<LoopWake>) -> Self {
        Self { to_loop, slot: Arc::default() }
    }
}

impl Outbox for LoopOutbox {
    fn offer(&self, report: Report) -> Result<(), Report> {
        let Some(slot) = ReportSlot::occupy(&self.slot) else {
            return Err(report);
        };
        let sent = self.to_loop.try_send(LoopWake::Report(report, Some(slot)));
        match sent {
            Err(TrySendError::Full(LoopWake::Report(report, _))) => Err(report),
            // If the loop is gone, the worker is about to be stopped.
            _ => Ok(()),
        }
    }

    fn deliver(&self, report: Report) -> bool {
        self.to_loop.send(LoopWake::Report(report, None)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Text;

    fn report(words: &str) -> Report {
        Report::ScanFailed(Text::scrub(words))
    }

    #[test]
    fn a_second_offered_report_is_returned_while_one_waits() {
        let (to_loop, inbox) = channel();
        let outbox = LoopOutbox::new(to_loop.clone());
        let other = LoopOutbox::new(to_loop);
        assert!(outbox.offer(report("first")).is_ok());
        assert!(matches!(outbox.offer(report("second")), Err(Report::ScanFailed(_))));
        assert!(other.offer(report("another worker has a slot of its own")).is_ok());
        drop(inbox.recv());
        assert!(outbox.offer(report("third")).is_ok());
    }

    #[test]
    fn an_offer_to_a_full_channel_is_refused_and_frees_the_slot() {
        let (to_loop, inbox) = channel();
        for _ in 0..CAPACITY {
            to_loop.send(LoopWake::Check).unwrap();
        }
        let outbox = LoopOutbox::new(to_loop);
        assert!(outbox.offer(report("no room")).is_err());
        drop(inbox.recv());
        assert!(outbox.offer(report("room")).is_ok());
    }
}
