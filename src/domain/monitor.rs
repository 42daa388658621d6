//! Evaluates the snapshots of one machine, one after another: analysis, history, trends and
//! diagnosis, in this order. Takes no snapshot, and keeps only what the next one needs.

use std::time::Duration;

use crate::domain::{
    Age, Analysis, Diagnosis, Evidence, Finding, History, ProcessTable, Snapshot, Thresholds,
    Trends, Vitals,
    diagnosis::{self, About},
};

/// What is known from the snapshots so far.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    history: History,
    trends: Trends,
    /// Vitals of the first snapshot, and when it was taken.
    first: Option<(Vitals, Duration)>,
    /// The findings of the last diagnosis, by rule and subject, and when the first of the snapshots
    /// was taken that all had them.
    since: Vec<(&'static str, About, Duration)>,
}

impl Monitor {
    /// Takes the next snapshot, which must be newer than the previous one.
    pub fn observe(&mut self, snapshot: &Snapshot) -> Analysis {
        let analysis = Analysis::of(snapshot);
        self.history.observe(snapshot);
        self.trends.observe(snapshot, &analysis, &self.history);
        if self.first.is_none() {
            self.first = Some((snapshot.vitals.clone(), snapshot.taken_at));
        }
        analysis
    }

    /// Diagnoses the snapshot observed last. Call it again once more is known about its processes.
    pub fn diagnose(
        &mut self,
        snapshot: &Snapshot,
        analysis: &Analysis,
        processes: &ProcessTable,
        thresholds: Thresholds,
    ) -> Diagnosis {
        let first = self.first.as_ref().map(|(vitals, _)| vitals);
        let before = first.zip(self.seconds_to(snapshot));
        let diagnosis = diagnosis::diagnose(&Evidence {
            snapshot,
            analysis,
            trends: &self.trends,
            processes,
            before,
            thresholds,
        });
        let found = diagnosis.findings.iter();
        self.since = found
            .map(|finding| {
                let since = self.found_at(finding).unwrap_or(snapshot.taken_at);
                (finding.rule, finding.about, since)
            })
            .collect();
        diagnosis
    }

    /// How long the finding has been found without interruption, until `snapshot`; a lower limit if
    /// the first snapshot had it. None: the last diagnosis has no such finding.
    pub fn age(&self, finding: &Finding, snapshot: &Snapshot) -> Option<Age> {
        let at = self.found_at(finding)?;
        let age = snapshot.taken_at.saturating_sub(at);
        let is_first = self.first.as_ref().is_some_and(|&(_, begun)| at <= begun);
        Some(if is_first { Age::AtLeast(age) } else { Age::Exactly(age) })
    }

    fn found_at(&self, finding: &Finding) -> Option<Duration> {
        let is_it =
            |&&(rule, about, _): &&(_, _, _)| (rule, about) == (finding.rule, finding.about);
        self.since.iter().find(is_it).map(|&(_, _, at)| at)
    }

    /// Seconds from the first snapshot to this one; None: it is the first one.
    pub fn seconds_to(&self, snapshot: &Snapshot) -> Option<f64> {
        let (_, begun) = self.first.as_ref()?;
        let seconds = snapshot.taken_at.saturating_sub(*begun).as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    pub fn trends(&self) -> &Trends {
        &self.trends
    }
}
