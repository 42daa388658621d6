//! `--netns`: runs a command in another network namespace, or in each. Contains no command.

use std::{
    ffi::{OsStr, OsString},
    sync::Arc,
};

use crate::{
    domain::UnseenNamespaces,
    host::{
        Host, descriptors,
        linux::{
            LinuxHost,
            netns::{self, Namespace, NamespaceError},
        },
    },
};

/// Results of a command that ran in each network namespace, and the namespaces in which it could
/// not run.
pub struct Each<T> {
    pub answers: Vec<T>,
    pub unseen: Vec<UnseenNamespaces>,
}

/// Parses the name of one network namespace, or `all`.
pub fn parse(typed: &OsStr) -> Result<OsString, &'static str> {
    if typed.is_empty() {
        return Err("expected a name in /run/netns, a pid or a path");
    }
    Ok(typed.to_owned())
}

/// Parses the name of one network namespace.
pub fn parse_one(typed: &OsStr) -> Result<OsString, &'static str> {
    if are_all(Some(typed)) {
        return Err("expected one network namespace: a name in /run/netns, a pid or a path");
    }
    parse(typed)
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

/// Runs the command in each namespace that may be entered, one after the other. Errors: the
/// namespaces could not be listed, or one could not be entered for a reason other than a missing
/// right.
pub fn run_in_each<T: Send>(
    command: impl Fn(&dyn Host) -> T + Sync,
) -> Result<Each<T>, NamespaceError> {
    // Each namespace is kept open by a descriptor.
    descriptors::raise_limit();
    let namespaces = netns::all()?;
    let mut each = Each { answers: Vec::new(), unseen: namespaces.unseen };
    let mut refused = 0;
    for namespace in namespaces.namespaces {
        match run_within(namespace, &command) {
            Ok(answer) => each.answers.push(answer),
            Err(NamespaceError::MissingRight { .. }) => refused += 1,
            Err(error) => return Err(error),
        }
    }
    let namespaces = refused;
    each.unseen.extend((refused > 0).then_some(UnseenNamespaces::Refused { namespaces }));
    Ok(each)
}

fn run_within<T: Send>(
    namespace: Namespace,
    command: impl FnOnce(&dyn Host) -> T + Send,
) -> Result<T, NamespaceError> {
    let namespace = Arc::new(namespace);
    let host = LinuxHost::within(Arc::clone(&namespace))?;
    netns::inside(&namespace, || command(&host))
}
