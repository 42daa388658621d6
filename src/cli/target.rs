//! The argument that names what a command is about: a port, a range, an endpoint or a process.
//! Does not read the machine.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    net::IpAddr,
    os::unix::ffi::OsStrExt as _,
};

use crate::{
    cli::{args::COMMANDS, range, settings::BadInput, value::is_number},
    domain::{
        Endpoint, PortRange, ProcessTable, Protocol, Protocols, Text,
        filter::{
            AddressPrefix, Comparison, Connective, Expression, HostPattern, Side, StateSet, Term,
            Test,
        },
        owner::PIDS,
        socket::canonical,
    },
};

/// What the command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Ports(PortRange, Protocols),
    Endpoint(Endpoint, Protocols),
    /// A process name, see `ProcessTable::pids_named`.
    Process(String),
    Pid(u32),
}

/// The words that `join_pid` makes one argument.
const PID: &str = "pid";

/// Parses `PORT`, `:PORT`, `FIRST-LAST`, `ADDRESS:PORT`, each also with `/tcp` or `/udp`, `pid N`,
/// or the name of a process.
pub fn parse(typed: &OsStr) -> Result<Wanted, BadInput> {
    let word = Text::scrub(typed.as_bytes());
    let word = word.as_str();
    if word.is_empty() {
        return Err(BadInput(
            "invalid argument '': expected a port, ADDRESS:PORT, pid N or a process name".into(),
        ));
    }
    if let Some(number) = word.strip_prefix(PID).and_then(|rest| rest.strip_prefix(' ')) {
        let pid = number.parse().ok().filter(|pid| PIDS.contains(pid) && is_number(number));
        let (first, last) = PIDS.into_inner();
        let expected = || BadInput(format!("invalid pid '{number}': expected {first} to {last}"));
        return pid.map(Wanted::Pid).ok_or_else(expected);
    }
    if word.parse::<IpAddr>().is_ok() {
        let example =
            if word.contains(':') { format!("[{word}]:8080") } else { format!("{word}:8080") };
        return Err(BadInput(format!(
            "invalid argument '{word}': expected ADDRESS:PORT, as in {example}"
        )));
    }
    let (ports, protocols) = split_protocol(word)?;
    match ports.rsplit_once(':') {
        Some((address, port)) if is_number(port) => endpoint(address, port, protocols),
        _ => Ok(match self::ports(ports)? {
            Some(range) => Wanted::Ports(range, protocols),
            None => Wanted::Process(word.to_owned()),
        }),
    }
}

/// Parses the argument of `explain`, which names one port or a process.
pub fn parse_port_or_name(typed: &OsStr) -> Result<Wanted, BadInput> {
    let word = Text::scrub(typed.as_bytes());
    let refused = || BadInput(format!("invalid port '{word}': expected 1 to 65535"));
    if word.as_str().starts_with('-') {
        return Err(refused());
    }
    let wanted =
        parse(typed).map_err(|error| if is_number(word.as_str()) { refused() } else { error })?;
    match wanted {
        Wanted::Ports(range, _) if range.len() > 1 => Err(BadInput(format!(
            "invalid port '{word}': expected one port, 1 to 65535 (scan {word} lists several)"
        ))),
        Wanted::Ports(range, _) if range.first() == 0 => Err(refused()),
        Wanted::Endpoint(endpoint, _) if endpoint.port == 0 => Err(refused()),
        wanted => Ok(wanted),
    }
}

/// One port, and the protocols on which it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortTarget {
    pub port: u16,
    pub protocols: Protocols,
}

/// Parses one port: `8080`, `:8080`, `8080/tcp`.
pub fn parse_port(typed: &OsStr) -> Result<PortTarget, BadInput> {
    if let Wanted::Ports(range, protocols) = parse_port_or_name(typed)? {
        return Ok(PortTarget { port: range.first(), protocols });
    }
    let word = Text::scrub(typed.as_bytes());
    Err(BadInput(format!(
        "invalid port '{word}': expected one port, 1 to 65535, as in 8080 or 8080/tcp"
    )))
}

/// Joins the words `pid` and `N`, so that they are one argument of the program, of `scan` or of
/// `explain`.
pub fn join_pid(mut arguments: Vec<OsString>) -> Vec<OsString> {
    // The values of these options are not a process.
    let is_value = |word: &OsString| ["--netns", "--output"].iter().any(|&option| word == option);
    let takes_none = |word: &OsString| {
        COMMANDS.iter().any(|&command| word == command && command != "scan" && command != "explain")
    };
    let is_pid = |at: &usize| {
        let number = arguments.get(at + 1).and_then(|word| word.to_str());
        arguments[*at] == PID && number.is_some_and(is_number) && !is_value(&arguments[at - 1])
    };
    let is_free = !arguments.iter().any(takes_none);
    let places = if is_free { 1..arguments.len() } else { 0..0 };
    if let Some(at) = places.into_iter().find(is_pid) {
        let number = arguments.remove(at + 1);
        arguments[at].push(" ");
        arguments[at].push(number);
    }
    arguments
}

/// Splits `/tcp` or `/udp` off ports. A name keeps it.
fn split_protocol(word: &str) -> Result<(&str, Protocols), BadInput> {
    let is_numeric = |ports: &str| ports.ends_with(|c: char| c.is_ascii_digit());
    let Some((ports, name)) = word.rsplit_once('/').filter(|(ports, _)| is_numeric(ports)) else {
        return Ok((word, Protocols::Both));
    };
    match Protocol::EACH.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name)) {
        Some(protocol) => Ok((ports, protocol.into())),
        None if is_number(ports) => Err(BadInput(format!(
            "invalid protocol '{name}' in '{word}': expected {ports}/tcp or {ports}/udp"
        ))),
        None => Ok((word, Protocols::Both)),
    }
}

/// Returns the range that PORT or FIRST-LAST names. None: it is neither.
fn ports(word: &str) -> Result<Option<PortRange>, BadInput> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    if !is_number(first) || !is_number(last) {
        return Ok(None);
    }
    let what = if is_number(word) { "port" } else { "range" };
    range::ports(word, "FIRST-LAST or PORT", 0).map(Some).map_err(|expected| {
        let expected = if what == "port" { "expected 0 to 65535" } else { expected.as_str() };
        BadInput(format!("invalid {what} '{word}': {expected}"))
    })
}

fn endpoint(address: &str, port: &str, protocols: Protocols) -> Result<Wanted, BadInput> {
    let number = port.parse();
    let number =
        number.map_err(|_| BadInput(format!("invalid port '{port}': expected 0 to 65535")))?;
    if address.is_empty() || address == "*" {
        let range = PortRange::new(number, number);
        return range
            .map(|range| Wanted::Ports(range, protocols))
            .map_err(|error| BadInput(error.to_string()));
    }
    let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let parsed = inner.unwrap_or(address).parse().map_err(|_| {
        BadInput(format!(
            "invalid address '{address}': expected an IP address, as in 127.0.0.1:{port} \
             (names are not looked up)"
        ))
    })?;
    Ok(Wanted::Endpoint(Endpoint { address: parsed, port: number }, protocols))
}

/// Returns the term that selects sockets by their local port.
pub fn local_ports(range: PortRange) -> Term {
    let port = |comparison, port| Term::Test(Test::Port(Side::Local, comparison, port));
    if range.first() == range.last() {
        return port(Comparison::Equal, range.first());
    }
    let last = port(Comparison::LessOrEqual, range.last());
    Term::group(Expression {
        first: port(Comparison::GreaterOrEqual, range.first()),
        rest: vec![(Connective::And, last)],
    })
}

/// Returns the term that selects sockets of these protocols.
pub fn protocols_term(protocols: Protocols) -> Term {
    match protocols {
        Protocols::Tcp => Term::Test(Test::Protocol(Protocol::Tcp)),
        Protocols::Udp => Term::Test(Test::Protocol(Protocol::Udp)),
        Protocols::Both => Term::Test(Test::State(StateSet::ALL)),
    }
}

impl Wanted {
    /// Returns the protocols that the argument names.
    pub fn protocols(&self) -> Protocols {
        match self {
            Self::Ports(_, protocols) | Self::Endpoint(_, protocols) => *protocols,
            Self::Process(_) | Self::Pid(_) => Protocols::Both,
        }
    }

    /// Returns whether the argument names a process.
    pub fn is_process(&self) -> bool {
        matches!(self, Self::Process(_) | Self::Pid(_))
    }

    /// Returns the term of a filter that selects the sockets which the argument names: those with
    /// a local port, with an endpoint at either end, or of a process.
    pub fn term(&self, processes: &ProcessTable) -> Term {
        let term = match self {
            Self::Ports(range, _) => local_ports(*range),
            Self::Endpoint(endpoint, _) => Term::Test(Test::EitherHost(HostPattern {
                family: None,
                prefix: Some(AddressPrefix::whole(canonical(endpoint.address))),
                port: Some(endpoint.port),
            })),
            Self::Process(_) | Self::Pid(_) => {
                // No process has pid 0: of a hidden owner it is unknown.
                let mut pids = self.pids(processes).into_iter();
                let first = Term::Test(Test::Pid(pids.next().unwrap_or(0)));
                let rest = pids.map(|pid| (Connective::Or, Term::Test(Test::Pid(pid))));
                Term::group(Expression { first, rest: rest.collect() })
            }
        };
        match self.protocols() {
            Protocols::Both => term,
            protocols => Term::group(Expression {
                first: protocols_term(protocols),
                rest: vec![(Connective::And, term)],
            }),
        }
    }

    /// Returns the pids of the processes that the argument names.
    pub fn pids(&self, processes: &ProcessTable) -> BTreeSet<u32> {
        match self {
            Self::Process(name) => processes.pids_named(name).into_iter().collect(),
            Self::Pid(pid) => [*pid].into(),
            Self::Ports(..) | Self::Endpoint(..) => BTreeSet::new(),
        }
    }

    /// Formats the message that no process that the argument names has a socket. `are_hidden`: the
    /// owner of a socket is hidden.
    pub fn not_found(&self, processes: &ProcessTable, are_hidden: bool) -> String {
        match self {
            Self::Pid(pid) if are_hidden => format!("pid {pid} has no visible socket"),
            Self::Pid(pid) => format!("pid {pid} has no socket"),
            Self::Process(name) => processes.none_named(name, are_hidden),
            Self::Ports(..) | Self::Endpoint(..) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    #[test]
    fn argument_is_ports_or_an_endpoint_or_a_process() {
        let (both, tcp, udp) = (Protocols::Both, Protocols::Tcp, Protocols::Udp);
        let at = |address: &str, port| Endpoint { address: address.parse().unwrap(), port };
        for (typed, wanted) in [
            ("8080", Wanted::Ports(range(8080, 8080), both)),
            (":8080", Wanted::Ports(range(8080, 8080), both)),
            ("*:8080", Wanted::Ports(range(8080, 8080), both)),
            ("8080/tcp", Wanted::Ports(range(8080, 8080), tcp)),
            (":53/UDP", Wanted::Ports(range(53, 53), udp)),
            ("8080-8090", Wanted::Ports(range(8080, 8090), both)),
            ("8080-8090/tcp", Wanted::Ports(range(8080, 8090), tcp)),
            ("127.0.0.1:6379", Wanted::Endpoint(at("127.0.0.1", 6379), both)),
            ("127.0.0.1:53/udp", Wanted::Endpoint(at("127.0.0.1", 53), udp)),
            ("[::1]:8080", Wanted::Endpoint(at("::1", 8080), both)),
            ("pid 812", Wanted::Pid(812)),
            ("nginx", Wanted::Process("nginx".into())),
            ("pid", Wanted::Process("pid".into())),
            ("redis-server", Wanted::Process("redis-server".into())),
            ("7-zip", Wanted::Process("7-zip".into())),
            ("kworker/u8", Wanted::Process("kworker/u8".into())),
        ] {
            assert_eq!(parse(OsStr::new(typed)), Ok(wanted), "{typed}");
        }
    }

    #[test]
    fn invalid_arguments_are_refused_with_what_is_expected() {
        for (typed, reported) in [
            ("", "expected a port, ADDRESS:PORT, pid N or a process name"),
            ("70000", "invalid port '70000': expected 0 to 65535"),
            (":70000", "invalid port '70000': expected 0 to 65535"),
            ("9-8", "invalid range '9-8': expected 8-9, the lower port first"),
            ("8080/sctp", "expected 8080/tcp or 8080/udp"),
            ("localhost:80", "expected an IP address, as in 127.0.0.1:80"),
            ("127.0.0.1", "expected ADDRESS:PORT, as in 127.0.0.1:8080"),
            ("::1", "expected ADDRESS:PORT, as in [::1]:8080"),
            ("pid x", "invalid pid 'x'"),
            ("pid 0", "invalid pid '0'"),
            ("pid 4194304", "invalid pid '4194304': expected 1 to 4194303"),
        ] {
            let BadInput(words) = parse(OsStr::new(typed)).unwrap_err();
            assert!(words.contains(reported), "{typed}: {words}");
        }
        for typed in ["0", "-1", "70000", "80-90", "127.0.0.1:0"] {
            let BadInput(words) = parse_port_or_name(OsStr::new(typed)).unwrap_err();
            assert!(words.contains("1 to 65535"), "{typed}: {words}");
        }
    }

    #[test]
    fn pid_and_a_number_are_one_argument() {
        for (typed, joined) in [
            ("pid 8", vec!["pid 8"]),
            ("pid 8 --ascii", vec!["pid 8", "--ascii"]),
            ("--theme dark pid 8", vec!["--theme", "dark", "pid 8"]),
            ("scan --netns pid 8", vec!["scan", "--netns", "pid", "8"]),
            ("scan -t pid 8", vec!["scan", "-t", "pid 8"]),
            ("explain pid 8 --why", vec!["explain", "pid 8", "--why"]),
            ("pid x", vec!["pid", "x"]),
            ("exec -- pid 8", vec!["exec", "--", "pid", "8"]),
        ] {
            let words = ["portscope"].into_iter().chain(typed.split(' ')).map(OsString::from);
            let expected: Vec<OsString> =
                ["portscope"].into_iter().chain(joined).map(OsString::from).collect();
            assert_eq!(join_pid(words.collect()), expected, "{typed}");
        }
    }
}
