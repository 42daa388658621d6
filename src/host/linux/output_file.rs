//! Files for reports, opened so that no other user can redirect or block the write. Not the report.
//!
//! Each name is looked up relative to a folder that is opened once. A report is written to a file
//! without a name, which gets its name when it is complete.

mod stale;

use std::{
    ffi::{CString, OsStr},
    fs::{File, Metadata},
    io::{self, Read as _},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
        unix::{
            ffi::OsStrExt as _,
            fs::{FileTypeExt as _, MetadataExt as _},
        },
    },
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, fcntl_getfl,
        fcntl_setfl, linkat, openat, readlinkat, renameat, renameat_with, unlinkat,
    },
    io::Errno,
};

use crate::host::{linux::users, signals, standard_output};

/// As in the kernel (MAXSYMLINKS).
const MOST_LINKS: u32 = 40;
/// Names of temporary files that may be in use already.
const MOST_NAMES: u32 = 100;
/// How often the target may appear or vanish between the check and the write.
const MOST_CHANGES: u32 = 10;
/// Read, write and execute; never set-user-ID, set-group-ID and sticky.
const PERMISSIONS: u32 = 0o777;
const OPEN_FOLDERS: &str = "/proc/self/fd";

/// What a report is written to.
#[derive(Debug)]
pub enum OutputFile {
    /// A pipe or a device, or a descriptor that we were started with.
    Existing(File),
    New(NewFile),
}

/// Opens `path` for a report. With a `mark` only a file is replaced that belongs to us and begins
/// with the mark or is empty, and a symbolic link is never followed.
pub fn open(path: &Path, mark: Option<&'static str>) -> io::Result<OutputFile> {
    let place = match mark {
        None => Place::behind_links(path)?,
        Some(_) => Place::of(CWD, path.as_os_str().as_bytes())?,
    };
    match place.look(mark)? {
        Occupant::None => NewFile::create(place, mark, None).map(OutputFile::New),
        Occupant::File(old) => NewFile::create(place, mark, Some(&old)).map(OutputFile::New),
        Occupant::Special => place.open_special().map(OutputFile::Existing),
        Occupant::Descriptor(number) => duplicate(number).map(OutputFile::Existing),
    }
}

/// A name in an opened folder.
#[derive(Debug)]
struct Place {
    folder: OwnedFd,
    name: CString,
}

/// What has the name of a place.
enum Occupant {
    None,
    File(Metadata),
    Special,
    /// `/dev/fd/N` of this process.
    Descriptor(RawFd),
}

impl Place {
    /// `path` is relative to `from`.
    fn of(from: BorrowedFd<'_>, path: &[u8]) -> io::Result<Self> {
        let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let (folder, name) = path.split_at(start);
        if matches!(name, b"" | b"." | b"..") {
            return Err(if path.is_empty() { Errno::NOENT } else { Errno::ISDIR }.into());
        }
        let folder = if folder.is_empty() { b"." } else { folder };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(from, OsStr::from_bytes(folder), flags, Mode::empty())?;
        Ok(Self { folder, name: CString::new(name)? })
    }

    /// The place that the links at `path` lead to.
    fn behind_links(path: &Path) -> io::Result<Self> {
        let mut place = Self::of(CWD, path.as_os_str().as_bytes())?;
        for _ in 0..MOST_LINKS {
            let Some((link, found)) = place.find()? else { return Ok(place) };
            if !found.is_symlink() || place.descriptor().is_some() {
                return Ok(place);
            }
            place.check_is_safe(&found)?;
            let target = readlinkat(&link, c"", Vec::new())?;
            place = Self::of(place.folder.as_fd(), target.as_bytes())?;
        }
        Err(Errno::LOOP.into())
    }

    /// What has the name, without following a link.
    fn find(&self) -> io::Result<Option<(File, Metadata)>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.folder, &self.name, flags, Mode::empty()) {
            Ok(found) => {
                let found = File::from(found);
                let metadata = found.metadata()?;
                Ok(Some((found, metadata)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Errors: it must not be written to, or not be replaced.
    fn look(&self, mark: Option<&str>) -> io::Result<Occupant> {
        let Some((_, found)) = self.find()? else { return Ok(Occupant::None) };
        if let Some(number) = self.descriptor() {
            return Ok(Occupant::Descriptor(number));
        }
        let kind = found.file_type();
        if kind.is_dir() {
            return Err(Errno::ISDIR.into());
        }
        if kind.is_symlink() {
            return Err(if mark.is_some() { is_link() } else { has_changed() });
        }
        match mark {
            Some(mark) if kind.is_file() => {
                check_owner(&found)?;
                return self.check_is_ours(mark).map(Occupant::File);
            }
            _ => self.check_is_safe(&found)?,
        }
        if kind.is_socket() {
            return Err(io::Error::other("it is a socket"));
        }
        Ok(if kind.is_file() { Occupant::File(found) } else { Occupant::Special })
    }

    /// The N of `/dev/fd/N`, if the folder is that of this process.
    fn descriptor(&self) -> Option<RawFd> {
        let number = self.name.to_str().ok()?.parse().ok()?;
        let folder = rustix::fs::fstat(&self.folder).ok()?;
        let own = rustix::fs::stat(OPEN_FOLDERS).ok()?;
        ((folder.st_dev, folder.st_ino) == (own.st_dev, own.st_ino)).then_some(number)
    }

    /// Refuses what another user may have put into a folder that is not only ours, to have us write
    /// somewhere else or to get what we write: as fs.protected_symlinks (proc_sys_fs(5)) does for
    /// links, and for folders without the sticky bit as well.
    fn check_is_safe(&self, found: &Metadata) -> io::Result<()> {
        let is_trusted = |uid| uid == 0 || uid == users::effective();
        if is_trusted(found.uid()) {
            return Ok(());
        }
        let folder = rustix::fs::fstat(&self.folder)?;
        // In a user namespace the host's /dev belongs to a user who is not known there.
        let is_unmapped = || {
            folder.st_uid == found.uid()
                && users::unmapped()
                    .is_some_and(|other| other.uid == found.uid() && !other.is_mapped)
        };
        if folder.st_mode & 0o022 == 0 && (is_trusted(folder.st_uid) || is_unmapped()) {
            return Ok(());
        }
        let what = if found.is_symlink() { "it is a symbolic link that" } else { "it" };
        Err(io::Error::other(format!(
            "{what} belongs to user {} in a folder that others may write to",
            found.uid()
        )))
    }

    /// Of what is opened here, which need not be what was found before.
    fn check_is_ours(&self, mark: &str) -> io::Result<Metadata> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = match openat(&self.folder, &self.name, flags, Mode::empty()) {
            Err(Errno::LOOP) => return Err(is_link()),
            Err(Errno::NOENT | Errno::NXIO) => return Err(has_changed()),
            opened => File::from(opened?),
        };
        let found = opened.metadata()?;
        if !found.is_file() {
            return Err(has_changed());
        }
        check_owner(&found)?;
        let mut head = Vec::new();
        opened.take(mark.len() as u64).read_to_end(&mut head)?;
        if head.is_empty() || head == mark.as_bytes() {
            return Ok(found);
        }
        Err(io::Error::other(format!(
            "it was not written by portscope (its first line does not begin with '{}'): move it \
             away, or name another file",
            mark.trim_end()
        )))
    }

    /// Opens a pipe or a device. Does not wait for a reader; writes wait as usual.
    fn open_special(&self) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = match openat(&self.folder, &self.name, flags, Mode::empty()) {
            Err(Errno::NXIO) => {
                return Err(io::Error::other("it is a pipe that nobody reads"));
            }
            Err(Errno::LOOP | Errno::NOENT) => return Err(has_changed()),
            opened => File::from(opened?),
        };
        if opened.metadata()?.is_file() {
            return Err(has_changed());
        }
        fcntl_setfl(&opened, fcntl_getfl(&opened)? - OFlags::NONBLOCK)?;
        Ok(opened)
    }
}

/// The descriptor itself: opened again, it would write at the start of a file.
fn duplicate(number: RawFd) -> io::Result<File> {
    if number == 1 {
        drop(standard_output::open()?);
    }
    #[expect(unsafe_code, reason = "used for one call, which fails with EBADF if it is not open")]
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?.into())
}

/// A file that gets its name when it is complete.
#[derive(Debug)]
pub struct NewFile {
    place: Place,
    mark: Option<&'static str>,
    file: File,
    /// Where the file system has no files without a name (NFS, old overlays), and for the moment
    /// before an old file is replaced.
    temporary: Option<CString>,
}

impl NewFile {
    /// With owner and permissions of the old file, if there is one.
    fn create(
        place: Place,
        mark: Option<&'static str>,
        old: Option<&Metadata>,
    ) -> io::Result<Self> {
        stale::remove(&place.folder);
        let mode = if old.is_some() { 0o600 } else { 0o666 };
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let nameless = openat(&place.folder, c".", flags, Mode::from_raw_mode(mode));
        let (file, temporary) = match nameless {
            // Without /proc it could not be given a name.
            Ok(file) if rustix::fs::stat(OPEN_FOLDERS).is_ok() => (file, None),
            Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                let (name, file) = create_named(&place.folder, Mode::from_raw_mode(mode))?;
                (file, Some(name))
            }
            Err(errno) => return Err(errno.into()),
        };
        let new = Self { place, mark, file: file.into(), temporary };
        if let Some(old) = old {
            new.resemble(old)?;
        }
        Ok(new)
    }

    fn resemble(&self, old: &Metadata) -> io::Result<()> {
        let new = self.file.metadata()?;
        let mut mode = old.mode() & PERMISSIONS;
        if new.uid() != old.uid()
            && fchown(&self.file, Some(Uid::from_raw(old.uid())), None).is_err()
        {
            return Err(belongs_to(old));
        }
        if new.gid() != old.gid()
            && fchown(&self.file, None, Some(Gid::from_raw(old.gid()))).is_err()
        {
            // What the old group might do, ours must not.
            mode &= 0o707;
        }
        Ok(fchmod(&self.file, Mode::from_raw_mode(mode))?)
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name. What has that name is checked again.
    pub fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        for _ in 0..MOST_CHANGES {
            match self.place.look(self.mark)? {
                Occupant::None => match self.give_name(&self.place.name) {
                    Ok(()) => {
                        self.temporary = None;
                        return Ok(());
                    }
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno.into()),
                },
                Occupant::File(old) if old.uid() == self.file.metadata()?.uid() => {
                    return self.replace();
                }
                _ => return Err(has_changed()),
            }
        }
        Err(has_changed())
    }

    /// Fails with EEXIST if something has that name.
    fn give_name(&self, name: &CString) -> Result<(), Errno> {
        let folder = &self.place.folder;
        if let Some(temporary) = &self.temporary {
            let moved = renameat_with(folder, temporary, folder, name, RenameFlags::NOREPLACE);
            if !matches!(moved, Err(Errno::INVAL | Errno::NOSYS)) {
                return moved;
            }
            linkat(folder, temporary, folder, name, AtFlags::empty())?;
            return unlinkat(folder, temporary, AtFlags::empty());
        }
        // Without a privilege only newer kernels link by the descriptor alone.
        let linked = linkat(&self.file, c"", folder, name, AtFlags::EMPTY_PATH);
        if matches!(linked, Ok(()) | Err(Errno::EXIST)) {
            return linked;
        }
        let path = format!("{OPEN_FOLDERS}/{}", self.file.as_raw_fd());
        linkat(CWD, path, folder, name, AtFlags::SYMLINK_FOLLOW)
    }

    /// The old file goes in the same moment. A signal between the steps would leave a temporary name.
    fn replace(&mut self) -> io::Result<()> {
        signals::without_interruption(|| self.rename_over_old())
    }

    fn rename_over_old(&mut self) -> io::Result<()> {
        if self.temporary.is_none() {
            let ((), name) = with_free_name(|name| self.give_name(name))?;
            self.temporary = Some(name);
        }
        let folder = &self.place.folder;
        let temporary = self.temporary.as_ref().expect("it was given a name above");
        renameat(folder, temporary, folder, &self.place.name)?;
        self.temporary = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The error to report is why the file was not published.
            let _ = unlinkat(&self.place.folder, temporary, AtFlags::empty());
        }
    }
}

fn create_named(folder: &OwnedFd, mode: Mode) -> io::Result<(CString, OwnedFd)> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let (file, name) = with_free_name(|name| openat(folder, name, flags, mode))?;
    Ok((name, file))
}

/// Tries names of temporary files until one is not in use: in a container each run has the same pid.
fn with_free_name<T>(
    mut attempt: impl FnMut(&CString) -> Result<T, Errno>,
) -> io::Result<(T, CString)> {
    let mut number = 0;
    loop {
        let name = CString::new(stale::name(number)).expect("digits have no NUL");
        match attempt(&name) {
            Err(Errno::EXIST) if number < MOST_NAMES => number += 1,
            done => return Ok((done?, name)),
        }
    }
}

fn check_owner(found: &Metadata) -> io::Result<()> {
    if found.uid() == users::effective() { Ok(()) } else { Err(belongs_to(found)) }
}

fn belongs_to(found: &Metadata) -> io::Error {
    let (owner, us) = (found.uid(), users::effective());
    io::Error::other(format!("it belongs to user {owner}, not to user {us} who runs portscope"))
}

fn is_link() -> io::Error {
    io::Error::other("it is a symbolic link, and would be replaced: name the file that it leads to")
}

fn has_changed() -> io::Error {
    io::Error::other("another process has changed it meanwhile")
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::PathBuf};

    use super::*;

    /// As on a file system that has no files without a name.
    fn named(folder: &Path) -> NewFile {
        let path = folder.join("report");
        let place = Place::of(CWD, path.as_os_str().as_bytes()).unwrap();
        let (name, file) = create_named(&place.folder, Mode::from_raw_mode(0o666)).unwrap();
        NewFile { place, mark: None, file: file.into(), temporary: Some(name) }
    }

    fn names(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into()).collect()
    }

    #[test]
    fn without_nameless_files_a_temporary_one_takes_the_place_or_goes() {
        let folder = std::env::temp_dir().join(format!("portscope-named-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let (first, second, third) = (named(&folder), named(&folder), named(&folder));
        assert_eq!(names(&folder).len(), 3);
        first.file().write_all(b"first").unwrap();
        first.publish().unwrap();
        second.file().write_all(b"second").unwrap();
        second.publish().unwrap();
        drop(third);
        assert_eq!(names(&folder), [PathBuf::from("report")]);
        assert_eq!(fs::read(folder.join("report")).unwrap(), b"second");
        fs::remove_dir_all(&folder).unwrap();
    }
}
