//! Sockets that are not in /proc/PID/fd of any visible process: those of single threads, of a
//! process whose main thread has ended, of an io_uring, and in other pid namespaces.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    process::{Command, Stdio},
    sync::{Arc, Barrier, mpsc},
    thread,
    time::{Duration, Instant},
};

use portscope::{
    domain::{Errno, Gap, Owner, action::EndSignal},
    host::{
        OwnerDepth,
        actions::ActionError,
        linux::{actions::process, owners::OwnerFinder},
    },
};
use rustix::thread::UnshareFlags;

use super::{
    NOBODY, as_nobody, inode, new_socket, owner,
    processes::{self, Sleeper, alone},
    row, scan_owners, scan_owners_fully, this_pid,
};

#[test]
fn a_socket_of_a_thread_with_descriptors_of_its_own_belongs_to_the_process() {
    processes::in_process_of_its_own("linux_owners::elsewhere::role_split_descriptors");
}

#[test]
#[ignore = "a role: runs in a process of its own, one thread of which leaves its descriptors"]
fn role_split_descriptors() {
    if !processes::is_in_role() {
        return;
    }
    let (made, sockets) = mpsc::channel();
    let (ask, asked) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        #[expect(unsafe_code, reason = "no descriptor of another thread is used in this one")]
        unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::FILES).unwrap();
        }
        let mut held = Vec::new();
        while asked.recv().is_ok() {
            held.push(new_socket());
            made.send(inode(held.last().unwrap())).unwrap();
        }
    });
    let next = || {
        ask.send(()).unwrap();
        sockets.recv().unwrap()
    };
    let first = next();
    let mut finder = OwnerFinder::new();
    let snapshot = scan_owners(&mut finder, OwnerDepth::Incremental, &[first]);
    assert_eq!(owner(&snapshot, first), Owner::Process(&[this_pid()]));
    assert_eq!((finder.walks(), finder.searches()), (1, 1));

    let second = next();
    for depth in [OwnerDepth::Incremental, OwnerDepth::Full] {
        let snapshot = scan_owners(&mut finder, depth, &[first, second]);
        assert_eq!(owner(&snapshot, first), Owner::Process(&[this_pid()]));
        assert_eq!(owner(&snapshot, second), Owner::Process(&[this_pid()]));
    }
    assert_eq!((finder.walks(), finder.searches()), (3, 1), "its table is known by now");
    drop(ask);
    thread.join().unwrap();
}

#[test]
fn only_a_limited_number_of_tables_of_one_process_is_compared() {
    processes::in_process_of_its_own("linux_owners::elsewhere::role_many_tables");
}

#[test]
#[ignore = "a role: runs in a process of its own, each thread of which leaves its descriptors"]
fn role_many_tables() {
    if !processes::is_in_role() {
        return;
    }
    let (end, is_split) = (Arc::new(Barrier::new(101)), Arc::new(Barrier::new(101)));
    let threads: Vec<_> = (0..100).map(|_| thread_with_table(&is_split, &end)).collect();
    is_split.wait();
    let mut finder = OwnerFinder::new();
    let unread = finder.find(OwnerDepth::Full, &[row(u32::MAX)]).unread_threads.unwrap();
    assert!(unread.threads >= 36 && unread.error == Some(Errno::EFBIG), "{unread:?}");
    // A process is no holder only if all its tables were read.
    let own = process::facts(this_pid()).unwrap().identity;
    let signalled = process::end(own, EndSignal::Term, &[u32::MAX]).err();
    assert!(matches!(signalled, Some(ActionError::Failed(_))), "{signalled:?}");
    end.wait();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn thread_with_table(is_split: &Arc<Barrier>, end: &Arc<Barrier>) -> thread::JoinHandle<()> {
    let (is_split, end) = (Arc::clone(is_split), Arc::clone(end));
    thread::spawn(move || {
        #[expect(unsafe_code, reason = "no descriptor of another thread is used in this one")]
        unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::FILES).unwrap();
        }
        is_split.wait();
        end.wait();
    })
}

#[test]
fn a_socket_of_a_process_whose_main_thread_has_ended_belongs_to_it() {
    let _alone = alone();
    let Some((child, inode)) = process_without_main_thread(|command| command) else { return };
    let snapshot = scan_owners_fully(inode);
    assert_eq!(owner(&snapshot, inode), Owner::Process(&[child.pid()]));
}

#[test]
fn an_own_process_without_main_thread_can_be_read_without_privilege() {
    let _alone = alone();
    if !rustix::process::geteuid().is_root() {
        return processes::not_tested("only root can start a process of another user");
    }
    let started = process_without_main_thread(|command| command.uid(NOBODY));
    let Some((child, inode)) = started else { return };
    as_nobody(|| {
        let mut finder = OwnerFinder::new();
        let snapshot = scan_owners(&mut finder, OwnerDepth::Full, &[inode]);
        assert_eq!(owner(&snapshot, inode), Owner::Process(&[child.pid()]));
        let unreadable = &finder.find(OwnerDepth::Skip, &[]).unreadable;
        assert!(unreadable.iter().all(|process| process.pid != child.pid()));
    });
}

#[test]
fn a_socket_that_only_an_io_uring_holds_belongs_to_its_process() {
    let _alone = alone();
    let Some((child, inode)) = python(KEEP_IN_RING, |command| command) else { return };
    let Some(inode) = inode else { return processes::not_tested("io_uring is refused") };
    let snapshot = scan_owners_fully(inode);
    assert_eq!(owner(&snapshot, inode), Owner::Process(&[child.pid()]));
}

const KEEP_IN_RING: &str = "
import ctypes, os, socket, sys
syscall = ctypes.CDLL(None).syscall
held = socket.socket()
ring = syscall(425, 8, (ctypes.c_char * 120)())
kept = syscall(427, ring, 2, (ctypes.c_int * 1)(held.fileno()), 1)
inode = os.fstat(held.fileno()).st_ino if kept == 0 else 'refused'
held.close()
print(inode, flush=True)
sys.stdin.read()
";

const END_MAIN_THREAD: &str = "
import ctypes, os, socket, sys, threading
held = socket.socket()
def go_on():
    print(os.fstat(held.fileno()).st_ino, flush=True)
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).pthread_exit(None)
";

/// And the inode of a socket that another of its threads holds.
fn process_without_main_thread(
    change: impl FnOnce(&mut Command) -> &mut Command,
) -> Option<(Sleeper, u32)> {
    let (child, inode) = python(END_MAIN_THREAD, change)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap();
    while !state().contains(") Z ") {
        assert!(Instant::now() < deadline, "{}", state());
        thread::yield_now();
    }
    Some((child, inode.unwrap()))
}

/// And the number that the script prints.
fn python(
    script: &str,
    change: impl FnOnce(&mut Command) -> &mut Command,
) -> Option<(Sleeper, Option<u32>)> {
    let mut command = Command::new("python3");
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(child) = change(&mut command).spawn() else {
        processes::not_tested("python3 is missing");
        return None;
    };
    let mut child = Sleeper::of(child);
    let mut line = String::new();
    BufReader::new(child.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some((child, line.trim().parse().ok()))
}

#[test]
fn processes_of_other_pid_namespaces_leave_hidden_owners() {
    processes::in_private_pid_namespace("", "linux_owners::elsewhere::role_in_a_pid_namespace");
}

#[test]
#[ignore = "a role: runs in a pid namespace of its own"]
fn role_in_a_pid_namespace() {
    if !processes::is_in_role() {
        return;
    }
    let socket = new_socket();
    let all = [inode(&socket), u32::MAX];
    let snapshot = scan_owners(&mut OwnerFinder::new(), OwnerDepth::Full, &all);
    assert_eq!(owner(&snapshot, all[0]), Owner::Process(&[this_pid()]));
    assert_eq!(owner(&snapshot, all[1]), Owner::Hidden);
    assert_eq!(snapshot.gaps, [Gap::OwnersElsewhere { sockets: 1 }]);
}

#[test]
fn the_initial_proc_mount_shows_all_processes_in_a_pid_namespace() {
    let flags = ["--pid", "--fork", "--kill-child"];
    processes::in_namespaces(
        &flags,
        "",
        "linux_owners::elsewhere::role_with_the_proc_of_the_first_namespace",
    );
}

#[test]
#[ignore = "a role: runs in a pid namespace of its own, with the /proc of the one above"]
fn role_with_the_proc_of_the_first_namespace() {
    if !processes::is_in_role() {
        return;
    }
    let mut finder = OwnerFinder::new();
    finder.find(OwnerDepth::Full, &[]);
    let is_first = std::fs::metadata("/proc/1/ns/pid").map(|link| link.ino() == 0xEFFF_FFFC);
    let hides = finder.find(OwnerDepth::Skip, &[]).hides_namespaces;
    assert_eq!(hides, !is_first.unwrap_or(false));
}
