//! Names of the interfaces that sockets are bound to. Does not query the machine.

use std::fmt;

use crate::domain::{Destination, Endpoint, Socket, Text};

/// Names by index, for the interfaces that sockets of a snapshot are bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Ascending by index.
    names: Vec<(u32, Text)>,
}

impl Interfaces {
    pub fn name(&self, index: u32) -> Option<&Text> {
        let position = self.names.binary_search_by_key(&index, |&(index, _)| index).ok()?;
        Some(&self.names[position].1)
    }

    pub fn index(&self, name: &str) -> Option<u32> {
        self.names.iter().find(|(_, known)| known.as_str() == name).map(|&(index, _)| index)
    }

    /// Returns the name, such as `eth0`, or the index if the name is unknown.
    pub fn label(&self, index: u32) -> InterfaceLabel<'_> {
        InterfaceLabel { index, name: self.name(index) }
    }

    /// Returns the local endpoint as ss(8) shows it: `[fe80::1%eth0]:8080`, `0.0.0.0%lo:53`.
    pub fn local<'a>(&'a self, socket: &Socket) -> impl fmt::Display + use<'a> {
        let Endpoint { address, port } = socket.local;
        let interface = socket.interface.map(|index| self.label(index));
        fmt::from_fn(move |f| match interface {
            None => fmt::Display::fmt(&Endpoint { address, port }, f),
            Some(interface) if address.is_ipv6() => write!(f, "[{address}%{interface}]:{port}"),
            Some(interface) => write!(f, "{address}%{interface}:{port}"),
        })
    }

    /// Returns `10.0.0.7 → 10.0.3.17:443`, followed by the interface if the sockets are bound to
    /// one.
    pub fn route(&self, destination: &Destination) -> String {
        let Destination { source, remote, interface } = destination;
        match interface {
            Some(index) => {
                format!("{source} → {remote} (sockets bound to {})", self.label(*index))
            }
            None => format!("{source} → {remote}"),
        }
    }
}

impl FromIterator<(u32, Text)> for Interfaces {
    fn from_iter<I: IntoIterator<Item = (u32, Text)>>(names: I) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable_by_key(|&(index, _)| index);
        Self { names }
    }
}

/// An interface, displayed by name or, if the name is unknown, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceLabel<'a> {
    index: u32,
    name: Option<&'a Text>,
}

impl fmt::Display for InterfaceLabel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => name.fmt(f),
            None => self.index.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::domain::{Protocol, State};

    #[test]
    fn a_bound_interface_follows_the_address() {
        let interfaces: Interfaces =
            [(3, Text::scrub("v1")), (2, Text::scrub("v0"))].into_iter().collect();
        let shown = |at: &str, index: Option<u32>| {
            let at: SocketAddr = at.parse().unwrap();
            let local = Endpoint { address: at.ip(), port: at.port() };
            let socket = Socket::new(Protocol::Tcp, State::Listen, local);
            interfaces.local(&Socket { interface: index, ..socket }).to_string()
        };
        assert_eq!(shown("[fe80::1]:80", Some(2)), "[fe80::1%v0]:80");
        assert_eq!(shown("[fe80::1]:80", Some(9)), "[fe80::1%9]:80");
        assert_eq!(shown("0.0.0.0:80", Some(3)), "0.0.0.0%v1:80");
        assert_eq!(shown("[::1]:80", None), "[::1]:80");
        assert_eq!((interfaces.index("v1"), interfaces.index("v2")), (Some(3), None));
    }
}
