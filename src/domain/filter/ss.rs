//! Finds the command of ss(8) that lists the sockets of a filter. Does not run it.

use std::fmt;

use crate::domain::{
    PortRange, Protocol, Protocols,
    filter::{
        AddressPrefix, Comparison, Connective, Expression, Filter, HostPattern, Side, StateSet,
        Term, Test,
    },
};

/// Why no `ss` command lists the same sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no ss command does this: {0}")]
pub struct NotInSs(&'static str);

/// Maximum number of tests: the program that `ss` sends to the kernel is limited.
const MAX_TESTS: usize = 1000;
/// Characters of a device name that need no quotes in `ss` or in a shell.
const PLAIN: &str = "-_.:@";

impl Filter {
    /// Returns the command that lists the same sockets: `ss -tan state time-wait dst 10.0.0.5`.
    /// Errors: `ss` cannot select them, or its answer would differ.
    ///
    /// Before Linux 6.8 or iproute2 6.8, `ss` lists no bound-inactive sockets.
    pub fn as_ss(&self) -> Result<String, NotInSs> {
        let mut command = SsCommand { protocols: Protocols::Both, states: None, terms: Vec::new() };
        command.limit(self.states);
        if let Some(expression) = &self.expression {
            if expression.is_conjunction() {
                command.lift(expression)?;
            } else {
                command.terms.push(Lifted::Whole(expression));
            }
        }
        command.check()?;
        Ok(command.to_string())
    }
}

/// A command: what `ss` takes from its options and from `state`, and the rest.
struct SsCommand<'a> {
    protocols: Protocols,
    /// None: all.
    states: Option<StateSet>,
    /// Joined by `and`.
    terms: Vec<Lifted<'a>>,
}

/// A part of a conjunction.
enum Lifted<'a> {
    Term(&'a Term),
    /// The expression is all there is, and needs no parentheses.
    Whole(&'a Expression),
}

impl<'a> SsCommand<'a> {
    fn limit(&mut self, states: Option<StateSet>) {
        let Some(set) = states else { return };
        let before = self.states.unwrap_or(StateSet::ALL);
        self.states = Some(before.without(set.complement()));
    }

    /// Takes states and protocols out of the terms of a conjunction.
    fn lift(&mut self, expression: &'a Expression) -> Result<(), NotInSs> {
        for term in expression.terms() {
            match term {
                Term::Test(Test::State(set)) => self.limit(Some(*set)),
                Term::Test(Test::Protocol(protocol)) => self.choose(*protocol)?,
                Term::Group(inner) if inner.is_conjunction() => self.lift(inner)?,
                Term::Not(inner) => match &**inner {
                    Term::Test(Test::State(set)) => self.limit(Some(set.complement())),
                    Term::Test(Test::Protocol(Protocol::Tcp)) => self.choose(Protocol::Udp)?,
                    Term::Test(Test::Protocol(Protocol::Udp)) => self.choose(Protocol::Tcp)?,
                    _ => self.terms.push(Lifted::Term(term)),
                },
                term => self.terms.push(Lifted::Term(term)),
            }
        }
        Ok(())
    }

    fn choose(&mut self, protocol: Protocol) -> Result<(), NotInSs> {
        if !self.protocols.includes(protocol) {
            return Err(NotInSs("no socket is TCP and UDP"));
        }
        self.protocols = protocol.into();
        Ok(())
    }

    fn check(&self) -> Result<(), NotInSs> {
        if self.states.is_some_and(StateSet::is_empty) {
            return Err(NotInSs("no state is left"));
        }
        let has_device = self.terms.iter().any(|term| {
            let is_device = |test: &Test| matches!(test, Test::Device(_));
            match term {
                Lifted::Term(term) => term.any(&is_device),
                Lifted::Whole(expression) => expression.any(&is_device),
            }
        });
        let mut check = SsCheck { has_device, tests: 0 };
        self.terms.iter().try_for_each(|term| match term {
            Lifted::Term(term) => check.term(term, false),
            Lifted::Whole(expression) => check.expression(expression, false),
        })
    }
}

/// The check whether `ss` knows each test of an expression.
struct SsCheck {
    /// `ss` has the kernel test everything, and then tests it again by itself; but with `dev` it
    /// tests alone, and then does not compare address families.
    has_device: bool,
    tests: usize,
}

impl SsCheck {
    fn expression(&mut self, expression: &Expression, is_negated: bool) -> Result<(), NotInSs> {
        expression.terms().try_for_each(|term| self.term(term, is_negated))
    }

    fn term(&mut self, term: &Term, is_negated: bool) -> Result<(), NotInSs> {
        match term {
            Term::Group(expression) => self.expression(expression, is_negated),
            Term::Not(term) => self.term(term, !is_negated),
            Term::Test(test) => {
                self.tests += 1;
                if self.tests > MAX_TESTS {
                    return Err(NotInSs("the filter has too many tests for ss"));
                }
                self.test(test, is_negated)
            }
        }
    }

    fn test(&self, test: &Test, is_negated: bool) -> Result<(), NotInSs> {
        let host = match test {
            Test::Port(..) | Test::EitherPort(_) => return Ok(()),
            Test::Host(_, host) | Test::EitherHost(host) => host,
            Test::Device(name) => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || PLAIN.contains(c);
                return if name.chars().all(is_plain) {
                    Ok(())
                } else {
                    Err(NotInSs("the name of the device has unusual characters"))
                };
            }
            Test::State(_) => {
                return Err(NotInSs("ss takes states before the expression, for all of it"));
            }
            Test::Protocol(_) => return Err(NotInSs("ss takes a protocol for all of the filter")),
            Test::Name(_) => return Err(NotInSs("ss cannot filter by owner")),
            Test::Pid(_) => return Err(NotInSs("ss cannot filter by process")),
            Test::User(_) => return Err(NotInSs("ss cannot filter by user")),
            Test::Unit(_) => return Err(NotInSs("ss cannot filter by unit")),
            Test::Age(..) => return Err(NotInSs("ss does not know the age of sockets")),
        };
        let is_ambiguous = host.prefix.is_some_and(AddressPrefix::may_match_other_family);
        if is_ambiguous && (is_negated || self.has_device) {
            return Err(NotInSs("here ss compares addresses of IPv4 and IPv6 with each other"));
        }
        Ok(())
    }
}

impl fmt::Display for SsCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.protocols {
            Protocols::Both => "ss -tuan",
            Protocols::Tcp => "ss -tan",
            Protocols::Udp => "ss -uan",
        })?;
        if let Some(states) = self.states.filter(|states| *states != StateSet::ALL) {
            write!(f, " {}", states.clauses())?;
        }
        let mut expression = String::new();
        for (number, term) in self.terms.iter().enumerate() {
            expression.push_str(if number == 0 { "" } else { " " });
            let is_only = self.terms.len() == 1;
            match term {
                Lifted::Whole(whole) => push_expression(&mut expression, whole),
                Lifted::Term(Term::Test(test)) => push_test(&mut expression, test, !is_only),
                Lifted::Term(term) => push_term(&mut expression, term),
            }
        }
        match expression.as_str() {
            "" => Ok(()),
            plain if plain.contains(['(', '[', '*', '!']) => write!(f, " '{plain}'"),
            plain => write!(f, " {plain}"),
        }
    }
}

fn push_expression(out: &mut String, expression: &Expression) {
    push_term(out, &expression.first);
    for (connective, term) in &expression.rest {
        out.push_str(if *connective == Connective::Or { " or " } else { " and " });
        push_term(out, term);
    }
}

fn push_term(out: &mut String, term: &Term) {
    match term {
        Term::Test(test) => push_test(out, test, true),
        Term::Not(term) => {
            out.push_str("not ");
            push_term(out, term);
        }
        Term::Group(expression) => {
            out.push_str("( ");
            push_expression(out, expression);
            out.push_str(" )");
        }
    }
}

/// Appends a test that `SsCheck` accepts. `is_part`: it is one of several terms, so two tests need
/// parentheses.
fn push_test(out: &mut String, test: &Test, is_part: bool) {
    let either = match test {
        Test::EitherPort(range) => {
            let [local, remote] = ["sport", "dport"].map(|name| ports(name, *range));
            format!("{local} or {remote}")
        }
        Test::EitherHost(host) => format!("src {host} or dst {host}"),
        test => return out.push_str(&single_test(test)),
    };
    let (open, close) = if is_part { ("( ", " )") } else { ("", "") };
    out.extend([open, &either, close]);
}

fn ports(name: &str, range: PortRange) -> String {
    let (first, last) = (range.first(), range.last());
    if first == last {
        format!("{name} = :{first}")
    } else {
        format!("( {name} ge :{first} {name} le :{last} )")
    }
}

fn single_test(test: &Test) -> String {
    let host = |name: &str, host: &HostPattern| format!("{name} {host}");
    match test {
        Test::Port(side, comparison, port) => {
            let name = if *side == Side::Local { "sport" } else { "dport" };
            match comparison {
                Comparison::Equal => format!("{name} = :{port}"),
                other => format!("{name} {} :{port}", other.word()),
            }
        }
        Test::Host(Side::Local, pattern) => host("src", pattern),
        Test::Host(Side::Remote, pattern) => host("dst", pattern),
        Test::Device(name) => format!("dev {name}"),
        // `SsCheck` refuses the others.
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ServiceNames;

    fn ss(text: &str) -> Result<String, &'static str> {
        let filter = Filter::parse(text, &ServiceNames::default()).unwrap();
        filter.as_ss().map_err(|NotInSs(reason)| reason)
    }

    #[test]
    fn commands_select_what_the_filter_selects() {
        for (text, command) in [
            ("", "ss -tuan"),
            ("state time-wait dst 10.0.0.5", "ss -tuan state time-wait dst 10.0.0.5"),
            ("time-wait and tcp dst 10.0.0.5", "ss -tan state time-wait dst 10.0.0.5"),
            ("not udp", "ss -tan"),
            ("udp not closed", "ss -uan exclude closed"),
            ("listen", "ss -tuan state closed state listening"),
            (":8080", "ss -tuan sport = :8080 or dport = :8080"),
            ("tcp :80", "ss -tan sport = :80 or dport = :80"),
            (
                "10.0.0.5 :80",
                "ss -tuan '( src 10.0.0.5 or dst 10.0.0.5 ) ( sport = :80 or dport = :80 )'",
            ),
            ("not :80", "ss -tuan 'not ( sport = :80 or dport = :80 )'"),
            ("to [::1]:443", "ss -tuan 'dst [::1]:443'"),
            ("sport >= 32768 and sport<40000", "ss -tuan sport ge :32768 sport lt :40000"),
            (
                "sport = 1 or sport = 2 and dport = 3",
                "ss -tuan sport = :1 or sport = :2 and dport = :3",
            ),
            ("dev lo", "ss -tuan dev lo"),
            ("src inet:10/8", "ss -tuan src inet:10.0.0.0/8"),
            (
                ":8000-8001",
                "ss -tuan '( sport ge :8000 sport le :8001 ) or ( dport ge :8000 dport le :8001 )'",
            ),
        ] {
            assert_eq!(ss(text).as_deref(), Ok(command), "{text}");
        }
    }

    #[test]
    fn filters_that_ss_does_not_have_say_why() {
        for (text, reason) in [
            ("nginx", "owner"),
            ("pid 1", "process"),
            ("user root", "user"),
            ("unit ssh", "unit"),
            ("age > 1m", "age"),
            ("udp or :80", "protocol"),
            ("listen or :80", "states"),
            ("tcp udp", "TCP and UDP"),
            ("listen and time-wait", "no state"),
            ("not src 0.0.0.0", "IPv4 and IPv6"),
            ("src 0/0 dev lo", "IPv4 and IPv6"),
            ("not dst [::]", "IPv4 and IPv6"),
        ] {
            let result = ss(text);
            assert!(
                result.as_ref().is_err_and(|words| words.contains(reason)),
                "{text}: {result:?}"
            );
        }
        assert!(ss("not not src 0.0.0.0").is_ok() && ss("not src 10.0.0.1").is_ok());
    }
}
