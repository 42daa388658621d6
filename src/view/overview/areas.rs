//! Computes the areas of the Overview's parts. Does not draw.

use ratatui::layout::Rect;

use super::OverviewContext;
use crate::{
    app::overview::OverviewList,
    view::{size_class::SizeClass, surface::take},
};

/// Minimum sizes (columns, lines) of the body, without header and footer, by size class. From
/// `Medium` on, there are two columns.
const LIMITS: [(u16, u16); 4] = [(0, 0), (110, 34), (150, 44), (190, 54)];
/// Height of the ranges: a rule and one line per protocol and family.
const RANGES: u16 = 5;
/// Height of the head of a table: a rule and the column titles.
const HEAD: u16 = 2;
/// Minimum height of the map: a rule, the axis and three lines of blocks.
const MIN_MAP_LINES: u16 = 5;
const BETWEEN: u16 = 2;
/// Minimum number of rows reserved for the owners; fewer if there are fewer owners.
const MIN_ROWS: u16 = 3;

pub fn size_class(area: Rect) -> SizeClass {
    SizeClass::of(area, LIMITS)
}

/// Returns the number of lines for the verdict, which has the headline, the reason and the advice.
/// If `is_bad`, the verdict gets more lines, and the map fewer.
pub fn verdict_lines(class: SizeClass, is_bad: bool) -> u16 {
    match (class, is_bad) {
        (_, false) => 3,
        (SizeClass::Tiny | SizeClass::Small, true) => 6,
        (_, true) => 5,
    }
}

/// Returns the width of the column with the map.
fn left_width(class: SizeClass, width: u16) -> u16 {
    match class {
        SizeClass::Tiny | SizeClass::Small => width,
        // The map needs room for 32, 50 or, at 200 columns, 80 blocks with gutter and row bar; the
        // tables need the rest.
        SizeClass::Medium => (width / 3).max(44),
        SizeClass::Large => 62,
        SizeClass::Huge => (u32::from(width) * 46 / 100) as u16,
    }
}

fn graph_lines(class: SizeClass) -> u16 {
    match class {
        SizeClass::Tiny | SizeClass::Small => 0,
        SizeClass::Medium => 8,
        SizeClass::Large => 10,
        SizeClass::Huge => 12,
    }
}

/// Areas of the parts; empty where there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverviewAreas {
    pub verdict: Rect,
    pub ranges: Rect,
    pub destinations: Rect,
    pub owners: Rect,
    pub findings: Rect,
    pub map: Rect,
    /// Ports that leave TIME-WAIT within the next minute.
    pub drain: Rect,
    /// Ports in use over time, and the forecast.
    pub usage: Rect,
}

impl OverviewAreas {
    /// Divides the area; `verdict` is the number of lines for the verdict.
    pub fn within(context: &OverviewContext<'_>, area: Rect, verdict: u16) -> Self {
        let class = size_class(area);
        let mut free = area;
        let mut areas = Self::default();
        let has_blank_lines = class > SizeClass::Small && area.height >= 38;
        take(&mut free, u16::from(has_blank_lines));
        areas.verdict = take(&mut free, verdict);
        take(&mut free, u16::from(has_blank_lines));
        areas.ranges = take(&mut free, RANGES);
        take(&mut free, u16::from(class > SizeClass::Small));
        if class <= SizeClass::Small {
            areas.one_column(context, free);
        } else {
            areas.two_columns(context, class, free);
        }
        areas
    }

    /// Places the list with the selected row. The map gets the remaining lines.
    fn one_column(&mut self, context: &OverviewContext<'_>, free: Rect) {
        let mut free = free;
        let list = context.selected.map(|selected| selected.list).unwrap_or_default();
        let rows = match list {
            OverviewList::Findings => free.height,
            list => HEAD + rows(context, list).max(1).min(free.height / 2),
        };
        let spare = free.height.saturating_sub(rows);
        let height = if spare < MIN_MAP_LINES { free.height } else { rows };
        let part = take(&mut free, height);
        *match list {
            OverviewList::Destinations => &mut self.destinations,
            OverviewList::Owners => &mut self.owners,
            OverviewList::Findings => &mut self.findings,
        } = part;
        self.map = free;
    }

    /// Puts the map and the findings at the left, the lists and the graphs at the right.
    fn two_columns(&mut self, context: &OverviewContext<'_>, class: SizeClass, free: Rect) {
        let width = left_width(class, free.width);
        let mut left = Rect { width, ..free };
        let right =
            Rect { x: free.x + width + BETWEEN, width: free.width - width - BETWEEN, ..free };
        self.lists(context, class, right);
        let is_selected = context.selected.is_some_and(|s| s.list == OverviewList::Findings);
        let findings = rows(context, OverviewList::Findings);
        let most = if is_selected { left.height } else { left.height * 2 / 5 };
        // The findings need two lines each, and one for the rule.
        let height = if findings == 0 { 0 } else { (1 + 2 * findings).min(most) };
        let height = if is_selected { left.height } else { height };
        let map = left.height - height;
        self.map = take(&mut left, if map >= MIN_MAP_LINES { map } else { 0 });
        self.findings = left;
    }

    fn lists(&mut self, context: &OverviewContext<'_>, class: SizeClass, right: Rect) {
        let mut free = right;
        let graphs = graph_lines(class).min(free.height / 2);
        let lists = free.height - graphs - 1;
        let [wanted, others] =
            [OverviewList::Destinations, OverviewList::Owners].map(|list| rows(context, list));
        let room = lists.saturating_sub(2 * HEAD + 1);
        let least = (room / 2).max(MIN_ROWS);
        let first = wanted.max(1).min(room.saturating_sub(others.max(1).min(least)));
        self.destinations = take(&mut free, HEAD + first);
        take(&mut free, 1);
        let second = others.max(1).min(room.saturating_sub(first));
        self.owners = take(&mut free, HEAD + second);
        take(&mut free, 1);
        free.height = free.height.min(2 * graph_lines(class));
        let half = (free.width - BETWEEN) / 2;
        self.drain = Rect { width: half, ..free };
        self.usage =
            Rect { x: free.x + half + BETWEEN, width: free.width - half - BETWEEN, ..free };
    }
}

fn rows(context: &OverviewContext<'_>, list: OverviewList) -> u16 {
    u16::try_from(list.len(context.scan)).unwrap_or(u16::MAX / 4).min(u16::MAX / 4)
}
