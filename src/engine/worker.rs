//! How a thread of the engine starts and how its death becomes known. Not what it does.

use std::{
    sync::mpsc::SyncSender,
    thread::{self, Builder},
};

use crate::{
    domain::Text,
    engine::{Outbox, Report},
};

/// Held by each worker as long as it lives, so that the engine can wait for all of them to end.
pub type Alive = SyncSender<()>;

/// Starts a thread. A panic in it is reported as `WorkerDied`; when it cannot even be started, as
/// `ScanFailed`.
pub fn spawn(
    name: &'static str,
    alive: Alive,
    outbox: Box<dyn Outbox>,
    on_refusal: Box<dyn Outbox>,
    work: impl FnOnce(&dyn Outbox) + Send + 'static,
) {
    let started = Builder::new().name(name.to_owned()).spawn(move || {
        let _alive = alive;
        let obituary = Obituary { name, outbox };
        work(&*obituary.outbox);
    });
    if let Err(error) = started {
        let words = format!("could not start the {name} thread: {error}");
        // Nobody waits for room here: the channel is as good as empty at the start.
        let _ = on_refusal.offer(Report::ScanFailed(Text::scrub(words)));
    }
}

/// Reports the death of its thread when that unwinds.
struct Obituary {
    name: &'static str,
    outbox: Box<dyn Outbox>,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        if thread::panicking() {
            let words = format!("the {} thread panicked", self.name);
            self.outbox.deliver(Report::WorkerDied(Text::scrub(words)));
        }
    }
}
