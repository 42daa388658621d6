//! `portscope diagnose`: two looks, the rules, and a status for the exit code.

use crate::{
    cli::{args::PlainFormat, exit::Verdict, scan, settings::DiagnoseSettings},
    domain::{Diagnosis, Evidence, Protocols, Severity, Snapshot, diagnosis},
    engine::sample::Sample,
    host::Host,
    report::{self, Health, Scan},
};

pub fn run(host: &dyn Host, settings: &DiagnoseSettings) -> anyhow::Result<Verdict> {
    let mut sample = Sample::take(host, settings.protocols, settings.sample)?;
    let diagnosis = judge(&sample, settings);
    let Snapshot { gaps, vitals, .. } = &mut sample.snapshot;
    gaps.append(&mut vitals.gaps);
    let health = Health {
        scan: Scan { snapshot: &sample.snapshot, processes: &sample.processes },
        analysis: &sample.analysis,
        trends: &sample.trends,
        diagnosis: &diagnosis,
        protocols: settings.protocols,
        thresholds: settings.thresholds,
        sampled: sample.before.as_ref().map(|(_, seconds)| *seconds),
    };
    let written = settings.destination.write(|out| match settings.format {
        PlainFormat::Text => report::diagnose::text::write(&health, out),
        PlainFormat::Json => report::diagnose::json::write(&health, out),
    });
    match written {
        Ok(()) => scan::tell_gaps(&sample.snapshot),
        // Whoever closed the pipe had enough, but a critical machine is not OK for it.
        Err(error) if error.is_closed_pipe() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Verdict::Status(health.status()))
}

fn judge(sample: &Sample, settings: &DiagnoseSettings) -> Diagnosis {
    let evidence = Evidence {
        snapshot: &sample.snapshot,
        analysis: &sample.analysis,
        trends: &sample.trends,
        processes: &sample.processes,
        before: sample.before.as_ref().map(|(vitals, seconds)| (vitals, *seconds)),
        thresholds: settings.thresholds,
    };
    keep_only(settings.protocols, diagnosis::diagnose(&evidence))
}

fn keep_only(protocols: Protocols, mut diagnosis: Diagnosis) -> Diagnosis {
    let is_of = |protocol: Option<_>| protocol.is_none_or(|p| protocols.includes(p));
    diagnosis.findings.retain(|finding| is_of(finding.about.protocol()));
    let severities = diagnosis.findings.iter().map(|finding| finding.severity);
    diagnosis.severity = severities.max().unwrap_or(Severity::Ok);
    diagnosis
}
