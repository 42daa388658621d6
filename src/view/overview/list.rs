//! Draws a list of the Overview: a horizontal rule with its title, and a table below. The lists
//! define their columns.

use ratatui::text::Line;

use super::{OverviewContext, rule};
use crate::{
    app::overview::OverviewList,
    view::{
        Role,
        surface::{Surface, below},
        table::{self, TableColumn},
    },
};

/// A column of a list with rows of type `R`.
pub type ListColumn<'a, R> = TableColumn<OverviewContext<'a>, R>;

/// Returns lines about a row, of at most this width and number.
type DrawDetail<'a, R> = fn(&OverviewContext<'a>, &R, [usize; 2]) -> Vec<Line<'static>>;

/// A list and its rows, which are drawn only if they are visible.
pub struct ListTable<'a, R> {
    pub list: OverviewList,
    pub rows: &'a [R],
    pub notes: Vec<String>,
    /// Shown instead of the rows if there are none.
    pub empty: &'static str,
    /// Drawn below the rows for the selected row, if lines are free. None: the list has no such lines.
    pub detail: Option<DrawDetail<'a, R>>,
    /// Returns the columns for these visible rows and this width.
    pub columns: fn(&OverviewContext<'a>, &[R], u16) -> Vec<ListColumn<'a, R>>,
}

impl<'a, R> ListTable<'a, R> {
    pub fn render(self, context: &OverviewContext<'a>, surface: &mut Surface<'_>) {
        let area = surface.area;
        if area.is_empty() {
            return;
        }
        let selected = context.selected_index(self.list);
        let room = usize::from(below(area, 1 + table::HEAD).height);
        let window = table::window(self.rows.len(), selected, room);
        let shown = table::shown_of(&window, self.rows.len());
        rule::draw_list(context, self.list, shown, self.notes, surface);
        let mut surface = surface.within(below(area, 1));
        if self.rows.is_empty() {
            surface.put(area.x + 2, area.y + 1, self.empty, context.theme.style(Role::Dim));
            return;
        }
        let selected = selected.and_then(|selected| selected.checked_sub(window.start));
        let visible = &self.rows[window];
        let columns = (self.columns)(context, visible, area.width);
        table::draw(context, columns, visible, selected, &mut surface);
        let selected = selected.and_then(|at| visible.get(at));
        if let Some((detail, row)) = self.detail.zip(selected).filter(|_| visible.len() < room) {
            let free = room - visible.len();
            let lines = detail(context, row, [usize::from(area.width), free]);
            let at = below(area, 1 + table::HEAD + visible.len() as u16);
            surface.within(at).lines(&lines);
        }
    }
}
