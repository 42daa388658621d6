//! One look at a machine: its sockets, owners, policy and gaps. Not the looking.

use std::{fmt, sync::Arc, time::Duration};

use crate::domain::{
    Ephemeral, Errno, Gap, Holder, Owner, Protocol, Socket, Text, Users, Vitals, owner::Span,
};

/// Which kind of machine stands behind the `Host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineKind {
    Live,
    Simulated,
    Recorded,
}

/// The machine looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub kind: MachineKind,
    pub name: Text,
    pub kernel: Text,
    /// Inode number of the network namespace.
    pub network_namespace: Option<u64>,
    /// Of a network namespace that was asked for.
    pub namespace_name: Option<NamespaceName>,
    /// Nobody but us can be harmed: a simulated machine, or a network namespace that is not the
    /// first one and has no interface but loopback.
    pub is_isolated: bool,
    pub users: Arc<Users>,
}

/// What a network namespace is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceName {
    pub text: Text,
    /// It is its name in /run/netns, and lasts as long as the namespace. Else it is that of a process
    /// or the path by which it was found: another look may find another one.
    pub is_registered: bool,
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Where the sockets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    SockDiag,
    Procfs,
    Simulated,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::SockDiag => "sock_diag",
            Self::Procfs => "procfs",
            Self::Simulated => "simulated",
        }
    }
}

/// One look. Its buffers can be used again for the next one.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts scans; a higher one is newer.
    pub number: u64,
    /// Since 1970-01-01 UTC.
    pub taken_at: Duration,
    pub machine: Arc<Machine>,
    pub source: Source,
    pub ephemeral: Ephemeral,
    /// In the order of `Socket::sort_key` once `sort` was called.
    pub sockets: Vec<Socket>,
    /// The pool that `Holder` spans point into.
    pub pids: Vec<u32>,
    pub gaps: Vec<Gap>,
    /// Errno of our own bind(127.0.0.1, port 0), made when the scanner started and again as long as
    /// it is refused; None: it succeeded.
    pub refused_bind: Option<Errno>,
    pub vitals: Vitals,
    /// CPU time that the scan took.
    pub cost: Duration,
}

impl Snapshot {
    pub fn empty(machine: Arc<Machine>, source: Source) -> Self {
        Self {
            number: 0,
            taken_at: Duration::ZERO,
            machine,
            source,
            ephemeral: Ephemeral::default(),
            sockets: Vec::new(),
            pids: Vec::new(),
            gaps: Vec::new(),
            refused_bind: None,
            vitals: Vitals::default(),
            cost: Duration::ZERO,
        }
    }

    /// Makes room for the next scan; keeps the buffers.
    pub fn clear(&mut self) {
        self.sockets.clear();
        self.pids.clear();
        self.gaps.clear();
        self.refused_bind = None;
        self.vitals = Vitals::default();
    }

    pub fn sort(&mut self) {
        self.sockets.sort_unstable_by_key(Socket::sort_key);
    }

    /// The sockets on one port of one protocol, of both families.
    pub fn on_port(&self, protocol: Protocol, port: u16) -> &[Socket] {
        let key = |s: &Socket| (s.protocol, s.local.port);
        let start = self.sockets.partition_point(|s| key(s) < (protocol, port));
        let rest = &self.sockets[start..];
        &rest[..rest.partition_point(|s| key(s) == (protocol, port))]
    }

    pub fn owner(&self, socket: &Socket) -> Owner<'_> {
        match socket.holder {
            Holder::Process(span) => Owner::Process(self.span(span)),
            Holder::Departed(span) => Owner::Departed(self.span(span)),
            Holder::Backlog(span) => Owner::Backlog(self.span(span)),
            Holder::Kernel => Owner::Kernel,
            Holder::Hidden => Owner::Hidden,
            Holder::Nobody => Owner::Nobody,
            Holder::Unresolved => Owner::Unresolved,
            Holder::NotAsked => Owner::NotAsked,
        }
    }

    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    pub(super) fn span(&self, span: Span) -> &[u32] {
        let first = span.first as usize;
        self.pids.get(first..first + span.length as usize).unwrap_or_default()
    }
}
