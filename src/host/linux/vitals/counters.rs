//! Parses /proc/net/sockstat and /proc/net/netstat. Reads no file.

use crate::domain::Errno;

/// Numbers of TCP sockets, from the line `TCP: inuse 11 orphan 0 tw 0 alloc 12 mem 183`
/// (net/ipv4/proc.c, `sockstat_seq_show`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sockstat {
    /// On the whole machine.
    pub orphans: u32,
    /// On the whole machine, in any state except TIME-WAIT and SYN-RECEIVED; includes orphans.
    pub allocated: u32,
    /// In the network namespace.
    pub time_wait: u32,
}

pub(super) fn parse_sockstat(text: &str) -> Result<Sockstat, Errno> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP: "));
    let line = line.ok_or(Errno::EBADMSG)?;
    let value = |name| {
        let mut fields = line.split_ascii_whitespace();
        fields.find(|&field| field == name)?;
        fields.next()?.parse().ok()
    };
    let sums = (value("orphan"), value("alloc"), value("tw"));
    let (Some(orphans), Some(allocated), Some(time_wait)) = sums else {
        return Err(Errno::EBADMSG);
    };
    Ok(Sockstat { orphans, allocated, time_wait })
}

/// The text of /proc/net/netstat: two lines per group, names and values in the same order.
pub(super) struct Netstat<'a>(pub(super) &'a str);

impl Netstat<'_> {
    /// Returns a counter of the group `TcpExt`. None: this kernel does not have the counter, or its
    /// value is no number.
    pub(super) fn extended(&self, name: &str) -> Option<u64> {
        let mut lines = self.0.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
        let (names, values) = (lines.next()?, lines.next()?);
        let mut pairs = names.split(' ').zip(values.split(' '));
        pairs.find(|&(known, _)| known == name)?.1.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_totals_are_parsed_from_their_own_line() {
        let text = "sockets: used 11\nTCP: inuse 11 orphan 2 tw 7 alloc 12 mem 183\n\
                    UDP: inuse 0 mem 0\n";
        let sums = Sockstat { orphans: 2, allocated: 12, time_wait: 7 };
        assert_eq!(parse_sockstat(text), Ok(sums));
        let no_number = "TCP: orphan x tw 1 alloc 2\n";
        for bad in ["", "sockets: used 11\n", "TCP: inuse 1 orphan 2 tw 3\n", no_number] {
            assert_eq!(parse_sockstat(bad), Err(Errno::EBADMSG), "{bad}");
        }
    }

    #[test]
    fn a_counter_is_found_by_its_name_and_group() {
        let netstat = Netstat(
            "TcpExt: TW ListenOverflows ListenDrops\nTcpExt: 5 3 18446744073709551615\n\
             IpExt: InOctets\nIpExt: 860\n",
        );
        assert_eq!(netstat.extended("ListenOverflows"), Some(3));
        assert_eq!(netstat.extended("ListenDrops"), Some(u64::MAX));
        assert_eq!(netstat.extended("Listen"), None);
        assert_eq!(netstat.extended("InOctets"), None);
        assert_eq!(Netstat("TcpExt: TW\n").extended("TW"), None);
        assert_eq!(Netstat("").extended("TW"), None);
    }
}
