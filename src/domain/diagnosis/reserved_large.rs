//! `reserved-large`: reserved ports take a large part of the range.

use crate::domain::{
    Ephemeral, Evidence, Finding, PortRange, Severity,
    diagnosis::{
        About, Advice, Figure,
        advice::marked,
        remedies::{lowest_first, set_range},
        reservation::{self, single},
        service_ports::services,
    },
    notation::{counted, grouped, percent},
    port,
};

/// Reserved shares of the range (0 to 1) at which a higher severity starts. From `NEARLY_ALL` the
/// severity is `Critical`, but only if no other ports exist or they are nearly used up.
const NOTICE: f64 = 0.25;
const WARNING: f64 = 0.50;
const NEARLY_ALL: f64 = 0.99;
/// Maximum number of ranges named in the evidence.
const MAX_RANGES: usize = 8;
/// Minimum size of a range that the advice may suggest instead.
const MIN_RANGE_SIZE: u32 = 1024;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    if !evidence.snapshot.knows_range() {
        return Vec::new();
    }
    let ephemeral = &evidence.snapshot.ephemeral;
    let share =
        f64::from(ephemeral.reserved_in(ephemeral.range)) / f64::from(ephemeral.range.len());
    let severity = match share {
        share if share < NOTICE => return Vec::new(),
        share if share < WARNING => Severity::Notice,
        _ if ephemeral.automatic_capacity() == 0 => Severity::Critical,
        share if share >= NEARLY_ALL && is_short(evidence) => Severity::Critical,
        _ => Severity::Warning,
    };
    let range = ephemeral.range;
    let within = ephemeral.reserved().iter().filter_map(|part| part.intersection(range));
    let parts: Vec<String> = within.take(MAX_RANGES).map(|part| part.to_string()).collect();
    let finding = Finding::new(severity, About::Machine, summary(ephemeral, share))
        .meaning(meaning(ephemeral))
        .figure("reserved_ports", ephemeral.reserved_in(range))
        .figure("range_ports", range.len())
        .figure("automatic_ports", ephemeral.automatic_capacity())
        .figure("reserved_share", Figure::Share(share))
        .figure("reserved", parts)
        .advice(advice(evidence))
        .avoid(
            "do not clear the list while services listen inside the range: if connect() takes the \
             port of a service that is down, the service cannot start (EADDRINUSE)",
        );
    vec![finding]
}

/// Returns whether the share of a range or of a destination is at least `Thresholds::critical`.
fn is_short(evidence: &Evidence<'_>) -> bool {
    let is_high = |share: f64| share >= evidence.thresholds.critical;
    let analysis = evidence.analysis;
    analysis.ranges.iter().any(|range| is_high(range.share()))
        || analysis.destinations.iter().any(|row| is_high(row.share()))
}

fn summary(ephemeral: &Ephemeral, share: f64) -> String {
    let size = ephemeral.range.len();
    match ephemeral.automatic_capacity() {
        0 if size == 1 => format!(
            "the only port of the ephemeral range, {}, is reserved: connect() fails with \
             EADDRNOTAVAIL, bind() to port 0 with EADDRINUSE",
            ephemeral.range.first()
        ),
        0 => format!(
            "all {} ports of the ephemeral range {} are reserved: connect() fails with \
             EADDRNOTAVAIL, bind() to port 0 with EADDRINUSE",
            grouped(size),
            ephemeral.range
        ),
        left => format!(
            "{} of the ephemeral range {} is reserved, which leaves {} of {} for automatic choice",
            percent(share),
            ephemeral.range,
            grouped(left),
            counted(size, "port"),
        ),
    }
}

fn meaning(ephemeral: &Ephemeral) -> &'static str {
    if ephemeral.automatic_capacity() == 0 {
        "UDP connect() and sendto() of an unbound socket fail with EAGAIN. The cause is the list \
         net.ipv4.ip_local_reserved_ports, not a socket: the kernel never chooses a port of this \
         list. bind() to a reserved port still works."
    } else {
        "The kernel never chooses a port of the list net.ipv4.ip_local_reserved_ports. Once the \
         other ports are in use, connect() fails with EADDRNOTAVAIL, and bind() to port 0 with \
         EADDRINUSE. bind() to a reserved port still works."
    }
}

fn advice(evidence: &Evidence<'_>) -> Advice {
    let ephemeral = &evidence.snapshot.ephemeral;
    let range = ephemeral.range;
    let used = services(evidence, |port| range.contains(port) && ephemeral.is_reserved(port));
    let mut ports: Vec<PortRange> = used.iter().map(|service| single(service.local.port)).collect();
    ports.sort_unstable();
    ports.dedup();
    let kept = ports.len() as u32;
    ports.extend(ephemeral.reserved().iter().flat_map(|part| outside(*part, range)));
    let ports = PortRange::merged(ports);
    let which = match kept {
        0 if ports.is_empty() => {
            "clear the list, because no service listens on a reserved port now".to_owned()
        }
        0 => "remove the ports of the range from the list, because no service listens on them now"
            .to_owned(),
        1 => "reserve only the port of the range that a service listens on now".to_owned(),
        kept => format!(
            "reserve only the {} ports of the range that services listen on now",
            grouped(kept)
        ),
    };
    let command = reservation::set_to(&ports);
    let other_range = widest(ephemeral).map(|free| {
        format!("alternatively, move the range to unreserved ports: {}", marked(set_range(free)))
    });
    let advice = Advice::default()
        .now(format!("{which} (check services that are down first): {}", marked(&command)))
        .now_if(other_range.map(Into::into));
    reservation::keep(advice, &command)
}

/// Returns the parts of `part` below and above `range`.
fn outside(part: PortRange, range: PortRange) -> impl Iterator<Item = PortRange> {
    let below = range.first().checked_sub(1);
    let below = below.and_then(|end| PortRange::new(part.first(), part.last().min(end)).ok());
    let above = range.last().checked_add(1);
    let above = above.and_then(|start| PortRange::new(part.first().max(start), part.last()).ok());
    below.into_iter().chain(above)
}

/// Returns the widest run of unreserved ports from `lowest_first` upwards, without its last port
/// if its size is odd. None: it has fewer than `MIN_RANGE_SIZE` ports.
fn widest(ephemeral: &Ephemeral) -> Option<PortRange> {
    let mut next = u32::from(lowest_first(ephemeral));
    let mut widest: Option<PortRange> = None;
    let end = std::iter::once((u32::from(port::ALL.last()) + 1, 0));
    let reserved = PortRange::merged(ephemeral.reserved().to_vec());
    let parts = reserved.iter().map(|part| (u32::from(part.first()), u32::from(part.last()) + 1));
    for (first, after) in parts.chain(end) {
        let even = first.saturating_sub(next) & !1;
        let free = even.checked_sub(1).and_then(|more| {
            PortRange::new(u16::try_from(next).ok()?, u16::try_from(next + more).ok()?).ok()
        });
        widest = free.into_iter().chain(widest).max_by_key(|range| range.len());
        next = next.max(after);
    }
    widest.filter(|range| range.len() >= MIN_RANGE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn the_suggested_range_is_the_largest_unreserved_run_of_even_size() {
        let widest = |reserved| widest(&Ephemeral::new(port::LINUX_DEFAULT, reserved));
        assert_eq!(widest(vec![]), Some(range(10_240, 65_535)));
        assert_eq!(widest(vec![range(32_768, 60_999)]), Some(range(10_240, 32_767)));
        assert_eq!(widest(vec![range(9_000, 20_000)]), Some(range(20_001, 65_534)));
        assert_eq!(widest(vec![range(1, 65_535)]), None);
        assert_eq!(widest(vec![range(1, 65_000)]), None, "536 ports");
    }

    #[test]
    fn reserved_ports_outside_the_range_are_kept() {
        let outside = |part| outside(part, range(100, 200)).collect::<Vec<_>>();
        assert_eq!(outside(range(50, 300)), [range(50, 99), range(201, 300)]);
        assert_eq!(outside(range(100, 200)), []);
        assert_eq!(outside(range(1, 2)), [range(1, 2)]);
        assert_eq!(outside(range(300, 301)), [range(300, 301)]);
    }
}
