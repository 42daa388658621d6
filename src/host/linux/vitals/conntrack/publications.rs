//! Finds flows that DNAT redirects in the text of /proc/net/nf_conntrack. Reads no file.

use crate::{domain::Publication, host::linux::vitals::conntrack::translations::parse_tuples};

/// Returns the flows that clients sent to `port` on any address and that DNAT redirects: one entry
/// per protocol, address and target, sorted by these.
pub(super) fn parse(text: &str, port: u16) -> Vec<Publication> {
    let mut flows: Vec<Publication> =
        text.lines().filter_map(|line| parse_flow(line, port)).collect();
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
fn parse_flow(line: &str, port: u16) -> Option<Publication> {
    let (protocol, original, reply) = parse_tuples(line)?;
    let (asked, to) = (original.destination, reply.source);
    let is_sent_on = asked.port == port && to != asked;
    is_sent_on.then_some(Publication { protocol, address: asked.address, to, flows: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Linux 6.18: two flows with DNAT, one without, one to another port, one of UDP.
    const TABLE: &str = "\
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=35728 dport=8080 src=172.17.0.2 dst=10.1.0.2 sport=80 dport=35728 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=35730 dport=8080 src=172.17.0.2 dst=10.1.0.2 sport=80 dport=35730 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=50000 dport=8080 src=10.2.0.2 dst=10.1.0.2 sport=8080 dport=50000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431998 ESTABLISHED src=10.1.0.2 dst=10.1.0.1 sport=35732 dport=8081 src=172.17.0.3 dst=10.1.0.2 sport=80 dport=35732 [ASSURED] mark=0 zone=0 use=2
ipv6     10 udp      17 29 src=fd00:0000:0000:0000:0000:0000:0000:0002 dst=fd01:0000:0000:0000:0000:0000:0000:0001 sport=5353 dport=8080 src=fd01:0000:0000:0000:0000:0000:0000:0009 dst=fd00:0000:0000:0000:0000:0000:0000:0002 sport=53 dport=5353 mark=0 zone=0 use=2
";

    #[test]
    fn dnat_flows_are_counted_by_target() {
        let [tcp, udp] = parse(TABLE, 8080)[..] else { panic!("{:?}", parse(TABLE, 8080)) };
        assert_eq!(
            (tcp.address.to_string(), tcp.to.to_string()),
            ("10.1.0.1".into(), "172.17.0.2:80".into())
        );
        assert_eq!((tcp.flows, udp.flows), (2, 1));
        assert_eq!(udp.to.to_string(), "[fd01::9]:53");
        assert!(parse(TABLE, 80).is_empty() && parse("", 8080).is_empty());
    }
}
