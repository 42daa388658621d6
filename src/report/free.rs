//! The report of `portscope free`: who holds a port, what each action would do, and what was done.
//! Performs nothing.

pub mod json;
pub mod text;

use crate::{
    domain::{
        Protocol,
        action::{ActionChoice, FreePlan, Frees},
    },
    report::Scan,
};

/// What can be done about one port.
pub struct FreeReport<'a> {
    /// All sockets of the network namespace.
    pub scan: Scan<'a>,
    pub port: u16,
    /// One for each requested protocol.
    pub sides: Vec<FreeSide<'a>>,
}

/// What can be done about the port on one protocol, and what was done.
pub struct FreeSide<'a> {
    pub protocol: Protocol,
    pub choices: &'a [ActionChoice],
    /// None: no socket is on the port.
    pub plan: Option<&'a FreePlan>,
    /// None: nothing was to be done.
    pub outcome: Option<FreeOutcome>,
}

/// What was done, and what a scan showed then.
pub struct FreeOutcome {
    pub steps: Vec<ActedStep>,
    /// None: an unlisted socket may use the port.
    pub is_free: Option<bool>,
    /// The sockets that still use the port, in words. Empty: there are none.
    pub remaining: String,
}

/// One step, in words.
pub struct ActedStep {
    pub words: String,
    pub is_done: bool,
}

impl FreeSide<'_> {
    /// Names the port: `TCP 8080`.
    pub fn name(&self, port: u16) -> String {
        format!("{} {port}", self.protocol.name().to_uppercase())
    }

    /// Returns whether the port is free, or the plan would free it.
    pub fn is_freed(&self) -> bool {
        match (&self.outcome, self.plan) {
            (Some(outcome), _) => outcome.is_free == Some(true),
            (None, None) => true,
            (None, Some(plan)) => plan.action.is_some() && plan.frees != Frees::No,
        }
    }
}
