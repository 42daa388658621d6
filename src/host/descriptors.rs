//! The limit of descriptors of this process: raises it, and checks what is left.

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Raises the soft limit to the hard limit, and returns the limit then in effect. None: there is no
/// limit.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    // Fails if the hard limit is over fs.nr_open; then the soft limit stays.
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Checks that `count` more descriptors can be opened now. Errors: fewer can be opened.
pub fn check_left(count: u32) -> Result<(), Errno> {
    let opened = (0..count).map(|_| eventfd(0, EventfdFlags::CLOEXEC));
    opened.collect::<Result<Vec<_>, _>>().map(drop)
}
