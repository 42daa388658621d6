//! `diagnose` as Prometheus' text format, for node_exporter's textfile collector: so many series at
//! most, whatever the machine holds. The names are a contract; `METRICS` is their list.

mod destination;
mod listed;
mod metrics;
mod namespace;
mod range;

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    domain::{DestinationUse, RangeUse, UnseenNamespaces},
    report::{
        Health,
        exposition::{Exposition, Label, Samples},
    },
};

pub use metrics::METRICS;

use self::listed::Listed;

/// How a file of ours begins.
pub const MARK: &str = "# portscope ";
/// Destinations with series of their own, where nothing else is asked for.
pub const MOST_DESTINATIONS: usize = 20;
/// Network namespaces with series of their own.
pub const MOST_NAMESPACES: usize = 32;

/// What one run of `diagnose` saw.
pub struct Run<'a> {
    pub healths: &'a [Health<'a>],
    /// None: one network namespace was asked for.
    pub unseen: Option<&'a [UnseenNamespaces]>,
    pub cost: Cost,
}

/// Of the run until it is written.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub cpu: Duration,
    /// The wait between scans included.
    pub elapsed: Duration,
    /// Resident set at its highest, in bytes; None: could not be read.
    pub peak_memory: Option<u64>,
}

/// A gauge: what it is called, what it tells, and where its samples come from.
pub struct Metric {
    pub name: &'static str,
    /// Names of its labels, separated by commas; `destination` stands for four.
    pub labels: &'static str,
    pub help: &'static str,
    of: Of,
}

/// What a metric has samples of.
#[derive(Clone, Copy)]
enum Of {
    Run(fn(&Run<'_>, &mut Labelled<'_, '_>)),
    Listed(fn(&Run<'_>, &Listed<'_>) -> Option<usize>),
    Namespace(fn(&Health<'_>, &mut Labelled<'_, '_>)),
    Range(fn(&Health<'_>, &RangeUse, &mut Labelled<'_, '_>)),
    /// A range's count that is known only where its sockets were listed.
    ///
    /// Of an assumed range there are no samples, and none of its destinations.
    RangeCount(fn(&RangeUse) -> u32),
    Destination(fn(&Health<'_>, &DestinationUse, &mut Labelled<'_, '_>)),
    DestinationCount(fn(&DestinationUse) -> u32),
}

/// Samples that have some labels in common.
struct Labelled<'a, 's> {
    samples: &'a mut Samples<'s>,
    common: &'a [Label<'a>],
}

impl Labelled<'_, '_> {
    fn add(&mut self, labels: &[Label<'_>], value: f64) {
        self.samples.add(self.common.iter().chain(labels).copied(), value);
    }
}

pub fn write(run: &Run<'_>, out: &mut dyn Write) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let listed = Listed::of(run);
    let mut exposition = Exposition::default();
    exposition.comment(&format!("portscope {version}: portscope diagnose --format prometheus"));
    for metric in METRICS {
        exposition.gauge(metric.name, metric.help, |samples| add(metric.of, run, &listed, samples));
    }
    out.write_all(exposition.into_text().as_bytes())
}

fn add(of: Of, run: &Run<'_>, listed: &Listed<'_>, samples: &mut Samples<'_>) {
    match of {
        Of::Run(add) => listed.of_run(samples, |out| add(run, out)),
        Of::Listed(count) => listed.of_run(samples, |out| {
            if let Some(count) = count(run, listed) {
                out.add(&[], count as f64);
            }
        }),
        Of::Namespace(add) => listed.each_namespace(samples, add),
        Of::Range(add) => listed.each_range(samples, |health, row, out| {
            if health.knows_range() {
                add(health, row, out);
            }
        }),
        Of::RangeCount(count) => listed.each_range(samples, |health, row, out| {
            if health.knows_range() && health.lists(row.protocol) {
                out.add(&[], count(row).into());
            }
        }),
        Of::Destination(add) => listed.each_destination(samples, add),
        Of::DestinationCount(count) => {
            listed.each_destination(samples, |_, row, out| out.add(&[], count(row).into()));
        }
    }
}
