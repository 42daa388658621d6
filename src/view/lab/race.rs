//! Draws the race. A competitor tries to take two ports: the first is closed and bound again, the
//! second stays open and its socket is handed over. Does not run the race.

use ratatui::{layout::Rect, style::Style, text::Span};

use crate::{
    app::{
        LabScreen,
        lab::{RaceBackend, RaceReport, Rounds},
    },
    domain::notation,
    view::{
        Role, bars,
        dialog::{hints, open},
        surface::Surface,
        words,
    },
};

const HEIGHT: u16 = 18;
/// Maximum width of a bar.
const MAX_BAR_WIDTH: usize = 40;

pub fn render(lab: &LabScreen, surface: &mut Surface<'_>) {
    let Some(race) = lab.race() else { return };
    let mut column = open("Race for a closed port", HEIGHT, surface);
    backend_line(race, &mut column);
    let expected = expected(&race.rebound);
    // The scale of both bars ends above the larger share, so that no bar is full: a full bar would
    // look as if all rounds were stolen.
    let whole = share(&race.rebound).max(expected).max(share(&race.handed_over)) * 1.25;
    column.blank();
    kind("closed, then bound again", &race.rebound, Some(expected), whole, &mut column);
    let model = model(&race.rebound);
    paragraph(&model, Role::Dim, &mut column);
    column.blank();
    kind("kept open, handed over", &race.handed_over, None, whole, &mut column);
    paragraph(&kept(&race.handed_over), Role::Dim, &mut column);
    column.blank();
    paragraph(&meaning(race), Role::Text, &mut column);
    hints(&[("R", if race.is_over { "again" } else { "end" }), ("Esc", "close")], &mut column);
}

fn backend_line(race: &RaceReport, column: &mut Surface<'_>) {
    let words = match &race.backend {
        RaceBackend::Unknown => "starting".to_owned(),
        RaceBackend::Namespace => "three processes in their own network namespace".to_owned(),
        RaceBackend::Simulated { because } => format!("simulated: {because}"),
    };
    let role = if race.backend == RaceBackend::Namespace { Role::Ok } else { Role::Accent };
    paragraph(&words, role, column);
    if let Some(failure) = &race.failure {
        paragraph(&format!("ended early: {failure}"), Role::Warn, column);
    }
}

/// Draws name and count, and below them the share of stolen rounds as a bar. `whole` is the share
/// that a full bar shows (0 to 1.25). Marks the expected share of stolen rounds if there is one.
fn kind(name: &str, rounds: &Rounds, expected: Option<f64>, whole: f64, column: &mut Surface<'_>) {
    let theme = column.theme;
    let stolen = format!("{} stolen", notation::grouped(rounds.stolen));
    let of = format!(" of {} rounds", notation::grouped(rounds.count));
    let role = if rounds.stolen > 0 { Role::Critical } else { Role::Ok };
    let style = theme.style(if rounds.count == 0 { Role::Dim } else { role }).bold();
    let gap = column.width().saturating_sub(name.len() + stolen.len() + of.len());
    column.line([
        Span::raw(name.to_owned()),
        Span::raw(" ".repeat(gap.min(30 - name.len().min(29)))),
        Span::styled(stolen, style),
        Span::styled(of, theme.style(Role::Dim)),
    ]);
    let width = column.width().saturating_sub(9).min(MAX_BAR_WIDTH) as u16;
    let part = if whole > 0.0 { share(rounds) / whole } else { 0.0 };
    let at = column.rest();
    let [filled, rest] = bars::track(part as f32, width, role, theme);
    column.line([filled, rest, Span::raw(format!(" {}", notation::percent(share(rounds))))]);
    if let Some(expected) = expected.filter(|_| whole > 0.0 && rounds.count > 0) {
        mark(expected / whole, width, at, column);
    }
}

/// Marks a share (0 to 1) of a bar that starts at `at` and is `width` columns wide.
fn mark(share: f64, width: u16, at: Rect, column: &mut Surface<'_>) {
    let Some(last) = width.checked_sub(1) else { return };
    let part = (share * f64::from(width)).round() as u16;
    let mark_area = Rect { height: at.height.min(1), ..at };
    let style = Style::new().fg(column.theme.color(Role::Text));
    let glyph = column.theme.glyph("◇", "o");
    column.within(mark_area).put(at.x + part.min(last), at.y, glyph, style);
}

fn share(rounds: &Rounds) -> f64 {
    f64::from(rounds.stolen) / f64::from(rounds.count.max(1))
}

fn expected(rounds: &Rounds) -> f64 {
    rounds.expected / f64::from(rounds.count.max(1))
}

/// Formats the expected number of stolen ports and what it is computed from: the rate of the
/// competitor, the time for which the port was closed, and the number of free ports.
fn model(rounds: &Rounds) -> String {
    if rounds.count == 0 {
        return "no round finished yet".to_owned();
    }
    format!(
        "expected {:.1} ± {:.1}: competitor {} ports/s, port closed for {}, {} free ports",
        rounds.expected,
        rounds.deviation,
        notation::grouped(rounds.competitor_per_second.round() as u64),
        notation::elapsed(rounds.window),
        notation::grouped(rounds.free.round() as u64),
    )
}

fn kept(rounds: &Rounds) -> String {
    if rounds.count == 0 {
        return "not started yet".to_owned();
    }
    format!(
        "the competitor tried this port in {} (expected {:.1} ± {:.1}) and was refused: a closed \
         port would have been stolen each time",
        notation::counted(rounds.refused, "round"),
        rounds.expected,
        rounds.deviation
    )
}

fn meaning(race: &RaceReport) -> String {
    match (race.rebound.stolen, race.handed_over.stolen) {
        _ if race.handed_over.count == 0 => {
            "A closed port is free for every process: the first one that binds it gets it."
                .to_owned()
        }
        (0, 0) => {
            "No port was stolen this time, but only an open socket keeps its port.".to_owned()
        }
        (_, 0) => {
            "A port is yours only while a socket holds it: hand over the socket, not the number."
                .to_owned()
        }
        _ => "A port was lost although its socket stayed open: this is a bug.".to_owned(),
    }
}

/// Writes text, wrapped between words.
fn paragraph(text: &str, role: Role, column: &mut Surface<'_>) {
    for line in words::wrapped(&column.theme.own_text(text), column.width()) {
        column.text(&line, role);
    }
}
