//! `portscope pick`: finds ports and prints them.

use crate::{
    cli::{
        args::{PickArguments, PlainFormat, ReportArguments},
        exit::{self, CommandEnd},
        output,
        search::{self, SearchOptions},
        settings::BadInput,
    },
    host::Host,
    report::{self, NoPort},
};

pub fn run(host: &dyn Host, settings: &PickArguments) -> anyhow::Result<CommandEnd> {
    let ReportArguments { format, output, .. } = &settings.report;
    let options = SearchOptions {
        attempts: *format == PlainFormat::Json,
        raised_limit: true,
        beside_ended: false,
    };
    let (pick, held) = search::run(host, &settings.find, options)?;
    output::write(output.as_deref(), |out| match format {
        PlainFormat::Text => report::pick::write_text(&pick, out),
        PlainFormat::Json => report::pick::write_json(&pick, out),
    })?;
    if *format == PlainFormat::Text {
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
