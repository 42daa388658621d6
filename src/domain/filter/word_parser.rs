//! Parses single tests: a keyword with its value, or a bare word.

use std::{ops::Range, time::Duration};

use crate::domain::{
    PortRange, Protocol,
    filter::{
        Comparison, FilterError, HostPattern, Side, StateSet, Term, Test, error::shown,
        host_pattern::parse_port, keyword::Keyword, parser::FilterParser,
    },
    owner::PIDS,
};

/// Maximum length of a number of an age. More digits would not be read in full.
const MAX_DIGITS: usize = 9;

impl FilterParser<'_> {
    /// Parses the value of a keyword and returns the test. `span`: the keyword.
    pub(super) fn keyword(
        &mut self,
        keyword: Keyword,
        span: Range<usize>,
    ) -> Result<Term, FilterError> {
        let test = match keyword {
            Keyword::Source => self.host(Side::Local)?,
            Keyword::Destination => self.host(Side::Remote)?,
            Keyword::SourcePort => self.port(Side::Local)?,
            Keyword::DestinationPort => self.port(Side::Remote)?,
            Keyword::Device => return self.negatable("the name of a device", Test::Device),
            Keyword::Pid => return self.pid(),
            Keyword::User => return self.negatable("the name or uid of a user", Test::User),
            Keyword::Unit => return self.negatable("the name of a unit or container", Test::Unit),
            Keyword::Age => self.age()?,
            Keyword::Listen => Test::State(StateSet::WAITING),
            Keyword::Tcp => Test::Protocol(Protocol::Tcp),
            Keyword::Udp => Test::Protocol(Protocol::Udp),
            Keyword::State | Keyword::Exclude => {
                return Err(FilterError::new(span, "expected a condition, such as nginx or :8080"));
            }
            Keyword::Mark | Keyword::Cgroup | Keyword::Autobound => {
                return Err(FilterError::new(span, unknown_to_portscope(keyword)));
            }
        };
        Ok(Term::Test(test))
    }

    /// Parses `[= | !=] VALUE`.
    fn negatable(&mut self, what: &str, test: fn(String) -> Test) -> Result<Term, FilterError> {
        let is_negated = self.is_not_equal()?;
        let (value, _) = self.value(what)?;
        let term = Term::Test(test(value));
        Ok(if is_negated { term.negated() } else { term })
    }

    fn pid(&mut self) -> Result<Term, FilterError> {
        let is_negated = self.is_not_equal()?;
        let (value, span) = self.value("the number of a process")?;
        let pid = value.parse().ok().filter(|pid| PIDS.contains(pid));
        let (first, last) = PIDS.into_inner();
        let wrong = || {
            FilterError::new(
                span,
                format!("{} is no pid: expected {first} to {last}", shown(&value)),
            )
        };
        let term = Term::Test(Test::Pid(pid.ok_or_else(wrong)?));
        Ok(if is_negated { term.negated() } else { term })
    }

    /// Skips `=` or `!=`, and returns whether it is `!=`. Errors: it is another comparison.
    fn is_not_equal(&mut self) -> Result<bool, FilterError> {
        match self.comparison() {
            None | Some((Comparison::Equal, _)) => Ok(false),
            Some((Comparison::NotEqual, _)) => Ok(true),
            Some((_, span)) => Err(FilterError::new(span, "expected = or !=")),
        }
    }

    /// Parses `[=] HOST`. As in `ss`, no other comparison is possible.
    fn host(&mut self, side: Side) -> Result<Test, FilterError> {
        match self.comparison() {
            None | Some((Comparison::Equal, _)) => {}
            Some((Comparison::NotEqual, span)) => {
                return Err(FilterError::new(span, "expected =: write not before src or dst"));
            }
            Some((_, span)) => {
                return Err(FilterError::new(span, "expected =: an address is not compared"));
            }
        }
        let (word, span) = self.value("an address")?;
        Ok(Test::Host(side, self.host_pattern(&word, span)?))
    }

    fn host_pattern(&mut self, word: &str, span: Range<usize>) -> Result<HostPattern, FilterError> {
        let parsed = HostPattern::parse(word, self.services, self.family);
        let pattern = parsed.map_err(|message| {
            FilterError::new(span.clone(), format!("{} {message}", shown(word)))
        })?;
        if let Some(family) = pattern.family {
            if self.family.is_some_and(|earlier| earlier != family) {
                return Err(FilterError::new(
                    span,
                    "inet: and inet6: exclude each other, because each limits the whole filter",
                ));
            }
            self.family = Some(family);
        }
        Ok(pattern)
    }

    /// Parses `[OP] PORT`. As in `ss`, `*` is any port after `=`.
    fn port(&mut self, side: Side) -> Result<Test, FilterError> {
        let comparison = self.comparison().map_or(Comparison::Equal, |(comparison, _)| comparison);
        let (word, span) = self.value("a port")?;
        let number = word.strip_prefix(':').unwrap_or(&word);
        let port = parse_port(number, self.services).map_err(|message| {
            FilterError::new(span.clone(), format!("{} {message}", shown(&word)))
        })?;
        match port {
            Some(port) => Ok(Test::Port(side, comparison, port)),
            // The comparison with 0 holds for every port, or for none.
            None if comparison == Comparison::Equal => {
                Ok(Test::Port(side, Comparison::GreaterOrEqual, 0))
            }
            None if comparison == Comparison::NotEqual => Ok(Test::Port(side, Comparison::Less, 0)),
            None => Err(FilterError::new(span, "expected the number of a port")),
        }
    }

    fn age(&mut self) -> Result<Test, FilterError> {
        let Some((comparison, at)) = self.comparison() else {
            let (_, span) = self.value("a comparison, as in age > 1m")?;
            return Err(FilterError::new(span, "expected a comparison, as in age > 1m"));
        };
        if matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
            return Err(FilterError::new(at, "expected <, <=, > or >=: no age is exact"));
        }
        let (word, span) = self.value("a time, as in 90s, 1m30s or 2h")?;
        let age = parse_age(&word).ok_or_else(|| {
            let word = shown(&word);
            FilterError::new(
                span,
                format!(
                    "{word} is no time: expected a number with s, m, h or d, such as 90s or 1h30m"
                ),
            )
        })?;
        Ok(Test::Age(comparison, age))
    }

    /// Parses a word that is no keyword: the name of a state, a port, an address or a name.
    pub(super) fn bare_word(
        &mut self,
        word: &str,
        span: Range<usize>,
    ) -> Result<Term, FilterError> {
        let kind = BareWord::of(word);
        if let BareWord::State(states) = kind {
            return Ok(Term::Test(Test::State(states)));
        }
        if let Some(error) = self.misspelt(word, &span) {
            return Err(error);
        }
        match kind {
            BareWord::State(states) => Ok(Term::Test(Test::State(states))),
            BareWord::Ports(ports) => self.either_port(ports, span),
            BareWord::Host => match self.host_pattern(word, span.clone())? {
                HostPattern { family: None, prefix: None, port: Some(port) } => {
                    self.either_port(&port.to_string(), span)
                }
                host => Ok(Term::Test(Test::EitherHost(host))),
            },
            BareWord::HostName { name, port } => {
                let (name, port) = (shown(name), shown(port));
                let message = format!(
                    "{name} is no address, and portscope looks up no host names: write {name} \
                     :{port} for the owner {name}"
                );
                Err(FilterError::new(span, message))
            }
            BareWord::Name => Ok(Term::Test(Test::Name(word.to_owned()))),
        }
    }

    /// Parses `PORT`, `FIRST-LAST` or the name of a service.
    fn either_port(&mut self, word: &str, span: Range<usize>) -> Result<Term, FilterError> {
        let parse = |word: &str| {
            parse_port(word, self.services).map_err(|message| {
                FilterError::new(span.clone(), format!("{} {message}", shown(word)))
            })
        };
        let whole = parse(word);
        let range = match (whole, word.split_once('-')) {
            (Ok(Some(port)), _) => Some((port, port)),
            // Every port.
            (Ok(None), _) => Some((0, u16::MAX)),
            (Err(_), Some((first, last))) => parse(first)?.zip(parse(last)?),
            (Err(error), None) => return Err(error),
        };
        let range = range.and_then(|(first, last)| PortRange::new(first, last).ok());
        let reversed =
            || FilterError::new(span.clone(), "expected FIRST-LAST, the lower port first");
        Ok(Term::Test(Test::EitherPort(range.ok_or_else(reversed)?)))
    }
}

/// What a word is that is no keyword.
enum BareWord<'a> {
    State(StateSet),
    /// A port, a range or the name of a service, right or wrong.
    Ports(&'a str),
    /// An address, right or wrong.
    Host,
    /// The name of a host with a port.
    HostName {
        name: &'a str,
        port: &'a str,
    },
    Name,
}

impl<'a> BareWord<'a> {
    fn of(word: &'a str) -> Self {
        if let Some(states) = StateSet::single(word) {
            return Self::State(states);
        }
        let is_range = word.split_once('-').is_some_and(|(a, b)| is_number(a) && is_number(b));
        if is_number(word) || is_range {
            return Self::Ports(word);
        }
        if let Some(ports) = word.strip_prefix(':').filter(|ports| !ports.contains(':')) {
            return Self::Ports(ports);
        }
        if is_host(word) {
            return Self::Host;
        }
        match word.rsplit_once(':') {
            Some((name, port)) if is_number(port) => Self::HostName { name, port },
            _ => Self::Name,
        }
    }
}

/// Returns whether a bare word that is no keyword is a name.
pub(super) fn is_name(word: &str) -> bool {
    matches!(BareWord::of(word), BareWord::Name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_host(word: &str) -> bool {
    const STARTS: [&str; 9] =
        ["[", "*", "inet:", "inet6:", "localhost:", "unix:", "link:", "netlink:", "vsock:"];
    let is_v4 = word.starts_with(|c: char| c.is_ascii_digit())
        && word.contains(['.', '/'])
        && word.bytes().all(|b| b.is_ascii_digit() || b"./:".contains(&b));
    let is_v6 = word.matches(':').count() > 1
        && word.bytes().all(|b| b.is_ascii_hexdigit() || b":./".contains(&b));
    is_v4 || is_v6 || word == "localhost" || STARTS.iter().any(|start| word.starts_with(start))
}

/// Parses `90`, `90s`, `1m30s`, `2h`, `3d`.
fn parse_age(word: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let number: u64 = number.parse().ok().filter(|_| digits <= MAX_DIGITS)?;
        let unit = after.bytes().next();
        let factor = match unit {
            None | Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            Some(b'd') => 86_400,
            Some(_) => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(factor)?)?;
        rest = after.get(1..).unwrap_or_default();
    }
    (!word.is_empty()).then(|| Duration::from_secs(seconds))
}

/// Says why portscope cannot answer a test of `ss`.
fn unknown_to_portscope(keyword: Keyword) -> &'static str {
    match keyword {
        Keyword::Mark => "portscope does not know the marks of sockets, and cannot filter by them",
        Keyword::Cgroup => {
            "portscope does not know the paths of control groups, and cannot filter by them: use \
             unit NAME"
        }
        _ => {
            "portscope does not know of each socket whether the kernel chose its port, and cannot \
             filter by it: use sport, as in sport >= 32768"
        }
    }
}
