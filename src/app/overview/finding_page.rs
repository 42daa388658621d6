//! The text of a finding in full, in lines, and the position in it. Does not draw.

use crate::{
    app::{Move, Size},
    domain::{Age, Finding, diagnosis::AdvicePart, notation, wrap::wrapped},
};

/// Lines of the terminal that the page does not use: header, rule, footer.
const OTHER_LINES: u16 = 3;
/// Columns at the left of the text, for the labels.
pub const LABEL_WIDTH: usize = 7;
/// Columns before the first label and at the right.
const MARGIN: u16 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingText {
    Summary,
    Plain,
    /// A line to copy. Not wrapped if it fits the whole width.
    Command,
}

/// A line of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingLine {
    /// Empty for all lines of a part but the first.
    pub label: &'static str,
    pub text: String,
    pub kind: FindingText,
}

/// What a page shows of a command that does not fit on one line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LongCommand {
    /// All of it, on several lines.
    Wrapped,
    /// The key that opens the finding in full.
    Key,
}

/// The lines of a finding, without its summary.
pub fn body(
    finding: &Finding,
    age: Option<Age>,
    width: usize,
    long_command: LongCommand,
) -> Vec<FindingLine> {
    let mut page = FindingLines { lines: Vec::new(), width, long_command };
    if let Some(age) = age {
        page.part("since", &since(age));
    }
    page.part("means", &finding.meaning);
    for (index, parts) in finding.advice_parts().enumerate() {
        page.advice(if index == 0 { "do" } else { "" }, index + 1, &parts);
    }
    for text in &finding.avoid {
        let (label, text) = match text.strip_prefix("do not ") {
            Some(rest) => ("do not", rest),
            None => ("note", text.as_str()),
        };
        page.part(label, text);
    }
    page.part("rule", finding.rule);
    page.lines
}

/// All lines of a finding on a page of this width.
fn page(finding: &Finding, age: Option<Age>, width: usize) -> Vec<FindingLine> {
    let summary = wrapped(&finding.summary, width);
    let mut lines: Vec<FindingLine> = summary
        .into_iter()
        .map(|text| FindingLine { label: "", text, kind: FindingText::Summary })
        .collect();
    lines.push(FindingLine { label: "", text: String::new(), kind: FindingText::Plain });
    lines.extend(body(finding, age, width, LongCommand::Wrapped));
    lines
}

/// The lines of a part of a page that a terminal of a size shows.
pub struct FindingPage {
    pub lines: Vec<FindingLine>,
    /// Index of the first line shown.
    pub first: usize,
    /// Number of lines that fit.
    pub height: usize,
}

impl FindingPage {
    /// `first` may be too high, because the terminal has become larger.
    pub fn of(finding: &Finding, age: Option<Age>, size: Size, first: usize) -> Self {
        let width = usize::from(size.columns.saturating_sub(2 * MARGIN));
        let lines = page(finding, age, width);
        let height = usize::from(size.rows.saturating_sub(OTHER_LINES));
        let first = first.min(lines.len().saturating_sub(height));
        Self { lines, first, height }
    }

    /// Whether there are more lines than fit.
    pub fn scrolls(&self) -> bool {
        self.lines.len() > self.height
    }

    /// Returns the first line shown after a movement.
    pub fn after(&self, movement: Move) -> usize {
        let most = self.lines.len().saturating_sub(self.height);
        let page = self.height.saturating_sub(1).max(1);
        let first = match movement {
            Move::Up => self.first.saturating_sub(1),
            Move::Down => self.first + 1,
            Move::PageUp | Move::FarUp => self.first.saturating_sub(page),
            Move::PageDown | Move::FarDown => self.first + page,
            Move::First => 0,
            Move::Last => most,
            _ => self.first,
        };
        first.min(most)
    }
}

struct FindingLines {
    lines: Vec<FindingLine>,
    width: usize,
    long_command: LongCommand,
}

impl FindingLines {
    fn part(&mut self, label: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        let labels = std::iter::once(label).chain(std::iter::repeat(""));
        let texts = wrapped(text, self.width.saturating_sub(LABEL_WIDTH));
        let line = |(label, text)| FindingLine { label, text, kind: FindingText::Plain };
        self.lines.extend(labels.zip(texts).map(line));
    }

    /// Adds an item of advice, with each command on a line of its own.
    fn advice(&mut self, mut label: &'static str, number: usize, parts: &[AdvicePart<'_>]) {
        let mut start = format!("{number} ");
        for part in parts {
            match part {
                AdvicePart::Words(words) => self.part(label, &format!("{start}{words}")),
                AdvicePart::Command(command) => {
                    if !start.is_empty() {
                        self.part(label, start.trim_end());
                    }
                    self.command(command);
                }
            }
            (label, start) = ("", String::new());
        }
    }

    fn command(&mut self, command: &str) {
        let room = self.width.saturating_sub("$ ".len());
        let lines = wrapped(command, room.max(1));
        if lines.len() > 1 && self.long_command == LongCommand::Key {
            self.part("", "(Enter shows the command)");
            return;
        }
        let lines = lines.into_iter().enumerate();
        self.lines.extend(lines.map(|(index, line)| {
            let text = if index == 0 { format!("$ {line}") } else { line };
            FindingLine { label: "", text, kind: FindingText::Command }
        }));
    }
}

/// Formats since when a finding has been found without interruption.
fn since(age: Age) -> String {
    match age {
        Age::Exactly(age) => format!("{} ago", notation::duration(age)),
        Age::AtLeast(age) => format!("before the first scan ({} ago)", notation::duration(age)),
    }
}
