//! Receives the reports of an engine thread, as the user interface does.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use portscope::engine::{Outbox, Report};

#[derive(Clone)]
pub struct Mailbox(SyncSender<Report>);

/// Returns a mailbox with room for this number of reports, and its other end.
pub fn mailbox(room: usize) -> (Box<Mailbox>, Receiver<Report>) {
    let (sender, reports) = sync_channel(room);
    (Box::new(Mailbox(sender)), reports)
}

impl Outbox for Mailbox {
    fn offer(&self, report: Report) -> Result<(), Report> {
        self.0.try_send(report).map_err(|refused| match refused {
            TrySendError::Full(report) | TrySendError::Disconnected(report) => report,
        })
    }

    fn deliver(&self, report: Report) -> bool {
        self.0.send(report).is_ok()
    }
}
