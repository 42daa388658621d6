//! The report of `portscope explain` about one port, or each port of a process: the holders, and
//! which bind() and connect() calls get it. Does not read the machine.

mod answer;
pub mod json;
pub mod text;

use crate::{
    domain::{
        AddressRefusal, Destination, Errno, Gap, Protocol, Publication, Refusal, RemotePortUse,
        availability::{Answer, Bind, Reuse, probing::Probed},
        port,
    },
    report::Scan,
};

/// Whether the text shows the reason for each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reasons {
    Omitted,
    Shown,
}

/// The explanations of one network namespace: of one port, or of each port of a process.
pub struct Explanations<'a> {
    /// The scan that all explanations follow from.
    pub scan: Scan<'a>,
    pub ports: Vec<Explanation<'a>>,
    /// Number of ports of the process that are not in `ports`. None: no process was requested.
    pub left_out: Option<usize>,
}

/// All that is known about one port. The snapshot contains only sockets on this port.
pub struct Explanation<'a> {
    pub scan: Scan<'a>,
    pub port: u16,
    /// The flows that arrive for the port and that DNAT sends elsewhere. None: no flow is tracked
    /// in this network namespace. Error: the flows could not be read.
    pub publications: &'a Option<Result<Vec<Publication>, Errno>>,
    /// One for each requested protocol.
    pub sides: &'a [ProtocolPort],
}

/// What is known about the port on one protocol.
pub struct ProtocolPort {
    pub protocol: Protocol,
    /// Name of the service that is registered for the port. None: there is none.
    pub service: Option<String>,
    pub binds: Vec<BindRow>,
    pub connects: Vec<ConnectRow>,
    /// Number of destinations of sockets on the port that are not in `connects`.
    pub destinations_left_out: usize,
    /// The sockets that lead to the same port elsewhere. None: there is none, or the port is in use.
    pub remote: Option<RemotePortUse>,
    /// What must happen before the port becomes free, in sentences. None: it is not in use.
    pub frees_when: Option<String>,
}

/// A bind() to one address with one reuse option, and its result.
pub struct BindRow {
    /// The address, as shown in JSON and text.
    pub probe: String,
    pub bind: Bind,
    /// The answer that follows from the sockets on the port.
    pub answer: Answer,
    /// Why the kernel refuses the bind() even if no socket is on the port. None: no such reason is
    /// known.
    pub refusal: Option<AddressRefusal>,
    pub probed: Probed<Errno>,
}

pub struct ConnectRow {
    /// None: any destination that no socket on the port is connected to.
    pub destination: Option<Destination>,
    pub answer: Answer,
}

impl Explanation<'_> {
    /// Returns whether any socket is on the port: one is listed, or a probe without a reuse option
    /// failed with EADDRINUSE.
    pub fn is_held(&self) -> bool {
        !self.scan.snapshot.sockets.is_empty()
            || self.sides.iter().any(ProtocolPort::has_met_a_socket)
    }

    /// Returns the redirected flows of one protocol. None: no flow is tracked, or the flows could
    /// not be read.
    fn published(&self, protocol: Protocol) -> Option<impl Iterator<Item = &Publication>> {
        let flows = self.publications.as_ref()?.as_ref().ok()?;
        Some(flows.iter().filter(move |flow| flow.protocol == protocol))
    }

    /// Returns the names of the ranges that contain the port: `ephemeral`, `iana`, or both. If
    /// neither range contains it, returns the class of the port.
    fn ranges(&self) -> Option<Vec<&'static str>> {
        if self.scan.snapshot.assumes(Gap::RANGE) {
            return None;
        }
        let mut ranges = Vec::new();
        if self.scan.snapshot.ephemeral.range.contains(self.port) {
            ranges.push("ephemeral");
        }
        if port::IANA_DYNAMIC.contains(self.port) {
            ranges.push("iana");
        }
        if ranges.is_empty() {
            ranges.push(self.class());
        }
        Some(ranges)
    }

    /// Returns IANA's class of the port (RFC 6335, section 6).
    fn class(&self) -> &'static str {
        match self.port {
            port if port::SYSTEM.contains(port) => "system",
            port if port::REGISTERED.contains(port) => "registered",
            _ => "dynamic",
        }
    }

    /// Returns whether a bind() needs CAP_NET_BIND_SERVICE (`ip_unprivileged_port_start`).
    /// Returns None if the first unprivileged port is only assumed.
    fn needs_privilege(&self) -> Option<bool> {
        let snapshot = self.scan.snapshot;
        let is_read = !snapshot.assumes(Gap::UNPRIVILEGED_START);
        is_read.then_some(self.port < snapshot.ephemeral.unprivileged_start)
    }

    /// Returns None if the reserved ports are only assumed.
    fn is_reserved(&self) -> Option<bool> {
        let snapshot = self.scan.snapshot;
        let is_read = !snapshot.assumes(Gap::RESERVED);
        is_read.then(|| snapshot.ephemeral.is_reserved(self.port))
    }
}

impl ProtocolPort {
    /// Returns whether a probe without a reuse option failed with EADDRINUSE.
    fn has_met_a_socket(&self) -> bool {
        let plain = self.binds.iter().filter(|row| row.bind.reuse == Reuse::None);
        plain.filter_map(|row| row.probed.result()).any(|tried| tried == Err(Errno::EADDRINUSE))
    }
}

impl BindRow {
    /// Returns the verdict for JSON: `refused` if there is a refusal, else the verdict of the
    /// answer.
    fn verdict_name(&self) -> &'static str {
        if self.refusal.is_some() { "refused" } else { self.answer.verdict.name() }
    }

    fn because(&self) -> &str {
        self.refusal.as_ref().map_or(&self.answer.because, |refusal| refusal.cause.as_str())
    }

    /// Returns the errno of the probe or, if no probe was made, that of the refusal. None: the
    /// probe succeeded, or there is neither.
    fn errno(&self) -> Option<Errno> {
        let tried = self.probed.result();
        let refused = || self.refusal.as_ref().map(|refusal| refusal.errno);
        tried.map_or_else(refused, Result::err)
    }

    fn not_probed(&self) -> Option<&'static str> {
        match self.probed {
            Probed::Skipped(skipped) => Some(skipped.why()),
            Probed::NotAsked | Probed::Tried(_) => None,
        }
    }

    /// Returns the result of the probe for JSON: `free`, `in-use`, `denied` or `unknown`. None: no
    /// probe was made.
    fn probed_name(&self) -> Option<&'static str> {
        let name = |errno| Refusal { protocol: self.bind.protocol, errno }.outcome().name();
        Some(self.probed.result()?.map_or_else(name, |()| "free"))
    }
}
