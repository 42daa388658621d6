//! Whether /proc shows the processes of the whole machine, or those of one pid namespace.

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Mode, OFlags, openat, statat},
    io::Errno,
};

/// The inode of the first pid namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h), the same on
/// Linux 3.8 to 7.3.
const FIRST: u64 = 0xEFFF_FFFC;

/// There may be processes that this mount of /proc does not show. Where that cannot be known, there
/// may be.
///
/// A mount shows the processes of the pid namespace that it was made in, and of those below; ours
/// may be another one. Only the first one shows all.
pub fn hides_processes(proc: &OwnedFd) -> bool {
    match statat(proc, c"self/ns/pid", AtFlags::empty()) {
        // We are in the first one, and it shows us: it is made in the first one.
        Ok(stat) if stat.st_ino == FIRST => false,
        // A kernel without pid namespaces, if it shows us at all.
        Err(Errno::NOENT) if statat(proc, c"self", AtFlags::empty()).is_ok() => false,
        // The namespace of the mount is ours.
        Ok(_) if depth(proc) == Some(1) => true,
        // It is one above ours: that of its first process, if we may see which one that is.
        Ok(_) => !statat(proc, c"1/ns/pid", AtFlags::empty()).is_ok_and(|s| s.st_ino == FIRST),
        Err(_) => true,
    }
}

/// Pid namespaces from that of the mount down to ours (`NSpid` of proc_pid_status(5)).
fn depth(proc: &OwnedFd) -> Option<usize> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(proc, c"self/status", flags, Mode::empty()).ok()?;
    let mut text = [0; 4096];
    let length = rustix::io::read(&file, &mut text).ok()?;
    depth_in(&String::from_utf8_lossy(&text[..length]))
}

fn depth_in(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(line.split_ascii_whitespace().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_is_counted_from_the_mount_of_proc() {
        assert_eq!(depth_in("Name:\tx\nNSpid:\t812\nNSpgid:\t1\t2\n"), Some(1));
        assert_eq!(depth_in("NSpid:\t812\t7\t1\n"), Some(3));
        assert_eq!(depth_in("Name:\tx\n"), None);
    }
}
