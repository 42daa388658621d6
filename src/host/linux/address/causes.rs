//! Explains why the kernel refuses an address. Binds nothing.

use std::net::{IpAddr, Ipv6Addr};

use crate::{
    domain::{
        AddressRefusal, Errno, Protocol, Text, availability::BindAddress, local_address,
        socket::canonical,
    },
    host::linux::{
        address::{configured, interface_names},
        first_of,
    },
};

/// Maximum number of interfaces named in an error.
const MAX_NAMED: usize = 6;

pub fn no_interface(name: &str) -> AddressRefusal {
    let cause = format!("there is no interface {}{}", Text::scrub(name), existing());
    AddressRefusal::new(Errno::ENODEV, cause)
}

fn existing() -> String {
    first_of("; interfaces here: ", &configured::interfaces(), MAX_NAMED)
}

/// Explains an error of bind(). None: the errno does not concern the address.
pub fn explain(errno: Errno, protocol: Protocol, address: BindAddress) -> Option<String> {
    match errno {
        Errno::EAFNOSUPPORT if address.ip().is_ipv6() => {
            Some("no IPv6: not in this kernel, ipv6.disable=1, or denied by seccomp".to_owned())
        }
        Errno::EAFNOSUPPORT => Some("no IPv4: not in this kernel, or denied by seccomp".to_owned()),
        Errno::EADDRNOTAVAIL => Some(match canonical(address.ip()) {
            IpAddr::V4(_) => not_local(address.ip()),
            IpAddr::V6(wanted) => not_available6(wanted, address),
        }),
        Errno::ENODEV => match address {
            BindAddress::Scoped { interface, .. } => {
                Some(format!("there is no interface with index {interface}{}", existing()))
            }
            _ => Some(format!("the interface of {} is gone", address.ip())),
        },
        Errno::EINVAL => Some(invalid(protocol, address)),
        Errno::EACCES | Errno::EPERM => Some(format!(
            "a policy (cgroup BPF program, Landlock, seccomp or security module) refuses bind() to \
             port 0 on {}",
            address_words(address)
        )),
        _ => None,
    }
}

fn address_words(address: BindAddress) -> String {
    match address {
        BindAddress::AnyDual => "all addresses".to_owned(),
        address => address.ip().to_string(),
    }
}

fn invalid(protocol: Protocol, address: BindAddress) -> String {
    let ip = address.ip();
    if protocol == Protocol::Tcp && ip.is_multicast() {
        return format!("{ip} is a multicast address, which TCP cannot bind");
    }
    if !local_address::takes_interface(ip) || matches!(address, BindAddress::Scoped { .. }) {
        return format!("the kernel does not accept {ip} for bind()");
    }
    let has_it = configured::addresses6().into_iter().filter(|known| ip == known.address);
    let named: Vec<String> = has_it.map(|known| format!("{ip}%{}", known.interface)).collect();
    let example = if named.is_empty() { format!("{ip}%eth0") } else { named.join(" or ") };
    format!("{ip} is link-local: add its interface, as in {example}")
}

fn not_local(address: IpAddr) -> String {
    let known = configured::list(", which has ", canonical(address));
    format!("{address} is not an address of this machine{known}")
}

/// Returns the first cause that applies: the address is not ready, IPv6 is disabled, or the
/// interface (if none is required: every interface) does not have the address.
fn not_available6(wanted: Ipv6Addr, address: BindAddress) -> String {
    let interface = interface_of(address);
    let known = configured::addresses6();
    let is_configured = |name: &str| {
        known.iter().find(|one| one.address == wanted && one.interface.as_str() == name)
    };
    let anywhere = known.iter().find(|one| one.address == wanted);
    let found = interface.as_ref().map_or(anywhere, |name| is_configured(name.as_str()));
    if let Some(found) = found {
        return not_ready(wanted, found);
    }
    if let Some(words) = disabled(interface.as_ref(), known.is_empty()) {
        return words;
    }
    match (interface, anywhere) {
        (Some(name), _) if wanted.is_loopback() => {
            format!("{name} has no {wanted}: the interface is down, or the address was removed")
        }
        (Some(name), Some(other)) => {
            format!("{name} has no address {wanted}, but {} has it", other.interface)
        }
        (Some(name), None) => format!("{name} has no address {wanted}"),
        (None, _) => not_local(wanted.into()),
    }
}

/// Returns the interface that must have the address. None: any interface may have it, or the
/// interface no longer exists.
fn interface_of(address: BindAddress) -> Option<Text> {
    match address {
        BindAddress::Scoped { interface, .. } => {
            interface_names([interface]).into_iter().next().map(|(_, name)| name)
        }
        address if address.ip().is_loopback() => Some(Text::scrub("lo")),
        _ => None,
    }
}

fn not_ready(wanted: Ipv6Addr, found: &configured::Address6) -> String {
    let interface = &found.interface;
    if found.is_duplicate() {
        format!(
            "{wanted} on {interface} is in use by another machine (duplicate address detection failed)"
        )
    } else if found.is_tentative() {
        format!("{wanted} on {interface} is tentative: duplicate address detection still runs")
    } else {
        format!("{wanted} on {interface} cannot be bound")
    }
}

/// Returns a text if IPv6 is disabled; None: it is not, or that is unknown. The setting of the
/// interface decides, because writing `all` changes the setting of each interface. Without an
/// interface, IPv6 counts as disabled if `all` is set and there is no IPv6 address.
fn disabled(interface: Option<&Text>, has_no_address: bool) -> Option<String> {
    let is_ipv6_off = |name: &str| configured::is_ipv6_disabled(name) == Some(true);
    let is_all_off = is_ipv6_off("all");
    let name = interface.map(Text::as_str);
    if !name.map_or(is_all_off && has_no_address, is_ipv6_off) {
        return None;
    }
    Some(match name.filter(|_| !is_all_off) {
        Some(name) => format!("IPv6 is disabled on {name}: net.ipv6.conf.{name}.disable_ipv6 = 1"),
        None => "IPv6 is disabled here: net.ipv6.conf.all.disable_ipv6 = 1".to_owned(),
    })
}
