//! `portscope diagnose`: scans, applies the rules, and returns a status for the exit code.

use std::slice;

use crate::{
    cli::{
        args::DiagnoseFormat,
        exit::CommandEnd,
        namespaces::{self, Choices},
        output::WriteError,
        scan,
        settings::DiagnoseSettings,
    },
    domain::{Diagnosis, Protocols, Severity, Snapshot},
    engine::sample::Sample,
    host::{
        Host, HostError,
        linux::meter::{self, Meter},
    },
    report::{
        self, Health, Scan, Status,
        diagnose::prometheus::{Cost, DiagnoseRun},
    },
};

pub fn run(settings: &DiagnoseSettings) -> anyhow::Result<CommandEnd> {
    let meter = Meter::start();
    match &settings.namespaces {
        Choices::One(choice) => {
            let diagnosed =
                namespaces::run_in(choice, |host| DiagnosedNamespace::of(host, settings))??;
            run_on(&diagnosed, settings, &meter)
        }
        Choices::All => run_on_each(settings, &meter),
    }
}

fn run_on(
    diagnosed: &DiagnosedNamespace,
    settings: &DiagnoseSettings,
    meter: &Meter,
) -> anyhow::Result<CommandEnd> {
    let health = diagnosed.health(settings);
    let written = settings.destination.write(|out| match settings.format {
        DiagnoseFormat::Text => report::diagnose::text::write(&health, out),
        DiagnoseFormat::Json => report::diagnose::json::write(&health, out),
        DiagnoseFormat::Prometheus => {
            let healths = slice::from_ref(&health);
            let run = DiagnoseRun { healths, unseen: None, cost: cost(meter) };
            report::diagnose::prometheus::write(&run, out)
        }
    });
    if is_read(written)? {
        scan::report_gaps(&diagnosed.sample.snapshot);
    }
    Ok(CommandEnd::Status(health.status()))
}

fn run_on_each(settings: &DiagnoseSettings, meter: &Meter) -> anyhow::Result<CommandEnd> {
    let each = namespaces::run_in_each(|host| DiagnosedNamespace::of(host, settings))?;
    let diagnosed = each.answers.into_iter().collect::<Result<Vec<_>, HostError>>()?;
    let healths: Vec<_> = diagnosed.iter().map(|diagnosed| diagnosed.health(settings)).collect();
    let written = settings.destination.write(|out| match settings.format {
        DiagnoseFormat::Text => report::diagnose::text::write_each(&healths, out),
        DiagnoseFormat::Json => report::diagnose::json::write_each(&healths, &each.unseen, out),
        DiagnoseFormat::Prometheus => {
            let run =
                DiagnoseRun { healths: &healths, unseen: Some(&each.unseen), cost: cost(meter) };
            report::diagnose::prometheus::write(&run, out)
        }
    });
    if is_read(written)? {
        let snapshots = diagnosed.iter().map(|diagnosed| &diagnosed.sample.snapshot);
        scan::report_gaps_of_each(snapshots, &each.unseen);
    }
    Ok(CommandEnd::Status(Status::worst(&healths, &each.unseen)))
}

fn cost(meter: &Meter) -> Cost {
    Cost { cpu: meter::cpu(), elapsed: meter.elapsed(), peak_memory: meter::peak_memory() }
}

/// Whether the whole report was read. A pipe that the reader closed is no error: the exit code
/// still reports the status, because a critical machine must not look OK.
fn is_read(written: Result<(), WriteError>) -> Result<bool, WriteError> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.is_closed_pipe() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The scans of one network namespace, and what the rules found in them.
struct DiagnosedNamespace {
    sample: Sample,
    diagnosis: Diagnosis,
}

impl DiagnosedNamespace {
    fn of(host: &dyn Host, settings: &DiagnoseSettings) -> Result<Self, HostError> {
        let mut sample = Sample::take(host, settings.protocols, settings.sample)?;
        let diagnosis = judge(&mut sample, settings);
        // The report lists the gaps of the scan and those of the vitals together.
        let Snapshot { gaps, vitals, .. } = &mut sample.snapshot;
        gaps.append(&mut vitals.gaps);
        Ok(Self { sample, diagnosis })
    }

    fn health(&self, settings: &DiagnoseSettings) -> Health<'_> {
        let Sample { snapshot, analysis, monitor, processes } = &self.sample;
        Health {
            scan: Scan { snapshot, processes },
            analysis,
            trends: monitor.trends(),
            diagnosis: &self.diagnosis,
            protocols: settings.protocols,
            thresholds: settings.thresholds,
            sampled: monitor.seconds_to(snapshot),
            top: settings.top,
        }
    }
}

fn judge(sample: &mut Sample, settings: &DiagnoseSettings) -> Diagnosis {
    let Sample { snapshot, analysis, monitor, processes } = sample;
    let diagnosis = monitor.diagnose(snapshot, analysis, processes, settings.thresholds);
    keep_only(settings.protocols, diagnosis)
}

fn keep_only(protocols: Protocols, mut diagnosis: Diagnosis) -> Diagnosis {
    let is_of = |protocol: Option<_>| protocol.is_none_or(|p| protocols.includes(p));
    diagnosis.findings.retain(|finding| is_of(finding.about.protocol()));
    let severities = diagnosis.findings.iter().map(|finding| finding.severity);
    diagnosis.severity = severities.max().unwrap_or(Severity::Ok);
    diagnosis
}
