//! The race against a thief: thefts beside the law, and the socket that was kept. Counts nothing.

use ratatui::text::Span;

use crate::{
    app::lab::{Lab, RacePlace, Rounds},
    view::{Role, allocate::column::Column, lab::figures::short, words::thousands},
};

/// Lines that it needs.
pub const HEIGHT: u16 = 15;

pub fn render(lab: &Lab, column: &mut Column<'_>) {
    let Some(race) = lab.race() else { return };
    let place = match &race.place {
        RacePlace::Unknown => "beginning".to_owned(),
        RacePlace::Namespace => {
            "real sockets: victim and thief, two processes in a network namespace of their own"
                .to_owned()
        }
        RacePlace::Simulated { because } => format!("simulated: {because}"),
    };
    column.text(&place, if race.place == RacePlace::Namespace { Role::Ok } else { Role::Accent });
    if let Some(trouble) = &race.trouble {
        column.text(trouble.as_str(), Role::Critical);
    }
    column.blank();
    let rebound = &race.rebound;
    kind("closed, then bound again", rebound, Role::Critical, column);
    let law = format!(
        "  the law 1 - e^(-rate x window / free) expects {:.1} {} {:.1}",
        rebound.predicted,
        column.theme.glyph("±", "+-"),
        rebound.deviation
    );
    column.text(&law, Role::Dim);
    column.blank();
    kind("kept, then handed over", &race.handed_over, Role::Ok, column);
    let refused = thousands(race.handed_over.refused);
    column.text(
        &format!("  the thief wanted that very port {refused} times, and was refused"),
        Role::Dim,
    );
    column.blank();
    let conditions = format!(
        "window {}, thief {:.0} ports/s, {:.0} ports free",
        short(rebound.window),
        rebound.thief_per_second,
        rebound.free
    );
    column.text(&conditions, Role::Text);
    column.text("A number is no port: who lets go of the socket may find it taken.", Role::Text);
    column.blank();
    let state = if race.is_over { "over" } else { "going on" };
    let accent = column.theme.style(Role::Accent);
    column.line([
        Span::raw(format!("{state}   ")),
        Span::styled("R Esc", accent),
        Span::raw(" close"),
    ]);
}

/// Thefts as a number and as a bar of all rounds.
fn kind(name: &str, rounds: &Rounds, role: Role, column: &mut Column<'_>) {
    let theme = column.theme;
    let share = f64::from(rounds.thefts) / f64::from(rounds.rounds.max(1));
    let room = column.width().saturating_sub(58).clamp(4, 20);
    let filled = ((share * room as f64).ceil() as usize).min(room);
    let counts = format!(
        "{:>5} stolen in {:>5} rounds, {:>5.1} % ",
        thousands(rounds.thefts),
        thousands(rounds.rounds),
        share * 100.0
    );
    column.line([
        Span::styled(format!("{name:<25}"), theme.style(Role::Text).bold()),
        Span::styled(counts, theme.style(role)),
        Span::styled(theme.glyph("█", "#").repeat(filled), theme.style(role)),
        Span::styled(theme.glyph("░", ".").repeat(room - filled), theme.style(Role::Faint)),
    ]);
}
