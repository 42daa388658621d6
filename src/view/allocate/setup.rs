//! What a run goes by: limits, seed, speed, holding. Changes none of it.

use ratatui::text::Span;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::{
    app::allocation::{Allocation, Speed},
    view::{
        Role, Theme,
        allocate::column::{Column, counted, fitted},
        words::thousands,
    },
};

/// All of it on one line.
pub fn line(allocation: &Allocation, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut column = Column::new(theme, area, buffer);
    let mut spans = speeds(allocation, theme);
    let used: usize = spans.iter().map(Span::width).sum();
    let attempts = counted(allocation.options().max_attempts.into(), "attempt");
    let seed = format!("seed {}", allocation.options().seed);
    let rest =
        fitted(&[pace(allocation), &seed, &attempts], column.width().saturating_sub(used + 3));
    spans.push(Span::raw(if rest.is_empty() { "" } else { " · " }));
    spans.push(Span::raw(rest));
    column.line(spans);
}

pub fn section(allocation: &Allocation, column: &mut Column<'_>) {
    let options = allocation.options();
    column.rule("Setup", "o");
    let address = match options.address {
        Some(address) => format!("on {address}"),
        None => "on all addresses".to_owned(),
    };
    let (protocols, range) = (options.protocols.name(), options.range.to_string());
    let attempts = counted(options.max_attempts.into(), "attempt");
    let seed = format!("seed {}", options.seed);
    let room = column.width().saturating_sub(LABEL);
    column.pair("strategy  ", Role::Dim, "random, uniform with replacement", Role::Text);
    column.pair("ports     ", Role::Dim, &fitted(&[protocols, &range, &address], room), Role::Text);
    column.pair("limit     ", Role::Dim, &fitted(&[&attempts, &seed], room), Role::Text);
    let mut spans = vec![Span::styled("speed     ", column.theme.style(Role::Dim))];
    spans.extend(speeds(allocation, column.theme));
    spans.push(Span::raw(format!(" · {}", pace(allocation))));
    column.line(spans);
    let most = allocation.hold_limit().map(|limit| format!("at most {}", thousands(limit)));
    let hold = [held(allocation), most.unwrap_or_default()];
    let hold = fitted(&hold.each_ref().map(String::as_str), room);
    column.pair("hold      ", Role::Dim, &hold, Role::Text);
}

const LABEL: usize = 10;

pub fn hold(allocation: &Allocation, column: &mut Column<'_>) {
    column.pair("hold ", Role::Dim, &held(allocation), Role::Text);
}

fn held(allocation: &Allocation) -> String {
    let switch = if allocation.keeps_what_it_wins() { "on" } else { "off" };
    match allocation.held().len() as u64 {
        0 => switch.to_owned(),
        count => format!("{switch} · {} held", thousands(count)),
    }
}

fn pace(allocation: &Allocation) -> &'static str {
    if allocation.is_running() { "running" } else { "paused" }
}

fn speeds(allocation: &Allocation, theme: &Theme) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    for speed in Speed::EACH {
        let is_chosen = speed == allocation.speed();
        let style = if is_chosen { theme.badge(Role::Accent) } else { theme.style(Role::Dim) };
        spans.push(Span::styled(format!(" {} ", speed.name()), style));
    }
    spans.push(Span::styled("", Style::new()));
    spans
}
