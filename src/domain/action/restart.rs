//! Whether a supervisor starts a program again after its end. Does not find the supervisor.

use std::collections::BTreeSet;

use crate::domain::{
    Text,
    action::{ActionInput, EndSignal, named},
    availability::stop_command,
};

const NO_SUPERVISOR: &str = "no supervisor is known to restart the process";

/// `Restart=` of a systemd unit (systemd.service(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    No,
    OnSuccess,
    OnFailure,
    OnAbnormal,
    OnWatchdog,
    OnAbort,
    Always,
}

impl RestartPolicy {
    const EACH: [Self; 7] = [
        Self::No,
        Self::OnSuccess,
        Self::OnFailure,
        Self::OnAbnormal,
        Self::OnWatchdog,
        Self::OnAbort,
        Self::Always,
    ];

    /// The value in a unit file.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnSuccess => "on-success",
            Self::OnFailure => "on-failure",
            Self::OnAbnormal => "on-abnormal",
            Self::OnWatchdog => "on-watchdog",
            Self::OnAbort => "on-abort",
            Self::Always => "always",
        }
    }

    /// Parses the value in a unit file.
    pub fn named(name: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|policy| policy.name() == name)
    }

    /// Returns whether systemd starts the service again after its main process was ended by the
    /// signal. None: that depends on its exit code. systemd counts an end by SIGTERM as clean.
    fn restarts_after(self, signal: EndSignal) -> Option<bool> {
        match (self, signal) {
            (Self::OnSuccess | Self::OnFailure, EndSignal::Term) => None,
            (Self::Always, _)
            | (Self::OnFailure | Self::OnAbnormal | Self::OnAbort, EndSignal::Kill) => Some(true),
            (Self::No | Self::OnWatchdog, _)
            | (Self::OnSuccess, EndSignal::Kill)
            | (Self::OnAbnormal | Self::OnAbort, EndSignal::Term) => Some(false),
        }
    }
}

/// What may start a process again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// No unit, no container, and no parent but process 1.
    None,
    /// The process is in this systemd service.
    Service {
        unit: Text,
        /// Whether the service belongs to the manager of a user.
        is_user: bool,
        /// None: the unit's files could not be read.
        restart: Option<RestartPolicy>,
        /// The parent of the process, if it is in the same service and may restart the process.
        parent: Option<u32>,
    },
    /// The process is in this container, whose engine may restart the process.
    Container(Text),
    /// The process has this parent.
    Parent(u32),
    Unknown,
}

impl Supervisor {
    /// Returns the parent that may start the process again. None: it has none that may.
    pub fn parent(&self) -> Option<u32> {
        match self {
            Self::Parent(pid) => Some(*pid),
            Self::Service { parent, .. } => *parent,
            _ => None,
        }
    }
}

/// Describes what the supervisors of the processes do after the signal.
pub fn sentence(input: &ActionInput<'_>, pids: &BTreeSet<u32>, signal: EndSignal) -> String {
    let supervisors = pids.iter().map(|&pid| match input.facts_of(pid) {
        Some(facts) => &facts.supervisor,
        None => &Supervisor::Unknown,
    });
    let mut sentences: Vec<String> = Vec::new();
    for supervisor in supervisors {
        let words = of_one(input, pids, supervisor, signal);
        if !sentences.contains(&words) {
            sentences.push(words);
        }
    }
    sentences.join("; ")
}

fn of_one(
    input: &ActionInput<'_>,
    pids: &BTreeSet<u32>,
    supervisor: &Supervisor,
    signal: EndSignal,
) -> String {
    match supervisor {
        Supervisor::None => NO_SUPERVISOR.to_owned(),
        Supervisor::Service { unit, is_user, restart, parent } => {
            let user = if *is_user { "--user " } else { "" };
            let stop = format!("`systemctl {user}stop {unit}` stops it instead");
            let mut words = of_service(unit, *restart, signal, &stop);
            if let Some(parent) = parent.filter(|parent| !pids.contains(parent)) {
                words =
                    format!("its parent {} may restart the process; {words}", named(input, parent));
            }
            words
        }
        Supervisor::Container(container) => {
            let stop = stop_command(pids, input.processes);
            let stop = stop.map(|command| format!(": `{command}` stops it instead"));
            format!(
                "it is unknown whether the engine starts {container} again{}",
                stop.unwrap_or_default()
            )
        }
        Supervisor::Parent(pid) if pids.contains(pid) => NO_SUPERVISOR.to_owned(),
        Supervisor::Parent(pid) => {
            format!("its parent {} may restart the process", named(input, *pid))
        }
        Supervisor::Unknown => "it is unknown whether a supervisor starts it again".to_owned(),
    }
}

/// Describes what systemd does with a service. `stop`: what to do instead.
fn of_service(
    unit: &Text,
    restart: Option<RestartPolicy>,
    signal: EndSignal,
    stop: &str,
) -> String {
    let Some(policy) = restart else {
        return format!("it is unknown whether systemd starts {unit} again: {stop}");
    };
    let name = policy.name();
    match policy.restarts_after(signal) {
        Some(true) => format!("systemd starts {unit} again (Restart={name}): {stop}"),
        Some(false) => format!("systemd does not start {unit} again (Restart={name})"),
        None => format!(
            "systemd starts {unit} again depending on its exit code (Restart={name}): {stop}"
        ),
    }
}
