//! Writes `portscope.scan/1` and `portscope.groups/1`, whose keys and types are a contract. Writes
//! one socket at a time, to save memory.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::{
    domain::{
        Endpoint, Gap, OwnerKey, PortRange, Snapshot, StateClass, UnseenNamespaces,
        listing::{GroupId, OwnerName, RowGroup},
    },
    report::{
        ListedGroups, ListedSockets, Scan,
        listed::group_kind,
        rows::{self, Collection, HostDocument, Instant, Missing, SocketRow},
    },
};

/// What each document begins with.
pub const BEGINNING: &str = "{\"schema\":\"portscope.";
const SCHEMA: &str = "portscope.scan/1";
const GROUPS_SCHEMA: &str = "portscope.groups/1";

pub fn write_scan<'a>(listed: impl Into<ListedSockets<'a>>, out: &mut dyn Write) -> io::Result<()> {
    rows::write(&ScanDocument::of(listed.into()), out)
}

/// Writes the scans of several network namespaces, and why some may be missing.
pub fn write_scans(
    scans: &[ListedSockets<'_>],
    unseen: &[UnseenNamespaces],
    out: &mut dyn Write,
) -> io::Result<()> {
    let is_complete = scans.iter().all(|listed| listed.scan.snapshot.is_complete());
    let documents = scans.iter().map(|&listed| ScanDocument::of(listed)).collect();
    rows::write(&Collection::new(SCHEMA, documents, is_complete, unseen), out)
}

pub fn write_groups(listed: ListedGroups<'_>, out: &mut dyn Write) -> io::Result<()> {
    rows::write(&GroupsDocument::of(listed), out)
}

/// Writes the groups of several network namespaces, and why some may be missing.
pub fn write_all_groups(
    groups: &[ListedGroups<'_>],
    unseen: &[UnseenNamespaces],
    out: &mut dyn Write,
) -> io::Result<()> {
    let is_complete = groups.iter().all(|listed| listed.scan.snapshot.is_complete());
    let documents = groups.iter().map(|&listed| GroupsDocument::of(listed)).collect();
    rows::write(&Collection::new(GROUPS_SCHEMA, documents, is_complete, unseen), out)
}

/// What both documents begin with.
#[derive(Serialize)]
struct ScanHead<'a> {
    schema: &'static str,
    taken_at: Instant,
    host: HostDocument<'a>,
    source: &'static str,
    complete: bool,
    missing: Missing<'a>,
    ephemeral: EphemeralRow,
}

impl<'a> ScanHead<'a> {
    fn of(schema: &'static str, scan: Scan<'a>) -> Self {
        let snapshot = scan.snapshot;
        Self {
            schema,
            taken_at: Instant(snapshot.taken_at),
            host: HostDocument::of(snapshot),
            source: snapshot.source.name(),
            complete: snapshot.is_complete(),
            missing: Missing(&snapshot.gaps),
            ephemeral: EphemeralRow::of(snapshot),
        }
    }
}

#[derive(Serialize)]
struct ScanDocument<'a> {
    #[serde(flatten)]
    head: ScanHead<'a>,
    sockets: Sockets<'a>,
}

impl<'a> ScanDocument<'a> {
    fn of(listed: ListedSockets<'a>) -> Self {
        Self { head: ScanHead::of(SCHEMA, listed.scan), sockets: Sockets(listed) }
    }
}

#[derive(Serialize)]
struct GroupsDocument<'a> {
    #[serde(flatten)]
    head: ScanHead<'a>,
    group_by: &'static str,
    /// Number of sockets, each counted once.
    sockets: u32,
    groups: Vec<GroupRow>,
}

impl<'a> GroupsDocument<'a> {
    fn of(listed: ListedGroups<'a>) -> Self {
        Self {
            head: ScanHead::of(GROUPS_SCHEMA, listed.scan),
            group_by: listed.group_by.name(),
            sockets: listed.sockets,
            groups: listed.groups.iter().map(|group| GroupRow::of(listed, group)).collect(),
        }
    }
}

#[derive(Serialize)]
struct GroupRow {
    /// None: owners were not looked up.
    kind: Option<&'static str>,
    name: String,
    /// None: the group is not that of a destination.
    remote: Option<Endpoint>,
    /// None: the group is not that of a user or of a hidden owner.
    uid: Option<u32>,
    /// Number of processes. None: the group is not one of processes.
    processes: Option<u32>,
    sockets: u32,
    listen: u32,
    established: u32,
    time_wait: u32,
    other: u32,
    ports: u32,
}

impl GroupRow {
    fn of(listed: ListedGroups<'_>, group: &RowGroup) -> Self {
        Self {
            kind: group_kind(&group.id),
            name: group.plain_name(listed.source()),
            remote: match group.id {
                GroupId::Destination(remote) => Some(remote),
                _ => None,
            },
            uid: match group.id {
                GroupId::User(uid) => Some(uid),
                GroupId::Owner(OwnerName::Unnamed(OwnerKey::Hidden(uid))) => uid,
                _ => None,
            },
            processes: group.processes.map(|(_, count)| count),
            sockets: group.sockets,
            listen: group.of_class(StateClass::Listen),
            established: group.established,
            time_wait: group.of_class(StateClass::TimeWait),
            other: group.others(),
            ports: group.ports,
        }
    }
}

/// Null: the value could not be read, and is assumed.
#[derive(Serialize)]
struct EphemeralRow {
    first: Option<u16>,
    last: Option<u16>,
    reserved: Option<Vec<[u16; 2]>>,
    automatic_capacity: Option<u32>,
}

impl EphemeralRow {
    fn of(snapshot: &Snapshot) -> Self {
        let ephemeral = &snapshot.ephemeral;
        let range = (!snapshot.assumes(Gap::RANGE)).then_some(ephemeral.range);
        let reserved = (!snapshot.assumes(Gap::RESERVED)).then_some(ephemeral.reserved());
        Self {
            first: range.map(PortRange::first),
            last: range.map(PortRange::last),
            reserved: reserved
                .map(|reserved| reserved.iter().map(|r| [r.first(), r.last()]).collect()),
            automatic_capacity: snapshot.knows_range().then(|| ephemeral.automatic_capacity()),
        }
    }
}

struct Sockets<'a>(ListedSockets<'a>);

impl Serialize for Sockets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(listed) = *self;
        serializer.collect_seq(listed.sockets().map(|socket| SocketRow::new(listed.scan, socket)))
    }
}
