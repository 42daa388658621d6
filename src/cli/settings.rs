//! Checks the options that depend on each other, before a command runs. Does not read the machine.

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _};

use crate::{
    cli::{
        args::{
            Command, DiagnoseArguments, DiagnoseFormat, ExecArguments, FindArguments, LabArguments,
            ListingArguments, OccupancyName, ScanArguments, ScanFormat, SortName,
        },
        namespaces,
        range::{RangeChoice, check_count},
    },
    domain::{Filter, Text, listing::SocketColumn},
};

/// Invalid input: one line with what was wrong and what is accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

pub fn check(command: &Command) -> Result<(), BadInput> {
    match command {
        Command::Scan(scan) => check_scan(scan),
        Command::Diagnose(diagnose) => check_diagnose(diagnose),
        Command::Pick(pick) => check_range(&pick.find),
        Command::Exec(exec) => exec.program().and_then(|_| check_range(&exec.find)),
        Command::Lab(lab) if !lab.race => check_comparison(lab),
        _ => Ok(()),
    }
}

fn check_scan(scan: &ScanArguments) -> Result<(), BadInput> {
    if scan.report.format == ScanFormat::Csv && namespaces::are_all(scan.netns.as_deref()) {
        return Err(BadInput(
            "--format csv cannot be used with --netns all: use text or json, or one namespace"
                .into(),
        ));
    }
    if scan.no_owners && scan.needs_owners() {
        return Err(BadInput(
            "--no-owners cannot be used with the name or pid of a process".into(),
        ));
    }
    check_listing(scan)?;
    check_filter(scan.filter.as_ref())
}

/// Checks that the order and the groups are possible, and need no owners with --no-owners.
fn check_listing(scan: &ScanArguments) -> Result<(), BadInput> {
    let ListingArguments { sort, group, .. } = scan.listing;
    let name = sort.map_or("", SortName::name);
    let by_owners = match (sort, group) {
        (_, Some(group)) if group.needs_owners() => Some(format!("--group {}", group.name())),
        (Some(SortName::Sockets(column)), None) if column.needs_owners() => {
            Some(format!("--sort {name}"))
        }
        _ => None,
    };
    let refused = match (sort, group) {
        (Some(SortName::Sockets(SocketColumn::Age)), _) => {
            "age cannot be used in --sort: a command does not know how old sockets are".into()
        }
        (Some(SortName::Sockets(_)), Some(_)) => {
            format!("--sort {name} cannot be used with --group: expected sockets, ports or name")
        }
        (Some(SortName::Groups(_)), None) => format!("--sort {name} requires --group"),
        _ => match by_owners.filter(|_| scan.no_owners) {
            Some(option) => format!("--no-owners cannot be used with {option}"),
            None => return Ok(()),
        },
    };
    Err(BadInput(refused))
}

fn check_diagnose(diagnose: &DiagnoseArguments) -> Result<(), BadInput> {
    if diagnose.filter.is_some() && diagnose.report.format == DiagnoseFormat::Prometheus {
        return Err(BadInput(
            "--filter cannot be used with --format prometheus: select series by their labels"
                .into(),
        ));
    }
    check_filter(diagnose.filter.as_ref())?;
    check_thresholds(diagnose)
}

fn check_filter(filter: Option<&Filter>) -> Result<(), BadInput> {
    if filter.is_some_and(Filter::needs_ages) {
        return Err(BadInput(
            "age cannot be used in --filter: a command does not know how old sockets are".into(),
        ));
    }
    Ok(())
}

fn check_thresholds(diagnose: &DiagnoseArguments) -> Result<(), BadInput> {
    let DiagnoseArguments { warn, critical, .. } = diagnose;
    if warn.value <= critical.value {
        return Ok(());
    }
    Err(BadInput(format!(
        "--warn {} is above --critical {}: lower --warn, or raise --critical",
        warn.typed, critical.typed
    )))
}

/// Checks that the range has enough ports, if it is known without reading the machine.
fn check_range(find: &FindArguments) -> Result<(), BadInput> {
    match find.search.range {
        RangeChoice::Ports(range) => {
            check_count(find.count_option(), find.wanted(), range, range.len())
        }
        RangeChoice::Ephemeral | RangeChoice::Free => Ok(()),
    }
}

fn check_comparison(lab: &LabArguments) -> Result<(), BadInput> {
    let names = || lab.strategy.iter().map(|row| row.name);
    for (number, name) in names().enumerate() {
        if names().take(number).any(|earlier| earlier == name) {
            return Err(BadInput(format!("--strategy {name} is given twice: expected once")));
        }
    }
    let is_live = lab.occupancy == OccupancyName::Live;
    let has_banded = lab.strategy.is_empty() || lab.strategy.iter().any(|row| row.has_band);
    let wrong = [
        (lab.window.is_some(), "--window requires --race"),
        (lab.competitor.is_some(), "--competitor requires --race"),
        (lab.band.is_some() && !has_banded, "--band requires --strategy banded"),
        (lab.fill.is_some() && is_live, "--fill cannot be used with --occupancy live"),
        (lab.search.address.is_some() && !is_live, "--address requires --occupancy live"),
    ];
    let wrong = wrong.into_iter().find(|(is_wrong, _)| *is_wrong);
    wrong.map_or(Ok(()), |(_, words)| Err(BadInput(words.into())))
}

impl ExecArguments {
    /// Returns COMMAND and its arguments. Errors: there is no COMMAND, or it is not after
    /// `--`.
    pub fn program(&self) -> Result<(&OsString, &[OsString]), BadInput> {
        if let Some(stray) = &self.stray {
            let shown = Text::scrub(stray.as_bytes());
            return Err(BadInput(format!(
                "unexpected argument '{shown}': put COMMAND after --: portscope exec -- {shown}"
            )));
        }
        self.command.split_first().filter(|(program, _)| !program.is_empty()).ok_or_else(|| {
            BadInput("missing COMMAND: put it after --, as in portscope exec -- ./server".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::parsed;

    fn checked(typed: &str) -> Result<(), BadInput> {
        check(&parsed(typed))
    }

    #[test]
    fn warning_share_above_the_critical_share_is_refused() {
        assert_eq!(checked("diagnose --warn 99.5 --critical 99.5"), Ok(()));
        let BadInput(reported) = checked("diagnose --warn 90.0").unwrap_err();
        assert!(reported.starts_with("--warn 90.0 is above --critical 85: "), "{reported}");
    }

    #[test]
    fn duplicate_strategies_are_refused() {
        assert_eq!(checked("lab"), Ok(()));
        assert_eq!(checked("lab --strategy random-unique --strategy random"), Ok(()));
        assert!(checked("lab --strategy random --strategy random").is_err());
    }

    #[test]
    fn impossible_orders_and_groups_are_refused() {
        for typed in [
            "scan --sort owner --reverse",
            "scan --sort protocol --no-owners",
            "scan --group owner --sort ports",
            "scan --group state --no-owners",
            "scan --reverse",
        ] {
            assert_eq!(checked(typed), Ok(()), "{typed}");
        }
        for (typed, words) in [
            (
                "scan --sort age",
                "age cannot be used in --sort: a command does not know how old sockets are",
            ),
            (
                "scan --sort state --group owner",
                "--sort state cannot be used with --group: expected sockets, ports or name",
            ),
            ("scan --sort ports", "--sort ports requires --group"),
            ("scan --sort unit --no-owners", "--no-owners cannot be used with --sort unit"),
            ("scan --group unit --no-owners", "--no-owners cannot be used with --group unit"),
        ] {
            assert_eq!(checked(typed), Err(BadInput(words.to_owned())), "{typed}");
        }
    }
}
