//! Writes `portscope.scan/1`, whose keys and types are a contract. Writes one socket at a time, to
//! save memory.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::{
    domain::UnseenNamespaces,
    report::{
        Scan,
        rows::{self, Collection, HostDocument, Instant, Missing, SocketRow},
    },
};

const SCHEMA: &str = "portscope.scan/1";

pub fn write_scan(scan: Scan<'_>, out: &mut dyn Write) -> io::Result<()> {
    rows::write(&ScanDocument::of(scan), out)
}

/// Writes the scans of several network namespaces, and why some may be missing.
pub fn write_scans(
    scans: &[Scan<'_>],
    unseen: &[UnseenNamespaces],
    out: &mut dyn Write,
) -> io::Result<()> {
    let is_complete = scans.iter().all(|scan| scan.snapshot.is_complete());
    let documents = scans.iter().map(|&scan| ScanDocument::of(scan)).collect();
    rows::write(&Collection::new(SCHEMA, documents, is_complete, unseen), out)
}

#[derive(Serialize)]
struct ScanDocument<'a> {
    schema: &'static str,
    taken_at: Instant,
    host: HostDocument<'a>,
    source: &'static str,
    complete: bool,
    missing: Missing<'a>,
    ephemeral: EphemeralRow,
    sockets: Sockets<'a>,
}

impl<'a> ScanDocument<'a> {
    fn of(scan: Scan<'a>) -> Self {
        let (snapshot, ephemeral) = (scan.snapshot, &scan.snapshot.ephemeral);
        Self {
            schema: SCHEMA,
            taken_at: Instant(snapshot.taken_at),
            host: HostDocument::of(snapshot),
            source: snapshot.source.name(),
            complete: snapshot.is_complete(),
            missing: Missing(&snapshot.gaps),
            ephemeral: EphemeralRow {
                first: ephemeral.range.first(),
                last: ephemeral.range.last(),
                reserved: ephemeral.reserved().iter().map(|r| [r.first(), r.last()]).collect(),
                automatic_capacity: ephemeral.automatic_capacity(),
            },
            sockets: Sockets(scan),
        }
    }
}

#[derive(Serialize)]
struct EphemeralRow {
    first: u16,
    last: u16,
    reserved: Vec<[u16; 2]>,
    automatic_capacity: u32,
}

struct Sockets<'a>(Scan<'a>);

impl Serialize for Sockets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sockets = &self.0.snapshot.sockets;
        serializer.collect_seq(sockets.iter().map(|socket| SocketRow::new(self.0, socket)))
    }
}
