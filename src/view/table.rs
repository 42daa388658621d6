//! Draws tables: which columns fit, where their cells are, which rows are visible. Does not know
//! what the columns mean.

use std::ops::Range;

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    domain::notation,
    view::{Depth, Role, Theme, surface::Surface},
};

/// Draws a cell of this width.
type DrawCell<C, R> = fn(&C, &R, usize) -> Vec<Span<'static>>;

/// A column of a table with rows of type `R`; `C` is what its cells are drawn from besides the row.
pub struct TableColumn<C, R> {
    title: &'static str,
    width: u16,
    /// Numbers are at the right of their column.
    is_right: bool,
    /// Order of dropping: if not all columns fit, the column with the highest value is dropped
    /// first. A column with 0 is never dropped.
    dropped: u8,
    /// Width up to which the column takes what the others leave.
    most: u16,
    /// Whether the rows are sorted by the column in reverse order. None: another one sorts them.
    is_ascending: Option<bool>,
    cell: DrawCell<C, R>,
}

impl<C, R> TableColumn<C, R> {
    pub fn left(title: &'static str, width: u16, dropped: u8, cell: DrawCell<C, R>) -> Self {
        Self { title, width, is_right: false, dropped, most: width, is_ascending: None, cell }
    }

    pub fn right(title: &'static str, width: u16, dropped: u8, cell: DrawCell<C, R>) -> Self {
        Self { is_right: true, ..Self::left(title, width, dropped, cell) }
    }

    #[must_use]
    pub fn up_to(self, most: u16) -> Self {
        Self { most, ..self }
    }

    /// Marks the column as the one that sorts the rows.
    #[must_use]
    pub fn sorting(self, is_ascending: bool) -> Self {
        Self { is_ascending: Some(is_ascending), ..self }
    }

    fn title(&self, theme: &Theme) -> Span<'static> {
        let mark = match self.is_ascending {
            None => return Span::raw(self.title),
            Some(false) => theme.glyph("▼", "v"),
            Some(true) => theme.glyph("▲", "^"),
        };
        Span::styled(format!("{} {mark}", self.title), theme.style(Role::Accent))
    }
}

/// The columns of a table, and what is beside them.
pub struct TableLayout<C, R> {
    columns: Vec<TableColumn<C, R>>,
    /// Width of the gap between columns.
    gap: u16,
    /// Draws the column before the first one. None: it is blank.
    flag: Option<DrawFlag<C, R>>,
}

/// Draws one character that says something of a row.
type DrawFlag<C, R> = fn(&C, &R) -> Span<'static>;

impl<C, R> From<Vec<TableColumn<C, R>>> for TableLayout<C, R> {
    fn from(columns: Vec<TableColumn<C, R>>) -> Self {
        Self { columns, gap: GAP, flag: None }
    }
}

impl<C, R> TableLayout<C, R> {
    /// Returns a table with gaps of one column, and a character before each row.
    pub fn dense(columns: Vec<TableColumn<C, R>>, flag: DrawFlag<C, R>) -> Self {
        Self { columns, gap: 1, flag: Some(flag) }
    }
}

/// Height of the line with the titles.
pub const HEAD: u16 = 1;
const GAP: u16 = 2;
const MARK: u16 = 2;

/// Draws the titles and these rows, of which one may be selected. The caller passes only the rows
/// that fit, see [`window`].
pub fn draw<C, R>(
    context: &C,
    layout: impl Into<TableLayout<C, R>>,
    rows: &[R],
    selected: Option<usize>,
    surface: &mut Surface<'_>,
) {
    let (theme, area) = (surface.theme, surface.area);
    let layout = layout.into().fitting(area.width);
    let titles = layout.columns.iter().map(|column| vec![column.title(theme)]);
    let head = layout.line(&[Span::raw("  "), Span::raw("")], titles);
    surface.lines([&head]);
    surface.buffer.set_style(Rect { height: HEAD, ..area }, theme.style(Role::Dim));
    for ((index, row), y) in rows.iter().enumerate().zip(area.y + HEAD..area.bottom()) {
        let is_selected = selected == Some(index);
        let cells = layout
            .columns
            .iter()
            .map(|column| (column.cell)(context, row, usize::from(column.width)));
        let pointer = if is_selected { theme.glyph("❯", ">") } else { " " };
        let flag = layout.flag.map_or(Span::raw(" "), |flag| flag(context, row));
        let line = layout.line(&[Span::styled(pointer, theme.style(Role::Accent)), flag], cells);
        draw_row(&line, is_selected, &mut surface.within(Rect { y, height: 1, ..area }));
    }
}

impl<C, R> TableLayout<C, R> {
    /// Drops the columns that do not fit into `width`. Those that may grow take what is left, the
    /// first one first.
    fn fitting(mut self, width: u16) -> Self {
        let gap = self.gap;
        let needed = |columns: &[TableColumn<C, R>]| {
            MARK + columns.iter().map(|column| column.width + gap).sum::<u16>() - gap
        };
        let columns = &mut self.columns;
        while columns.len() > 1 && needed(columns) > width {
            let worst = (0..columns.len()).max_by_key(|&index| columns[index].dropped);
            let Some(worst) = worst.filter(|&worst| columns[worst].dropped > 0) else { break };
            columns.remove(worst);
        }
        let mut spare = width.saturating_sub(needed(columns));
        for column in columns {
            let grown = spare.min(column.most.saturating_sub(column.width));
            column.width += grown;
            spare -= grown;
        }
        self
    }

    /// Returns the title of the column at this position of a table of this width. None: it is
    /// between columns.
    pub fn title_at(self, width: u16, x: u16) -> Option<&'static str> {
        let layout = self.fitting(width);
        let mut start = MARK;
        for column in &layout.columns {
            if (start..start + column.width).contains(&x) {
                return Some(column.title);
            }
            start += column.width + layout.gap;
        }
        None
    }

    /// Joins the cells to one line.
    fn line(
        &self,
        marks: &[Span<'static>; 2],
        cells: impl Iterator<Item = Vec<Span<'static>>>,
    ) -> Line<'static> {
        let mut line = Line::from(marks.to_vec());
        for (index, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            let width: usize = cell.iter().map(Span::width).sum();
            let padding = " ".repeat(usize::from(column.width).saturating_sub(width));
            if index > 0 {
                line.push_span(" ".repeat(usize::from(self.gap)));
            }
            if column.is_right {
                line.push_span(padding);
                line.extend(cell);
            } else {
                line.extend(cell);
                line.push_span(padding);
            }
        }
        line
    }
}

/// Draws a row. A cell that has its own background keeps it. With sixteen colours, text on the
/// background of the selected row has the default colour, because others may be unreadable there.
fn draw_row(line: &Line<'_>, is_selected: bool, surface: &mut Surface<'_>) {
    let (theme, row) = (surface.theme, surface.area);
    if is_selected {
        surface.buffer.set_style(row, theme.style(Role::Selected));
    }
    let is_plain = is_selected && theme.depth == Depth::Sixteen;
    let mut x = row.x;
    for span in &line.spans {
        let room = row.right().saturating_sub(x);
        let is_bar = span.content.starts_with('█');
        let style = match span.style {
            style if is_plain && !is_bar && style.bg.is_none() => Style { fg: None, ..style },
            style => style,
        };
        // A span without a background gets that of the row.
        x = surface.buffer.set_stringn(x, row.y, &span.content, usize::from(room), style).0;
    }
}

/// Returns the range of rows that fit into `room` lines and include the selected row.
pub fn window(total: usize, selected: Option<usize>, room: usize) -> Range<usize> {
    let start = selected.map_or(0, |index| (index + 1).saturating_sub(room));
    start..(start + room).min(total)
}

/// Formats the visible rows: `4-12 of 10,000`, `1 of 3`. Returns `None` if all rows are visible.
pub fn shown_of(window: &Range<usize>, total: usize) -> Option<String> {
    let [first, last, total_words] =
        [window.start + 1, window.end, total].map(|number| notation::grouped(number as u64));
    let last = if window.len() > 1 { format!("-{last}") } else { String::new() };
    (window.len() < total).then(|| format!("{first}{last} of {total_words}"))
}

pub fn dim(text: impl Into<String>, theme: &Theme) -> Vec<Span<'static>> {
    vec![Span::styled(text.into(), theme.style(Role::Dim))]
}

pub fn plain(text: impl Into<String>) -> Vec<Span<'static>> {
    vec![Span::styled(text.into(), Style::new())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_visible() {
        assert_eq!(window(3, None, 7), 0..3);
        assert_eq!(window(10_000, Some(6), 7), 0..7);
        assert_eq!(window(10_000, Some(9_999), 7), 9_993..10_000);
    }

    #[test]
    fn the_least_important_columns_go_first() {
        let shown = |width| -> Vec<&str> {
            let columns = [("a", 0), ("b", 2), ("c", 1)];
            let column = |(title, dropped)| {
                TableColumn::<(), ()>::left(title, 10, dropped, |(), (), _| Vec::new())
            };
            let layout = TableLayout::from(Vec::from(columns.map(column))).fitting(width);
            layout.columns.iter().map(|column| column.title).collect()
        };
        assert_eq!(shown(36), ["a", "b", "c"]);
        assert_eq!(shown(35), ["a", "c"]);
        assert_eq!(shown(1), ["a"]);
        let at = |x| {
            let column = |title| TableColumn::<(), ()>::left(title, 10, 0, |(), (), _| Vec::new());
            TableLayout::from(vec![column("a"), column("b")]).title_at(30, x)
        };
        let columns = [1, 2, 11, 12, 13, 14, 23, 24].map(at);
        let expected = [None, Some("a"), Some("a"), None, None, Some("b"), Some("b"), None];
        assert_eq!(columns, expected);
    }
}
