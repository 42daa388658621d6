//! Identifies the examined machine and network namespace. Does not list sockets.

use std::{fs, os::unix::fs::MetadataExt, sync::Arc};

use crate::{
    domain::{Machine, MachineKind, Text, Users},
    host::linux::netns,
};

/// Inode number of the initial network namespace since Linux 6.18 (`PROC_NET_INIT_INO`). Used if
/// /proc/1/ns/net cannot be read.
const FIRST_NAMESPACE: u64 = 4_026_531_833;

/// Interfaces that the kernel itself adds to a namespace: loopback, and the fallback devices of the
/// tunnel modules (unless `net.core.fb_tunnels_only_for_init_net` is set).
const DEFAULT_INTERFACES: [&[u8]; 10] = [
    b"lo",
    b"tunl0",
    b"sit0",
    b"gre0",
    b"gretap0",
    b"erspan0",
    b"ip_vti0",
    b"ip6_vti0",
    b"ip6tnl0",
    b"ip6gre0",
];

/// Returns the machine as the calling thread sees it.
pub fn read(users: Users) -> Machine {
    let system = rustix::system::uname();
    let namespace = namespace_of("thread-self");
    let [name, kernel] =
        [system.nodename(), system.release()].map(|text| Text::scrub(text.to_bytes()));
    Machine {
        network_namespace: namespace,
        namespace_label: label(namespace),
        is_isolated: is_isolated(namespace),
        users: Arc::new(users),
        ..Machine::new(MachineKind::Live, name, kernel)
    }
}

fn namespace_of(process: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{process}/ns/net")).ok().map(|link| link.ino())
}

/// Returns the name of the namespace in /run/netns, or its number. None: it is that of process 1, or
/// unknown.
fn label(namespace: Option<u64>) -> Option<Text> {
    let id = namespace.filter(|&id| id != first_namespace())?;
    Some(netns::registered_name(id).unwrap_or_else(|| Text::scrub(id.to_string())))
}

fn first_namespace() -> u64 {
    namespace_of("1").unwrap_or(FIRST_NAMESPACE)
}

/// Returns whether the namespace has no connection to the outside, so that binding ports in it
/// affects nothing else. False if that is unknown.
fn is_isolated(namespace: Option<u64>) -> bool {
    namespace.is_some_and(|ours| ours != first_namespace())
        && fs::read("/proc/thread-self/net/dev").is_ok_and(|table| has_no_way_out(&table))
}

/// Parses `/proc/net/dev`: two header lines, then `NAME: counters`.
fn has_no_way_out(table: &[u8]) -> bool {
    let lines = table.split(|&byte| byte == b'\n').skip(2).filter(|line| !line.is_empty());
    let mut names = lines.map(|line| {
        let end = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        line[..end].trim_ascii()
    });
    names.all(|name| DEFAULT_INTERFACES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "Inter-|   Receive  |  Transmit\n face |bytes    packets|bytes\n";

    #[test]
    fn loopback_and_fallback_tunnels_are_no_way_out() {
        let table = format!("{HEADING}    lo:    3193 29\n tunl0: 0 0\nip6tnl0:       0 0\n");
        assert!(has_no_way_out(table.as_bytes()));
    }

    #[test]
    fn any_other_interface_is_a_way_out() {
        for name in ["eth0", "lo0", "lo.1", "sit1", "veth9f", "wg0"] {
            let table = format!("{HEADING}    lo: 1 2\n  {name}: 3 4\n");
            assert!(!has_no_way_out(table.as_bytes()), "{name}");
        }
    }
}
