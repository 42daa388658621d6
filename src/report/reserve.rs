//! The report of `portscope reserve`: the difference, and the line that makes it permanent. Changes
//! nothing.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    domain::{
        Gap, Machine, PortRange,
        action::{ReservedChange, ReservedPorts, port_list, without},
        reserved_list,
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

    /// Returns the command that makes the change. None: the present list is only assumed, and the
    /// command would replace the real one.
    fn command(&self) -> Option<String> {
        let is_assumed = self.gaps.iter().any(Gap::hides_capacity);
        (!is_assumed).then(|| reserved_list::set_to(&self.ports.after))
    }

    /// Returns the line that keeps the change after a boot. None: as for `command`, or no such line
    /// has this effect.
    fn sysctl_line(&self) -> Option<String> {
        self.command().and_then(|_| reserved_list::sysctl_line(&self.ports.after))
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
            "not in the ephemeral range {}, so the kernel does not choose them anyway: {}",
            reservation.range,
            port_list(&outside)
        )?;
    }
    let is_same = added.is_empty() && removed.is_empty();
    match reservation.refusal {
        Some(refusal) => {
            write!(out, "Nothing was changed: {refusal}. ")?;
            write_command(reservation, "By hand, with the rights to do it:", out)?;
        }
        None if is_same => {
            writeln!(out, "The list already is as requested: nothing to change.")?;
        }
        None if reservation.is_made => {
            writeln!(out, "Changed, and verified by reading the list.")?;
        }
        None => {
            write!(out, "Nothing was changed. ")?;
            write_command(reservation, "--yes makes the change; by hand:", out)?;
        }
    }
    write_line(reservation, out)
}

/// Writes the command that makes the change.
fn write_command(
    reservation: &Reservation<'_>,
    words: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    match reservation.command() {
        Some(command) => writeln!(out, "{words}\n    $ {command}"),
        None => writeln!(out, "The present list is assumed: no command is certain to keep it."),
    }
}

/// Writes how to keep the list after a boot.
fn write_line(reservation: &Reservation<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Some(command) = reservation.command() else { return Ok(()) };
    match reservation.sysctl_line() {
        Some(line) => {
            writeln!(out, "To keep it after a boot, put this line into {FILE}:\n    {line}")
        }
        None if reserved_list::is_too_long(&command) => writeln!(
            out,
            "To keep it after a boot, run this command at each boot (sysctl.d takes only 4,095 \
             bytes of it):\n    $ {command}"
        ),
        None => writeln!(
            out,
            "To keep it after a boot, remove net.ipv4.ip_local_reserved_ports from /etc/sysctl.conf \
             and /etc/sysctl.d."
        ),
    }
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
    /// Null: the present list is only assumed.
    command: Option<String>,
    /// Null: as for `command`, or no line of a file has this effect: the list is empty, or too long.
    sysctl_line: Option<String>,
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
        command: reservation.command(),
        sysctl_line: reservation.sysctl_line(),
    };
    rows::write(&document, out)
}

fn pairs(ports: &[PortRange]) -> Vec<[u16; 2]> {
    ports.iter().map(|range| [range.first(), range.last()]).collect()
}
