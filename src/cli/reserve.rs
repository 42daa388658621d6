//! `portscope reserve`: shows and makes a change of the reserved ports.

use crate::{
    cli::{
        args::{PlainFormat, ReportArguments, ReserveArguments},
        exit::{self, CommandEnd},
        output::OpenOutput,
    },
    domain::{
        Gap, PortRange,
        action::{ReservedChange, ReservedPorts},
    },
    host::{Host, actions::ActionError},
    report::reserve::{self, Reservation},
};

pub fn run(host: &dyn Host, settings: &ReserveArguments) -> anyhow::Result<CommandEnd> {
    let ports = settings.ports.to_vec();
    let change =
        if settings.remove { ReservedChange::remove(ports) } else { ReservedChange::add(ports) };
    let (policy, gaps) = host.policy()?;
    let mut actions = host.actions()?;
    let before = PortRange::merged(policy.reserved().to_vec());
    let planned = ReservedPorts { after: change.apply(&before), before };
    let ReportArguments { format, output, .. } = &settings.report;
    // Opened before the change is made, because it must be reported.
    let output = OpenOutput::open(output.as_deref())?;
    let is_known = !gaps.iter().any(Gap::hides_capacity);
    let (result, refusal) = if is_known && planned.before == planned.after {
        (planned, None)
    } else if settings.yes {
        match actions.reserve(&change) {
            Ok(result) => (result, None),
            Err(ActionError::Failed(error)) => return Err(error.into()),
            Err(error) => (planned, Some(error.to_string())),
        }
    } else {
        (planned, actions.may_reserve().refusal())
    };
    let reservation = Reservation {
        change: &change,
        ports: &result,
        is_made: settings.yes && refusal.is_none(),
        refusal: refusal.as_deref(),
        range: policy.range,
        gaps: &gaps,
    };
    output.write(|out| match format {
        PlainFormat::Text => reserve::write_text(&reservation, out),
        PlainFormat::Json => reserve::write_json(&reservation, &host.machine(), out),
    })?;
    exit::report_partial(&gaps);
    match refusal {
        None => Ok(CommandEnd::Done),
        Some(refusal) => {
            exit::print_stderr(format_args!("portscope: cannot change the list: {refusal}"));
            Ok(CommandEnd::No)
        }
    }
}
