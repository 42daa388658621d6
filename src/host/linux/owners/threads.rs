//! Finds threads that do not share the descriptor table of their process, and reads their tables.

use std::{collections::HashSet, mem::MaybeUninit};

use rustix::{fd::OwnedFd, fs::AtFlags, io::Errno};

use crate::domain::{self, UnreadThreads};

use super::{
    DIRECTORY_BUFFER, kcmp,
    table::{Found, Path, ProcTables, each_number, open_directory, open_file},
};

/// Maximum number of descriptors that one search reads (about 100 ms) if kcmp(2) cannot show which
/// tables differ.
const MAX_READ: u32 = 100_000;

/// Maximum number of tables of one process that are compared with a further thread: any process can
/// give each of its threads a table of its own, and each comparison costs a call.
const MAX_TABLES: usize = 64;

/// A thread with a descriptor table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thread {
    pub pid: u32,
    pub tid: u32,
}

pub(super) fn has_several(proc: &OwnedFd, pid: u32) -> bool {
    let stat = rustix::fs::statat(proc, Path::of(pid, None, "/task").as_c_str(), AtFlags::empty());
    // The directory has two links and one more per thread (`proc_task_getattr`).
    stat.is_ok_and(|stat| stat.st_nlink > 3)
}

/// Returns whether the main thread is a zombie (proc_pid_stat(5)). Then either the whole process
/// has ended, or only its other threads still run.
pub(super) fn has_ended(proc: &OwnedFd, pid: u32) -> bool {
    let path = Path::of(pid, None, "/stat");
    let Ok(file) = open_file(proc, path.as_c_str()) else { return false };
    let mut text = [0; 512];
    let length = rustix::io::read(&file, &mut text).unwrap_or(0);
    // The name in parentheses may contain any byte.
    let end = text[..length].iter().rposition(|&byte| byte == b')');
    end.and_then(|end| text.get(end + 2)).is_some_and(|state| b"ZX".contains(state))
}

/// Reads the tables of all threads except the main thread; reads a table that several share once.
/// Errors: EFBIG if there are more than `MAX_TABLES` tables; that many were read.
pub(super) fn read_all(
    table: &mut ProcTables<'_>,
    pid: u32,
    found: &mut Found,
) -> rustix::io::Result<()> {
    let mut seen = Vec::new();
    each(table.proc, pid, |tid| {
        // An error counts as a shared table. So if kcmp(2) does not work, only the first thread's
        // table is read.
        let is_seen = |&other: &u32| kcmp::share_descriptors(other, tid) != Ok(false);
        if tid == pid || seen.iter().any(is_seen) {
            return Ok(());
        }
        if seen.len() == MAX_TABLES {
            return Err(Errno::FBIG);
        }
        seen.push(tid);
        match table.read(pid, Some(tid), found) {
            Ok(_) | Err(Errno::NOENT | Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno),
        }
    })
}

fn each(
    proc: &OwnedFd,
    pid: u32,
    visit: impl FnMut(u32) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    let directory = open_directory(proc, Path::of(pid, None, "/task").as_c_str())?;
    let mut buffer: Vec<u8> = Vec::with_capacity(DIRECTORY_BUFFER);
    each_number(&directory, buffer.spare_capacity_mut(), visit)
}

/// Reads the tables of all threads on the machine that differ from the table of their process.
pub(super) struct ThreadSearch<'a> {
    /// Processes that cannot be read at all.
    refusing: HashSet<u32>,
    found: &'a mut Found,
    split: &'a mut Vec<Thread>,
    /// Number of descriptors read that count against `MAX_READ`.
    read: u32,
    unread: u32,
    error: Option<domain::Errno>,
}

impl<'a> ThreadSearch<'a> {
    pub fn new(refusing: HashSet<u32>, found: &'a mut Found, split: &'a mut Vec<Thread>) -> Self {
        Self { refusing, found, split, read: 0, unread: 0, error: None }
    }

    pub fn run(&mut self, proc: &OwnedFd) -> rustix::io::Result<()> {
        // Opens /proc again, because the first walk has read `proc` to its end.
        let processes = open_directory(proc, ".")?;
        let mut buffer: Vec<u8> = Vec::with_capacity(2 * DIRECTORY_BUFFER);
        let (names, rest) = buffer.spare_capacity_mut().split_at_mut(DIRECTORY_BUFFER);
        each_number(&processes, names, |pid| {
            if self.refusing.contains(&pid) || !has_several(proc, pid) {
                return Ok(());
            }
            self.visit(proc, pid, rest)
        })
    }

    pub fn unread(&self) -> Option<UnreadThreads> {
        let (threads, error) = (self.unread, self.error);
        (threads > 0).then_some(UnreadThreads { threads, error })
    }

    fn visit(
        &mut self,
        proc: &OwnedFd,
        pid: u32,
        buffer: &mut [MaybeUninit<u8>],
    ) -> rustix::io::Result<()> {
        let mut table = ProcTables { proc, buffer };
        // One thread for each table that was read.
        let mut known = vec![pid];
        let visited = each(proc, pid, |tid| {
            let mut is_compared = true;
            let mut is_known = |&other: &u32| {
                let compared = kcmp::share_descriptors(other, tid);
                is_compared &= compared.is_ok();
                compared == Ok(true)
            };
            if tid == pid || known.iter().any(&mut is_known) {
                return Ok(());
            }
            if known.len() > MAX_TABLES {
                self.unread += 1;
                self.error = Some(domain::Errno::EFBIG);
                return Ok(());
            }
            if is_compared {
                known.push(tid);
            }
            self.read(&mut table, Thread { pid, tid }, !is_compared)
        });
        match visited {
            // The process has ended, or has become unreadable.
            Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) => Ok(()),
            other => other,
        }
    }

    /// Reads the table of a thread. With `is_bounded`, the read counts against `MAX_READ`, because
    /// kcmp(2) could not compare the table. It is probably the table of the process, which was read
    /// before.
    fn read(
        &mut self,
        table: &mut ProcTables<'_>,
        thread: Thread,
        is_bounded: bool,
    ) -> rustix::io::Result<()> {
        if is_bounded && self.read >= MAX_READ {
            self.unread += 1;
            return Ok(());
        }
        let before = self.found.pairs.len();
        match table.read(thread.pid, Some(thread.tid), self.found) {
            Ok(count) => {
                self.read += if is_bounded { count } else { 0 };
                if !is_bounded && self.found.pairs.len() > before && !self.split.contains(&thread) {
                    self.split.push(thread);
                }
            }
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(errno @ (Errno::ACCESS | Errno::PERM)) => {
                self.unread += 1;
                self.error = Some(errno.into());
            }
            Err(errno) => return Err(errno),
        }
        Ok(())
    }
}
