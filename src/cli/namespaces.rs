//! `--netns`: runs a command in another network namespace, or in each. Contains no command.

use std::{
    ffi::{OsStr, OsString},
    sync::Arc,
};

use crate::{
    cli::settings::BadInput,
    domain::UnseenNamespaces,
    host::{
        Host, descriptors,
        linux::{
            LinuxHost,
            netns::{self, Namespace, NamespaceError},
        },
    },
};

const ALL: &str = "all";

/// The requested network namespace; None: that of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceChoice(Option<OsString>);

/// One network namespace, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choices {
    One(NamespaceChoice),
    All,
}

/// Results of a command that ran in each network namespace, and the namespaces in which it could
/// not run.
pub struct Each<T> {
    pub answers: Vec<T>,
    pub unseen: Vec<UnseenNamespaces>,
}

impl TryFrom<Option<OsString>> for NamespaceChoice {
    type Error = BadInput;

    fn try_from(typed: Option<OsString>) -> Result<Self, BadInput> {
        match Choices::try_from(typed)? {
            Choices::One(choice) => Ok(choice),
            Choices::All => Err(BadInput(
                "invalid value 'all' for --netns: expected one network namespace: a name in \
                 /run/netns, a pid or a path"
                    .into(),
            )),
        }
    }
}

impl TryFrom<Option<OsString>> for Choices {
    type Error = BadInput;

    fn try_from(typed: Option<OsString>) -> Result<Self, BadInput> {
        match typed {
            Some(typed) if typed == ALL => Ok(Self::All),
            Some(typed) if typed == OsStr::new("") => Err(BadInput(
                "invalid value '' for --netns: expected a name in /run/netns, a pid or a path"
                    .into(),
            )),
            typed => Ok(Self::One(NamespaceChoice(typed))),
        }
    }
}

/// Returns the machine as seen from the chosen namespace, for callers that start threads of their
/// own (see `LinuxHost`). Errors: the namespace does not exist or may not be entered.
pub fn host(choice: &NamespaceChoice) -> Result<Arc<dyn Host>, NamespaceError> {
    Ok(match &choice.0 {
        None => Arc::new(LinuxHost::new()),
        Some(asked) => Arc::new(LinuxHost::within(Arc::new(netns::find(asked)?))?),
    })
}

/// Runs the whole command in the requested namespace, on a new thread. If none was requested, runs
/// the command on the calling thread. Errors: the namespace does not exist or may not be entered.
pub fn run_in<T: Send>(
    choice: &NamespaceChoice,
    command: impl FnOnce(&dyn Host) -> T + Send,
) -> Result<T, NamespaceError> {
    match &choice.0 {
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
