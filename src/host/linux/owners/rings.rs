//! Finds sockets in the fixed files of io_uring, from /proc/PID/fdinfo. Does not find rings that
//! only a memory mapping keeps open.

use rustix::fd::OwnedFd;

use super::table::{Found, Path, open_file, socket_inode};

/// Maximum number of bytes read from a file: about 50,000 entries of about 20 bytes. The entries
/// after them are ignored; the kernel allows 1,048,576 fixed files (`IORING_MAX_FIXED_FILES`).
const MAX_READ: usize = 1 << 20;

/// Adds the sockets of the rings in `found`. Skips files that cannot be read.
pub(super) fn read(proc: &OwnedFd, found: &mut Found) {
    let mut text = Vec::new();
    let rings = std::mem::take(&mut found.rings);
    for &ring in &rings {
        text.clear();
        if read_all(proc, Path::of_fdinfo(ring).as_c_str(), &mut text).is_ok() {
            found.pairs.extend(sockets(&text).map(|inode| (inode, ring.pid)));
        }
    }
    found.rings = rings;
}

fn read_all(proc: &OwnedFd, path: &std::ffi::CStr, text: &mut Vec<u8>) -> rustix::io::Result<()> {
    let file = open_file(proc, path)?;
    let mut chunk = vec![0; 1 << 16];
    while text.len() < MAX_READ {
        match rustix::io::read(&file, &mut chunk)? {
            0 => break,
            length => text.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(())
}

/// Returns the inodes in lines such as `    0: socket:[28782]`, which follow `UserFiles: 2`
/// (io_uring/fdinfo.c).
fn sockets(fdinfo: &[u8]) -> impl Iterator<Item = u32> {
    fdinfo.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        socket_inode(line.get(colon + 1..)?.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_uring_fixed_files_that_are_sockets_have_an_inode() {
        let text =
            b"pos:\t0\nSqMask:\t0x3\nUserFiles:\t3\n    0: socket:[28782]\n    1: <none>\n    \
                     2: /tmp/socket:[7]\nUserBufs:\t0\n";
        assert_eq!(sockets(text).collect::<Vec<_>>(), [28_782]);
    }
}
