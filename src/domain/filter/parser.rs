//! Parses filters. The grammar is in the documentation of [`crate::domain::filter`].

use std::ops::Range;

use crate::domain::{
    ServiceNames,
    filter::{
        Comparison, Connective, Expression, Filter, FilterError, IpVersion, StateSet, Term, Test,
        error::shown,
        keyword::{self, Keyword, Meant},
        token::{Token, TokenKind, tokens},
    },
};

/// Maximum length of a filter in bytes: twice that of one argument of a program
/// (`MAX_ARG_STRLEN`).
const MAX_LENGTH: usize = 256 * 1024;
/// Maximum number of tests in a filter.
const MAX_TESTS: usize = 10_000;
/// Maximum depth of parentheses.
const MAX_DEPTH: usize = 100;

/// Parses a filter. `services`: the names of ports.
pub(super) fn parse(text: &str, services: &ServiceNames) -> Result<Filter, FilterError> {
    if text.len() > MAX_LENGTH {
        let message = format!("the filter is too long: at most {} KiB", MAX_LENGTH / 1024);
        return Err(FilterError::new(0..0, message));
    }
    let tokens = tokens(text)?;
    let end = text.trim_end().len();
    let mut parser =
        FilterParser { tokens, next: 0, end, depth: 0, tests: 0, family: None, services };
    let filter = parser.filter()?;
    match parser.peek() {
        None => Ok(filter),
        Some(token) => Err(FilterError::new(token.span.clone(), "there is no ( for this )")),
    }
}

/// The position in a filter.
pub(super) struct FilterParser<'a> {
    tokens: Vec<Token>,
    next: usize,
    /// Where the last token ends.
    end: usize,
    depth: usize,
    tests: usize,
    /// The family that was written in front of an address. As in `ss`, it limits the whole filter.
    pub(super) family: Option<IpVersion>,
    pub(super) services: &'a ServiceNames,
}

impl FilterParser<'_> {
    /// Parses `{ state NAME | exclude NAME } [expression]`.
    fn filter(&mut self) -> Result<Filter, FilterError> {
        let states = self.states()?;
        // ss accepts nothing but an expression here. Where a connective follows, the states are
        // the first term.
        let is_joined = matches!(self.peek_kind(), Some(TokenKind::Join(_)));
        let (states, first) = match states {
            Some(set) if is_joined => (None, Some(Term::Test(Test::State(set)))),
            states => (states, None),
        };
        let is_over = first.is_none() && self.peek().is_none();
        let expression = if is_over { None } else { Some(self.expression(first)?.unwrapped()) };
        Ok(Filter { states, family: self.family, expression })
    }

    /// Parses terms joined by `and`, `or` or nothing, which means `and`. `first`: the first term,
    /// if it is parsed already.
    fn expression(&mut self, first: Option<Term>) -> Result<Expression, FilterError> {
        let first = match first {
            Some(first) => first,
            None => self.term()?,
        };
        let mut expression = Expression::of(first);
        loop {
            let connective = match self.peek_kind() {
                None | Some(TokenKind::Close) => return Ok(expression),
                Some(&TokenKind::Join(connective)) => {
                    self.next += 1;
                    connective
                }
                Some(_) => Connective::And,
            };
            expression.rest.push((connective, self.term()?));
        }
    }

    /// Parses one test, or an expression in parentheses, and the negations before it.
    fn term(&mut self) -> Result<Term, FilterError> {
        let mut is_negated = false;
        while self.peek_kind() == Some(&TokenKind::Not) {
            self.next += 1;
            is_negated = !is_negated;
        }
        let term =
            if self.peek_kind() == Some(&TokenKind::Open) { self.group()? } else { self.test()? };
        Ok(if is_negated { term.negated() } else { term })
    }

    fn group(&mut self) -> Result<Term, FilterError> {
        let open = self.take("a condition, such as nginx or :8080")?.span;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("too many parentheses: at most {MAX_DEPTH} in each other");
            return Err(FilterError::new(open, message));
        }
        let expression = self.expression(None)?;
        if self.peek_kind() != Some(&TokenKind::Close) {
            return Err(FilterError::new(open, "there is no ) for this ("));
        }
        self.next += 1;
        self.depth -= 1;
        Ok(Term::group(expression))
    }

    /// Parses a test.
    fn test(&mut self) -> Result<Term, FilterError> {
        self.tests += 1;
        let Token { kind, span } = self.take("a condition, such as nginx or :8080")?;
        if self.tests > MAX_TESTS {
            let message = format!("the filter has too many tests: at most {MAX_TESTS}");
            return Err(FilterError::new(span, message));
        }
        match kind {
            TokenKind::Quoted(name) => Ok(Term::Test(Test::Name(name))),
            TokenKind::Word(word) => match Keyword::named(&word) {
                Some(Keyword::State | Keyword::Exclude) => {
                    self.next -= 1;
                    let states = self.states()?.unwrap_or(StateSet::ALL);
                    Ok(Term::Test(Test::State(states)))
                }
                Some(keyword) => self.keyword(keyword, span),
                None => self.bare_word(&word, span),
            },
            TokenKind::Join(_) | TokenKind::Close => {
                Err(FilterError::new(span, "expected a condition before this"))
            }
            TokenKind::Compare(_) => Err(FilterError::new(
                span,
                "nothing can be compared here: expected sport, dport or age before this",
            )),
            TokenKind::Not | TokenKind::Open => Err(FilterError::new(span, "expected a condition")),
        }
    }

    /// Parses the successive clauses `state NAME` and `exclude NAME`. As in `ss`, the first `state`
    /// starts from no state, the first `exclude` from all. None: there is no clause.
    fn states(&mut self) -> Result<Option<StateSet>, FilterError> {
        let mut states: Option<StateSet> = None;
        let start = self.peek().map_or(self.end, |token| token.span.start);
        while let Some(TokenKind::Word(word)) = self.peek_kind() {
            let keyword = Keyword::named(word);
            let is_added = match keyword {
                Some(Keyword::State) => true,
                Some(Keyword::Exclude) => false,
                _ => break,
            };
            self.next += 1;
            self.skip_equal();
            let set = self.state()?;
            states = Some(match states {
                _ if is_added => states.unwrap_or(StateSet::NONE).with(set),
                _ => states.unwrap_or(StateSet::ALL).without(set),
            });
        }
        if states.is_some_and(StateSet::is_empty) {
            // ss takes its default states instead.
            let end = self.tokens.get(self.next - 1).map_or(self.end, |token| token.span.end);
            return Err(FilterError::new(start..end, "no state is left"));
        }
        Ok(states)
    }

    fn state(&mut self) -> Result<StateSet, FilterError> {
        let (name, span) = self.value("the name of a state")?;
        StateSet::named(&name).ok_or_else(|| {
            if let Some(near) = keyword::nearest_state(&name) {
                return FilterError::misspelt(span, &name, near);
            }
            let names: Vec<&str> = StateSet::names().collect();
            let name = shown(&name);
            FilterError::new(span, format!("{name} is no state: expected {}", names.join(", ")))
        })
    }

    /// Returns the error for a word that is probably misspelt, because the value of a keyword
    /// follows it. None: it is a name.
    pub(super) fn misspelt(&self, word: &str, span: &Range<usize>) -> Option<FilterError> {
        let next = self.peek_kind()?;
        match keyword::meant(word, next) {
            Some(Meant::Keyword(name)) => Some(FilterError::misspelt(span.clone(), word, name)),
            Some(Meant::Hint(hint)) => {
                let word = shown(word);
                Some(FilterError::new(span.clone(), format!("{word}: {hint}")))
            }
            None if matches!(next, TokenKind::Compare(_)) => Some(FilterError::new(
                span.clone(),
                format!("{} cannot be compared: expected sport, dport or age", shown(word)),
            )),
            None => None,
        }
    }

    /// Returns the next comparison; None: the next token is none.
    pub(super) fn comparison(&mut self) -> Option<(Comparison, Range<usize>)> {
        let &TokenKind::Compare(comparison) = self.peek_kind()? else { return None };
        let span = self.peek()?.span.clone();
        self.next += 1;
        Some((comparison, span))
    }

    /// Skips a `=`, which may precede most values.
    pub(super) fn skip_equal(&mut self) {
        if self.peek_kind() == Some(&TokenKind::Compare(Comparison::Equal)) {
            self.next += 1;
        }
    }

    /// Returns the next token, which is a value. Errors: it is a symbol, or there is none.
    pub(super) fn value(&mut self, what: &str) -> Result<(String, Range<usize>), FilterError> {
        match self.take(what)? {
            Token { kind: TokenKind::Word(word) | TokenKind::Quoted(word), span } => {
                Ok((word, span))
            }
            Token { span, .. } => Err(FilterError::new(span, format!("expected {what}"))),
        }
    }

    fn take(&mut self, what: &str) -> Result<Token, FilterError> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token.ok_or_else(|| FilterError::new(self.end..self.end, format!("expected {what}")))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn peek_kind(&self) -> Option<&TokenKind> {
        self.peek().map(|token| &token.kind)
    }
}
