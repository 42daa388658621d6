//! `portscope wait`: looks at the kernel's tables until a condition is met.

use std::ffi::OsStr;

use crate::{
    cli::{
        args::{PlainFormat, ReportArguments, WaitArguments},
        exit::{self, CommandEnd},
        output,
        settings::BadInput,
        target::{self, PortTarget, Wanted},
        value::is_number,
    },
    domain::{Protocol, Protocols, Text, filter::Comparison, wait_condition::WaitCondition},
    engine::freeing::PortWatch,
    host::Host,
    report::wait::{self, Waited},
};

/// The comparisons that a condition accepts, the longer symbols first.
const COMPARISONS: [Comparison; 4] =
    [Comparison::GreaterOrEqual, Comparison::LessOrEqual, Comparison::Greater, Comparison::Less];

/// Maximum number of bytes of a wrong condition that a message shows.
const MAX_SHOWN: usize = 60;

const EXPECTED: &str = "expected PORT, PORT free, PORT listening or available > N";

pub fn run(host: &dyn Host, settings: &WaitArguments) -> anyhow::Result<CommandEnd> {
    let typed = settings.condition.join(" ");
    let condition = parse(&typed)?;
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
        if looks == 1 {
            // The wait may be endless because of them.
            exit::report_partial(&snapshot.gaps);
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
    if looks == 1 && is_met {
        exit::report_partial(&watch.snapshot().gaps);
    }
    if is_met {
        return Ok(CommandEnd::Done);
    }
    exit::print_stderr(format_args!("portscope: {}", waited.not_met()));
    Ok(CommandEnd::No)
}

/// Parses a condition.
fn parse(typed: &str) -> Result<WaitCondition, BadInput> {
    let refused = |expected: &str| {
        BadInput(format!(
            "invalid condition '{}': {expected}",
            Text::scrub_up_to(typed.as_bytes(), MAX_SHOWN)
        ))
    };
    let typed = typed.trim();
    let comparison = COMPARISONS.into_iter().find_map(|comparison| {
        let (subject, number) = typed.split_once(comparison.symbol())?;
        Some((subject.trim(), comparison, number.trim()))
    });
    if let Some((subject, comparison, number)) = comparison {
        return available(subject, comparison, number).map_err(refused);
    }
    let mut words = typed.split_whitespace();
    let (subject, state) = (words.next().unwrap_or_default(), words.next());
    if subject.is_empty() || words.next().is_some() {
        return Err(refused(EXPECTED));
    }
    let target = match target::parse_port_or_name(OsStr::new(subject))? {
        Wanted::Ports(..) => target::parse_port(OsStr::new(subject))?,
        _ => return Err(refused(EXPECTED)),
    };
    let PortTarget { port, protocols } = target;
    match state {
        None | Some("free") => Ok(WaitCondition::Free { port, protocols }),
        Some("listening" | "listen") => {
            let is_udp = protocols == Protocols::Udp;
            let protocol = if is_udp { Protocol::Udp } else { Protocol::Tcp };
            Ok(WaitCondition::Listening { port, protocol })
        }
        Some(_) => Err(refused(EXPECTED)),
    }
}

/// Parses a number of available ports. Errors: what is accepted.
fn available(
    subject: &str,
    comparison: Comparison,
    number: &str,
) -> Result<WaitCondition, &'static str> {
    let protocol = match subject.to_ascii_lowercase().as_str() {
        "available" | "available/tcp" => Protocol::Tcp,
        "available/udp" => Protocol::Udp,
        _ => return Err(EXPECTED),
    };
    let ports = number.parse().ok().filter(|ports| is_number(number) && *ports <= 65_536);
    let ports = ports.ok_or("expected a number of ports, 0 to 65536")?;
    Ok(WaitCondition::Available { protocol, comparison, ports })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_is_a_port_and_a_state_or_a_number_of_ports() {
        let (both, tcp, udp) = (Protocols::Both, Protocol::Tcp, Protocol::Udp);
        let more = Comparison::Greater;
        for (typed, expected) in [
            ("8080", WaitCondition::Free { port: 8080, protocols: both }),
            (":8080", WaitCondition::Free { port: 8080, protocols: both }),
            ("8080/tcp free", WaitCondition::Free { port: 8080, protocols: Protocols::Tcp }),
            ("8080/TCP", WaitCondition::Free { port: 8080, protocols: Protocols::Tcp }),
            ("53/UDP listening", WaitCondition::Listening { port: 53, protocol: udp }),
            ("8080 listening", WaitCondition::Listening { port: 8080, protocol: tcp }),
            ("53/udp listening", WaitCondition::Listening { port: 53, protocol: udp }),
            (
                "available > 20000",
                WaitCondition::Available { protocol: tcp, comparison: more, ports: 20_000 },
            ),
            (
                "available/udp<=5",
                WaitCondition::Available {
                    protocol: udp,
                    comparison: Comparison::LessOrEqual,
                    ports: 5,
                },
            ),
        ] {
            assert_eq!(parse(typed), Ok(expected), "{typed}");
        }
    }

    #[test]
    fn other_conditions_are_refused_with_what_is_accepted() {
        for (typed, reported) in [
            ("", EXPECTED),
            ("nginx", EXPECTED),
            ("8080 open", EXPECTED),
            ("8080 free now", EXPECTED),
            ("used > 5", EXPECTED),
            ("-5", "expected 1 to 65535"),
            ("0", "expected 1 to 65535"),
            ("70000", "expected 1 to 65535"),
            ("8080/sctp", "expected 8080/tcp or 8080/udp"),
            ("available > x", "expected a number of ports, 0 to 65536"),
            ("available > -1", "expected a number of ports, 0 to 65536"),
            ("available > 65537", "expected a number of ports, 0 to 65536"),
        ] {
            let BadInput(words) = parse(typed).unwrap_err();
            assert!(words.ends_with(reported), "{typed}: {words}");
        }
    }
}
