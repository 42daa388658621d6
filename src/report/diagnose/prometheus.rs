//! `diagnose` in Prometheus' text format, for node_exporter's textfile collector. The number of
//! series is bounded on any machine. The names are a contract; `METRICS` lists them.

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
        exposition::{Exposition, MetricLabel, Samples},
    },
};

pub use metrics::METRICS;

use self::listed::ListedSubjects;

/// The beginning of each metrics file of portscope.
pub const MARK: &str = "# portscope ";
/// Default number of destinations with series of their own.
pub const MAX_DESTINATIONS: usize = 20;
/// Maximum number of network namespaces with series of their own.
pub const MAX_NAMESPACES: usize = 32;

/// Results of one run of `diagnose`.
pub struct DiagnoseRun<'a> {
    pub healths: &'a [Health<'a>],
    /// None: only one network namespace was asked for.
    pub unseen: Option<&'a [UnseenNamespaces]>,
    pub cost: Cost,
}

/// Cost of the run up to the time of writing.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub cpu: Duration,
    /// Includes the wait between scans.
    pub elapsed: Duration,
    /// Peak resident set size in bytes; None: could not be read.
    pub peak_memory: Option<u64>,
}

/// A gauge: its name, its meaning, and where its samples come from.
pub struct Metric {
    pub name: &'static str,
    /// Names of its labels, separated by commas; `destination` is short for four labels.
    pub labels: &'static str,
    pub help: &'static str,
    of: SampleSource,
}

/// The source of the samples of a metric.
#[derive(Clone, Copy)]
enum SampleSource {
    Run(fn(&DiagnoseRun<'_>, &mut Labelled<'_, '_>)),
    Listed(fn(&DiagnoseRun<'_>, &ListedSubjects<'_>) -> Option<usize>),
    Namespace(fn(&Health<'_>, &mut Labelled<'_, '_>)),
    Range(fn(&Health<'_>, &RangeUse, &mut Labelled<'_, '_>)),
    /// A count of a range, which is known only if its sockets were listed.
    ///
    /// Neither an assumed range nor its destinations have samples.
    RangeCount(fn(&RangeUse) -> u32),
    Destination(fn(&Health<'_>, &DestinationUse, &mut Labelled<'_, '_>)),
    DestinationCount(fn(&DestinationUse) -> u32),
}

/// Samples that share some labels.
struct Labelled<'a, 's> {
    samples: &'a mut Samples<'s>,
    common: &'a [MetricLabel<'a>],
}

impl Labelled<'_, '_> {
    fn add(&mut self, labels: &[MetricLabel<'_>], value: f64) {
        self.samples.add(self.common.iter().chain(labels).copied(), value);
    }
}

pub fn write(run: &DiagnoseRun<'_>, out: &mut dyn Write) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let listed = ListedSubjects::of(run);
    let mut exposition = Exposition::default();
    exposition.comment(&format!("portscope {version}: portscope diagnose --format prometheus"));
    for metric in METRICS {
        exposition.gauge(metric.name, metric.help, |samples| add(metric.of, run, &listed, samples));
    }
    out.write_all(exposition.into_text().as_bytes())
}

fn add(
    of: SampleSource,
    run: &DiagnoseRun<'_>,
    listed: &ListedSubjects<'_>,
    samples: &mut Samples<'_>,
) {
    match of {
        SampleSource::Run(add) => listed.of_run(samples, |out| add(run, out)),
        SampleSource::Listed(count) => listed.of_run(samples, |out| {
            if let Some(count) = count(run, listed) {
                out.add(&[], count as f64);
            }
        }),
        SampleSource::Namespace(add) => listed.each_namespace(samples, add),
        SampleSource::Range(add) => listed.each_range(samples, |health, row, out| {
            if health.knows_range() {
                add(health, row, out);
            }
        }),
        SampleSource::RangeCount(count) => listed.each_range(samples, |health, row, out| {
            if health.knows_range() && health.lists(row.protocol) {
                out.add(&[], count(row).into());
            }
        }),
        SampleSource::Destination(add) => listed.each_destination(samples, add),
        SampleSource::DestinationCount(count) => {
            listed.each_destination(samples, |_, row, out| out.add(&[], count(row).into()));
        }
    }
}
