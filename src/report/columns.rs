//! Writes tables that fit the width of the page: leaves columns out, or writes the last column below
//! the others.

use std::{
    array,
    borrow::Cow,
    fmt,
    io::{self, Write as _},
};

use crate::report::{
    page::{Emphasis, Page, columns_of},
    paragraph,
};

/// Indent of the last column if it has lines of its own.
const BELOW: &str = "  ";
/// Shown instead of a value that is not known or does not apply.
pub const UNKNOWN: &str = "-";

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct TextColumn {
    name: &'static str,
    /// What the column shows, for the legend. Empty: the name says it.
    about: &'static str,
    is_number: bool,
    /// Position in the order in which columns are left out of a table that is too wide. None:
    /// the column is always shown.
    left_out: Option<u8>,
}

impl TextColumn {
    /// Returns a left-aligned column.
    pub const fn text(name: &'static str) -> Self {
        Self { name, about: "", is_number: false, left_out: None }
    }

    /// Returns a right-aligned column.
    pub const fn number(name: &'static str) -> Self {
        Self { is_number: true, ..Self::text(name) }
    }

    /// Lets a narrow table do without the column. Those with the lowest `order` are left out
    /// first.
    pub const fn left_out(self, order: u8) -> Self {
        Self { left_out: Some(order), ..self }
    }

    pub const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }
}

/// A value in a table.
#[derive(Clone, Debug)]
pub struct TextCell {
    text: String,
    emphasis: Emphasis,
}

impl TextCell {
    pub fn new(text: impl Into<String>, emphasis: impl Into<Emphasis>) -> Self {
        Self { text: text.into(), emphasis: emphasis.into() }
    }
}

impl From<String> for TextCell {
    fn from(text: String) -> Self {
        Self::new(text, Emphasis::Plain)
    }
}

impl From<&str> for TextCell {
    fn from(text: &str) -> Self {
        Self::new(text, Emphasis::Plain)
    }
}

/// A table with a header. `rows` are in the order of `columns`.
pub struct TextTable<const N: usize> {
    columns: [TextColumn; N],
    rows: Vec<[TextCell; N]>,
    fit: Fit<N>,
}

/// The part of a table that a page has room for.
struct Fit<const N: usize> {
    widths: [usize; N],
    is_shown: [bool; N],
    /// Whether the last column has lines of its own, because the table is too wide with it.
    is_last_below: bool,
}

impl<const N: usize> TextTable<N> {
    /// Builds the table and fits it to the width of the page.
    pub fn new(columns: [TextColumn; N], mut rows: Vec<[TextCell; N]>, page: &Page<'_>) -> Self {
        for cell in rows.iter_mut().flatten() {
            if let Cow::Owned(readable) = page.readable(&cell.text) {
                cell.text = readable;
            }
        }
        let fit = Fit::new(&columns, &rows, page.width());
        Self { columns, rows, fit }
    }

    /// Returns whether a row has more than one line, or a line is wider than the page.
    pub fn is_folded(&self) -> bool {
        self.fit.is_last_below
    }

    /// Writes the header and the rows, without spaces at the ends of the lines.
    pub fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        let header = self.columns.map(|column| TextCell::new(column.name, Emphasis::Strong));
        for (number, row) in std::iter::once(&header).chain(&self.rows).enumerate() {
            let mut line = String::new();
            for at in (0..N).filter(|&at| self.fit.is_in_line(at)) {
                let TextCell { text, emphasis } = &row[at];
                let spaces = " ".repeat(self.fit.widths[at].saturating_sub(columns_of(text)));
                let text = page.emphasized(text, *emphasis);
                let [left, right] =
                    if self.columns[at].is_number { [&*spaces, ""] } else { ["", &*spaces] };
                let separator = if line.is_empty() { "" } else { " " };
                line.extend([separator, left, &*text, right]);
            }
            writeln!(page, "{}", line.trim_end())?;
            match row.last() {
                Some(TextCell { text, emphasis }) if self.fit.is_last_below && number == 0 => {
                    writeln!(page, "{BELOW}{}", page.emphasized(text, *emphasis))?;
                }
                Some(last) if self.fit.is_last_below => {
                    paragraph::write(BELOW, &last.text, page)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns what the columns mean, and which of them are left out.
    pub fn legend(&self) -> Legend {
        let mut legend = Legend::default();
        for (column, is_shown) in self.columns.iter().zip(self.fit.is_shown) {
            match (is_shown, column.about) {
                (true, "") => {}
                (true, about) => legend.add((column.name, about)),
                (false, _) => legend.leave_out(column.name),
            }
        }
        legend
    }
}

impl<const N: usize> Fit<N> {
    fn new(columns: &[TextColumn; N], rows: &[[TextCell; N]], width: usize) -> Self {
        let widths = array::from_fn(|at| {
            let cells = rows.iter().map(|row| columns_of(&row[at].text));
            cells.max().unwrap_or(0).max(columns_of(columns[at].name))
        });
        let is_unknown = |at: usize| rows.iter().all(|row| row[at].text == UNKNOWN);
        let mut fit = Self { widths, is_shown: [true; N], is_last_below: false };
        for is_last_below in [false, true] {
            fit = Self { is_shown: [true; N], is_last_below, ..fit };
            while fit.width() > width {
                let optional =
                    (0..N).filter(|&at| fit.is_in_line(at) && columns[at].left_out.is_some());
                let least = optional.min_by_key(|&at| (!is_unknown(at), columns[at].left_out));
                let Some(least) = least else { break };
                fit.is_shown[least] = false;
            }
            if fit.width() <= width || columns[N - 1].is_number {
                break;
            }
        }
        fit
    }

    /// Returns whether the column is part of each row's first line.
    fn is_in_line(&self, at: usize) -> bool {
        self.is_shown[at] && !(self.is_last_below && at == N - 1)
    }

    fn width(&self) -> usize {
        let shown = (0..N).filter(|&at| self.is_in_line(at));
        shown.map(|at| self.widths[at] + 1).sum::<usize>().saturating_sub(1)
    }
}

/// The text below a table.
#[derive(Debug, Default)]
pub struct Legend {
    meanings: Vec<(&'static str, &'static str)>,
    left_out: Vec<&'static str>,
}

impl Legend {
    /// Adds the legend of another table.
    pub fn and(mut self, other: Self) -> Self {
        other.meanings.into_iter().for_each(|meaning| self.add(meaning));
        other.left_out.into_iter().for_each(|name| self.leave_out(name));
        self
    }

    fn add(&mut self, meaning: (&'static str, &'static str)) {
        if !self.meanings.contains(&meaning) {
            self.meanings.push(meaning);
        }
    }

    fn leave_out(&mut self, name: &'static str) {
        if !self.left_out.contains(&name) {
            self.left_out.push(name);
        }
    }

    /// Writes the legend as a paragraph; nothing if it is empty.
    pub fn write(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.meanings.is_empty() && self.left_out.is_empty() {
            return Ok(());
        }
        let width = page.width();
        let legend = fmt::from_fn(|f| {
            for (name, about) in &self.meanings {
                write!(f, "{name}: {about}. ")?;
            }
            if !self.left_out.is_empty() {
                write!(f, "Not shown in {width} columns: {}.", self.left_out.join(", "))?;
            }
            Ok(())
        });
        paragraph::write("", &legend.to_string(), page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::PageStyle;

    const COLUMNS: [TextColumn; 4] = [
        TextColumn::text("NAME"),
        TextColumn::number("USED").left_out(2).about("ports in use"),
        TextColumn::number("GROWTH").left_out(1),
        TextColumn::text("OWNERS"),
    ];

    fn written(width: usize, owners: &str) -> String {
        let mut out = Vec::new();
        let style = PageStyle { width: Some(width), ..PageStyle::default() };
        let mut page = Page::new(&mut out, style);
        let rows = vec![
            ["tcp", "28,232", "+9/s", owners].map(TextCell::from),
            ["udp", "1", "-", "-"].map(TextCell::from),
        ];
        let table = TextTable::new(COLUMNS, rows, &page);
        table.write(&mut page).unwrap();
        table.legend().write(&mut page).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_right_aligned_and_no_line_ends_with_spaces() {
        let table = "NAME   USED GROWTH OWNERS\n\
                     tcp  28,232   +9/s node[812]\n\
                     udp       1      - -\n\
                     USED: ports in use.\n";
        assert_eq!(written(80, "node[812]"), table);
    }

    #[test]
    fn a_narrow_table_leaves_columns_out_and_says_so() {
        let table = "NAME   USED OWNERS\n\
                     tcp  28,232 node[812]\n\
                     udp       1 -\n\
                     USED: ports in use.\n\
                     Not shown in 22\n\
                     columns: GROWTH.\n";
        assert_eq!(written(22, "node[812]"), table);
    }

    #[test]
    fn an_east_asian_character_has_two_columns() {
        let table = written(80, "数据库[812]");
        assert!(table.contains("tcp  28,232   +9/s 数据库[812]\n"), "{table}");
        let narrow = written("tcp  28,232   +9/s 数据库[812]".chars().count(), "数据库[812]");
        assert!(narrow.contains("tcp  28,232 数据库[812]\n"), "{narrow}");
    }

    #[test]
    fn an_owner_is_never_cut() {
        let table = written(19, "payments-api[812] 64");
        assert!(table.contains("tcp  28,232   +9/s\n  payments-api[812]\n  64\n"), "{table}");
    }
}
