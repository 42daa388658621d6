//! Runs the app on a simulated machine, sends it keys, and draws what it shows.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use portscope::{
    app::{App, AppOptions, Event, GlyphSet, Key, RowsPerLine, Screen},
    domain::{Ephemeral, Gap, PortRange, ProcessTable, State, port},
    engine::Report,
    host::{Host, simulated::SimulatedHost},
    view::{self, Background, Depth, Theme},
};
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    style::{Color, Modifier},
};

use crate::{app_options::options, snapshots::assert_golden};

pub const S: (u16, u16) = (80, 24);
pub const M: (u16, u16) = (120, 40);
pub const L: (u16, u16) = (160, 48);
pub const XL: (u16, u16) = (200, 60);
pub const SIZES: [(u16, u16); 4] = [S, M, L, XL];

pub fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

/// A machine with sockets of all classes and all kinds of owners.
pub fn busy() -> SimulatedHost {
    let any = [0, 0, 0, 0];
    let here = [10, 0, 1, 7];
    let peer = ([10, 0, 3, 17], 443);
    let low = range(32_768, 45_999);
    SimulatedHost::builder()
        .name("web-07")
        .user(33, "www-data")
        .ephemeral(Ephemeral::new(port::LINUX_DEFAULT, vec![range(40_000, 40_063)]))
        .process(1, "systemd", "/sbin/init", 0)
        .process(812, "nginx", "nginx: master process", 0)
        .process(813, "nginx", "nginx: worker process", 33)
        .process(814, "nginx", "nginx: worker process", 33)
        .process(4121, "payments-api", "/srv/payments --pool 64 --listen 0.0.0.0:8443", 1000)
        .process(4122, "log-shipper", "/srv/ship", 1000)
        .tcp((any, 22), State::Listen)
        .owned_by(&[1])
        .tcp((any, 443), State::Listen)
        .owned_by(&[812, 813, 814])
        .tcp(([0, 0, 0, 0, 0, 0, 0, 0], 8080), State::Listen)
        .owned_by(&[813])
        .tcp((here, 8443), State::Established)
        .connected_to(peer)
        .in_backlog_of(&[4121])
        .tcp((any, 5432), State::Listen)
        .hidden()
        .gap(Gap::OwnersHidden { sockets: 12, processes: 3 })
        .udp((any, 5353))
        .owned_by(&[1])
        .tcp((any, 51_820), State::Listen)
        .owned_by(&[4121])
        .tcp((here, 49_152), State::Established)
        .connected_to(peer)
        .owned_by(&[4121, 4122])
        .tcp((any, 49_152), State::Bound)
        .owned_by(&[4122])
        .fill(low, 0.45, State::Established, 1)
        .owned_by(&[4121])
        .fill(range(44_000, 52_999), 0.6, State::TimeWait, 2)
        .fill(range(53_000, 53_799), 0.9, State::CloseWait, 3)
        .owned_by(&[4122])
        .fill(range(55_000, 55_199), 0.5, State::Bound, 4)
        .hidden()
        .fill(range(56_000, 58_999), 0.05, State::Unconnected, 5)
        .owned_by(&[813])
        .build()
}

pub fn dark() -> Theme {
    Theme::new(Depth::True, Background::Dark, false)
}

/// An app in a terminal, driven by keys.
pub struct Session {
    pub app: App,
    pub theme: Theme,
    pub columns: u16,
    pub rows: u16,
    /// Time since the start of the program.
    pub now: Duration,
}

impl Session {
    pub fn new(theme: Theme, columns: u16, rows: u16) -> Self {
        Self::on(Screen::Map, theme, columns, rows)
    }

    pub fn on(first: Screen, theme: Theme, columns: u16, rows: u16) -> Self {
        let rows_per_line =
            if theme.needs_whole_cells() { RowsPerLine::One } else { RowsPerLine::Two };
        let app = App::new(AppOptions {
            first,
            glyphs: GlyphSet { rows_per_line, has_dots: !theme.ascii },
            ..options()
        });
        let now = Duration::from_secs(3);
        let mut session = Self { app, theme, columns, rows, now };
        session.update(Event::Resized { columns, rows });
        session
    }

    pub fn of(host: &SimulatedHost, theme: Theme, columns: u16, rows: u16) -> Self {
        let mut session = Self::new(theme, columns, rows);
        let snapshot = host.snapshot();
        let processes: ProcessTable =
            host.describer().describe(&snapshot.pids).into_iter().collect();
        session.update(Event::Report(Report::Scanned(Arc::new(snapshot))));
        session.update(Event::Report(Report::Described(Arc::new(processes))));
        session
    }

    pub fn update(&mut self, event: Event) {
        self.app.update(self.now, event);
    }

    pub fn resize(&mut self, (columns, rows): (u16, u16)) {
        (self.columns, self.rows) = (columns, rows);
        self.update(Event::Resized { columns, rows });
    }

    pub fn press(mut self, keys: &str) -> Self {
        self.type_keys(keys);
        self
    }

    pub fn type_keys(&mut self, keys: &str) {
        for key in keys.chars() {
            self.update(Event::Key(match key {
                '\n' => Key::Enter,
                '\t' => Key::Tab,
                '>' => Key::Right,
                'v' => Key::Down,
                '^' => Key::Escape,
                key => Key::Char(key),
            }));
        }
    }

    pub fn draw(&self) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(self.columns, self.rows)).unwrap();
        terminal.draw(|frame| view::render(&self.app, &self.theme, frame)).unwrap();
        terminal.backend().buffer().clone()
    }

    /// Compares the screen with its golden files.
    pub fn golden(&self, name: &str) {
        let buffer = self.draw();
        assert_golden(&format!("{name}.text"), &text(&buffer));
        assert_golden(&format!("{name}.style"), &styles(&buffer));
    }
}

fn lines(buffer: &Buffer) -> impl Iterator<Item = &[ratatui::buffer::Cell]> {
    buffer.content.chunks(usize::from(buffer.area.width).max(1))
}

pub fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for line in lines(buffer) {
        let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

/// Returns one line per row: runs of the same style as `length×foreground/background modifiers`.
pub fn styles(buffer: &Buffer) -> String {
    let mut runs = String::new();
    for line in lines(buffer) {
        for run in line.chunk_by(|a, b| a.style() == b.style()) {
            let cell = &run[0];
            write!(runs, "{}×{}/{}", run.len(), cell.fg, cell.bg).unwrap();
            if !cell.modifier.is_empty() {
                write!(runs, " {:?}", cell.modifier).unwrap();
            }
            runs.push_str("  ");
        }
        runs.truncate(runs.trim_end().len());
        runs.push('\n');
    }
    runs
}

/// Writes the frame, as a terminal would receive it, to the folder that `SHOW_FRAMES` names. Does
/// nothing if the variable is not set.
pub fn keep_ansi(name: &str, buffer: &Buffer) {
    let Some(folder) = std::env::var_os("SHOW_FRAMES") else { return };
    let mut ansi = String::new();
    for line in lines(buffer) {
        for cell in line {
            let color = |color, layer| match color {
                Color::Rgb(red, green, blue) => format!("\x1b[{layer}8;2;{red};{green};{blue}m"),
                _ => String::new(),
            };
            let reversed = if cell.modifier.contains(Modifier::REVERSED) { "\x1b[7m" } else { "" };
            let bold = if cell.modifier.contains(Modifier::BOLD) { "\x1b[1m" } else { "" };
            let (fg, bg) = (color(cell.fg, 3), color(cell.bg, 4));
            write!(ansi, "\x1b[0m{bold}{reversed}{fg}{bg}{}", cell.symbol()).unwrap();
        }
        ansi.push_str("\x1b[0m\n");
    }
    std::fs::write(std::path::Path::new(&folder).join(format!("{name}.ansi")), ansi).unwrap();
}

pub fn light() -> Theme {
    Theme::new(Depth::True, Background::Light, false)
}

pub fn ascii() -> Theme {
    Theme::new(Depth::Sixteen, Background::Dark, true)
}

pub fn sixteen() -> Theme {
    Theme::new(Depth::Sixteen, Background::Dark, false)
}
