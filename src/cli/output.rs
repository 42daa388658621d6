//! Where a report goes: standard output, or a file that appears complete or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read as _, Write},
    os::unix::{ffi::OsStrExt, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use crate::{
    domain::Text,
    host::{linux::users, standard_output},
};

const BUFFER: usize = 64 * 1024;
/// Files that killed runs of one process number left behind, before we give up.
const MOST_LEFT: u32 = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    StandardOutput,
    File(PathBuf),
    /// A file that we write again and again, perhaps as root: nothing else is ever replaced.
    OwnFile {
        path: PathBuf,
        /// How each file of ours begins.
        mark: &'static str,
    },
}

/// What could not be written, and why.
#[derive(Debug, thiserror::Error)]
#[error("could not write {to}: {source}")]
pub struct WriteError {
    to: Text,
    source: io::Error,
}

impl WriteError {
    pub fn is_closed_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

impl Destination {
    /// Buffers what `report` writes, and makes sure that all of it arrived.
    pub fn write(
        &self,
        report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        match self {
            Self::StandardOutput => {
                standard_output::open().and_then(|out| write_all(out, report)).map(drop)
            }
            Self::File(path) => write_file(path, report),
            Self::OwnFile { path, mark } => write_own_file(path, mark, report),
        }
        .map_err(|source| WriteError { to: self.name(), source })
    }

    fn name(&self) -> Text {
        match self {
            Self::StandardOutput => Text::scrub("to standard output"),
            Self::File(path) | Self::OwnFile { path, .. } => {
                Text::scrub(path.as_os_str().as_bytes())
            }
        }
    }
}

fn write_all<W: Write>(
    out: W,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<W> {
    let mut buffered = BufWriter::with_capacity(BUFFER, out);
    report(&mut buffered)?;
    let mut out = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    out.flush()?;
    Ok(out)
}

fn write_file(
    path: &Path,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {
            // Behind a link stands the file that is meant; the link stays.
            replace(&fs::canonicalize(path)?, Some(found.permissions()), report)
        }
        // A pipe or a device must never be replaced by a file.
        Ok(_) => write_all(OpenOptions::new().write(true).open(path)?, report).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => replace(path, None, report),
        Err(error) => Err(error),
    }
}

fn write_own_file(
    path: &Path,
    mark: &str,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(io::Error::other(
            "it is a symbolic link, and would be replaced: name the file that it leads to",
        )),
        Ok(found) if found.is_file() => {
            check_is_ours(path, &found, mark)?;
            replace(path, Some(found.permissions()), report)
        }
        _ => write_file(path, report),
    }
}

/// Empty, or written by us before.
fn check_is_ours(path: &Path, found: &fs::Metadata, mark: &str) -> io::Result<()> {
    let us = users::effective();
    if found.uid() != us {
        return Err(io::Error::other(format!(
            "it belongs to user {}, not to user {us} who runs portscope",
            found.uid()
        )));
    }
    let mut head = Vec::new();
    File::open(path)?.take(mark.len() as u64).read_to_end(&mut head)?;
    if head.is_empty() || head == mark.as_bytes() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it was not written by portscope (its first line does not begin with '{}'): move it away, \
         or name another file",
        mark.trim_end()
    )))
}

/// Writes a new file beside `path`, then puts it in its place.
fn replace(
    path: &Path,
    permissions: Option<fs::Permissions>,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let (temporary, file) = create_beside(path)?;
    let written = fill(file, permissions, report).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The reason to tell is why it could not be written.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A new file under a name that nobody has: one of our number may have been killed while it wrote,
/// and in a container each run has the same number.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let name = format!(".portscope-{}-{number}.tmp", std::process::id());
        let temporary = path.with_file_name(name);
        match File::create_new(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MOST_LEFT => {
                number += 1;
            }
            created => return created.map(|file| (temporary, file)),
        }
    }
}

fn fill(
    file: File,
    permissions: Option<fs::Permissions>,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    write_all(file, report)?.sync_all()
}
