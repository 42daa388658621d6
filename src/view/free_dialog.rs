//! Draws the dialog that frees ports: the sockets and their processes, what was done, the actions and
//! what each of them would do. The app handles its keys.

use ratatui::{
    layout::{Position, Rect},
    text::Span,
    widgets::Block,
};
use unicode_width::UnicodeWidthStr as _;

use crate::{
    app::{
        App,
        free_dialog::{self, FreeDialog, FreeNews, FreeOffer, OfferedPort},
    },
    domain::{
        Holder, Process, Socket, Text,
        action::{ActionChoice, Frees, PortAction},
        notation,
    },
    view::{
        Role, Theme, dialog,
        surface::{Surface, first_fitting, fitted},
        words,
    },
};

/// Maximum width of the box.
const WIDTH: u16 = 100;
/// Maximum number of processes that are described.
const MAX_PROCESSES: usize = 2;
/// Maximum number of lines of a command that is too long for the line of its process.
const COMMAND_LINES: usize = 2;
/// Maximum number of ports whose use is listed after an action.
const MAX_PORTS: usize = 4;
/// Maximum number of lines about the selected action.
const SENTENCES: usize = 5;

/// Shown in place of a process that cannot be seen.
const HIDDEN: &str = "Its process is not visible: run portscope as root to see and end it.";

/// A line above the actions.
type HeadLine = (String, Role);

/// The position of the parts, from which drawing and clicks follow.
struct BoxPlan {
    width: u16,
    /// With the frame.
    height: u16,
    /// Line of the first action within the frame.
    choices: u16,
}

impl BoxPlan {
    /// Returns the height of the box, with its frame, if nothing is cut.
    fn wanted(head: &[HeadLine], choices: usize) -> u16 {
        let details = if choices == 0 { 0 } else { choices + 1 + SENTENCES + 1 };
        (head.len() + details + 4) as u16
    }

    fn of(head: &[HeadLine], choices: usize, area: Rect) -> Self {
        Self {
            width: area.width.min(WIDTH),
            height: Self::wanted(head, choices).min(area.height),
            choices: head.len() as u16,
        }
    }
}

pub fn render(app: &App, dialog: &FreeDialog, surface: &mut Surface<'_>) {
    let (theme, area) = (surface.theme, surface.area);
    let head = head(app, dialog, area);
    let choices = choices(dialog);
    let plan = BoxPlan::of(&head, choices.len(), area);
    let block = Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.style(Role::Accent))
        .title(format!(" {} ", title(dialog)));
    let mut column = dialog::framed(block, plan.width, plan.height, surface);
    for (text, role) in &head {
        column.text(text, *role);
    }
    let room = column.width();
    for (index, choice) in choices.iter().enumerate() {
        column.line(choice_line(choice, (index, dialog.selected == Some(index)), room, theme));
    }
    if let Some(choice) = dialog.choice() {
        column.blank();
        let most = usize::from(column.left().saturating_sub(2)).min(SENTENCES);
        let sentences = words::wrapped(&choice.sentences(), room);
        for sentence in words::first_lines(&sentences, most, room) {
            column.text(&sentence, Role::Text);
        }
        let command = words::shorten(&choice.forecast.command, room.saturating_sub(2));
        column.labelled("$ ", &command);
    }
    column.skip(column.left().saturating_sub(1));
    dialog::hints(&hints(app), &mut column);
}

/// Returns the action at this position, counted from 0.
pub fn row_at(app: &App, dialog: &FreeDialog, area: Rect, at: Position) -> Option<usize> {
    let head = head(app, dialog, area);
    let choices = choices(dialog).len();
    let plan = BoxPlan::of(&head, choices, area);
    let first = dialog::centered(plan.width, plan.height, area).y + 1 + plan.choices;
    let row = usize::from(at.y.checked_sub(first)?);
    (row < choices).then_some(row)
}

/// Returns how many actions a terminal of this size shows above the line of keys.
pub fn visible_choices(app: &App, dialog: &FreeDialog, area: Rect) -> usize {
    let choices = choices(dialog).len();
    let plan = BoxPlan::of(&head(app, dialog, area), choices, area);
    // The frame has two lines, the keys one.
    let room = plan.height.saturating_sub(3);
    choices.min(usize::from(room.saturating_sub(plan.choices)))
}

fn choices(dialog: &FreeDialog) -> &[ActionChoice] {
    dialog.offer.as_ref().map_or(&[], |offer| &offer.choices)
}

/// Returns `Free TCP 8080`, or `Free 3 ports`.
fn title(dialog: &FreeDialog) -> String {
    let mut ports: Vec<_> = dialog.sockets.iter().map(Socket::protocol_port).collect();
    ports.sort_unstable();
    ports.dedup();
    match ports.as_slice() {
        &[(protocol, port)] => format!("Free {}", free_dialog::name(protocol, port)),
        ports => format!("Free {}", notation::counted(ports.len() as u64, "port")),
    }
}

/// Returns the lines above the actions, with a blank one at the end. A command that is too long for
/// the line of its process has its own lines if the box has room for them.
fn head(app: &App, dialog: &FreeDialog, area: Rect) -> Vec<HeadLine> {
    let choices = choices(dialog).len();
    let mut longer = (1..=COMMAND_LINES).rev().map(|most| head_with(app, dialog, area, most));
    let fitting = longer.find(|lines| BoxPlan::wanted(lines, choices) <= area.height);
    fitting.unwrap_or_else(|| head_with(app, dialog, area, 0))
}

/// `command_lines`: the most lines of a command; 0: it shares the line of its process.
fn head_with(app: &App, dialog: &FreeDialog, area: Rect, command_lines: usize) -> Vec<HeadLine> {
    let room = usize::from(area.width.min(WIDTH)).saturating_sub(4);
    let mut lines = vec![(subject(dialog, room), Role::Text)];
    if let Some(offer) = &dialog.offer {
        let holders = offer.holders.iter().take(MAX_PROCESSES);
        let described = holders.flat_map(|process| described(app, process, room, command_lines));
        lines.extend(described.map(|line| (line, Role::Text)));
        if let Some(more) = offer.holders.len().checked_sub(MAX_PROCESSES).filter(|more| *more > 0)
        {
            lines.push((notation::counted(more as u64, "more process"), Role::Dim));
        }
        if offer.holders.is_empty()
            && dialog.sockets.iter().any(|socket| socket.holder == Holder::Hidden)
        {
            lines.push((words::shorten(HIDDEN, room), Role::Warn));
        }
        lines.push((String::new(), Role::Text));
        lines.extend(news(offer, room));
    }
    if let Some(failure) = &dialog.failure {
        lines.push((words::shorten(failure.as_str(), room), Role::Critical));
    } else if dialog.is_waiting {
        let words = match &dialog.offer {
            None => "looking at all sockets and their processes ..",
            Some(_) => "waiting for the result, for a few seconds ..",
        };
        lines.push((words.to_owned(), Role::Accent));
    } else if dialog
        .offer
        .as_ref()
        .is_some_and(|offer| offer.choices.is_empty() && offer.news == FreeNews::None)
    {
        lines.push(("The sockets no longer exist: nothing is left to do.".to_owned(), Role::Text));
    }
    lines
}

/// Describes the selected sockets: `LISTEN 0.0.0.0:8080`.
fn subject(dialog: &FreeDialog, room: usize) -> String {
    let text = match &*dialog.sockets {
        [socket] => {
            let remote = socket.remote.map(|remote| format!(" → {remote}")).unwrap_or_default();
            format!("{} {}{remote}", socket.state, socket.local)
        }
        sockets => {
            let hidden = match dialog.hidden {
                0 => String::new(),
                hidden => {
                    format!(", {} of them hidden by the filter", notation::grouped(hidden as u64))
                }
            };
            format!("{}{hidden}", notation::counted(sockets.len() as u64, "marked socket"))
        }
    };
    words::shorten(&text, room)
}

/// Formats `python3[21866] · user root · started 17 min ago · python3 -m http.server`. If that is
/// too long, the command follows on at most `command_lines` lines, or is cut if that is 0.
fn described(app: &App, process: &Process, room: usize, command_lines: usize) -> Vec<String> {
    let name = notation::NamedProcess { name: Some(&process.name), pid: process.pid }.to_string();
    let scan = app.scan();
    let user = process.uid.zip(scan).map(|(uid, scan)| words::user(&scan.snapshot, uid));
    let user = user.map(|user| format!("user {user}")).unwrap_or_default();
    let age = process.started.zip(scan).and_then(|(at, scan)| {
        scan.snapshot.taken_at.checked_sub(std::time::Duration::from_secs(at))
    });
    let age = age.map(|age| format!("started {} ago", notation::duration(age))).unwrap_or_default();
    let unit = process.unit.as_ref().map(|unit| words::unit(unit).1).unwrap_or_default();
    let command = process.command.as_ref().map(Text::as_str).unwrap_or_default();
    let facts = fitted(&[&name, &user, &age, unit], room);
    let left = room.saturating_sub(facts.width() + 3);
    if command_lines > 0 && command.width() > left {
        let rows = words::command_rows(command, room.saturating_sub(2).max(1));
        let rows = words::first_lines(&rows, command_lines, room.saturating_sub(2));
        let rows = rows.into_iter().map(|row| format!("  {row}"));
        return std::iter::once(facts).chain(rows).collect();
    }
    let command = words::shorten(command, left);
    vec![fitted(&[&facts, if left >= 12 { &command } else { "" }], room)]
}

/// Describes what the last request has changed.
fn news(offer: &FreeOffer, room: usize) -> Vec<HeadLine> {
    let mut lines = Vec::new();
    match &offer.news {
        FreeNews::None => return lines,
        FreeNews::Changed(change) => {
            let new = if offer.choices.is_empty() { "" } else { " The actions below are new." };
            let text = format!("Nothing was done: {change}.{new}");
            lines.extend(words::wrapped(&text, room).into_iter().map(|line| (line, Role::Warn)));
        }
        FreeNews::Done { steps, is_done } => {
            let role = if *is_done { Role::Text } else { Role::Warn };
            let steps = steps.iter().take(MAX_PORTS);
            lines.extend(steps.map(|step| (words::shorten(step.as_str(), room), role)));
            let ports = offer.ports.iter().take(MAX_PORTS);
            lines.extend(ports.map(|port| use_of(port, room)));
            if let Some(more) = offer.ports.len().checked_sub(MAX_PORTS).filter(|more| *more > 0) {
                lines.push((notation::counted(more as u64, "more port"), Role::Dim));
            }
        }
    }
    lines.push((String::new(), Role::Text));
    lines
}

/// Says whether the port is free.
fn use_of(port: &OfferedPort, room: usize) -> HeadLine {
    let name = free_dialog::name(port.protocol, port.port);
    let (text, role) = match &port.example {
        None if port.may_be_unlisted => {
            (format!("No socket is listed on {name}, but an unlisted one may use it."), Role::Warn)
        }
        None => (format!("{name} is free."), Role::Ok),
        Some((state, holder)) => {
            let holder = holder.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
            let more = match port.sockets {
                1 => String::new(),
                all => format!(" and {}", notation::counted(all - 1, "more socket")),
            };
            (format!("{name} is still in use: {state}{holder}{more}."), Role::Warn)
        }
    };
    (words::shorten(&text, room), role)
}

/// Formats `❯ 1 End the process (SIGTERM)               frees it`.
fn choice_line(
    choice: &ActionChoice,
    (index, is_selected): (usize, bool),
    room: usize,
    theme: &Theme,
) -> Vec<Span<'static>> {
    let pointer = if is_selected { theme.glyph("❯", ">") } else { " " };
    let verdicts = verdicts(choice);
    let title = choice.action.title();
    let left = room.saturating_sub(4 + title.width() + 2);
    let verdict = first_fitting(&verdicts, left.max(verdicts[1].width()), theme);
    let title = words::shorten(&title, room.saturating_sub(4 + verdict.width() + 2));
    let gap = room.saturating_sub(4 + title.width() + verdict.width());
    let role = match choice.forecast.frees {
        _ if choice.forecast.permission.refusal().is_some() => Role::Dim,
        Frees::Yes => Role::Ok,
        Frees::No => Role::Text,
        Frees::Unknown => Role::Warn,
    };
    let style = theme.style(if is_selected { Role::Selected } else { Role::Text });
    vec![
        Span::styled(format!("{pointer} {} {title}{:gap$}", index + 1, ""), style),
        Span::styled(verdict, if is_selected { style } else { theme.style(role) }),
    ]
}

/// Says whether the action frees the port, in long and short words.
fn verdicts(choice: &ActionChoice) -> [String; 2] {
    let long = match choice.forecast.permission.refusal() {
        Some(_) => "not permitted",
        None => choice.verdict(),
    };
    let short = match (&choice.action, choice.forecast.frees) {
        _ if choice.forecast.permission.refusal().is_some() => "not permitted",
        (_, Frees::Yes) => "frees it",
        (PortAction::Reserve, _) | (_, Frees::No) => "does not",
        (_, Frees::Unknown) => "unknown",
    };
    [long.to_owned(), short.to_owned()]
}

fn hints(app: &App) -> Vec<(&'static str, &'static str)> {
    let mut hints = Vec::new();
    if app.may_perform() {
        hints.push(("y", "do it"));
    }
    let has_choice = app.offered_choice().is_some();
    if has_choice {
        hints.push(("c", "copy the command"));
    }
    if !has_choice && app.offers_choices() {
        hints.push(("1-9", "choose an action"));
    }
    hints.push(("Esc", "close"));
    hints
}
