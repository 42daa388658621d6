//! State of the dialog that frees ports: the sockets it is about, what can be done, what was done, and
//! the ports whose release is to be reported. Changes nothing itself.

use std::sync::Arc;

use crate::{
    app::{App, Effect, Key, Overlay, sockets::ListRow},
    domain::{
        Protocol, Socket, Text,
        action::{ActionChoice, EndSignal, Frees, PortAction},
        availability::may_be_unlisted,
    },
    engine::{Request, freeing::offer},
};

pub use crate::engine::{FreeNews, FreeOffer, FreeRequest, message::OfferedPort};

/// A user action in the dialog, or the one that opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FreeAction {
    /// Opens the dialog for the marked sockets, or for the selected one. Changes nothing.
    Open,
    Up,
    Down,
    /// Does what is selected.
    Perform,
    /// Copies the command that does the same.
    CopyCommand,
}

/// The dialog, and the ports that are watched after it was closed.
#[derive(Debug, Default)]
pub struct Freeing {
    /// Whether actions are refused, because of `--read-only`.
    is_read_only: bool,
    /// Number of the last request.
    number: u64,
    dialog: Option<FreeDialog>,
    /// Number of the request that does something, if its answer is pending.
    performing: Option<u64>,
    /// The ports whose release is reported.
    watched: Vec<(Protocol, u16)>,
}

/// An open dialog.
#[derive(Debug)]
pub struct FreeDialog {
    /// The selected sockets, as they were shown when it opened.
    pub sockets: Arc<[Socket]>,
    /// Number of these sockets that the list does not show, because the filter excludes them.
    pub hidden: usize,
    /// Index of the selected choice. None: the user has to choose, because no choice is known to free
    /// the port, or because something was done.
    pub selected: Option<usize>,
    /// None: the first answer has not arrived.
    pub offer: Option<FreeOffer>,
    /// Why there is no answer to the last request. None: there is one, or it is pending.
    pub failure: Option<Text>,
    /// Whether an answer is pending.
    pub is_waiting: bool,
    /// Whether a frame has shown the offer.
    is_drawn: bool,
    /// Number of choices for which the last frame had room.
    visible_choices: usize,
}

impl Freeing {
    pub(super) fn new(is_read_only: bool) -> Self {
        Self { is_read_only, ..Self::default() }
    }
}

impl FreeDialog {
    /// The selected choice.
    pub fn choice(&self) -> Option<&ActionChoice> {
        self.offer.as_ref()?.choices.get(self.selected?)
    }

    fn select(&mut self, index: usize) {
        let choices = self.offer.as_ref().map_or(0, |offer| offer.choices.len());
        self.selected = choices.checked_sub(1).map(|last| index.min(last));
    }
}

impl App {
    /// The open dialog that frees ports.
    pub fn free_dialog(&self) -> Option<&FreeDialog> {
        self.freeing.dialog.as_ref().filter(|_| self.overlay == Overlay::Free)
    }

    /// Whether an action can be chosen.
    pub fn offers_choices(&self) -> bool {
        let dialog = self.free_dialog().filter(|dialog| !dialog.is_waiting);
        let offer = dialog.and_then(|dialog| dialog.offer.as_ref());
        offer.is_some_and(|offer| !offer.choices.is_empty())
    }

    /// The selected choice of the open dialog. None: there is no dialog, or no choice yet.
    pub fn offered_choice(&self) -> Option<&ActionChoice> {
        self.free_dialog().filter(|dialog| !dialog.is_waiting)?.choice()
    }

    /// Whether `y` does what is selected: it is permitted, and actions are not refused by
    /// `--read-only`.
    pub fn may_perform(&self) -> bool {
        self.offered_choice().is_some_and(|choice| {
            let is_refused =
                self.freeing.is_read_only || choice.forecast.permission.refusal().is_some();
            choice.action == PortAction::Wait || !is_refused
        })
    }

    pub(super) fn act_on_ports(&mut self, action: FreeAction) -> Vec<Effect> {
        match action {
            FreeAction::Open => return self.open_free_dialog(),
            FreeAction::Perform => return self.perform_choice(),
            FreeAction::CopyCommand => {
                let is_choice = self.freeing.dialog.as_ref().and_then(FreeDialog::choice).is_some();
                return if is_choice { vec![Effect::Copy] } else { Vec::new() };
            }
            FreeAction::Up | FreeAction::Down => {
                if let Some(dialog) = self.choosing() {
                    dialog.select(match (action, dialog.selected) {
                        (_, None) => 0,
                        (FreeAction::Up, Some(selected)) => selected.saturating_sub(1),
                        (_, Some(selected)) => selected + 1,
                    });
                }
            }
        }
        Vec::new()
    }

    /// Selects a choice by its digit.
    pub(super) fn press_in_free_dialog(&mut self, key: Key) {
        let digit = match key {
            Key::Char(character) => character.to_digit(10).filter(|&digit| digit > 0),
            _ => None,
        };
        if let (Some(digit), Some(dialog)) = (digit, self.choosing())
            && let index = digit as usize - 1
            && dialog.offer.as_ref().is_some_and(|offer| index < offer.choices.len())
        {
            dialog.selected = Some(index);
        }
    }

    /// Selects a choice by its row.
    pub(super) fn click_in_free_dialog(&mut self, row: usize) {
        if let Some(dialog) = self.choosing() {
            dialog.select(row);
        }
    }

    fn open_free_dialog(&mut self) -> Vec<Effect> {
        let sockets = match self.sockets_to_free() {
            Ok(sockets) => sockets,
            Err(notice) => {
                self.notify(notice);
                return Vec::new();
            }
        };
        let dialog = FreeDialog {
            hidden: self.hidden_marks(),
            sockets: sockets.into(),
            selected: None,
            offer: None,
            failure: None,
            is_waiting: true,
            is_drawn: false,
            visible_choices: 0,
        };
        self.overlay = Overlay::Free;
        self.freeing.dialog = Some(dialog);
        self.ask_about_ports(None)
    }

    /// Returns the marked sockets, or the selected one. Errors: why there is none.
    fn sockets_to_free(&self) -> Result<Vec<Socket>, String> {
        let Some(scan) = self.scan() else { return Err("no scan yet".to_owned()) };
        let all = scan.snapshot.sockets.iter();
        let marked: Vec<Socket> =
            all.filter(|socket| self.sockets.is_marked(socket)).copied().collect();
        let ports = offer::ports_of(&marked).len();
        if ports > offer::MAX_PORTS {
            return Err(format!("the marked sockets are on {ports} ports: at most 64 at once"));
        }
        if !marked.is_empty() {
            return Ok(marked);
        }
        match self.selected_row() {
            Some(ListRow::Ended(_)) => Err("the socket has ended".to_owned()),
            Some(ListRow::Listed(_)) => {
                Ok(self.selected_socket().map(|(_, socket)| *socket).into_iter().collect())
            }
            None if self.socket_list().is_some_and(|list| list.groups.is_some()) => {
                Err("Enter shows the sockets of the group; x frees the port of one".to_owned())
            }
            None => Err("no socket is selected".to_owned()),
        }
    }

    /// Returns how many of the marked sockets the list does not show.
    fn hidden_marks(&self) -> usize {
        let (Some(scan), Some(list)) = (self.scan(), self.socket_list()) else { return 0 };
        let is_marked = |row: &&ListRow| match **row {
            ListRow::Listed(index) => {
                let socket = scan.snapshot.sockets.get(index as usize);
                socket.is_some_and(|socket| self.sockets.is_marked(socket))
            }
            ListRow::Ended(_) => false,
        };
        (list.marked as usize).saturating_sub(list.rows.iter().filter(is_marked).count())
    }

    fn ask_about_ports(&mut self, choice: Option<ActionChoice>) -> Vec<Effect> {
        let Some(dialog) = &mut self.freeing.dialog else { return Vec::new() };
        self.freeing.number += 1;
        (dialog.is_waiting, dialog.is_drawn, dialog.failure) = (true, false, None);
        if choice.is_some() {
            self.freeing.performing = Some(self.freeing.number);
        }
        let (number, sockets) = (self.freeing.number, dialog.sockets.clone());
        let choice = choice.map(Box::new);
        vec![Effect::Ask(Request::Free(FreeRequest { number, sockets, choice }))]
    }

    /// Does what is selected, unless it is not permitted.
    fn perform_choice(&mut self) -> Vec<Effect> {
        // What was never shown is not confirmed.
        let is_shown = |dialog: &&FreeDialog| !dialog.is_waiting && dialog.is_drawn;
        let dialog = self.freeing.dialog.as_ref().filter(is_shown);
        let is_visible =
            dialog.is_some_and(|dialog| dialog.selected < Some(dialog.visible_choices));
        let Some(choice) = dialog.and_then(FreeDialog::choice).cloned() else { return Vec::new() };
        if !is_visible {
            self.notify("the terminal is too small to show what y does");
            return Vec::new();
        }
        if choice.action == PortAction::Wait {
            self.watch_port();
            return Vec::new();
        }
        if self.freeing.is_read_only {
            self.notify("nothing is done with --read-only: c copies the command");
            return Vec::new();
        }
        if let Some(why) = choice.forecast.permission.refusal() {
            self.notify(format!("not permitted: it {why}"));
            return Vec::new();
        }
        self.ask_about_ports(Some(choice))
    }

    /// Closes the dialog and reports when the port is free.
    fn watch_port(&mut self) {
        let Some(dialog) = self.freeing.dialog.take() else { return };
        self.overlay = Overlay::None;
        let ports = offer::ports_of(&dialog.sockets);
        for &port in &ports {
            if !self.freeing.watched.contains(&port) {
                self.freeing.watched.push(port);
            }
        }
        let paused = if self.is_frozen { ", after the pause" } else { "" };
        let names: Vec<String> =
            ports.into_iter().map(|(protocol, port)| name(protocol, port)).collect();
        let names = names.join(", ");
        self.notify(format!("watching {names}: a message follows when free{paused}"));
    }

    /// Handles an answer. What was done is reported even if the dialog was closed, or opened again for
    /// other sockets.
    pub(super) fn take_offer(&mut self, number: u64, offer: Result<Box<FreeOffer>, Text>) {
        let is_of_action = self.freeing.performing == Some(number);
        if is_of_action {
            self.freeing.performing = None;
        }
        let is_shown = self.overlay == Overlay::Free && number == self.freeing.number;
        let Some(dialog) = self.freeing.dialog.as_mut().filter(|_| is_shown) else {
            if is_of_action {
                self.notify(outcome(offer));
            }
            return;
        };
        (dialog.is_waiting, dialog.is_drawn) = (false, false);
        match offer {
            Ok(offer) => {
                let is_first = dialog.offer.is_none();
                // After an action, the same position may be another one.
                dialog.selected = if is_first { first_that_frees(&offer.choices) } else { None };
                dialog.offer = Some(*offer);
            }
            Err(why) => dialog.failure = Some(why),
        }
    }

    /// Notes that a frame has been shown, with this number of choices of the dialog that frees
    /// ports.
    pub fn frame_drawn(&mut self, visible_choices: usize) {
        if let Some(dialog) = &mut self.freeing.dialog {
            dialog.is_drawn = self.overlay == Overlay::Free && dialog.offer.is_some();
            dialog.visible_choices = visible_choices;
        }
    }

    /// Forgets the dialog, which was closed.
    pub(super) fn drop_free_dialog(&mut self) {
        self.freeing.dialog = None;
    }

    /// The dialog, if an action can be chosen.
    fn choosing(&mut self) -> Option<&mut FreeDialog> {
        self.freeing.dialog.as_mut().filter(|dialog| !dialog.is_waiting)
    }

    /// Reports the watched ports that the latest snapshot shows as free.
    pub(super) fn report_freed_ports(&mut self) -> Vec<Effect> {
        let Some(scan) = &self.scan else { return Vec::new() };
        let snapshot = &scan.snapshot;
        let is_free = |&mut (protocol, port): &mut (Protocol, u16)| {
            snapshot.on_port(protocol, port).is_empty()
                && !may_be_unlisted(snapshot, protocol, port)
        };
        let freed: Vec<String> = self
            .freeing
            .watched
            .extract_if(.., is_free)
            .map(|(protocol, port)| name(protocol, port))
            .collect();
        if freed.is_empty() {
            return Vec::new();
        }
        let verb = if freed.len() == 1 { "is" } else { "are" };
        self.notify(format!("{} {verb} free", freed.join(", ")));
        vec![Effect::Ring]
    }
}

/// Returns the position of the first choice that frees the port and is permitted. SIGKILL has to be
/// chosen.
fn first_that_frees(choices: &[ActionChoice]) -> Option<usize> {
    choices.iter().position(|ActionChoice { action, forecast, .. }| {
        let is_hard = matches!(action, PortAction::End { signal: EndSignal::Kill, .. });
        forecast.frees == Frees::Yes && forecast.permission.refusal().is_none() && !is_hard
    })
}

/// Says what an action has done.
fn outcome(offer: Result<Box<FreeOffer>, Text>) -> String {
    match offer.map(|offer| offer.news) {
        Ok(FreeNews::Done { steps, .. }) => {
            steps.iter().map(Text::as_str).collect::<Vec<_>>().join("; ")
        }
        Ok(FreeNews::Changed(change)) => format!("nothing was done: {change}"),
        Ok(FreeNews::None) => "nothing was done".to_owned(),
        Err(why) => format!("nothing was done: {why}"),
    }
}

/// Names a port: `TCP 8080`.
pub fn name(protocol: Protocol, port: u16) -> String {
    format!("{} {port}", protocol.name().to_uppercase())
}
