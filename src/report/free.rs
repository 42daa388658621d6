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
    /// Whether a socket that is not listed may use the port.
    pub may_be_unlisted: bool,
    /// None: nothing was to be done.
    pub outcome: Option<FreeOutcome>,
}

/// What was done, and what a scan showed then.
pub struct FreeOutcome {
    pub steps: Vec<ActedStep>,
    /// None: an unlisted socket may use the port, or `error`.
    pub is_free: Option<bool>,
    /// The sockets that still use the port, in words. Empty: there are none.
    pub remaining: String,
    /// Why it is unknown what uses the port now. None: that is known.
    pub error: Option<String>,
}

impl FreeOutcome {
    /// Creates the outcome of steps after which the port could not be looked at.
    pub fn unseen(steps: Vec<ActedStep>, error: &impl ToString) -> Self {
        Self { steps, is_free: None, remaining: String::new(), error: Some(error.to_string()) }
    }
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

    /// Returns whether the port is free, or the plan would free it. False if that is unknown.
    pub fn is_freed(&self) -> bool {
        match (&self.outcome, self.plan) {
            (Some(outcome), _) => outcome.is_free == Some(true),
            (None, None) => !self.may_be_unlisted,
            (None, Some(plan)) => plan.action.is_some() && plan.frees == Frees::Yes,
        }
    }
}
