//! The tree of a filter. `and` and `or` have equal precedence, so an expression is a chain of terms
//! that is evaluated from left to right, and only parentheses nest.

use std::time::Duration;

use crate::domain::{
    PortRange, Protocol,
    filter::{HostPattern, StateSet},
};

/// Terms joined by `and` and `or`, evaluated from left to right as `ss` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    pub first: Term,
    pub rest: Vec<(Connective, Term)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connective {
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    Test(Test),
    /// Never contains another `Not`.
    Not(Box<Term>),
    /// In parentheses; always of two terms or more.
    Group(Box<Expression>),
}

/// A question about one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    State(StateSet),
    Protocol(Protocol),
    /// `sport`, `dport`. A socket without a peer has the remote port 0, as in `ss`.
    Port(Side, Comparison, u16),
    /// `src`, `dst`, `to`. A socket without a peer has the remote address 0.0.0.0 or `::`, as in
    /// `ss`.
    Host(Side, HostPattern),
    /// The local or the remote port is one of these.
    EitherPort(PortRange),
    /// The local or the remote endpoint matches.
    EitherHost(HostPattern),
    /// `dev`: the socket is bound to the device with this name or index; 0: it is bound to none.
    Device(String),
    /// The name of a process that holds the socket, or held it, contains this. See
    /// [`crate::domain::filter`].
    Name(String),
    /// The process holds the socket, or held it.
    Pid(u32),
    /// The name or the uid of the socket's user.
    User(String),
    /// The unit or container of a process that holds the socket, or held it, contains this.
    Unit(String),
    Age(Comparison, Duration),
}

/// An end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Local,
    Remote,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Returns the word of `ss` for the comparison, which needs no quotes in a shell.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "ne",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
        }
    }
}

impl Expression {
    pub fn of(first: Term) -> Self {
        Self { first, rest: Vec::new() }
    }

    /// Removes parentheses around the whole expression.
    pub(super) fn unwrapped(self) -> Self {
        match self {
            Self { first: Term::Group(inner), rest } if rest.is_empty() => *inner,
            expression => expression,
        }
    }

    /// Returns whether it joins terms by `and` and by `or`, where the order of the terms matters.
    pub fn is_mixed(&self) -> bool {
        let mut connectives = self.rest.iter().map(|(connective, _)| connective);
        let first = connectives.next();
        connectives.any(|connective| Some(connective) != first)
    }

    /// Returns whether it or an expression in it is mixed.
    pub(super) fn is_mixed_anywhere(&self) -> bool {
        self.is_mixed() || self.terms().any(Term::is_mixed_anywhere)
    }

    /// Returns whether all terms are joined by `and`.
    pub fn is_conjunction(&self) -> bool {
        self.rest.iter().all(|(connective, _)| *connective == Connective::And)
    }

    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        std::iter::once(&self.first).chain(self.rest.iter().map(|(_, term)| term))
    }

    /// Returns whether a test of the expression, at any depth, satisfies `is_wanted`.
    pub fn any(&self, is_wanted: &dyn Fn(&Test) -> bool) -> bool {
        self.terms().any(|term| term.any(is_wanted))
    }
}

impl Term {
    /// Returns the expression as one term; in parentheses if it has several.
    pub fn group(expression: Expression) -> Self {
        if expression.rest.is_empty() {
            expression.first
        } else {
            Self::Group(Box::new(expression))
        }
    }

    /// Returns the negation. Two negations cancel each other.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            term => Self::Not(Box::new(term)),
        }
    }

    fn is_mixed_anywhere(&self) -> bool {
        match self {
            Self::Test(_) => false,
            Self::Not(term) => term.is_mixed_anywhere(),
            Self::Group(expression) => expression.is_mixed_anywhere(),
        }
    }

    pub(super) fn any(&self, is_wanted: &dyn Fn(&Test) -> bool) -> bool {
        match self {
            Self::Test(test) => is_wanted(test),
            Self::Not(term) => term.any(is_wanted),
            Self::Group(expression) => expression.any(is_wanted),
        }
    }
}
