//! The arguments as clap parses them. Does not interpret them: `settings` does.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser},
};

use crate::allocator::ALLOCATORS;

/// Show how TCP and UDP ports are used and allocated, and why they run out.
#[derive(Debug, Parser)]
#[command(
    name = "portscope",
    bin_name = "portscope",
    version,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 80,
    after_help = "Exit codes: 0 success, 1 negative result (no port found, port not in use), 2 \
                  error. With diagnose: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
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
    Scan(ScanArguments),
    /// Check for port exhaustion: destination, process and remedy
    #[command(
        after_help = "Scans twice, --sample seconds apart, to measure rates; once per second if \
                      SECONDS is above 1. The result applies to one network namespace: that of the \
                      caller, or each of --netns.\n\n\
                      Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (usage error, or sockets \
                      could not be listed)."
    )]
    Diagnose(DiagnoseArguments),
    /// Show what uses a port, what that blocks, and what would free it
    #[command(
        after_help = "With --probe, a bind with a reuse option may receive a datagram that arrives \
                      at that moment, if a UDP socket on the port allows reuse. Before Linux 6.18, \
                      a port with connected TCP sockets is not probed: connect() could not use it \
                      until they are closed.\n\n\
                      Exit codes: 0 port in use, 1 port not in use (or, with --strict, incomplete \
                      information), 2 error."
    )]
    Explain(ExplainArguments),
    /// Find a free port and print it
    ///
    /// Binds the port to verify that it is free, and releases it when portscope exits. The number
    /// is a hint: another program may bind the port before yours does; exec prevents that. Unless
    /// --protocol is given, the port is free on both TCP and UDP.
    Pick(PickArguments),
    /// Find a free port, keep it bound, and pass the socket to COMMAND
    ///
    /// portscope replaces itself with COMMAND and never closes the socket, so no other program can
    /// take the port. COMMAND must use the socket passed as descriptor 3. A program that binds PORT
    /// itself fails with EADDRINUSE and needs --no-hold.
    ///
    /// Sockets are passed as in systemd's socket activation (LISTEN_FDS, LISTEN_PID), from
    /// descriptor 3: for each port the listening TCP socket and, with --protocol both, then the UDP
    /// socket (LISTEN_FDNAMES: tcp and udp). PORT is the first port; PORT_1, PORT_2 and so on are
    /// all ports of --count or --block. LISTEN_PID is the first process: a shell must exec the
    /// program (sh -c 'exec ./server').
    ///
    /// A single port (--range 8080) is used even if connections of its last server are in
    /// TIME-WAIT, by SO_REUSEADDR; with --no-hold, COMMAND must set that option itself.
    ///
    /// Descriptors that are already open at those numbers are replaced. COMMAND inherits all
    /// others, and the environment. With --netns, only the ports are in that namespace.
    #[command(
        override_usage = "portscope exec [OPTIONS] -- COMMAND...",
        after_help = "Examples:\n  portscope exec -- ./server\n  portscope exec --no-hold -- sh -c \
                      'python3 -m http.server $PORT'\n\n\
                      Exit codes: that of COMMAND; if COMMAND was not started: 75 no port found, \
                      126 COMMAND cannot be executed, 127 COMMAND not found, 2 error."
    )]
    Exec(ExecArguments),
    /// Lease ports to programs over a Unix socket (portserver protocol)
    #[command(
        after_help = "The protocol is that of Google's portserver: unmodified clients, such as \
                      Python's portpicker, use the socket named by PORTSERVER_ADDRESS. The umask \
                      sets the permissions of the socket; clients that may write to it may lease \
                      ports. A port is bound for a moment to verify that it is free, and is leased \
                      again only after its process has exited and it can be bound. Runs until a \
                      signal ends it; SIGUSR1 prints statistics."
    )]
    Serve(ServeArguments),
    /// Compare allocation strategies: measured and expected results
    ///
    /// Each run uses a new random occupancy in memory, the same for all strategies. With
    /// --occupancy live, the strategies bind ports of this host instead.
    Lab(LabArguments),
    /// One of the two processes of a race, started by `lab --race` and the Lab screen.
    #[command(hide = true)]
    RaceWorker(RaceWorkerArguments),
}

/// Options of the terminal program.
#[derive(Debug, Args)]
pub struct LiveArguments {
    /// Port or process name to show first
    #[arg(value_name = "PORT|NAME")]
    pub target: Option<OsString>,
    /// Ports on the map: ephemeral, iana, registered, system, all, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "ephemeral", allow_hyphen_values = true)]
    pub range: String,
    /// Protocols on the map
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Minimum time between scans
    #[arg(long, value_name = "SECONDS", default_value = "1", allow_hyphen_values = true)]
    pub interval: String,
    /// Number of colours; auto respects NO_COLOR
    #[arg(long, value_name = "COLOURS", value_enum, default_value = "auto")]
    pub color: ColorName,
    /// Colour theme; auto detects the terminal background
    #[arg(long, value_name = "THEME", value_enum, default_value = "auto")]
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
    /// Local ports: ephemeral, iana, registered, system, all, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "all", allow_hyphen_values = true)]
    pub range: String,
    /// Protocols to list
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Network namespace: name in /run/netns, pid, path, or all
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: ScanFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Skip the search for socket owners (faster)
    #[arg(long)]
    pub no_owners: bool,
    /// Exit with 1 if information is missing
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Args)]
pub struct DiagnoseArguments {
    /// Protocols to check
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Network namespace: name in /run/netns, pid, path, or all
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Warning threshold: percent of a range, or of a destination's ports, in use
    #[arg(long, value_name = "PERCENT", default_value = "70", allow_hyphen_values = true)]
    pub warn: String,
    /// Critical threshold
    #[arg(long, value_name = "PERCENT", default_value = "85", allow_hyphen_values = true)]
    pub critical: String,
    /// Time to sample; 60 shows how often a destination is full, 0 is one scan without rates
    #[arg(long, value_name = "SECONDS", default_value = "1", allow_hyphen_values = true)]
    pub sample: String,
    /// Maximum destinations to list, fullest first [default: 10 for text, 100 for json, 20 for
    /// prometheus]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub top: Option<String>,
    /// Output format; prometheus is for node_exporter's textfile collector
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: DiagnoseFormat,
    /// Write to FILE (atomically); prometheus overwrites only its own files
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Port number, 1 to 65535
    #[arg(value_name = "PORT", allow_hyphen_values = true)]
    pub port: String,
    /// Protocols to check
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Network namespace: name in /run/netns, pid, path, or all
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Additional address to check, e.g. 192.0.2.1 or fe80::1%eth0
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Verify with real binds, released at once (see below)
    #[arg(long)]
    pub probe: bool,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: PlainFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Exit with 1 if information is missing
    #[arg(long)]
    pub strict: bool,
}

/// What `pick` and `exec` share.
#[derive(Debug, Args)]
pub struct SearchArguments {
    /// Ports to choose from: free, ephemeral, iana, registered, system, all, FIRST-LAST or PORT
    /// [default: free]
    ///
    /// free: ports outside the ephemeral range, which no connect() takes. If the strategy lets the
    /// kernel choose, the default is ephemeral
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub range: Option<String>,
    /// Ports to exclude: PORT, FIRST-LAST or browsers, separated by commas
    ///
    /// browsers: the ports that web browsers refuse
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub exclude: Option<String>,
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Allocation strategy
    #[arg(long, value_name = "NAME", default_value = "random", value_parser = strategies())]
    pub strategy: String,
    /// Maximum attempts per port
    #[arg(long, value_name = "N", default_value = "100", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Random seed, below 2^53 [default: random; --trace prints it]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Number of ports to find, all or none
    #[arg(long, value_name = "N", default_value = "1", allow_hyphen_values = true)]
    pub count: String,
    /// Find N consecutive ports instead
    #[arg(long, value_name = "N", allow_hyphen_values = true, conflicts_with = "count")]
    pub block: Option<String>,
    /// Address to bind, e.g. 127.0.0.1 or fe80::1%eth0 [default: all, IPv4 and IPv6]
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
    /// Protocols on which the port must be free
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    #[command(flatten)]
    pub search: SearchArguments,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: PlainFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExecArguments {
    /// Sockets to pass to COMMAND
    ///
    /// Most programs use a TCP socket only. With both, the two sockets have the same port
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "tcp")]
    pub protocol: ProtocolName,
    /// Set PORT only: COMMAND binds the port itself
    ///
    /// Another program may bind the port before COMMAND does
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
    /// Socket to listen on: a path, or @NAME in the abstract namespace
    #[arg(long, value_name = "PATH")]
    pub socket: OsString,
    /// Protocols on which a port must be free
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Ports to lease: free (outside the ephemeral range), ephemeral, iana, registered, system,
    /// all, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "free", allow_hyphen_values = true)]
    pub range: String,
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Time before a released port is leased again [default: 2]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, conflicts_with = "drain")]
    pub quarantine: Option<String>,
    /// Instead, keep a released port bound until no datagram has arrived for SECONDS
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub drain: Option<String>,
    /// Maximum attempts per port
    #[arg(long, value_name = "N", default_value = "1000", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Random seed, below 2^53 [default: random]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Address to bind, e.g. 127.0.0.1 or fe80::1%eth0 [default: all, IPv4 and IPv6]
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
    /// Protocols on which a port must be free
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Ports to choose from: ephemeral, iana, registered, system, all, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "iana", allow_hyphen_values = true)]
    pub range: String,
    /// Network namespace: name in /run/netns, pid or path
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Strategy to run; may be repeated [default: all]
    #[arg(long, value_name = "NAME", value_parser = strategies())]
    pub strategy: Vec<String>,
    /// Distribution of occupied ports
    #[arg(long, value_name = "OCCUPANCY", value_enum, default_value = "uniform")]
    pub occupancy: OccupancyName,
    /// Share of ports in use, 0 to 1 [default: 0.9]; not with --occupancy live
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    pub fill: Option<String>,
    /// Allocations per strategy, or rounds of --race [default: 10000; 100 with --occupancy built;
    /// 1000 with --race]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub runs: Option<String>,
    /// Maximum attempts per port
    #[arg(long, value_name = "N", default_value = "100", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Random seed, below 2^53 [default: random, printed]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Number of remote endpoints, used in turn
    #[arg(long, value_name = "N", default_value = "1", allow_hyphen_values = true)]
    pub destinations: String,
    /// Size of the static band of 'banded' [default: Kubernetes' formula]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub band: Option<String>,
    /// Address to bind with --occupancy live [default: all, IPv4 and IPv6]
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Include reserved ports (ip_local_reserved_ports)
    #[arg(long)]
    pub ignore_reserved: bool,
    /// Race a competitor for a port instead
    ///
    /// Closes a port, binds it again --window later, and counts how often the competitor took it;
    /// then does the same with the socket kept open
    #[arg(long, conflicts_with_all = [
        "protocol", "netns", "strategy", "occupancy", "max_attempts", "destinations", "band",
        "address", "ignore_reserved",
    ])]
    pub race: bool,
    /// With --race: time between close and rebind [default: 0.01]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub window: Option<String>,
    /// With --race: ports that the competitor binds per second [default: 1000]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub competitor: Option<String>,
    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: PlainFormat,
    /// Write to FILE (atomically)
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Internal arguments, not stable.
#[derive(Debug, Args)]
pub struct RaceWorkerArguments {
    #[arg(allow_hyphen_values = true)]
    pub words: Vec<String>,
}

fn strategies() -> PossibleValuesParser {
    ALLOCATORS.iter().map(|row| PossibleValue::new(row.name).help(row.summary)).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolName {
    Tcp,
    Udp,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OccupancyName {
    /// every set of ports is equally likely
    Uniform,
    /// ports in runs
    Clustered,
    /// ports as the strategy itself leaves them
    Built,
    /// ports in use on this host, with real binds
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
