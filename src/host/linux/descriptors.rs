//! Checks how many descriptors this process may still open.

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

/// Checks that `count` more descriptors can be opened now. Errors: fewer can be opened.
pub fn check_left(count: u32) -> Result<(), Errno> {
    let opened = (0..count).map(|_| eventfd(0, EventfdFlags::CLOEXEC));
    opened.collect::<Result<Vec<_>, _>>().map(drop)
}
