//! Sockets through NETLINK_SOCK_DIAG (sock_diag(7)). Not who holds them.

pub mod codec;
pub mod socket;

pub use codec::{ALL_STATES, BOUND_INACTIVE, CONNECTED, Flaw};
pub use socket::{Datagram, DiagSocket, Link, Netlink};
