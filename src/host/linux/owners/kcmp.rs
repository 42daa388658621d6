//! Calls kcmp(2) to find out whether two threads share one descriptor table. rustix does not
//! provide this system call.

use std::io;

use crate::domain::Errno;

/// include/uapi/linux/kcmp.h.
const KCMP_FILES: libc::c_int = 2;

/// Returns whether two threads share one descriptor table. Takes about 1 µs, while reading a table
/// takes about 1 µs per descriptor.
///
/// Errors: EPERM without the right to trace both, ESRCH if one has ended, ENOSYS if the kernel does
/// not have the system call.
pub(super) fn share_descriptors(one: u32, other: u32) -> Result<bool, Errno> {
    let (one, other) = (one.cast_signed(), other.cast_signed());
    #[expect(unsafe_code, reason = "takes five numbers and touches no memory of ours")]
    let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, 0_usize, 0_usize) };
    match order {
        0 => Ok(true),
        // The tables differ. The value only orders the two by an obfuscated kernel address.
        1..=3 => Ok(false),
        _ => Err(io::Error::last_os_error().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_shares_its_own_descriptors_and_a_missing_one_fails_with_esrch() {
        let us = std::process::id();
        assert_eq!(share_descriptors(us, us), Ok(true));
        assert_eq!(share_descriptors(u32::MAX >> 1, us), Err(Errno::ESRCH));
    }
}
