//! Cells, turned into as few bytes as a terminal understands. Not which cells, and sends nothing.
//!
//! crossterm's encoder writes 20 bytes for no cell at all, colours twice where one changed, the
//! sixteen colours as indexes that the Linux console does not know, and none while NO_COLOR is set,
//! whatever `--color` says.

use std::{convert::Infallible, io::Write as _};

use ratatui::{
    backend::{Backend, ClearType, WindowSize},
    buffer::Cell,
    layout::{Position, Size},
    style::{Color, Modifier},
};
use unicode_width::UnicodeWidthStr;

/// Codes of ECMA-48, 8.3.117 (SGR).
const MODIFIERS: [(Modifier, u8); 9] = [
    (Modifier::BOLD, 1),
    (Modifier::DIM, 2),
    (Modifier::ITALIC, 3),
    (Modifier::UNDERLINED, 4),
    (Modifier::SLOW_BLINK, 5),
    (Modifier::RAPID_BLINK, 6),
    (Modifier::REVERSED, 7),
    (Modifier::HIDDEN, 8),
    (Modifier::CROSSED_OUT, 9),
];
const PLAIN: &[u8] = b"\x1b[m";

/// How the next cell would look.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    foreground: Color,
    background: Color,
    modifier: Modifier,
}

/// What ratatui draws on. The cursor is always hidden; the size never changes.
pub struct Encoder {
    size: Size,
    bytes: Vec<u8>,
}

impl Encoder {
    pub fn new(columns: u16, rows: u16) -> Self {
        Self { size: Size::new(columns, rows), bytes: Vec::new() }
    }

    /// What was drawn since the last call of `clear_bytes`; nothing if nothing differed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Keeps their memory.
    pub fn clear_bytes(&mut self) {
        self.bytes.clear();
    }

    /// Plain colours, empty screen.
    pub fn erase(&mut self) {
        self.bytes.extend_from_slice(b"\x1b[m\x1b[2J");
    }

    fn put(&mut self, arguments: std::fmt::Arguments) {
        // A vector takes everything.
        let _ = self.bytes.write_fmt(arguments);
    }

    /// `at`: where the cursor is, if that is known.
    fn go_to(&mut self, at: Option<Position>, to: Position) {
        let column = to.x + 1;
        match at {
            Some(at) if at == to => {}
            Some(at) if at.y == to.y => self.put(format_args!("\x1b[{column}G")),
            _ => self.put(format_args!("\x1b[{};{column}H", to.y + 1)),
        }
    }

    fn dress(&mut self, old: Look, new: Look) {
        if old == new {
            return;
        }
        let is_less = !new.modifier.contains(old.modifier);
        if is_less {
            self.bytes.extend_from_slice(PLAIN);
        }
        let old = if is_less { Look::default() } else { old };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(b"\x1b[");
        let codes = self.bytes.len();
        for (modifier, code) in MODIFIERS {
            if (new.modifier - old.modifier).contains(modifier) {
                self.put(format_args!("{code};"));
            }
        }
        if new.foreground != old.foreground {
            self.put_color(new.foreground, 30);
        }
        if new.background != old.background {
            self.put_color(new.background, 40);
        }
        match self.bytes.last_mut() {
            Some(last) if *last == b';' => *last = b'm',
            _ => self.bytes.truncate(if self.bytes.len() == codes { start } else { codes }),
        }
    }

    /// `base`: 30 for the foreground, 40 for the background.
    fn put_color(&mut self, color: Color, base: u8) {
        let dark = |code: u8| base + code;
        let bright = |code: u8| base + 60 + code;
        let code = match color {
            Color::Rgb(red, green, blue) => {
                return self.put(format_args!("{};2;{red};{green};{blue};", base + 8));
            }
            Color::Indexed(index) => return self.put(format_args!("{};5;{index};", base + 8)),
            Color::Reset => base + 9,
            Color::Black => dark(0),
            Color::Red => dark(1),
            Color::Green => dark(2),
            Color::Yellow => dark(3),
            Color::Blue => dark(4),
            Color::Magenta => dark(5),
            Color::Cyan => dark(6),
            Color::Gray => dark(7),
            Color::DarkGray => bright(0),
            Color::LightRed => bright(1),
            Color::LightGreen => bright(2),
            Color::LightYellow => bright(3),
            Color::LightBlue => bright(4),
            Color::LightMagenta => bright(5),
            Color::LightCyan => bright(6),
            Color::White => bright(7),
        };
        self.put(format_args!("{code};"));
    }
}

impl Backend for Encoder {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let start = self.bytes.len();
        let (mut at, mut look) = (None, Look::default());
        for (x, y, cell) in content {
            self.go_to(at, Position::new(x, y));
            let new = Look { foreground: cell.fg, background: cell.bg, modifier: cell.modifier };
            self.dress(look, new);
            look = new;
            self.bytes.extend_from_slice(cell.symbol().as_bytes());
            // Behind the last column terminals differ, and so they do for characters not of one.
            let is_sure = cell.symbol().width() == 1 && x + 1 < self.size.width;
            at = is_sure.then(|| Position::new(x + 1, y));
        }
        if self.bytes.len() > start && look != Look::default() {
            self.bytes.extend_from_slice(PLAIN);
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
    fn a_frame_without_a_difference_is_no_byte() {
        let mut terminal = terminal();
        let fill = |buffer: &mut Buffer| buffer.set_string(1, 1, "ab", Style::new());
        assert_eq!(draw(&mut terminal, fill), "\x1b[2;2Hab");
        assert_eq!(draw(&mut terminal, fill), "");
    }

    #[test]
    fn only_what_changes_between_neighbours_is_said() {
        let bytes = draw(&mut terminal(), |buffer| {
            let red = Style::new().fg(Color::Red).bg(Color::Rgb(1, 2, 3));
            buffer.set_string(0, 0, "a", red);
            buffer.set_string(1, 0, "b", red.fg(Color::White));
            buffer.set_string(5, 0, "c", red.add_modifier(Modifier::BOLD));
            buffer.set_string(6, 0, "d", Style::new().fg(Color::Indexed(99)));
        });
        let told =
            "\x1b[1;1H\x1b[31;48;2;1;2;3ma\x1b[97mb\x1b[6G\x1b[1;31mc\x1b[m\x1b[38;5;99md\x1b[m";
        assert_eq!(bytes, told);
    }

    #[test]
    fn the_picture_survives_wide_characters_and_the_last_column() {
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
