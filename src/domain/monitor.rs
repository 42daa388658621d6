//! Evaluates the snapshots of one machine, one after another: analysis, history, trends and
//! diagnosis, in this order. Takes no snapshot, and stores none.

use std::{collections::VecDeque, time::Duration};

use crate::domain::{
    Age, Analysis, Diagnosis, Evidence, Finding, History, ProcessTable, Snapshot, Thresholds,
    Trends, Vitals,
    diagnosis::{self, About},
};

/// Counters are compared with those of a snapshot that is at least this old, if there is one.
const COMPARED: Duration = Duration::from_mins(1);
/// Minimum time between two snapshots whose vitals are kept.
const KEPT_EACH: Duration = Duration::from_secs(5);

/// What is known from the snapshots so far.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    history: History,
    trends: Trends,
    /// When the first snapshot was taken, since 1970.
    first: Option<Duration>,
    /// Vitals of earlier snapshots and when these were taken, oldest first: the newest of those
    /// that are at least `COMPARED` old, and later ones, `KEPT_EACH` apart or more.
    earlier: VecDeque<(Vitals, Duration)>,
    /// The rule and subject of each finding of the last diagnosis, and the time since 1970 of the
    /// first snapshot of the unbroken series that has the finding.
    since: Vec<(&'static str, About, Duration)>,
}

impl Monitor {
    /// Analyses the next snapshot and adds it to the history and the trends. The snapshot must be
    /// newer than the previous one.
    pub fn observe(&mut self, snapshot: &Snapshot) -> Analysis {
        let analysis = Analysis::of(snapshot);
        self.history.observe(snapshot);
        self.trends.observe(snapshot, &analysis, &self.history);
        self.first.get_or_insert(snapshot.taken_at);
        self.keep_vitals(snapshot);
        analysis
    }

    fn keep_vitals(&mut self, snapshot: &Snapshot) {
        let now = snapshot.taken_at;
        let is_old = |at: Duration| now.saturating_sub(at) >= COMPARED;
        while self.earlier.get(1).is_some_and(|&(_, at)| is_old(at)) {
            self.earlier.pop_front();
        }
        // The clock was set back.
        if self.earlier.back().is_some_and(|&(_, at)| at > now) {
            self.earlier.clear();
        }
        let newest = self.earlier.back().map(|&(_, at)| at);
        if newest.is_none_or(|at| now.saturating_sub(at) >= KEPT_EACH) {
            self.earlier.push_back((snapshot.vitals.clone(), now));
        }
    }

    /// Diagnoses the snapshot observed last. Can be called again when more of its processes are
    /// known.
    pub fn diagnose(
        &mut self,
        snapshot: &Snapshot,
        analysis: &Analysis,
        processes: &ProcessTable,
        thresholds: Thresholds,
    ) -> Diagnosis {
        let before = self
            .earlier
            .front()
            .map(|(vitals, at)| (vitals, snapshot.taken_at.saturating_sub(*at).as_secs_f64()));
        let before = before.filter(|&(_, seconds)| seconds > 0.0);
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

    /// Returns the time from the first snapshot of an unbroken series with this finding to
    /// `snapshot`; a lower bound if the series begins with the first snapshot of all. None: the
    /// last diagnosis does not contain the finding.
    pub fn age(&self, finding: &Finding, snapshot: &Snapshot) -> Option<Age> {
        let at = self.found_at(finding)?;
        let age = snapshot.taken_at.saturating_sub(at);
        let is_first = self.first.is_some_and(|begun| at <= begun);
        Some(if is_first { Age::AtLeast(age) } else { Age::Exactly(age) })
    }

    fn found_at(&self, finding: &Finding) -> Option<Duration> {
        let is_it =
            |&&(rule, about, _): &&(_, _, _)| (rule, about) == (finding.rule, finding.about);
        self.since.iter().find(is_it).map(|&(_, _, at)| at)
    }

    /// Returns the seconds from the first snapshot to this one. None: this is the first one, or is
    /// not newer.
    pub fn seconds_to(&self, snapshot: &Snapshot) -> Option<f64> {
        let seconds = snapshot.taken_at.saturating_sub(self.first?).as_secs_f64();
        (seconds > 0.0).then_some(seconds)
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    pub fn trends(&self) -> &Trends {
        &self.trends
    }
}
