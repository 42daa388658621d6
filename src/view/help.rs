//! Draws the help: a box over the screen, one page at a time. Does not contain the pages' text.

mod keys;
mod mark_table;
mod marks;
mod ranges;
mod states;
mod this_screen;

use std::ops::Range;

use ratatui::{
    style::Style,
    text::{Line, Span},
    widgets::Block,
};

use crate::{
    app::{App, HelpPage, OpenHelp, Overlay, Size},
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

/// Lines of header and footer.
const HEADER_AND_FOOTER: usize = 2;

/// Keys below the page, the longest wording first.
const KEYS_BELOW: [&str; 3] = [" Left Right: turn page, Esc: close ", " Left Right Esc ", " Esc "];

/// Data from which a page is built, and its size.
struct PageContext<'a> {
    app: &'a App,
    theme: &'a Theme,
    width: usize,
    /// Number of lines that fit. A page that is longer is shown in parts.
    height: usize,
}

impl<'a> PageContext<'a> {
    fn of(app: &'a App, theme: &'a Theme, size: Size) -> Self {
        Self {
            app,
            theme,
            width: usize::from(box_width(size.columns).saturating_sub(SIDES)),
            height: usize::from(size.rows.saturating_sub(RULES)),
        }
    }

    fn lines(&self, page: HelpPage) -> Vec<Line<'static>> {
        match page {
            HelpPage::Words => this_screen::lines(self),
            HelpPage::Keys => keys::lines(self),
            HelpPage::States => states::lines(self),
            HelpPage::Ranges => ranges::lines(self),
        }
    }
}

fn box_width(columns: u16) -> u16 {
    if columns < MAX_WIDTH + MIN_WIDTH_BESIDE { columns } else { MAX_WIDTH }
}

/// Whether the open page of the help has more lines than fit.
pub fn scrolls(app: &App, theme: &Theme) -> bool {
    let context = PageContext::of(app, theme, app.size());
    matches!(app.overlay(), Overlay::Help(help) if context.lines(help.page).len() > context.height)
}

pub fn render(app: &App, help: OpenHelp, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let size = Size { columns: area.width, rows: area.height };
    let page_context = PageContext::of(app, theme, size);
    let lines = page_context.lines(help.page);
    // A page in parts leaves the footer visible, which shows the keys.
    let fits = lines.len() <= page_context.height;
    let height = page_context.height.saturating_sub(if fits { 0 } else { HEADER_AND_FOOTER });
    let shown = part(lines.len(), height, help.part);
    // Header and footer are not dimmed, because they show the name of the screen and the keys of
    // the help.
    let body = lines_of(area, 1, area.height.saturating_sub(2));
    theme.dim_area(body, surface.buffer);
    let width = box_width(area.width);
    let mut block = block(app, help.page, theme, width);
    if shown.len() < lines.len() {
        block = block.title_bottom(position(&shown, lines.len(), page_context.width, theme));
    }
    let height = shown.len() as u16 + RULES;
    dialog::framed(block, width, height, surface).lines(&lines[shown]);
}

/// Returns the lines of a part of the page. All parts have `height` lines, so that the last one
/// repeats lines of the one before.
fn part(lines: usize, height: usize, part: isize) -> Range<usize> {
    let height = height.max(1);
    let parts = lines.div_ceil(height).max(1);
    let first = part.rem_euclid(parts.cast_signed()) as usize * height;
    let first = first.min(lines.saturating_sub(height));
    first..lines.min(first + height)
}

/// Returns which lines of the page are shown, and the keys that show the others.
fn position(shown: &Range<usize>, lines: usize, width: usize, theme: &Theme) -> Line<'static> {
    let numbers = format!(" {}-{} of {lines}", shown.start + 1, shown.end);
    let texts = [format!(" lines{numbers}, j k: scroll "), format!("{numbers} "), String::new()];
    let room = width.saturating_sub(KEYS_BELOW[0].len());
    let text = texts.into_iter().find(|text| text.len() <= room).unwrap_or_default();
    Line::styled(text, theme.style(Role::Warn))
}

fn block(app: &App, page: HelpPage, theme: &Theme, width: u16) -> Block<'static> {
    let room = usize::from(width.saturating_sub(2));
    let titles = [tabs(app, page, theme), tab(app, page, page, theme).into()];
    let title = titles.into_iter().find(|title| title.width() <= room).unwrap_or_default();
    let hint = KEYS_BELOW.into_iter().find(|hint| hint.len() <= room).unwrap_or_default();
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
