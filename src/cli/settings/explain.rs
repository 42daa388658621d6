//! Checks and interprets the arguments of `explain`.

use crate::{
    cli::{
        args::{ExplainArguments, PlainFormat},
        namespaces::Choices,
        output::OutputTarget,
        settings::{BadInput, address, destination, is_number},
    },
    domain::{LocalAddress, Protocols, Text},
};

pub struct ExplainSettings {
    pub port: u16,
    pub protocols: Protocols,
    pub namespaces: Choices,
    pub address: Option<LocalAddress>,
    pub probe: bool,
    pub format: PlainFormat,
    pub destination: OutputTarget,
    pub strict: bool,
}

impl TryFrom<ExplainArguments> for ExplainSettings {
    type Error = BadInput;

    fn try_from(typed: ExplainArguments) -> Result<Self, BadInput> {
        Ok(Self {
            port: port(&typed.port)?,
            protocols: typed.protocol.into(),
            namespaces: typed.netns.try_into()?,
            address: typed.address.as_deref().map(address).transpose()?,
            probe: typed.probe,
            format: typed.format,
            destination: destination(typed.output)?,
            strict: typed.strict,
        })
    }
}

fn port(typed: &str) -> Result<u16, BadInput> {
    let port = is_number(typed).then(|| typed.parse().ok()).flatten();
    port.filter(|&port| port > 0).ok_or_else(|| {
        let shown = Text::scrub(typed);
        BadInput(format!("invalid port '{shown}': expected 1 to 65535"))
    })
}
