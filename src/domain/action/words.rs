//! Describes actions and their effects for people.

use crate::domain::{
    Socket,
    action::{ActionChoice, EndSignal, Frees, PortAction},
    notation::counted,
};

impl PortAction {
    /// Names the action as a heading: `End the process (SIGTERM)`.
    pub fn title(&self) -> String {
        match self {
            Self::End { processes, signal, .. } => {
                let what = match processes.len() {
                    1 => "the process".to_owned(),
                    count => format!("the {}", counted(count as u64, "process")),
                };
                match signal {
                    EndSignal::Term => format!("End {what} (SIGTERM)"),
                    EndSignal::Kill => format!("End {what} hard (SIGKILL)"),
                }
            }
            Self::Close(sockets) => match sockets.as_slice() {
                [Socket { remote: Some(remote), state, .. }] => {
                    format!("Close only the socket in {state} to {remote}")
                }
                [socket] => {
                    format!("Close only the socket in {} on {}", socket.state, socket.local)
                }
                sockets => format!("Close the {}", counted(sockets.len() as u64, "socket")),
            },
            Self::Drain { sockets, destination } => {
                let to = destination.map(|remote| format!(" to {remote}")).unwrap_or_default();
                let with = if self.drains_data() { ", also with undelivered data" } else { "" };
                match sockets.as_slice() {
                    [Socket { remote: Some(remote), .. }] => {
                        format!("End the closed connection to {remote}{with}")
                    }
                    all => {
                        let what = counted(all.len() as u64, "closed connection");
                        format!("End the {what}{to}{with}")
                    }
                }
            }
            Self::Reserve => "Reserve the port for later".to_owned(),
            Self::Wait => "Wait until it is free".to_owned(),
        }
    }
}

impl ActionChoice {
    /// Says whether the port will be free.
    pub fn verdict(&self) -> &'static str {
        match (&self.action, self.forecast.frees) {
            (PortAction::Wait, Frees::Unknown) => "unknown when it is free",
            (_, Frees::Yes) => "frees it",
            (PortAction::Reserve, _) | (_, Frees::No) => "does not free it",
            (_, Frees::Unknown) => "unknown whether it frees it",
        }
    }

    /// Says why, whether it is permitted, what the program sees and what a supervisor does, each in
    /// a sentence.
    pub fn sentences(&self) -> String {
        let forecast = &self.forecast;
        let refusal = forecast.permission.refusal().map(|why| format!("not permitted: it {why}"));
        let because = Some(forecast.because.clone());
        let each = [because, refusal, forecast.program_sees.clone(), forecast.restart.clone()];
        let each = each.into_iter().flatten().map(|words| format!("{}.", capitalized(&words)));
        each.collect::<Vec<_>>().join(" ")
    }
}

/// Starts a sentence with a capital letter, unless it starts with the name of a process or a
/// program.
fn capitalized(sentence: &str) -> String {
    let first = sentence.split(' ').next().unwrap_or_default();
    let is_name = first.contains(['[', '(']) || first == "systemd";
    let mut letters = sentence.chars();
    match letters.next() {
        Some(letter) if !is_name => letter.to_uppercase().chain(letters).collect(),
        _ => sentence.to_owned(),
    }
}
