//! Builds the page of states and colours: what each means and what to do about it. Does not count.

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};

use super::{
    PageContext,
    mark_table::{MarkRow, MarkTable, stack},
    marks,
};
use crate::{
    app::{Lens, Screen, lens::LENSES},
    domain::{Ephemeral, State, StateClass},
    view::{Role, Theme, lens, theme::letter},
};

/// Width of ` L ` and a blank.
const MARKS: usize = 4;
/// Width of `SYN-RECEIVED` and a blank.
const NAMES: usize = 13;
/// Width of `lens` and a blank.
const LENS_MARKS: usize = 5;

pub fn lines(page_context: &PageContext) -> Vec<Line<'static>> {
    let full = page(page_context, LENSES.iter().map(|row| row.lens));
    if full.len() <= page_context.height {
        return full;
    }
    page(page_context, std::iter::once(page_context.app.map().lens))
}

fn page(page_context: &PageContext, lenses: impl Iterator<Item = Lens>) -> Vec<Line<'static>> {
    let mark_table = MarkTable { page_context, marks: MARKS, names: NAMES };
    let lens_sheet =
        MarkTable { marks: LENS_MARKS, names: MARKS + NAMES - LENS_MARKS, ..mark_table };
    let theme = page_context.theme;
    let states = || mark_table.lines(&State::EACH.map(|state| of_state(state, theme)));
    let groups = match page_context.app.screen() {
        Screen::Overview => vec![mark_table.lines(&marks::overview(page_context)), states()],
        Screen::Map => vec![
            states(),
            mark_table.lines(&free_ports(page_context)),
            mark_table.lines(&reading(theme)),
            lens_sheet.lines(&lenses.map(|lens| of_lens(lens, theme)).collect::<Vec<_>>()),
        ],
        Screen::Sockets => vec![mark_table.lines(&marks::sockets(theme)), states()],
        Screen::Allocate if page_context.app.pool().is_open() => {
            vec![mark_table.lines(&marks::pool(theme)), states()]
        }
        Screen::Allocate => vec![mark_table.lines(&marks::allocate(page_context)), states()],
        Screen::Lab => {
            vec![mark_table.lines(&marks::lab(theme)), mark_table.lines(&marks::lab_figures())]
        }
    };
    stack(groups, page_context)
}

fn of_state(state: State, theme: &Theme) -> MarkRow {
    let class = StateClass::of(state);
    let badge = Span::styled(format!(" {} ", letter(class)), theme.badge(Role::Class(class)));
    MarkRow::new(state.name(), meaning(state)).marked(badge)
}

/// Returns what a state is and what to do about it (states of RFC 9293, section 3.3.2).
fn meaning(state: State) -> &'static str {
    match state {
        State::Listen => "a server waits here; to free the port, end its owner",
        State::SynSent => "connecting, no answer yet; if many: check the firewall",
        State::SynReceived => "a peer connects; if many: SYN flood, or a full backlog",
        State::Established => "connected; connect() may use its port again for other peers",
        State::FinWait1 => "closed here, no ACK from the peer yet; is the peer up?",
        State::FinWait2 => "closed here, not by the peer; orphans end in about 60s",
        State::CloseWait => "closed by the peer, not by the owner: look for a leak",
        State::Closing => "both closed at the same time; waits for the peer's ACK",
        State::LastAck => "both closed; waits for the peer's last ACK",
        State::TimeWait => "closed here first, kept 60s; if many: reuse connections",
        State::Bound => "bound, but neither listening nor connected: a leak?",
        State::Unconnected => "UDP without a peer, receives from all; held until closed",
        State::Connected => "UDP with one peer; unlike TCP, connect() shares no port",
    }
}

fn free_ports(page_context: &PageContext) -> Vec<MarkRow> {
    let theme = page_context.theme;
    let block = |role, glyph| {
        let style = if theme.has_color() {
            theme.style(Role::Dim).bg(theme.color(role))
        } else {
            Style::new()
        };
        Span::styled(format!(" {glyph} "), style)
    };
    let default = Ephemeral::default();
    let ephemeral = page_context.app.scan().map_or(&default, |scan| &scan.snapshot.ephemeral);
    let system = match ephemeral.unprivileged_start {
        0 => "0-1023, free; any process may bind() them here".to_owned(),
        start => format!("0-1023, free; below {start} bind() needs CAP_NET_BIND_SERVICE"),
    };
    vec![
        MarkRow::new("free", "no socket, in the range: the kernel may choose it")
            .marked(block(Role::Available, theme.glyph('·', '.'))),
        MarkRow::new("reserved", "skipped by automatic choice; an explicit bind() gets it")
            .marked(block(Role::Reserved, 'x')),
        MarkRow::new("system", system).marked(block(Role::System, ' ')),
        MarkRow::new("outside", "free, not in the range: only an explicit bind() gets it")
            .marked(block(Role::Outside, ' ')),
    ]
}

/// Returns the rows that explain blocks and the cursor.
fn reading(theme: &Theme) -> Vec<MarkRow> {
    let fullness = if theme.has_color() {
        "its main state; a stronger colour: more ports in use"
    } else {
        "the fuller the glyph, the more ports in use"
    };
    let cursor = Span::styled(" 1 ", theme.badge(Role::Cursor));
    vec![
        MarkRow::new("block", fullness),
        MarkRow::new("cursor", "your position; left edge: its port number").marked(cursor),
    ]
}

/// Returns the row of a lens, with the letters that it shows on the map.
fn of_lens(lens: Lens, theme: &Theme) -> MarkRow {
    let view = lens::view(lens);
    let letters = (view.letters)(view.categories, theme);
    MarkRow::new(lens.name(), letters)
        .marked(Span::styled("lens", Style::new().add_modifier(Modifier::DIM)))
}
