//! How many descriptors this process may still open.

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

/// Errors: fewer than `count` more can be opened now.
pub fn check_left(count: u32) -> Result<(), Errno> {
    let opened = (0..count).map(|_| eventfd(0, EventfdFlags::CLOEXEC));
    opened.collect::<Result<Vec<_>, _>>().map(drop)
}
