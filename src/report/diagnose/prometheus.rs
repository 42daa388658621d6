//! Writes the report of `diagnose` in Prometheus' text format, for node_exporter's textfile
//! collector. Limits the number of series (`Health::top`, `MAX_NAMESPACES`). The names of metrics
//! and labels are a contract; `METRICS` lists them.

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

/// The beginning of each metrics file of portscope. `--output` replaces only a file that begins
/// with it.
pub const MARK: &str = "# portscope ";
/// Maximum number of destinations with series of their own if `Health::top` is None.
pub const MAX_DESTINATIONS: usize = 20;
/// Maximum number of network namespaces with series of their own.
pub const MAX_NAMESPACES: usize = 32;

/// Results of one run of `diagnose`.
pub struct DiagnoseRun<'a> {
    pub healths: &'a [Health<'a>],
    /// Why network namespaces may be missing. None: only one namespace was requested.
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
    /// Names of the labels, separated by commas. `destination` is short for four labels.
    pub labels: &'static str,
    pub help: &'static str,
    of: SampleSource,
}

/// The source of the samples of a metric. An assumed range and its destinations have no samples.
#[derive(Clone, Copy)]
enum SampleSource {
    Run(fn(&DiagnoseRun<'_>, &mut Labelled<'_, '_>)),
    Listed(fn(&DiagnoseRun<'_>, &ListedSubjects<'_>) -> Option<usize>),
    Namespace(fn(&Health<'_>, &mut Labelled<'_, '_>)),
    Range(fn(&Health<'_>, &RangeUse, &mut Labelled<'_, '_>)),
    /// A count of a range. Has samples only if the sockets of the range's protocol were listed.
    RangeCount(fn(&RangeUse) -> u32),
    Destination(fn(&Health<'_>, &DestinationUse, &mut Labelled<'_, '_>)),
    DestinationCount(fn(&DestinationUse) -> u32),
}

/// Adds samples that share the labels in `common`.
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
