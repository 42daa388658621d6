//! How the last allocation ended, in words over the full width. Judges nothing.

use ratatui::{buffer::Buffer, layout::Rect};
use unicode_width::UnicodeWidthStr;

use crate::{
    app::allocation::Allocation,
    view::{
        Role, Theme,
        allocate::{
            Sight,
            column::{Column, counted, fitted, thousands},
            log,
        },
    },
};

/// What is to be told first comes last: the line above the footer is the allocation's end.
pub fn render(sight: Sight<'_>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut column = Column::new(theme, area, buffer);
    let width = column.width();
    let mut lines = ending(sight.allocation, theme, width);
    if let Some(notice) = sight.allocation.notice() {
        lines.insert(0, (notice.to_owned(), Role::Warn));
    } else if let Some(newest) = sight.allocation.log().entries().next_back() {
        lines.insert(0, (log::detail(newest, sight.processes, theme, width), Role::Text));
    }
    let has_notice = sight.allocation.notice().is_some();
    let room = usize::from(area.height);
    let surplus = lines.len().saturating_sub(room);
    // An ending that needs all lines gives way to nothing but a notice.
    let shown =
        if has_notice { lines.into_iter().take(room).collect() } else { lines.split_off(surplus) };
    for (text, role) in shown {
        column.text(&text, role);
    }
}

/// As many lines as its parts need.
fn ending(allocation: &Allocation, theme: &Theme, width: usize) -> Vec<(String, Role)> {
    let Some(last) = allocation.last() else { return Vec::new() };
    if let Some(port) = last.port {
        let attempts = counted(last.attempts.into(), "attempt");
        let sign = theme.glyph("✓", "OK");
        return vec![(format!("{sign} allocated {port} after {attempts}"), Role::Ok)];
    }
    let parts = gave_up(allocation, last.attempts, theme);
    let mut left: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    while !left.is_empty() {
        let mut count = left.len();
        while count > 1 && left[..count].join(" · ").width() > width {
            count -= 1;
        }
        lines.push((fitted(&left[..count], width.max(left[0].width())), Role::Critical));
        left.drain(..count);
    }
    lines
}

/// Never "no free port": that was not found out.
fn gave_up(allocation: &Allocation, attempts: u32, theme: &Theme) -> Vec<String> {
    let sign = theme.glyph("✗", "!!");
    let mut parts = vec![format!("{sign} gave up after {}", counted(attempts.into(), "attempt"))];
    if let Some(ground) = allocation.ground() {
        let (free, all) = (thousands(ground.free().into()), thousands(ground.candidates.into()));
        parts.push(format!("{free} of {all} ports free at the last scan"));
    }
    if let Some(law) = allocation.law() {
        parts.push(match law.attempts_for(1e-6) {
            Some(needed) => {
                let needed = counted(needed.into(), "attempt");
                format!("{needed} would fail once in a million")
            }
            None => "no number of attempts would be enough".to_owned(),
        });
    }
    parts
}
