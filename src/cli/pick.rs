//! `portscope pick`: finds ports and prints them.

use crate::{
    cli::{
        args::PlainFormat,
        exit::{self, CommandEnd},
        search::{self, SearchOptions},
        settings::{BadInput, search::PickSettings},
    },
    host::Host,
    report::{self, NoPort},
};

pub fn run(host: &dyn Host, settings: &PickSettings) -> anyhow::Result<CommandEnd> {
    let options = SearchOptions {
        attempts: settings.format == PlainFormat::Json,
        raised_limit: true,
        beside_ended: false,
    };
    let (pick, held) = search::run(host, &settings.search, options)?;
    settings.destination.write(|out| match settings.format {
        PlainFormat::Text => report::pick::write_text(&pick, out),
        PlainFormat::Json => report::pick::write_json(&pick, out),
    })?;
    if settings.format == PlainFormat::Text {
        search::report_automatic(&pick);
    }
    // The ports stay bound until they are printed, so that two concurrent searches do not print the
    // same port.
    drop(held);
    match pick.error {
        None => Ok(CommandEnd::Done),
        // A wrong --address is a usage error, as with `serve` and `lab`.
        Some(NoPort::AddressRefused(refusal)) => Err(BadInput(refusal.to_string()).into()),
        Some(error) => {
            exit::print_stderr(format_args!("portscope: {error}"));
            Ok(CommandEnd::No)
        }
    }
}
