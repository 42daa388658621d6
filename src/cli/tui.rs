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
        locale,
        range::RangeChoice,
        refusal, rows_file, scan,
        settings::BadInput,
        target::{self, Wanted},
        value,
    },
    domain::{Protocols, ServiceNames, Text, port},
    engine::sample,
    host::{Host, OwnerDepth},
    tui::{self, Fault},
    view::theme::{Background, Contrast, Depth, Theme},
};

/// Parses what the terminal program shows first. Refuses the name of a command.
pub fn parse(typed: &OsStr) -> Result<Wanted, BadInput> {
    let name = Text::scrub(typed.as_bytes());
    if COMMANDS.contains(&name.as_str()) {
        return Err(BadInput(format!(
            "'{name}' must come first; put options after it: see 'portscope {name} --help'"
        )));
    }
    target::parse(typed)
}

pub fn run(host: Arc<dyn Host>, settings: &LiveArguments) -> anyhow::Result<CommandEnd> {
    if let Some(Wanted::Process(name)) = &settings.target {
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
        _ if let Some(Wanted::Ports(range, _)) = settings.target
            && range.len() > 1 =>
        {
            Extent::Ports(range)
        }
        RangeChoice::Ephemeral => Extent::Ephemeral,
        RangeChoice::Ports(port::ALL) => Extent::All,
        choice => Extent::Ports(choice.resolve(&host.policy()?.0)),
    };
    let options = options(settings, extent, host.services(), seeds);
    Ok(CommandEnd::Ended(tui::run(host, options)?))
}

/// Refuses a name that looks like a misspelt command, unless a process with sockets has that name
/// or one that begins with it. If the scan fails, refuses it too.
fn check_is_no_command(host: &dyn Host, name: &str) -> Result<(), BadInput> {
    let Some(refused) = refusal::misspelt_command(name) else { return Ok(()) };
    let Ok(snapshot) = scan::take_snapshot(host, OwnerDepth::Full) else { return Err(refused) };
    let pids = sample::describe(host, &snapshot).pids_named(name);
    if pids.is_empty() { Err(refused) } else { Ok(()) }
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
    let ascii = settings.ascii || !locale::is_utf8();
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
            protocols: match settings.target.as_ref().map(Wanted::protocols) {
                None | Some(Protocols::Both) => settings.protocol,
                Some(protocols) => protocols,
            },
            find: settings.target.as_ref().and_then(find_of),
            parse_find,
            allocation: AllocationOptions::exo(seeds[0]),
            lab: LabOptions::new(seeds[1], env::current_exe().ok()),
            mouse: !settings.no_mouse,
            motion: !settings.no_motion,
            services,
            is_read_only: settings.read_only,
        },
        write_rows: rows_file::write,
        fault: settings.fault.map(|fault| match fault {
            FaultName::PanicMain => Fault::PanicMain,
            FaultName::PanicWorker => Fault::PanicWorker,
        }),
    }
}

/// Parses the text of the prompt.
///
/// Errors: the text is a range or names a protocol, which the prompt does not change, or
/// `target::parse` refuses it.
pub fn parse_find(typed: &str) -> Result<Find, String> {
    let wanted = target::parse(OsStr::new(typed)).map_err(|error| error.0)?;
    find_of(&wanted)
        .filter(|_| wanted.protocols() == Protocols::Both)
        .ok_or_else(|| "expected a port, ADDRESS:PORT, name or pid N".to_owned())
}

/// Returns what the map looks for. None: the ports of a range, which it shows at once.
fn find_of(wanted: &Wanted) -> Option<Find> {
    Some(match wanted {
        Wanted::Ports(range, _) if range.len() > 1 => return None,
        Wanted::Ports(range, _) => Find::Port(range.first()),
        Wanted::Endpoint(endpoint, _) => Find::Endpoint(*endpoint),
        Wanted::Process(name) => Find::Process(name.clone()),
        Wanted::Pid(pid) => Find::Pid(*pid),
    })
}

/// Returns the colours that `--color` and the environment ask for.
pub fn depth(name: ColorName) -> Depth {
    let asked = match name {
        ColorName::Auto | ColorName::Always => None,
        ColorName::Truecolor => Some(Depth::True),
        ColorName::Indexed => Some(Depth::Indexed),
        ColorName::Ansi => Some(Depth::Sixteen),
        ColorName::Never => Some(Depth::Monochrome),
    };
    let env_value = |name| env::var(name).ok();
    let (no_color, colorterm, term) =
        (env_value("NO_COLOR"), env_value("COLORTERM"), env_value("TERM"));
    let is_always = name == ColorName::Always;
    let no_color = no_color.as_deref().filter(|_| !is_always);
    let depth = Depth::from_env(asked, no_color, colorterm.as_deref(), term.as_deref());
    if is_always { depth.max(Depth::Sixteen) } else { depth }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_after_an_option_is_refused() {
        let parsed = |typed: &str| parse(OsStr::new(typed));
        assert!(parsed("scan").unwrap_err().0.contains("must come first"));
        assert_eq!(parsed("redis"), Ok(Wanted::Process("redis".to_owned())));
        assert!(parsed("70000").is_err() && parsed("").is_err());
    }
}
