//! The command line: from arguments to an exit code. Each subcommand has its own file.

mod args;
mod exit;
mod output;
mod pick;
mod refusal;
mod scan;
mod settings;
mod tui;

use std::{ffi::OsString, process::ExitCode, sync::Arc};

use clap::Parser as _;

use crate::{
    cli::{args::Arguments, exit::Verdict, output::Destination, settings::Settings},
    host::{Host, HostError},
};

/// Does what the arguments say; the first of them is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    exit::code(obey(arguments))
}

fn obey(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Verdict> {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(help) if !help.use_stderr() => {
            Destination::StandardOutput.write(|out| write!(out, "{}", help.render()))?;
            return Ok(Verdict::Done);
        }
        Err(error) => return Err(refusal::explain(&error).into()),
    };
    match Settings::try_from(arguments)? {
        Settings::Live(settings) => tui::run(settings),
        Settings::Scan(settings) => scan::run(&*this_machine()?, &settings),
        Settings::Pick(settings) => pick::run(&*this_machine()?, &settings),
    }
}

/// The one place that chooses which machine is looked at.
fn this_machine() -> Result<Arc<dyn Host>, HostError> {
    Ok(Arc::new(Interim(crate::host::linux::LinuxHost::new(crate::domain::Users::default()))))
}

/// Until `LinuxHost` is a `Host` on the main branch.
struct Interim(crate::host::linux::LinuxHost);

impl Host for Interim {
    fn machine(&self) -> Arc<crate::domain::Machine> {
        self.0.machine()
    }
    fn scanner(&self) -> Result<Box<dyn crate::host::Scanner>, HostError> {
        self.0.scanner()
    }
    fn describer(&self) -> Box<dyn crate::host::Describer> {
        struct Nothing;
        impl crate::host::Describer for Nothing {
            fn describe(&mut self, _: &[u32]) -> Vec<crate::domain::Process> {
                Vec::new()
            }
        }
        Box::new(Nothing)
    }
    fn binder(
        &self,
        protocols: crate::domain::Protocols,
        address: Option<std::net::IpAddr>,
    ) -> Result<Box<dyn crate::host::HostBinder>, HostError> {
        crate::host::linux::binder::RealBinder::new(protocols, address)
            .map(|b| Box::new(b) as Box<dyn crate::host::HostBinder>)
    }
}
