//! Where a report goes: standard output, or a file that appears complete or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{domain::Text, host::standard_output};

const BUFFER: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    StandardOutput,
    File(PathBuf),
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
        }
        .map_err(|source| WriteError { to: self.name(), source })
    }

    fn name(&self) -> Text {
        match self {
            Self::StandardOutput => Text::scrub("to standard output"),
            Self::File(path) => Text::scrub(path.as_os_str().as_bytes()),
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

/// Writes a new file beside `path`, then puts it in its place.
fn replace(
    path: &Path,
    permissions: Option<fs::Permissions>,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let name = format!(".portscope-{}.tmp", std::process::id());
    let temporary = path.with_file_name(name);
    let file = File::create_new(&temporary)?;
    let written = fill(file, permissions, report).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The reason to tell is why it could not be written.
        let _ = fs::remove_file(&temporary);
    }
    written
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
