//! Lays out rows of a mark, a name and a wrapped sentence. Does not know their meanings.

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::PageContext;
use crate::view::words;

/// A mark as drawn on the screen (None: there is none), its name, its meaning.
pub struct MarkRow {
    pub mark: Option<Span<'static>>,
    pub name: String,
    pub sentence: String,
    pub is_emphasized: bool,
}

impl MarkRow {
    pub fn new(name: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { mark: None, name: name.into(), sentence: sentence.into(), is_emphasized: false }
    }

    #[must_use]
    pub fn marked(self, mark: Span<'static>) -> Self {
        Self { mark: Some(mark), ..self }
    }
}

/// Widths of the columns of marks (0: there is none) and names, common to all rows.
pub struct MarkTable<'a> {
    pub page_context: &'a PageContext<'a>,
    pub marks: usize,
    pub names: usize,
}

/// Minimum width of a sentence beside its name. With less, it is placed below the name.
const MIN_SENTENCE_WIDTH: usize = 24;

impl MarkTable<'_> {
    pub fn lines(&self, rows: &[MarkRow]) -> Vec<Line<'static>> {
        rows.iter().flat_map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &MarkRow) -> Vec<Line<'static>> {
        let width = self.page_context.width;
        let head = self.marks + self.names;
        if head + MIN_SENTENCE_WIDTH > width {
            return self.stacked(row);
        }
        let sentence = words::wrapped(&row.sentence, width - head);
        let rest = sentence.iter().skip(1).map(|text| format!("{:head$}{text}", "").into());
        let first = sentence.first().cloned().unwrap_or_default();
        let mut line = self.head(row);
        line.push_span(Span::raw(first));
        std::iter::once(line).chain(rest).collect()
    }

    fn head(&self, row: &MarkRow) -> Line<'static> {
        let mut line = Line::default();
        if self.marks > 0 {
            let used = row.mark.as_ref().map_or(0, Span::width);
            line.extend(row.mark.clone());
            line.push_span(Span::raw(" ".repeat(self.marks.saturating_sub(used))));
        }
        let padding = self.names.saturating_sub(row.name.width());
        line.push_span(Span::styled(row.name.clone(), name_style(row)));
        line.push_span(Span::raw(" ".repeat(padding)));
        line
    }

    /// Lays out the sentence below the name.
    fn stacked(&self, row: &MarkRow) -> Vec<Line<'static>> {
        let width = self.page_context.width;
        let name = row.name.split_whitespace().collect::<Vec<_>>().join(" ");
        let mark = row.mark.clone().filter(|mark| mark.width() + 1 + name.width() <= width);
        let mut names = words::wrapped(&name, width).into_iter();
        let mut first = Line::default();
        if let Some(mark) = mark {
            first.push_span(mark);
            first.push_span(Span::raw(" "));
        }
        first.push_span(Span::styled(names.next().unwrap_or_default(), name_style(row)));
        let names = names.map(|name| Line::styled(name, name_style(row)));
        let sentence = words::wrapped(&row.sentence, width).into_iter().map(Line::raw);
        std::iter::once(first).chain(names).chain(sentence).collect()
    }
}

fn name_style(row: &MarkRow) -> Style {
    if row.is_emphasized { Style::new().bold() } else { Style::new() }
}

/// Joins groups, with blank lines between them if there is room.
pub fn stack(groups: Vec<Vec<Line<'static>>>, page_context: &PageContext) -> Vec<Line<'static>> {
    let groups: Vec<_> = groups.into_iter().filter(|group| !group.is_empty()).collect();
    let needed = groups.iter().map(Vec::len).sum::<usize>() + groups.len().saturating_sub(1);
    if needed <= page_context.height { groups.join(&Line::default()) } else { groups.concat() }
}
