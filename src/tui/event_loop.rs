//! The event loop: receives events, updates the app, executes its effects, draws changes. Does not
//! decide what an event does.

use std::{
    io,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use ratatui::layout::Rect;

use crate::{
    app::{App, Copied, Effect, Event, Gesture},
    engine::{Engine, Report},
    tui::{
        WriteRows,
        canvas::Canvas,
        clipboard,
        decoder::Input,
        fault::Fault,
        mailbox::LoopWake,
        pace::FramePace,
        signals::{self, Arrived},
        terminal::{self, Terminal},
        watchdog::{Ending, Exit},
    },
    view,
    view::{Theme, copied::CopiedText},
};

/// Maximum time between two updates of the durations on screen, such as the snapshot's age.
const TICK: Duration = Duration::from_secs(1);
/// Maximum number of messages handled after the first one before the next frame, so that a flood of
/// input cannot stop drawing.
const TAKEN_AT_ONCE: usize = 256;
/// How long to wait after SIGCONT for a signal that ends the program, because some senders send
/// both, such as the kernel when a terminal hangs up.
const SECOND_SIGNAL: Duration = Duration::from_millis(50);

/// BEL, U+0007.
const BELL: &[u8] = b"\x07";

/// State of the event loop.
pub struct EventLoop<'a> {
    pub app: App,
    pub theme: Theme,
    pub write_rows: WriteRows,
    pub fault: Option<Fault>,
    pub terminal: &'a Terminal,
    pub ending: &'a Ending,
    pub arrived: Arc<Arrived>,
    pub canvas: Canvas,
    pub pace: FramePace,
    /// Declared before the engine, so that it is dropped first: a worker that waits for room in the
    /// channel must be released before the engine waits for that worker.
    pub inbox: Receiver<LoopWake>,
    pub engine: Engine,
    pub started: Instant,
}

impl EventLoop<'_> {
    /// Runs until the user quits, a worker dies or `ending` is called. Errors: a canvas could not
    /// be created.
    pub fn run(&mut self) -> io::Result<Exit> {
        self.report_size();
        loop {
            self.follow_signals()?;
            self.follow_size()?;
            if self.pace.is_due(Instant::now()) {
                self.draw();
            }
            if let Some(reason) = self.ending.reason() {
                return Ok(reason);
            }
            if let Some(exit) = self.take_events() {
                return Ok(exit);
            }
        }
    }

    /// Waits for a message, and handles it and up to `TAKEN_AT_ONCE` further ones that have
    /// arrived. None: the program goes on.
    fn take_events(&mut self) -> Option<Exit> {
        let wait = self.pace.wait(Instant::now()).unwrap_or(TICK).min(TICK);
        let Ok(first) = self.inbox.recv_timeout(wait) else {
            self.schedule_frame(Duration::ZERO);
            return self.update(Event::Tick);
        };
        let mut next = Some(first);
        for _ in 0..TAKEN_AT_ONCE {
            let Some(wake) = next else { break };
            if let Some(exit) = self.take(wake) {
                return Some(exit);
            }
            next = self.inbox.try_recv().ok();
        }
        // The last `try_recv` may have returned one more message.
        next.and_then(|wake| self.take(wake))
    }

    fn take(&mut self, wake: LoopWake) -> Option<Exit> {
        match wake {
            // `Check` only wakes the loop. An answer of the terminal is late here, or was not
            // requested.
            LoopWake::Check | LoopWake::Input(Input::Background(_) | Input::Attributes) => None,
            LoopWake::Input(Input::Key(key)) => {
                self.answer();
                self.update(Event::Key(key))
            }
            LoopWake::Input(Input::Pasted(character)) => {
                self.answer();
                self.update(Event::Pasted(character))
            }
            LoopWake::Input(Input::Mouse { gesture, column, row }) => {
                self.point(gesture, column, row)
            }
            LoopWake::Report(Report::WorkerDied(_), _) => Some(Exit::Panicked),
            LoopWake::Report(report, _) => {
                let exit = self.update(Event::Report(report));
                self.schedule_frame(Duration::ZERO);
                exit
            }
        }
    }

    fn point(&mut self, gesture: Gesture, column: u16, row: u16) -> Option<Exit> {
        // Mouse reports that were sent before the mouse was turned off are ignored.
        if !self.app.has_mouse() {
            return None;
        }
        let (columns, rows) = self.canvas.size();
        let area = Rect::new(0, 0, columns, rows);
        let target = view::layout::target_at(area, &self.app, column, row);
        let before = (self.app.hover(), self.app.span());
        let exit = self.update(Event::Mouse(gesture, target));
        if !matches!(gesture, Gesture::Hover | Gesture::Drag) {
            self.answer();
        } else if before != (self.app.hover(), self.app.span()) {
            self.schedule_frame(Duration::ZERO);
        }
        exit
    }

    /// Requests a frame at once, because the user waits for it.
    fn answer(&mut self) {
        self.pace.answer(Instant::now());
    }

    /// Requests a frame after the time `after`, for a change that the user does not wait for.
    fn schedule_frame(&mut self, after: Duration) {
        self.pace.schedule_frame(Instant::now() + after, self.app.frame_gap());
    }

    fn update(&mut self, event: Event) -> Option<Exit> {
        let mut exit = None;
        for effect in self.app.update(self.started.elapsed(), event) {
            match effect {
                Effect::Ask(request) => self.engine.ask(request),
                Effect::Copy => exit = exit.or(self.copy(view::copied::text)),
                Effect::CopyRows => exit = exit.or(self.copy(view::copied::rows)),
                Effect::Ring => self.send(BELL),
                Effect::WriteRows(file) => {
                    let written = (self.write_rows)(&self.app, &file);
                    exit = exit.or(self.update(Event::Written(written)));
                }
                Effect::NextTheme => self.theme = self.theme.next(),
                Effect::Suspend => signals::ask_group_to_stop(),
                Effect::Quit => exit = Some(Exit::Quit),
            }
        }
        self.follow_mouse();
        exit
    }

    /// Turns the terminal's mouse reports on or off if the app now needs them or not.
    fn follow_mouse(&self) {
        let wanted = self.app.has_mouse();
        if wanted != self.terminal.has_mouse()
            && self.terminal.set_mouse(wanted, self.ending).is_err()
        {
            self.ending.call(Exit::TerminalGone);
        }
    }

    fn send(&self, bytes: &[u8]) {
        if self.terminal.send(bytes, self.ending).is_err() {
            self.ending.call(Exit::TerminalGone);
        }
    }

    /// Sends what is selected to the terminal's clipboard.
    fn copy(&mut self, text: fn(&App, &Theme) -> Option<CopiedText>) -> Option<Exit> {
        let copied = match text(&self.app, &self.theme) {
            None => Copied::Nothing,
            Some(CopiedText { title, text }) => {
                let (sequence, is_whole) = clipboard::sequence(&text);
                self.send(&sequence);
                Copied::Sent { title, is_whole }
            }
        };
        self.update(Event::Copied(copied))
    }

    fn draw(&mut self) {
        let Self { canvas, app, theme, .. } = self;
        let began = Instant::now();
        let drawn =
            canvas.draw(self.terminal, self.ending, |frame| view::render(app, theme, frame));
        match drawn {
            Ok(writing) => {
                self.pace.drawn(began, Instant::now(), writing);
                self.app.frame_drawn(view::visible_choices(&self.app));
            }
            Err(_) => self.ending.call(Exit::TerminalGone),
        }
        if let Some(after) = self.app.redraw_after() {
            self.schedule_frame(after);
        }
        assert!(self.fault != Some(Fault::PanicMain), "asked for by --fault panic-main");
    }

    fn follow_signals(&mut self) -> io::Result<()> {
        let stop = signals::take(&self.arrived.stop);
        if stop {
            self.terminal.give_back();
            signals::stop_process();
        }
        if signals::take(&self.arrived.continued) || stop {
            self.resume()?;
        }
        Ok(())
    }

    /// Continues after `fg`, or after SIGCONT from any process.
    fn resume(&mut self) -> io::Result<()> {
        if !terminal::is_in_foreground() && !self.ending.is_called_within(SECOND_SIGNAL) {
            // The process was continued with `bg`. A full-screen program has nothing to do in the
            // background, so it stops again.
            signals::stop_process();
        }
        if !self.ending.is_called() {
            // Fails if the terminal hung up: the kernel sends SIGCONT after SIGHUP.
            if self.terminal.take().is_err() {
                self.ending.call(Exit::TerminalGone);
                return Ok(());
            }
            self.canvas = Canvas::new(self.canvas.size())?;
            self.answer();
        }
        Ok(())
    }

    fn follow_size(&mut self) -> io::Result<()> {
        // If the terminal is gone, it has no size, and the watchdog ends the program.
        let size = self.terminal.size().unwrap_or(self.canvas.size());
        if signals::take(&self.arrived.resized) || size != self.canvas.size() {
            self.canvas = Canvas::new(size)?;
            self.report_size();
            self.answer();
        }
        Ok(())
    }

    fn report_size(&mut self) {
        let (columns, rows) = self.canvas.size();
        self.update(Event::Resized { columns, rows });
    }
}
