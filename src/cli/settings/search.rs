//! Checks and interprets the arguments of `pick` and `exec`, which use the same search. Does not
//! read the machine.

use std::{ffi::OsString, num::NonZeroU32, os::unix::ffi::OsStrExt as _};

use crate::{
    allocator::strategy::AllocatorRow,
    cli::{
        args::{ExecArguments, PickArguments, PlainFormat, SearchArguments},
        namespaces::NamespaceChoice,
        output::OutputTarget,
        settings::{
            BadInput, RangeChoice, address, check_count, destination, number, number_up_to, ports,
            seed, strategy,
        },
    },
    domain::{LocalAddress, PortRange, Protocols, Text, port},
};

/// Number of ports that can be bound: 1 to 65535.
const ALL_PORTS: u32 = 65_535;

pub struct SearchSettings {
    pub range: RangeChoice,
    /// Ports to skip, ascending; the ranges neither overlap nor touch.
    pub exclude: Vec<PortRange>,
    pub protocols: Protocols,
    pub namespace: NamespaceChoice,
    pub strategy: &'static AllocatorRow,
    pub max_attempts: NonZeroU32,
    pub seed: Option<u64>,
    /// Number of ports to find, at most 65,535.
    pub count: NonZeroU32,
    /// Whether the ports must be consecutive.
    pub is_block: bool,
    pub address: Option<LocalAddress>,
    pub ignore_reserved: bool,
    pub trace: bool,
}

pub struct PickSettings {
    pub search: SearchSettings,
    pub format: PlainFormat,
    pub destination: OutputTarget,
}

pub struct ExecSettings {
    pub search: SearchSettings,
    /// Whether the program gets the sockets; otherwise it gets only the port numbers.
    pub holds: bool,
    pub program: OsString,
    pub arguments: Vec<OsString>,
}

impl SearchSettings {
    fn new(typed: SearchArguments, protocols: Protocols) -> Result<Self, BadInput> {
        let strategy = strategy(&typed.strategy)?;
        let range = match &typed.range {
            Some(range) => RangeChoice::for_choosing(range)?,
            None if strategy.lets_machine_choose => RangeChoice::Ephemeral,
            None => RangeChoice::Free,
        };
        let is_block = typed.block.is_some();
        let count = match &typed.block {
            Some(block) => number_up_to(ALL_PORTS, "--block", block)?,
            None => number_up_to(ALL_PORTS, "--count", &typed.count)?,
        };
        let settings = Self {
            range,
            exclude: typed.exclude.as_deref().map(port_list).transpose()?.unwrap_or_default(),
            protocols,
            namespace: typed.netns.try_into()?,
            strategy,
            max_attempts: number("--max-attempts", &typed.max_attempts)?,
            seed: typed.seed.as_deref().map(seed).transpose()?,
            count,
            is_block,
            address: typed.address.as_deref().map(address).transpose()?,
            ignore_reserved: typed.ignore_reserved,
            trace: typed.trace,
        };
        if let RangeChoice::Ports(range) = range {
            check_count(settings.count_option(), count, range, range.len())?;
        }
        Ok(settings)
    }

    /// Returns the option that sets `count`.
    pub fn count_option(&self) -> &'static str {
        if self.is_block { "--block" } else { "--count" }
    }
}

impl TryFrom<PickArguments> for PickSettings {
    type Error = BadInput;

    fn try_from(typed: PickArguments) -> Result<Self, BadInput> {
        Ok(Self {
            search: SearchSettings::new(typed.search, typed.protocol.into())?,
            format: typed.format,
            destination: destination(typed.output)?,
        })
    }
}

impl TryFrom<ExecArguments> for ExecSettings {
    type Error = BadInput;

    fn try_from(typed: ExecArguments) -> Result<Self, BadInput> {
        if let Some(stray) = &typed.stray {
            let shown = Text::scrub(stray.as_bytes());
            return Err(BadInput(format!(
                "unexpected argument '{shown}': put COMMAND after --: portscope exec -- {shown}"
            )));
        }
        let mut words = typed.command.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or_else(|| {
            BadInput("missing COMMAND: put it after --, as in portscope exec -- ./server".into())
        })?;
        let search = SearchSettings::new(typed.search, typed.protocol.into())?;
        let arguments = words.collect();
        Ok(Self { search, holds: !typed.no_hold, program, arguments })
    }
}

/// Parses a comma-separated list of PORT, FIRST-LAST and `browsers`. The result is ascending; its
/// ranges neither overlap nor touch.
fn port_list(typed: &str) -> Result<Vec<PortRange>, BadInput> {
    let mut listed = Vec::new();
    for word in typed.split(',').map(str::trim) {
        match word {
            "browsers" => {
                let single = |&port| PortRange::new(port, port).ok();
                listed.extend(port::BLOCKED_BY_BROWSERS.iter().filter_map(single));
            }
            word => listed.push(ports("--exclude", word, "PORT, FIRST-LAST or browsers", 0)?),
        }
    }
    Ok(PortRange::merged(listed))
}
