//! Calls kcmp(2) to find out whether two threads share one descriptor table. rustix does not
//! provide this system call.

use std::{
    ffi::{c_int, c_long, c_ulong},
    io,
};

use crate::domain::Errno;

/// include/uapi/linux/kcmp.h.
const KCMP_FILES: c_int = 2;

/// Number of the system call (the kernel's syscall*.tbl). None: unknown for this architecture.
const NUMBER: Option<c_long> = if cfg!(target_arch = "x86_64") {
    Some(312)
} else if cfg!(any(
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "riscv32",
    target_arch = "loongarch64"
)) {
    Some(272)
} else if cfg!(target_arch = "x86") {
    Some(349)
} else if cfg!(target_arch = "arm") {
    Some(378)
} else if cfg!(target_arch = "s390x") {
    Some(343)
} else if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64")) {
    Some(354)
} else {
    None
};

#[expect(
    unsafe_code,
    reason = "the signature is that of syscall(2), in the C library that std links"
)]
unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// Returns whether two threads share one descriptor table. Takes about 1 µs, while reading a table
/// takes about 1 µs per descriptor.
///
/// Errors: EPERM without the right to trace both, ESRCH if one has ended, ENOSYS if the kernel does
/// not have the system call, or if its number is unknown here.
pub(super) fn share_descriptors(one: u32, other: u32) -> Result<bool, Errno> {
    let number = NUMBER.ok_or(Errno::ENOSYS)?;
    let (one, other) = (one.cast_signed(), other.cast_signed());
    #[expect(unsafe_code, reason = "takes five numbers and touches no memory of ours")]
    let order = unsafe { syscall(number, one, other, KCMP_FILES, 0 as c_ulong, 0 as c_ulong) };
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
        let thread = std::thread::spawn(|| rustix::thread::gettid().as_raw_pid().cast_unsigned());
        // The thread may have ended; the main thread has not.
        assert_eq!(share_descriptors(us, us), Ok(true));
        let _ = thread.join();
        assert_eq!(share_descriptors(u32::MAX >> 1, us), Err(Errno::ESRCH));
    }
}
