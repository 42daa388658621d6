//! The description of processes, on the real kernel with real processes.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use portscope::{
    domain::{Process, Text},
    host::{Describer as _, linux::describer::ProcDescriber},
};

use crate::processes::{self, Sleeper, alone};

fn describe(pid: u32) -> Option<Process> {
    let mut found = ProcDescriber.describe(&[pid]);
    assert!(found.len() < 2);
    found.pop()
}

fn command_line(process: &Process) -> &str {
    process.command.as_ref().unwrap().as_str()
}

/// Describes the process until `is_met` is true: spawn() returns before the kernel has set up the
/// new program completely.
fn described_once(pid: u32, is_met: impl Fn(&Process) -> bool) -> Process {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let process = describe(pid).unwrap();
        if is_met(&process) {
            return process;
        }
        assert!(Instant::now() < deadline, "still {process:?}");
        std::thread::yield_now();
    }
}

/// A copy of sleep(1) under another name. Dropping it removes the file.
struct Program(PathBuf);

impl Program {
    fn named(name: &[u8]) -> Self {
        let folder = std::env::temp_dir().join(format!("portscope-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(OsStr::from_bytes(name));
        fs::copy("/bin/sleep", &path).unwrap();
        Self(path)
    }

    fn run(&self) -> Sleeper {
        Sleeper::spawn(Command::new(&self.0).arg0("sleep").arg("1000"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

#[test]
fn a_process_is_described_with_name_command_user_and_start_time() {
    let _alone = alone();
    let child = Sleeper::spawn(Command::new("sleep").arg("1000"));
    let process = described_once(child.pid(), |p| command_line(p) == "sleep 1000");
    assert_eq!(process.pid, child.pid());
    assert_eq!(process.name.as_str(), "sleep");
    assert_eq!(process.uid, Some(rustix::process::geteuid().as_raw()));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(process.started.unwrap().abs_diff(now) <= 5, "{:?} at {now}", process.started);
}

#[test]
fn a_process_is_described_with_directory_and_parent() {
    let _alone = alone();
    let child = Sleeper::spawn(Command::new("sleep").arg("1000").current_dir("/tmp"));
    let process = described_once(child.pid(), |p| command_line(p) == "sleep 1000");
    assert_eq!(process.directory.as_ref().map(Text::as_str), Some("/tmp"));
    let parent = process.parent.unwrap();
    assert_eq!(parent.pid, std::process::id());
    let name = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(parent.name.as_ref().map(Text::as_str), Some(name.trim_end()));
}

#[test]
fn the_start_of_a_process_stays_the_same() {
    let _alone = alone();
    let started = describe(std::process::id()).unwrap().started;
    for _ in 0..20 {
        assert_eq!(describe(std::process::id()).unwrap().started, started);
    }
}

#[test]
fn a_process_name_with_parentheses_is_parsed() {
    let _alone = alone();
    let program = Program::named(b"p) S 1 (q");
    let child = program.run();
    let process = described_once(child.pid(), |p| p.name.as_str() == "p) S 1 (q");
    assert!(process.started > describe(1).unwrap().started);
}

#[test]
fn a_non_utf8_process_name_is_escaped_without_loss() {
    let _alone = alone();
    let program = Program::named(b"a\xff\x9bz");
    let child = program.run();
    described_once(child.pid(), |p| p.name.as_str() == "a\\xff\\x9bz");
}

#[test]
fn a_process_with_a_deleted_executable_is_described() {
    let _alone = alone();
    let program = Program::named(b"deleted");
    let child = program.run();
    drop(program);
    let process = described_once(child.pid(), |p| command_line(p) == "sleep 1000");
    assert_eq!(process.name.as_str(), "deleted");
}

#[test]
fn an_empty_command_line_shows_the_name_in_brackets() {
    let _alone = alone();
    let mut command = Command::new("cat");
    let child = Sleeper::spawn(command.arg0("").stdin(Stdio::piped()));
    described_once(child.pid(), |p| command_line(p) == "[cat]");
}

#[test]
fn a_zombie_is_described_as_by_ps() {
    let _alone = alone();
    let child = Sleeper::spawn(&mut Command::new("true"));
    described_once(child.pid(), |p| command_line(p) == "[true] <defunct>");
}

#[test]
fn a_kernel_thread_is_described_as_by_ps() {
    let _alone = alone();
    if fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        let process = describe(2).unwrap();
        assert_eq!((command_line(&process), process.uid), ("[kthreadd]", Some(0)));
    } else {
        eprintln!("not tested here: no kernel thread to be seen");
    }
}

#[test]
fn a_command_line_of_megabytes_is_truncated_and_marked() {
    let _alone = alone();
    let argument = "x".repeat(100_000);
    let mut command = Command::new("sh");
    command.args(["-c", "read line"]).args(vec![argument; 15]).stdin(Stdio::piped());
    let child = Sleeper::spawn(&mut command);
    let is_in_place = |p: &Process| command_line(p).starts_with("sh -c read line xxx");
    let process = described_once(child.pid(), is_in_place);
    assert!(command_line(&process).ends_with("x…"));
    assert_eq!(command_line(&process).len(), 4096 + "…".len());
}

#[test]
fn a_process_that_called_exec_is_described_again() {
    let _alone = alone();
    let mut command = Command::new("sh");
    command.args(["-c", "read line; exec sleep 1000"]).stdin(Stdio::piped());
    let mut child = Sleeper::spawn(&mut command);
    let mut describer = ProcDescriber;
    described_once(child.pid(), |p| p.name.as_str() == "sh");
    assert_eq!(describer.describe(&[child.pid()])[0].name.as_str(), "sh");
    child.child().stdin.take().unwrap().write_all(b"\n").unwrap();
    described_once(child.pid(), |process| command_line(process) == "sleep 1000");
    assert_eq!(describer.describe(&[child.pid()])[0].name.as_str(), "sleep");
}

#[test]
fn an_ended_process_is_omitted() {
    let _alone = alone();
    let child = Sleeper::spawn(Command::new("sleep").arg("1000"));
    let gone = child.pid();
    drop(child);
    let found = ProcDescriber.describe(&[gone, std::process::id()]);
    assert_eq!(found.iter().map(|p| p.pid).collect::<Vec<_>>(), [std::process::id()]);
}

#[test]
fn a_hundred_refreshes_leave_no_descriptor_open() {
    processes::in_process_of_its_own("linux_describer::role_hundred_refreshes");
}

#[test]
#[ignore = "a role: counts the descriptors of its process"]
fn role_hundred_refreshes() {
    if !processes::is_in_role() {
        return;
    }
    let child = Sleeper::spawn(Command::new("sleep").arg("1000"));
    let mut describer = ProcDescriber;
    describer.describe(&[child.pid()]);
    let before = processes::open_descriptors();
    for _ in 0..100 {
        describer.describe(&[child.pid(), std::process::id()]);
    }
    assert_eq!(processes::open_descriptors(), before);
}
