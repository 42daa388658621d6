//! The ephemeral policy, as reported by the kernel of a private namespace.

use std::fmt::Write as _;

use portscope::domain::{PortRange, port};

use super::{
    namespace::{in_new_namespace, set_sysctl},
    scan,
};

#[test]
fn a_new_namespace_has_the_kernels_defaults() {
    in_new_namespace(|| {
        let snapshot = scan();
        assert_eq!(snapshot.ephemeral.range, port::LINUX_DEFAULT);
        assert_eq!(snapshot.ephemeral.reserved(), []);
        assert_eq!(snapshot.ephemeral.unprivileged_start, 1024);
        assert_eq!(snapshot.ephemeral.tw_reuse, Some(2));
        assert_eq!(snapshot.gaps, []);
    });
}

#[test]
fn the_policy_is_read_in_the_namespace_of_the_thread() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40001 40008");
        set_sysctl("ip_local_reserved_ports", "40002-40003,50000");
        set_sysctl("ip_unprivileged_port_start", "80");
        set_sysctl("tcp_tw_reuse", "1");
        let ephemeral = scan().ephemeral;
        assert_eq!(ephemeral.range, PortRange::new(40_001, 40_008).unwrap());
        assert_eq!(ephemeral.automatic_capacity(), 6);
        assert!(ephemeral.is_reserved(50_000));
        assert_eq!((ephemeral.unprivileged_start, ephemeral.tw_reuse), (80, Some(1)));
    });
}

#[test]
fn a_range_of_one_port_is_a_range() {
    in_new_namespace(|| {
        set_sysctl("ip_local_port_range", "40001 40001");
        assert_eq!(scan().ephemeral.range.len(), 1);
    });
}

#[test]
fn reads_2000_scattered_reserved_ports() {
    in_new_namespace(|| {
        let ports: Vec<u16> = (0..2000).map(|n| 20_001 + n * 7).collect();
        let mut list = String::new();
        for port in &ports {
            write!(list, "{port},").unwrap();
        }
        assert!(list.len() > 512);
        set_sysctl("ip_local_reserved_ports", &list);
        let ephemeral = scan().ephemeral;
        assert_eq!(ephemeral.reserved().len(), 2000);
        assert!(ports.iter().all(|&port| ephemeral.is_reserved(port)));
        assert!(!ephemeral.is_reserved(20_002));
    });
}
