//! Encodes cells in few terminal commands. Neither chooses the cells nor sends anything.
//!
//! Replaces ratatui's crossterm backend, which writes commands even for a frame without changed
//! cells, and both colours where only one changed.

use std::convert::Infallible;

use crossterm::{
    Command, QueueableCommand,
    cursor::{MoveTo, MoveToColumn},
    style::{
        Attribute, Colors, Print, SetAttribute, SetBackgroundColor, SetColors, SetForegroundColor,
    },
    terminal::{Clear, ClearType as Cleared},
};
use ratatui::{
    backend::{Backend, ClearType, IntoCrossterm, WindowSize},
    buffer::Cell,
    layout::{Position, Size},
    style::{Color, Modifier},
};
use unicode_width::UnicodeWidthStr;

const ATTRIBUTES: [(Modifier, Attribute); 9] = [
    (Modifier::BOLD, Attribute::Bold),
    (Modifier::DIM, Attribute::Dim),
    (Modifier::ITALIC, Attribute::Italic),
    (Modifier::UNDERLINED, Attribute::Underlined),
    (Modifier::SLOW_BLINK, Attribute::SlowBlink),
    (Modifier::RAPID_BLINK, Attribute::RapidBlink),
    (Modifier::REVERSED, Attribute::Reverse),
    (Modifier::HIDDEN, Attribute::Hidden),
    (Modifier::CROSSED_OUT, Attribute::CrossedOut),
];
/// Resets all attributes and both colours.
const PLAIN: SetAttribute = SetAttribute(Attribute::Reset);

/// The colours and attributes of a cell.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct NextCell {
    foreground: Color,
    background: Color,
    modifier: Modifier,
}

/// A backend for ratatui. The cursor is always hidden; the size never changes.
pub struct Encoder {
    size: Size,
    bytes: Vec<u8>,
}

impl Encoder {
    pub fn new(columns: u16, rows: u16) -> Self {
        Self { size: Size::new(columns, rows), bytes: Vec::new() }
    }

    /// The bytes encoded since the last call of `clear_bytes`; empty if no cell changed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Removes the bytes, but keeps their memory.
    pub fn clear_bytes(&mut self) {
        self.bytes.clear();
    }

    /// Resets the colours and clears the screen.
    pub fn erase(&mut self) {
        self.put(PLAIN);
        self.put(Clear(Cleared::All));
    }

    fn put(&mut self, command: impl Command) {
        // Writing to a vector cannot fail.
        let _ = self.bytes.queue(command);
    }

    /// Moves the cursor to `to`. `at` is its current position, if known.
    fn go_to(&mut self, at: Option<Position>, to: Position) {
        match at {
            Some(at) if at == to => {}
            Some(at) if at.y == to.y => self.put(MoveToColumn(to.x)),
            _ => self.put(MoveTo(to.x, to.y)),
        }
    }

    fn write_style(&mut self, mut old: NextCell, new: NextCell) {
        if !new.modifier.contains(old.modifier) {
            self.put(PLAIN);
            old = NextCell::default();
        }
        for (modifier, attribute) in ATTRIBUTES {
            if (new.modifier - old.modifier).contains(modifier) {
                self.put(SetAttribute(attribute));
            }
        }
        let (foreground, background) =
            (new.foreground.into_crossterm(), new.background.into_crossterm());
        match (new.foreground != old.foreground, new.background != old.background) {
            (true, true) => self.put(SetColors(Colors::new(foreground, background))),
            (true, false) => self.put(SetForegroundColor(foreground)),
            (false, true) => self.put(SetBackgroundColor(background)),
            (false, false) => {}
        }
    }
}

impl Backend for Encoder {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let start = self.bytes.len();
        let (mut at, mut written_style) = (None, NextCell::default());
        for (x, y, cell) in content {
            self.go_to(at, Position::new(x, y));
            let new =
                NextCell { foreground: cell.fg, background: cell.bg, modifier: cell.modifier };
            self.write_style(written_style, new);
            written_style = new;
            self.put(Print(cell.symbol()));
            // After the last column, and after characters that are not one column wide, the
            // position of the cursor depends on the terminal.
            let is_position_known = cell.symbol().width() == 1 && x + 1 < self.size.width;
            at = is_position_known.then(|| Position::new(x + 1, y));
        }
        if self.bytes.len() > start && written_style != NextCell::default() {
            self.put(PLAIN);
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, _: P) -> Result<(), Infallible> {
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.erase();
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> Result<(), Infallible> {
        self.clear()
    }

    fn size(&self) -> Result<Size, Infallible> {
        Ok(self.size)
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize { columns_rows: self.size, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::{
        Terminal, TerminalOptions, Viewport, buffer::Buffer, layout::Rect, style::Style,
    };

    fn terminal() -> Terminal<Encoder> {
        let viewport = Viewport::Fixed(Rect::new(0, 0, 10, 3));
        Terminal::with_options(Encoder::new(10, 3), TerminalOptions { viewport }).unwrap()
    }

    fn draw(terminal: &mut Terminal<Encoder>, fill: impl Fn(&mut Buffer)) -> String {
        terminal.backend_mut().clear_bytes();
        terminal.draw(|frame| fill(frame.buffer_mut())).unwrap();
        String::from_utf8(terminal.backend().bytes().to_vec()).unwrap()
    }

    fn lines(shown: &vt100::Parser) -> Vec<String> {
        shown.screen().rows(0, 10).map(|row| row.trim_end().to_owned()).collect()
    }

    #[test]
    fn an_unchanged_frame_writes_nothing() {
        let mut terminal = terminal();
        let fill = |buffer: &mut Buffer| buffer.set_string(1, 1, "ab", Style::new());
        assert_eq!(draw(&mut terminal, fill), "\x1b[2;2Hab");
        assert_eq!(draw(&mut terminal, fill), "");
    }

    #[test]
    fn only_style_changes_between_cells_are_written() {
        crossterm::style::force_color_output(true);
        let bytes = draw(&mut terminal(), |buffer| {
            let red = Style::new().fg(Color::Red).bg(Color::Rgb(1, 2, 3));
            buffer.set_string(0, 0, "a", red);
            buffer.set_string(1, 0, "b", red.fg(Color::White));
            buffer.set_string(5, 0, "c", red.add_modifier(Modifier::BOLD));
            buffer.set_string(6, 0, "d", Style::new().fg(Color::Indexed(99)));
        });
        let reported = [
            "\x1b[1;1H\x1b[38;5;1;48;2;1;2;3ma",
            "\x1b[38;5;15mb",
            "\x1b[6G\x1b[1m\x1b[38;5;1mc",
            "\x1b[0m\x1b[38;5;99md\x1b[0m",
        ];
        assert_eq!(bytes, reported.concat());
    }

    #[test]
    fn wide_characters_and_the_last_column_are_drawn_correctly() {
        let mut terminal = terminal();
        let mut shown = vt100::Parser::new(3.try_into().unwrap(), 10.try_into().unwrap(), 0);
        for text in ["0123456789", "日本x語y", "a日b本c语", "é●→▀⡇······"] {
            let bytes = draw(&mut terminal, |buffer| {
                for y in 0..3 {
                    buffer.set_stringn(y, y, text, usize::from(10 - y), Style::new());
                }
            });
            shown.process(bytes.as_bytes());
            let fresh = draw(&mut self::terminal(), |buffer| {
                for y in 0..3 {
                    buffer.set_stringn(y, y, text, usize::from(10 - y), Style::new());
                }
            });
            let mut wanted = vt100::Parser::new(3.try_into().unwrap(), 10.try_into().unwrap(), 0);
            wanted.process(fresh.as_bytes());
            assert_eq!(lines(&shown), lines(&wanted));
        }
    }
}
