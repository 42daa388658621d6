//! The filter language for sockets: the expressions of ss(8) word for word, and bare words that
//! need no manual. Parses, prints and tests; does not scan.
//!
//! ```text
//! filter     = { ("state" | "exclude" | "excl") STATE } [ expression ]
//! expression = term { ( "and" | "or" | nothing ) term }
//! term       = "not" term | "(" expression ")" | test
//! test       = ("src" | "dst" | "to") [ "=" ] HOST    | ("sport" | "dport") [ OP ] PORT
//!            | "dev" [ "=" | "!=" ] DEVICE            | "pid" N | "user" USER | "unit" UNIT
//!            | "age" OP TIME | "tcp" | "udp" | "listen" | state clauses
//!            | STATE | :PORT | :FIRST-LAST | HOST | NAME | "quoted name"
//! ```
//!
//! **As in `ss`.** `and` and `or` have equal precedence and are evaluated from left to right, as the
//! parser of `ss` does although its manual says otherwise; nothing between two terms means `and`.
//! The first `state` starts from no state, the first `exclude` from all. An IPv4 address matches
//! IPv4-mapped sockets too, an IPv6 address matches IPv6 sockets only. A socket without a peer has
//! the remote endpoint 0.0.0.0:0. `inet:` and `inet6:` before an address limit the whole filter.
//! `localhost` is 127.0.0.1. `dev` is the device that a socket is bound to.
//!
//! **Ambiguity.** A word is tried as an operator, as a keyword (those of `ss`, then the others), as
//! the name of a single state, as a port, as an address, and is a name if it is none of these. The
//! first that fits decides, even if the rest is then wrong. A word in quotes or with a backslash is
//! always a name. A name that is followed by the value of a similar keyword is refused as misspelt.
//!
//! **Different from `ss`.**
//! - Without `state` or `exclude`, a filter selects sockets of all states, as `ss -a` does:
//!   TIME-WAIT uses ports.
//! - Symbols need no blanks around them, and keywords may be in upper case. State clauses may be
//!   between terms, and states are accepted as `ss` prints them.
//! - `not` is the complement. In `ss`, `not src 0.0.0.0` also drops IPv6 sockets, and so does
//!   `src 0.0.0.0/0` with `dev`.
//! - States that exclude each other, ports above 65535 and negative ports are errors.
//! - No host name is looked up. `fwmark`, `cgroup` and `autobound` are errors, because portscope does
//!   not know the answer.
//!
//! **Unknown answers.** A test may depend on what is not known: the name of a hidden owner, or the
//! age of a socket that is older than the program. Then [`Matcher::matches`] returns None, unless
//! another test decides.

mod error;
mod expression;
mod host_pattern;
mod keyword;
mod matcher;
mod parser;
mod print;
mod selection;
mod ss;
mod state_set;
mod token;
mod word_parser;

pub use self::{
    error::FilterError,
    expression::{Comparison, Connective, Expression, Side, Term, Test},
    host_pattern::{AddressPrefix, HostPattern, IpVersion},
    matcher::{FilterContext, FilterRow, Matcher},
    selection::FilterSubjects,
    ss::NotInSs,
    state_set::StateSet,
};

use crate::domain::ServiceNames;

/// A parsed filter. The default selects every socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The states of the clauses at the start; None: there are none, so all states are selected.
    pub states: Option<StateSet>,
    /// The family that `inet:` or `inet6:` limits the filter to.
    pub family: Option<IpVersion>,
    /// None: only the states decide.
    pub expression: Option<Expression>,
}

impl Filter {
    /// Parses a filter. `services`: the names of ports. Errors: a part is not understood.
    pub fn parse(text: &str, services: &ServiceNames) -> Result<Self, FilterError> {
        parser::parse(text, services)
    }

    /// Returns the filter that selects the sockets for which all terms hold.
    pub fn all(terms: impl IntoIterator<Item = Term>) -> Self {
        let mut terms = terms.into_iter();
        let rest = |terms: &mut dyn Iterator<Item = Term>| {
            terms.map(|term| (Connective::And, term)).collect()
        };
        let expression = terms.next().map(|first| Expression { first, rest: rest(&mut terms) });
        Self { expression, ..Self::default() }
    }

    /// Limits the filter to the sockets for which the term holds, too.
    #[must_use]
    pub fn and(self, term: Term) -> Self {
        let before = self.expression.map(Term::group);
        Self { expression: Self::all(before.into_iter().chain([term])).expression, ..self }
    }

    /// Returns whether the filter selects every socket.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether a test needs the owners of sockets.
    pub fn needs_owners(&self) -> bool {
        self.any(|test| matches!(test, Test::Name(_) | Test::Pid(_) | Test::Unit(_)))
    }

    /// Returns whether a test needs the ages of sockets.
    pub fn needs_ages(&self) -> bool {
        self.any(|test| matches!(test, Test::Age(..)))
    }

    /// Returns whether an expression joins terms by `and` and by `or`, so that the result depends
    /// on the order.
    pub fn is_mixed(&self) -> bool {
        self.expression.as_ref().is_some_and(Expression::is_mixed_anywhere)
    }

    fn any(&self, is_wanted: impl Fn(&Test) -> bool) -> bool {
        self.expression.as_ref().is_some_and(|expression| expression.any(&is_wanted))
    }
}

#[cfg(test)]
mod tests;
