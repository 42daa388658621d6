//! UDP ports that the kernel itself holds for a tunnel. Not which sockets those are in /proc.

use std::fmt;

use crate::domain::{Gap, Holder, Protocol, Snapshot, Socket, Text};

/// A tunnel interface over UDP that is up. Its socket belongs to the kernel: no process has a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    pub kind: TunnelKind,
    /// `vx0`
    pub device: Text,
    /// None: the interface does not report it (WireGuard).
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

    /// As `ip link` and JSON name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Bareudp => "bareudp",
            Self::Wireguard => "wireguard",
        }
    }
}

/// In sentences.
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

/// `VXLAN tunnel vx0`; `probably WireGuard tunnel wg0` where the interface does not report its port.
impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let probably = if self.port.is_none() { "probably " } else { "" };
        write!(f, "{probably}{} tunnel {}", self.kind, self.device)
    }
}

/// A UDP socket with an inode that no process showed: the kernel's, or one that we may not see.
pub fn is_candidate(socket: &Socket) -> bool {
    socket.protocol == Protocol::Udp
        && socket.inode.is_some()
        && matches!(socket.holder, Holder::Nobody | Holder::Hidden)
}

impl Snapshot {
    /// The tunnels whose port this is: those of one kind may share a socket.
    pub fn tunnels(&self, socket: &Socket) -> Vec<&Tunnel> {
        if socket.protocol != Protocol::Udp || socket.holder != Holder::Kernel {
            return Vec::new();
        }
        let tunnels = &self.vitals.tunnels;
        let found: Vec<&Tunnel> = by_port(tunnels, socket.local.port).collect();
        if found.is_empty() { only_silent(tunnels).into_iter().collect() } else { found }
    }

    /// As `tunnels`, for one line; None: not a tunnel's.
    pub fn tunnel_names(&self, socket: &Socket) -> Option<String> {
        let names: Vec<String> = self.tunnels(socket).iter().map(ToString::to_string).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Gives the sockets of these tunnels to the kernel, which is why no process shows them.
    ///
    /// Owners are attributed already. A tunnel that does not report its port may have any socket
    /// that is known to have no process, but none that a process may hold which we may not see.
    pub fn name_tunnels(&mut self, tunnels: Vec<Tunnel>) {
        let mut hidden = 0;
        for socket in self.sockets.iter_mut().filter(|socket| is_candidate(socket)) {
            let has_port = by_port(&tunnels, socket.local.port).next().is_some();
            let is_hidden = socket.holder == Holder::Hidden;
            if has_port || !is_hidden && only_silent(&tunnels).is_some() {
                hidden += u32::from(is_hidden);
                socket.holder = Holder::Kernel;
            }
        }
        self.vitals.tunnels = tunnels;
        if hidden > 0 {
            self.forget_hidden(hidden);
        }
    }

    /// So many sockets are no longer among those whose owner we may not see.
    fn forget_hidden(&mut self, fewer: u32) {
        for gap in &mut self.gaps {
            if let Gap::OwnersHidden { sockets, .. } | Gap::OwnersInvisible { sockets } = gap {
                *sockets = sockets.saturating_sub(fewer);
            }
        }
        self.gaps.retain(|gap| {
            !matches!(
                gap,
                Gap::OwnersHidden { sockets: 0, .. } | Gap::OwnersInvisible { sockets: 0 }
            )
        });
    }
}

fn by_port(tunnels: &[Tunnel], port: u16) -> impl Iterator<Item = &Tunnel> {
    tunnels.iter().filter(move |tunnel| tunnel.port == Some(port))
}

/// The one that does not report its port, if it is the only one.
fn only_silent(tunnels: &[Tunnel]) -> Option<&Tunnel> {
    let mut silent = tunnels.iter().filter(|tunnel| tunnel.port.is_none());
    silent.next().filter(|_| silent.next().is_none())
}
