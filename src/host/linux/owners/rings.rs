//! Finds sockets in the fixed files of io_uring, from /proc/PID/fdinfo. Does not find rings that
//! only a memory mapping keeps open.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
};

use rustix::{fd::OwnedFd, io::Errno};

use super::table::{Found, Path, Ring, open_file, socket_inode};

/// Adds the sockets of the rings in `found`. Errors: a ring cannot be read, although it exists.
pub(super) fn read(proc: &OwnedFd, found: &mut Found) -> rustix::io::Result<()> {
    for ring in std::mem::take(&mut found.rings) {
        match read_one(proc, ring, &mut found.pairs) {
            Ok(()) | Err(Errno::NOENT | Errno::SRCH) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn read_one(proc: &OwnedFd, ring: Ring, pairs: &mut Vec<(u32, u32)>) -> rustix::io::Result<()> {
    let file = File::from(open_file(proc, Path::of_fdinfo(ring).as_c_str())?);
    for line in BufReader::with_capacity(1 << 16, file).split(b'\n') {
        let line = line.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        pairs.extend(socket(&line).map(|inode| (inode, ring.pid)));
    }
    Ok(())
}

/// Returns the inode in a line such as `    0: socket:[28782]`; such lines follow `UserFiles: 2`
/// (io_uring/fdinfo.c). None: the line names no socket.
fn socket(line: &[u8]) -> Option<u32> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    socket_inode(line.get(colon + 1..)?.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_uring_fixed_files_that_are_sockets_have_an_inode() {
        let text =
            b"pos:\t0\nSqMask:\t0x3\nUserFiles:\t3\n    0: socket:[28782]\n    1: <none>\n    \
                     2: /tmp/socket:[7]\nUserBufs:\t0\n";
        let inodes = text.split(|&byte| byte == b'\n').filter_map(socket);
        assert_eq!(inodes.collect::<Vec<_>>(), [28_782]);
    }
}
