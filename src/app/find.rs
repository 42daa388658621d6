//! Looks for the port or process that the command line or the prompt names, and moves the map's
//! cursor to it. Does not parse the text.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    app::{App, Effect, Focus, Key, Lens, Move, Overlay, Screen},
    domain::{
        Analysis, Destination, Endpoint, ProcessTable, Protocol, Snapshot, State, Text,
        socket::canonical,
    },
};

/// The port or process that the command line or the prompt names. The cursor moves to it once it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    Port(u16),
    /// The local port of a socket with this local endpoint, or else the destination with this
    /// remote endpoint.
    Endpoint(Endpoint),
    /// A process name: the lowest local port of all processes that it means, see
    /// `ProcessTable::pids_named`.
    Process(String),
    Pid(u32),
}

/// Parses the text of the prompt, as the command line does with its argument. Errors: a sentence
/// that says what is expected.
pub type FindParser = fn(&str) -> Result<Find, String>;

/// The processes that were found, until the cursor is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundProcesses {
    /// Ascending, at least one.
    pub pids: Vec<u32>,
    /// The local ports of their sockets, ascending, at least one.
    pub ports: Vec<u16>,
}

/// The list of names nearest to the one on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameChoice {
    /// The most similar first, at least one.
    pub names: Vec<Text>,
    /// Index of the selected name.
    pub selected: usize,
}

impl NameChoice {
    pub(super) fn go(&mut self, movement: Move) {
        self.select(match movement {
            Move::Up => self.selected.saturating_sub(1),
            _ => self.selected + 1,
        });
    }

    pub(super) fn select(&mut self, row: usize) {
        self.selected = row.min(self.names.len() - 1);
    }
}

/// Maximum length of what is searched for in the prompt, in characters.
const MAX_TYPED: usize = 64;
/// Maximum length of the name of a file in the prompt, in characters.
const MAX_NAME: usize = 255;

impl App {
    pub(super) fn type_into_prompt(&mut self, key: Key) {
        let (typed, most) = match &mut self.overlay {
            Overlay::GoTo(typed) => (typed, MAX_TYPED),
            Overlay::WriteRows(name) => (name, MAX_NAME),
            _ => return,
        };
        match key {
            Key::Char(c) if !c.is_control() && typed.chars().count() < most => typed.push(c),
            Key::Ctrl('u') => typed.clear(),
            Key::Backspace => {
                typed.pop();
            }
            _ => {}
        }
    }

    /// Shows the map with the cursor on what was typed. Text that cannot be parsed stays in the
    /// prompt.
    pub(super) fn find_typed(&mut self) -> Vec<Effect> {
        let Overlay::GoTo(typed) = &self.overlay else { return Vec::new() };
        let typed = typed.trim();
        let parsed = if typed.is_empty() { None } else { Some((self.parse_find)(typed)) };
        match parsed.transpose() {
            Ok(find) => {
                self.overlay = Overlay::None;
                let Some(find) = find else { return Vec::new() };
                let effects = self.show(Screen::Map);
                self.were_names_offered = false;
                self.find = Some(find);
                self.select_found();
                effects
            }
            Err(message) => {
                self.notify(message);
                Vec::new()
            }
        }
    }

    /// What the command line names, as long as it was not found. None: it was found, the command
    /// line names a port or nothing, the processes are not known yet, or the cursor was moved.
    pub fn not_found(&self) -> Option<&Find> {
        match &self.find {
            Some(find @ (Find::Process(_) | Find::Pid(_))) if !self.processes.is_empty() => {
                Some(find)
            }
            Some(find @ Find::Endpoint(_)) if self.scan.is_some() => Some(find),
            _ => None,
        }
    }

    /// The processes that the command line names. None: they were not found or have one port only,
    /// the command line names none, or the cursor was moved.
    pub fn found(&self) -> Option<&FoundProcesses> {
        self.found.as_ref()
    }

    /// Moves the cursor to what the command line names, if it is found.
    pub(super) fn select_found(&mut self) {
        let Some(scan) = &self.scan else { return };
        match self.find.clone() {
            None => self.refresh_found(),
            Some(Find::Port(port)) => self.go_to(port),
            Some(Find::Endpoint(endpoint)) => {
                let place = place_of(endpoint, &scan.snapshot, &scan.analysis);
                self.show_place(endpoint, place);
            }
            Some(Find::Process(name)) => {
                let pids = self.processes.pids_named(&name);
                let found = FoundProcesses::of(pids, &scan.snapshot);
                if found.is_none() {
                    self.offer_names(&name);
                }
                self.show_processes(found);
            }
            Some(Find::Pid(pid)) => {
                self.show_processes(FoundProcesses::of(vec![pid], &scan.snapshot));
            }
        }
    }

    fn show_place(&mut self, endpoint: Endpoint, place: Option<EndpointPlace>) {
        match place {
            Some(EndpointPlace::Local) => self.go_to(endpoint.port),
            Some(EndpointPlace::Destination(destination, port)) => {
                self.set_lens(Lens::Connect);
                self.map.focus = Some(Focus::Destination(destination));
                self.go_to(port);
            }
            // The port is shown, and the endpoint is looked for in the next scans.
            None if self.map.cursor != endpoint.port => {
                self.go_to(endpoint.port);
                self.find = Some(Find::Endpoint(endpoint));
            }
            None => {}
        }
    }

    fn show_processes(&mut self, found: Option<FoundProcesses>) {
        let Some(found) = found else { return };
        let Some(&first) = found.ports.first() else { return };
        if matches!(self.overlay, Overlay::Names(_)) {
            self.overlay = Overlay::None;
        }
        self.go_to(first);
        self.found = Some(found).filter(|found| found.ports.len() > 1);
    }

    /// Opens the list of names nearest to this one, if there are any and it was not open before.
    /// Updates the open list, because processes become known one after another.
    fn offer_names(&mut self, typed: &str) {
        let may_open = matches!(self.overlay, Overlay::None)
            && self.screen == Screen::Map
            && !self.were_names_offered;
        let is_open = matches!(self.overlay, Overlay::Names(_));
        if !(may_open || is_open) || Arc::ptr_eq(&self.names_of, &self.processes) {
            return;
        }
        self.names_of = Arc::clone(&self.processes);
        let names: Vec<Text> = self.processes.nearest_names(typed).into_iter().cloned().collect();
        if names.is_empty() {
            return;
        }
        let selected = match &self.overlay {
            Overlay::Names(NameChoice { names: before, selected }) => {
                names.iter().position(|name| *name == before[*selected]).unwrap_or_default()
            }
            _ => 0,
        };
        self.were_names_offered = true;
        self.overlay = Overlay::Names(NameChoice { names, selected });
    }

    /// Looks for the selected name in place of the one on the command line.
    pub(super) fn choose_name(&mut self) {
        if let Overlay::Names(choice) = std::mem::take(&mut self.overlay) {
            let name = choice.names.get(choice.selected);
            self.find = name.map(|name| Find::Process(name.to_string()));
            self.select_found();
        }
    }

    /// Looks again for the ports of the processes that were found.
    fn refresh_found(&mut self) {
        let Some((scan, found)) = self.scan.as_ref().zip(self.found.take()) else { return };
        self.found = FoundProcesses::of(found.pids, &scan.snapshot);
    }

    /// Stops looking for what the command line names, because the cursor was moved.
    pub(super) fn forget_find(&mut self) {
        (self.find, self.found) = (None, None);
    }
}

impl FoundProcesses {
    /// Returns those of the processes that have a socket, and its ports. None: none of them has
    /// one.
    fn of(pids: Vec<u32>, snapshot: &Snapshot) -> Option<Self> {
        let wanted: BTreeSet<u32> = pids.into_iter().collect();
        let (mut pids, mut ports) = (BTreeSet::new(), BTreeSet::new());
        for socket in &snapshot.sockets {
            let owners = snapshot.owner(socket).pids();
            for &pid in owners.iter().filter(|pid| wanted.contains(pid)) {
                pids.insert(pid);
                ports.insert(socket.local.port);
            }
        }
        let found = Self { pids: pids.into_iter().collect(), ports: ports.into_iter().collect() };
        (!found.ports.is_empty()).then_some(found)
    }

    /// Names the processes: `nginx[812]`, or `nginx, 5 processes`.
    pub fn words(&self, processes: &ProcessTable) -> String {
        if let [pid] = self.pids[..] {
            return processes.named(pid).to_string();
        }
        let described = self.pids.iter().filter_map(|&pid| processes.get(pid));
        let distinct: BTreeSet<&str> = described.map(|process| process.name.as_str()).collect();
        let names: Vec<&str> = distinct.into_iter().collect();
        format!("{}, {} processes", names.join(" and "), self.pids.len())
    }
}

/// Where the map shows an endpoint.
#[derive(Clone, Copy)]
enum EndpointPlace {
    /// On its own port.
    Local,
    /// On the ports of connections to it, of which this is one.
    Destination(Destination, u16),
}

/// Returns the place of an endpoint: a socket has it as its local endpoint, or connections lead to
/// it, or a socket on all addresses uses its port.
fn place_of(endpoint: Endpoint, snapshot: &Snapshot, analysis: &Analysis) -> Option<EndpointPlace> {
    let address = canonical(endpoint.address);
    let local = || {
        Protocol::EACH.into_iter().flat_map(|protocol| snapshot.on_port(protocol, endpoint.port))
    };
    if local().any(|socket| canonical(socket.local.address) == address) {
        return Some(EndpointPlace::Local);
    }
    let remote = Endpoint { address, port: endpoint.port };
    let mut rows = analysis.destinations.iter().map(|row| row.destination);
    if let Some(destination) = rows.find(|destination| destination.remote == remote) {
        let port = Focus::Destination(destination).first_port(snapshot)?;
        return Some(EndpointPlace::Destination(destination, port));
    }
    let is_wildcard = |state| matches!(state, State::Listen | State::Unconnected | State::Bound);
    local()
        .any(|socket| is_wildcard(socket.state) && socket.local.address.is_unspecified())
        .then_some(EndpointPlace::Local)
}
