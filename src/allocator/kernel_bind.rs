//! Strategy `kernel-bind`: binds to port 0, so that the kernel chooses (ip(7),
//! `ip_local_port_range`).
//!
//! For TCP, Linux searches from a random start, first the ports of high parity, which differs from
//! that of the range's first port. For UDP, Linux searches a bitmap (`inet_csk_find_open_port`,
//! `udp_lib_get_port`). One bind() counts as one attempt, however many ports the kernel examines.
//! The attempt is refused with EADDRINUSE only if the kernel found no port. With UDP and TCP
//! together, the kernel chooses the UDP port, and the attempt is also refused if the same TCP port
//! is in use.

use rand::Rng;

use crate::allocator::{Strategy, strategy::StrategyContext};

pub struct KernelBind;

impl Strategy for KernelBind {
    fn next(&mut self, _: &StrategyContext<'_>, _: &mut dyn Rng) -> Option<u16> {
        Some(0)
    }
}
