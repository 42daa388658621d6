//! Builds the rows that explain the marks and figures of each screen. Does not compute the figures.

use ratatui::{style::Style, text::Span};

use super::{PageContext, mark_table::MarkRow};
use crate::{
    app::allocation::Speed,
    view::{Role, Theme},
};

/// Returns the figures of the Overview.
pub fn overview(page_context: &PageContext) -> Vec<MarkRow> {
    let theme = page_context.theme;
    let tick = Span::styled(format!(" {} ", theme.glyph('╎', '|')), theme.style(Role::Dim));
    let least = theme.glyph("≥", ">=");
    let is_even = page_context.app.ephemeral().first().is_multiple_of(2);
    let parity = if is_even { "even" } else { "odd" };
    vec![
        MarkRow::new("in use", "share of usable ports that have a connection and cannot be reused"),
        MarkRow::new(
            "left",
            format!("ports that a new connection can still get; {least}: at least"),
        ),
        MarkRow::new("rate", "change of the ports in use per second"),
        MarkRow::new("full in", "forecast at this rate, only while the use grows"),
        MarkRow::new(
            format!("{parity} free"),
            format!("connect() tries {parity} ports first; slower when none is left"),
        ),
        MarkRow::new("70 %, 85 %", "share of ports in use: warning and critical").marked(tick),
        MarkRow::new("TIME-WAIT", "ports in TIME-WAIT (chart and map: those in no other state)"),
    ]
}

/// Returns the marks before the rows of the list of sockets.
pub fn sockets(theme: &Theme) -> Vec<MarkRow> {
    let mark = |symbol: &str, role| Span::styled(format!(" {symbol} "), theme.style(role));
    vec![
        MarkRow::new("marked", "by v or V; x, Y and W use these rows")
            .marked(mark(theme.glyph("✓", "*"), Role::Accent)),
        MarkRow::new("new", "a + for 3 s").marked(mark("+", Role::Ok)),
        MarkRow::new("ended", "the row disappears after 3 s")
            .marked(mark(theme.glyph("−", "-"), Role::Warn)),
    ]
}

/// Returns the marks of the allocator's map and histogram.
pub fn allocate(page_context: &PageContext) -> Vec<MarkRow> {
    let theme = page_context.theme;
    let density = if theme.needs_whole_cells() {
        Span::raw(theme.glyph("·▒█", ".=@"))
    } else {
        Span::styled("███", theme.style(Role::Heat(4)))
    };
    let mut rows = vec![
        MarkRow::new(
            "refused",
            "attempt n met a port in use; + from the 10th on (2nd if ports are tried in order)",
        )
        .marked(badge("1", Role::Collision, theme)),
        MarkRow::new("allocated", "this attempt got its port; older marks fade")
            .marked(allocated(theme)),
        MarkRow::new("held", "by this run, until x, X, a new run or quitting").marked(badge(
            theme.glyph("●", "o"),
            Role::Ok,
            theme,
        )),
        MarkRow::new("in use", "by others; grey, to make attempts visible").marked(occupied(theme)),
        MarkRow::new("free", "an allocator may get it").marked(free(theme)),
        MarkRow::new("expected", "value of the strategy's model, beside the measured one")
            .marked(Span::raw(theme.glyph(" ◇ ", " o "))),
        MarkRow::new("density", "at max speed: attempts/s per port, mean of each block")
            .marked(density),
    ];
    if page_context.app.allocation().speed() == Speed::Thousand {
        rows.push(MarkRow::new("flash", "at 1k/s: a sample of the attempts, shown briefly"));
    }
    rows
}

/// Returns the marks on the map and in the tables of the pool.
pub fn pool(theme: &Theme) -> Vec<MarkRow> {
    let badge = |text, role| badge(text, role, theme);
    let closed = Span::styled(format!(" {} ", theme.glyph("○", "z")), theme.style(Role::Warn));
    let rows = [
        (badge("H", Role::Category(1)), "high", "a lease of class high, in any band"),
        (
            badge("N", Role::Category(0)),
            "normal",
            "a lease of class normal, in the normal or low band",
        ),
        (badge("L", Role::Category(2)), "low", "a lease of class low, in the low band"),
        (closed, "quarantine", "released; not leased again until its time is over"),
        (badge("!", Role::Warn), "late", "in quarantine; datagrams have arrived"),
        (badge("1", Role::Collision), "refused", "attempt n met a port in use; + from the 10th on"),
        (occupied(theme), "in use", "by others"),
        (free(theme), "free", "a lease may get it"),
    ];
    let block = Span::styled("██", theme.style(Role::Scale(2)));
    let kept = (block, "kept", "free ports reserved for classes high and normal");
    let rows = rows.into_iter().chain((!theme.needs_whole_cells()).then_some(kept));
    rows.map(|(mark, name, sentence)| MarkRow::new(name, sentence).marked(mark)).collect()
}

/// Returns the marks on maps, histograms and the curve of the lab.
pub fn lab(theme: &Theme) -> Vec<MarkRow> {
    let shape = Style::reset().patch(theme.style(Role::Category(0)));
    vec![
        MarkRow::new("refused", "attempt n of an allocation was refused; + from the 10th on")
            .marked(badge("1", Role::Collision, theme)),
        MarkRow::new("allocated", "the allocation ended here, with this port")
            .marked(allocated(theme)),
        MarkRow::new("in use", "in this allocation; the next one has other ports in use")
            .marked(occupied(theme)),
        MarkRow::new("free", "a strategy may get it").marked(free(theme)),
        MarkRow::new("measured", "each strategy has a shape and a colour")
            .marked(Span::styled(theme.glyph(" ● ", " @ "), shape)),
        MarkRow::new("expected", "value of the model, if there is one; dots on the curve")
            .marked(Span::raw(theme.glyph(" ◇ ", " o "))),
        MarkRow::new("now", "current occupancy, on the curve")
            .marked(Span::raw(theme.glyph(" │ ", " | "))),
    ]
}

/// Returns the figures beside the maps of the lab, then the distributions of occupied ports.
pub fn lab_figures() -> Vec<MarkRow> {
    [
        ("mean", "attempts per allocation; failed ones count with all attempts"),
        ("p50 p99", "50, 99 of 100 allocations got a port within these attempts"),
        ("failed", "allocations without a port; amber: > 4 std. errors off"),
        ("next", "pattern of the last ports; bits of the next one still unknown"),
        ("predictable", "share of the next port's bits that the pattern predicts"),
        ("time", "time per allocated port"),
        ("occupied", "longest run of occupied ports; an ordered search tries each"),
        ("uniform", "every set of ports is equally likely (key d)"),
        ("clustered", "occupied ports in runs of 64 on average (key d)"),
        ("built", "filled by the strategy, from an empty range (key d)"),
    ]
    .map(|(name, sentence)| MarkRow::new(name, sentence))
    .into()
}

fn badge(text: &str, role: Role, theme: &Theme) -> Span<'static> {
    Span::styled(format!(" {text} "), theme.badge(role))
}

fn allocated(theme: &Theme) -> Span<'static> {
    badge(theme.glyph("◆", "*"), Role::Allocated, theme)
}

/// Returns the mark of ports in use by others on maps of attempts.
fn occupied(theme: &Theme) -> Span<'static> {
    if theme.needs_whole_cells() {
        Span::raw(theme.glyph(" ▒ ", " = "))
    } else {
        Span::styled(" █ ", theme.style(Role::Muted))
    }
}

/// Returns the mark of free ports on maps of attempts.
fn free(theme: &Theme) -> Span<'static> {
    let style = Style::new().bg(theme.color(Role::Available));
    Span::styled(theme.glyph(" · ", " . "), style)
}
