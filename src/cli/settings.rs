//! Checks and interprets the arguments before a command runs. Does not read the machine.

pub mod diagnose;
pub mod explain;
pub mod lab;
pub mod search;
pub mod serve;

use std::{ffi::OsString, num::NonZeroU32, os::unix::ffi::OsStrExt, str::FromStr, time::Duration};

use crate::{
    allocator::{ALLOCATORS, strategy::AllocatorRow},
    cli::{
        args::{
            Arguments, COMMANDS, ColorName, Command, FaultName, LiveArguments, ProtocolName,
            ScanArguments, ScanFormat, ThemeName,
        },
        namespaces::{Choices, NamespaceChoice},
        output::OutputTarget,
    },
    domain::{Ephemeral, LocalAddress, PortRange, Protocols, Text, notation, port},
};

pub use self::{diagnose::DiagnoseSettings, explain::ExplainSettings, lab::LabSettings};

/// All seeds are smaller than 2^53, so that every JSON reader keeps them exact (RFC 8259, section
/// 6).
pub const SEED_LIMIT: u64 = 1 << 53;

const RANGE_FORMS: &str = "free, ephemeral, iana, registered, system, all, FIRST-LAST or PORT";

/// Invalid input: one line with what was wrong and what is accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

pub enum CommandSettings {
    Live(LiveSettings),
    Scan(ScanSettings),
    Diagnose(DiagnoseSettings),
    Explain(ExplainSettings),
    Pick(search::PickSettings),
    Exec(search::ExecSettings),
    Serve(serve::ServeSettings),
    Lab(LabSettings),
    RaceWorker(Vec<String>),
}

pub struct LiveSettings {
    pub target: Option<StartScreen>,
    pub range: RangeChoice,
    pub protocols: Protocols,
    pub namespace: NamespaceChoice,
    pub interval: Duration,
    pub color: ColorName,
    pub theme: ThemeName,
    pub ascii: bool,
    pub mouse: bool,
    pub motion: bool,
    pub fault: Option<FaultName>,
}

/// The port or process that the terminal program shows first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartScreen {
    Port(u16),
    Name(Text),
}

pub struct ScanSettings {
    pub range: RangeChoice,
    pub protocols: Protocols,
    pub namespaces: Choices,
    pub format: ScanFormat,
    pub destination: OutputTarget,
    pub owners: bool,
    pub strict: bool,
}

impl TryFrom<Arguments> for CommandSettings {
    type Error = BadInput;

    fn try_from(arguments: Arguments) -> Result<Self, BadInput> {
        Ok(match arguments.command {
            None => Self::Live(arguments.live.try_into()?),
            Some(Command::Scan(scan)) => Self::Scan(scan.try_into()?),
            Some(Command::Diagnose(diagnose)) => Self::Diagnose(diagnose.try_into()?),
            Some(Command::Explain(explain)) => Self::Explain(explain.try_into()?),
            Some(Command::Pick(pick)) => Self::Pick(pick.try_into()?),
            Some(Command::Exec(exec)) => Self::Exec(exec.try_into()?),
            Some(Command::Serve(serve)) => Self::Serve(serve.try_into()?),
            Some(Command::Lab(lab)) => Self::Lab(lab.try_into()?),
            Some(Command::RaceWorker(race_worker)) => Self::RaceWorker(race_worker.words),
        })
    }
}

impl TryFrom<LiveArguments> for LiveSettings {
    type Error = BadInput;

    fn try_from(typed: LiveArguments) -> Result<Self, BadInput> {
        Ok(Self {
            target: typed.target.map(StartScreen::try_from).transpose()?,
            range: typed.range.parse()?,
            protocols: typed.protocol.into(),
            namespace: typed.netns.try_into()?,
            interval: interval(&typed.interval)?,
            color: typed.color,
            theme: typed.theme,
            ascii: typed.ascii,
            mouse: !typed.no_mouse,
            motion: !typed.no_motion,
            fault: typed.fault,
        })
    }
}

impl TryFrom<ScanArguments> for ScanSettings {
    type Error = BadInput;

    fn try_from(typed: ScanArguments) -> Result<Self, BadInput> {
        Ok(Self {
            range: typed.range.parse()?,
            protocols: typed.protocol.into(),
            namespaces: namespaces(typed.netns, typed.format)?,
            format: typed.format,
            destination: destination(typed.output)?,
            owners: !typed.no_owners,
            strict: typed.strict,
        })
    }
}

/// Checks that the range has at least `count` candidates. `count` is the value of `option`;
/// `candidates` is the number of ports of the range that are neither reserved nor excluded.
pub fn check_count(
    option: &str,
    count: NonZeroU32,
    range: PortRange,
    candidates: u32,
) -> Result<(), BadInput> {
    if count.get() <= candidates {
        return Ok(());
    }
    let accepted = if candidates == 1 { "1".to_owned() } else { format!("1 to {candidates}") };
    let ports = notation::counted(range.len(), "port");
    let shown = range_text(range);
    let left_out = match range.len() - candidates {
        0 => String::new(),
        left_out => format!(", {} of them reserved or excluded", notation::grouped(left_out)),
    };
    Err(BadInput(format!(
        "invalid value '{count}' for {option}: expected {accepted} (range {shown} has \
         {ports}{left_out})"
    )))
}

/// Formats a range as `3000-3999`, or as `8080` if it has one port.
pub fn range_text(range: PortRange) -> String {
    if range.len() == 1 { range.first().to_string() } else { range.to_string() }
}

/// The requested ports. The ephemeral range is not known until the machine is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeChoice {
    Ephemeral,
    /// See [`Ephemeral::outside`].
    Free,
    Ports(PortRange),
}

impl RangeChoice {
    /// Returns the requested ports on a machine with this policy.
    pub fn resolve(self, policy: &Ephemeral) -> PortRange {
        match self {
            Self::Ephemeral => policy.range,
            Self::Free => policy.outside(),
            Self::Ports(range) => range,
        }
    }

    /// Parses a range of ports to allocate. Port 0 cannot be bound: a named range begins at 1
    /// instead, and FIRST-LAST with port 0 is an error.
    fn for_choosing(typed: &str) -> Result<Self, BadInput> {
        let choice = Self::parse(typed, 1)?;
        let Self::Ports(range) = choice else { return Ok(choice) };
        let is_named = typed.starts_with(|c: char| c.is_ascii_alphabetic());
        if range.first() > 0 {
            return Ok(choice);
        }
        match PortRange::new(1, range.last()) {
            Ok(range) if is_named => Ok(Self::Ports(range)),
            Ok(range) => Err(BadInput(format!(
                "invalid value '{typed}' for --range: expected {} (port 0 cannot be allocated)",
                range_text(range)
            ))),
            Err(_) => {
                Err(BadInput(format!("invalid value '{typed}' for --range: expected 1 to 65535")))
            }
        }
    }

    /// Parses a range. `lowest` is the lowest port that an error names as accepted.
    fn parse(typed: &str, lowest: u16) -> Result<Self, BadInput> {
        Ok(Self::Ports(match typed {
            "ephemeral" => return Ok(Self::Ephemeral),
            "free" => return Ok(Self::Free),
            "iana" => port::IANA_DYNAMIC,
            "registered" => port::REGISTERED,
            "system" => port::SYSTEM,
            "all" => port::ALL,
            _ => ports("--range", typed, RANGE_FORMS, lowest)?,
        }))
    }
}

impl FromStr for RangeChoice {
    type Err = BadInput;

    fn from_str(typed: &str) -> Result<Self, BadInput> {
        Self::parse(typed, 0)
    }
}

/// Parses PORT or FIRST-LAST, 0 to 65535. The error names `option`, and `forms` or the ports from
/// `lowest` as the accepted values.
fn ports(option: &str, typed: &str, forms: &str, lowest: u16) -> Result<PortRange, BadInput> {
    let (first, last) = typed.split_once('-').unwrap_or((typed, typed));
    if !is_number(first) || !is_number(last) {
        let shown = Text::scrub(typed);
        return Err(BadInput(format!("invalid value '{shown}' for {option}: expected {forms}")));
    }
    let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else {
        return Err(BadInput(format!(
            "invalid value '{typed}' for {option}: expected ports {lowest} to 65535"
        )));
    };
    PortRange::new(first, last).map_err(|_| {
        BadInput(format!(
            "invalid value '{typed}' for {option}: expected {last}-{first}, the lower port first"
        ))
    })
}

impl TryFrom<OsString> for StartScreen {
    type Error = BadInput;

    fn try_from(typed: OsString) -> Result<Self, BadInput> {
        let name = Text::scrub(typed.as_bytes());
        if name.is_empty() {
            return Err(BadInput(
                "invalid argument '': expected a port, 0 to 65535, or a process name".into(),
            ));
        }
        if COMMANDS.contains(&name.as_str()) {
            return Err(BadInput(format!(
                "'{name}' must come first; put options after it: see portscope {name} --help"
            )));
        }
        if !is_number(name.as_str()) {
            return Ok(Self::Name(name));
        }
        let port = name.as_str().parse();
        port.map(Self::Port)
            .map_err(|_| BadInput(format!("invalid port '{name}': expected 0 to 65535")))
    }
}

/// Whether the text consists of digits only: no sign, no space.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn number(option: &str, typed: &str) -> Result<NonZeroU32, BadInput> {
    number_up_to(u32::MAX, option, typed)
}

fn number_up_to(most: u32, option: &str, typed: &str) -> Result<NonZeroU32, BadInput> {
    let value: Option<NonZeroU32> = is_number(typed).then(|| typed.parse().ok()).flatten();
    value.filter(|number| number.get() <= most).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!(
            "invalid value '{shown}' for {option}: expected a whole number, 1 to {most}"
        ))
    })
}

fn seed(typed: &str) -> Result<u64, BadInput> {
    let value = is_number(typed).then(|| typed.parse().ok()).flatten();
    value.filter(|&seed| seed < SEED_LIMIT).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for --seed: expected a whole number below 2^53"))
    })
}

fn interval(typed: &str) -> Result<Duration, BadInput> {
    let seconds = typed.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for --interval: expected 0.1 to 3600 seconds"))
    })
}

fn address(typed: &str) -> Result<LocalAddress, BadInput> {
    typed.parse().map_err(|error| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid value '{shown}' for --address: {error}"))
    })
}

fn namespaces(typed: Option<OsString>, format: ScanFormat) -> Result<Choices, BadInput> {
    match (typed.try_into()?, format) {
        (Choices::All, ScanFormat::Csv) => Err(BadInput(
            "--format csv cannot be used with --netns all: use text or json, or one namespace"
                .into(),
        )),
        (choices, _) => Ok(choices),
    }
}

fn strategy(typed: &str) -> Result<&'static AllocatorRow, BadInput> {
    ALLOCATORS.iter().find(|row| row.name == typed).ok_or_else(|| {
        let names: Vec<_> = ALLOCATORS.iter().map(|row| row.name).collect();
        let shown = Text::scrub(typed);
        BadInput(format!(
            "invalid value '{shown}' for --strategy: expected one of {}",
            names.join(", ")
        ))
    })
}

fn destination(typed: Option<OsString>) -> Result<OutputTarget, BadInput> {
    match typed {
        None => Ok(OutputTarget::StandardOutput),
        Some(path) if path.is_empty() => {
            Err(BadInput("invalid value '' for --output: expected a file".into()))
        }
        Some(path) => Ok(OutputTarget::File(path.into())),
    }
}

impl From<ProtocolName> for Protocols {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::Tcp => Self::Tcp,
            ProtocolName::Udp => Self::Udp,
            ProtocolName::Both => Self::Both,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_range_arguments_are_refused_with_the_expected_form() {
        for (typed, reported) in [
            ("9-8", "expected 8-9"),
            ("", "FIRST-LAST"),
            ("-", "FIRST-LAST"),
            ("1-", "FIRST-LAST"),
            ("+1-9", "FIRST-LAST"),
            ("1-2-3", "FIRST-LAST"),
            (" 1-2", "FIRST-LAST"),
            ("1-65536", "0 to 65535"),
            ("99999999999999999999", "0 to 65535"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
        ] {
            let BadInput(message) = RangeChoice::from_str(typed).unwrap_err();
            assert!(message.contains(reported), "{typed:?}: {message}");
        }
    }

    #[test]
    fn named_ranges_start_at_port_1_for_pick_and_port_0_is_refused() {
        let chosen = |typed| RangeChoice::for_choosing(typed);
        assert_eq!(chosen("all"), Ok(RangeChoice::Ports(PortRange::new(1, 65_535).unwrap())));
        assert_eq!(chosen("system"), Ok(RangeChoice::Ports(PortRange::new(1, 1023).unwrap())));
        assert!(chosen("0-9").unwrap_err().0.contains("expected 1-9"));
        assert!(chosen("0").is_err());
    }

    #[test]
    fn an_argument_is_a_port_or_a_name() {
        let target = |typed: &str| StartScreen::try_from(OsString::from(typed));
        assert_eq!(target("8080"), Ok(StartScreen::Port(8080)));
        assert_eq!(target("redis"), Ok(StartScreen::Name(Text::scrub("redis"))));
        assert!(target("70000").is_err() && target("").is_err());
    }

    #[test]
    fn seeds_of_2_to_the_53_or_more_are_refused() {
        assert_eq!(seed("9007199254740991"), Ok(SEED_LIMIT - 1));
        assert!(seed("9007199254740992").is_err() && seed("-1").is_err());
    }
}
