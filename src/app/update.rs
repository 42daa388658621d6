//! Handles events: updates the app and returns what the event loop must do.

use std::{cell::OnceCell, sync::Arc, time::Duration};

use crate::{
    app::{
        Action, App, Context, Copied, Effect, Event, Extent, Focus, Gesture, Key, LatestScan, Lens,
        Map, Move, Notice, OpenFinding, OpenHelp, Overlay, PointerTarget, PortSelection, Screen,
        Size,
        allocation::AllocationAction,
        command,
        lens::{Categories, CategoryInput, LensCounts, Marks, OwnerRanks, automatic_gauge},
        map::{self, MoveTarget, Zooming},
        overview::{OverviewRow, headline::Headline},
        pool::{PoolAction, PoolInput},
        settings::{PROTOCOLS, cycle},
    },
    domain::{
        Diagnosis, Drain, Level, Occupancy, PortRange, ProtocolFamily, Snapshot, diagnosis::About,
    },
    engine::{Report, Request},
};

/// Which run of occupied ports the cursor moves to.
#[derive(Clone, Copy)]
enum RunDirection {
    Next,
    Previous,
}

impl App {
    /// Handles an event. `at` is the time since the program's start.
    pub fn update(&mut self, at: Duration, event: Event) -> Vec<Effect> {
        self.now = self.now.max(at);
        let effects = self.handle(event);
        if !self.has_mouse() {
            self.hover = None;
        }
        effects
    }

    fn handle(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) => {
                self.notice = None;
                self.press(key)
            }
            Event::Pasted(character) => {
                self.paste(character);
                Vec::new()
            }
            Event::Mouse(gesture, target) => self.point(gesture, target),
            Event::Resized { columns, rows } => {
                self.size = Size { columns, rows };
                self.sockets.forget_rows();
                self.hover = None;
                self.map.follow_cursor(self.ephemeral(), self.size);
                self.recount();
                Vec::new()
            }
            Event::Report(report) => self.receive(report),
            Event::Copied(copied) => {
                let text = match copied {
                    Copied::Nothing => "nothing is selected".to_owned(),
                    Copied::Sent { title, is_whole: true } => {
                        format!("sent to the terminal's clipboard: {title}")
                    }
                    Copied::Sent { title, is_whole: false } => {
                        format!("sent to the terminal's clipboard: the first lines of {title}")
                    }
                };
                self.notify(text);
                Vec::new()
            }
            Event::Written(Ok(text) | Err(text)) => {
                self.notify(text);
                Vec::new()
            }
            Event::Tick => {
                if !self.is_frozen {
                    self.sockets.expire(self.now);
                }
                Vec::new()
            }
        }
    }

    fn press(&mut self, key: Key) -> Vec<Effect> {
        if let Some(action) = command::find(self.context(), key) {
            return self.act(action);
        }
        match self.overlay {
            Overlay::None => return (self.screen.row().press)(self, key),
            Overlay::GoTo(_) | Overlay::WriteRows(_) => self.type_into_prompt(key),
            Overlay::Free => self.press_in_free_dialog(key),
            _ => {}
        }
        Vec::new()
    }

    fn paste(&mut self, character: char) {
        match self.context() {
            Context::GoTo | Context::WriteRows => self.type_into_prompt(Key::Char(character)),
            Context::Panel | Context::Filter => (self.screen.row().paste)(self, character),
            _ => {}
        }
    }

    fn point(&mut self, gesture: Gesture, target: Option<PointerTarget>) -> Vec<Effect> {
        let ports = match target {
            Some(PointerTarget::Row(row)) => {
                return match gesture {
                    Gesture::Press => self.click(row),
                    // In the filter line, the keys go through the history.
                    Gesture::WheelUp if self.context() == Context::Filter => {
                        self.go(Move::Up);
                        Vec::new()
                    }
                    Gesture::WheelDown if self.context() == Context::Filter => {
                        self.go(Move::Down);
                        Vec::new()
                    }
                    Gesture::WheelUp => self.press(Key::Up),
                    Gesture::WheelDown => self.press(Key::Down),
                    _ => Vec::new(),
                };
            }
            _ if self.overlay != Overlay::None => None,
            Some(PointerTarget::Screen(screen)) if gesture == Gesture::Press => {
                return self.show(screen);
            }
            Some(PointerTarget::Key(key)) if gesture == Gesture::Press => return self.press(key),
            Some(PointerTarget::Column(column)) if gesture == Gesture::Press => {
                (self.screen.row().click_title)(self, column);
                None
            }
            Some(PointerTarget::Ports(ports)) if self.screen == Screen::Map => Some(ports),
            _ => None,
        };
        match (gesture, ports) {
            (Gesture::Hover, hover) => self.hover = hover,
            (Gesture::Press, Some(block)) => {
                self.enter(block);
                self.span = Some(PortSelection { ports: block, anchor: block });
            }
            (Gesture::Drag, Some(block)) => self.stretch_span(block),
            (Gesture::Release, _) => {
                // A click without a drag selects no ports.
                self.span = self.span.filter(|span| span.ports != span.anchor);
            }
            (Gesture::WheelUp, Some(block)) => self.zoom_at(block, Zooming::In),
            (Gesture::WheelDown, Some(block)) => self.zoom_at(block, Zooming::Out),
            _ => {}
        }
        Vec::new()
    }

    /// Handles a click on a row of the open list or panel, or of the pool.
    fn click(&mut self, row: usize) -> Vec<Effect> {
        if let Overlay::Names(choice) = &mut self.overlay {
            choice.select(row);
            self.choose_name();
        } else if self.overlay == Overlay::Free {
            self.click_in_free_dialog(row);
        } else {
            (self.screen.row().click)(self, row);
        }
        Vec::new()
    }

    fn stretch_span(&mut self, block: PortRange) {
        let Some(PortSelection { anchor, .. }) = self.span else { return };
        let (first, last) = (anchor.first().min(block.first()), anchor.last().max(block.last()));
        if let Ok(ports) = PortRange::new(first, last) {
            self.span = Some(PortSelection { ports, anchor });
        }
    }

    fn zoom_at(&mut self, block: PortRange, zooming: Zooming) {
        if !block.contains(self.map.cursor) {
            self.enter(block);
        }
        self.zoom(zooming);
    }

    fn zoom(&mut self, zooming: Zooming) {
        (self.hover, self.span) = (None, None);
        self.map.zoom(zooming, self.ephemeral(), self.size);
        self.recount();
    }

    fn act(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Show(screen) => return self.show(screen),
            Action::NextScreen => return self.show(cycle(&Screen::EACH, self.screen, 1)),
            Action::PreviousScreen => return self.show(cycle(&Screen::EACH, self.screen, -1)),
            Action::Move(movement) => self.go(movement),
            Action::FitEphemeral => self.fit(Extent::Ephemeral),
            Action::FitAll => self.fit(Extent::All),
            Action::OpenGoTo => self.overlay = Overlay::GoTo(String::new()),
            Action::GoTo => return self.find_typed(),
            Action::NextLens => self.set_lens(self.map.lens.after(1)),
            Action::PreviousLens => self.set_lens(self.map.lens.after(-1)),
            Action::NextProtocols => {
                self.map.protocols = cycle(&PROTOCOLS, self.map.protocols, -1);
                self.recount();
            }
            Action::ScrollInspector(by) => {
                self.inspector_page = (self.inspected(), self.inspector_page() + by);
            }
            Action::ToggleFreeze => {
                self.is_frozen = !self.is_frozen;
                return vec![Effect::Ask(Request::Freeze(self.is_frozen))];
            }
            Action::ScanNow => return vec![Effect::Ask(Request::ScanNow)],
            Action::Allocation(action) => return self.allocate(action),
            Action::Pool(action) => return self.lease(action),
            Action::Lab(action) => {
                return self.lab.act(action, self.scan.as_ref().map(LatestScan::last));
            }
            Action::Sockets(action) => return self.act_on_sockets(action),
            Action::Free(action) => return self.act_on_ports(action),
            Action::ShowOnMap => match &self.overlay {
                Overlay::Finding(open) => self.show_about(open.key.1),
                _ => return (self.screen.row().show_on_map)(self),
            },
            Action::OpenRow => return self.open_row(),
            Action::OpenReason => self.open_reason(),
            Action::ChooseName => self.choose_name(),
            Action::Zoom(zooming) => self.zoom(zooming),
            Action::ToggleResolution => self.toggle_resolution(),
            Action::NextRun => self.go_to_run(RunDirection::Next),
            Action::PreviousRun => self.go_to_run(RunDirection::Previous),
            Action::Copy => return vec![Effect::Copy],
            Action::NextTheme => return vec![Effect::NextTheme],
            Action::ToggleMouse => {
                self.is_mouse_on = !self.is_mouse_on;
                (self.hover, self.span) = (None, None);
            }
            Action::OpenHelp => {
                let help = Overlay::Help(OpenHelp::default());
                self.below_help = std::mem::replace(&mut self.overlay, help);
            }
            Action::TurnPage(by) => {
                if let Overlay::Help(help) = &mut self.overlay {
                    help.turn(by);
                }
            }
            Action::Close => return self.close(),
            Action::Suspend => return vec![Effect::Suspend],
            Action::Quit => return vec![Effect::Quit],
        }
        Vec::new()
    }

    fn allocate(&mut self, action: AllocationAction) -> Vec<Effect> {
        let scan = self.scan.as_ref().map(LatestScan::last);
        let mut effects = self.allocation.act(action, scan);
        effects.extend(self.pool.sync_pool(PoolInput { allocation: &self.allocation, scan }));
        effects
    }

    pub(super) fn notify(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), since: self.now });
    }

    fn toggle_resolution(&mut self) {
        if self.may_toggle_resolution() {
            (self.hover, self.span) = (None, None);
            self.map.toggle_resolution(self.ephemeral(), self.size);
            self.recount();
        } else {
            self.notify("each cell shows one port already");
        }
    }

    /// Handles a pool action. Switching between pool and runs pauses the run.
    pub(super) fn lease(&mut self, action: PoolAction) -> Vec<Effect> {
        let mut effects = match action {
            PoolAction::Toggle => self.allocation.leave(),
            _ => Vec::new(),
        };
        let terms = PoolInput {
            allocation: &self.allocation,
            scan: self.scan.as_ref().map(LatestScan::last),
        };
        effects.extend(self.pool.act(action, terms));
        effects
    }

    /// Closes the first open item of this list: overlay, ports selected with the mouse, what the
    /// screen has open (race, pool, inspector, group, marks, filter), map that was opened from another
    /// screen, focus.
    fn close(&mut self) -> Vec<Effect> {
        let below = std::mem::take(&mut self.below_help);
        let closed = std::mem::replace(&mut self.overlay, below);
        if closed == Overlay::Free {
            self.drop_free_dialog();
        }
        if closed != Overlay::None || self.span.take().is_some() {
            return Vec::new();
        }
        if let Some(effects) = (self.screen.row().close)(self) {
            return effects;
        }
        if let Some((screen, lens)) = self.visited_from.take() {
            self.set_lens(lens);
            return self.show(screen);
        }
        if self.map.focus.take().is_some() {
            self.recount_lens();
        }
        Vec::new()
    }

    /// Moves the position on the page of a finding if one is open, or else on the screen.
    fn go(&mut self, movement: Move) {
        let first = self.finding_page(self.size).map(|(_, page)| page.after(movement));
        match &mut self.overlay {
            Overlay::Finding(open) => open.first = first.unwrap_or_default(),
            Overlay::Names(choice) => choice.go(movement),
            Overlay::Help(help) => help.go(movement),
            _ => (self.screen.row().go)(self, movement),
        }
    }

    /// Opens the selected finding of the Overview in full, or shows the selected row of another list
    /// on the map.
    fn open_row(&mut self) -> Vec<Effect> {
        let selected = self.scan.as_ref().and_then(|scan| self.overview.selected(scan));
        match selected.map(|selected| selected.row) {
            Some(OverviewRow::Finding(rule, about)) => {
                self.open_finding((rule, about));
                Vec::new()
            }
            _ => (self.screen.row().show_on_map)(self),
        }
    }

    fn open_reason(&mut self) {
        match self.reason().map(|finding| (finding.rule, finding.about)) {
            Some(key) => self.open_finding(key),
            None => self.notify("no finding"),
        }
    }

    fn open_finding(&mut self, key: (&'static str, About)) {
        self.overlay = Overlay::Finding(OpenFinding { key, first: 0 });
    }

    /// Shows on the map what the selected row of the Overview is about.
    pub(super) fn show_selected(&mut self) {
        let Some(scan) = &self.scan else { return };
        let Some(selected) = self.overview.selected(scan) else { return };
        self.show_about(match selected.row {
            OverviewRow::Destination(destination) => About::Destination(destination),
            OverviewRow::Owner(owner_key) => About::Owner(owner_key),
            OverviewRow::Listener(key) => About::Port(key.protocol, key.port),
            OverviewRow::Finding(_, about) => about,
        });
    }

    fn show_about(&mut self, about: About) {
        let Some(scan) = &self.scan else { return };
        let (focus, port) = match about {
            About::Destination(destination) => (Some(Focus::Destination(destination)), None),
            About::Owner(owner_key) => (Some(Focus::OwnerKey(owner_key)), None),
            About::Port(_, port) => (None, Some(port)),
            About::Range(_) => (None, Some(scan.snapshot.ephemeral.range.first())),
            About::Machine => {
                self.notify("this finding is about the machine, not about ports on the map");
                return;
            }
        };
        let port = port.or_else(|| focus?.first_port(&scan.snapshot));
        let before = self.map.lens;
        self.set_lens(focus.map_or(Lens::State, Focus::lens));
        self.map.focus = focus;
        self.overlay = Overlay::None;
        self.screen = Screen::Map;
        self.visited_from = Some((Screen::Overview, before));
        match port {
            Some(port) => self.go_to(port),
            None => self.recount_lens(),
        }
    }

    /// Moves the cursor to the next or previous run of occupied ports; stays if there is none.
    fn go_to_run(&mut self, run: RunDirection) {
        let Some(scan) = &self.scan else { return };
        let is_occupied = |port| scan.occupancy.port(port).is_occupied(self.map.protocols);
        let shown = self.map.range(self.ephemeral());
        let starts_run =
            |port: u16| is_occupied(port) && (port == shown.first() || !is_occupied(port - 1));
        let cursor = self.map.cursor;
        let found = match run {
            RunDirection::Next => (cursor..=shown.last()).skip(1).find(|&port| starts_run(port)),
            RunDirection::Previous => (shown.first()..cursor).rev().find(|&port| starts_run(port)),
        };
        if let Some(port) = found {
            self.forget_find();
            self.hover = None;
            self.map.cursor = port;
            self.follow_cursor();
        }
    }

    fn receive(&mut self, report: Report) -> Vec<Effect> {
        match report {
            Report::Scanned(snapshot) => return self.take(snapshot),
            Report::ScanFailed(why) => self.failure = Some(why),
            Report::Described(processes) => {
                self.processes = processes;
                self.inspected_port.take();
                self.sockets.forget_rows();
                self.recount_lens();
                self.diagnose();
                self.select_found();
            }
            Report::Free { number, offer } => self.take_offer(number, offer),
            Report::Allocation(delta) => {
                let scan = self.scan.as_ref().map(LatestScan::last);
                return self.allocation.apply(self.now, *delta, scan);
            }
            Report::Simulated(snapshot) => self.allocation.set_simulated(snapshot),
            Report::AllocationFailed(why) => self.allocation.fail(why),
            Report::Lab(report) => self.lab.take(report),
            Report::LabFailed(why) => self.lab.fail(why),
            Report::Pool(report) => self.pool.take_report(self.now, report),
            Report::PoolFailed(why) => self.pool.fail(why),
            Report::Race(race) => self.lab.take_race(*race),
            Report::WorkerDied(_) => return vec![Effect::Quit],
        }
        Vec::new()
    }

    /// Stores a new snapshot and everything counted from it. Ignores one that is not newer than the
    /// last.
    fn take(&mut self, snapshot: Arc<Snapshot>) -> Vec<Effect> {
        if self.scan.as_ref().is_some_and(|scan| scan.snapshot.number >= snapshot.number) {
            return Vec::new();
        }
        let is_first = self.scan.is_none();
        let occupancy = Occupancy::count(&snapshot);
        let analysis = self.monitor.observe(&snapshot);
        self.compare_sockets(&snapshot);
        let scan = LatestScan {
            gauges: ProtocolFamily::EACH
                .map(|family| automatic_gauge(&occupancy, family, &snapshot.ephemeral)),
            occupancy,
            lens_counts: LensCounts::default(),
            owners: OwnerRanks::default(),
            categories: Categories::default(),
            marks: None,
            listeners: self.listener_rates.observe(&snapshot, self.monitor.history()),
            sources: analysis.sources(),
            drain: Drain::of(&snapshot, None),
            analysis,
            diagnosis: Diagnosis::default(),
            remote_ports: OnceCell::new(),
            arrived: self.now,
            snapshot,
        };
        self.listener_series.observe(self.now, &scan.listeners);
        self.allocation.observe(scan.last());
        let mut effects = Vec::new();
        if is_first {
            let last = Some(scan.last());
            effects.extend(self.lab.observe(scan.last()));
            effects
                .extend(self.pool.observe(PoolInput { allocation: &self.allocation, scan: last }));
        }
        self.scan = Some(scan);
        self.inspected_port.take();
        self.failure = None;
        if is_first && self.map.extent == Extent::Ephemeral {
            self.map.cursor = self.ephemeral().first();
        }
        self.map.keep_cursor_inside(self.ephemeral());
        self.select_found();
        self.recount();
        self.diagnose();
        effects.extend(self.report_freed_ports());
        if self.is_short_of_ports() {
            effects.push(Effect::Ask(Request::ScanSoon));
        }
        effects
    }

    /// Whether few or no ports are left. Then scans are more frequent, because a second may contain
    /// failures that no scan sees.
    fn is_short_of_ports(&self) -> bool {
        self.headline.is_some_and(|headline| headline.subject_status.level >= Level::Exhausting)
    }

    /// Runs the diagnosis, after each snapshot and whenever more is known about its processes.
    fn diagnose(&mut self) {
        let thresholds = self.thresholds();
        let Some(scan) = &mut self.scan else { return };
        let LatestScan { snapshot, analysis, .. } = &*scan;
        scan.diagnosis = self.monitor.diagnose(snapshot, analysis, &self.processes, thresholds);
        self.headline = Some(Headline::after(
            self.headline.as_ref(),
            self.now,
            scan,
            self.monitor.trends(),
            thresholds,
        ));
        let is_bad = self.headline.is_some_and(|headline| headline.is_bad);
        self.overview.follow(scan, is_bad);
    }

    pub(super) fn show(&mut self, screen: Screen) -> Vec<Effect> {
        self.visited_from = None;
        let left = std::mem::replace(&mut self.screen, screen);
        if screen == left {
            return Vec::new();
        }
        let effects = (left.row().leave)(self);
        if screen == Screen::Map && self.map.focus == Some(Focus::Filter) {
            // The filter may have changed since the map was shown.
            self.recount_lens();
        }
        effects
    }

    pub(super) fn show_port(&mut self, port: Option<u16>) -> Vec<Effect> {
        let Some(port) = port else { return Vec::new() };
        self.go_to(port);
        self.show(Screen::Map)
    }

    pub(super) fn move_cursor(&mut self, movement: Move) {
        self.forget_find();
        let Some(grid) = self.grid(self.size) else { return };
        match map::destination(&grid, self.map.range(self.ephemeral()), self.map.cursor, movement) {
            Some(MoveTarget::Port(port)) => {
                self.hover = None;
                self.map.cursor = port;
                self.follow_cursor();
            }
            Some(MoveTarget::Block(block)) => self.enter(block),
            None => {}
        }
    }

    fn enter(&mut self, block: PortRange) {
        self.forget_find();
        self.hover = None;
        self.map.cursor = self.port_of_shown_class(block);
        self.follow_cursor();
    }

    /// Scrolls to the cursor. Counts again if the map then shows other ports.
    fn follow_cursor(&mut self) {
        let shown = self.shown();
        self.map.follow_cursor(self.ephemeral(), self.size);
        if self.shown() != shown {
            self.recount();
        }
    }

    pub(super) fn go_to(&mut self, port: u16) {
        self.forget_find();
        self.hover = None;
        self.map.go_to(port, self.ephemeral());
        self.map.follow_cursor(self.ephemeral(), self.size);
        self.recount();
    }

    fn fit(&mut self, extent: Extent) {
        self.map.show(extent, self.ephemeral());
        self.recount();
    }

    /// Changes the lens and clears the focus.
    pub(super) fn set_lens(&mut self, lens: Lens) {
        self.visited_from = None;
        self.map.focus = None;
        self.map.lens = lens;
        self.recount_lens();
    }

    /// Counts again after the ports, protocols or lens of the map have changed.
    fn recount(&mut self) {
        let lens_counts = self.lens_counts(self.shown());
        if let Some(scan) = &mut self.scan {
            scan.lens_counts = lens_counts;
        }
        self.recount_lens();
    }

    /// Counts again the values that depend on the lens: categories, marks and owners.
    fn recount_lens(&mut self) {
        let (range, grid) = (self.shown(), self.grid(self.size));
        let Map { lens, focus, protocols, .. } = self.map;
        let filtered = (focus == Some(Focus::Filter)).then(|| self.filtered_ports());
        let Some(scan) = &mut self.scan else { return };
        let LatestScan { snapshot, occupancy, analysis, categories, marks, owners, .. } = scan;
        let input = CategoryInput {
            range,
            grid: grid.as_ref(),
            protocols,
            snapshot,
            occupancy,
            history: self.monitor.history(),
            analysis,
            destination: match focus {
                Some(Focus::Destination(destination)) => Some(destination),
                _ => analysis.destinations.first().map(|row| row.destination),
            },
        };
        *categories = Categories::count(lens, input);
        *marks = match (lens, focus) {
            (Lens::Owner, Some(focus)) => {
                let ports = filtered.unwrap_or_else(|| focus.ports(snapshot));
                Some(Marks::count(ports, range, protocols, occupancy))
            }
            _ => None,
        };
        *owners = match lens {
            Lens::Owner => OwnerRanks::count(range, protocols, snapshot, &self.processes),
            _ => OwnerRanks::default(),
        };
    }
}
