//! Draws the help: a box over the screen, one page at a time. Does not contain the pages' text.

mod keys;
mod mark_table;
mod marks;
mod ranges;
mod states;
mod this_screen;

use ratatui::{
    style::Style,
    text::{Line, Span},
    widgets::Block,
};

use crate::{
    app::{App, HelpPage},
    view::{
        Role, Theme, dialog,
        surface::{Surface, lines_of},
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
            HelpPage::Words => this_screen::lines(&page_context),
            HelpPage::Keys => keys::lines(&page_context),
            HelpPage::States => states::lines(&page_context),
            HelpPage::Ranges => ranges::lines(&page_context),
        },
        &page_context,
    );
    // Header and footer are not dimmed, because they show the name of the screen and the keys of
    // the help.
    let body = lines_of(area, 1, area.height.saturating_sub(2));
    theme.dim_area(body, surface.buffer);
    let height = lines.len() as u16 + RULES;
    dialog::framed(block(app, page, theme, width), width, height, surface).lines(&lines);
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

fn block(app: &App, page: HelpPage, theme: &Theme, width: u16) -> Block<'static> {
    let room = usize::from(width.saturating_sub(2));
    let titles = [tabs(app, page, theme), tab(app, page, page, theme).into()];
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
fn tabs(app: &App, page: HelpPage, theme: &Theme) -> Line<'static> {
    let rule = Span::styled(theme.border_set().horizontal_top, theme.style(Role::Border));
    let mut line = Line::default();
    for each in HelpPage::EACH {
        line.push_span(rule.clone());
        line.push_span(tab(app, each, page, theme));
    }
    line
}

fn tab(app: &App, each: HelpPage, chosen: HelpPage, theme: &Theme) -> Span<'static> {
    let style =
        if each == chosen { theme.style(Role::Selected).bold() } else { theme.style(Role::Dim) };
    let name = if each == HelpPage::Words { this_screen::title(app) } else { each.name() };
    Span::styled(format!(" {name} "), Style::reset().patch(style))
}

/// Returns the heading of a group of rows.
fn heading(text: impl Into<String>, theme: &Theme) -> Line<'static> {
    Line::styled(text.into(), theme.style(Role::Accent).bold())
}
