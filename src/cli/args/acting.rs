//! The arguments of the commands that act on ports, or wait for them: `free`, `wait`, `reserve`.

use std::time::Duration;

use clap::Args;

use crate::{
    cli::{
        args::{ColorArguments, NamespaceArguments, PlainFormat, ReportArguments},
        range,
        target::{self, PortTarget},
        value::{bytes, seconds},
    },
    domain::PortRange,
};

/// Maximum number of seconds of --timeout: a day.
const MAX_TIMEOUT: f64 = 86_400.0;

#[derive(Debug, Args)]
#[command(mut_arg("timeout", |timeout| {
    timeout.help("Time for processes to end after SIGTERM [default: 5]")
}))]
pub struct FreeArguments {
    /// Port, 1 to 65535; 8080/tcp and 8080/udp select a protocol
    #[arg(value_name = "PORT", allow_hyphen_values = true, value_parser = bytes(target::parse_port))]
    pub target: PortTarget,
    /// Show what would be done, change nothing (the default)
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do it
    #[arg(short, long)]
    pub yes: bool,
    /// End processes by SIGKILL instead of SIGTERM
    #[arg(long)]
    pub hard: bool,
    #[command(flatten)]
    pub waiting: WaitingArguments,
    #[command(flatten)]
    pub report: ReportArguments<PlainFormat>,
    #[command(flatten)]
    pub color: ColorArguments,
}

#[derive(Debug, Args)]
pub struct WaitArguments {
    /// Port to be free, or a condition (see --help)
    #[arg(value_name = "PORT|CONDITION", required = true)]
    pub condition: Vec<String>,
    #[command(flatten)]
    pub waiting: WaitingArguments,
    #[command(flatten)]
    pub report: ReportArguments<PlainFormat>,
}

/// What the commands share that wait for a port of one namespace.
#[derive(Debug, Args)]
pub struct WaitingArguments {
    /// Maximum time to wait [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = seconds(MAX_TIMEOUT))]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub namespace: NamespaceArguments,
}

#[derive(Debug, Args)]
pub struct ReserveArguments {
    /// Ports: PORT and FIRST-LAST, separated by commas
    #[arg(value_name = "PORTS", allow_hyphen_values = true, value_parser = range::reserved_list)]
    pub ports: Box<[PortRange]>,
    /// Remove the ports from the list instead
    #[arg(long)]
    pub remove: bool,
    /// Show what would be done, change nothing (the default)
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Do it
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub namespace: NamespaceArguments,
    #[command(flatten)]
    pub report: ReportArguments<PlainFormat>,
}
