//! Where a report goes: standard output, a pipe or device, or a regular file, which appears
//! complete or not at all; and what the terminal and the locale can show.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufWriter, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    cli::{args::ColorName, locale, tui},
    domain::{Errno, Text},
    host::{
        linux::output_file::{self, OutputFile},
        standard_output,
    },
    report::{Page, PageStyle},
    view::theme::Depth,
};

/// Size of the output buffer, in bytes.
const BUFFER: usize = 64 * 1024;

/// An error of writing, and the name of the target.
#[derive(Debug, thiserror::Error)]
#[error("could not write {to}: {}", described(.source))]
pub struct WriteError {
    to: Text,
    source: io::Error,
}

/// Formats an error as in `Permission denied (EACCES)`. Leaves out an errno that has no name in
/// [`Errno`], because its number says no more than libc's text.
pub fn described(error: &io::Error) -> String {
    let words = error.to_string();
    let mut described = match (error.raw_os_error(), words.rsplit_once(" (os error ")) {
        (Some(number), Some((words, _))) => match Errno(number).name() {
            name if name.starts_with("errno ") => words.to_owned(),
            name => format!("{words} ({name})"),
        },
        _ => words,
    };
    if error.kind() == io::ErrorKind::IsADirectory {
        described.push_str(": expected a file");
    }
    described
}

impl WriteError {
    /// Creates the error of a file; None: of standard output.
    fn of(to: Option<&Path>, source: io::Error) -> Self {
        let name = to.map_or(&b"to standard output"[..], |path| path.as_os_str().as_bytes());
        Self { to: Text::scrub(name), source }
    }

    pub fn is_closed_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Parses the name of a file.
pub fn parse(typed: &OsStr) -> Result<PathBuf, &'static str> {
    if typed.is_empty() { Err("expected a file") } else { Ok(typed.into()) }
}

/// Writes the report through a buffer. Errors: not all of it was written, or the file could not be
/// created.
pub fn write(
    to: Option<&Path>,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    write_marked(to, None, report)
}

/// Writes a report whose text has the width, the colours and the characters of the terminal.
pub fn write_page(
    to: Option<&Path>,
    color: ColorName,
    report: impl FnOnce(&mut Page<'_>) -> io::Result<()>,
) -> Result<(), WriteError> {
    write_marked_page(to, color, None, report)
}

/// Same as [`write_page`], with a mark as in [`write_marked`].
pub fn write_marked_page(
    to: Option<&Path>,
    color: ColorName,
    mark: Option<&'static str>,
    report: impl FnOnce(&mut Page<'_>) -> io::Result<()>,
) -> Result<(), WriteError> {
    let style = page_style(to, color);
    write_marked(to, mark, |out| report(&mut Page::new(out, style)))
}

fn page_style(to: Option<&Path>, color: ColorName) -> PageStyle {
    let terminal = if to.is_none() { standard_output::terminal() } else { None };
    let is_colored = match color {
        ColorName::Auto => terminal.is_some() && tui::depth(color) > Depth::Monochrome,
        _ => tui::depth(color) > Depth::Monochrome,
    };
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    PageStyle {
        width: columns.filter(|&columns| columns > 0).or(terminal.and_then(|t| t.columns)),
        has_color: is_colored,
        is_ascii: !locale::is_utf8(),
    }
}

/// Same as [`write`], for a file that is written again and again, perhaps by root. With a `mark`,
/// follows no symbolic link, and replaces only a file of this user that is empty or begins with
/// `mark`.
pub fn write_marked(
    to: Option<&Path>,
    mark: Option<&'static str>,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    OpenOutput::open_marked(to, mark)?.write(report)
}

/// Same as [`write_marked`], but refuses pipes and devices, so that the write does not wait for a
/// reader.
pub fn write_regular(
    to: &Path,
    mark: &'static str,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let opened = output_file::open_regular(to, mark);
    let file = opened.map_err(|source| WriteError::of(Some(to), source))?;
    OpenOutput { to: Some(to), file: Some(file) }.write(report)
}

/// Where a report goes, opened before the report is known.
pub struct OpenOutput<'a> {
    to: Option<&'a Path>,
    /// None: standard output.
    file: Option<OutputFile>,
}

impl<'a> OpenOutput<'a> {
    /// Opens the file, or checks that there is a standard output. Errors: the report could not be
    /// written there.
    pub fn open(to: Option<&'a Path>) -> Result<Self, WriteError> {
        Self::open_marked(to, None)
    }

    fn open_marked(to: Option<&'a Path>, mark: Option<&'static str>) -> Result<Self, WriteError> {
        let opened = match to {
            None => standard_output::open().map(|_| None),
            Some(path) => output_file::open(path, mark).map(Some),
        };
        let file = opened.map_err(|source| WriteError::of(to, source))?;
        Ok(Self { to, file })
    }

    /// Writes the report through a buffer. Errors: not all of it was written.
    pub fn write(
        self,
        report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let written = match self.file {
            None => standard_output::open().and_then(|out| write_all(out, report)).map(drop),
            Some(file) => write_file(file, report),
        };
        written.map_err(|source| WriteError::of(self.to, source))
    }

    /// Same as `write`, with the width, the colours and the characters of the terminal.
    pub fn write_page(
        self,
        color: ColorName,
        report: impl FnOnce(&mut Page<'_>) -> io::Result<()>,
    ) -> Result<(), WriteError> {
        let style = page_style(self.to, color);
        self.write(|out| report(&mut Page::new(out, style)))
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
    file: OutputFile,
    report: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match file {
        OutputFile::Existing(file) => write_all(file, report).map(drop),
        OutputFile::New(new) => {
            write_all(new.file(), report)?;
            new.publish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_has_the_name_of_its_errno_and_a_directory_is_named() {
        let error = |errno: i32| {
            let source = io::Error::from_raw_os_error(errno);
            WriteError { to: Text::scrub("/x"), source }.to_string()
        };
        assert_eq!(error(Errno::EACCES.0), "could not write /x: Permission denied (EACCES)");
        assert!(error(21).starts_with("could not write /x: Is a directory"));
        assert!(error(21).ends_with(": expected a file"));
        assert!(!error(28).contains("error 28") && !error(28).contains("errno 28"));
    }
}
