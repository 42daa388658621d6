//! Which process holds a socket, on the real kernel with real processes.

mod elsewhere;

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portscope::{
    domain::{
        Endpoint, Errno, Family, Gap, Holder, Holders, Machine, MachineKind, Owner, Protocol,
        Snapshot, Socket, Source, State, Text, Timer, UnreadableProcess, Users,
        attribution::attribute,
    },
    host::{OwnerDepth, linux::owners::OwnerFinder},
};
use rustix::{
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, SocketFlags, SocketType,
    },
    process::{Resource, Rlimit, Uid},
};

use crate::processes::{self, Sleeper, alone};

const NOBODY: u32 = 65_534;

/// A socket of the kernel, on no port: its inode is all that owners hang on.
fn new_socket() -> OwnedFd {
    rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .unwrap()
}

fn inode(socket: impl AsFd) -> u32 {
    rustix::fs::fstat(socket).unwrap().st_ino.try_into().unwrap()
}

/// The row that the kernel would list for a listener with this inode.
fn row(inode: u32) -> Socket {
    Socket {
        protocol: Protocol::Tcp,
        family: Family::Ipv4,
        state: State::Listen,
        timer: Timer::None,
        local: Endpoint { address: [127, 0, 0, 1].into(), port: 1 },
        remote: None,
        interface: None,
        inode: Some(inode),
        uid: Some(rustix::process::geteuid().as_raw()),
        cookie: None,
        expires_ms: None,
        cgroup: None,
        receive_queue: 0,
        send_queue: 0,
        holder: Holder::NotAsked,
    }
}

fn scan_owners(finder: &mut OwnerFinder, depth: OwnerDepth, inodes: &[u32]) -> Snapshot {
    let rows: Vec<Socket> = inodes.iter().map(|&inode| row(inode)).collect();
    attributed(finder.find(depth, &rows), inodes)
}

fn attributed(holders: &Holders, inodes: &[u32]) -> Snapshot {
    let machine = Arc::new(Machine {
        kind: MachineKind::Live,
        name: Text::scrub("here"),
        kernel: Text::scrub("this"),
        network_namespace: None,
        namespace_name: None,
        namespace_label: None,
        is_isolated: false,
        users: Arc::new(Users::default()),
    });
    let mut snapshot = Snapshot::empty(machine, Source::SockDiag);
    snapshot.sockets.extend(inodes.iter().map(|&inode| row(inode)));
    snapshot.sort();
    attribute(&mut snapshot, holders);
    snapshot
}

fn owner(snapshot: &Snapshot, inode: u32) -> Owner<'_> {
    snapshot.owner(snapshot.sockets.iter().find(|s| s.inode == Some(inode)).unwrap())
}

fn scan_owners_fully(inode: u32) -> Snapshot {
    scan_owners(&mut OwnerFinder::new(), OwnerDepth::Full, &[inode])
}

fn this_pid() -> u32 {
    std::process::id()
}

#[test]
fn a_socket_held_by_this_process_is_owned_by_it() {
    let _alone = alone();
    let socket = new_socket();
    let snapshot = scan_owners_fully(inode(&socket));
    assert_eq!(owner(&snapshot, inode(&socket)), Owner::Process(&[this_pid()]));
    assert!(snapshot.is_complete());
}

#[test]
fn a_socket_held_twice_by_one_process_has_one_owner() {
    let _alone = alone();
    let socket = new_socket();
    let _again = socket.try_clone().unwrap();
    let snapshot = scan_owners_fully(inode(&socket));
    assert_eq!(owner(&snapshot, inode(&socket)), Owner::Process(&[this_pid()]));
}

#[test]
fn a_socket_shared_with_children_has_all_of_them_as_owners() {
    let _alone = alone();
    let socket = new_socket();
    let children = [Sleeper::holding(&socket), Sleeper::holding(&socket)];
    let mut pids = [this_pid(), children[0].pid(), children[1].pid()];
    pids.sort_unstable();
    let snapshot = scan_owners_fully(inode(&socket));
    assert_eq!(owner(&snapshot, inode(&socket)), Owner::Process(&pids));
}

#[test]
fn a_full_walk_finds_the_receiver_of_a_passed_socket() {
    let _alone = alone();
    let socket = new_socket();
    let inode = inode(&socket);
    let mut finder = OwnerFinder::new();
    scan_owners(&mut finder, OwnerDepth::Incremental, &[inode]);
    let child = Sleeper::holding(&socket);
    drop(socket);

    let before_walk = scan_owners(&mut finder, OwnerDepth::Incremental, &[inode]);
    assert_eq!(owner(&before_walk, inode), Owner::Process(&[this_pid()]));
    let after_walk = scan_owners(&mut finder, OwnerDepth::Full, &[inode]);
    assert_eq!(owner(&after_walk, inode), Owner::Process(&[child.pid()]));
    assert_eq!(finder.walks(), 2);
}

#[test]
fn an_incremental_scan_walks_once_per_new_inode() {
    let _alone = alone();
    let sockets = [new_socket(), new_socket()];
    let inodes = sockets.each_ref().map(inode);
    let mut finder = OwnerFinder::new();
    for _ in 0..3 {
        scan_owners(&mut finder, OwnerDepth::Incremental, &inodes);
    }
    assert_eq!(finder.walks(), 1);

    let new_owner = new_socket();
    let all = [inodes[0], inodes[1], inode(&new_owner)];
    for _ in 0..3 {
        let snapshot = scan_owners(&mut finder, OwnerDepth::Incremental, &all);
        assert_eq!(owner(&snapshot, all[2]), Owner::Process(&[this_pid()]));
    }
    assert_eq!(finder.walks(), 2);
}

#[test]
fn proc_is_not_walked_if_no_socket_has_an_inode() {
    let mut finder = OwnerFinder::new();
    let closed = Socket { inode: None, state: State::TimeWait, ..row(1) };
    finder.find(OwnerDepth::Incremental, &[closed]);
    finder.find(OwnerDepth::Skip, &[row(u32::MAX)]);
    assert_eq!(finder.walks(), 0);
}

#[test]
fn an_inode_that_was_not_found_is_searched_again_only_after_the_next_walk() {
    let _alone = alone();
    let mut finder = OwnerFinder::new();
    for _ in 0..3 {
        scan_owners(&mut finder, OwnerDepth::Incremental, &[u32::MAX]);
    }
    assert_eq!(finder.walks(), 1);
    scan_owners(&mut finder, OwnerDepth::Incremental, &[u32::MAX, u32::MAX - 1]);
    assert_eq!(finder.walks(), 2);
    scan_owners(&mut finder, OwnerDepth::Full, &[]);
    scan_owners(&mut finder, OwnerDepth::Incremental, &[u32::MAX]);
    assert_eq!(finder.walks(), 4);
}

#[test]
fn a_socket_missed_by_a_later_walk_is_unresolved_until_the_next_scan() {
    let _alone = alone();
    let socket = new_socket();
    let all = [inode(&socket), u32::MAX];
    let mut finder = OwnerFinder::new();
    scan_owners(&mut finder, OwnerDepth::Incremental, &all[..1]);
    let first = scan_owners(&mut finder, OwnerDepth::Incremental, &all);
    assert_eq!(owner(&first, u32::MAX), Owner::Unresolved);
    assert!(first.is_complete(), "{:?}", first.gaps);
    assert_eq!((finder.walks(), finder.searches()), (2, 0), "one walk says nothing yet");

    // It was closed: nothing is to be looked for.
    scan_owners(&mut finder, OwnerDepth::Incremental, &all[..1]);
    assert_eq!((finder.walks(), finder.searches()), (2, 0));

    for _ in 0..3 {
        let unchanged = scan_owners(&mut finder, OwnerDepth::Incremental, &all);
        assert!(matches!(owner(&unchanged, u32::MAX), Owner::Hidden | Owner::Nobody));
        assert_eq!((finder.walks(), finder.searches()), (3, 1), "looked for once, everywhere");
    }
    scan_owners(&mut finder, OwnerDepth::Full, &all);
    assert_eq!((finder.walks(), finder.searches()), (4, 1), "and never again");
}

#[test]
fn processes_that_end_during_the_walk_cause_no_error() {
    let _alone = alone();
    let socket = new_socket();
    let inode = inode(&socket);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::process::Command::new("true").status().unwrap();
                }
            });
        }
        let mut finder = OwnerFinder::new();
        for _ in 0..20 {
            let snapshot = scan_owners(&mut finder, OwnerDepth::Full, &[inode]);
            // Between fork and exec a child of ours holds it, too.
            assert!(owner(&snapshot, inode).pids().contains(&this_pid()));
            assert!(snapshot.is_complete(), "{:?}", snapshot.gaps);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn without_privilege_other_users_sockets_are_hidden_and_counted() {
    let _alone = alone();
    let (own, foreign) = (new_socket(), new_socket());
    let child = Sleeper::holding(&foreign);
    let inodes = [inode(&own), inode(&foreign)];
    drop(foreign);
    as_nobody(|| {
        let mut finder = OwnerFinder::new();
        let snapshot = scan_owners(&mut finder, OwnerDepth::Full, &inodes);
        assert_eq!(owner(&snapshot, inodes[0]), Owner::Process(&[this_pid()]));
        assert_eq!(owner(&snapshot, inodes[1]), Owner::Hidden);

        let holders = finder.find(OwnerDepth::Skip, &[]);
        let unreadable = UnreadableProcess { pid: child.pid(), uid: Some(0) };
        assert!(holders.unreadable.contains(&unreadable));
        let processes = holders.unreadable.len() as u32;
        assert_eq!(snapshot.gaps, [Gap::OwnersHidden { sockets: 1, processes }]);
    });
}

#[test]
fn other_processes_of_the_same_user_can_be_read_without_privilege() {
    let _alone = alone();
    let socket = new_socket();
    let inode = inode(&socket);
    let Some(child) = Sleeper::of_user(NOBODY, &socket) else {
        return processes::not_tested("no right to start a process of another user");
    };
    drop(socket);
    as_nobody(|| {
        // Our spawn() ends a moment before the kernel lets the new program be looked into.
        let deadline = Instant::now() + Duration::from_secs(10);
        while owner(&scan_owners_fully(inode), inode) != Owner::Process(&[child.pid()]) {
            assert!(Instant::now() < deadline);
        }
    });
}

/// Runs `body` in a thread of user `nobody`; rights belong to threads, not to processes.
fn as_nobody(body: impl FnOnce() + Send) {
    let inside = || {
        let nobody = Uid::from_raw(NOBODY);
        if !rustix::process::geteuid().is_root() {
            return processes::not_tested("only root can leave its privilege");
        }
        match rustix::thread::set_thread_res_uid(nobody, nobody, nobody) {
            Ok(()) => body(),
            Err(error) => processes::not_tested(&format!("cannot become nobody: {error}")),
        }
    };
    thread::scope(|scope| scope.spawn(inside).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn a_socket_in_flight_between_processes_is_shown_by_no_process() {
    processes::in_private_pid_namespace("", "linux_owners::role_socket_in_flight");
}

#[test]
#[ignore = "a role: runs in a pid namespace of its own"]
fn role_socket_in_flight() {
    if !processes::is_in_role() {
        return;
    }
    let (sender, receiver) = std::os::unix::net::UnixStream::pair().unwrap();
    let (socket, kept) = (new_socket(), new_socket());
    let inodes = [inode(&socket), inode(&kept)];
    send_descriptor(&sender, &socket);
    drop(socket);
    let mut finder = OwnerFinder::new();
    let snapshot = scan_owners(&mut finder, OwnerDepth::Full, &inodes);
    assert_eq!(owner(&snapshot, inodes[0]), Owner::Hidden, "a process outside may hold it");
    assert_eq!(owner(&snapshot, inodes[1]), Owner::Process(&[this_pid()]));
    assert_eq!(snapshot.gaps, [Gap::OwnersElsewhere { sockets: 1 }]);

    // As if this were the first pid namespace.
    let holders = finder.find(OwnerDepth::Skip, &[]);
    let holders = Holders { hides_namespaces: false, ..holders.clone() };
    let snapshot = attributed(&holders, &inodes);
    assert_eq!(owner(&snapshot, inodes[0]), Owner::Nobody);
    assert!(snapshot.is_complete());

    let _arrived = receive_descriptor(&receiver);
    let snapshot = scan_owners(&mut finder, OwnerDepth::Full, &inodes);
    assert_eq!(owner(&snapshot, inodes[0]), Owner::Process(&[this_pid()]));
}

fn send_descriptor(stream: impl AsFd, descriptor: &OwnedFd) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    rustix::net::sendmsg(stream, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
}

fn receive_descriptor(stream: impl AsFd) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let (mut byte, flags) = ([0], RecvFlags::CMSG_CLOEXEC);
    rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags).unwrap();
    control
        .drain()
        .find_map(|message| match message {
            rustix::net::RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .unwrap()
}

#[test]
fn processes_that_hidepid_hides_leave_hidden_owners() {
    let remount = "mount -t proc -o hidepid=invisible proc /proc";
    processes::with_private_mounts(remount, "linux_owners::role_under_hidepid");
}

#[test]
#[ignore = "a role: runs with a /proc of its own"]
fn role_under_hidepid() {
    if !processes::is_in_role() {
        return;
    }
    let foreign = new_socket();
    let inode = inode(&foreign);
    let child = Sleeper::holding(&foreign);
    drop(foreign);
    let as_root = scan_owners_fully(inode);
    assert_eq!(owner(&as_root, inode), Owner::Process(&[child.pid()]), "root is exempt");
    as_nobody(|| {
        let snapshot = scan_owners_fully(inode);
        assert_eq!(owner(&snapshot, inode), Owner::Hidden);
        assert_eq!(snapshot.gaps, [Gap::OwnersInvisible { sockets: 1 }]);
    });
}

#[test]
fn a_directory_that_is_not_procfs_is_an_error() {
    processes::in_private_pid_namespace(
        "mount -t tmpfs none /proc",
        "linux_owners::role_without_proc",
    );
}

#[test]
#[ignore = "a role: runs with an empty /proc"]
fn role_without_proc() {
    if !processes::is_in_role() {
        return;
    }
    let socket = new_socket();
    let snapshot = scan_owners_fully(inode(&socket));
    assert_eq!(owner(&snapshot, inode(&socket)), Owner::Hidden);
    let error = Errno::ENOENT;
    assert_eq!(snapshot.gaps, [Gap::OwnersUnreadable { sockets: 1, error }]);
}

#[test]
fn running_out_of_descriptors_is_reported_and_recovers_at_the_next_scan() {
    processes::in_process_of_its_own("linux_owners::role_out_of_descriptors");
}

#[test]
#[ignore = "a role: runs in a process of its own, whose limits it lowers"]
fn role_out_of_descriptors() {
    if !processes::is_in_role() {
        return;
    }
    let socket = new_socket();
    let inode = inode(&socket);
    let lowest_free = socket.try_clone().map(|fd| std::os::fd::AsRawFd::as_raw_fd(&fd)).unwrap();
    let before = rustix::process::getrlimit(Resource::Nofile);
    let error = Errno::EMFILE;
    let mut finder = OwnerFinder::new();
    for spare in [0, 1] {
        let current = Some(lowest_free as u64 + spare);
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
        let snapshot = scan_owners(&mut finder, OwnerDepth::Incremental, &[inode]);
        assert_eq!(owner(&snapshot, inode), Owner::Hidden, "{spare} descriptors to spare");
        assert_eq!(snapshot.gaps, [Gap::OwnersUnreadable { sockets: 1, error }]);
    }
    let current = Some(lowest_free as u64 + 2);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
    let snapshot = scan_owners(&mut finder, OwnerDepth::Incremental, &[inode]);
    assert_eq!(owner(&snapshot, inode), Owner::Process(&[this_pid()]), "two are enough");
    assert_eq!(finder.walks(), 3);
}

#[test]
fn walks_leave_no_descriptor_open() {
    processes::in_process_of_its_own("linux_owners::role_ten_walks");
}

#[test]
#[ignore = "a role: counts the descriptors of its process"]
fn role_ten_walks() {
    if !processes::is_in_role() {
        return;
    }
    let before = processes::open_descriptors();
    for _ in 0..10 {
        scan_owners_fully(u32::MAX);
    }
    assert_eq!(processes::open_descriptors(), before);
}
