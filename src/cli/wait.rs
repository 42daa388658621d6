//! `portscope wait`: looks at the kernel's tables until a condition is met.

use crate::{
    cli::{
        args::{PlainFormat, ReportArguments, WaitArguments},
        exit::{self, CommandEnd},
        output,
        settings::BadInput,
    },
    domain::{Text, wait_condition::WaitCondition},
    engine::freeing::PortWatch,
    host::Host,
    report::wait::{self, Waited},
};

pub fn run(host: &dyn Host, settings: &WaitArguments) -> anyhow::Result<CommandEnd> {
    let typed = settings.condition.join(" ");
    let condition = WaitCondition::parse(&typed).map_err(|expected| {
        BadInput(format!("invalid condition '{}': {expected}", Text::scrub(&typed)))
    })?;
    let mut watch = PortWatch::new(host)?;
    let mut looks = 0;
    let is_met = loop {
        let snapshot = match condition.port() {
            Some(port) => watch.look(port)?,
            None => watch.scan()?,
        };
        looks += 1;
        if condition.is_met(snapshot) {
            break true;
        }
        if !watch.pause(settings.waiting.timeout) {
            break false;
        }
    };
    let waited = Waited { condition, is_met, time: watch.elapsed(), looks };
    let ReportArguments { format, output, .. } = &settings.report;
    output::write(output.as_deref(), |out| match format {
        PlainFormat::Text => wait::write_text(&waited, out),
        PlainFormat::Json => wait::write_json(&waited, watch.snapshot(), out),
    })?;
    exit::report_partial(&watch.snapshot().gaps);
    if is_met {
        return Ok(CommandEnd::Done);
    }
    exit::print_stderr(format_args!("portscope: {}", waited.not_met()));
    Ok(CommandEnd::No)
}
