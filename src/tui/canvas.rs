//! A frame, composed in memory and sent in one piece. Not what is on it.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

use ratatui::{Frame, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

use crate::tui::{terminal::Terminal, watchdog::Ending};

/// Plain colours, empty screen.
const CLEAR: &[u8] = b"\x1b[0m\x1b[2J";

/// What ratatui writes; shared, so that the loop can send it.
#[derive(Clone, Default)]
struct Bytes(Rc<RefCell<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the terminal shows, so that only differences are sent.
pub struct Canvas {
    screen: ratatui::Terminal<CrosstermBackend<Bytes>>,
    bytes: Bytes,
    size: (u16, u16),
}

impl Canvas {
    /// Takes the screen for unknown: the first frame clears it.
    ///
    /// The viewport is fixed, since for any other kind ratatui asks for the size at each frame, and
    /// crossterm may run `tput` to answer.
    pub fn new(size: (u16, u16)) -> io::Result<Self> {
        let bytes = Bytes::default();
        let area = Rect::new(0, 0, size.0, size.1);
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let backend = CrosstermBackend::new(bytes.clone());
        let screen = ratatui::Terminal::with_options(backend, options)?;
        bytes.0.borrow_mut().extend_from_slice(CLEAR);
        Ok(Self { screen, bytes, size })
    }

    pub fn size(&self) -> (u16, u16) {
        self.size
    }

    /// Errors: the terminal is gone.
    pub fn draw(
        &mut self,
        terminal: &Terminal,
        ending: &Ending,
        render: impl FnOnce(&mut Frame),
    ) -> io::Result<()> {
        self.screen.draw(render)?;
        let mut bytes = self.bytes.0.borrow_mut();
        let sent = terminal.draw(&bytes, ending);
        bytes.clear();
        sent
    }
}
