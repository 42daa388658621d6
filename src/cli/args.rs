//! The arguments as clap parses them. Does not interpret them: `settings` does.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser},
};

use crate::allocator::ALLOCATORS;

/// Shows how the ports of this machine are used, and runs a port allocator live.
#[derive(Debug, Parser)]
#[command(
    name = "portscope",
    bin_name = "portscope",
    version,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 the answer is no, 2 usage or could not run. Of diagnose: 0 OK, \
                  1 WARNING, 2 CRITICAL, 3 UNKNOWN."
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
    /// Tell whether ports run out, towards which destination, by whom, and what to do
    ///
    /// Scans twice, --sample seconds apart, for the rates; over a longer time once a second. What
    /// it says holds for one network namespace, the one it runs in unless --netns names another.
    #[command(
        after_help = "Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (sockets could not be \
                      listed, or usage)."
    )]
    Diagnose(DiagnoseArguments),
    /// Tell who holds a port, which binds and connects it blocks, and what would free it
    #[command(
        after_help = "Exit codes: 0 done, 1 nothing is listed on the port (or, with --strict, something \
                      could not be seen), 2 usage or could not run."
    )]
    Explain(ExplainArguments),
    /// Find a free port and print it
    ///
    /// The port was bound for a moment to prove that it can be had, and is released when portscope
    /// ends: the number is a hint, for another program may take the port before yours does.
    /// A port is looked for on UDP and TCP at once unless --protocol says otherwise (exo's demo
    /// asks for udp).
    Pick(PickArguments),
    /// Find a free port, keep it bound, and hand the open socket to COMMAND
    ///
    /// No other program can take the port in between: the socket is never closed, portscope becomes
    /// COMMAND. COMMAND must take the socket from descriptor 3: a program that binds PORT itself fails
    /// with EADDRINUSE, use --no-hold for it.
    ///
    /// It gets the sockets as systemd's socket activation gives them: from descriptor 3 on
    /// (LISTEN_FDS, LISTEN_PID), for each port its TCP socket, which listens, and with --protocol both
    /// its UDP socket behind it (LISTEN_FDNAMES says tcp and udp). PORT is the first port, PORT_1,
    /// PORT_2 and so on are all of --count or --block. LISTEN_PID is the first process: a shell must
    /// become the program (sh -c 'exec ./server').
    ///
    /// With one port asked for (--range 8080) it is given again while connections of the last server
    /// are in TIME-WAIT, as SO_REUSEADDR does it; with --no-hold COMMAND must set that option itself.
    ///
    /// Descriptors that the caller left open at those numbers are replaced; any others, like the
    /// environment, are COMMAND's as they were. With --netns only the ports are of that namespace.
    #[command(
        override_usage = "portscope exec [OPTIONS] -- COMMAND...",
        after_help = "Examples: portscope exec -- ./server\n          portscope exec --no-hold -- sh -c \
                      'python3 -m http.server $PORT'\n\n\
                      Exit codes: those of COMMAND; where it was not started: 75 no port found, 126 \
                      COMMAND cannot be run, 127 it is not found, 2 usage or could not run."
    )]
    Exec(ExecArguments),
    /// Lease ports to other programs over a Unix socket, by the protocol of Google's portserver
    ///
    /// Unmodified clients (portpicker of Python) use it where PORTSERVER_ADDRESS names the socket. A
    /// leased port was bound for a moment to prove that it can be had, and is given to nobody else
    /// until its process is gone and it can be bound again. Runs until a signal ends it; SIGUSR1 makes
    /// it print its counts.
    Serve(ServeArguments),
    /// Run allocation strategies side by side on one occupancy, measured beside predicted
    ///
    /// On an occupancy made by chance, in memory, unless --occupancy live asks for real binds on
    /// this machine. Each run meets a fresh occupancy, the same for all strategies.
    Lab(LabArguments),
    /// Victim and thief of a race, started by `lab --race` and the Lab screen.
    #[command(hide = true)]
    Arena(ArenaArguments),
}

/// Options of the terminal program.
#[derive(Debug, Args)]
pub struct LiveArguments {
    /// Where to start: a port, or the name of a process
    #[arg(value_name = "PORT or NAME")]
    pub target: Option<OsString>,
    /// Ports that the map shows: ephemeral, iana, registered, system, all, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "ephemeral", allow_hyphen_values = true)]
    pub range: String,
    /// Protocols that the map shows
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Another network namespace: a name in /run/netns, a pid or a path
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Time between two scans; it stretches where scans are expensive
    #[arg(long, value_name = "SECONDS", default_value = "1", allow_hyphen_values = true)]
    pub interval: String,
    /// Colours to use; NO_COLOR counts
    #[arg(long, value_name = "COLOURS", value_enum, default_value = "auto")]
    pub color: ColorName,
    /// Colours to draw with; auto asks the terminal for its background, the others ask nothing
    #[arg(long, value_name = "THEME", value_enum, default_value = "auto")]
    pub theme: ThemeName,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
    /// Let nothing fade or flash
    #[arg(long)]
    pub no_motion: bool,
    /// For the tests of how the terminal is given back.
    #[arg(long, hide = true, value_enum)]
    pub fault: Option<FaultName>,
}

#[derive(Debug, Args)]
pub struct ScanArguments {
    /// Local ports to list: ephemeral, iana, registered, system, all, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "all", allow_hyphen_values = true)]
    pub range: String,
    /// Protocols to list
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Another network namespace: a name in /run/netns, a pid, a path, or all
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: ScanFormat,
    /// Write to a file, which appears complete or not at all
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Sockets only, faster
    #[arg(long)]
    pub no_owners: bool,
    /// Exit with 1 when something could not be seen
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Args)]
pub struct DiagnoseArguments {
    /// Protocols to judge
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Another network namespace: a name in /run/netns, a pid, a path, or each of them in turn by
    /// 'all'
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Percent used of a range, or of a destination's ports, that is a warning
    #[arg(long, value_name = "PERCENT", default_value = "70", allow_hyphen_values = true)]
    pub warn: String,
    /// Percent used that is critical
    #[arg(long, value_name = "PERCENT", default_value = "85", allow_hyphen_values = true)]
    pub critical: String,
    /// Time over which to scan: 60 shows how often a destination is full; 0: one scan, no rates
    #[arg(long, value_name = "SECONDS", default_value = "1", allow_hyphen_values = true)]
    pub sample: String,
    /// Destinations listed at most, fullest first; 10 as text, 100 as json, 20 as prometheus when
    /// not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub top: Option<String>,
    /// Form of the output; prometheus: metrics for node_exporter's textfile collector
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: DiagnoseFormat,
    /// Write to a file, which appears complete or not at all; metrics replace no file but their own
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The port, 1 to 65535
    #[arg(value_name = "PORT", allow_hyphen_values = true)]
    pub port: String,
    /// Protocols to explain
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Another network namespace: a name in /run/netns, a pid, a path, or all of them by 'all'
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// One more address to check, as 192.0.2.1 or fe80::1%eth0
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Confirm by real binds, released at once; one with a reuse option beside a UDP socket that
    /// allows it may take a datagram of that moment. Before Linux 6.18 not beside connected TCP
    /// sockets, for the port would be lost to connect() until they are closed
    #[arg(long)]
    pub probe: bool,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: PlainFormat,
    /// Write to a file, which appears complete or not at all
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Exit with 1 when something could not be seen
    #[arg(long)]
    pub strict: bool,
}

/// What `pick` and `exec` share.
#[derive(Debug, Args)]
pub struct SearchArguments {
    /// Ports to choose from: free (outside of the ephemeral range, so that no connect() takes one),
    /// ephemeral, iana, registered, system, all, FIRST-LAST or PORT; free when not given, or ephemeral
    /// where the strategy lets the kernel choose
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub range: Option<String>,
    /// Ports to leave out: PORT, FIRST-LAST and browsers (those that web browsers refuse), with
    /// commas between them
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    pub exclude: Option<String>,
    /// Another network namespace: a name in /run/netns, a pid or a path
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// How to choose the next port to try
    #[arg(long, value_name = "NAME", default_value = "random", value_parser = strategies())]
    pub strategy: String,
    /// Give up after so many attempts for a port
    #[arg(long, value_name = "N", default_value = "100", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Make the same choices again; below 2^53, drawn and told when not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Ports to find, held at the same time: all or none
    #[arg(long, value_name = "N", default_value = "1", allow_hyphen_values = true)]
    pub count: String,
    /// Instead, N neighbours: ports that follow each other
    #[arg(long, value_name = "N", allow_hyphen_values = true, conflicts_with = "count")]
    pub block: Option<String>,
    /// Address to bind, as 127.0.0.1 or fe80::1%eth0; all addresses, IPv4 and IPv6, when not given
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Draw reserved ports too (ip_local_reserved_ports)
    #[arg(long)]
    pub ignore_reserved: bool,
    /// Tell each attempt as it happens, on stderr
    #[arg(long)]
    pub trace: bool,
}

#[derive(Debug, Args)]
pub struct PickArguments {
    /// Protocols on which the port must be free; both means the same port on UDP and TCP
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    #[command(flatten)]
    pub search: SearchArguments,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: PlainFormat,
    /// Write to a file, which appears complete or not at all
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ExecArguments {
    /// Sockets that COMMAND gets; most programs take a TCP socket only. With both they have the same
    /// port
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "tcp")]
    pub protocol: ProtocolName,
    /// Only set PORT: COMMAND binds it itself, and another program may take it before
    #[arg(long)]
    pub no_hold: bool,
    #[command(flatten)]
    pub search: SearchArguments,
    /// Looks like COMMAND, and is not after `--`.
    #[arg(hide = true)]
    pub stray: Option<OsString>,
    /// What to run instead of portscope, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Where to listen: a path, made with the rights that the umask leaves, or @NAME in the abstract
    /// namespace; who may write to the file may ask for ports
    #[arg(long, value_name = "PATH")]
    pub socket: OsString,
    /// Protocols on which a port must be free; both means the same port on UDP and TCP
    #[arg(long, value_name = "PROTOCOL", value_enum, default_value = "both")]
    pub protocol: ProtocolName,
    /// Ports to choose from: free (outside of the ephemeral range, so that no connect() takes one),
    /// ephemeral, iana, registered, system, all, FIRST-LAST or PORT
    #[arg(long, value_name = "RANGE", default_value = "free", allow_hyphen_values = true)]
    pub range: String,
    /// Another network namespace: a name in /run/netns, a pid or a path
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// Let a port rest for so long before it is leased again; 2 when not given
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, conflicts_with = "drain")]
    pub quarantine: Option<String>,
    /// Instead, keep a port bound until no stray datagram came for so long
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub drain: Option<String>,
    /// Give up after so many attempts for a port
    #[arg(long, value_name = "N", default_value = "1000", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Make the same choices again; below 2^53, drawn when not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Address to bind, as 127.0.0.1 or fe80::1%eth0; all addresses, IPv4 and IPv6, when not given
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Lease reserved ports too (ip_local_reserved_ports)
    #[arg(long)]
    pub ignore_reserved: bool,
    /// Tell each lease, release and refusal as it happens, on stderr
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
    /// Another network namespace: a name in /run/netns, a pid or a path
    #[arg(long, value_name = "NAMESPACE")]
    pub netns: Option<OsString>,
    /// A strategy to run, several times for several; all when not given
    #[arg(long, value_name = "NAME", value_parser = strategies())]
    pub strategy: Vec<String>,
    /// How the occupied ports lie: each set as likely as any other, in runs, as the strategy itself
    /// leaves them, or live, as on this machine, by real binds
    #[arg(long, value_name = "OCCUPANCY", value_enum, default_value = "uniform")]
    pub occupancy: OccupancyName,
    /// Share of the ports that is occupied, 0 to 1; 0.9 when not given, none with --occupancy live
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true)]
    pub fill: Option<String>,
    /// Allocations of each strategy; 10000 when not given, 100 with --occupancy built; rounds of
    /// --race, 1000 when not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub runs: Option<String>,
    /// Give up after so many attempts for a port
    #[arg(long, value_name = "N", default_value = "100", allow_hyphen_values = true)]
    pub max_attempts: String,
    /// Make the same choices again; below 2^53, drawn and told when not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Remote endpoints that the ports are for, in turn
    #[arg(long, value_name = "N", default_value = "1", allow_hyphen_values = true)]
    pub destinations: String,
    /// Ports of the static band of 'banded'; Kubernetes' formula when not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub band: Option<String>,
    /// Address to bind with --occupancy live, as 127.0.0.1 or fe80::1%eth0; all addresses when not
    /// given
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub address: Option<String>,
    /// Draw reserved ports too (ip_local_reserved_ports); else they are left out, in memory as well
    #[arg(long)]
    pub ignore_reserved: bool,
    /// Race a thief instead: close a port, bind it again --window later, and count how often it is
    /// lost; then the same with the socket kept
    #[arg(long, conflicts_with_all = [
        "protocol", "netns", "strategy", "occupancy", "max_attempts", "destinations", "band",
        "address", "ignore_reserved",
    ])]
    pub race: bool,
    /// Of --race: time between close and rebind; 0.01 when not given
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub window: Option<String>,
    /// Of --race: ports that the thief binds a second; 1000 when not given
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub thief: Option<String>,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: PlainFormat,
    /// Write to a file, which appears complete or not at all
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What the program says to itself: not for people, and no promise.
#[derive(Debug, Args)]
pub struct ArenaArguments {
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
