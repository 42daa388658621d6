//! UDP ports that the kernel holds for tunnels. Does not read the interfaces.

use std::fmt;

use crate::domain::{Holder, Protocol, Snapshot, Socket, Text};

/// A UDP tunnel interface that is up. Its socket belongs to the kernel: no process has a
/// descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    pub kind: TunnelKind,
    /// Name of the interface: `vx0`.
    pub device: Text,
    /// The local UDP port. None: the interface does not report it (WireGuard).
    pub port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    Vxlan,
    Geneve,
    Bareudp,
    Wireguard,
}

impl TunnelKind {
    pub const EACH: [Self; 4] = [Self::Vxlan, Self::Geneve, Self::Bareudp, Self::Wireguard];

    /// Returns the name in `ip link` and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Bareudp => "bareudp",
            Self::Wireguard => "wireguard",
        }
    }
}

/// Prints the name used in sentences.
impl fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vxlan => "VXLAN",
            Self::Geneve => "GENEVE",
            Self::Bareudp => "bareudp",
            Self::Wireguard => "WireGuard",
        })
    }
}

/// Prints `VXLAN tunnel vx0`, or `probably WireGuard tunnel wg0` if the interface does not report
/// its port.
impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let probably = if self.port.is_none() { "probably " } else { "" };
        write!(f, "{probably}{} tunnel {}", self.kind, self.device)
    }
}

/// Returns whether a tunnel may own the socket: it is a UDP socket with an inode, and no visible
/// process holds it.
pub fn is_candidate(socket: &Socket) -> bool {
    socket.protocol == Protocol::Udp
        && socket.inode.is_some()
        && matches!(socket.holder, Holder::Nobody | Holder::Hidden)
}

impl Snapshot {
    /// Returns the tunnels that may use this kernel socket: those on the socket's port. If there
    /// are none, returns the tunnel that does not report its port, if there is exactly one. Tunnels
    /// of one kind may share a socket.
    pub fn tunnels(&self, socket: &Socket) -> Vec<&Tunnel> {
        if socket.protocol != Protocol::Udp || socket.holder != Holder::Kernel {
            return Vec::new();
        }
        let tunnels = &self.vitals.tunnels;
        let found: Vec<&Tunnel> = by_port(tunnels, socket.local.port).collect();
        if found.is_empty() { only_silent(tunnels).into_iter().collect() } else { found }
    }

    /// Returns the names of `tunnels`, separated by commas. None: no tunnel may use the socket.
    pub fn tunnel_names(&self, socket: &Socket) -> Option<String> {
        let names: Vec<String> = self.tunnels(socket).iter().map(ToString::to_string).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Stores the tunnels and sets the kernel as the holder of their sockets, which no process
    /// holds.
    ///
    /// Must run after `attribute`. A tunnel that does not report its port may own the sockets of a
    /// port that are known to have no process, but not one that a hidden process may hold. If there
    /// are several such tunnels or several such ports, none of them gets a socket: a tunnel has one
    /// port.
    pub fn name_tunnels(&mut self, tunnels: Vec<Tunnel>) {
        let mut any_hidden = false;
        let silent_port = self.only_ownerless(&tunnels).filter(|_| only_silent(&tunnels).is_some());
        for socket in self.sockets.iter_mut().filter(|socket| is_candidate(socket)) {
            let has_port = by_port(&tunnels, socket.local.port).next().is_some();
            let is_hidden = socket.holder == Holder::Hidden;
            if has_port || !is_hidden && silent_port == Some(socket.local.port) {
                any_hidden |= is_hidden;
                socket.holder = Holder::Kernel;
            }
        }
        self.vitals.tunnels = tunnels;
        if any_hidden {
            self.recount_hidden_owners();
        }
    }

    /// Returns the port of the UDP sockets that no process holds and that are on the port of no
    /// tunnel. None: there are none, or they have several ports.
    fn only_ownerless(&self, tunnels: &[Tunnel]) -> Option<u16> {
        let sockets = self.sockets.iter().filter(|socket| is_candidate(socket));
        let sockets = sockets.filter(|socket| socket.holder == Holder::Nobody);
        let mut ports = sockets
            .map(|socket| socket.local.port)
            .filter(|&port| by_port(tunnels, port).next().is_none());
        let first = ports.next()?;
        ports.all(|port| port == first).then_some(first)
    }
}

fn by_port(tunnels: &[Tunnel], port: u16) -> impl Iterator<Item = &Tunnel> {
    tunnels.iter().filter(move |tunnel| tunnel.port == Some(port))
}

/// Returns the tunnel that does not report its port, if there is exactly one.
fn only_silent(tunnels: &[Tunnel]) -> Option<&Tunnel> {
    let mut silent = tunnels.iter().filter(|tunnel| tunnel.port.is_none());
    silent.next().filter(|_| silent.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use super::*;
    use crate::domain::{
        Gap, Machine, MachineKind, ProcessTable, Source, State, availability::frees_when,
    };

    fn socket(port: u16, holder: Holder) -> Socket {
        let local = (Ipv4Addr::UNSPECIFIED, port).into();
        let inode = Some(u32::from(port));
        let socket = Socket::new(Protocol::Udp, State::Unconnected, local);
        Socket { inode, uid: Some(0), holder, ..socket }
    }

    fn snapshot(sockets: &[Socket], tunnels: &[(TunnelKind, &str, Option<u16>)]) -> Snapshot {
        let machine = Machine::new(MachineKind::Simulated, Text::scrub("m"), Text::scrub("k"));
        let mut snapshot = Snapshot::empty(Arc::new(machine), Source::Simulated);
        snapshot.sockets.extend_from_slice(sockets);
        let hidden = sockets.iter().filter(|socket| socket.holder == Holder::Hidden).count() as u32;
        if hidden > 0 {
            snapshot.gaps.push(Gap::OwnersHidden { sockets: hidden, processes: 1 });
        }
        let tunnels = tunnels.iter().map(|&(kind, device, port)| {
            let device = Text::scrub(device);
            Tunnel { kind, device, port }
        });
        snapshot.name_tunnels(tunnels.collect());
        snapshot
    }

    fn names(snapshot: &Snapshot) -> Vec<Option<String>> {
        snapshot.sockets.iter().map(|socket| snapshot.tunnel_names(socket)).collect()
    }

    #[test]
    fn a_tunnel_without_port_attribute_is_reported_as_probable_for_an_ownerless_socket() {
        let sockets = [Holder::Nobody, Holder::Hidden].map(|holder| socket(51_820, holder));
        let wireguard = (TunnelKind::Wireguard, "wg0", None);
        let snapshot = snapshot(&sockets, &[wireguard]);
        let probable = "probably WireGuard tunnel wg0".to_owned();
        assert_eq!(names(&snapshot), [Some(probable), None]);
        assert_eq!(snapshot.gaps, [Gap::OwnersHidden { sockets: 1, processes: 1 }]);
    }

    #[test]
    fn a_tunnel_without_port_attribute_is_not_named_for_several_ports() {
        let wireguard = (TunnelKind::Wireguard, "wg0", None);
        let vxlan = (TunnelKind::Vxlan, "vx0", Some(4789));
        let [known, one, other] = [4789, 51_820, 40_000].map(|port| socket(port, Holder::Nobody));
        let ambiguous = snapshot(&[known, one, other], &[wireguard, vxlan]);
        assert_eq!(names(&ambiguous), [Some("VXLAN tunnel vx0".to_owned()), None, None]);

        let single = snapshot(&[known, one, one], &[wireguard, vxlan]);
        let probable = Some("probably WireGuard tunnel wg0".to_owned());
        assert_eq!(names(&single)[1..], [probable.clone(), probable]);
        let words = frees_when(&single, &ProcessTable::default(), Protocol::Udp, 51_820).unwrap();
        assert!(words.contains("`ip link set wg0 down` may free it"), "{words}");
        assert!(!words.contains("No process can free it"), "{words}");
    }

    #[test]
    fn two_tunnels_without_port_attribute_are_not_named() {
        let tunnels = ["wg0", "wg1"].map(|device| (TunnelKind::Wireguard, device, None));
        let snapshot = snapshot(&[socket(51_820, Holder::Nobody)], &tunnels);
        assert_eq!(names(&snapshot), [None]);
        assert_eq!(snapshot.sockets[0].holder, Holder::Nobody);
    }

    #[test]
    fn a_hidden_socket_on_the_port_of_a_tunnel_is_the_kernels_and_not_missing() {
        let sockets = [socket(6081, Holder::Hidden), socket(6082, Holder::NotAsked)];
        let snapshot = snapshot(&sockets, &[(TunnelKind::Geneve, "g0", Some(6081))]);
        assert_eq!(names(&snapshot), [Some("GENEVE tunnel g0".to_owned()), None]);
        assert_eq!(snapshot.gaps, []);
        let words = frees_when(&snapshot, &ProcessTable::default(), Protocol::Udp, 6081).unwrap();
        assert!(words.contains("`ip link set g0 down` frees it"), "{words}");
    }
}
