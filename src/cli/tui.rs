//! `portscope` without a command: starts the terminal program. Fails if there is no terminal.

use std::{env, ffi::OsStr, os::unix::ffi::OsStrExt as _, sync::Arc};

use crate::{
    app::{
        self, Extent, Find, GlyphSet, LabOptions, RowsPerLine, Screen,
        allocation::AllocationOptions,
    },
    cli::{
        args::{COMMANDS, ColorName, FaultName, LiveArguments, ThemeName},
        exit::CommandEnd,
        range::RangeChoice,
        refusal, scan,
        settings::BadInput,
        value::{self, is_number},
    },
    domain::{ServiceNames, Text, port},
    engine::sample,
    host::{Host, OwnerDepth},
    tui::{self, Fault},
    view::theme::{Background, Contrast, Depth, Theme},
};

/// Parses the port or process that the terminal program shows first.
pub fn parse(typed: &OsStr) -> Result<Find, BadInput> {
    let name = Text::scrub(typed.as_bytes());
    if name.is_empty() {
        return Err(BadInput(
            "invalid argument '': expected a port, 0 to 65535, or a process name".into(),
        ));
    }
    if COMMANDS.contains(&name.as_str()) {
        return Err(BadInput(format!(
            "'{name}' must come first; put options after it: see 'portscope {name} --help'"
        )));
    }
    if !is_number(name.as_str()) {
        return Ok(Find::Process(name.as_str().to_owned()));
    }
    let port = name.as_str().parse();
    port.map(Find::Port)
        .map_err(|_| BadInput(format!("invalid port '{name}': expected 0 to 65535")))
}

pub fn run(host: Arc<dyn Host>, settings: &LiveArguments) -> anyhow::Result<CommandEnd> {
    if let Some(Find::Process(name)) = &settings.target {
        check_is_no_command(&*host, name)?;
    }
    if let Some(missing) = tui::refuse_reason() {
        return Err(BadInput(format!(
            "the terminal program needs a terminal, but {missing}: use 'portscope scan' for a list"
        ))
        .into());
    }
    let seeds = [value::seed_or_drawn(None)?, value::seed_or_drawn(None)?];
    let extent = match settings.range {
        RangeChoice::Ephemeral => Extent::Ephemeral,
        RangeChoice::Ports(port::ALL) => Extent::All,
        choice => Extent::Ports(choice.resolve(&host.policy()?.0)),
    };
    let options = options(settings, extent, host.services(), seeds);
    Ok(CommandEnd::Ended(tui::run(host, options)?))
}

/// Refuses a name that looks like a misspelt command, unless a process with sockets has that name.
/// If the scan fails, refuses it too.
fn check_is_no_command(host: &dyn Host, name: &str) -> Result<(), BadInput> {
    let Some(refused) = refusal::misspelt_command(name) else { return Ok(()) };
    let Ok(snapshot) = scan::take_snapshot(host, OwnerDepth::Full) else { return Err(refused) };
    let processes = sample::describe(host, &snapshot);
    if processes.iter().any(|process| process.name.as_str() == name) {
        Ok(())
    } else {
        Err(refused)
    }
}

/// Returns the options of the terminal program. `seeds` are the seeds of the allocator and of the
/// lab, in this order.
fn options(
    settings: &LiveArguments,
    extent: Extent,
    services: ServiceNames,
    seeds: [u64; 2],
) -> tui::TuiOptions {
    let color = depth(settings.color);
    let ascii = settings.ascii || !is_utf8_locale(|name| env::var(name).ok());
    let whole_cells = Theme::new(color, Background::Dark, ascii).needs_whole_cells();
    let (background, contrast) = match settings.theme {
        ThemeName::Auto => (None, Contrast::Normal),
        ThemeName::Dark => (Some(Background::Dark), Contrast::Normal),
        ThemeName::Light => (Some(Background::Light), Contrast::Normal),
        ThemeName::HighContrast => (Some(Background::Dark), Contrast::High),
        ThemeName::HighContrastLight => (Some(Background::Light), Contrast::High),
    };
    tui::TuiOptions {
        interval: settings.interval,
        color,
        background,
        contrast,
        ascii,
        app: app::AppOptions {
            first: match (&settings.target, settings.range) {
                (None, RangeChoice::Ephemeral) => Screen::Overview,
                _ => Screen::Map,
            },
            glyphs: GlyphSet {
                rows_per_line: if whole_cells { RowsPerLine::One } else { RowsPerLine::Two },
                has_dots: !ascii,
            },
            extent,
            protocols: settings.protocol,
            find: settings.target.clone(),
            allocation: AllocationOptions::exo(seeds[0]),
            lab: LabOptions::new(seeds[1], env::current_exe().ok()),
            mouse: !settings.no_mouse,
            motion: !settings.no_motion,
            services,
        },
        fault: settings.fault.map(|fault| match fault {
            FaultName::PanicMain => Fault::PanicMain,
            FaultName::PanicWorker => Fault::PanicWorker,
        }),
    }
}

/// Returns whether the locale's characters are UTF-8, by the first variable that is set and not
/// empty, in the order of locale(7). True if none is set: containers and services often have none,
/// and their terminals use UTF-8.
fn is_utf8_locale(variable: impl Fn(&str) -> Option<String>) -> bool {
    let mut named = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    named.find(|name| !name.is_empty()).is_none_or(|name| {
        let name = name.to_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}

fn depth(name: ColorName) -> Depth {
    let asked = match name {
        ColorName::Auto => None,
        ColorName::Truecolor => Some(Depth::True),
        ColorName::Indexed => Some(Depth::Indexed),
        ColorName::Ansi => Some(Depth::Sixteen),
        ColorName::Never => Some(Depth::Monochrome),
    };
    let env_value = |name| env::var(name).ok();
    let (no_color, colorterm, term) =
        (env_value("NO_COLOR"), env_value("COLORTERM"), env_value("TERM"));
    Depth::from_env(asked, no_color.as_deref(), colorterm.as_deref(), term.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_a_port_or_a_name() {
        let target = |typed: &str| parse(OsStr::new(typed));
        assert_eq!(target("8080"), Ok(Find::Port(8080)));
        assert_eq!(target("redis"), Ok(Find::Process("redis".to_owned())));
        assert!(target("70000").is_err() && target("").is_err());
    }
}
