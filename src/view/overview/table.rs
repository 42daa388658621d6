//! Lays out tables: which columns fit, where their cells are, which rows are visible. Does not know
//! what the columns mean.

use std::ops::Range;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{OverviewContext, areas::HEAD};
use crate::{
    app::overview::OverviewList,
    domain::notation,
    view::{Depth, Role, Theme},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    /// For numbers.
    Right,
}

#[derive(Clone, Debug)]
pub struct TableColumn {
    pub title: &'static str,
    pub width: u16,
    pub align: Align,
    /// Order of dropping: if not all columns fit, the column with the highest value is dropped
    /// first. A column with 0 is never dropped.
    pub dropped: u8,
}

/// Width of the gap between columns.
const GAP: u16 = 2;
const MARK: u16 = 2;

/// Returns the indices of the columns that fit into `width`.
pub fn fitting(columns: &[TableColumn], width: u16) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let needed = |kept: &[usize]| {
        MARK + kept.iter().map(|&index| columns[index].width + GAP).sum::<u16>() - GAP
    };
    while kept.len() > 1 && needed(&kept) > width {
        let Some(worst) = (0..kept.len()).max_by_key(|&at| columns[kept[at]].dropped) else {
            break;
        };
        if columns[kept[worst]].dropped == 0 {
            break;
        }
        kept.remove(worst);
    }
    kept
}

/// Returns the width that the kept columns leave unused.
pub fn spare(columns: &[TableColumn], kept: &[usize], width: u16) -> u16 {
    let used: u16 = kept.iter().map(|&index| columns[index].width + GAP).sum();
    (width + GAP).saturating_sub(MARK + used)
}

pub fn draw_head(
    columns: &[TableColumn],
    kept: &[usize],
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let cells = kept.iter().map(|&index| vec![Span::raw(columns[index].title)]).collect();
    let line = line(columns, kept, cells, false, theme);
    let dim = theme.style(Role::Dim);
    buffer.set_line(area.x, area.y, &line, area.width);
    buffer.set_style(Rect { height: 1, ..area }.intersection(buffer.area), dim);
}

/// Joins the cells of the kept columns to one line.
pub fn line(
    columns: &[TableColumn],
    kept: &[usize],
    cells: Vec<Vec<Span<'static>>>,
    is_selected: bool,
    theme: &Theme,
) -> Line<'static> {
    let mark = if is_selected { theme.glyph("❯ ", "> ") } else { "  " };
    let mut line = Line::from(Span::styled(mark, theme.style(Role::Accent)));
    for (column_number, (&index, cell)) in kept.iter().zip(cells).enumerate() {
        let column = &columns[index];
        let width: usize = cell.iter().map(Span::width).sum();
        let padding = " ".repeat(usize::from(column.width).saturating_sub(width));
        if column_number > 0 {
            line.push_span(" ".repeat(usize::from(GAP)));
        }
        match column.align {
            Align::Left => {
                line.extend(cell);
                line.push_span(padding);
            }
            Align::Right => {
                line.push_span(padding);
                line.extend(cell);
            }
        }
    }
    line
}

/// Draws a row. A cell that has its own background keeps it. With sixteen colours, text on the
/// background of the selected row has the default colour, because others may be unreadable there.
pub fn draw_row(
    line: &Line<'_>,
    is_selected: bool,
    theme: &Theme,
    area: Rect,
    y: u16,
    buffer: &mut Buffer,
) {
    let row = Rect { y, height: 1, ..area }.intersection(buffer.area);
    if is_selected {
        buffer.set_style(row, theme.style(Role::Selected));
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
        x = buffer.set_stringn(x, y, &span.content, usize::from(room), style).0;
    }
}

/// Returns the range of rows that fit into the area and include the selected row.
pub fn window(context: &OverviewContext<'_>, list: OverviewList, area: Rect) -> Range<usize> {
    let room = usize::from(area.height.saturating_sub(HEAD));
    window_of(list.len(context.scan), selected_index(context, list), room)
}

fn window_of(total: usize, selected: Option<usize>, room: usize) -> Range<usize> {
    let start = selected.map_or(0, |index| (index + 1).saturating_sub(room));
    start..(start + room).min(total)
}

pub fn selected_index(context: &OverviewContext<'_>, list: OverviewList) -> Option<usize> {
    context.selected.filter(|selected| selected.list == list).map(|selected| selected.index)
}

/// Formats the visible rows: `4-12 of 10,000`. Returns `None` if all rows are visible.
pub fn shown_of(window: &Range<usize>, total: usize) -> Option<String> {
    let [first, last, total_words] =
        [window.start + 1, window.end, total].map(|number| notation::grouped(number as u64));
    (window.len() < total).then(|| format!("{first}-{last} of {total_words}"))
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
        assert_eq!(window_of(3, None, 7), 0..3);
        assert_eq!(window_of(10_000, Some(6), 7), 0..7);
        assert_eq!(window_of(10_000, Some(9_999), 7), 9_993..10_000);
    }

    #[test]
    fn the_least_important_columns_go_first() {
        let column = |width, dropped| TableColumn { title: "", width, align: Align::Left, dropped };
        let columns = [column(10, 0), column(10, 2), column(10, 1)];
        assert_eq!(fitting(&columns, 36), [0, 1, 2]);
        assert_eq!(fitting(&columns, 35), [0, 2]);
        assert_eq!(fitting(&columns, 1), [0]);
    }
}
