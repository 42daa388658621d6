//! The line with the filter or search: the text, the last valid filter, the history, the completion.
//! Tests no socket.

use std::ops::Range;

use crate::{
    app::{Key, sockets::applied_line::AppliedLine},
    domain::{
        Filter, ServiceNames,
        filter::{FilterError, StateSet},
    },
};

/// Maximum number of characters of the line. A longer filter can be given to `scan --filter`.
pub const LONGEST: usize = 1000;
/// Number of filters that the history keeps.
const KEPT: usize = 20;

/// The words of the language that are offered, besides states and names.
const WORDS: [&str; 18] = [
    "age", "and", "dev", "dport", "dst", "exclude", "listen", "not", "or", "pid", "sport", "src",
    "state", "tcp", "to", "udp", "unit", "user",
];

/// The names that are offered for a word of the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownNames {
    pub owners: Vec<String>,
    pub users: Vec<String>,
    pub units: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct FilterLine {
    text: String,
    /// Position of the cursor, in bytes.
    cursor: usize,
    is_focused: bool,
    /// What `text` means, or the last text that was understood.
    applied: AppliedLine,
    /// None: `text` was understood.
    error: Option<FilterError>,
    /// The oldest first.
    history: Vec<String>,
    browsed: Option<Browsed>,
    completion: Option<Completion>,
}

/// An entry of the history that is shown in the line.
#[derive(Clone, Debug)]
struct Browsed {
    index: usize,
    /// What was typed before.
    draft: String,
}

/// The words that Tab offers, one after the other.
#[derive(Clone, Debug)]
struct Completion {
    /// Where the word begins, in bytes.
    start: usize,
    words: Vec<String>,
    index: usize,
}

impl FilterLine {
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Position of the cursor, in bytes.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether the keys go to the line.
    pub fn is_focused(&self) -> bool {
        self.is_focused
    }

    /// The filter that is applied: what the line means, or the last line that was understood.
    pub fn filter(&self) -> &Filter {
        &self.applied.filter
    }

    /// What is searched for. None: the line is a filter, or empty.
    pub fn search(&self) -> Option<&Filter> {
        self.applied.search.as_ref()
    }

    pub(super) fn applied(&self) -> &AppliedLine {
        &self.applied
    }

    /// What is wrong with the line; None: it was understood.
    pub fn error(&self) -> Option<&FilterError> {
        self.error.as_ref()
    }

    /// The word of the language that Tab offers for the one before the cursor. None: there is none,
    /// or nothing is typed.
    pub fn offered_word(&self) -> Option<&'static str> {
        let typed = self.part(self.word_start(self.cursor)..self.cursor).to_lowercase();
        let begins = |word: &&str| word.len() > typed.len() && word.starts_with(&typed);
        let mut words = WORDS.into_iter().chain(StateSet::names());
        words.find(begins).filter(|_| self.is_focused && !typed.is_empty())
    }

    pub(super) fn focus(&mut self) {
        self.is_focused = true;
        self.cursor = self.text.len();
    }

    /// Ends the typing, unless the text was not understood: then it can be corrected.
    pub(super) fn keep(&mut self) {
        if self.error.is_none() {
            self.remember();
            self.leave();
        }
    }

    /// Ends the typing. A text that was not understood is replaced by the filter that is applied.
    pub(super) fn leave(&mut self) {
        if self.error.take().is_some() {
            self.text = self.applied.text();
        }
        (self.is_focused, self.browsed, self.completion) = (false, None, None);
        self.cursor = self.text.len();
    }

    /// Empties the line. The text stays in the history.
    pub(super) fn clear(&mut self) {
        if self.error.is_none() {
            self.remember();
        }
        self.set(String::new(), &ServiceNames::default());
        self.leave();
    }

    /// Writes a text into the line and applies it.
    pub(super) fn set(&mut self, text: String, services: &ServiceNames) {
        self.text = text;
        self.cursor = self.text.len();
        // Its position is one in the text before.
        self.completion = None;
        self.read(services);
    }

    /// Sets a filter, as it prints itself, in place of a search.
    pub(super) fn apply(&mut self, filter: Filter) {
        self.restore(AppliedLine { filter, search: None });
    }

    /// Sets what was applied before.
    pub(super) fn restore(&mut self, applied: AppliedLine) {
        self.text = applied.text();
        self.cursor = self.text.len();
        (self.applied, self.error) = (applied, None);
    }

    fn read(&mut self, services: &ServiceNames) {
        match AppliedLine::parse(&self.text, services) {
            Ok(applied) => (self.applied, self.error) = (applied, None),
            Err(error) => self.error = Some(error),
        }
    }

    fn remember(&mut self) {
        let text = self.text.trim();
        if text.is_empty() {
            return;
        }
        self.history.retain(|known| known != text);
        if self.history.len() == KEPT {
            self.history.remove(0);
        }
        self.history.push(text.to_owned());
    }

    /// Handles a key that edits the line. Returns whether the line has changed.
    pub(super) fn press(&mut self, key: Key, services: &ServiceNames) -> bool {
        self.completion = None;
        let length = self.text.len();
        match key {
            Key::Char(character) => return self.insert(character, services),
            Key::Backspace => {
                let start = self.before(self.cursor);
                self.remove(start);
            }
            Key::Ctrl('u') => self.remove(0),
            Key::Ctrl('w') => {
                let start = self.word_start(self.part(0..self.cursor).trim_end().len());
                self.remove(start);
            }
            Key::Left => self.cursor = self.before(self.cursor),
            Key::Right => {
                let next = self.part(self.cursor..length).chars().next();
                self.cursor += next.map_or(0, char::len_utf8);
            }
            Key::Home | Key::Ctrl('a') => self.cursor = 0,
            Key::End | Key::Ctrl('e') => self.cursor = length,
            _ => {}
        }
        if self.text.len() == length {
            return false;
        }
        self.browsed = None;
        self.read(services);
        true
    }

    /// Inserts a character at the cursor; not a control character, and not into a full line.
    pub(super) fn insert(&mut self, character: char, services: &ServiceNames) -> bool {
        if character.is_control() || self.text.chars().count() >= LONGEST {
            return false;
        }
        self.text.insert(self.cursor, character);
        self.cursor += character.len_utf8();
        (self.browsed, self.completion) = (None, None);
        self.read(services);
        true
    }

    fn part(&self, bytes: Range<usize>) -> &str {
        self.text.get(bytes).unwrap_or_default()
    }

    fn remove(&mut self, start: usize) {
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    fn before(&self, position: usize) -> usize {
        let last = self.part(0..position).chars().next_back();
        position - last.map_or(0, char::len_utf8)
    }

    /// Returns the start of the word that ends at this position.
    fn word_start(&self, end: usize) -> usize {
        let text = self.part(0..end);
        text.rfind([' ', '?', '(', ')', '!', '=', '<', '>', '&', '|']).map_or(0, |blank| blank + 1)
    }

    /// Shows the previous (1) or next (-1) filter of the history. Returns whether the line has
    /// changed.
    pub(super) fn browse(&mut self, back: isize, services: &ServiceNames) -> bool {
        let all = self.history.len();
        let at = self.browsed.as_ref().map_or(all, |browsed| browsed.index);
        let to = at.saturating_add_signed(-back).min(all);
        if to == at {
            return false;
        }
        let draft = match self.browsed.take() {
            Some(browsed) => browsed.draft,
            None => std::mem::take(&mut self.text),
        };
        match self.history.get(to).cloned() {
            Some(text) => {
                self.set(text, services);
                self.browsed = Some(Browsed { index: to, draft });
            }
            None => self.set(draft, services),
        }
        true
    }

    /// Completes the word before the cursor, or takes the suggestion of the error. Each further call
    /// in a row offers the next word. Returns whether the line has changed.
    pub(super) fn complete(&mut self, names: &KnownNames, services: &ServiceNames) -> bool {
        if let Some(mut completion) = self.completion.take() {
            completion.index = (completion.index + 1) % completion.words.len();
            return self.offer(completion, services);
        }
        if let Some(error) = &self.error
            && let Some(suggestion) = error.suggestion.clone()
            && self.text.get(error.span.clone()).is_some()
        {
            let span = error.span.clone();
            self.text.replace_range(span.clone(), &suggestion);
            self.cursor = span.start + suggestion.len();
            self.read(services);
            return true;
        }
        let start = self.word_start(self.cursor);
        let words = self.words(start, names);
        if words.is_empty() {
            return false;
        }
        self.offer(Completion { start, words, index: 0 }, services)
    }

    fn offer(&mut self, completion: Completion, services: &ServiceNames) -> bool {
        let word = &completion.words[completion.index];
        self.text.replace_range(completion.start..self.cursor, word);
        self.cursor = completion.start + word.len();
        self.completion = Some(completion);
        self.read(services);
        true
    }

    /// Returns the words that may complete the one that begins at `start`, each once.
    fn words(&self, start: usize, names: &KnownNames) -> Vec<String> {
        let typed = self.part(start..self.cursor).to_lowercase();
        let before = self.part(0..start).trim_end();
        let states = || StateSet::names().map(str::to_owned);
        let candidates: Vec<String> = match before.rsplit(' ').next() {
            Some("state" | "exclude" | "excl") => states().collect(),
            Some("user") => names.users.clone(),
            Some("unit") => names.units.clone(),
            _ if typed.is_empty() => return Vec::new(),
            _ => {
                let words = WORDS.into_iter().map(str::to_owned);
                words.chain(states()).chain(names.owners.iter().cloned()).collect()
            }
        };
        let mut words: Vec<String> = Vec::new();
        for word in candidates {
            let begins = word.to_lowercase().starts_with(&typed);
            if begins && word.len() > typed.len() && !words.contains(&word) {
                words.push(word);
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> FilterLine {
        let mut line = FilterLine::default();
        line.focus();
        for character in text.chars() {
            line.press(Key::Char(character), &ServiceNames::default());
        }
        line
    }

    #[test]
    fn a_wrong_line_keeps_the_last_filter() {
        let mut line = typed("state time-wait");
        let before = line.filter().clone();
        line.press(Key::Char(' '), &ServiceNames::default());
        line.press(Key::Char('('), &ServiceNames::default());
        assert!(line.error().is_some());
        assert_eq!(line.filter(), &before);
        line.keep();
        assert!(line.is_focused());
        assert_eq!(line.text(), "state time-wait (");
        line.leave();
        assert_eq!(line.text(), "state time-wait");
    }

    #[test]
    fn a_line_that_begins_with_a_question_mark_is_a_search() {
        let services = ServiceNames::default();
        let mut line = typed("?state time-wait");
        assert!(line.filter().is_empty());
        assert_eq!(line.search(), Filter::parse("state time-wait", &services).ok().as_ref());
        line.insert('x', &services);
        let error = line.error().unwrap();
        assert_eq!(line.text().get(error.span.clone()), Some("time-waitx"));
        line.leave();
        assert_eq!(line.text(), "?state time-wait");
        assert_eq!(typed("?").search(), None);
        assert_eq!(typed("nginx").search(), None);
        let mut line = typed("?stat time-wait");
        line.complete(&KnownNames::default(), &services);
        assert_eq!(line.text(), "?state time-wait");
    }

    #[test]
    fn the_history_keeps_twenty_filters_and_the_draft() {
        let services = ServiceNames::default();
        let mut line = FilterLine::default();
        for port in 1..=30 {
            line.set(format!(":{port}"), &services);
            line.keep();
        }
        line.set(":7000".to_owned(), &services);
        for _ in 0..40 {
            line.browse(1, &services);
        }
        assert_eq!(line.text(), ":11");
        for _ in 0..40 {
            line.browse(-1, &services);
        }
        assert_eq!(line.text(), ":7000");
    }

    #[test]
    fn a_filter_of_the_history_is_not_completed_at_the_place_of_another() {
        let services = ServiceNames::default();
        let mut line = FilterLine::default();
        line.set("ab".to_owned(), &services);
        line.keep();
        line.set(" and lis".to_owned(), &services);
        assert!(line.complete(&KnownNames::default(), &services));
        assert_eq!(line.text(), " and listen");
        line.browse(1, &services);
        assert_eq!(line.text(), "ab");
        line.complete(&KnownNames::default(), &services);
        assert_eq!(line.text(), "ab");
    }

    #[test]
    fn tab_completes_states_names_and_suggestions() {
        let names = KnownNames {
            owners: vec!["nginx".to_owned(), "node".to_owned()],
            ..Default::default()
        };
        let completed = |text: &str, times: usize| {
            let mut line = typed(text);
            for _ in 0..times {
                line.complete(&names, &ServiceNames::default());
            }
            line.text().to_owned()
        };
        assert_eq!(completed("state time", 1), "state time-wait");
        assert_eq!(completed("tcp n", 1), "tcp not");
        assert_eq!(completed("tcp n", 2), "tcp nginx");
        assert_eq!(completed("tcp n", 4), "tcp not");
        assert_eq!(completed("stat time-wait", 1), "state time-wait");
        assert_eq!(completed("zzz", 1), "zzz");
        let offered = |text| typed(text).offered_word();
        assert_eq!(
            [offered("tcp sta"), offered("Time"), offered("zzz")],
            [Some("state"), Some("time-wait"), None]
        );
        assert_eq!([offered("tcp "), offered("state")], [None; 2]);
    }

    #[test]
    fn editing_never_splits_a_character() {
        let services = ServiceNames::default();
        let mut line = typed("日本 a");
        for key in [Key::Home, Key::Right, Key::Backspace, Key::Left, Key::Char('é'), Key::End] {
            line.press(key, &services);
        }
        assert_eq!(line.text(), "é本 a");
        line.press(Key::Ctrl('w'), &services);
        assert_eq!(line.text(), "é本 ");
        line.press(Key::Ctrl('u'), &services);
        assert_eq!(line.text(), "");
        for _ in 0..2 * LONGEST {
            line.insert('日', &services);
        }
        assert_eq!(line.text().chars().count(), LONGEST);
    }
}
