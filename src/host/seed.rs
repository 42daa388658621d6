//! Draws a seed for random choices from the kernel. Does not contain the generator.

use std::{
    fs::File,
    io::{self, Read as _},
};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::host::HostError;

/// Draws a random seed. Errors: the kernel gives no random bytes (getrandom(2) is denied, and there
/// is no /dev/urandom). In that case, the generators of the crate `rand` that seed themselves
/// panic.
pub fn draw() -> Result<u64, HostError> {
    let mut bytes = [0; 8];
    fill(&mut bytes)
        .map_err(|error| HostError::new("read random bytes for a seed (use --seed)", error))?;
    Ok(u64::from_ne_bytes(bytes))
}

fn fill(bytes: &mut [u8; 8]) -> io::Result<()> {
    // Blocks only at boot, until the kernel has collected enough entropy.
    match getrandom(&mut bytes[..], GetRandomFlags::empty()) {
        // 8 bytes are always returned in one call.
        Ok(length) if length == bytes.len() => Ok(()),
        _ => File::open("/dev/urandom")?.read_exact(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_differ() {
        assert_ne!(draw().unwrap(), draw().unwrap());
    }
}
