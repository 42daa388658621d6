//! Composes a frame in memory and sends it as one update. Does not decide what is drawn.

use std::{
    io,
    time::{Duration, Instant},
};

use ratatui::{Frame, TerminalOptions, Viewport, layout::Rect};

use crate::tui::{encoder::Encoder, terminal::Terminal, watchdog::Ending};

/// A frame buffer. Remembers what the terminal shows, so that only differences are sent.
pub struct Canvas {
    screen: ratatui::Terminal<Encoder>,
    size: (u16, u16),
}

impl Canvas {
    /// Creates a canvas for a screen whose content is unknown: the first frame clears it.
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

    /// Draws a frame and returns the time that the terminal took to read it. Sends nothing if no
    /// cell changed.
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
