//! A frame, composed in memory and sent in one piece. Not what is on it.

use std::{
    io,
    time::{Duration, Instant},
};

use ratatui::{Frame, TerminalOptions, Viewport, layout::Rect};

use crate::tui::{encoder::Encoder, terminal::Terminal, watchdog::Ending};

/// What the terminal shows, so that only differences are sent.
pub struct Canvas {
    screen: ratatui::Terminal<Encoder>,
    size: (u16, u16),
}

impl Canvas {
    /// Takes the screen for unknown: the first frame clears it.
    pub fn new(size: (u16, u16)) -> io::Result<Self> {
        let (columns, rows) = size;
        let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
        let mut encoder = Encoder::new(columns, rows);
        encoder.erase();
        let screen = ratatui::Terminal::with_options(encoder, TerminalOptions { viewport });
        Ok(Self { screen: screen.map_err(io::Error::other)?, size })
    }

    pub fn size(&self) -> (u16, u16) {
        self.size
    }

    /// How long the terminal took to read it. A frame without a difference is not sent.
    ///
    /// Errors: the terminal is gone.
    pub fn draw(
        &mut self,
        terminal: &Terminal,
        ending: &Ending,
        render: impl FnOnce(&mut Frame),
    ) -> io::Result<Duration> {
        self.screen.draw(render).map_err(io::Error::other)?;
        let encoder = self.screen.backend_mut();
        let began = Instant::now();
        if !encoder.bytes().is_empty() {
            terminal.draw(encoder.bytes(), ending)?;
        }
        encoder.clear_bytes();
        Ok(began.elapsed())
    }
}
