//! What `portscope explain` tells of one port: holders, binds, connects. Asks and tries nothing.

pub mod json;
pub mod text;

use crate::{
    domain::{
        AddressRefusal, Destination, Errno, Outcome, Protocol, Publication, Refusal,
        availability::{self, Answer, Bind, Reuse, probing::Probed},
        port,
    },
    report::Scan,
};

/// Everything about one port. The snapshot holds its sockets and no others.
pub struct Explanation<'a> {
    pub scan: Scan<'a>,
    pub port: u16,
    /// Flows to the port that DNAT sends on; None: no flow is tracked here.
    pub publications: &'a Option<Result<Vec<Publication>, Errno>>,
    /// One a protocol asked for.
    pub sides: &'a [Side],
}

/// A port of one protocol.
pub struct Side {
    pub protocol: Protocol,
    /// The name the port is registered for.
    pub service: Option<String>,
    pub binds: Vec<BindRow>,
    pub connects: Vec<ConnectRow>,
    /// Destinations that stand on the port and in none of `connects`.
    pub destinations_left_out: usize,
    /// None: nothing stands on it.
    pub frees_when: Option<String>,
}

/// One kind of bind().
pub struct BindRow {
    /// The address, as JSON and the text name it.
    pub probe: String,
    pub bind: Bind,
    /// By the sockets on the port.
    pub answer: Answer,
    /// Why the kernel refuses it whatever is on the port.
    pub refusal: Option<AddressRefusal>,
    pub probed: Probed<Errno>,
}

pub struct ConnectRow {
    /// None: any that nobody on the port is connected to.
    pub destination: Option<Destination>,
    pub answer: Answer,
}

impl Explanation<'_> {
    /// Whether any socket is on the port, as listed or as a real bind() met one.
    pub fn is_held(&self) -> bool {
        !self.scan.snapshot.sockets.is_empty() || self.sides.iter().any(Side::has_met_a_socket)
    }

    /// Whether a socket of that protocol may be on the port that is not listed.
    fn may_be_unlisted(&self, protocol: Protocol) -> bool {
        availability::may_be_unlisted(self.scan.snapshot, protocol, self.port)
    }

    /// Of one protocol; None: not known.
    fn published(&self, protocol: Protocol) -> Option<impl Iterator<Item = &Publication>> {
        let flows = self.publications.as_ref()?.as_ref().ok()?;
        Some(flows.iter().filter(move |flow| flow.protocol == protocol))
    }

    /// The named ranges that ports are drawn from and that hold the port; `registered` and
    /// `system` where there is none of those.
    fn ranges(&self) -> Vec<&'static str> {
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
        ranges
    }

    /// IANA's classes of ports (RFC 6335, section 6).
    fn class(&self) -> &'static str {
        match self.port {
            port if port::SYSTEM.contains(port) => "system",
            port if port::REGISTERED.contains(port) => "registered",
            _ => "dynamic",
        }
    }

    /// By `ip_unprivileged_port_start`.
    fn needs_privilege(&self) -> bool {
        self.port < self.scan.snapshot.ephemeral.unprivileged_start
    }

    fn is_reserved(&self) -> bool {
        self.scan.snapshot.ephemeral.is_reserved(self.port)
    }
}

impl Side {
    /// A real bind() without a reuse option failed with EADDRINUSE.
    fn has_met_a_socket(&self) -> bool {
        let plain = self.binds.iter().filter(|row| row.bind.reuse == Reuse::None);
        plain.filter_map(|row| row.probed.result()).any(|tried| tried == Err(Errno::EADDRINUSE))
    }
}

impl BindRow {
    /// In JSON: that of the answer, and `refused`.
    fn verdict_name(&self) -> &'static str {
        if self.refusal.is_some() { "refused" } else { self.answer.verdict.name() }
    }

    fn because(&self) -> &str {
        self.refusal.as_ref().map_or(&self.answer.because, |refusal| refusal.cause.as_str())
    }

    /// The errno of a probe that failed, or of the refusal.
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

    /// In the words of `verdict`, and `denied`.
    fn probed_name(&self) -> Option<&'static str> {
        Some(match self.probed.result()? {
            Ok(()) => "free",
            Err(errno) => match (Refusal { protocol: self.bind.protocol, errno }).outcome() {
                Outcome::Bound => "free",
                other => other.name(),
            },
        })
    }
}
