//! Opens files for reports so that no other user can redirect or block the write. Does not create
//! the report.
//!
//! Each name is looked up relative to a folder that is opened once. A regular file gets its name
//! when the report is complete; until then it has none, or a temporary one. Pipes, devices and open
//! descriptors are written to directly.

mod file_name;
mod stale;

use std::{
    ffi::CString,
    fs::{File, Metadata},
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, linkat, openat,
        renameat, renameat_with, unlinkat,
    },
    io::Errno,
};

use crate::host::{signals, standard_output};

use file_name::{ExistingFile, FileName, OPEN_FOLDERS, belongs_to, has_changed};

/// Maximum number of temporary names found in use before creating a file fails.
const MAX_NAMES: u32 = 100;
/// Maximum number of checks of the target by `publish`. Another process may create or remove the
/// target between a check and the next step.
const MAX_CHANGES: u32 = 10;
/// Permission bits read, write and execute; never set-user-ID, set-group-ID and sticky.
const PERMISSIONS: u32 = 0o777;

/// The file that a report is written to.
#[derive(Debug)]
pub enum OutputFile {
    /// A pipe, a device, or a duplicate of an open descriptor (`/dev/fd/N`).
    Existing(File),
    New(NewFile),
}

/// Opens `path` for a report. Without a `mark`, follows a symbolic link at `path`. With a `mark`,
/// refuses one, and replaces only a file that belongs to this user and is empty or begins with the
/// mark. Links in the directories of `path` are always followed.
pub fn open(path: &Path, mark: Option<&'static str>) -> io::Result<OutputFile> {
    let file_name = match mark {
        None => FileName::resolve_links(path)?,
        Some(_) => FileName::of(CWD, path.as_os_str().as_bytes())?,
    };
    match file_name.inspect(mark)? {
        ExistingFile::None => NewFile::create(file_name, mark, None).map(OutputFile::New),
        ExistingFile::File(old) => {
            NewFile::create(file_name, mark, Some(&old)).map(OutputFile::New)
        }
        ExistingFile::Special => file_name.open_special().map(OutputFile::Existing),
        ExistingFile::Descriptor(number) => duplicate(number).map(OutputFile::Existing),
    }
}

/// Opens `path` like `open` with a `mark`, but refuses pipes, devices and open descriptors: a write
/// to one of them may block without end.
pub fn open_regular(path: &Path, mark: &'static str) -> io::Result<OutputFile> {
    let file_name = FileName::of(CWD, path.as_os_str().as_bytes())?;
    let old = match file_name.inspect(Some(mark))? {
        ExistingFile::None => None,
        ExistingFile::File(old) => Some(old),
        ExistingFile::Special | ExistingFile::Descriptor(_) => {
            return Err(io::Error::other("it is a pipe or a device: expected a file"));
        }
    };
    NewFile::create(file_name, Some(mark), old.as_ref()).map(OutputFile::New)
}

/// Duplicates the descriptor. Opening the file again would start to write at its beginning.
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
    file_name: FileName,
    mark: Option<&'static str>,
    file: File,
    /// The temporary name, if the file has one: on file systems without O_TMPFILE (NFS, old
    /// overlayfs), without /proc, and for a moment before an old file is replaced.
    temporary: Option<CString>,
}

impl NewFile {
    /// Creates the file, with owner and permissions of the old file, if there is one.
    fn create(
        file_name: FileName,
        mark: Option<&'static str>,
        old: Option<&Metadata>,
    ) -> io::Result<Self> {
        stale::remove(&file_name.folder);
        let mode = if old.is_some() { 0o600 } else { 0o666 };
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let nameless = openat(&file_name.folder, c".", flags, Mode::from_raw_mode(mode));
        let (file, temporary) = match nameless {
            // Without /proc, `give_name` may be unable to give the file a name later.
            Ok(file) if rustix::fs::stat(OPEN_FOLDERS).is_ok() => (file, None),
            Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                let (name, file) = create_named(&file_name.folder, Mode::from_raw_mode(mode))?;
                (file, Some(name))
            }
            Err(errno) => return Err(errno.into()),
        };
        let new = Self { file_name, mark, file: file.into(), temporary };
        if let Some(old) = old {
            new.copy_attributes(old)?;
        }
        Ok(new)
    }

    fn copy_attributes(&self, old: &Metadata) -> io::Result<()> {
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
            // The new group must not get the permissions of the old group.
            mode &= 0o707;
        }
        Ok(fchmod(&self.file, Mode::from_raw_mode(mode))?)
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, after checking again which file has that name now. Errors: another
    /// process has changed that file, or the data or the name cannot be written.
    pub fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        for _ in 0..MAX_CHANGES {
            match self.file_name.inspect(self.mark)? {
                ExistingFile::None => match self.give_name(&self.file_name.name) {
                    Ok(()) => {
                        self.temporary = None;
                        return Ok(());
                    }
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno.into()),
                },
                ExistingFile::File(old) if old.uid() == self.file.metadata()?.uid() => {
                    return signals::without_interruption(|| self.replace());
                }
                _ => return Err(has_changed()),
            }
        }
        Err(has_changed())
    }

    /// Gives the file the name `name`. Fails with EEXIST if the name is in use.
    fn give_name(&self, name: &CString) -> Result<(), Errno> {
        let folder = &self.file_name.folder;
        if let Some(temporary) = &self.temporary {
            let moved = renameat_with(folder, temporary, folder, name, RenameFlags::NOREPLACE);
            if !matches!(moved, Err(Errno::INVAL | Errno::NOSYS)) {
                return moved;
            }
            linkat(folder, temporary, folder, name, AtFlags::empty())?;
            return unlinkat(folder, temporary, AtFlags::empty());
        }
        // Without CAP_DAC_READ_SEARCH, AT_EMPTY_PATH works only since Linux 6.10.
        let linked = linkat(&self.file, c"", folder, name, AtFlags::EMPTY_PATH);
        if matches!(linked, Ok(()) | Err(Errno::EXIST)) {
            return linked;
        }
        let path = format!("{OPEN_FOLDERS}/{}", self.file.as_raw_fd());
        linkat(CWD, path, folder, name, AtFlags::SYMLINK_FOLLOW)
    }

    /// Replaces the old file atomically. Call it with signals blocked, because one that ends the
    /// process between the steps would leave a file with a temporary name.
    fn replace(&mut self) -> io::Result<()> {
        if self.temporary.is_none() {
            let ((), name) = with_free_name(|name| self.give_name(name))?;
            self.temporary = Some(name);
        }
        let folder = &self.file_name.folder;
        let temporary = self.temporary.as_ref().expect("it was given a name above");
        renameat(folder, temporary, folder, &self.file_name.name)?;
        self.temporary = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // An error here is ignored: the caller reports why the file was not published.
            let _ = unlinkat(&self.file_name.folder, temporary, AtFlags::empty());
        }
    }
}

fn create_named(folder: &OwnedFd, mode: Mode) -> io::Result<(CString, OwnedFd)> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let (file, name) = with_free_name(|name| openat(folder, name, flags, mode))?;
    Ok((name, file))
}

/// Tries temporary names until one is not in use. The pid in a name does not make it unique,
/// because it can be the same for each run in a container.
fn with_free_name<T>(
    mut attempt: impl FnMut(&CString) -> Result<T, Errno>,
) -> io::Result<(T, CString)> {
    let mut number = 0;
    loop {
        let name = CString::new(stale::name(number)).expect("a temporary name has no NUL");
        match attempt(&name) {
            Err(Errno::EXIST) if number < MAX_NAMES => number += 1,
            done => return Ok((done?, name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::PathBuf};

    use super::*;

    /// Creates a file as on a file system that has no files without a name.
    fn named(folder: &Path) -> NewFile {
        let path = folder.join("report");
        let file_name = FileName::of(CWD, path.as_os_str().as_bytes()).unwrap();
        let (name, file) = create_named(&file_name.folder, Mode::from_raw_mode(0o666)).unwrap();
        NewFile { file_name, mark: None, file: file.into(), temporary: Some(name) }
    }

    fn names(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into()).collect()
    }

    #[test]
    fn a_named_temporary_file_is_renamed_on_publish_and_removed_on_drop() {
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
