//! The input thread: what is typed and clicked, in the app's words. Not what it means.

use std::{
    io,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
    thread,
    time::Duration,
};

use crossterm::event::{
    self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent,
    MouseEventKind,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    stdio::stdin,
};

use crate::{
    app::Key,
    tui::watchdog::{Ending, Reason},
};

/// crossterm looks at nothing when asked to wait for no time at all.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What came from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    Key(Key),
    Click { column: u16, row: u16 },
}

/// Starts the thread. `send` may block; false: nobody listens any more.
pub fn listen(
    ending: Arc<Ending>,
    send: impl Fn(Input) -> bool + Send + 'static,
) -> io::Result<()> {
    let listen = move || while let Continue(()) = wait_and_read(&ending, &send) {};
    thread::Builder::new().name("input".to_owned()).spawn(listen).map(drop)
}

/// crossterm 0.29 reads for ever once the terminal is gone (crossterm#793), so we look first.
fn wait_and_read(ending: &Ending, send: impl Fn(Input) -> bool) -> ControlFlow<()> {
    let terminal = stdin();
    let mut watched = [PollFd::new(&terminal, PollFlags::IN), ending.poll_fd()];
    match poll(&mut watched, None) {
        Ok(_) => {}
        Err(Errno::INTR) => return Continue(()),
        Err(_) => return Break(()),
    }
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    if watched[0].revents().intersects(gone) {
        ending.call(Reason::TerminalGone);
    }
    if ending.is_called() {
        return Break(());
    }
    while let Some(event) = next_event() {
        if let Some(input) = translate(&event)
            && !send(input)
        {
            return Break(());
        }
    }
    Continue(())
}

/// What has been typed already. An error is a hang-up, which poll tells better.
fn next_event() -> Option<Event> {
    event::poll(AT_ONCE).ok()?.then(event::read)?.ok()
}

fn translate(event: &Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => translate_key(key).map(Input::Key),
        Event::Mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column,
            row,
            ..
        }) => Some(Input::Click { column: *column, row: *row }),
        // Resizes come by SIGWINCH.
        _ => None,
    }
}

fn translate_key(key: &KeyEvent) -> Option<Key> {
    let shift = key.modifiers.contains(KeyModifiers::SHIFT);
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if key.modifiers.contains(KeyModifiers::ALT) {
        return None;
    }
    Some(match key.code {
        KeyCode::Char(c) if control => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Up if shift => Key::ShiftUp,
        KeyCode::Down if shift => Key::ShiftDown,
        KeyCode::Left if shift => Key::ShiftLeft,
        KeyCode::Right if shift => Key::ShiftRight,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Input> {
        translate(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_keep_the_modifiers_that_commands_use() {
        let (none, shift) = (KeyModifiers::NONE, KeyModifiers::SHIFT);
        for (code, modifiers, expected) in [
            (KeyCode::Char('C'), shift, Some(Key::Char('C'))),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Key::Ctrl('c'))),
            (KeyCode::Left, shift, Some(Key::ShiftLeft)),
            (KeyCode::Left, none, Some(Key::Left)),
            (KeyCode::BackTab, shift, Some(Key::BackTab)),
            (KeyCode::Char('q'), KeyModifiers::ALT, None),
            (KeyCode::F(5), none, None),
        ] {
            assert_eq!(key(code, modifiers), expected.map(Input::Key));
        }
    }

    #[test]
    fn only_the_press_of_the_left_button_is_a_click() {
        let at = |kind| {
            translate(&Event::Mouse(MouseEvent {
                kind,
                column: 3,
                row: 4,
                modifiers: KeyModifiers::NONE,
            }))
        };
        let click = Some(Input::Click { column: 3, row: 4 });
        assert_eq!(at(MouseEventKind::Down(MouseButton::Left)), click);
        assert_eq!(at(MouseEventKind::Up(MouseButton::Left)), None);
        assert_eq!(at(MouseEventKind::Down(MouseButton::Right)), None);
        assert_eq!(at(MouseEventKind::ScrollUp), None);
    }
}
