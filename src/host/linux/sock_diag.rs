//! Lists sockets through NETLINK_SOCK_DIAG (sock_diag(7)). Does not find their owners.

pub mod codec;
pub mod socket;

pub use codec::{ALL_STATES, BOUND_INACTIVE, CONNECTED, DumpError};
pub use socket::{Datagram, DiagSocket, Link, Netlink};
