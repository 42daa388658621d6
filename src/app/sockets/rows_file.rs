//! The file that the rows of the Sockets screen are written to: its name and format. Does not write.

use std::time::Duration;

use crate::domain::notation;

/// The formats of the rows, which are those of `scan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsFormat {
    Csv,
    Json,
}

/// A file for the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsFile {
    /// A path, absolute or below the current directory.
    pub name: String,
    pub format: RowsFormat,
}

impl RowsFile {
    /// Parses what was typed: the end of the name decides the format. Errors: it has another end.
    pub fn parse(typed: &str) -> Result<Self, &'static str> {
        let name = typed.trim();
        let ends = |end: &str| {
            name.len() > end.len()
                && name
                    .get(name.len() - end.len()..)
                    .is_some_and(|last| last.eq_ignore_ascii_case(end))
        };
        let format = match (ends(".csv"), ends(".json")) {
            (true, _) => RowsFormat::Csv,
            (_, true) => RowsFormat::Json,
            _ => return Err("expected a name that ends with .csv or .json"),
        };
        Ok(Self { name: name.to_owned(), format })
    }
}

/// Returns the name that the prompt offers for rows of this time (since 1970, in UTC):
/// `portscope-sockets-2026-12-01T13-04-05.csv`.
pub fn default_name(taken_at: Duration, are_groups: bool) -> String {
    let what = if are_groups { "groups" } else { "sockets" };
    format!("portscope-{what}-{}.csv", notation::file_time(taken_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_name_decides_the_format() {
        for (typed, format) in [
            ("a.csv", Some(RowsFormat::Csv)),
            (" /tmp/b.JSON ", Some(RowsFormat::Json)),
            ("日.csv", Some(RowsFormat::Csv)),
            ("csv", None),
            (".csv", None),
            ("a.txt", None),
            ("日本", None),
            ("", None),
        ] {
            assert_eq!(RowsFile::parse(typed).ok().map(|file| file.format), format, "{typed}");
        }
        let name = default_name(Duration::from_secs(1_796_130_245), false);
        assert_eq!(name, "portscope-sockets-2026-12-01T13-04-05.csv");
        assert!(RowsFile::parse(&default_name(Duration::ZERO, true)).is_ok());
    }
}
