//! Checks whether /proc shows the processes of the whole machine, or only those of one pid
//! namespace.

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, statat},
    io::Errno,
};

use super::table::open_file;

/// Inode of the initial pid namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h), the same on
/// Linux 3.8 to 7.3.
const INITIAL_NAMESPACE_INODE: u64 = 0xEFFF_FFFC;

/// Returns whether there may be processes that this mount of /proc does not show; true if that is
/// unknown.
///
/// A mount shows the processes of the pid namespace in which it was made, and of that namespace's
/// descendants. This namespace can differ from the one of this process. Only a mount made in the
/// initial namespace shows all processes.
pub fn hides_processes(proc: &OwnedFd) -> bool {
    match statat(proc, c"self/ns/pid", AtFlags::empty()) {
        // This process is in the initial namespace, and the mount shows it. So the mount was made
        // in the initial namespace.
        Ok(stat) if stat.st_ino == INITIAL_NAMESPACE_INODE => false,
        // The mount shows this process, so the kernel has no pid namespaces.
        Err(Errno::NOENT) if statat(proc, c"self", AtFlags::empty()).is_ok() => false,
        // The mount was made in this process's namespace, which is not the initial one.
        Ok(_) if depth(proc) == Some(1) => true,
        // The mount was made in an ancestor namespace. Its pid 1 is in the same namespace, and
        // shows which one it is, if the link is readable.
        Ok(_) => !statat(proc, c"1/ns/pid", AtFlags::empty())
            .is_ok_and(|s| s.st_ino == INITIAL_NAMESPACE_INODE),
        Err(_) => true,
    }
}

/// Returns the number of pid namespaces from that of the mount down to that of this process, both
/// included (`NSpid` of proc_pid_status(5)). None: it cannot be read.
fn depth(proc: &OwnedFd) -> Option<usize> {
    let file = open_file(proc, c"self/status").ok()?;
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
    fn pid_namespace_depth_counts_from_that_of_proc() {
        assert_eq!(depth_in("Name:\tx\nNSpid:\t812\nNSpgid:\t1\t2\n"), Some(1));
        assert_eq!(depth_in("NSpid:\t812\t7\t1\n"), Some(3));
        assert_eq!(depth_in("Name:\tx\n"), None);
    }
}
