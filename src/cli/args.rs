//! The arguments as clap parses them. Does not interpret them: `settings` does.
//!
//! The help of an option is one line. `help` has what needs more room.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};

use crate::{allocator::ALLOCATORS, cli::help};

/// The commands that help lists.
pub const COMMANDS: [&str; 7] = ["scan", "diagnose", "explain", "pick", "exec", "serve", "lab"];

#[derive(Debug, Parser)]
#[command(
    name = "portscope",
    bin_name = "portscope",
    version,
    about = help::ABOUT,
    after_long_help = help::root(),
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 80
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub live: LiveArguments,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print one snapshot of all sockets and their owners
    #[command(after_long_help = help::scan())]
    Scan(ScanArguments),
    /// Show which destination and process exhaust the ports, and what to do
    #[command(after_long_help = help::DIAGNOSE)]
    Diagnose(DiagnoseArguments),
    /// Show what uses a port, what that blocks, and what would free it
    #[command(after_long_help = help::EXPLAIN)]
    Explain(ExplainArguments),
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
    /// One of the two processes of a race, started by `lab --race` and the Lab screen.
    #[command(hide = true)]
    RaceWorker(RaceWorkerArguments),
}

/// Options of the terminal program.
#[derive(Debug, Args)]
pub struct LiveArguments {
    /// Port or process to show first, on the map
    #[arg(value_name = "PORT|NAME")]
    pub target: Option<OsString>,
    /// Range name, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "ephemeral", allow_hyphen_values = true)]
    pub range: String,
    /// Map tcp, udp or both
    #[arg(
        long,
        value_name = "PROTO",
        value_enum,
        hide_possible_values = true,
        default_value = "both"
    )]
    pub protocol: ProtocolName,
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE", allow_hyphen_values = true)]
    pub netns: Option<OsString>,
    /// Minimum time between scans, 0.1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "1", allow_hyphen_values = true)]
    pub interval: String,
    /// auto, truecolor, 256, 16 or never
    #[arg(
        long,
        value_name = "COLOURS",
        value_enum,
        hide_possible_values = true,
        default_value = "auto"
    )]
    pub color: ColorName,
    /// Colour theme (--help lists them)
    #[arg(
        long,
        value_name = "THEME",
        value_enum,
        hide_possible_values = true,
        default_value = "auto"
    )]
    pub theme: ThemeName,
    /// Use ASCII characters only
    #[arg(long)]
    pub ascii: bool,
    /// Disable mouse support
    #[arg(long)]
    pub no_mouse: bool,
    /// Disable animations
    #[arg(long)]
    pub no_motion: bool,
    /// For the tests that check how the terminal is restored.
    #[arg(long, hide = true, value_enum)]
    pub fault: Option<FaultName>,
}

#[derive(Debug, Args)]
pub struct ScanArguments {
    /// Ports: FIRST-LAST, PORT or range name
    #[arg(long, value_name = "RANGE", default_value = "all", allow_hyphen_values = true)]
    pub range: String,
    /// List tcp, udp or both
    #[arg(
        long,
        value_name = "PROTO",
        value_enum,
        hide_possible_values = true,
        default_value = "both"
    )]
    pub protocol: ProtocolName,
    /// Network namespace: name, pid, path, or all
    #[arg(long, value_name = "NAMESPACE", allow_hyphen_values = true)]
    pub netns: Option<OsString>,
    /// Format: text, json or csv
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true,
        default_value = "text"
    )]
    pub format: ScanFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<OsString>,
    /// Skip the search for socket owners (faster)
    #[arg(long)]
    pub no_owners: bool,
    /// Exit with 1 if information is missing
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Args)]
pub struct DiagnoseArguments {
    /// Check tcp, udp or both
    #[arg(
        long,
        value_name = "PROTO",
        value_enum,
        hide_possible_values = true,
        default_value = "both"
    )]
    pub protocol: ProtocolName,
    /// Network namespace: name, pid, path, or all
    #[arg(long, value_name = "NAMESPACE", allow_hyphen_values = true)]
    pub netns: Option<OsString>,
    /// WARNING from this share of used ports
    #[arg(long, value_name = "PERCENT", default_value = "70", allow_hyphen_values = true)]
    pub warn: String,
    /// CRITICAL from this share of used ports
    #[arg(long, value_name = "PERCENT", default_value = "85", allow_hyphen_values = true)]
    pub critical: String,
    /// Time to sample, 0 to 60
    #[arg(long, value_name = "SECONDS", default_value = "1", allow_hyphen_values = true)]
    pub sample: String,
    /// Maximum number of destinations, fullest first
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub top: Option<String>,
    /// Format: text, json or prometheus
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true,
        default_value = "text"
    )]
    pub format: DiagnoseFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<OsString>,
}

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Port number, 1 to 65535
    #[arg(value_name = "PORT", allow_hyphen_values = true)]
    pub port: String,
    /// Check tcp, udp or both
    #[arg(
        long,
        value_name = "PROTO",
        value_enum,
        hide_possible_values = true,
        default_value = "both"
    )]
    pub protocol: ProtocolName,
    /// Network namespace: name, pid, path, or all
    #[arg(long, value_name = "NAMESPACE", allow_hyphen_values = true)]
    pub netns: Option<OsString>,
    /// Additional address to check, e.g. fe80::1%eth0
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Verify with real binds, released at once
    #[arg(long)]
    pub probe: bool,
    /// Format: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true,
        default_value = "text"
    )]
    pub format: PlainFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<OsString>,
    /// Exit with 1 if information is missing
    #[arg(long)]
    pub strict: bool,
}

/// What `pick` and `exec` share.
#[derive(Debug, Args)]
pub struct SearchArguments {
    /// Ports: FIRST-LAST, PORT or a name [default: free]
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub range: Option<String>,
    /// Ports to skip, e.g. 8080,9000-9010,browsers
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub exclude: Option<String>,
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE", allow_hyphen_values = true)]
    pub netns: Option<OsString>,
    /// Allocation strategy
    #[arg(
        long,
        value_name = "NAME",
        default_value = "random",
        hide_possible_values = true,
        value_parser = strategies()
    )]
    pub strategy: String,
    /// Maximum attempts to find each port
    #[arg(long, value_name = "N", default_value = "100", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Random seed, below 2^53 [default: random]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Number of ports to find, all or none
    #[arg(long, value_name = "N", default_value = "1", allow_hyphen_values = true)]
    pub count: String,
    /// Find N consecutive ports instead
    #[arg(long, value_name = "N", allow_hyphen_values = true, conflicts_with = "count")]
    pub block: Option<String>,
    /// Address to bind [default: all, IPv4 and IPv6]
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Include reserved ports (ip_local_reserved_ports)
    #[arg(long)]
    pub ignore_reserved: bool,
    /// Log each attempt to stderr
    #[arg(long)]
    pub trace: bool,
}

#[derive(Debug, Args)]
pub struct PickArguments {
    /// Free on tcp, udp or both
    #[arg(
        long,
        value_name = "PROTO",
        value_enum,
        hide_possible_values = true,
        default_value = "both"
    )]
    pub protocol: ProtocolName,
    #[command(flatten)]
    pub search: SearchArguments,
    /// Format: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true,
        default_value = "text"
    )]
    pub format: PlainFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<OsString>,
}

#[derive(Debug, Args)]
pub struct ExecArguments {
    /// Sockets to pass: tcp, udp or both
    #[arg(
        long,
        value_name = "PROTO",
        value_enum,
        hide_possible_values = true,
        default_value = "tcp"
    )]
    pub protocol: ProtocolName,
    /// Set PORT only: COMMAND binds the port itself
    #[arg(long)]
    pub no_hold: bool,
    #[command(flatten)]
    pub search: SearchArguments,
    /// Looks like COMMAND, and is not after `--`.
    #[arg(hide = true)]
    pub stray: Option<OsString>,
    /// Command to run, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Socket to listen on: a path, or @NAME (abstract)
    #[arg(long, value_name = "PATH")]
    pub socket: OsString,
    /// Free on tcp, udp or both
    #[arg(
        long,
        value_name = "PROTO",
        value_enum,
        hide_possible_values = true,
        default_value = "both"
    )]
    pub protocol: ProtocolName,
    /// Ports: FIRST-LAST, PORT or a name
    #[arg(long, value_name = "RANGE", default_value = "free", allow_hyphen_values = true)]
    pub range: String,
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE", allow_hyphen_values = true)]
    pub netns: Option<OsString>,
    /// Time before a port is leased again [default: 2]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, conflicts_with = "drain")]
    pub quarantine: Option<String>,
    /// Instead of --quarantine: hold until no datagrams
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub drain: Option<String>,
    /// Maximum attempts to find each port
    #[arg(long, value_name = "N", default_value = "1000", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Random seed, below 2^53 [default: random]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Address to bind [default: all, IPv4 and IPv6]
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Include reserved ports (ip_local_reserved_ports)
    #[arg(long)]
    pub ignore_reserved: bool,
    /// Log each lease, release and refusal to stderr
    #[arg(long)]
    pub trace: bool,
}

#[derive(Debug, Args)]
pub struct LabArguments {
    /// Free on tcp, udp or both
    #[arg(
        long,
        value_name = "PROTO",
        value_enum,
        hide_possible_values = true,
        default_value = "both"
    )]
    pub protocol: ProtocolName,
    /// Ports: FIRST-LAST, PORT or a name
    #[arg(long, value_name = "RANGE", default_value = "iana", allow_hyphen_values = true)]
    pub range: String,
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE", allow_hyphen_values = true)]
    pub netns: Option<OsString>,
    /// Strategy to run; may be repeated [default: all]
    #[arg(long, value_name = "NAME", hide_possible_values = true, value_parser = strategies())]
    pub strategy: Vec<String>,
    /// uniform, clustered, built or live
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        hide_possible_values = true,
        default_value = "uniform"
    )]
    pub occupancy: OccupancyName,
    /// Share of ports in use, 0 to 1 [default: 0.9]
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    pub fill: Option<String>,
    /// Allocations per strategy, or rounds of --race
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub runs: Option<String>,
    /// Maximum attempts to find each port
    #[arg(long, value_name = "N", default_value = "100", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Random seed, below 2^53 [default: random]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Number of destinations, used in turn
    #[arg(long, value_name = "N", default_value = "1", allow_hyphen_values = true)]
    pub destinations: String,
    /// Size of the static band of strategy banded
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub band: Option<String>,
    /// Address to bind with --occupancy live
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Include reserved ports (ip_local_reserved_ports)
    #[arg(long)]
    pub ignore_reserved: bool,
    /// Race a competitor for a port instead
    #[arg(long, conflicts_with_all = [
        "protocol", "netns", "strategy", "occupancy", "max_attempts", "destinations", "band",
        "address", "ignore_reserved",
    ])]
    pub race: bool,
    /// --race: time between close and rebind [default: 0.01]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub window: Option<String>,
    /// --race: competitor's binds per second [default: 1000]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub competitor: Option<String>,
    /// Format: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true,
        default_value = "text"
    )]
    pub format: PlainFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<OsString>,
}

/// Internal arguments, not stable.
#[derive(Debug, Args)]
pub struct RaceWorkerArguments {
    #[arg(allow_hyphen_values = true)]
    pub words: Vec<String>,
}

fn strategies() -> PossibleValuesParser {
    ALLOCATORS.iter().map(|row| row.name).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolName {
    Tcp,
    Udp,
    Both,
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
    Auto,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn commands_are_those_that_help_lists() {
        let root = Arguments::command();
        let listed = root.get_subcommands().filter(|command| !command.is_hide_set());
        let names: Vec<&str> = listed.map(clap::Command::get_name).collect();
        assert_eq!(names, COMMANDS);
    }
}
