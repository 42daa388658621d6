//! `portscope diagnose`: scans, applies the rules, and returns a status for the exit code.

use std::sync::Mutex;

use crate::{
    cli::{
        args::{DiagnoseArguments, DiagnoseFormat, ReportArguments},
        exit::CommandEnd,
        namespaces,
        output::{self, WriteError},
        scan,
    },
    domain::{Diagnosis, Protocols, Severity, Snapshot, Thresholds, filter::FilterSubjects},
    engine::sample::Sample,
    host::{
        Host, HostError,
        linux::meter::{self, Meter},
    },
    report::{
        self, Health, Scan, Status,
        diagnose::{
            prometheus::{Cost, DiagnoseRun, MARK},
            text::{self, ReportedFindings},
        },
    },
};

/// Maximum number of network namespaces that are sampled at the same time. Each has a scanner with
/// buffers of its own. Only one of them scans; the others wait for their next scan.
const SAMPLED_AT_ONCE: usize = 64;

pub fn run(settings: &DiagnoseArguments) -> anyhow::Result<CommandEnd> {
    let meter = Meter::start();
    let scan_turn = Mutex::new(());
    let at_once = if settings.sample.is_zero() { 1 } else { SAMPLED_AT_ONCE };
    let diagnosed = namespaces::run_in_chosen(settings.netns.as_deref(), at_once, |host| {
        DiagnosedNamespace::of(host, settings, &scan_turn)
    })?;
    let unseen = diagnosed.unseen.as_deref();
    let healths = diagnosed.answers.iter().map(|diagnosed| diagnosed.health(settings));
    let healths: Vec<_> = healths.collect();
    let ReportArguments { format, output, .. } = &settings.report;
    let mark = (*format == DiagnoseFormat::Prometheus).then_some(MARK);
    let color = settings.color.when;
    let detail =
        if settings.all { ReportedFindings::AllInFull } else { ReportedFindings::FirstInFull };
    let written =
        output::write_marked_page(output.as_deref(), color, mark, |out| match (*format, unseen) {
            (DiagnoseFormat::Text, None) => text::write(&healths[0], detail, out),
            (DiagnoseFormat::Json, None) => report::diagnose::json::write(&healths[0], out),
            (DiagnoseFormat::Text, Some(_)) => text::write_each(&healths, detail, out),
            (DiagnoseFormat::Json, Some(unseen)) => {
                report::diagnose::json::write_each(&healths, unseen, out)
            }
            (DiagnoseFormat::Prometheus, unseen) => {
                let (cpu, elapsed) = (meter::cpu(), meter.elapsed());
                let cost = Cost { cpu, elapsed, peak_memory: meter::peak_memory() };
                let run = DiagnoseRun { healths: &healths, unseen, cost };
                report::diagnose::prometheus::write(&run, out)
            }
        });
    if is_read(written)? {
        let snapshots = diagnosed.answers.iter().map(|diagnosed| &diagnosed.sample.snapshot);
        scan::report_gaps(snapshots, unseen);
    }
    Ok(CommandEnd::Status(Status::worst(&healths, unseen.unwrap_or_default())))
}

fn thresholds(settings: &DiagnoseArguments) -> Thresholds {
    let DiagnoseArguments { warn, critical, .. } = settings;
    Thresholds { warn: warn.value / 100.0, critical: critical.value / 100.0 }
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
    fn of(
        host: &dyn Host,
        settings: &DiagnoseArguments,
        scan_turn: &Mutex<()>,
    ) -> Result<Self, HostError> {
        let mut sample = Sample::take(host, settings.protocol, settings.sample, scan_turn)?;
        let Sample { snapshot, analysis, monitor, processes } = &mut sample;
        let diagnosis = monitor.diagnose(snapshot, analysis, processes, thresholds(settings));
        let mut diagnosis = keep_only(settings.protocol, diagnosis);
        if let Some(filter) = &settings.filter {
            let subjects = FilterSubjects::of(snapshot, filter, processes);
            subjects.keep_in(&mut diagnosis);
            analysis.destinations.retain(|row| subjects.has_destination(&row.destination));
        }
        // The report lists the gaps of the scan and those of the vitals together.
        let Snapshot { gaps, vitals, .. } = &mut sample.snapshot;
        gaps.append(&mut vitals.gaps);
        Ok(Self { sample, diagnosis })
    }

    fn health<'a>(&'a self, settings: &'a DiagnoseArguments) -> Health<'a> {
        let Sample { snapshot, analysis, monitor, processes } = &self.sample;
        Health {
            scan: Scan { snapshot, processes },
            analysis,
            trends: monitor.trends(),
            diagnosis: &self.diagnosis,
            protocols: settings.protocol,
            thresholds: thresholds(settings),
            sampled: monitor.seconds_to(snapshot),
            top: settings.top,
            filter: settings.filter.as_ref().filter(|filter| !filter.is_empty()),
        }
    }
}

fn keep_only(protocols: Protocols, mut diagnosis: Diagnosis) -> Diagnosis {
    let is_of = |protocol: Option<_>| protocol.is_none_or(|p| protocols.includes(p));
    diagnosis.findings.retain(|finding| is_of(finding.about.protocol()));
    let severities = diagnosis.findings.iter().map(|finding| finding.severity);
    diagnosis.severity = severities.max().unwrap_or(Severity::Ok);
    diagnosis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Command, parsed};

    #[test]
    fn thresholds_are_shares_of_1() {
        let of = |typed| match parsed(typed) {
            Command::Diagnose(settings) => thresholds(&settings),
            other => panic!("{other:?}"),
        };
        assert_eq!(of("diagnose"), Thresholds::default());
        let both = Thresholds { warn: 0.995, critical: 0.995 };
        assert_eq!(of("diagnose --warn 99.5 --critical 99.5"), both);
    }
}
