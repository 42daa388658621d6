//! Closes sockets and counts the results. Does not choose the sockets.

use crate::{
    domain::{Socket, notation::counted},
    engine::freeing::StepResult,
    host::actions::{ActionError, HostActions},
};

/// What became of sockets that were to be closed.
#[derive(Default)]
pub struct CloseCounts {
    closed: u32,
    /// Sockets that had ended before.
    gone: u32,
    /// One for each reason.
    refused: Vec<RefusedSockets>,
}

/// Sockets that could not be closed for one reason.
struct RefusedSockets {
    first: Socket,
    sockets: u32,
    error: ActionError,
}

impl CloseCounts {
    pub fn close(&mut self, actions: &mut dyn HostActions, socket: &Socket) {
        match actions.close(socket) {
            Ok(()) => self.closed += 1,
            Err(ActionError::SocketGone) => self.gone += 1,
            Err(error) => self.refuse(socket, error),
        }
    }

    fn refuse(&mut self, socket: &Socket, error: ActionError) {
        let reason = error.to_string();
        match self.refused.iter_mut().find(|refused| refused.error.to_string() == reason) {
            Some(refused) => refused.sockets += 1,
            None => self.refused.push(RefusedSockets { first: *socket, sockets: 1, error }),
        }
    }

    /// Returns a step for the sockets that have ended, if there are any, and one for each reason.
    pub fn into_steps(self) -> Vec<StepResult> {
        let Self { closed: sockets, gone, refused } = self;
        let closed = (sockets + gone > 0).then_some(StepResult::Closed { sockets, gone });
        let refused = refused.into_iter().map(|RefusedSockets { first, sockets, error }| {
            let what = match sockets {
                1 => format!("close the socket in {} on {}", first.state, first.local),
                count => format!("close {}", counted(count, "socket")),
            };
            StepResult::Refused { what, error }
        });
        closed.into_iter().chain(refused).collect()
    }
}
