//! Applies filters to snapshots.

use std::collections::BTreeSet;

use crate::domain::{
    Destination, Diagnosis, Filter, OwnerKey, ProcessTable, Protocol, Severity, Snapshot, Socket,
    diagnosis::About,
    filter::{FilterContext, FilterRow},
};

impl Snapshot {
    /// Removes the sockets that the filter does not select, or of which that is unknown. The gaps
    /// about owners also count the sockets that a hidden owner may decide. Ages are unknown.
    pub fn keep_matching(&mut self, filter: &Filter, processes: &ProcessTable) {
        let answers = self.matches(filter, processes);
        let mut kept = answers.iter();
        self.sockets.retain(|_| kept.next() != Some(&Some(false)));
        self.recount_hidden_owners();
        let mut possible = answers.iter().filter(|answer| **answer != Some(false));
        self.sockets.retain(|_| possible.next() == Some(&Some(true)));
    }

    /// Returns of each socket whether the filter selects it; None: unknown.
    fn matches(&self, filter: &Filter, processes: &ProcessTable) -> Vec<Option<bool>> {
        let matcher = filter.matcher(FilterContext::of(self, processes));
        let answer = |socket: &Socket| {
            matcher.matches(&FilterRow { socket, owner: self.owner(socket), age: None })
        };
        self.sockets.iter().map(answer).collect()
    }
}

/// What the sockets are about that a filter selects, or may select.
#[derive(Clone, Debug, Default)]
pub struct FilterSubjects {
    destinations: BTreeSet<Destination>,
    owners: BTreeSet<OwnerKey>,
    ports: BTreeSet<(Protocol, u16)>,
}

impl FilterSubjects {
    /// Collects the destinations, owners and ports of the sockets. Includes those of which it is
    /// unknown whether the filter selects them, so that no problem of theirs is lost.
    pub fn of(snapshot: &Snapshot, filter: &Filter, processes: &ProcessTable) -> Self {
        let mut subjects = Self::default();
        let answers = snapshot.matches(filter, processes);
        for (socket, answer) in snapshot.sockets.iter().zip(answers) {
            if answer != Some(false) {
                subjects.destinations.extend(Destination::of(socket));
                subjects.owners.insert(OwnerKey::of(snapshot, socket));
                subjects.ports.insert(socket.protocol_port());
            }
        }
        subjects
    }

    pub fn has_destination(&self, destination: &Destination) -> bool {
        self.destinations.contains(destination)
    }

    /// Removes the findings about other destinations, owners and ports. Findings about the machine
    /// and about ranges remain: they concern every socket.
    pub fn keep_in(&self, diagnosis: &mut Diagnosis) {
        diagnosis.findings.retain(|finding| match &finding.about {
            About::Machine | About::Range(_) => true,
            About::Destination(destination) => self.has_destination(destination),
            About::Owner(owner_key) => self.owners.contains(owner_key),
            About::Port(protocol, port) => self.ports.contains(&(*protocol, *port)),
        });
        let severities = diagnosis.findings.iter().map(|finding| finding.severity);
        diagnosis.severity = severities.max().unwrap_or(Severity::Ok);
    }
}
