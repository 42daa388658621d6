//! Applies the rules to the network namespace of the thread.

use std::sync::Arc;

use portscope::{
    domain::{
        Analysis, Diagnosis, Evidence, Finding, ProcessTable, Severity, Snapshot, Source,
        Thresholds, Trends, Vitals,
        diagnosis::{Figure, diagnose},
    },
    host::{
        Host as _, OwnerDepth, Scanner as _,
        linux::{LinuxHost, LinuxScanner},
    },
};

/// A scanner and its last snapshot.
pub struct Diagnoser {
    scanner: LinuxScanner,
    pub snapshot: Snapshot,
}

impl Diagnoser {
    pub fn new() -> Self {
        let machine = LinuxHost::new().machine();
        let snapshot = Snapshot::empty(Arc::clone(&machine), Source::SockDiag);
        Self { scanner: LinuxScanner::new(machine), snapshot }
    }

    /// Creates one and scans.
    pub fn now() -> Self {
        let mut diagnoser = Self::new();
        diagnoser.scan();
        diagnoser
    }

    pub fn scan(&mut self) -> &mut Self {
        self.scanner.scan(OwnerDepth::Full, &mut self.snapshot).unwrap();
        self
    }

    pub fn diagnosis(&self, before: Option<(&Vitals, f64)>) -> Diagnosis {
        diagnose(&Evidence {
            snapshot: &self.snapshot,
            analysis: &Analysis::of(&self.snapshot),
            trends: &Trends::default(),
            processes: &ProcessTable::default(),
            before,
            thresholds: Thresholds::default(),
        })
    }

    pub fn find(&self, rule: &str) -> Vec<Finding> {
        self.diagnosis(None).findings.into_iter().filter(|f| f.rule == rule).collect()
    }

    /// Finds with `before` as the vitals of two seconds ago.
    pub fn find_since(&self, before: &Vitals, rule: &str) -> Vec<Finding> {
        let found = self.diagnosis(Some((before, 2.0))).findings;
        found.into_iter().filter(|finding| finding.rule == rule).collect()
    }

    /// Returns the only finding of a rule, after checking that it is complete.
    #[track_caller]
    pub fn one(&self, rule: &str, severity: Severity, words: &[&str]) -> Finding {
        let mut found = self.find(rule);
        assert_eq!(found.len(), 1, "{rule}: {found:#?} {:#?}", self.snapshot.vitals);
        assert_said(&found[0], severity, words);
        found.remove(0)
    }

    #[track_caller]
    pub fn assert_no_finding(&self, rule: &str) {
        assert!(self.find(rule).is_empty(), "{:#?}", self.find(rule));
    }
}

/// Asserts that a finding has all its parts and contains these words.
#[track_caller]
pub fn assert_said(finding: &Finding, severity: Severity, words: &[&str]) {
    assert_eq!(finding.severity, severity, "{finding:#?}");
    assert!(!finding.summary.contains('\n') && !finding.meaning.is_empty(), "{finding:#?}");
    assert!(!finding.advice.is_empty() && !finding.avoid.is_empty(), "{finding:#?}");
    assert!(!finding.evidence.is_empty() && finding.steps.len() <= finding.advice.len());
    let said = format!("{}\n{}\n{}", finding.summary, finding.meaning, finding.advice.join("\n"));
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {finding:#?}");
    }
}

pub fn figure(finding: &Finding, name: &str) -> Option<Figure> {
    finding.evidence.iter().find(|(known, _)| *known == name).map(|(_, figure)| figure.clone())
}

/// Returns the command at the end of an advice, from `word` on.
#[track_caller]
pub fn command(finding: &Finding, advice: usize, word: &str) -> String {
    let reported = &finding.advice[advice];
    let (_, rest) = reported.split_once(word).unwrap_or_else(|| panic!("no {word} in {reported}"));
    format!("{word}{rest}")
}
