//! The report of `portscope reserve`: the difference, and the line that makes it permanent. Changes
//! nothing.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    domain::{
        Gap, Machine, PortRange,
        action::{ReservedChange, ReservedPorts, port_list, sysctl, sysctl_line, without},
    },
    report::rows::{self, Missing},
};

/// The file that README and help name.
const FILE: &str = "/etc/sysctl.d/90-reserved-ports.conf";

/// A change of the reserved ports, made or only shown.
pub struct Reservation<'a> {
    pub change: &'a ReservedChange,
    pub ports: &'a ReservedPorts,
    pub is_made: bool,
    /// Why the change cannot be made. None: it can, or that is unknown, or there is nothing to
    /// change.
    pub refusal: Option<&'a str>,
    /// The ephemeral range: only its ports are chosen automatically.
    pub range: PortRange,
    /// What of the present list and the range is only assumed.
    pub gaps: &'a [Gap],
}

impl Reservation<'_> {
    fn added(&self) -> Vec<PortRange> {
        without(&self.ports.after, &self.ports.before)
    }

    fn removed(&self) -> Vec<PortRange> {
        without(&self.ports.before, &self.ports.after)
    }

    /// Returns the ports of the change that are outside the ephemeral range.
    fn outside(&self) -> Vec<PortRange> {
        without(self.change.ports(), &[self.range])
    }
}

/// Writes the lists before and after, the difference, and the line for /etc/sysctl.d.
pub fn write_text(reservation: &Reservation<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (added, removed) = (reservation.added(), reservation.removed());
    writeln!(out, "before   {}", listed(&reservation.ports.before))?;
    writeln!(out, "after    {}", listed(&reservation.ports.after))?;
    for (label, ports) in [("added", &added), ("removed", &removed)] {
        if !ports.is_empty() {
            writeln!(out, "{label:<8} {}", listed(ports))?;
        }
    }
    let outside = reservation.outside();
    if !outside.is_empty() && !reservation.change.is_removal() {
        writeln!(
            out,
            "outside the ephemeral range {}, where the kernel chooses no port: {}",
            reservation.range,
            port_list(&outside)
        )?;
    }
    if let Some(refusal) = reservation.refusal {
        writeln!(out, "Nothing was changed: {refusal}. By hand, with the rights to do it:")?;
        writeln!(out, "    $ {}", sysctl(&reservation.ports.after))?;
    } else if added.is_empty() && removed.is_empty() {
        writeln!(out, "The list already is as requested: nothing to change.")?;
    } else if reservation.is_made {
        writeln!(out, "Changed, and verified by reading the list.")?;
    } else {
        writeln!(out, "Nothing was changed. --yes makes the change; by hand:")?;
        writeln!(out, "    $ {}", sysctl(&reservation.ports.after))?;
    }
    writeln!(out, "To keep it after a boot, put this line into {FILE}:")?;
    writeln!(out, "    {}", sysctl_line(&reservation.ports.after))
}

fn listed(ports: &[PortRange]) -> String {
    if ports.is_empty() { "none".to_owned() } else { port_list(ports) }
}

#[derive(Serialize)]
struct ReserveDocument<'a> {
    schema: &'static str,
    /// Inode number of the network namespace. None: unknown.
    network_namespace: Option<u64>,
    complete: bool,
    missing: Missing<'a>,
    /// Ranges as pairs of the first and the last port, as in `scan`.
    before: Vec<[u16; 2]>,
    after: Vec<[u16; 2]>,
    added: Vec<[u16; 2]>,
    removed: Vec<[u16; 2]>,
    changed: bool,
    /// Why the change cannot be made. Null: it can, or that is unknown, or there is nothing to
    /// change.
    refusal: Option<&'a str>,
    command: String,
    sysctl_line: String,
}

/// Writes `portscope.reserve/1`. `changed` says whether the list was changed: not without --yes, and
/// not if it had the ports already.
pub fn write_json(
    reservation: &Reservation<'_>,
    machine: &Machine,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (added, removed) = (reservation.added(), reservation.removed());
    let is_different = !added.is_empty() || !removed.is_empty();
    let document = ReserveDocument {
        schema: "portscope.reserve/1",
        network_namespace: machine.network_namespace,
        complete: reservation.gaps.is_empty(),
        missing: Missing(reservation.gaps),
        before: pairs(&reservation.ports.before),
        after: pairs(&reservation.ports.after),
        changed: reservation.is_made && is_different,
        refusal: reservation.refusal,
        added: pairs(&added),
        removed: pairs(&removed),
        command: sysctl(&reservation.ports.after),
        sysctl_line: sysctl_line(&reservation.ports.after),
    };
    rows::write(&document, out)
}

fn pairs(ports: &[PortRange]) -> Vec<[u16; 2]> {
    ports.iter().map(|range| [range.first(), range.last()]).collect()
}
