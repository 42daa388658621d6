//! Draws the list of keys and what the scan could not see. The keys come from the command table.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Widget},
};

use crate::{
    app::{App, Command, Context, HelpPage, Screen, command},
    view::{Role, Theme, footer, words},
};

const WIDTH: u16 = 76;
/// `Tab Shift-Tab` and a gap.
const KEYS_WIDTH: usize = 15;

pub fn render(app: &App, _page: HelpPage, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let width = WIDTH.min(area.width);
    let mut lines = keys(app, theme);
    lines.extend(gaps(app, theme, usize::from(width.saturating_sub(4))));
    let height = (lines.len() as u16 + 2).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let frame = Rect { x, y, width, height };
    // Slivers of what lies below would be left of lines.
    let is_narrow = area.width - width < 2 * KEYS_WIDTH as u16;
    Clear.render(if is_narrow { area } else { frame }, buffer);
    let title = match app.screen() {
        Screen::Map => " Keys of the map ",
        Screen::Allocate => " Keys of the allocator ",
    };
    let block = Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.style(Role::Border))
        .title(Span::styled(title, Style::reset().add_modifier(Modifier::BOLD)));
    let inner = block.inner(frame);
    block.render(frame, buffer);
    for (line, y) in lines.iter().zip(inner.top()..inner.bottom()) {
        buffer.set_line(inner.x + 1, y, line, inner.width.saturating_sub(2));
    }
}

/// Of this screen; rows that are for prompts alone need no list.
fn keys(app: &App, theme: &Theme) -> Vec<Line<'static>> {
    let context = match app.screen() {
        Screen::Map => Context::Map,
        Screen::Allocate => Context::Allocate,
    };
    let row = |command: &Command| {
        Line::from(vec![
            Span::styled(format!("{:KEYS_WIDTH$}", command.keys), footer::key_style(theme)),
            Span::raw(command.help),
        ])
    };
    command::here(context).map(row).collect()
}

fn gaps(app: &App, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let Some(scan) = app.scan().filter(|scan| !scan.snapshot.gaps.is_empty()) else {
        return Vec::new();
    };
    let mut lines = vec![
        Line::default(),
        Line::styled("What this scan could not see", theme.style(Role::Warn)),
    ];
    for gap in &scan.snapshot.gaps {
        lines.extend(words::wrapped(&gap.to_string(), width).into_iter().map(Line::raw));
    }
    lines
}
