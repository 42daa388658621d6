//! All strategies, a line each, where only one of them can be drawn.

use ratatui::{buffer::Buffer, layout::Rect, text::Span};

use super::{Sight, figures};
use crate::view::{Role, Theme, allocate::column::Column, words::thousands};

pub fn render(picked: &[Sight<'_>], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut column = Column::new(theme, area, buffer);
    let head = format!(
        "{:<19}{:>8}{:>8}{:>7}{:>9}  {}",
        "", "attempts", "law", "p99", "failed", "looks like"
    );
    column.text(&head, Role::Dim);
    for sight in picked {
        let [shape, name] = sight.name();
        let blank = " ".repeat(17_usize.saturating_sub(name.width()));
        column.line([shape, name, Span::raw(blank), Span::raw(row(sight))]);
    }
}

fn row(sight: &Sight<'_>) -> String {
    let Some(contender) = sight.contender else { return String::new() };
    let figures = &contender.figures;
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
    let law = figures.predicted.map(|predicted| predicted.mean_attempts);
    let p99 = figures.quantile(0.99).map_or_else(|| "none".to_owned(), thousands);
    let failed =
        figures.failure_rate().map_or_else(|| "-".to_owned(), |r| format!("{:.2} %", r * 100.0));
    let habit = figures::habit(&figures.predictability);
    format!("{:>8}{:>8}{p99:>7}{failed:>9}  {habit}", number(figures.mean()), number(law))
}
