//! Processes that a test starts: some hold a socket, others run a part of the test.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

use std::{
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

const ROLE: &str = "PORTSCOPE_TEST_ROLE";

/// Prevents other tests of this binary from starting a process: between fork and exec it would hold
/// a copy of all our descriptors.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a program and returns its output. No other test starts a process meanwhile: the program may
/// list the owners of our sockets.
pub fn output_of(command: &mut Command) -> Output {
    let _alone = alone();
    command.stdin(Stdio::null()).output().unwrap()
}

/// A child process that is killed when dropped.
pub struct Sleeper(Child);

impl Sleeper {
    /// Starts a process that holds `socket` as its standard input.
    pub fn holding(socket: &OwnedFd) -> Self {
        Self(sleep(socket).spawn().unwrap())
    }

    /// Returns None if we may not start a process of that user.
    pub fn of_user(uid: u32, socket: &OwnedFd) -> Option<Self> {
        sleep(socket).uid(uid).spawn().ok().map(Self)
    }

    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub fn of(child: Child) -> Self {
        Self(child)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleep(socket: &OwnedFd) -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000").stdin(Stdio::from(socket.try_clone().unwrap()));
    command
}

pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Prints why nothing was tested, or panics if `CI` is set.
pub fn not_tested(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI needs this: {why}");
    eprintln!("not tested here: {why}");
}

/// Whether this process was started by one of the functions below.
pub fn is_in_role() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Runs the ignored test `role` of this binary in a separate process.
pub fn in_process_of_its_own(role: &str) {
    let _alone = alone();
    play(Command::new(std::env::current_exe().unwrap()), role);
}

/// Same as above, but as pid 1 of a pid namespace with its own mounts, after `mount_command` if
/// there is one.
pub fn in_private_pid_namespace(mount_command: &str, role: &str) {
    let flags = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc"];
    in_namespaces(&flags, mount_command, role);
}

/// Same as above, but only with its own mounts.
pub fn with_private_mounts(mount_command: &str, role: &str) {
    in_namespaces(&["--mount"], mount_command, role);
}

/// Same as above, in the namespaces that unshare(1) creates with these flags.
pub fn in_namespaces(flags: &[&str], mount_command: &str, role: &str) {
    let _alone = alone();
    let probe = Command::new("unshare").args(flags).arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return not_tested(&format!("no right to unshare {}", flags.join(" ")));
    }
    let mut command = Command::new("unshare");
    let script = format!("{} exec \"$0\" \"$@\"", then(mount_command));
    command.args(flags).args(["sh", "-c", &script]).arg(std::env::current_exe().unwrap());
    play(command, role);
}

fn then(mount_command: &str) -> String {
    if mount_command.is_empty() { String::new() } else { format!("{mount_command} &&") }
}

fn play(mut command: Command, role: &str) {
    let output = command.args(["--ignored", "--exact", role]).env(ROLE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{role}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
