//! Finds flows that NAT translates or redirects in the text of /proc/net/nf_conntrack. Reads no file.

use std::{cmp::Reverse, net::IpAddr};

use crate::domain::{Endpoint, PortRange, Protocol, Publication, Translation};

/// Maximum number of translations returned.
const MAX_TRANSLATIONS: usize = 64;

/// One flow whose source was translated; source and port are those after translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    protocol: Protocol,
    source: IpAddr,
    destination: Endpoint,
    port: u16,
    /// Whether the port after translation differs from the one before.
    is_moved: bool,
}

/// One direction of a flow.
#[derive(Clone, Copy)]
struct Tuple {
    source: Endpoint,
    destination: Endpoint,
}

/// Groups the translated flows by protocol, source and destination. Returns at most
/// `MAX_TRANSLATIONS` groups, those with the most ports first. Skips lines of other protocols and
/// malformed lines.
pub(super) fn translations(text: &str) -> Vec<Translation> {
    let mut flows: Vec<Flow> = text.lines().filter_map(parse_translated).collect();
    flows.sort_unstable();
    let key = |flow: &Flow| (flow.protocol, flow.source, flow.destination);
    let groups = flows.chunk_by(|a, b| key(a) == key(b));
    let mut translations: Vec<Translation> = groups.filter_map(translation).collect();
    translations.sort_by_key(|row| Reverse(row.ports));
    translations.truncate(MAX_TRANSLATIONS);
    translations
}

/// Summarizes the flows of one group, which must be sorted by port.
fn translation(flows: &[Flow]) -> Option<Translation> {
    let (first, last) = (flows.first()?, flows.last()?);
    let ports = || flows.chunk_by(|a, b| a.port == b.port);
    Some(Translation {
        protocol: first.protocol,
        source: first.source,
        destination: first.destination,
        ports: ports().count() as u32,
        moved: ports().filter(|port| port.iter().any(|flow| flow.is_moved)).count() as u32,
        seen: PortRange::new(first.port, last.port).ok()?,
    })
}

/// Parses a flow whose source was translated. None: it was not, the flow is neither TCP nor UDP, or
/// the line is malformed. Uses the endpoint that sends the replies as the destination, because
/// the kernel needs unique ports per such endpoint. For a Kubernetes service, this endpoint is the
/// pod.
fn parse_translated(line: &str) -> Option<Flow> {
    let (protocol, original, reply) = parse_tuples(line)?;
    let (before, after) = (original.source, reply.destination);
    (after != before).then_some(Flow {
        protocol,
        source: after.address,
        destination: reply.source,
        port: after.port,
        is_moved: after.port != before.port,
    })
}

/// Returns the flows that clients sent to `port` on any address and that DNAT redirects: one entry
/// per protocol, address and target, sorted by these.
pub(super) fn publications(text: &str, port: u16) -> Vec<Publication> {
    let mut flows: Vec<Publication> =
        text.lines().filter_map(|line| parse_redirected(line, port)).collect();
    flows.sort_unstable();
    flows.dedup_by(|next, kept| {
        let is_same =
            (next.protocol, next.address, next.to) == (kept.protocol, kept.address, kept.to);
        kept.flows += u32::from(is_same);
        is_same
    });
    flows
}

/// Parses a redirected flow to `port`. None: the flow has another port; its replies come from the
/// endpoint to which the client sent, so it is not redirected; or `parse_tuples` returns None.
fn parse_redirected(line: &str, port: u16) -> Option<Publication> {
    let (protocol, original, reply) = parse_tuples(line)?;
    let (asked, to) = (original.destination, reply.source);
    let is_sent_on = asked.port == port && to != asked;
    is_sent_on.then_some(Publication { protocol, address: asked.address, to, flows: 1 })
}

/// Parses the original tuple of a line, then the tuple of its replies
/// (net/netfilter/nf_conntrack_standalone.c):
/// `ipv4 2 tcp 6 431998 ESTABLISHED src=… dst=… sport=… dport=… src=… dst=… sport=… dport=… …`.
///
/// None: the flow is neither TCP nor UDP, or the line is malformed.
fn parse_tuples(line: &str) -> Option<(Protocol, Tuple, Tuple)> {
    let mut fields = line.split_ascii_whitespace();
    let name = fields.nth(2)?;
    let protocol = Protocol::EACH.into_iter().find(|protocol| protocol.name() == name)?;
    Some((protocol, parse_tuple(&mut fields)?, parse_tuple(&mut fields)?))
}

/// Parses four consecutive fields, beginning at the next `src=`. None: one is missing or malformed.
fn parse_tuple<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Tuple> {
    let source: IpAddr = fields.find_map(|field| field.strip_prefix("src="))?.parse().ok()?;
    let mut next = |name| fields.next()?.strip_prefix(name);
    let destination: IpAddr = next("dst=")?.parse().ok()?;
    let mut port = |name| next(name)?.parse::<u16>().ok();
    Some(Tuple {
        source: (source, port("sport=")?).into(),
        destination: (destination, port("dport=")?).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Linux 6.18; the second line has the counters of `nf_conntrack_acct`.
    const TABLE: &str = "\
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=35728 dport=80 src=10.2.0.2 dst=10.2.0.1 sport=80 dport=40002 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 58 SYN_SENT src=10.1.0.3 dst=10.2.0.2 sport=40000 dport=80 packets=1 bytes=60 [UNREPLIED] src=10.2.0.2 dst=10.2.0.1 sport=80 dport=40000 packets=0 bytes=0 mark=0 zone=0 use=2
ipv4     2 tcp      6 431998 ESTABLISHED src=10.2.0.1 dst=10.2.0.2 sport=50000 dport=80 src=10.2.0.2 dst=10.2.0.1 sport=80 dport=50000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 icmp     1 29 src=10.1.0.2 dst=10.2.0.2 type=8 code=0 id=7 src=10.2.0.2 dst=10.2.0.1 type=0 code=0 id=7 mark=0 zone=0 use=2
ipv6     10 udp      17 29 src=fd00:0000:0000:0000:0000:0000:0000:0002 dst=fd01:0000:0000:0000:0000:0000:0000:0001 sport=5353 dport=53 src=fd01:0000:0000:0000:0000:0000:0000:0009 dst=fd02:0000:0000:0000:0000:0000:0000:0001 sport=5300 dport=61000 mark=0 zone=0 use=2
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2
";

    #[test]
    fn snat_flows_are_grouped_by_protocol_source_and_destination() {
        let [tcp, udp] = translations(TABLE)[..] else { panic!("{:?}", translations(TABLE)) };
        assert_eq!((tcp.ports, tcp.moved), (2, 1));
        assert_eq!(tcp.seen, PortRange::new(40_000, 40_002).unwrap());
        assert_eq!(tcp.source.to_string(), "10.2.0.1");
        assert_eq!(tcp.destination.to_string(), "10.2.0.2:80");
        assert_eq!((udp.protocol, udp.ports), (Protocol::Udp, 1));
        assert_eq!(udp.destination.to_string(), "[fd01::9]:5300", "where the replies come from");
    }

    #[test]
    fn truncated_lines_do_not_panic() {
        let line = TABLE.lines().next().unwrap();
        for end in 0..=line.len() {
            assert!(translations(line.get(..end).unwrap()).len() <= 1);
        }
    }

    /// From Linux 6.18: two flows with DNAT, one without, one to another port, one of UDP.
    const REDIRECTED: &str = "\
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=35728 dport=8080 src=172.17.0.2 dst=10.1.0.2 sport=80 dport=35728 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=35730 dport=8080 src=172.17.0.2 dst=10.1.0.2 sport=80 dport=35730 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=50000 dport=8080 src=10.2.0.2 dst=10.1.0.2 sport=8080 dport=50000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=35732 dport=8081 src=172.17.0.3 dst=10.1.0.2 sport=80 dport=35732 [ASSURED] mark=0 zone=0 use=2
ipv6     10 udp      17 29 src=fd00:0000:0000:0000:0000:0000:0000:0002 dst=fd01:0000:0000:0000:0000:0000:0000:0001 sport=5353 dport=8080 src=fd01:0000:0000:0000:0000:0000:0000:0009 dst=fd00:0000:0000:0000:0000:0000:0000:0002 sport=53 dport=5353 mark=0 zone=0 use=2
";

    #[test]
    fn dnat_flows_are_counted_by_target() {
        let [tcp, udp] = publications(REDIRECTED, 8080)[..] else {
            panic!("{:?}", publications(REDIRECTED, 8080))
        };
        assert_eq!(
            (tcp.address.to_string(), tcp.to.to_string()),
            ("10.1.0.1".into(), "172.17.0.2:80".into())
        );
        assert_eq!((tcp.flows, udp.flows), (2, 1));
        assert_eq!(udp.to.to_string(), "[fd01::9]:53");
        assert!(publications(REDIRECTED, 80).is_empty() && publications("", 8080).is_empty());
    }
}
