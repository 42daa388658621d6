//! The arguments of each command as clap parses them, with typed values: `value` and `range` parse
//! them, `settings` checks options that depend on each other.
//!
//! The help of an option is one line. `help` has what needs more room. Clap sets each default, or
//! the option is an `Option`. So a default can be replaced before the arguments are parsed
//! (`Arg::default_value`), and clap knows the origin of each value (`ValueSource`).

mod acting;
mod listing;

use std::{
    ffi::{OsStr, OsString},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use clap::{
    Arg, Args, CommandFactory as _, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, PossibleValue},
    error::ErrorKind,
};

use crate::{
    allocator::{ALLOCATORS, AllocatorRow},
    cli::{
        help, namespaces, output,
        range::{self, RangeChoice},
        target::{self, Wanted},
        tui,
        value::{self, Percent, bytes, decimal, number, seconds},
    },
    domain::{
        Ephemeral, Filter, LocalAddress, PortRange, ProcessTable, Protocol, Protocols,
        filter::{StateSet, Term, Test},
        listing::GroupBy,
        port,
    },
    host::lease_socket::SocketPath,
};

pub use acting::{FreeArguments, ReserveArguments, WaitArguments};
pub use listing::{ListingArguments, SortName};

/// The commands that help lists.
pub const COMMANDS: [&str; 10] =
    ["scan", "diagnose", "explain", "free", "wait", "reserve", "pick", "exec", "serve", "lab"];

/// Number of ports that can be bound: 1 to 65535.
const ALL_PORTS: u32 = 65_535;

#[derive(Debug, Parser)]
#[command(
    name = "portscope",
    bin_name = "portscope",
    version,
    about = help::ABOUT,
    after_long_help = help::root(),
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    hide_possible_values = true,
    max_term_width = 80,
    mut_args(hyphenated),
    mut_subcommands(|command| command.mut_args(hyphenated))
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub live: LiveArguments,
}

impl Arguments {
    /// Parses the arguments. Reports an unknown option, a conflict or `--help` rather than an
    /// invalid value, wherever they are.
    pub fn read(typed: &[OsString]) -> Result<Self, clap::Error> {
        Self::try_parse_from(typed).map_err(|error| {
            let root = Self::command().mut_args(untyped);
            let root = root.mut_subcommands(|command| command.mut_args(untyped));
            let is_value = |error: &clap::Error| {
                matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue)
            };
            let other = is_value(&error).then(|| root.try_get_matches_from(typed).err()).flatten();
            other.filter(|other| !is_value(other)).unwrap_or(error)
        })
    }
}

/// Lets an option accept any value.
fn untyped(option: Arg) -> Arg {
    option.value_parser(OsStringValueParser::new())
}

/// Lets the value of an option begin with `-`, so that the error says which values are accepted.
/// Not for --output, --socket and values that are words of a list: after these options, a word with
/// `-` is the next option.
fn hyphenated(option: Arg) -> Arg {
    let is_path = ["output", "socket"].contains(&option.get_id().as_str());
    let is_value = option.get_long().is_some() && option.get_action().takes_values() && !is_path;
    if is_value && option.get_possible_values().is_empty() {
        option.allow_hyphen_values(true)
    } else {
        option
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print one snapshot of all sockets and their owners
    #[command(after_long_help = help::scan())]
    Scan(ScanArguments),
    /// Show which destination and process exhaust the ports, and what to do
    #[command(after_long_help = help::DIAGNOSE)]
    Diagnose(DiagnoseArguments),
    /// Show who uses a port, what frees it, and who can bind it
    #[command(after_long_help = help::EXPLAIN)]
    Explain(ExplainArguments),
    /// Show what frees a port, and do it with --yes
    #[command(after_long_help = help::FREE)]
    Free(FreeArguments),
    /// Wait until a port is free or listening, or ports are available
    #[command(after_long_help = help::WAIT)]
    Wait(WaitArguments),
    /// Reserve ports: the kernel no longer chooses them itself
    #[command(after_long_help = help::RESERVE)]
    Reserve(ReserveArguments),
    /// Find a free port and print it
    #[command(after_long_help = help::pick())]
    Pick(PickArguments),
    /// Find a free port, keep it bound, and pass the socket to COMMAND
    #[command(
        override_usage = "portscope exec [OPTIONS] -- COMMAND...",
        after_long_help = help::exec()
    )]
    Exec(ExecArguments),
    /// Lease ports to programs over a Unix socket (portserver protocol)
    #[command(after_long_help = help::serve())]
    Serve(ServeArguments),
    /// Compare allocation strategies: measured and expected results
    #[command(after_long_help = help::lab())]
    Lab(LabArguments),
    /// An actor, such as the three processes of a race that `lab --race` and the Lab screen start.
    #[command(hide = true)]
    RunActor(RunActorArguments),
}

/// Options of the terminal program.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option without a value")]
pub struct LiveArguments {
    /// Ports, endpoint or process to show first
    #[arg(value_name = "PORT|NAME", value_parser = bytes(tui::parse))]
    pub target: Option<Wanted>,
    /// Range name, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "ephemeral")]
    pub range: RangeChoice,
    /// Map tcp, udp or both
    #[arg(long, value_name = "PROTO", default_value = "both")]
    pub protocol: Protocols,
    #[command(flatten)]
    pub namespace: NamespaceArguments,
    /// Minimum time between scans, 0.1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = value::interval)]
    pub interval: Duration,
    /// Colours (--help lists them)
    #[arg(long, value_name = "COLOURS", default_value = "auto")]
    pub color: ColorName,
    /// Colour theme (--help lists them)
    #[arg(long, value_name = "THEME", default_value = "auto")]
    pub theme: ThemeName,
    /// Use ASCII only (default in a locale without UTF-8)
    #[arg(long)]
    pub ascii: bool,
    /// Disable mouse support
    #[arg(long)]
    pub no_mouse: bool,
    /// Disable animations
    #[arg(long)]
    pub no_motion: bool,
    /// Refuse to end processes or close sockets
    #[arg(long)]
    pub read_only: bool,
    /// For the tests that check how the terminal is restored.
    #[arg(long, hide = true)]
    pub fault: Option<FaultName>,
}

#[derive(Debug, Args)]
#[command(mut_arg("format", |format| format.help("Format: text, json or csv")))]
#[expect(clippy::struct_excessive_bools, reason = "each is an option without a value")]
pub struct ScanArguments {
    /// Ports, endpoint or process to list [default: all]
    #[arg(value_name = "PORT|NAME", value_parser = bytes(target::parse))]
    pub target: Option<Wanted>,
    /// List TCP sockets (with -u: both)
    #[arg(short, long, conflicts_with = "protocol")]
    pub tcp: bool,
    /// List UDP sockets (with -t: both)
    #[arg(short, long, conflicts_with = "protocol")]
    pub udp: bool,
    /// List listening and unconnected sockets only
    #[arg(short, long, overrides_with = "all")]
    pub listening: bool,
    /// List sockets of all states (the default)
    #[arg(short, long, overrides_with = "listening")]
    pub all: bool,
    /// Accepted as in ss: names are never looked up
    #[arg(short, long)]
    pub numeric: bool,
    /// Accepted as in ss: processes are always shown
    #[arg(short, long)]
    pub processes: bool,
    /// List matching sockets (as in ss, and more)
    #[arg(long, value_name = "EXPR", value_parser = value::filter)]
    pub filter: Option<Filter>,
    #[command(flatten)]
    pub listing: ListingArguments,
    /// Ports: FIRST-LAST, PORT or range name
    #[arg(long, value_name = "RANGE", default_value = "all")]
    pub range: RangeChoice,
    /// List tcp, udp or both
    #[arg(long, value_name = "PROTO", default_value = "both")]
    pub protocol: Protocols,
    /// Network namespace: name, pid, path, or all
    #[arg(long, value_name = "NAMESPACE", value_parser = bytes(namespaces::parse))]
    pub netns: Option<OsString>,
    #[command(flatten)]
    pub report: ReportArguments<ScanFormat>,
    #[command(flatten)]
    pub color: ColorArguments,
    /// Skip the search for socket owners (faster)
    #[arg(long)]
    pub no_owners: bool,
    /// Exit with 1 if information is missing
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Args)]
#[command(mut_arg("format", |format| format.help("Format: text, json or prometheus")))]
pub struct DiagnoseArguments {
    /// Check tcp, udp or both
    #[arg(long, value_name = "PROTO", default_value = "both")]
    pub protocol: Protocols,
    /// Network namespace: name, pid, path, or all
    #[arg(long, value_name = "NAMESPACE", value_parser = bytes(namespaces::parse))]
    pub netns: Option<OsString>,
    /// WARNING from this share of used ports
    #[arg(long, value_name = "PERCENT", default_value = "70")]
    pub warn: Percent,
    /// CRITICAL from this share of used ports
    #[arg(long, value_name = "PERCENT", default_value = "85")]
    pub critical: Percent,
    /// Limit the report to matching sockets
    #[arg(long, value_name = "EXPR", value_parser = value::filter)]
    pub filter: Option<Filter>,
    /// Time to sample, 0 to 60; rates need 0.9
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds(60.0))]
    pub sample: Duration,
    /// Maximum number of destinations, fullest first
    #[arg(long, value_name = "N", value_parser = value::top)]
    pub top: Option<usize>,
    /// Show each finding in full
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub report: ReportArguments<DiagnoseFormat>,
    #[command(flatten)]
    pub color: ColorArguments,
}

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Port, 1 to 65535, or process
    #[arg(value_name = "PORT|NAME", allow_hyphen_values = true,
        value_parser = bytes(target::parse_port_or_name))]
    pub target: Wanted,
    /// Check tcp, udp or both
    #[arg(long, value_name = "PROTO", default_value = "both")]
    pub protocol: Protocols,
    /// Network namespace: name, pid, path, or all
    #[arg(long, value_name = "NAMESPACE", value_parser = bytes(namespaces::parse))]
    pub netns: Option<OsString>,
    /// Additional address to check, e.g. fe80::1%eth0
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<LocalAddress>,
    /// Show the reason for each answer
    #[arg(long)]
    pub why: bool,
    /// Verify with real binds, released at once
    #[arg(long)]
    pub probe: bool,
    #[command(flatten)]
    pub report: ReportArguments<PlainFormat>,
    #[command(flatten)]
    pub color: ColorArguments,
    /// Exit with 1 if information is missing
    #[arg(long)]
    pub strict: bool,
}

/// Arguments shared by commands that work in one network namespace.
#[derive(Debug, Args)]
pub struct NamespaceArguments {
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE", value_parser = bytes(namespaces::parse_one))]
    netns: Option<OsString>,
}

impl NamespaceArguments {
    /// Returns the name, pid or path. None: the namespace of the caller.
    pub fn choice(&self) -> Option<&OsStr> {
        self.netns.as_deref()
    }
}

/// What the commands share that print a report. `F`: their formats.
#[derive(Debug, Args)]
pub struct ReportArguments<F: ValueEnum + Send + Sync + 'static> {
    /// Format: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        default_value_if("json", "true", "json")
    )]
    pub format: F,
    /// Same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE", value_parser = bytes(output::parse))]
    pub output: Option<PathBuf>,
}

/// What the commands share that print more than a few words as text.
#[derive(Debug, Args)]
pub struct ColorArguments {
    /// Colours: auto, always or never
    #[arg(id = "color", long = "color", value_name = "WHEN", default_value = "auto")]
    pub when: ColorName,
}

/// What `pick`, `exec`, `serve` and `lab` share. Help lists their own options between these:
/// `display_order` says where.
#[derive(Debug, Args)]
pub struct SearchArguments {
    /// Free on tcp, udp or both
    #[arg(long, value_name = "PROTO", default_value = "both", display_order = 10)]
    pub protocol: Protocols,
    /// Ports: FIRST-LAST, PORT or a name
    #[arg(long, value_name = "RANGE", default_value = "free", display_order = 20,
        value_parser = RangeChoice::for_choosing)]
    pub range: RangeChoice,
    #[command(flatten, next_display_order = 30)]
    pub namespace: NamespaceArguments,
    /// Maximum attempts to find each port
    #[arg(long, value_name = "N", default_value = "100", display_order = 50,
        value_parser = number(u32::MAX))]
    pub max_attempts: NonZeroU32,
    /// Random seed, below 2^53 [default: random]
    #[arg(long, value_name = "N", display_order = 51, value_parser = value::seed)]
    pub seed: Option<u64>,
    /// Address to bind [default: all, IPv4 and IPv6]
    #[arg(long, value_name = "ADDRESS", display_order = 70)]
    pub address: Option<LocalAddress>,
    /// Include reserved ports (ip_local_reserved_ports)
    #[arg(long, display_order = 71)]
    pub ignore_reserved: bool,
}

/// What `pick` and `exec` share.
#[derive(Debug, Args)]
#[command(mut_arg("range", |range| range.default_value_ifs(
    ALLOCATORS
        .iter()
        .filter(|row| row.lets_machine_choose)
        .map(|row| ("strategy", row.name, "ephemeral"))
)))]
pub struct FindArguments {
    #[command(flatten)]
    pub search: SearchArguments,
    /// Ports to skip, e.g. 8080,9000-9010,browsers
    #[arg(long, value_name = "LIST", display_order = 21, value_parser = range::port_list)]
    pub exclude: Option<Box<[PortRange]>>,
    /// Allocation strategy
    #[arg(long, value_name = "NAME", default_value = "random", display_order = 40,
        value_parser = value::strategy())]
    pub strategy: &'static AllocatorRow,
    /// Number of ports to find, all or none
    #[arg(long, value_name = "N", default_value = "1", display_order = 60,
        value_parser = number(ALL_PORTS))]
    pub count: NonZeroU32,
    /// Find N consecutive ports instead
    #[arg(long, value_name = "N", display_order = 61, value_parser = number(ALL_PORTS),
        conflicts_with = "count")]
    pub block: Option<NonZeroU32>,
    /// Log each attempt to stderr
    #[arg(long, display_order = 80)]
    pub trace: bool,
}

#[derive(Debug, Args)]
pub struct PickArguments {
    #[command(flatten)]
    pub find: FindArguments,
    #[command(flatten, next_display_order = 90)]
    pub report: ReportArguments<PlainFormat>,
}

#[derive(Debug, Args)]
#[command(mut_arg("protocol", |protocol| {
    protocol.default_value("tcp").help("Sockets to pass: tcp, udp or both")
}))]
pub struct ExecArguments {
    #[command(flatten)]
    pub find: FindArguments,
    /// Set PORT only: COMMAND binds the port itself
    #[arg(long, display_order = 11)]
    pub no_hold: bool,
    /// Looks like COMMAND, and is not after `--`.
    #[arg(hide = true)]
    pub stray: Option<OsString>,
    /// Command to run, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(mut_arg("max_attempts", |attempts| attempts.default_value("1000")))]
pub struct ServeArguments {
    /// Socket to listen on: a path, or @NAME (abstract)
    #[arg(long, value_name = "PATH", value_parser = bytes(value::socket))]
    pub socket: SocketPath,
    #[command(flatten)]
    pub search: SearchArguments,
    /// Time before a port is leased again [default: 2]
    #[arg(long, value_name = "SECONDS", display_order = 40, value_parser = seconds(86_400.0),
        conflicts_with = "drain")]
    pub quarantine: Option<Duration>,
    /// Hold a port until SECONDS pass without a datagram
    #[arg(long, value_name = "SECONDS", display_order = 41, value_parser = seconds(86_400.0))]
    pub drain: Option<Duration>,
    /// Log each lease, release and refusal to stderr
    #[arg(long, display_order = 80)]
    pub trace: bool,
}

#[derive(Debug, Args)]
#[command(
    mut_arg("range", |range| range.default_value("iana")),
    mut_arg("address", |address| address.help("Address to bind with --occupancy live"))
)]
pub struct LabArguments {
    #[command(flatten)]
    pub search: SearchArguments,
    /// Strategy to run; may be repeated [default: all]
    #[arg(long, value_name = "NAME", display_order = 40, value_parser = value::strategy())]
    pub strategy: Vec<&'static AllocatorRow>,
    /// uniform, clustered, built or live
    #[arg(long, value_name = "NAME", default_value = "uniform", display_order = 41)]
    pub occupancy: OccupancyName,
    /// Share of ports in use, 0 to 1 [default: 0.9]
    #[arg(long, value_name = "SHARE", display_order = 42, value_parser = decimal(0.0..=1.0, ""))]
    pub fill: Option<f64>,
    /// Allocations per strategy, or rounds of --race
    #[arg(long, value_name = "N", display_order = 43, value_parser = number(u32::MAX))]
    pub runs: Option<NonZeroU32>,
    /// Number of destinations, used in turn
    #[arg(long, value_name = "N", default_value = "1", display_order = 60,
        value_parser = number(u32::MAX))]
    pub destinations: NonZeroU32,
    /// Size of the band that strategy banded tries last
    #[arg(long, value_name = "N", display_order = 61, value_parser = value::band)]
    pub band: Option<u32>,
    /// Race a competitor for a port instead
    #[arg(long, display_order = 80, conflicts_with_all = [
        "protocol", "netns", "strategy", "occupancy", "max_attempts", "destinations", "band",
        "address", "ignore_reserved",
    ])]
    pub race: bool,
    /// --race: time between close and rebind [default: 0.01]
    #[arg(long, value_name = "SECONDS", display_order = 81, value_parser = seconds(60.0))]
    pub window: Option<Duration>,
    /// --race: competitor's binds per second [default: 1000]
    #[arg(long, value_name = "N", display_order = 82,
        value_parser = decimal(1.0..=1e6, " binds per second"))]
    pub competitor: Option<f64>,
    #[command(flatten, next_display_order = 90)]
    pub report: ReportArguments<PlainFormat>,
    #[command(flatten, next_display_order = 100)]
    pub color: ColorArguments,
}

/// Internal arguments, not stable.
#[derive(Debug, Args)]
pub struct RunActorArguments {
    #[arg(allow_hyphen_values = true)]
    pub words: Vec<String>,
}

impl SearchArguments {
    /// Returns the range on a machine with this policy, and the reserved ports not to use.
    pub fn ports<'a>(&self, policy: &'a Ephemeral) -> (PortRange, &'a [PortRange]) {
        let reserved = if self.ignore_reserved { &[] } else { policy.reserved() };
        (self.range.resolve(policy), reserved)
    }
}

impl ScanArguments {
    /// Returns the protocols to list.
    pub fn protocols(&self) -> Protocols {
        match (self.tcp, self.udp) {
            (false, false) => self.protocol,
            (true, false) => Protocols::Tcp,
            (false, true) => Protocols::Udp,
            (true, true) => Protocols::Both,
        }
    }

    /// Returns whether to list sockets of the protocol: neither the options nor the argument exclude
    /// it.
    pub fn lists(&self, protocol: Protocol) -> bool {
        let of_target = self.target.as_ref().map_or(Protocols::Both, Wanted::protocols);
        self.protocols().includes(protocol) && of_target.includes(protocol)
    }

    /// Returns whether the selection needs the owners of sockets.
    pub fn needs_owners(&self) -> bool {
        self.target.as_ref().is_some_and(Wanted::is_process)
            || self.filter.as_ref().is_some_and(Filter::needs_owners)
    }

    /// Returns whether the output depends on the owners of sockets.
    pub fn looks_up_owners(&self) -> bool {
        let shows_owners = self.listing.group.is_none_or(GroupBy::needs_owners);
        !self.no_owners && (shows_owners || self.needs_owners())
    }

    /// Returns the filter that selects the sockets to list. `range`: the value of --range on this
    /// machine.
    pub fn selection(&self, range: PortRange, processes: &ProcessTable) -> Filter {
        let protocols = self.protocols();
        let terms = [
            (protocols != Protocols::Both).then(|| target::protocols_term(protocols)),
            (range != port::ALL).then(|| target::local_ports(range)),
            self.listening.then_some(Term::Test(Test::State(StateSet::WAITING))),
            self.target.as_ref().map(|wanted| wanted.term(processes)),
        ];
        let filter = self.filter.clone().unwrap_or_default();
        terms.into_iter().flatten().fold(filter, Filter::and)
    }
}

impl FindArguments {
    /// Returns the number of ports to find.
    pub fn wanted(&self) -> NonZeroU32 {
        self.block.unwrap_or(self.count)
    }

    /// Returns the option that sets [`wanted`](Self::wanted).
    pub fn count_option(&self) -> &'static str {
        if self.block.is_some() { "--block" } else { "--count" }
    }

    /// Returns the ports to skip, ascending; the ranges neither overlap nor touch.
    pub fn excluded(&self) -> &[PortRange] {
        self.exclude.as_deref().unwrap_or_default()
    }
}

impl ValueEnum for Protocols {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Tcp, Self::Udp, Self::Both]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(self.name().into())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OccupancyName {
    Uniform,
    Clustered,
    Built,
    Live,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScanFormat {
    Text,
    Json,
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiagnoseFormat {
    Text,
    Json,
    Prometheus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlainFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorName {
    /// Colours on a terminal, unless NO_COLOR is set.
    Auto,
    /// As many colours as the terminal has, NO_COLOR or not.
    Always,
    Truecolor,
    #[value(name = "256")]
    Indexed,
    #[value(name = "16")]
    Ansi,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ThemeName {
    Auto,
    Dark,
    Light,
    HighContrast,
    HighContrastLight,
}

/// Where to panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FaultName {
    PanicMain,
    PanicWorker,
}

/// Parses what follows `portscope`; the words are separated by spaces.
#[cfg(test)]
pub fn parsed(typed: &str) -> Command {
    let words = ["portscope"].into_iter().chain(typed.split(' '));
    Arguments::try_parse_from(words).unwrap().command.unwrap()
}

#[cfg(test)]
mod tests {
    use clap::{FromArgMatches as _, parser::ValueSource};

    use super::*;

    #[test]
    fn commands_are_those_that_help_lists() {
        let root = Arguments::command();
        let listed = root.get_subcommands().filter(|command| !command.is_hide_set());
        let names: Vec<&str> = listed.map(clap::Command::get_name).collect();
        assert_eq!(names, COMMANDS);
    }

    #[test]
    fn defaults_can_be_replaced_and_the_origin_of_a_value_is_known() {
        let root = Arguments::command().mut_subcommand("pick", |pick| {
            let pick = pick.mut_arg("seed", |seed| seed.default_value("7"));
            pick.mut_arg("range", |range| range.default_value("iana"))
        });
        for (typed, seed, origin) in [
            (&["portscope", "pick"][..], 7, ValueSource::DefaultValue),
            (&["portscope", "pick", "--seed", "8"], 8, ValueSource::CommandLine),
        ] {
            let matches = root.clone().try_get_matches_from(typed).unwrap();
            let pick = matches.subcommand_matches("pick").unwrap();
            assert_eq!(pick.value_source("seed"), Some(origin));
            let search = SearchArguments::from_arg_matches(pick).unwrap();
            assert_eq!(search.seed, Some(seed));
            assert_eq!(search.range, RangeChoice::for_choosing("iana").unwrap());
        }
    }

    #[test]
    fn default_range_depends_on_the_strategy() {
        for (typed, range) in
            [("pick", RangeChoice::Free), ("pick --strategy kernel-bind", RangeChoice::Ephemeral)]
        {
            let Command::Pick(pick) = parsed(typed) else { panic!("{typed}") };
            assert_eq!(pick.find.search.range, range);
        }
    }
}
