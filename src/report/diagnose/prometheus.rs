//! Writes the report of `diagnose` in Prometheus' text format, for node_exporter's textfile
//! collector. Limits the number of series (`Health::top`, `MAX_NAMESPACES`). The names of metrics
//! and labels are a contract; `METRICS` lists them.

mod destination;
mod listed;
mod metrics;
mod namespace;

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    domain::{DestinationUse, Protocol, RangeUse, UnseenNamespaces},
    report::{
        Health,
        exposition::{Exposition, MetricLabel, Samples},
    },
};

pub use metrics::METRICS;

use self::listed::ListedSubjects;

/// The beginning of each metrics file of portscope. With this format, `--output` replaces only a
/// file that is empty or begins with it.
pub const MARK: &str = "# portscope ";
/// Maximum number of destinations with series of their own if `Health::top` is None.
pub const MAX_DESTINATIONS: usize = 20;
/// Maximum number of network namespaces with series of their own.
pub const MAX_NAMESPACES: usize = 32;

/// Results of one run of `diagnose`.
pub struct DiagnoseRun<'a> {
    pub healths: &'a [Health<'a>],
    /// Why network namespaces may be missing. None: not all were requested (--netns all).
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
    pub help: &'static str,
    of: SampleSource,
}

impl Metric {
    /// Returns the names of the labels, separated by commas. `destination` represents four labels:
    /// protocol, source, destination, port. If the sockets are bound to a device, a fifth label,
    /// device, contains its index. Each metric may also have `network_namespace`.
    pub fn labels(&self) -> &'static str {
        match self.of {
            SampleSource::Build => "version",
            SampleSource::Run(_) | SampleSource::Namespace(_) => "",
            SampleSource::Range(_) | SampleSource::RangeCount(_) | SampleSource::TcpCount(_) => {
                "protocol"
            }
            SampleSource::DestinationCount(_) => "destination",
            SampleSource::NamespaceSeries(labels, _)
            | SampleSource::RangeSeries(labels, _)
            | SampleSource::DestinationSeries(labels, _) => labels,
        }
    }
}

/// The source of the samples of a metric; of a series, with its labels. A sample whose value is
/// None is left out. An assumed range and its destinations have no samples.
#[derive(Clone, Copy)]
enum SampleSource {
    Build,
    Run(fn(&DiagnoseRun<'_>, &ListedSubjects<'_>) -> Option<f64>),
    Namespace(fn(&Health<'_>) -> Option<f64>),
    NamespaceSeries(&'static str, fn(&Health<'_>, &mut Labelled<'_, '_>)),
    /// A property of a range, whatever its sockets.
    Range(fn(&RangeUse) -> u32),
    /// A count of a range. Has samples only if the sockets of the range's protocol were listed.
    RangeCount(fn(&RangeUse) -> u32),
    /// Like `RangeCount`, for TCP only: on UDP, connect() shares no port.
    TcpCount(fn(&RangeUse) -> u32),
    RangeSeries(&'static str, fn(&Health<'_>, &RangeUse, &mut Labelled<'_, '_>)),
    DestinationCount(fn(&DestinationUse) -> u32),
    DestinationSeries(&'static str, fn(&Health<'_>, &DestinationUse, &mut Labelled<'_, '_>)),
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

    /// Adds a sample without further labels if its value is known.
    fn add_value(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.add(&[], value);
        }
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
    let mut add_range = |add: &dyn Fn(&Health<'_>, &RangeUse, &mut Labelled<'_, '_>)| {
        listed.each_range(samples, |health, row, out| {
            if health.knows_range() {
                add(health, row, out);
            }
        });
    };
    match of {
        SampleSource::Range(value) => add_range(&|_, row, out| out.add(&[], value(row).into())),
        SampleSource::RangeCount(count) => add_range(&|health, row, out| {
            out.add_value(health.lists(row.protocol).then(|| count(row).into()));
        }),
        SampleSource::TcpCount(count) => add_range(&|health, row, out| {
            let is_counted = row.protocol == Protocol::Tcp && health.lists(row.protocol);
            out.add_value(is_counted.then(|| count(row).into()));
        }),
        SampleSource::RangeSeries(_, add) => add_range(&add),
        SampleSource::Build => listed.of_run(samples, |out| {
            out.add(&[("version", &env!("CARGO_PKG_VERSION"))], 1.0);
        }),
        SampleSource::Run(value) => listed.of_run(samples, |out| out.add_value(value(run, listed))),
        SampleSource::Namespace(value) => {
            listed.each_namespace(samples, |health, out| out.add_value(value(health)));
        }
        SampleSource::NamespaceSeries(_, add) => listed.each_namespace(samples, add),
        SampleSource::DestinationCount(count) => {
            listed.each_destination(samples, |_, row, out| out.add(&[], count(row).into()));
        }
        SampleSource::DestinationSeries(_, add) => listed.each_destination(samples, add),
    }
}
