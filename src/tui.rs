//! Passes events and effects between the terminal, the app and the engine. Does not decide what an
//! event does.

mod canvas;
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

use std::{
    io,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    app::{self, App},
    domain::Text,
    engine::Engine,
    host::{self, Host, descriptors},
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
    watchdog::{Ending, Reason},
};

/// Options of the terminal program from the command line.
pub struct TuiOptions {
    /// Minimum time between the starts of two scans.
    pub interval: Duration,
    pub color: Depth,
    /// None: the terminal is asked for its background colour.
    pub background: Option<Background>,
    pub contrast: Contrast,
    pub ascii: bool,
    pub mouse: bool,
    pub app: app::AppOptions,
    pub fault: Option<Fault>,
}

/// How the program ended, after the terminal was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    Quit,
    /// This signal ends the program. `finish` raises it again.
    Signal(i32),
    /// A thread panicked. The message is already on stderr.
    Panicked(Text),
    /// The terminal hung up or could not be written.
    TerminalGone,
}

impl Exit {
    /// Returns the exit code. For a signal it raises the signal again and does not return.
    pub fn finish(self) -> ExitCode {
        match self {
            Self::Quit => ExitCode::SUCCESS,
            Self::Signal(signal) => host::signals::die_by(signal),
            Self::Panicked(_) => ExitCode::from(watchdog::PANICKED as u8),
            Self::TerminalGone => ExitCode::from(watchdog::EXIT_TERMINAL_GONE as u8),
        }
    }
}

impl From<Reason> for Exit {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Signal(signal) => Self::Signal(signal),
            Reason::TerminalGone => Self::TerminalGone,
            Reason::Panic => Self::Panicked(Text::scrub("a thread panicked")),
            Reason::Over => Self::Quit,
        }
    }
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

    let terminal = Arc::new(Terminal::open(options.mouse)?);
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
        app: App::new(options.app),
        theme,
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
    ending.call(Reason::Over);
    drop(taken);
    ending.finish();
    Ok(exit?)
}
