//! Advice to reserve ports, by commands that set `ip_local_reserved_ports`. Does not run them.

use crate::domain::{Ephemeral, PortRange, diagnosis::Advice};

pub(super) use crate::domain::reserved_list::{is_too_long, list, set_to};

/// Returns the command that reserves `ports`. The command also names the ports that are reserved
/// already, because the new list replaces the old one.
pub(super) fn command(ephemeral: &Ephemeral, ports: impl IntoIterator<Item = PortRange>) -> String {
    let ports = ephemeral.reserved().iter().copied().chain(ports);
    set_to(&PortRange::merged(ports.collect()))
}

/// Adds how to keep the list of `command` after a reboot.
pub(super) fn keep(advice: Advice, command: &str) -> Advice {
    if is_too_long(command) {
        advice.for_good("run the same command at each boot: a reboot clears the list")
    } else if command.starts_with("echo ") {
        let list = "net.ipv4.ip_local_reserved_ports";
        advice.for_good(format!("remove {list} from /etc/sysctl.conf and /etc/sysctl.d"))
    } else {
        advice.setting("the new value of net.ipv4.ip_local_reserved_ports")
    }
}

/// Returns one port as a range.
pub(super) fn single(port: u16) -> PortRange {
    PortRange::new(port, port).expect("a port is not after itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn adjacent_and_reserved_ports_are_merged_to_ranges() {
        let ephemeral = Ephemeral::new(
            crate::domain::port::LINUX_DEFAULT,
            vec![range(50_000, 50_010), range(52_000, 52_000)],
        );
        let ports = [40_001, 40_000, 50_005, 50_011, 40_003, 65_535, 65_534, 40_000].map(single);
        assert_eq!(
            command(&ephemeral, ports),
            "sysctl -w net.ipv4.ip_local_reserved_ports=\
             40000-40001,40003,50000-50011,52000,65534-65535"
        );
        assert_eq!(set_to(&[]), "echo > /proc/sys/net/ipv4/ip_local_reserved_ports");
    }

    #[test]
    fn a_reserved_list_longer_than_a_page_is_not_suggested_for_sysctl() {
        let ports = |count: u16| (0..count).map(|i| single(20_000 + 2 * i));
        let ephemeral = Ephemeral::default();
        // 5 digits and a comma: 682 ports are 4,091 bytes, 683 are 4,097.
        assert!(command(&ephemeral, ports(682)).starts_with("sysctl -w "));
        let long = command(&ephemeral, ports(683));
        assert!(long.starts_with("echo 20000,20002,") && is_too_long(&long));
        assert!(long.ends_with(",21364 > /proc/sys/net/ipv4/ip_local_reserved_ports"));
    }
}
