//! Runs each race in a thread of its own. A new race ends the previous one, but does not wait for
//! its end. Does not contain the race itself.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use crate::{
    domain::Text,
    engine::{
        Outbox, Report,
        message::{RaceReport, RaceSetup},
        race,
        worker::{self, Alive},
    },
    host::Host,
};

/// Order to the current race: continue.
const GO_ON: u8 = 0;
/// Order to end and report the result.
const END: u8 = 1;
/// Order to end without a report, because another race replaces it.
const VANISH_SIGNAL: u8 = 2;

/// Starts and ends races. Dropping it ends the current race without a report.
pub struct Races {
    host: Arc<dyn Host>,
    outbox: SharedOutbox,
    alive: Alive,
    /// Order to the last race; `None` if no race was started.
    order: Option<Arc<AtomicU8>>,
    /// Number of races started.
    number: u64,
}

impl Races {
    pub fn new(host: Arc<dyn Host>, outbox: Box<dyn Outbox>, alive: Alive) -> Self {
        let outbox = SharedOutbox(Arc::new(Mutex::new(outbox)));
        Self { host, outbox, alive, order: None, number: 0 }
    }

    /// Starts a race. The current one ends without a report. If no thread can be created, reports
    /// `LabFailed`.
    pub fn begin(&mut self, setup: RaceSetup) {
        self.signal(VANISH_SIGNAL);
        let order = Arc::new(AtomicU8::new(GO_ON));
        self.order = Some(Arc::clone(&order));
        self.number += 1;
        let (host, number) = (Arc::clone(&self.host), self.number);
        let work = move |outbox: &dyn Outbox| run(&*host, number, &setup, &order, outbox);
        let spawned =
            worker::spawn("race", self.alive.clone(), Box::new(self.outbox.clone()), work);
        if let Err(error) = spawned {
            let words = format!("could not start a thread: {error}");
            self.outbox.deliver(Report::LabFailed(Text::scrub(words)));
        }
    }

    /// Ends the current race, which then reports its result.
    pub fn end(&mut self) {
        self.signal(END);
    }

    fn signal(&self, what: u8) {
        if let Some(order) = &self.order {
            order.store(what, Ordering::Release);
        }
    }
}

impl Drop for Races {
    fn drop(&mut self) {
        self.signal(VANISH_SIGNAL);
    }
}

fn run(host: &dyn Host, number: u64, setup: &RaceSetup, order: &AtomicU8, outbox: &dyn Outbox) {
    let now = || order.load(Ordering::Acquire);
    let mut reported = |report: &RaceReport| {
        if now() == GO_ON {
            // If there is no room, the report is dropped. The next report replaces it.
            let _ = outbox.offer(Report::Race(Box::new(RaceReport { number, ..report.clone() })));
        }
        now() == GO_ON
    };
    let last = race::run(host, setup, &mut reported);
    if now() != VANISH_SIGNAL {
        outbox.deliver(Report::Race(Box::new(RaceReport { number, is_over: true, ..last })));
    }
}

/// Outbox that successive races share.
#[derive(Clone)]
struct SharedOutbox(Arc<Mutex<Box<dyn Outbox>>>);

impl SharedOutbox {
    fn lock(&self) -> MutexGuard<'_, Box<dyn Outbox>> {
        // The outbox stays valid even if a race that used it panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox for SharedOutbox {
    fn offer(&self, report: Report) -> Result<(), Report> {
        self.lock().offer(report)
    }

    fn deliver(&self, report: Report) -> bool {
        self.lock().deliver(report)
    }
}
