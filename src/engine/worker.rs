//! How a thread of the engine starts and how its death becomes known. Not what it does.

use std::{
    io,
    sync::mpsc::SyncSender,
    thread::{self, Builder},
};

use crate::{
    domain::Text,
    engine::{Outbox, Report},
};

/// Held by each worker as long as it lives, so that the engine can wait for all of them to end.
pub type Alive = SyncSender<()>;

/// Starts a thread whose panic is reported as `WorkerDied`.
///
/// Errors: the system gives no thread.
pub fn spawn(
    name: &'static str,
    alive: Alive,
    outbox: Box<dyn Outbox>,
    work: impl FnOnce(&dyn Outbox) + Send + 'static,
) -> io::Result<()> {
    let body = move || {
        let _alive = alive;
        let watch = DeathWatch { name, outbox };
        work(&*watch.outbox);
    };
    Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

/// Reports the death of its thread when that unwinds.
struct DeathWatch {
    name: &'static str,
    outbox: Box<dyn Outbox>,
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        if thread::panicking() {
            let words = format!("the {} thread panicked", self.name);
            self.outbox.deliver(Report::WorkerDied(Text::scrub(words)));
        }
    }
}
