//! The table of metrics, on which alerts and dashboards depend. `tests/model/architecture.rs` compares
//! the table in METRICS.md with it.

use crate::{
    domain::{DestinationUse, RangeUse},
    report::diagnose::prometheus::{Metric, SampleSource, destination, namespace},
};

/// All metrics, in the order in which they are written.
pub const METRICS: &[Metric] = &[
    Metric { name: "portscope_build_info", help: "Always 1.", of: SampleSource::Build },
    Metric {
        name: "portscope_snapshot_timestamp_seconds",
        help: "Unix time at which the sockets were listed.",
        of: SampleSource::Namespace(|health| Some(health.scan.snapshot.taken_at.as_secs_f64())),
    },
    Metric {
        name: "portscope_status",
        help: "Status of diagnose (ok, warning, unknown, critical): 1 for the current one, else 0.",
        of: SampleSource::NamespaceSeries("status", namespace::status),
    },
    Metric {
        name: "portscope_findings",
        help: "Findings per rule (at most 8 destinations each).",
        of: SampleSource::NamespaceSeries("rule, severity", namespace::findings),
    },
    Metric {
        name: "portscope_gaps",
        help: "Data that could not be read. No series if there is none.",
        of: SampleSource::NamespaceSeries("what", namespace::gaps),
    },
    Metric {
        name: "portscope_hidden_owner_sockets",
        help: "Sockets whose owner is hidden.",
        of: SampleSource::Namespace(|health| Some(namespace::hidden_owners(health).into())),
    },
    Metric {
        name: "portscope_sockets",
        help: "Sockets by state, on all ports.",
        of: SampleSource::NamespaceSeries("protocol, state", namespace::sockets),
    },
    Metric {
        name: "portscope_range_first_port",
        help: "First port of the ephemeral range (ip_local_port_range).",
        of: SampleSource::Range(|row| row.range.first().into()),
    },
    Metric {
        name: "portscope_range_last_port",
        help: "Last port of the ephemeral range.",
        of: SampleSource::Range(|row| row.range.last().into()),
    },
    Metric {
        name: "portscope_range_ports",
        help: "Ports that the kernel may choose: the ephemeral range without reserved ports.",
        of: SampleSource::Range(|row| row.size),
    },
    Metric {
        name: "portscope_range_reserved_ports",
        help: "Ports of the ephemeral range in ip_local_reserved_ports.",
        of: SampleSource::Range(|row| row.range.len() - row.size),
    },
    Metric {
        name: "portscope_range_occupied_ports",
        help: "Of portscope_range_ports: ports with at least one socket.",
        of: SampleSource::RangeCount(|row| row.occupied),
    },
    Metric {
        name: "portscope_range_time_wait_ports",
        help: "Of the occupied ports: those with only TIME-WAIT sockets.",
        of: SampleSource::RangeCount(|row| row.time_wait),
    },
    Metric {
        name: "portscope_range_available_ports",
        help: "Ports surely left for bind() to port 0 on all addresses; at 0 it may fail with \
               EADDRINUSE.",
        of: SampleSource::RangeCount(RangeUse::available),
    },
    Metric {
        name: "portscope_range_unconnectable_ports",
        help: "Ports unusable for connect() to any destination, because a listening or \
               bound-inactive socket uses them. TCP only.",
        of: SampleSource::TcpCount(|row| row.unconnectable),
    },
    Metric {
        name: "portscope_range_suspected_ports",
        help: "Ports of connections that were very likely bound before connect(), which blocks \
               them for all destinations. TCP only.",
        of: SampleSource::TcpCount(|row| row.suspected),
    },
    Metric {
        name: "portscope_range_numbered_ports",
        help: "Ports of connections that were bound by number, or accepted by a listener that has \
               closed. No other destination can share them. TCP only.",
        of: SampleSource::TcpCount(|row| row.numbered),
    },
    Metric {
        name: "portscope_range_uncertain_ports",
        help: "Ports of connections for which it is unknown whether another destination can share \
               them. TCP only.",
        of: SampleSource::TcpCount(|row| row.uncertain),
    },
    Metric {
        name: "portscope_range_parity_ports",
        help: "Of portscope_range_ports: low is the parity of the range's first port, which \
               connect() tries first; bind() to port 0 tries the other one first.",
        of: SampleSource::RangeSeries("protocol, parity", namespace::range_halves),
    },
    Metric {
        name: "portscope_range_parity_available_ports",
        help: "Ports of the range without a socket, by parity.",
        of: SampleSource::RangeSeries("protocol, parity", namespace::range_available_halves),
    },
    Metric {
        name: "portscope_range_exhaustion_seconds",
        help: "Time until bind() to port 0 finds no port, at the rate of this run's scans; +Inf: \
               not within two days. No series if the rate is unknown.",
        of: SampleSource::RangeSeries("protocol", namespace::range_exhaustion),
    },
    Metric {
        name: "portscope_new_destination_available_ports",
        help: "Ports certainly left for connect() to a destination without connections.",
        of: SampleSource::Namespace(|health| {
            Some(namespace::new_destination(health)?.least.into())
        }),
    },
    Metric {
        name: "portscope_new_destination_available_ports_upper",
        help: "The same, plus ports for which it is unknown whether connect() can share them.",
        of: SampleSource::Namespace(|health| Some(namespace::new_destination(health)?.most.into())),
    },
    Metric {
        name: "portscope_destinations",
        help: "All TCP destinations (source address, destination address and port) by level: ok, \
               watch, exhausting, failing, exhausted.",
        of: SampleSource::NamespaceSeries("level", namespace::destinations),
    },
    Metric {
        name: "portscope_listed_destinations",
        help: "Destinations with their own series: the fullest of those that use at least 1 % of \
               their ports.",
        of: SampleSource::Run(|_, listed| Some(listed.destinations.len() as f64)),
    },
    Metric {
        name: "portscope_destination_capacity_ports",
        help: "Ports that connect() may choose for the destination.",
        of: SampleSource::DestinationCount(|row| row.capacity),
    },
    Metric {
        name: "portscope_destination_used_ports",
        help: "Of the capacity: ports with a connection to the destination, TIME-WAIT included.",
        of: SampleSource::DestinationCount(|row| row.used),
    },
    Metric {
        name: "portscope_destination_available_ports",
        help: "Ports certainly left for connect() to the destination; at 0 it fails with \
               EADDRNOTAVAIL, or may fail if the upper bound is not 0.",
        of: SampleSource::DestinationCount(DestinationUse::available),
    },
    Metric {
        name: "portscope_destination_available_ports_upper",
        help: "The same, plus ports for which it is unknown whether connect() can share or reuse \
               them.",
        of: SampleSource::DestinationCount(|row| row.left().most),
    },
    Metric {
        name: "portscope_destination_time_wait_ports",
        help: "Of the used ports: those in TIME-WAIT.",
        of: SampleSource::DestinationCount(|row| row.time_wait),
    },
    Metric {
        name: "portscope_destination_reusable_ports",
        help: "Of those in TIME-WAIT: those that connect() may reuse now (tcp_tw_reuse).",
        of: SampleSource::DestinationCount(|row| row.reusable),
    },
    Metric {
        name: "portscope_destination_parity_available_ports",
        help: "Unused ports by parity. If only high ones are left, each connect() first searches \
               half of the range without success (the slow zone).",
        of: SampleSource::DestinationSeries("destination, parity", destination::available_halves),
    },
    Metric {
        name: "portscope_destination_exhaustion_seconds",
        help: "Time until connect() to the destination finds no port, at the rate of this run's \
               scans; +Inf: not within two days. No series if the rate is unknown.",
        of: SampleSource::DestinationSeries("destination", destination::exhaustion),
    },
    Metric {
        name: "portscope_destination_owner_sockets",
        help: "Sockets of the three owners with the most: kind is process, kernel, hidden, none or \
               unresolved; owner is the process name; unit is its systemd unit or container, if \
               any.",
        of: SampleSource::DestinationSeries("destination, kind, owner, unit", destination::owners),
    },
    Metric {
        name: "portscope_destination_findings",
        help: "Findings per rule about the destination. No series if there is none.",
        of: SampleSource::DestinationSeries("destination, rule, severity", destination::findings),
    },
    Metric {
        name: "portscope_network_namespaces",
        help: "With --netns all: network namespaces that were examined.",
        of: SampleSource::Run(|run, _| run.unseen.map(|_| run.healths.len() as f64)),
    },
    Metric {
        name: "portscope_listed_network_namespaces",
        help: "With --netns all: network namespaces with their own series, at most the worst 32.",
        of: SampleSource::Run(|run, listed| run.unseen.map(|_| listed.namespaces.len() as f64)),
    },
    Metric {
        name: "portscope_network_namespace_gaps",
        help: "With --netns all: reasons why some network namespaces may be missing.",
        of: SampleSource::Run(|run, _| Some(run.unseen?.len() as f64)),
    },
    Metric {
        name: "portscope_cpu_seconds",
        help: "CPU time of this run of portscope.",
        of: SampleSource::Run(|run, _| Some(run.cost.cpu.as_secs_f64())),
    },
    Metric {
        name: "portscope_duration_seconds",
        help: "Duration of this run of portscope, including the wait between scans.",
        of: SampleSource::Run(|run, _| Some(run.cost.elapsed.as_secs_f64())),
    },
    Metric {
        name: "portscope_peak_memory_bytes",
        help: "Peak resident memory of this run of portscope.",
        of: SampleSource::Run(|run, _| Some(run.cost.peak_memory? as f64)),
    },
];
