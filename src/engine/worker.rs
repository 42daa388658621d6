//! Starts the engine's threads and reports their panics. Does not contain their work.

use std::{
    io,
    sync::mpsc::SyncSender,
    thread::{self, Builder},
};

use crate::{
    domain::Text,
    engine::{Outbox, Report},
};

/// Held by each worker while it runs, so that the engine can wait for all of them to end.
pub type Alive = SyncSender<()>;

/// Starts a thread whose panic is reported as `WorkerDied`.
///
/// Errors: the thread could not be created.
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

/// Reports a panic of its thread, when it is dropped during unwinding.
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
