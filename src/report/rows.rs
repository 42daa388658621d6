//! Rows of JSON that several reports contain, and the document that joins those of several network
//! namespaces.

use std::{
    fmt,
    io::{self, Write},
    time::Duration,
};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    domain::{
        Endpoint, Gap, Machine, PortRange, Protocols, Snapshot, Socket, Tunnel, UnseenNamespaces,
        interfaces::InterfaceLabel,
    },
    report::{Scan, User},
};

/// Writes a document in one line.
pub fn write(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, document)?;
    out.write_all(b"\n")
}

/// The documents of several network namespaces, and why some may be missing.
#[derive(Serialize)]
pub struct Collection<D> {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    namespaces: Vec<D>,
    complete: bool,
    missing: Vec<MissingRow>,
}

impl<D> Collection<D> {
    /// `is_complete` says whether all documents are complete.
    pub fn new(
        schema: &'static str,
        namespaces: Vec<D>,
        is_complete: bool,
        unseen: &[UnseenNamespaces],
    ) -> Self {
        let missing = |unseen: &UnseenNamespaces| MissingRow {
            what: "network namespaces",
            count: unseen.count(),
            why: unseen.why(),
            remedy: unseen.remedy(),
        };
        Self {
            schema,
            status: None,
            namespaces,
            complete: unseen.is_empty() && is_complete,
            missing: unseen.iter().map(missing).collect(),
        }
    }
}

#[derive(Serialize)]
pub struct HostDocument<'a> {
    name: &'a str,
    kernel: &'a str,
    /// Inode number of the network namespace. None: unknown.
    network_namespace: Option<u64>,
    /// None: no namespace was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    network_namespace_name: Option<&'a str>,
}

impl<'a> HostDocument<'a> {
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let Machine { name, kernel, network_namespace, namespace_name, .. } = &*snapshot.machine;
        Self {
            name: name.as_str(),
            kernel: kernel.as_str(),
            network_namespace: *network_namespace,
            network_namespace_name: namespace_name.as_ref().map(|name| name.text.as_str()),
        }
    }
}

/// Time since 1970, written as RFC 3339 in UTC with microseconds.
pub struct Instant(pub Duration);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX);
        let nanoseconds = self.0.subsec_nanos().cast_signed();
        let instant = jiff::Timestamp::new(seconds, nanoseconds).unwrap_or(jiff::Timestamp::MAX);
        serializer.collect_str(&format_args!("{instant:.6}"))
    }
}

pub struct Missing<'a>(pub &'a [Gap]);

impl Serialize for Missing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|gap| MissingRow {
            what: gap.what(),
            count: gap.count(),
            why: gap.why(),
            remedy: gap.remedy(),
        }))
    }
}

#[derive(Serialize)]
struct MissingRow {
    what: &'static str,
    count: Option<u32>,
    why: String,
    remedy: &'static str,
}

#[derive(Serialize)]
pub struct SocketRow<'a> {
    protocol: &'static str,
    family: &'static str,
    state: &'static str,
    local: Endpoint,
    /// Name of the interface that the socket is bound to, or its index if the name is unknown.
    /// None: it is bound to none.
    interface: Option<AsText<InterfaceLabel<'a>>>,
    remote: Option<Endpoint>,
    inode: Option<u32>,
    uid: Option<u32>,
    /// None: the kernel reports no uid, or the uid represents unmapped users.
    user: Option<AsText<User<'a>>>,
    cookie: Option<u64>,
    expires_ms: Option<u32>,
    /// None: owners were not looked up.
    owner: Option<OwnerRow<'a>>,
}

impl<'a> SocketRow<'a> {
    pub fn new(scan: Scan<'a>, socket: &'a Socket) -> Self {
        let owner = scan.snapshot.owner(socket);
        let tunnel = |tunnel: &'a Tunnel| TunnelRow {
            kind: tunnel.kind.name(),
            device: tunnel.device.as_str(),
            certain: tunnel.port.is_some(),
        };
        Self {
            protocol: socket.protocol.name(),
            family: socket.family.name(),
            state: socket.state.name(),
            local: socket.local,
            interface: socket.interface.map(|index| AsText(scan.snapshot.interfaces.label(index))),
            remote: socket.remote,
            inode: socket.inode,
            uid: socket.uid,
            user: scan.user(socket).filter(User::is_known).map(AsText),
            cookie: socket.cookie,
            expires_ms: socket.expires_ms,
            owner: owner.kind().map(|kind| OwnerRow {
                kind,
                processes: OwnersDocument(scan, socket),
                tunnels: scan.snapshot.tunnels(socket).into_iter().map(tunnel).collect(),
            }),
        }
    }
}

/// A value that is written as the text of its `Display`.
pub struct AsText<T>(pub T);

impl<T: fmt::Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("PortRange", 2)?;
        row.serialize_field("first", &self.first())?;
        row.serialize_field("last", &self.last())?;
        row.end()
    }
}

impl Serialize for Protocols {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

pub fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Endpoint", 2)?;
        row.serialize_field("address", &self.address)?;
        row.serialize_field("port", &self.port)?;
        row.end()
    }
}

#[derive(Serialize)]
struct OwnerRow<'a> {
    kind: &'static str,
    processes: OwnersDocument<'a>,
    /// The kernel's tunnels that use the port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tunnels: Vec<TunnelRow<'a>>,
}

#[derive(Serialize)]
struct TunnelRow<'a> {
    kind: &'static str,
    device: &'a str,
    /// Whether the interface reports its port. If not, the tunnel is assumed to use this socket.
    certain: bool,
}

struct OwnersDocument<'a>(Scan<'a>, &'a Socket);

impl Serialize for OwnersDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.owners(self.1).map(|(pid, process)| ProcessRow {
            pid,
            name: process.map(|process| process.name.as_str()),
        }))
    }
}

/// A process in a list of processes.
#[derive(Serialize)]
pub struct ProcessRow<'a> {
    pub pid: u32,
    /// None: the name was not read, usually because the process ended before.
    pub name: Option<&'a str>,
}
