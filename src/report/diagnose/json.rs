//! Writes `portscope.diagnose/1`, whose keys and types are a contract.

use std::{
    io::{self, Write},
    net::IpAddr,
};

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    domain::{
        Destination, DestinationUse, Filter, Finding, OwnerKey, RangeUse, UnseenNamespaces,
        diagnosis::{About, Figure, SubjectStatus},
        interfaces::InterfaceLabel,
    },
    report::{
        Health, Status,
        diagnose::kind,
        rows::{self, AsText, Collection, HostDocument, Instant, Missing},
    },
};

const SCHEMA: &str = "portscope.diagnose/1";
/// Maximum number of destinations listed if `Health::top` is None.
const MAX_DESTINATIONS: usize = 100;

pub fn write(health: &Health<'_>, out: &mut dyn Write) -> io::Result<()> {
    rows::write(&document(health), out)
}

/// Writes the reports of several network namespaces, and why some may be missing.
pub fn write_each(
    healths: &[Health<'_>],
    unseen: &[UnseenNamespaces],
    out: &mut dyn Write,
) -> io::Result<()> {
    let is_complete = healths.iter().all(|health| health.scan.snapshot.is_complete());
    let documents = healths.iter().map(document).collect();
    let mut collection = Collection::new(SCHEMA, documents, is_complete, unseen);
    collection.status = Some(Status::worst(healths, unseen).name());
    rows::write(&collection, out)
}

fn document<'a>(health: &'a Health<'_>) -> DiagnoseDocument<'a> {
    let snapshot = health.scan.snapshot;
    let findings = health.diagnosis.findings.iter();
    DiagnoseDocument {
        schema: SCHEMA,
        status: health.status().name(),
        taken_at: Instant(snapshot.taken_at),
        host: HostDocument::of(snapshot),
        complete: snapshot.is_complete(),
        missing: Missing(&snapshot.gaps),
        thresholds: ThresholdsRow {
            warn: rounded(health.thresholds.warn * 100.0),
            critical: rounded(health.thresholds.critical * 100.0),
        },
        sample_seconds: health.sampled.map(rounded),
        filter: health.filter.map(AsText),
        ranges: health.ranges().map(|row| RangeRow::new(health, row)).collect(),
        destinations_total: health.destinations().count(),
        destinations: health
            .destinations()
            .take(health.top.unwrap_or(MAX_DESTINATIONS))
            .map(|row| DestinationRow::new(health, row))
            .collect(),
        findings: findings.map(|finding| FindingRow::new(health, finding)).collect(),
    }
}

#[derive(Serialize)]
struct DiagnoseDocument<'a> {
    schema: &'static str,
    status: &'static str,
    taken_at: Instant,
    host: HostDocument<'a>,
    complete: bool,
    missing: Missing<'a>,
    thresholds: ThresholdsRow,
    /// Seconds from the first scan to the last. None: there was only one scan.
    sample_seconds: Option<f64>,
    /// The value of --filter, which limits destinations and findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<AsText<&'a Filter>>,
    ranges: Vec<RangeRow>,
    /// Number of all destinations; `destinations` may be truncated.
    destinations_total: usize,
    destinations: Vec<DestinationRow<'a>>,
    findings: Vec<FindingRow<'a>>,
}

/// Thresholds in percent.
#[derive(Serialize)]
struct ThresholdsRow {
    warn: f64,
    critical: f64,
}

/// The counts are null if a socket table of the protocol is missing or incomplete.
#[derive(Serialize)]
struct RangeRow {
    protocol: &'static str,
    level: &'static str,
    first: u16,
    last: u16,
    size: u32,
    occupied: Option<u32>,
    time_wait: Option<u32>,
    bind_available: Option<u32>,
    bind_available_most: Option<u32>,
    low_parity_available: Option<u32>,
    unconnectable: Option<u32>,
    suspected: Option<u32>,
    numbered: Option<u32>,
    uncertain: Option<u32>,
    #[serde(flatten)]
    status: StatusRow,
}

impl RangeRow {
    fn new(health: &Health<'_>, row: &RangeUse) -> Self {
        let subject_status = health.of_range(row);
        let is_listed = health.lists(row.protocol);
        let counted = |count: u32| is_listed.then_some(count);
        Self {
            protocol: row.protocol.name(),
            level: health.level_name(&subject_status),
            first: row.range.first(),
            last: row.range.last(),
            size: row.size,
            occupied: counted(row.occupied),
            time_wait: counted(row.time_wait),
            bind_available: counted(row.available()),
            bind_available_most: counted(row.left().most),
            low_parity_available: counted(row.low_parity_available()),
            unconnectable: counted(row.unconnectable),
            suspected: counted(row.suspected),
            numbered: counted(row.numbered),
            uncertain: counted(row.uncertain),
            status: StatusRow::from(&subject_status),
        }
    }
}

/// Counts of the scans of the last minute, rate of change and forecast. Null: the destination is not
/// followed (`Trends`).
#[derive(Serialize)]
struct StatusRow {
    scans: Option<u32>,
    /// Number of scans in which no port was left.
    full_scans: Option<u32>,
    /// Seconds since the latest such scan. Also null if there was none.
    last_full_seconds_ago: Option<f64>,
    /// Also null after only one scan.
    per_second: Option<f64>,
    /// Also null if the ports do not run out within two days at this rate.
    seconds_to_exhaustion: Option<f64>,
    seconds_to_exhaustion_earliest: Option<f64>,
    /// Also null if the ports may never run out.
    seconds_to_exhaustion_latest: Option<f64>,
}

impl From<&SubjectStatus> for StatusRow {
    fn from(subject_status: &SubjectStatus) -> Self {
        let SubjectStatus { last_minute, forecast, .. } = *subject_status;
        let since_full = last_minute.and_then(|last| last.since_full);
        Self {
            scans: last_minute.map(|last| last.scans),
            full_scans: last_minute.map(|last| last.full),
            last_full_seconds_ago: since_full.map(|since| rounded(since.as_secs_f64())),
            per_second: subject_status.trend.map(|trend| rounded(trend.per_second)),
            seconds_to_exhaustion: forecast.map(|f| rounded(f.seconds)),
            seconds_to_exhaustion_earliest: forecast.map(|f| rounded(f.earliest)),
            seconds_to_exhaustion_latest: forecast.and_then(|f| f.latest).map(rounded),
        }
    }
}

#[derive(Serialize)]
struct DestinationName<'a> {
    protocol: &'static str,
    source: IpAddr,
    destination: IpAddr,
    port: u16,
    /// Name of the interface that the sockets are bound to, or its index if the name is unknown.
    /// None: they are bound to none.
    interface: Option<AsText<InterfaceLabel<'a>>>,
}

impl<'a> DestinationName<'a> {
    fn new(health: &'a Health<'_>, to: Destination) -> Self {
        let interfaces = &health.scan.snapshot.interfaces;
        Self {
            protocol: "tcp",
            source: to.source,
            destination: to.remote.address,
            port: to.remote.port,
            interface: to.interface.map(|index| AsText(interfaces.label(index))),
        }
    }
}

#[derive(Serialize)]
struct DestinationRow<'a> {
    #[serde(flatten)]
    destination: DestinationName<'a>,
    level: &'static str,
    used: u32,
    capacity: u32,
    /// Share of `capacity`, 0 to 1, without the ports in TIME-WAIT that connect() surely reuses.
    used_share: f64,
    available: u32,
    available_most: u32,
    time_wait: u32,
    /// Of `time_wait`: ports that connect() may reuse now (`tcp_tw_reuse`).
    reusable: u32,
    low_parity_available: u32,
    #[serde(flatten)]
    status: StatusRow,
    /// Those with most sockets.
    owners: Vec<DestinationOwner<'a>>,
    /// Number of all owners.
    owners_total: u32,
}

impl<'a> DestinationRow<'a> {
    fn new(health: &'a Health<'_>, row: &DestinationUse) -> Self {
        let subject_status = health.of_destination(row);
        let owner = |&(owner_key, sockets): &(OwnerKey, u32)| DestinationOwner {
            row: OwnerKeyRow::new(health, owner_key),
            sockets,
        };
        Self {
            destination: DestinationName::new(health, row.destination),
            level: health.level_name(&subject_status),
            used: row.used,
            capacity: row.capacity,
            used_share: rounded(row.used_share()),
            available: row.available(),
            available_most: row.left().most,
            time_wait: row.time_wait,
            reusable: row.reusable,
            low_parity_available: row.low_parity_available(),
            status: StatusRow::from(&subject_status),
            owners: row.owners.iter().map(owner).collect(),
            owners_total: row.owners.total(),
        }
    }
}

#[derive(Serialize)]
struct DestinationOwner<'a> {
    #[serde(flatten)]
    row: OwnerKeyRow<'a>,
    sockets: u32,
}

#[derive(Serialize)]
struct OwnerKeyRow<'a> {
    /// None: the owner is not a visible process.
    pid: Option<u32>,
    /// None: as for `pid`, or the process was not read.
    name: Option<&'a str>,
    kind: Option<&'static str>,
}

impl<'a> OwnerKeyRow<'a> {
    fn new(health: &'a Health<'_>, owner_key: OwnerKey) -> Self {
        let pid = if let OwnerKey::Process(pid) = owner_key { Some(pid) } else { None };
        let process = pid.and_then(|pid| health.scan.processes.get(pid));
        Self { pid, name: process.map(|process| process.name.as_str()), kind: kind(owner_key) }
    }
}

#[derive(Serialize)]
struct FindingRow<'a> {
    rule: &'static str,
    severity: &'static str,
    about: AboutRow<'a>,
    summary: &'a str,
    meaning: &'a str,
    evidence: EvidenceRow<'a>,
    advice: &'a [String],
    avoid: &'a [String],
}

impl<'a> FindingRow<'a> {
    fn new(health: &'a Health<'_>, finding: &'a Finding) -> Self {
        Self {
            rule: finding.rule,
            severity: finding.severity.name(),
            about: AboutRow::new(health, finding.about),
            summary: &finding.summary,
            meaning: &finding.meaning,
            evidence: EvidenceRow(&finding.evidence),
            advice: &finding.advice,
            avoid: &finding.avoid,
        }
    }
}

/// `about.kind` determines which other keys exist.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum AboutRow<'a> {
    Machine,
    Range { protocol: &'static str },
    Destination(DestinationName<'a>),
    Owner { owner: OwnerKeyRow<'a> },
    Port { protocol: &'static str, port: u16 },
}

impl<'a> AboutRow<'a> {
    fn new(health: &'a Health<'_>, about: About) -> Self {
        match about {
            About::Machine => Self::Machine,
            About::Range(protocol) => Self::Range { protocol: protocol.name() },
            About::Destination(to) => Self::Destination(DestinationName::new(health, to)),
            About::Owner(owner_key) => Self::Owner { owner: OwnerKeyRow::new(health, owner_key) },
            About::Port(protocol, port) => Self::Port { protocol: protocol.name(), port },
        }
    }
}

struct EvidenceRow<'a>(&'a [(&'static str, Figure)]);

impl Serialize for EvidenceRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, figure) in self.0 {
            match figure {
                Figure::Count(count) => map.serialize_entry(name, count)?,
                Figure::Share(value) | Figure::Seconds(value) | Figure::PerSecond(value) => {
                    map.serialize_entry(name, &rounded(*value))?;
                }
                Figure::Text(text) => map.serialize_entry(name, text)?,
                Figure::List(list) => map.serialize_entry(name, list)?,
            }
        }
        map.end()
    }
}

/// Rounds to four decimals, because no figure is more precise.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
