//! What can be done about selected sockets, on one port or on several. Performs nothing.

use std::collections::BTreeSet;

use crate::domain::{
    Socket,
    action::{
        ActionChoice, ActionForecast, ActionInput, Frees, Permission, PortAction, ProcessIdentity,
        closed_sockets, drain_destination, drains, endable, ends, forecast, inodes, may_reserve,
    },
};

/// Returns the actions that are possible on the sockets, in the order of a list for people. Empty if
/// there are none. `inputs`: one for each port of the sockets.
///
/// A forecast for several ports is `Frees::Yes` only if all of them will be free.
pub fn choices_for(inputs: &[ActionInput<'_>], sockets: &[Socket]) -> Vec<ActionChoice> {
    let Some(first) = inputs.first().filter(|_| !sockets.is_empty()) else { return Vec::new() };
    let (closed, open): (Vec<Socket>, Vec<Socket>) =
        sockets.iter().copied().partition(Socket::is_closed_by_process);
    let ends = of_processes(inputs, &open);
    let mut actions = if open.is_empty() { Vec::new() } else { ends.clone() };
    let has_ends = !actions.is_empty() || ends.is_empty();
    let open: Vec<Socket> = open.into_iter().filter(|socket| socket.cookie.is_some()).collect();
    if !open.is_empty() {
        actions.push(PortAction::Close(open));
    }
    actions.extend(drains(&closed));
    if let ([_], [socket]) = (inputs, sockets) {
        for all in drains(&closed_sockets(first)) {
            if !actions.contains(&all) {
                actions.push(all);
            }
        }
        let remote = socket.remote.filter(|_| !closed.is_empty());
        let of_destination = remote.and_then(|remote| drain_destination(first.snapshot, remote));
        let drains_more = |action: &PortAction| matches!(action, PortAction::Drain { sockets, .. } if sockets.len() > closed.len());
        actions.extend(of_destination.filter(drains_more));
    }
    if !has_ends {
        // The selected sockets are closed: other sockets of the port are not the first choice.
        actions.extend(ends);
    }
    if let [input] = inputs {
        if may_reserve(input) {
            actions.push(PortAction::Reserve);
        }
        actions.push(PortAction::Wait);
    }
    let choice = |action| ActionChoice { forecast: of_all(inputs, &action), action };
    actions.into_iter().map(choice).collect()
}

/// Returns the ends of the processes that hold the sockets, and of all that hold a socket on the
/// port if these are more.
fn of_processes(inputs: &[ActionInput<'_>], open: &[Socket]) -> Vec<PortAction> {
    let held_by = |input: &ActionInput<'_>| -> BTreeSet<u32> {
        let on_port = open.iter().filter(|socket| is_on_port(input, socket));
        on_port.flat_map(|socket| input.snapshot.owner(socket).pids()).copied().collect()
    };
    let mut of_sockets: Vec<ProcessIdentity> =
        inputs.iter().flat_map(|input| endable(input, held_by(input))).collect();
    of_sockets.sort_unstable();
    of_sockets.dedup();
    let inodes = inodes(inputs);
    let mut actions: Vec<PortAction> = ends(of_sockets.clone(), &inodes).collect();
    if let [input] = inputs {
        let of_port = endable(input, input.holders());
        if of_port != of_sockets {
            actions.extend(ends(of_port, &inodes));
        }
    }
    actions
}

fn is_on_port(input: &ActionInput<'_>, socket: &Socket) -> bool {
    (socket.protocol, socket.local.port) == (input.protocol, input.port)
}

/// Combines the forecasts for all ports.
fn of_all(inputs: &[ActionInput<'_>], action: &PortAction) -> ActionForecast {
    let on_port = |input: &ActionInput<'_>, sockets: &[Socket]| -> Vec<Socket> {
        sockets.iter().filter(|socket| is_on_port(input, socket)).copied().collect()
    };
    let at_port = |input: &ActionInput<'_>| match action {
        PortAction::Close(sockets) => PortAction::Close(on_port(input, sockets)),
        PortAction::Drain { sockets, destination: None } => {
            PortAction::Drain { sockets: on_port(input, sockets), destination: None }
        }
        action => action.clone(),
    };
    let forecasts = inputs.iter().map(|input| (input, forecast(input, &at_port(input))));
    let mut forecasts: Vec<(&ActionInput<'_>, ActionForecast)> = forecasts.collect();
    if forecasts.len() == 1 {
        return forecasts.remove(0).1;
    }
    merged(&forecasts)
}

fn merged(forecasts: &[(&ActionInput<'_>, ActionForecast)]) -> ActionForecast {
    let each = || forecasts.iter().map(|(_, forecast)| forecast);
    let freed = each().filter(|forecast| forecast.frees == Frees::Yes).count();
    let worst = [Frees::No, Frees::Unknown]
        .into_iter()
        .find_map(|frees| forecasts.iter().find(|(_, forecast)| forecast.frees == frees));
    let ports = forecasts.len();
    let because = match worst {
        Some((input, forecast)) => {
            format!("frees {freed} of {ports} ports; {}: {}", input.name(), forecast.because)
        }
        None => format!("no other socket uses the {ports} ports"),
    };
    let commands = each().map(|forecast| forecast.command.as_str());
    // On a port without such sockets, nothing is to be done.
    let commands: BTreeSet<&str> = commands.filter(|command| !command.is_empty()).collect();
    let commands: Vec<&str> = commands.into_iter().collect();
    ActionForecast {
        frees: worst.map_or(Frees::Yes, |(_, forecast)| forecast.frees),
        because,
        program_sees: each().find_map(|forecast| forecast.program_sees.clone()),
        other_holders: {
            let pids = each().flat_map(|forecast| forecast.other_holders.iter().copied());
            pids.collect::<BTreeSet<u32>>().into_iter().collect()
        },
        restart: each().find_map(|forecast| forecast.restart.clone()),
        closed_seconds: each().filter_map(|forecast| forecast.closed_seconds).max(),
        command: commands.join("; "),
        permission: {
            let refused = each().find(|forecast| forecast.permission.refusal().is_some());
            let permission = refused
                .or_else(|| each().find(|forecast| forecast.permission == Permission::Unknown));
            permission.map_or(Permission::Granted, |forecast| forecast.permission.clone())
        },
    }
}
