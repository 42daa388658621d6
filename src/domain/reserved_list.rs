//! How to set `ip_local_reserved_ports` from a shell or by a file. Does not set it.

use crate::domain::PortRange;

/// The sysctl that lists the reserved ports.
const SYSCTL: &str = "net.ipv4.ip_local_reserved_ports";

/// Number of bytes that the kernel accepts per write(2): a page without the final NUL
/// (`proc_do_large_bitmap`). sysctl(8) and systemd-sysctl do not write the rest, but report
/// success. The shell's `echo` writes the rest with another write(2).
const PAGE: usize = 4095;

/// Formats ports as the kernel reads and prints them: `8080,9000-9010`.
pub fn list(ports: &[PortRange]) -> String {
    let written = ports.iter().map(|range| match range.len() {
        1 => range.first().to_string(),
        _ => range.to_string(),
    });
    written.collect::<Vec<_>>().join(",")
}

/// Returns the command that reserves exactly these ports.
pub fn set_to(ports: &[PortRange]) -> String {
    match list(ports) {
        list if list.is_empty() => "echo > /proc/sys/net/ipv4/ip_local_reserved_ports".to_owned(),
        list if list.len() > PAGE => {
            format!("echo {list} > /proc/sys/net/ipv4/ip_local_reserved_ports")
        }
        list => format!("sysctl -w {SYSCTL}={list}"),
    }
}

/// Returns whether sysctl(8) would truncate the list of `command` without an error. `command` must
/// be from `set_to`.
pub fn is_too_long(command: &str) -> bool {
    command.starts_with("echo ") && command.len() > PAGE
}

/// Returns the line for a file in /etc/sysctl.d. None: no line has this effect, because the list is
/// empty or too long.
pub fn sysctl_line(ports: &[PortRange]) -> Option<String> {
    let list = list(ports);
    (1..=PAGE).contains(&list.len()).then(|| format!("{SYSCTL} = {list}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_sysctl_d_holds_neither_an_empty_nor_a_long_list() {
        let ports = |count: u16| -> Vec<PortRange> {
            let each = (0..count).map(|i| 20_000 + 2 * i);
            each.map(|port| PortRange::new(port, port).unwrap()).collect()
        };
        let expected = "net.ipv4.ip_local_reserved_ports = 20000,20002";
        assert_eq!(sysctl_line(&ports(2)).as_deref(), Some(expected));
        // 5 digits and a comma: 682 ports are 4,091 bytes, 683 are 4,097.
        assert!(sysctl_line(&ports(682)).is_some());
        assert_eq!((sysctl_line(&ports(683)), sysctl_line(&[])), (None, None));
    }
}
