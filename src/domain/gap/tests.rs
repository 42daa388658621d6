//! Tests the texts of gaps, and that no remedy for root is `run as root`.

use super::*;

fn line(gap: &Gap) -> String {
    gap.to_string()
}

#[test]
fn a_refusal_has_the_name_of_its_errno() {
    for (error, name) in [
        (Errno::EPERM, "EPERM"),
        (Errno::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (Errno::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (Errno::EMFILE, "EMFILE"),
        (Errno::ENOENT, "ENOENT"),
    ] {
        let refused = Gap::NetlinkRefused { error };
        assert!(refused.why().contains(&format!("({name})")), "{}", refused.why());
        let table = Gap::TableRefused { table: Table::Tcp, error };
        assert!(table.why().ends_with(&format!("({name})")), "{}", table.why());
    }
}

#[test]
fn the_remedy_depends_on_the_errno() {
    let remedy = |error| Gap::NetlinkRefused { error }.remedy();
    for error in [Errno::ENOENT, Errno::EOPNOTSUPP] {
        assert!(remedy(error).starts_with("modprobe -a tcp_diag udp_diag"), "{}", remedy(error));
    }
    for error in [Errno::EMFILE, Errno::ENFILE] {
        assert!(remedy(error).contains("ulimit -n"), "{}", remedy(error));
        let owners = Gap::OwnersUnreadable { sockets: 1, error };
        assert!(owners.remedy().contains("ulimit -n"), "{}", owners.remedy());
    }
    for error in [Errno::EPERM, Errno::EACCES, Errno::EPROTONOSUPPORT] {
        assert_eq!(remedy(error), "allow NETLINK_SOCK_DIAG");
    }
}

#[test]
fn a_failed_walk_without_hidden_sockets_counts_none() {
    let gap = Gap::OwnersUnreadable { sockets: 0, error: Errno::ENOENT };
    assert_eq!(
        line(&gap),
        "owners may be missing: /proc cannot be read (ENOENT) (mount /proc, without hidepid)"
    );
}

#[test]
fn no_remedy_for_root_suggests_to_run_as_root() {
    let (sockets, processes) = (1, 1);
    for missing_privilege in
        [MissingPrivilege::Capability, MissingPrivilege::UserNamespace, MissingPrivilege::Unknown]
    {
        let gap = Gap::OwnersRefused { sockets, processes, missing_privilege };
        assert!(!line(&gap).contains("run as root"), "{}", line(&gap));
    }
    let of_a_namespace = Gap::OwnersRefused {
        sockets,
        processes,
        missing_privilege: MissingPrivilege::UserNamespace,
    };
    assert_eq!(of_a_namespace.remedy(), "run in the host's user namespace");
    let error = Errno::EACCES;
    for gap in [
        Gap::OwnersInvisible { sockets },
        Gap::OwnersElsewhere { sockets },
        Gap::OwnersOfThreads { sockets, threads: 2, error: Some(error) },
        Gap::VitalsUnread { what: "x", path: "/proc/x", error },
    ] {
        assert!(!line(&gap).contains("run as root"), "{}", line(&gap));
    }
}

#[test]
fn unread_ports_are_counted_by_process() {
    let unread = |pid, sockets| UnreadPorts { pid, sockets };
    let all = [unread(9, 1), unread(812, 3), unread(900, 1), unread(901, 2), unread(902, 4)];
    let gap =
        |holders: &[UnreadPorts], error| Gap::PortsUnread { holders: holders.to_vec(), error };
    assert_eq!(
        gap(&all[..1], Some(Errno::EPERM)).why(),
        "the ports of 1 TCP socket of pid 9 are unknown: pidfd_getfd refused (EPERM)"
    );
    assert_eq!(
        gap(&all, None).why(),
        "the ports of 1 TCP socket of pid 9, 3 TCP sockets of pid 812, 1 TCP socket of pid 900, 6 \
         TCP sockets of 2 more processes are unknown: there are too many to read"
    );
    let ports = [4000, 40_001, 40_002, 40_003].into_iter().collect();
    assert_eq!(
        Gap::PortsInDoubt { ports }.why(),
        "ports 4000, 40001, 40002, 1 more had a connection that was refused or has ended: still \
         bound if given to bind(), free if the kernel chose them; this kernel does not show which"
    );
    assert_eq!(gap(&all, None).count(), Some(11));
    assert_eq!(gap(&all, None).what(), Gap::BOUND_INACTIVE);
}
