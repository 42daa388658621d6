//! Passes events and effects between the terminal, the app and the engine. Does not decide what an
//! event does.

mod canvas;
mod clipboard;
mod decoder;
pub mod encoder;
mod event_loop;
pub mod fault;
mod input;
mod mailbox;
mod pace;
mod question;
mod signals;
pub mod terminal;
mod watchdog;

pub use fault::Fault;
pub use terminal::refuse_reason;
pub use watchdog::Exit;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    app::{self, App, sockets::RowsFile},
    engine::Engine,
    host::{Host, descriptors},
    view::theme::{Background, Contrast, Depth, Theme},
};

use self::{
    canvas::Canvas,
    event_loop::EventLoop,
    fault::FaultyHost,
    mailbox::{LoopOutbox, LoopWake},
    pace::FramePace,
    question::TerminalAnswer,
    signals::Arrived,
    terminal::{Terminal, TerminalGuard},
    watchdog::Ending,
};

/// Writes the rows of the Sockets screen to a file. Returns what was written, or why nothing was.
pub type WriteRows = fn(&App, &RowsFile) -> Result<String, String>;

/// Options of the terminal program from the command line.
pub struct TuiOptions {
    /// Minimum time between the starts of two scans.
    pub interval: Duration,
    pub color: Depth,
    /// None: the terminal is asked for its background colour.
    pub background: Option<Background>,
    pub contrast: Contrast,
    pub ascii: bool,
    pub app: app::AppOptions,
    pub write_rows: WriteRows,
    pub fault: Option<Fault>,
}

/// The terminal could not be used, or a thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not run the terminal program: {0}")]
pub struct TuiError(#[from] io::Error);

/// Runs until the user quits, a signal ends the program, a thread panics or the terminal is gone.
/// Call `refuse_reason` first.
pub fn run(host: Arc<dyn Host>, options: TuiOptions) -> Result<Exit, TuiError> {
    let host = match options.fault {
        Some(Fault::PanicWorker) => Arc::new(FaultyHost(host)),
        _ => host,
    };
    descriptors::raise_limit();

    let app = App::new(options.app);
    let terminal = Arc::new(Terminal::open(app.has_mouse())?);
    let ending = Arc::new(Ending::new()?);
    let arrived = Arc::<Arrived>::default();
    let (to_loop, inbox) = mailbox::channel();

    watchdog::watch(terminal.clone(), ending.clone())?;
    let wake_sender = to_loop.clone();
    let wake_loop = move || drop(wake_sender.try_send(LoopWake::Check));
    terminal::restore_on_panic(terminal.clone(), ending.clone(), wake_loop.clone());
    terminal::restore_at_fault(terminal.clone());
    signals::watch(arrived.clone(), ending.clone(), wake_loop)?;

    let taken = TerminalGuard(&terminal);
    terminal.take()?;
    // The engine starts before the terminal is asked, so that the first scan does not wait for the
    // answer.
    let outbox = || Box::new(LoopOutbox::new(to_loop.clone())) as Box<_>;
    let engine = Engine::start(host, options.interval, outbox)?;
    let TerminalAnswer { background, typed, decoder } = match options.background {
        known @ Some(_) => TerminalAnswer { background: known, ..TerminalAnswer::default() },
        None => question::query_background(&terminal, &ending)?,
    };
    let theme = Theme::new(options.color, background.unwrap_or_default(), options.ascii)
        .with_contrast(options.contrast);
    let by_hand = to_loop.clone();
    let send = move |input| by_hand.send(LoopWake::Input(input)).is_ok();
    input::listen(ending.clone(), typed, decoder, send)?;

    // The theme respects NO_COLOR. crossterm would also drop the colours that `--color` requests.
    crossterm::style::force_color_output(true);
    let mut events = EventLoop {
        app,
        theme,
        write_rows: options.write_rows,
        fault: options.fault,
        canvas: Canvas::new(terminal.size()?)?,
        pace: FramePace::new(Instant::now()),
        terminal: &terminal,
        ending: &ending,
        arrived,
        inbox,
        engine,
        started: Instant::now(),
    };
    let exit = events.run();
    ending.call(Exit::Quit);
    drop(taken);
    ending.finish();
    Ok(exit?)
}
