//! Builds the page of keys: the keys of this screen and of all screens, from the command table,
//! then the gaps of the scan. Does not bind keys.

use ratatui::text::{Line, Span};

use super::{PageContext, heading};
use crate::{
    app::{Context, KeyCommand, Screen, command},
    view::{Role, footer, words},
};

/// Width of `Tab Shift-Tab` and a gap.
const KEYS_WIDTH: usize = 15;
/// Minimum width of each of two columns.
const MIN_COLUMN_WIDTH: usize = 34;
const BETWEEN: usize = 2;
/// Minimum width of a sentence beside its keys. With less, it is placed below them.
const MIN_SENTENCE_WIDTH: usize = 12;

/// Lines that stay together in one column.
type KeyGroup = Vec<Line<'static>>;

pub fn lines(page_context: &PageContext) -> Vec<Line<'static>> {
    let is_wide = page_context.width >= 2 * MIN_COLUMN_WIDTH + BETWEEN;
    let column = if is_wide { (page_context.width - BETWEEN) / 2 } else { page_context.width };
    let layout = |keys, blanks| {
        let groups = groups(page_context, keys, column);
        if is_wide {
            side_by_side(&groups, blanks, column)
        } else {
            flow(&groups, blanks, usize::MAX).concat()
        }
    };
    // Uses the roomiest layout that fits, else the tightest.
    let mut layouts = [(Keys::Aligned, 1), (Keys::Inline, 1), (Keys::Inline, 0)]
        .map(|(keys, blanks)| layout(keys, blanks))
        .into_iter();
    let fitting = layouts.clone().find(|lines| lines.len() <= page_context.height);
    fitting.or_else(|| layouts.next_back()).unwrap_or_default()
}

/// Layout of keys and sentences: the keys have their own column, or are directly before the
/// sentence, which needs less room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Aligned,
    Inline,
}

fn groups(page_context: &PageContext, keys: Keys, width: usize) -> Vec<Vec<KeyGroup>> {
    let (context, name) = match page_context.app.screen() {
        Screen::Overview => (Context::Overview, "Keys of the overview"),
        Screen::Map => (Context::Map, "Keys of the map"),
        Screen::Sockets => (Context::Sockets, "Keys of the sockets"),
        Screen::Allocate if page_context.app.pool().is_open() => {
            (Context::Pool, "Keys of the pool")
        }
        Screen::Allocate => (Context::Allocate, "Keys of the allocator"),
        Screen::Lab if page_context.app.lab().is_race_shown() => {
            (Context::Race, "Keys of the race")
        }
        Screen::Lab => (Context::Lab, "Keys of the lab"),
    };
    let (here, everywhere): (Vec<_>, Vec<_>) =
        command::here(context).partition(|command| command.contexts.len() == 1);
    let group = |name: &str, commands: Vec<&KeyCommand>| {
        let entries = commands.into_iter().map(|command| entry(command, page_context, keys, width));
        titled(heading(name, page_context.theme), entries.collect())
    };
    let mut groups = vec![group(name, here), group("Everywhere", everywhere)];
    groups.extend(gaps(page_context, width));
    groups
}

/// Adds the title to the first entry, so that both stay in the same column.
fn titled(title: Line<'static>, mut entries: Vec<KeyGroup>) -> Vec<KeyGroup> {
    if let Some(first) = entries.first_mut() {
        first.insert(0, title);
    }
    entries
}

fn entry(command: &KeyCommand, page_context: &PageContext, keys: Keys, width: usize) -> KeyGroup {
    let indent = match keys {
        Keys::Aligned if width > 2 * KEYS_WIDTH => KEYS_WIDTH,
        _ => 2,
    };
    let start = if indent == KEYS_WIDTH { indent } else { command.keys.len() + 2 };
    let style = footer::key_style(page_context.theme);
    if start + MIN_SENTENCE_WIDTH > width {
        let key = Span::styled(command.keys, style);
        let below = words::wrapped(command.help, width).into_iter().map(Line::raw);
        return std::iter::once(Line::from(key)).chain(below).collect();
    }
    // Wraps the sentence with a placeholder of the key's width in front of it.
    let placeholder = format!("{} ", "_".repeat(start - 1));
    let text = format!("{placeholder}{}", command.help);
    let mut pieces = words::wrapped(&text, width).into_iter();
    let first = pieces.next().unwrap_or_default();
    let sentence: String = first.chars().skip(start).collect();
    let key = Span::styled(format!("{:start$}", command.keys), style);
    let mut lines = vec![Line::from(vec![key, Span::raw(sentence)])];
    let rest = pieces.collect::<Vec<_>>().join(" ");
    if !rest.is_empty() {
        let rest = words::wrapped(&rest, width.saturating_sub(indent));
        lines.extend(rest.into_iter().map(|text| Line::raw(format!("{:indent$}{text}", ""))));
    }
    lines
}

fn gaps(page_context: &PageContext, width: usize) -> Option<Vec<KeyGroup>> {
    let scan = page_context.app.scan().filter(|scan| !scan.snapshot.gaps.is_empty())?;
    let title = Line::styled("What this scan could not see", page_context.theme.style(Role::Warn));
    let entry = |text: String| words::wrapped(&text, width).into_iter().map(Line::raw).collect();
    Some(titled(title, scan.snapshot.gaps.iter().map(|gap| entry(gap.to_string())).collect()))
}

/// Distributes the entries to columns of at most `height` lines. Splits no entry, and puts `blanks`
/// blank lines between groups.
fn flow(groups: &[Vec<KeyGroup>], blanks: usize, height: usize) -> Vec<KeyGroup> {
    let mut columns: Vec<KeyGroup> = vec![Vec::new()];
    for group in groups {
        for (index, entry) in group.iter().enumerate() {
            let column = columns.last().map_or(0, Vec::len);
            let blank = if index == 0 && column > 0 { blanks } else { 0 };
            if column > 0 && column + blank + entry.len() > height {
                columns.push(entry.clone());
            } else if let Some(column) = columns.last_mut() {
                column.extend(std::iter::repeat_n(Line::default(), blank));
                column.extend(entry.iter().cloned());
            }
        }
    }
    columns
}

/// Returns two columns of the smallest possible height.
fn side_by_side(groups: &[Vec<KeyGroup>], blanks: usize, width: usize) -> Vec<Line<'static>> {
    let all: usize = groups.iter().flatten().map(Vec::len).sum();
    let mut heights = all / 2..=all + groups.len() * blanks;
    let columns =
        heights.find_map(|height| Some(flow(groups, blanks, height)).filter(|c| c.len() <= 2));
    let mut columns = columns.unwrap_or_default().into_iter();
    let mut column = || columns.next().unwrap_or_default();
    let (mut left, mut right) = (column(), column());
    let rows = left.len().max(right.len());
    left.resize(rows, Line::default());
    right.resize(rows, Line::default());
    let row = |(mut line, right): (Line<'static>, Line<'static>)| {
        if right.width() > 0 {
            line = unstyled(line);
            line.push_span(Span::raw(" ".repeat(width + BETWEEN - line.width())));
            line.extend(unstyled(right));
        }
        line
    };
    left.into_iter().zip(right).map(row).collect()
}

/// Moves a line's style to its spans, so that it does not colour what is appended.
fn unstyled(mut line: Line<'static>) -> Line<'static> {
    let style = std::mem::take(&mut line.style);
    for span in &mut line.spans {
        span.style = style.patch(span.style);
    }
    line
}
