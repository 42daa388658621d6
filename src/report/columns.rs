//! Writes aligned columns under a header, as `ss` does. Does not wrap lines.

use std::io::{self, Write};

/// Writes left-aligned columns.
pub fn write<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    out: &mut dyn Write,
) -> io::Result<()> {
    write_aligned(header, rows, |cell, width, _| format!("{cell:<width$}"), out)
}

/// Writes right-aligned columns. The first one is left-aligned.
pub fn write_numbers<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    out: &mut dyn Write,
) -> io::Result<()> {
    let pad = |cell: &str, width: usize, column: usize| match column {
        0 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    };
    write_aligned(header, rows, pad, out)
}

/// Writes the header and the rows without spaces at their end. `pad` gets a cell, the width of its
/// column, and the number of its column.
fn write_aligned<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    pad: impl Fn(&str, usize, usize) -> String,
    out: &mut dyn Write,
) -> io::Result<()> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(header[column].chars().count())
    });
    let rows = rows.iter().map(|row| row.each_ref().map(String::as_str));
    for row in std::iter::once(header).chain(rows) {
        let cells: [String; N] = std::array::from_fn(|at| pad(row[at], widths[at], at));
        writeln!(out, "{}", cells.join(" ").trim_end())?;
    }
    Ok(())
}
