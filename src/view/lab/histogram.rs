//! How many attempts allocations took, beside the law, on one scale for all strategies.

use ratatui::{buffer::Buffer, layout::Rect, text::Span};

use super::Sight;
use crate::{
    app::lab::{Contender, Lab},
    view::{
        Role,
        allocate::{column::Column, histogram::bar},
        heatmap::put,
        words::thousands,
    },
};

/// Bins that all strategies share.
pub struct Bins {
    /// Attempts a bin.
    width: u32,
    count: usize,
    /// By strategy: the shares of its runs, seen and by the law.
    shares: Vec<(Vec<f64>, Vec<f64>)>,
    highest: f64,
}

impl Bins {
    /// As many as fit into so many columns, two for each.
    pub fn count(lab: &Lab, columns: u16) -> Self {
        let count = usize::from(columns / 2).max(1);
        let most = lab.options().max_attempts;
        let picked = lab.picked().len();
        let contenders: Vec<_> = (0..picked).map(|column| lab.contender(column)).collect();
        let reach = |contender: &Contender| contender.figures.quantile(0.98).unwrap_or(most);
        let longest = contenders.iter().flatten().map(|contender| reach(contender)).max();
        let longest = longest.unwrap_or(most).clamp(1, most.max(1));
        let width = longest.div_ceil(count as u32).max(1);
        let shares: Vec<_> = contenders
            .iter()
            .map(|contender| {
                contender.map_or_else(Default::default, |c| shares(c, width, count, most))
            })
            .collect();
        let each = shares.iter().flat_map(|(seen, law)| seen.iter().chain(law));
        let highest = each.copied().fold(f64::MIN_POSITIVE, f64::max);
        Self { width, count, shares, highest }
    }
}

fn shares(contender: &Contender, width: u32, count: usize, most: u32) -> (Vec<f64>, Vec<f64>) {
    let figures = &contender.figures;
    let runs = figures.runs.max(1) as f64;
    let mut seen = vec![0.0; count];
    for &(attempts, number) in &figures.histogram {
        let bin = (attempts.saturating_sub(1) / width) as usize;
        if let Some(share) = seen.get_mut(bin) {
            *share += number as f64 / runs;
        }
    }
    let by_law = |bin: usize| {
        let law = figures.law.as_ref()?;
        let ends = [bin as u32 * width, (bin as u32 + 1).saturating_mul(width)];
        let [before, after] = ends.map(|attempts| law.survival(attempts.min(most)));
        Some(before - after)
    };
    (seen, (0..count).map_while(by_law).collect())
}

pub fn render(sight: &Sight<'_>, bins: &Bins, area: Rect, buffer: &mut Buffer) {
    let theme = sight.theme;
    let Some((seen, law)) = bins.shares.get(sight.place) else { return };
    if area.height < 3 || seen.is_empty() {
        return;
    }
    let height = area.height - 1;
    for (index, &share) in seen.iter().enumerate() {
        let x = area.x + 2 * index as u16;
        for line in 0..height {
            let glyph = bar(share / bins.highest, height, height - 1 - line, theme.ascii);
            put(buffer, area, x, area.y + line, glyph, sight.style());
        }
        let by_law = law.get(index).copied().unwrap_or_default() / bins.highest;
        if by_law * f64::from(height) >= 0.1 {
            let up = ((by_law * f64::from(height)).ceil() as u16).clamp(1, height);
            let glyph = theme.glyph("◇", "+");
            put(buffer, area, x + 1, area.y + height - up, glyph, theme.style(Role::Text));
        }
    }
    let axis = Rect { y: area.y + height, height: 1, ..area };
    let last = thousands(bins.count as u32 * bins.width);
    let words = [
        format!("attempts, {} a bar", thousands(bins.width)),
        "attempts".to_owned(),
        String::new(),
    ];
    let room = usize::from(2 * bins.count as u16).saturating_sub(1 + last.len());
    let middle = words.iter().find(|words| words.len() + 2 <= room).map_or("", String::as_str);
    let style = theme.style(Role::Dim);
    let mut column = Column::new(theme, axis, buffer);
    column.line([Span::styled(format!("1{middle:^room$}{last}"), style)]);
}
