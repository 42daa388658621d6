//! Strategy `kernel-bind`: bind to port 0, so that the machine chooses (ip(7), `ip_local_port_range`).
//!
//! Linux searches TCP from a random start, odd ports first, and UDP in a bitmap
//! (`inet_csk_find_open_port`, `udp_lib_get_port`); one bind() is one attempt, however long that
//! search. It fails only when no port is left.

use rand::Rng;

use crate::allocator::{Strategy, strategy::Surroundings};

pub struct KernelBind;

impl Strategy for KernelBind {
    fn next(&mut self, _: &Surroundings<'_>, _: &mut dyn Rng) -> Option<u16> {
        Some(0)
    }
}
