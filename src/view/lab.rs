//! The Lab screen: strategies side by side, their curve, the race. Changes nothing.

mod areas;
mod curve;
mod figures;
mod histogram;
mod map;
mod panel;
mod race;
mod table;
mod title;

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Span};

use crate::{
    app::{
        RowsPerLine,
        lab::{AllocatorRow, Contender, Lab},
    },
    view::{Role, Theme, allocate::column::Column},
};
use areas::{Areas, Class, Pane};
use histogram::Bins;

/// The screen between header and footer.
pub fn render(lab: &Lab, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let picked: Vec<Sight<'_>> = sights(lab, theme).collect();
    let areas = Areas::within(area, picked.len(), lab.selected());
    if areas.class == Class::Tiny {
        return tiny(lab, &picked, &mut Column::new(theme, area, buffer));
    }
    title::render(lab, theme, areas.title, buffer);
    if !areas.table.is_empty() {
        table::render(&picked, theme, areas.table, buffer);
    }
    let bins = Bins::count(lab, areas.histogram_columns());
    for (column, pane) in &areas.panes {
        if let Some(sight) = picked.get(*column) {
            contender(sight, pane, &bins, buffer);
        }
    }
    if !areas.curve.is_empty() {
        curve::render(lab, &picked, theme, areas.curve, buffer);
    }
    if let Some(panel) = lab.panel() {
        panel::render(lab, panel, theme, area, buffer);
    }
}

/// One strategy as it is drawn everywhere.
struct Sight<'a> {
    lab: &'a Lab,
    theme: &'a Theme,
    row: &'static AllocatorRow,
    contender: Option<&'a Contender>,
    is_selected: bool,
    /// Its place among the columns: gives shape and colour.
    place: usize,
}

fn sights<'a>(lab: &'a Lab, theme: &'a Theme) -> impl Iterator<Item = Sight<'a>> {
    lab.picked().enumerate().map(move |(place, row)| Sight {
        lab,
        theme,
        row,
        contender: lab.contender(place),
        is_selected: place == lab.selected(),
        place,
    })
}

impl Sight<'_> {
    /// Tells the strategies apart without colour.
    fn shape(&self) -> &'static str {
        let shapes = [("●", "o"), ("▲", "^"), ("■", "#"), ("◆", "*")];
        let (shape, ascii) = shapes[self.place % shapes.len()];
        self.theme.glyph(shape, ascii)
    }

    fn style(&self) -> Style {
        self.theme.style(Role::Category(self.place as u8))
    }

    /// Shape and name, marked where keys are about it.
    fn name(&self) -> [Span<'static>; 2] {
        let style = if self.is_selected {
            self.theme.style(Role::Selected).bold()
        } else {
            Style::new().bold()
        };
        let shape = Span::styled(format!("{} ", self.shape()), self.style());
        [shape, Span::styled(self.row.name, style)]
    }
}

fn contender(sight: &Sight<'_>, pane: &Pane, bins: &Bins, buffer: &mut Buffer) {
    let theme = sight.theme;
    let rows = if theme.needs_whole_cells() { RowsPerLine::One } else { RowsPerLine::Two };
    heading(sight, &mut Column::new(theme, pane.heading, buffer));
    map::render(sight, rows, pane.map, buffer);
    figures::render(sight, &mut Column::new(theme, pane.figures, buffer));
    histogram::render(sight, bins, pane.histogram, buffer);
}

/// The name on a rule.
fn heading(sight: &Sight<'_>, column: &mut Column<'_>) {
    let [shape, name] = sight.name();
    let used = shape.width() + name.width() + 1;
    let dashes = sight.theme.glyph("─", "-").repeat(column.width().saturating_sub(used));
    let border = sight.theme.style(Role::Border);
    column.line([shape, name, Span::raw(" "), Span::styled(dashes, border)]);
}

/// A name and a number, where there is room for no more.
fn tiny(lab: &Lab, picked: &[Sight<'_>], column: &mut Column<'_>) {
    let Some(sight) = picked.get(lab.selected()) else { return };
    let mean = sight.contender.and_then(|contender| contender.figures.mean());
    let mean = mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.2}"));
    let wordings =
        [format!("{}: {mean} attempts", sight.row.name), format!("{mean} attempts"), mean];
    let fitting = wordings.iter().find(|words| words.len() <= column.width());
    if let Some(words) = fitting {
        column.text(words, Role::Text);
    }
}
