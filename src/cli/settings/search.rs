//! What the arguments of `pick` and `exec` mean, the search they share first. Asks no machine.

use std::{ffi::OsString, num::NonZeroU32, os::unix::ffi::OsStrExt as _};

use crate::{
    allocator::strategy::AllocatorRow,
    cli::{
        args::{ExecArguments, PickArguments, PlainFormat, SearchArguments},
        namespaces::Choice,
        output::Destination,
        settings::{
            BadInput, RangeChoice, address, check_count, destination, number, seed, strategy,
        },
    },
    domain::{LocalAddress, Protocols, Text},
};

pub struct SearchSettings {
    pub range: RangeChoice,
    pub protocols: Protocols,
    pub namespace: Choice,
    pub strategy: &'static AllocatorRow,
    pub max_attempts: NonZeroU32,
    pub seed: Option<u64>,
    pub count: NonZeroU32,
    pub address: Option<LocalAddress>,
    pub ignore_reserved: bool,
    pub trace: bool,
}

pub struct PickSettings {
    pub search: SearchSettings,
    pub format: PlainFormat,
    pub destination: Destination,
}

pub struct ExecSettings {
    pub search: SearchSettings,
    pub program: OsString,
    pub arguments: Vec<OsString>,
}

impl TryFrom<SearchArguments> for SearchSettings {
    type Error = BadInput;

    fn try_from(typed: SearchArguments) -> Result<Self, BadInput> {
        let range = RangeChoice::for_choosing(&typed.range)?;
        let count = number("--count", &typed.count)?;
        if let RangeChoice::Ports(range) = range {
            check_count(count, range, range.len())?;
        }
        Ok(Self {
            range,
            protocols: typed.protocol.into(),
            namespace: typed.netns.try_into()?,
            strategy: strategy(&typed.strategy)?,
            max_attempts: number("--max-attempts", &typed.max_attempts)?,
            seed: typed.seed.as_deref().map(seed).transpose()?,
            count,
            address: typed.address.as_deref().map(address).transpose()?,
            ignore_reserved: typed.ignore_reserved,
            trace: typed.trace,
        })
    }
}

impl TryFrom<PickArguments> for PickSettings {
    type Error = BadInput;

    fn try_from(typed: PickArguments) -> Result<Self, BadInput> {
        Ok(Self {
            search: typed.search.try_into()?,
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
                "'{shown}' stands before --, COMMAND stands after it: portscope exec -- {shown}"
            )));
        }
        let mut words = typed.command.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or_else(|| {
            BadInput(
                "COMMAND is missing: name it after --, as in portscope exec -- ./server".into(),
            )
        })?;
        Ok(Self { search: typed.search.try_into()?, program, arguments: words.collect() })
    }
}
