//! Checks whether /proc hides the processes of other users. Does not identify these processes.

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, fstat, major, minor, statat},
    io::Errno,
    thread::CapabilitySet,
};

/// Returns whether /proc is mounted with `hidepid=invisible` or `hidepid=ptraceable` (proc(5)), and
/// this process is not exempt.
///
/// This process is exempt if it has CAP_SYS_PTRACE and also sees pid 1. If it does not see pid 1,
/// the capability is valid only inside its user namespace. The exemption by `gid=` is not checked.
/// It only makes other users' processes visible; their tables stay unreadable and are counted as
/// such.
pub fn hides_processes(proc: &OwnedFd) -> rustix::io::Result<bool> {
    let may_trace = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE));
    if may_trace && statat(proc, c"1", AtFlags::empty()).is_ok() {
        return Ok(false);
    }
    let device = fstat(proc)?.st_dev;
    let mounts = std::fs::read("/proc/self/mountinfo")
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(is_set(&mounts, &format!("{}:{}", major(device), minor(device))))
}

/// Returns whether a mount in proc_pid_mountinfo(5) of the file system `device` (`MAJOR:MINOR`) has
/// an option that hides processes.
fn is_set(mountinfo: &[u8], device: &str) -> bool {
    mountinfo.split(|&byte| byte == b'\n').any(|line| {
        let line = String::from_utf8_lossy(line);
        line.split(' ').nth(2) == Some(device)
            && line.rsplit(' ').next().is_some_and(|options| options.split(',').any(hides))
    })
}

/// Returns whether a mount option hides processes. `noaccess` (1) does not: it lists the processes,
/// but makes them unreadable.
fn hides(option: &str) -> bool {
    let value = option.strip_prefix("hidepid=");
    matches!(value, Some("2" | "invisible" | "4" | "ptraceable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(options: &str) -> Vec<u8> {
        format!(
            "21 27 0:20 / /sys rw - sysfs sysfs rw,hidepid=2\n\
             22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw{options}\n"
        )
        .into_bytes()
    }

    #[test]
    fn only_hidepid_invisible_and_ptraceable_hide_processes() {
        for (options, expected) in [
            ("", false),
            (",hidepid=0", false),
            (",hidepid=off", false),
            (",hidepid=1,gid=4", false),
            (",hidepid=noaccess", false),
            (",hidepid=2", true),
            (",gid=4,hidepid=invisible", true),
            (",hidepid=ptraceable,subset=pid", true),
        ] {
            assert_eq!(is_set(&mounts(options), "0:21"), expected, "{options}");
        }
    }

    #[test]
    fn options_of_other_mounts_are_ignored() {
        assert!(!is_set(&mounts(""), "0:21"));
        assert!(is_set(&mounts(""), "0:20"));
    }
}
