//! Prints filters in their canonical form, which is parsed as the same filter.

use std::{fmt, fmt::Write as _, time::Duration};

use crate::domain::filter::{
    Connective, Expression, Filter, Side, StateSet, Term, Test, keyword::Keyword, token,
    token::TokenKind, word_parser,
};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.states, &self.expression) {
            (Some(states), None) => f.write_str(&states.clauses()),
            (Some(states), Some(expression)) => write!(f, "{} {expression}", states.clauses()),
            (None, Some(expression)) => expression.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        for (connective, term) in &self.rest {
            write!(f, " {} {term}", connective.word())?;
        }
        Ok(())
    }
}

impl Connective {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test(test) => test.fmt(f),
            Self::Not(term) => write!(f, "not {term}"),
            Self::Group(expression) => write!(f, "( {expression} )"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(states) => StateTerm(*states).fmt(f),
            Self::Protocol(protocol) => f.write_str(protocol.name()),
            Self::Port(side, comparison, port) => {
                let name = match side {
                    Side::Local => "sport",
                    Side::Remote => "dport",
                };
                write!(f, "{name} {} :{port}", comparison.symbol())
            }
            Self::Host(Side::Local, host) => write!(f, "src {host}"),
            Self::Host(Side::Remote, host) => write!(f, "dst {host}"),
            Self::EitherPort(range) if range.len() == 1 => write!(f, ":{}", range.first()),
            Self::EitherPort(range) => write!(f, ":{range}"),
            Self::EitherHost(host) => host.fmt(f),
            Self::Device(name) => write!(f, "dev {}", ArgumentText(name)),
            Self::Name(name) if is_plain_name(name) => f.write_str(name),
            Self::Name(name) => write_quoted(name, f),
            Self::Pid(pid) => write!(f, "pid {pid}"),
            Self::User(user) => write!(f, "user {}", ArgumentText(user)),
            Self::Unit(unit) => write!(f, "unit {}", ArgumentText(unit)),
            Self::Age(comparison, age) => {
                write!(f, "age {} {}", comparison.symbol(), Seconds(*age))
            }
        }
    }
}

/// The set of a test, as a bare word if there is one: clauses at the start of a filter would limit
/// the whole of it.
struct StateTerm(StateSet);

impl fmt::Display for StateTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.single_name() {
            _ if self.0 == StateSet::WAITING => f.write_str("listen"),
            Some(name) => f.write_str(name),
            None => write!(f, "( {} )", self.0.clauses()),
        }
    }
}

/// A name after a keyword, in quotes if it would not be one word.
struct ArgumentText<'a>(&'a str);

impl fmt::Display for ArgumentText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_one_word(self.0) { f.write_str(self.0) } else { write_quoted(self.0, f) }
    }
}

/// A time as `1h1m1s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [
            (seconds / 86_400, 'd'),
            (seconds / 3600 % 24, 'h'),
            (seconds / 60 % 60, 'm'),
            (seconds % 60, 's'),
        ];
        if seconds == 0 {
            return f.write_str("0s");
        }
        parts
            .into_iter()
            .filter(|&(number, _)| number > 0)
            .try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

fn write_quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}

/// Returns whether the text, without quotes, is one word and no operator.
fn is_one_word(text: &str) -> bool {
    let only = token::tokens(text).ok();
    let only = only.as_deref().and_then(|tokens| tokens.split_first());
    matches!(only, Some((first, [])) if first.kind == TokenKind::Word(text.to_owned()))
}

/// Returns whether the text, without quotes, is a name and nothing else, whatever follows it.
fn is_plain_name(text: &str) -> bool {
    is_one_word(text)
        && Keyword::named(text).is_none()
        && !Keyword::resembles(text)
        && word_parser::is_name(text)
}
