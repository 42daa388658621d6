//! Draws the help: a box over the screen, one page at a time. Does not contain the pages' text.

mod keys;
mod lab;
mod mark_table;
mod overview;
mod pool;
mod ranges;
mod states;

use ratatui::{
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Widget},
};

use crate::{
    app::{App, HelpPage},
    view::{
        Role, Theme,
        surface::{Surface, indented},
    },
};

/// Maximum width of the box, in columns. Longer lines are hard to read.
const MAX_WIDTH: u16 = 108;
/// Minimum width beside the box. If less would be left, the box fills the whole width.
const MIN_WIDTH_BESIDE: u16 = 12;
/// Columns and lines of the box that its text cannot use: the borders and blanks at the sides
/// (`SIDES`), and the borders above and below (`RULES`).
const SIDES: u16 = 4;
const RULES: u16 = 2;

/// Data from which a page is built, and its maximum size.
struct PageContext<'a> {
    app: &'a App,
    theme: &'a Theme,
    width: usize,
    /// Maximum number of lines. Longer pages are cut.
    height: usize,
}

pub fn render(app: &App, page: HelpPage, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let width = if area.width < MAX_WIDTH + MIN_WIDTH_BESIDE { area.width } else { MAX_WIDTH };
    let page_context = PageContext {
        app,
        theme,
        width: usize::from(width.saturating_sub(SIDES)),
        height: usize::from(area.height.saturating_sub(RULES)),
    };
    let lines = cut(
        match page {
            HelpPage::Keys => keys::lines(&page_context),
            HelpPage::States => states::lines(&page_context),
            HelpPage::Ranges => ranges::lines(&page_context),
        },
        &page_context,
    );
    let height = (lines.len() as u16 + RULES).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let frame = Rect { x, y, width, height };
    theme.dim_area(body(area), surface.buffer);
    Clear.render(frame, surface.buffer);
    let block = block(page, theme, width);
    let inner = block.inner(frame);
    block.render(frame, surface.buffer);
    surface.within(indented(inner)).lines(&lines);
}

/// Returns the area without header and footer. These are not dimmed, because they show the name of
/// the screen and the keys of the help.
fn body(area: Rect) -> Rect {
    Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area }.intersection(area)
}

/// Cuts the page to the height; the last line then says that there is more.
fn cut(mut lines: Vec<Line<'static>>, page_context: &PageContext) -> Vec<Line<'static>> {
    if lines.len() > page_context.height {
        lines.truncate(page_context.height.saturating_sub(1));
        let hints = ["more on a larger terminal", "larger: more", ".."];
        let hint =
            hints.into_iter().find(|hint| hint.len() <= page_context.width).unwrap_or_default();
        lines.push(Line::styled(hint, page_context.theme.style(Role::Warn)));
    }
    lines
}

fn block(page: HelpPage, theme: &Theme, width: u16) -> Block<'static> {
    let room = usize::from(width.saturating_sub(2));
    let titles = [tabs(page, theme), tab(page, page, theme).into()];
    let title = titles.into_iter().find(|title| title.width() <= room).unwrap_or_default();
    let hints = [" Left Right: turn page, Esc: close ", " Left Right Esc ", " Esc "];
    let hint = hints.into_iter().find(|hint| hint.len() <= room).unwrap_or_default();
    Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.style(Role::Border))
        .title(title)
        .title_bottom(Line::styled(hint, theme.style(Role::Dim)).right_aligned())
}

/// Returns the names of all pages, the current one marked.
fn tabs(page: HelpPage, theme: &Theme) -> Line<'static> {
    let rule = Span::styled(theme.border_set().horizontal_top, theme.style(Role::Border));
    let mut line = Line::default();
    for each in HelpPage::EACH {
        line.push_span(rule.clone());
        line.push_span(tab(each, page, theme));
    }
    line
}

fn tab(each: HelpPage, chosen: HelpPage, theme: &Theme) -> Span<'static> {
    let style = if each == chosen {
        Style::reset().patch(theme.style(Role::Selected)).add_modifier(Modifier::BOLD)
    } else {
        Style::reset().patch(theme.style(Role::Dim))
    };
    Span::styled(format!(" {} ", each.name()), style)
}

/// Returns the heading of a group of rows.
fn heading(text: impl Into<String>, theme: &Theme) -> Line<'static> {
    Line::styled(text.into(), theme.style(Role::Accent).add_modifier(Modifier::BOLD))
}
