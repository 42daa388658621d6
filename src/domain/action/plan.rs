//! Selects the actions that free a port with the least effect on others. Performs nothing.

use crate::domain::{
    Owner, Socket,
    action::{
        ActionChoice, ActionInput, EndSignal, Frees, PortAction, fate::SocketFate,
        forecast::fates_of_end, protection,
    },
};

/// The actions that free a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreePlan {
    /// The first action. None: no possible action frees the port.
    pub action: Option<PortAction>,
    /// Whether closed connections, which the first action leaves on the port, are ended then.
    pub then_drain: bool,
    pub frees: Frees,
    /// Why no action frees the port. None: one does.
    pub refusal: Option<String>,
}

/// Selects from the choices for a port. Prefers the end of closed connections, then `signal` to all
/// holders, then the end of one socket. Only with SIGKILL, closed connections are ended that still
/// have data to deliver. If the end of the processes leaves closed connections, and
/// they can be ended, that follows.
pub fn plan(input: &ActionInput<'_>, choices: &[ActionChoice], signal: EndSignal) -> FreePlan {
    let rank = |choice: &&ActionChoice| match &choice.action {
        drain @ PortAction::Drain { .. } if drain.drains_data() => {
            (signal == EndSignal::Kill).then_some(1)
        }
        PortAction::Drain { .. } => Some(0),
        PortAction::End { signal: of, .. } if *of == signal => Some(2),
        PortAction::Close(_) => Some(3),
        _ => None,
    };
    let mut useful: Vec<&ActionChoice> =
        choices.iter().filter(|choice| rank(choice).is_some()).collect();
    useful.sort_by_key(rank);
    if let Some(choice) = useful.iter().find(|choice| choice.forecast.is_useful()) {
        return FreePlan {
            action: Some(choice.action.clone()),
            then_drain: false,
            frees: Frees::Yes,
            refusal: None,
        };
    }
    let ends = |choice: &&&ActionChoice| matches!(choice.action, PortAction::End { .. });
    let ending = useful.iter().find(ends);
    let permitted = ending.filter(|choice| choice.forecast.permission.refusal().is_none());
    if let Some(choice) = permitted {
        let frees = after_drain(input, choice, signal);
        if frees != Frees::No {
            let then_drain = choice.forecast.frees == Frees::No;
            let action = Some(choice.action.clone());
            return FreePlan { action, then_drain, frees, refusal: None };
        }
    }
    let refusal = ending.map(|choice| why_not(choice));
    let refusal = refusal.or_else(|| protection::of_all_holders(input));
    let refusal = refusal.or_else(|| needs_kill(choices)).or_else(|| hidden_holder(input));
    let refusal = refusal.or_else(|| useful.first().map(|choice| why_not(choice)));
    FreePlan { action: None, then_drain: false, frees: Frees::No, refusal }
}

fn why_not(choice: &ActionChoice) -> String {
    let refusal =
        choice.forecast.permission.refusal().filter(|_| choice.forecast.frees == Frees::Yes);
    refusal.unwrap_or_else(|| choice.forecast.because.clone())
}

/// Says that the process of a socket is not visible. None: those of all sockets are.
fn hidden_holder(input: &ActionInput<'_>) -> Option<String> {
    let is_hidden = |socket: &Socket| input.snapshot.owner(socket) == Owner::Hidden;
    let why = "its process is not visible: run portscope as root to see and end it";
    input.sockets().iter().any(is_hidden).then(|| why.to_owned())
}

/// Says that only closed connections with undelivered data keep the port. None: others do.
fn needs_kill(choices: &[ActionChoice]) -> Option<String> {
    let drain = choices.iter().find(|choice| choice.action.drains_data())?;
    let lost = drain.forecast.program_sees.as_ref().filter(|_| drain.forecast.is_useful())?;
    Some(format!(
        "the kernel still delivers data of closed connections; if --hard ends them, {lost}"
    ))
}

/// Returns whether the port is free after the processes have ended and then the closed connections
/// on it.
fn after_drain(input: &ActionInput<'_>, choice: &ActionChoice, signal: EndSignal) -> Frees {
    let PortAction::End { processes, .. } = &choice.action else { return Frees::No };
    if choice.forecast.frees == Frees::Unknown {
        return Frees::Unknown;
    }
    let may_drain = input.facts.may_close.refusal().is_none()
        && input.snapshot.machine.is_at_least((6, 12)) == Some(true);
    let fates = fates_of_end(input, processes, signal);
    let is_drained = |fate: &SocketFate| match fate {
        SocketFate::Released => true,
        SocketFate::KeptByKernel { .. } => may_drain,
        _ => false,
    };
    if !fates.iter().all(is_drained) {
        return Frees::No;
    }
    // SIGTERM leaves the kernel the time to deliver it.
    let keeps_data = |socket: &Socket| signal == EndSignal::Term && socket.undelivered() > 0;
    if input.sockets().iter().any(keeps_data) { Frees::Unknown } else { Frees::Yes }
}
