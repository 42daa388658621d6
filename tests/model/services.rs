//! Names of services: those of IANA's registry, and those of this machine's own list.

use std::time::Duration;

use portscope::domain::{Protocol, ServiceNames};
use rustix::time::{ClockId, clock_gettime};

#[test]
fn well_known_ports_have_their_usual_names() {
    let names = ServiceNames::default();
    for (protocol, port, name) in [
        (Protocol::Tcp, 22, "ssh"),
        (Protocol::Tcp, 25, "smtp"),
        (Protocol::Udp, 53, "domain"),
        (Protocol::Tcp, 80, "http"),
        (Protocol::Udp, 123, "ntp"),
        (Protocol::Tcp, 443, "https"),
        (Protocol::Udp, 443, "https"),
        (Protocol::Tcp, 631, "ipp"),
        (Protocol::Tcp, 2049, "nfs"),
        (Protocol::Tcp, 3306, "mysql"),
        (Protocol::Tcp, 5432, "postgresql"),
        (Protocol::Udp, 5353, "mdns"),
        (Protocol::Tcp, 6063, "x11"),
        (Protocol::Tcp, 6379, "redis"),
        (Protocol::Tcp, 8080, "http-alt"),
    ] {
        assert_eq!(names.name(protocol, port), Some(name), "{port}");
    }
}

#[test]
fn a_port_can_mean_another_service_over_udp_than_over_tcp() {
    let names = ServiceNames::default();
    assert_eq!(names.name(Protocol::Tcp, 514), Some("shell"));
    assert_eq!(names.name(Protocol::Udp, 514), Some("syslog"));
}

#[test]
fn dynamic_ports_have_no_registered_name() {
    let names = ServiceNames::default();
    for port in 49_152..=65_535 {
        assert_eq!(names.name(Protocol::Tcp, port), None, "{port}");
    }
    assert_eq!(names.name(Protocol::Udp, 0), None);
}

#[test]
fn the_registry_is_decoded_in_milliseconds() {
    let names = ServiceNames::default();
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let begin = used();
    assert!(names.name(Protocol::Tcp, 22).is_some());
    let first = used().saturating_sub(begin);
    // Generous, for a build without optimization; a release build takes less than a millisecond.
    assert!(first < Duration::from_millis(200), "{first:?}");
}

/// Compares the compressed registry with /etc/services.
#[cfg(target_os = "linux")]
#[test]
fn the_registry_agrees_with_etc_services() {
    use portscope::host::linux::services;

    let Ok(list) = std::fs::read("/etc/services") else {
        eprintln!("not tested here: no /etc/services");
        return;
    };
    let (own, registry) = (services::parse(&list), ServiceNames::default());
    let text = String::from_utf8_lossy(&list);
    let places = text.lines().filter_map(|line| line.split_whitespace().nth(1)?.split_once('/'));
    let (mut alike, mut all) = (0, 0);
    for (port, protocol) in places {
        let known = Protocol::EACH.into_iter().find(|known| known.name() == protocol);
        let (Some(protocol), Ok(port)) = (known, port.parse()) else { continue };
        all += 1;
        alike += u32::from(own.name(protocol, port) == registry.name(protocol, port));
    }
    assert!(alike * 10 >= all * 7, "{alike} of {all}");
}
