//! Computes the areas of the Overview's parts. Does not draw.

use ratatui::layout::Rect;

use super::{OverviewContext, findings, minimap, ranges};
use crate::{
    app::overview::OverviewList,
    view::{size_class::SizeClass, surface::take},
};

/// Minimum sizes (columns, lines) of the body, without header and footer, by size class. From
/// `Medium` on, there are two columns.
const LIMITS: [(u16, u16); 4] = [(0, 0), (110, 34), (150, 44), (190, 54)];
/// Height of the head of a table: a rule and the column titles.
const HEAD: u16 = 2;
/// Minimum height of the map: a rule, the axis and three lines of blocks.
const MIN_MAP_LINES: u16 = 5;
/// Minimum height of the findings below another list: a rule and one finding.
const MIN_FINDING_LINES: u16 = 3;
const BETWEEN: u16 = 2;
/// Number of rows that each list gets before another one gets more.
const MIN_ROWS: u16 = 3;

pub fn size_class(area: Rect) -> SizeClass {
    SizeClass::of(area, LIMITS)
}

/// Returns the number of lines for the verdict. If `is_bad`: the headline, the owner, two lines for
/// the reason and two for the advice; otherwise the headline, a note and its advice.
pub fn verdict_lines(is_bad: bool) -> u16 {
    if is_bad { 6 } else { 3 }
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

/// Returns the height of the graphs, with title and axis. More lines would not add detail.
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
    pub listening: Rect,
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
        areas.ranges = take(&mut free, ranges::height(context, area.width));
        take(&mut free, u16::from(class > SizeClass::Small));
        if class <= SizeClass::Small {
            areas.one_column(context, free);
        } else {
            areas.two_columns(context, class, free);
        }
        areas
    }

    fn list(&mut self, list: OverviewList) -> &mut Rect {
        match list {
            OverviewList::Destinations => &mut self.destinations,
            OverviewList::Listening => &mut self.listening,
            OverviewList::Owners => &mut self.owners,
            OverviewList::Findings => &mut self.findings,
        }
    }

    /// Places the list with the selected row. The list of findings gets all lines. Any other list
    /// gets its title and its rows; while the headline is bad, the rows get at most half of the
    /// lines. Below the list, the map is placed if it fits, then the findings if there are any. If
    /// neither is placed, the list gets all lines.
    fn one_column(&mut self, context: &OverviewContext<'_>, free: Rect) {
        let mut free = free;
        let list = context.overview_list();
        // One more line for the details of the selected row.
        let head = HEAD + u16::from(list == OverviewList::Listening);
        let most = if context.headline.is_bad { free.height / 2 } else { free.height };
        let rows = match list {
            OverviewList::Findings => free.height,
            list => head + rows(context, list).max(1).min(most),
        };
        let spare = Rect { height: free.height.saturating_sub(rows), ..free };
        let has_map = spare.height >= MIN_MAP_LINES && minimap::height(context, spare).is_some();
        let has_findings = !has_map
            && spare.height >= MIN_FINDING_LINES
            && self::rows(context, OverviewList::Findings) > 0;
        let height = if has_map || has_findings { rows } else { free.height };
        *self.list(list) = take(&mut free, height);
        if has_map {
            let map = minimap::height(context, free).unwrap_or_default();
            self.map = take(&mut free, map);
        }
        let findings = self::rows(context, OverviewList::Findings);
        let has_rest = has_map && free.height >= MIN_FINDING_LINES && findings > 0;
        if has_rest || has_findings {
            self.findings = free;
        }
    }

    /// Puts the map and the findings at the left, the lists and the graphs at the right. The
    /// findings get the lines that the map does not need.
    fn two_columns(&mut self, context: &OverviewContext<'_>, class: SizeClass, free: Rect) {
        let width = left_width(class, free.width);
        let mut left = Rect { width, ..free };
        let right =
            Rect { x: free.x + width + BETWEEN, width: free.width - width - BETWEEN, ..free };
        self.lists(context, class, right);
        let is_selected = context.overview_list() == OverviewList::Findings;
        let least = findings::height(context, width).min(left.height * 2 / 5);
        let room = Rect { height: left.height - least, ..left };
        let map = minimap::height(context, room).filter(|_| !is_selected).unwrap_or_default();
        self.map = take(&mut left, if map >= MIN_MAP_LINES { map.min(room.height) } else { 0 });
        let has_blank_line = left.height > least && !self.map.is_empty();
        take(&mut left, u16::from(has_blank_line));
        self.findings = left;
    }

    /// Places the lists, then the graphs. Unless the headline is bad, the first list gets its rows
    /// before the graphs get their lines.
    fn lists(&mut self, context: &OverviewContext<'_>, class: SizeClass, right: Rect) {
        let mut free = right;
        let lists = context.app.overview().order().map(|list| (list, rows(context, list)));
        let lists: Vec<_> =
            lists.into_iter().filter(|(list, _)| *list != OverviewList::Findings).collect();
        let heads = lists.len() as u16 * (HEAD + 1);
        let graphs = graph_lines(class).min((free.height.saturating_sub(heads)) / 2);
        let mut room = free.height.saturating_sub(graphs + heads);
        let mut heights = vec![0; lists.len()];
        for most in [MIN_ROWS, u16::MAX] {
            for (height, (_, wanted)) in heights.iter_mut().zip(&lists) {
                let more = (*wanted).max(1).min(most).saturating_sub(*height).min(room);
                *height += more;
                room -= more;
            }
        }
        if let Some((height, (_, wanted))) = heights.iter_mut().zip(&lists).next()
            && !context.headline.is_bad
        {
            *height += wanted.saturating_sub(*height).min(room + graphs);
        }
        for (height, (list, _)) in heights.into_iter().zip(lists) {
            *self.list(list) = take(&mut free, HEAD + height);
            take(&mut free, 1);
        }
        free.height = free.height.min(graph_lines(class));
        let half = (free.width - BETWEEN) / 2;
        self.drain = Rect { width: half, ..free };
        self.usage =
            Rect { x: free.x + half + BETWEEN, width: free.width - half - BETWEEN, ..free };
    }
}

fn rows(context: &OverviewContext<'_>, list: OverviewList) -> u16 {
    u16::try_from(list.len(context.scan)).unwrap_or(u16::MAX / 4).min(u16::MAX / 4)
}
