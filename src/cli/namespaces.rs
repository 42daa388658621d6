//! `--netns`: runs a command in another network namespace, or in each. Contains no command.

use std::{
    ffi::{OsStr, OsString},
    sync::Arc,
};

use crate::{
    cli::settings::BadInput,
    domain::UnseenNamespaces,
    host::{
        Host, HostError, descriptors,
        linux::{
            LinuxHost,
            netns::{self, Namespace, NamespaceError},
        },
    },
};

/// Results of a command that ran in one network namespace, or in each.
pub struct Answers<T> {
    /// One result, unless the command ran in each namespace.
    pub answers: Vec<T>,
    /// The namespaces in which the command could not run; None: it ran in one namespace only.
    pub unseen: Option<Vec<UnseenNamespaces>>,
}

impl<T> Answers<T> {
    /// Returns whether the command ran in all the requested namespaces.
    pub fn are_complete(&self) -> bool {
        self.unseen.as_ref().is_none_or(Vec::is_empty)
    }
}

/// Parses the name of one network namespace, or `all`.
pub fn parse(typed: &OsStr) -> Result<OsString, &'static str> {
    if typed.is_empty() {
        return Err("expected a name in /run/netns, a pid, a path, or all");
    }
    Ok(typed.to_owned())
}

/// Parses the name of one network namespace.
pub fn parse_one(typed: &OsStr) -> Result<OsString, &'static str> {
    if typed.is_empty() || are_all(Some(typed)) {
        return Err("expected one network namespace: a name in /run/netns, a pid or a path");
    }
    Ok(typed.to_owned())
}

/// Whether `choice` is `all`. A `choice` of None is the network namespace of this process.
pub fn are_all(choice: Option<&OsStr>) -> bool {
    choice == Some(OsStr::new("all"))
}

/// Returns the machine as seen from the chosen namespace, for callers that start threads of their
/// own (see `LinuxHost`). Errors: the namespace does not exist or may not be entered.
pub fn host(choice: Option<&OsStr>) -> Result<Arc<dyn Host>, NamespaceError> {
    Ok(match choice {
        None => Arc::new(LinuxHost::new()),
        Some(asked) => Arc::new(LinuxHost::within(Arc::new(netns::find(asked)?))?),
    })
}

/// Runs `command` in the requested namespace, on a new thread. If none was requested, runs it on
/// the calling thread. Errors: the namespace does not exist or may not be entered.
pub fn run_in<T: Send>(
    choice: Option<&OsStr>,
    command: impl FnOnce(&dyn Host) -> T + Send,
) -> Result<T, NamespaceError> {
    match choice {
        None => Ok(command(&LinuxHost::new())),
        Some(asked) => run_within(netns::find(asked)?, command),
    }
}

/// Runs the command like `run_in`, or if `choice` is `all`, in each namespace that may be entered, in
/// at most `at_once` of them at the same time. Errors: the command failed, the namespaces could not be listed, or one
/// could not be entered, unless the reason is a missing right and `choice` is `all`.
pub fn run_in_chosen<T: Send>(
    choice: Option<&OsStr>,
    at_once: usize,
    command: impl Fn(&dyn Host) -> Result<T, HostError> + Sync,
) -> anyhow::Result<Answers<T>> {
    if !are_all(choice) {
        let answer = run_in(choice, &command).map_err(|error| match error {
            NamespaceError::Unknown { .. } => {
                BadInput(format!("{error}; 'all' examines each")).into()
            }
            error => anyhow::Error::from(error),
        });
        return Ok(Answers { answers: vec![answer??], unseen: None });
    }
    // Each namespace is kept open by a descriptor.
    descriptors::raise_limit();
    let all = netns::all()?;
    let (mut answers, mut unseen, mut refused) = (Vec::new(), all.unseen, 0);
    let run = |namespace| run_within(namespace, &command);
    for result in netns::for_each(all.namespaces, at_once, run)? {
        match result {
            Ok(answer) => answers.push(answer),
            Err(NamespaceError::MissingRight { .. }) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let namespaces = refused;
    unseen.extend((refused > 0).then_some(UnseenNamespaces::Refused { namespaces }));
    Ok(Answers { answers: answers.into_iter().collect::<Result<_, _>>()?, unseen: Some(unseen) })
}

fn run_within<T: Send>(
    namespace: Namespace,
    command: impl FnOnce(&dyn Host) -> T + Send,
) -> Result<T, NamespaceError> {
    let namespace = Arc::new(namespace);
    let host = LinuxHost::within(Arc::clone(&namespace))?;
    netns::inside(&namespace, || command(&host))
}
