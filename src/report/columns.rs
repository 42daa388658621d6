//! Writes aligned columns under a header, as `ss` does. Does not wrap lines.

use std::io::{self, Write};

/// Writes the header and the rows. The last column is not padded.
pub fn write<const N: usize>(
    header: [&str; N],
    rows: &[[String; N]],
    out: &mut dyn Write,
) -> io::Result<()> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(header[column].chars().count())
    });
    write_row(header, widths, out)?;
    rows.iter().try_for_each(|row| write_row(row.each_ref().map(String::as_str), widths, out))
}

fn write_row<const N: usize>(
    cells: [&str; N],
    widths: [usize; N],
    out: &mut dyn Write,
) -> io::Result<()> {
    let padded = cells.into_iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
    writeln!(out, "{}", padded.collect::<Vec<_>>().join(" ").trim_end())
}
