//! `--output`: whatever other users put in the way, only the named file is written.

use std::{
    ffi::OsStr,
    fs::{self, File, FileTimes, Permissions},
    io::Write as _,
    os::unix::fs::{
        FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink,
    },
    path::Path,
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use portscope::{
    host::linux::output_file::{self, NewFile, OutputFile},
    report::diagnose::prometheus::MARK,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{
    folder::Folder,
    outputs::{PROGRAM, command, program},
};

const STRANGER: u32 = 12_345;
const NAME: &str = "portscope.prom";

fn run(arguments: &str, file: &Path) -> Output {
    // If the program hangs, timeout(1) exits with 124, and the test fails.
    let mut command = command("timeout");
    command.args(["60", PROGRAM]).args(arguments.split(' ')).arg("--output").arg(file);
    command.output().unwrap()
}

fn scan(file: &Path) -> Output {
    run("scan --format json --no-owners", file)
}

fn diagnose(file: &Path) -> Output {
    run("diagnose --sample 0 --format prometheus", file)
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, reason: &str) {
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(line.starts_with("portscope: could not write ") && line.contains(reason), "{line}");
    assert_eq!(line.matches('\n').count(), 1, "{line}");
}

#[track_caller]
fn assert_is_scan(text: &[u8]) {
    let scan: serde_json::Value = serde_json::from_slice(text).unwrap();
    assert_eq!(scan["schema"], "portscope.scan/1");
}

/// Gives the file to another user. Without the privilege, prints that and returns false.
fn change_owner(path: &Path) -> bool {
    let given = lchown(path, Some(STRANGER), Some(STRANGER));
    if let Err(error) = &given {
        assert!(std::env::var_os("CI").is_none(), "CI needs to give files away: {error}");
        eprintln!("not tested here: files of another user ({error})");
    }
    given.is_ok()
}

fn open_to_all(folder: &Folder) {
    fs::set_permissions(&folder.0, Permissions::from_mode(0o1777)).unwrap();
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn rounds(default: u32) -> u32 {
    let asked = std::env::var("PORTSCOPE_ROUNDS");
    asked.map_or(default, |rounds| rounds.parse().expect("PORTSCOPE_ROUNDS is a number"))
}

/// Replaces the name by links, pipes, files or nothing, as fast as possible, until `is_over` is
/// set.
fn plant(name: &Path, outside: &Folder, is_over: &AtomicBool) {
    let planted_link = name.with_extension("planted");
    while !is_over.load(Ordering::Relaxed) {
        let _ = fs::remove_file(name);
        for target in ["victim", "nothing"] {
            symlink(outside.path(target), &planted_link).unwrap();
            fs::rename(&planted_link, name).unwrap();
            let _ = fs::remove_file(name);
        }
        pipe(&planted_link);
        fs::rename(&planted_link, name).unwrap();
        fs::write(&planted_link, MARK).unwrap();
        fs::rename(&planted_link, name).unwrap();
    }
}

/// Runs `write` while another thread plants links in place of its file. No other file may be
/// written to.
fn race(rounds: u32, write: impl Fn(&Path)) {
    let (folder, outside) = (Folder::new(), Folder::new());
    fs::set_permissions(&folder.0, Permissions::from_mode(0o777)).unwrap();
    fs::write(outside.path("victim"), "untouched").unwrap();
    let holder = fs::metadata(outside.path("victim")).unwrap();
    let (name, is_over) = (folder.path(NAME), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| plant(&name, &outside, &is_over));
        (0..rounds).for_each(|_| write(&name));
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(outside.names(), ["victim"]);
    assert_eq!(fs::read(outside.path("victim")).unwrap(), b"untouched");
    let after = fs::metadata(outside.path("victim")).unwrap();
    assert_eq!((after.ino(), after.uid()), (holder.ino(), holder.uid()));
    let left = folder.names();
    assert!(left.iter().all(|name| !name.starts_with(".portscope-")), "{left:?}");
}

#[test]
fn a_link_planted_during_diagnose_redirects_nothing() {
    race(rounds(200), |file| drop(diagnose(file)));
}

#[test]
fn a_link_planted_between_any_two_steps_redirects_nothing() {
    race(rounds(5_000), |file| {
        // Errors are expected here.
        if let Ok(OutputFile::New(new)) = output_file::open(file, Some(MARK)) {
            let _ = new.file().write_all(MARK.as_bytes()).and_then(|()| new.publish());
        }
    });
}

#[test]
fn a_link_of_another_user_in_a_shared_folder_is_not_followed() {
    for mode in [0o1777, 0o777, 0o775] {
        let (folder, outside) = (Folder::new(), Folder::new());
        fs::set_permissions(&folder.0, Permissions::from_mode(mode)).unwrap();
        fs::write(outside.path("victim"), "untouched").unwrap();
        for target in ["victim", "nothing"] {
            let link = folder.path(target);
            symlink(outside.path(target), &link).unwrap();
            if !change_owner(&link) {
                return;
            }
            assert_refused(&scan(&link), 2, "symbolic link that belongs to user 12345");
            assert!(link.is_symlink());
        }
        assert_eq!(fs::read(outside.path("victim")).unwrap(), b"untouched");
        assert_eq!(outside.names(), ["victim"]);
    }
}

#[test]
fn own_links_and_chains_of_links_are_followed() {
    let (folder, outside) = (Folder::new(), Folder::new());
    open_to_all(&folder);
    symlink(outside.path("scan.json"), folder.path("second")).unwrap();
    symlink("second", folder.path("first")).unwrap();
    for _ in 0..2 {
        let output = scan(&folder.path("first"));
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
        assert_is_scan(&fs::read(outside.path("scan.json")).unwrap());
    }
    assert!(folder.path("first").is_symlink() && folder.path("second").is_symlink());
    assert_eq!((folder.names().len(), outside.names().len()), (2, 1));

    symlink("around", folder.path("around")).unwrap();
    assert_refused(&scan(&folder.path("around")), 2, "symbolic links");

    // As many as the kernel follows, and one more.
    for number in 1..=41 {
        let target = format!("link{}", number - 1);
        symlink(target, folder.path(&format!("link{number}"))).unwrap();
    }
    assert_eq!(scan(&folder.path("link40")).status.code(), Some(0));
    assert_refused(&scan(&folder.path("link41")), 2, "symbolic links");
}

#[test]
fn a_file_of_another_user_keeps_its_owner_or_is_not_replaced() {
    let folder = Folder::new();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();
    let file = folder.path("scan.json");
    fs::write(&file, "old").unwrap();
    if !change_owner(&file) {
        return;
    }
    fs::set_permissions(&file, Permissions::from_mode(0o6755)).unwrap();
    assert_eq!(scan(&file).status.code(), Some(0));
    let found = fs::metadata(&file).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (STRANGER, STRANGER, 0o755));
    assert_is_scan(&fs::read(&file).unwrap());

    open_to_all(&folder);
    fs::write(&file, "old").unwrap();
    assert_refused(&scan(&file), 2, "belongs to user 12345, in a directory");
    assert_eq!(fs::read(&file).unwrap(), b"old");
    assert_eq!(folder.names(), ["scan.json"]);
}

#[test]
fn the_setuid_bit_is_not_copied() {
    let folder = Folder::new();
    for (name, write) in [("scan.json", scan as fn(&Path) -> Output), (NAME, diagnose)] {
        fs::write(folder.path(name), "").unwrap();
        fs::set_permissions(folder.path(name), Permissions::from_mode(0o7750)).unwrap();
        write(&folder.path(name));
        let found = fs::metadata(folder.path(name)).unwrap();
        assert!(found.len() > 0, "{name} is written");
        assert_eq!(found.mode() & 0o7777, 0o750, "{name}");
    }
}

#[test]
fn a_pipe_without_reader_is_an_immediate_error() {
    let folder = Folder::new();
    let file = folder.path("pipe");
    pipe(&file);
    symlink("pipe", folder.path("link")).unwrap();
    assert_refused(&diagnose(&file), 3, "a pipe without a reader");
    assert_refused(&scan(&file), 2, "a pipe without a reader");
    assert_refused(&scan(&folder.path("link")), 2, "a pipe without a reader");
    assert!(fs::symlink_metadata(&file).unwrap().file_type().is_fifo());
}

#[test]
fn a_pipe_with_a_reader_gets_the_whole_report() {
    let folder = Folder::new();
    let file = folder.path("pipe");
    pipe(&file);
    // Opened for reading and writing, so that neither side waits for the other.
    let both = File::options().read(true).write(true).open(&file).unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| fs::read(&file).unwrap());
        assert_eq!(scan(&file).status.code(), Some(0));
        drop(both);
        assert_is_scan(&reader.join().unwrap());
    });
}

#[test]
fn a_pipe_of_another_user_in_a_shared_folder_gets_nothing() {
    let folder = Folder::new();
    open_to_all(&folder);
    let file = folder.path("pipe");
    pipe(&file);
    if change_owner(&file) {
        let _reader = File::options().read(true).write(true).open(&file).unwrap();
        assert_refused(&diagnose(&file), 3, "belongs to user 12345, in a directory");
        assert_refused(&scan(&file), 2, "belongs to user 12345, in a directory");
    }
}

#[test]
fn devices_and_inherited_descriptors_are_written_to() {
    let folder = Folder::new();
    assert_eq!(scan(Path::new("/dev/null")).status.code(), Some(0));
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert_is_scan(&scan(Path::new(name)).stdout);
        // If standard output is a file, the report is appended to it.
        let out = File::create(folder.path("out")).unwrap();
        let script = "echo before; \"$0\" scan --format json --no-owners --output \"$1\"; echo $?";
        let mut command = command("sh");
        command.args(["-c", script, PROGRAM, name]).stdout(out);
        assert!(command.status().unwrap().success());
        let text = fs::read(folder.path("out")).unwrap();
        assert_is_scan(text.strip_prefix(b"before\n").unwrap().strip_suffix(b"0\n").unwrap());
    }
    assert_refused(&scan(Path::new("/dev/fd/99")), 2, "No such file");
}

fn new_file(path: &Path, mark: Option<&'static str>) -> NewFile {
    match output_file::open(path, mark).unwrap() {
        OutputFile::New(new) => new,
        OutputFile::Existing(file) => panic!("{file:?} is not new"),
    }
}

#[test]
fn an_output_file_has_no_name_before_it_is_complete() {
    let folder = Folder::new();
    for (name, mark) in [("scan.json", None), (NAME, Some(MARK))] {
        let path = folder.path(name);
        let mut before = folder.names();
        let new = new_file(&path, mark);
        new.file().write_all(MARK.as_bytes()).unwrap();
        assert_eq!(folder.names(), before, "killed here, it leaves nothing behind");
        new.publish().unwrap();
        before.push(name.to_owned());
        before.sort();
        assert_eq!(folder.names(), before);
        drop(new_file(&path, mark));
        assert_eq!(fs::read(&path).unwrap(), MARK.as_bytes(), "given up, the old file stays");
        new_file(&path, mark).publish().unwrap();
        assert_eq!((fs::read(&path).unwrap(), folder.names()), (Vec::new(), before));
    }
}

#[test]
fn a_file_that_appears_during_the_write_is_checked() {
    let folder = Folder::new();
    let path = folder.path(NAME);
    let new = new_file(&path, Some(MARK));
    fs::write(&path, "node_load1 0.5\n").unwrap();
    let error = new.publish().unwrap_err();
    assert!(error.to_string().contains("not written by portscope"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"node_load1 0.5\n");

    // Of two runs at once, the later one replaces the file.
    let (one, other) = (new_file(&folder.path("a"), None), new_file(&folder.path("a"), None));
    one.file().write_all(b"one").unwrap();
    one.publish().unwrap();
    other.publish().unwrap();
    assert_eq!(fs::read(folder.path("a")).unwrap(), b"");
    assert_eq!(folder.names(), ["a", NAME]);
}

#[test]
fn temporary_files_of_killed_runs_are_removed_by_the_next_write() {
    let folder = Folder::new();
    let hour_ago = SystemTime::now() - Duration::from_hours(1);
    let create_old_file = |name: &str, when| {
        let file = File::create(folder.path(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(when)).unwrap();
    };
    // No process can have this pid.
    let gone = i32::MAX;
    for number in 0..3 {
        create_old_file(&format!(".portscope-{gone}-{number}.tmp"), hour_ago);
    }
    let kept = [
        format!(".portscope-{gone}-7.tmp"),
        format!(".portscope-{gone}-link.tmp"),
        ".portscope-1-0.tmp".to_owned(),
        "scan.json".to_owned(),
    ];
    create_old_file(&kept[0], SystemTime::now());
    create_old_file(&kept[1], hour_ago);
    create_old_file(&kept[2], hour_ago);
    let mut wanted = kept.to_vec();
    let foreign = format!(".portscope-{gone}-8.tmp");
    create_old_file(&foreign, hour_ago);
    if chown(folder.path(&foreign), Some(STRANGER), None).is_ok() {
        wanted.push(foreign);
    }
    assert_eq!(scan(&folder.path("scan.json")).status.code(), Some(0));
    wanted.sort();
    assert_eq!(folder.names(), wanted);
}

/// Sends a signal at different moments of many runs. With `--sample 0` they do little else than
/// write.
#[test]
fn a_signal_leaves_a_complete_file_or_none() {
    let folder = Folder::new();
    let path = folder.path(NAME);
    for round in 0..rounds(40) {
        let mut command = program();
        command.args(["diagnose", "--sample=0", "--format=prometheus", "--output"]).arg(&path);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_millis(u64::from(round % 40));
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        child.wait().unwrap();
        let names = folder.names();
        assert!(names.iter().all(|name| OsStr::new(name) == NAME), "{names:?}");
        if let Ok(text) = fs::read_to_string(&path) {
            assert!(text.starts_with(MARK) && text.ends_with('\n'), "{text}");
        }
    }
}
