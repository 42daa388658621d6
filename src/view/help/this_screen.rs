//! Builds the page of the screen: what it shows, and its words. Does not explain keys or colours.

use ratatui::text::Line;

use super::{
    PageContext,
    mark_table::{MarkRow, MarkTable, stack},
};
use crate::{
    app::{App, Screen},
    view::words,
};

/// A word of a screen and its meaning.
type Word = (&'static str, &'static str);

/// The name of a screen, what it shows, its words.
struct ScreenWords {
    title: &'static str,
    purpose: &'static str,
    words: &'static [Word],
}

const OVERVIEW: ScreenWords = ScreenWords {
    title: "Overview",
    purpose: "Shows whether a port range or a destination runs out of ports, which process causes \
              it, and what helps. y copies the selected row for a ticket.",
    words: &[
        ("WATCH", "at least 70 % of the ports are in use (the first tick of the bars)"),
        ("EXHAUSTING", "at least 85 % are in use (the second tick), or all will be soon"),
        ("FAILING", "calls fail now and then: no port was left at a scan of the last minute"),
        ("EXHAUSTED", "no port is known to be left: connect() or bind() fails"),
        (
            "destination",
            "an address and port to which connections go; each connection from the \
                         same source address needs a local port of its own",
        ),
        ("in use, %", "ports that have a connection and cannot be reused; their share"),
        ("left", "ports that a new connection to this destination can still get"),
        ("rate, full in", "change of the ports in use; time until none is left at this rate"),
        ("TIME-WAIT", "closed connections; the kernel keeps their ports for 60s"),
        ("even free", "connect() tries these ports first; without them each call takes longer"),
        (
            "owner",
            "the process that holds the socket; kernel: the process has closed it; \
                   hidden: no right to see it",
        ),
    ],
};
const MAP: ScreenWords = ScreenWords {
    title: "Map",
    purpose: "Every port of a range at its place: the port is the number at the left plus the \
              number above. y copies what is known about the port.",
    words: &[
        (
            "block",
            "a cell for several ports; it shows one state: a rare one first, else the states of \
             nearby blocks in turn, by number of ports; brighter if more ports are in use",
        ),
        ("brackets", "thick: the ephemeral range; thin: IANA's dynamic range"),
        ("bar, number", "at the right of a row: how many of its ports are in use"),
        ("lens", "the question that the colours answer: state, owner, protocol, age and others"),
        ("free", "in the ephemeral range, not reserved, without a socket"),
        ("reserved", "in ip_local_reserved_ports: only an explicit bind() gets it"),
        ("BOUND", "bound, neither listening nor connected"),
        ("backlog", "a connection that the listening process has not accepted yet"),
        ("seen for", "the socket was open before the first scan"),
    ],
};
const SOCKETS: ScreenWords = ScreenWords {
    title: "Sockets",
    purpose: "Every socket, a row each: find them by a filter, group them, see who holds them and what \
              frees the port. While the filter is typed: Enter keeps it, Esc clears it, Up and Down \
              go through the last ones, Tab completes.",
    words: &[
        ("nginx", "a bare name: part of the name of the owner; also pid 812, user app, unit nginx"),
        (":8080, 10.0.0.0/8", "either port, either address; to 10.0.3.17:5432: the remote end"),
        ("state time-wait", "the filters of ss(8), with and, or, not and ( ); listen; age > 1m"),
        ("?nginx", "a search: all sockets stay, • marks those found, n and N go through them"),
        ("same as", "the ss command that lists the same sockets; y copies it"),
        ("age, left", "since the socket was first seen, > if it is older; TIME-WAIT: time left"),
        ("queue", "of a listener: connections that wait, and the limit; else bytes in, out"),
        ("+ new, − ended", "marked for 3 s; the selection stays on its socket while rows move"),
        ("(name)", "the process that closed the socket, which the kernel still keeps"),
        ("unknown", "whether a socket matches depends on what is not visible, such as its owner"),
    ],
};
const ALLOCATE: ScreenWords = ScreenWords {
    title: "Allocate",
    purpose: "How a program finds a free port: it tries ports in the order of its strategy until a \
              bind() succeeds or it gives up.",
    words: &[
        ("attempt", "one bind() of one port; on the map, its number marks it"),
        ("refused", "an attempt that met a port in use; their share of all attempts"),
        ("allocation", "the attempts until a port is bound or the limit is reached"),
        ("real", "binds ports of this machine, and closes them at once unless they are held"),
        ("simulated", "in memory: holders of ports are invented, and no time is measured"),
        ("measured", "of this run; the share refused is shown after 100 attempts"),
        ("expected", "from theory: with a share p in use, 1/(1-p) attempts on average at random"),
        ("p50, p99", "attempts that are enough for half of the allocations, for 99 % of them"),
        ("seed", "the same seed repeats the same ports; Backspace starts again"),
        ("hold", "keep allocated ports bound until they are released"),
    ],
};
const POOL: ScreenWords = ScreenWords {
    title: "Pool",
    purpose: "Ports leased to processes, as portscope serve does it.",
    words: &[
        ("lease", "a port kept for a process until it is released or the process has exited"),
        ("class", "low, normal, high: a higher class may also use the bands of lower ones"),
        ("band", "the ports that a class has and lower ones never get"),
        (
            "held, not held",
            "bound by the pool; not bound by it, because the limit of held ports is reached",
        ),
        ("quarantine", "the time in which a released port is not leased again"),
        ("late", "datagrams that arrived for the previous user of the port"),
        ("not leased", "ports of the band that the pool could try, in use by others or not"),
        ("other use", "ports of the band with a socket that is not the pool's, at the last scan"),
    ],
};
const LAB: ScreenWords = ScreenWords {
    title: "Lab",
    purpose: "Strategies side by side, on the same ports in use and with the same seed.",
    words: &[
        ("mean", "attempts per allocation; expected: from theory, - without a formula"),
        ("p99", "attempts that are enough for 99 % of the allocations; >100: more than 1 % failed"),
        ("failed", "allocations that gave up at the limit of attempts"),
        ("predictable", "how much an observer of the last port knows about the next one"),
        ("time", "per success; in a simulation without the time of bind()"),
        ("uniform", "each set of ports in use is equally likely, as in portscope lab"),
        ("clustered", "ports in use form runs of 64 on average"),
        ("built", "ports in use are those that the strategy itself has allocated"),
        ("real", "binds ports of this machine; simulated: in memory"),
    ],
};
const RACE: ScreenWords = ScreenWords {
    title: "Race",
    purpose: "What can happen between close() and the next bind() of the same port.",
    words: &[
        ("competitor", "a process that binds ports at random all the time"),
        ("stolen", "rounds in which it got the port before it was bound again"),
        ("kept open", "the socket is handed over to another process: there is no gap"),
        ("expected", "from theory, with the standard deviation"),
    ],
};

fn words_of(app: &App) -> &'static ScreenWords {
    match app.screen() {
        Screen::Overview => &OVERVIEW,
        Screen::Map => &MAP,
        Screen::Sockets => &SOCKETS,
        Screen::Allocate if app.pool().is_open() => &POOL,
        Screen::Allocate => &ALLOCATE,
        Screen::Lab if app.lab().is_race_shown() => &RACE,
        Screen::Lab => &LAB,
    }
}

/// Returns the name of the tab.
pub fn title(app: &App) -> &'static str {
    words_of(app).title
}

pub fn lines(page_context: &PageContext) -> Vec<Line<'static>> {
    let screen = words_of(page_context.app);
    let longest = screen.words.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
    let table = MarkTable { page_context, marks: 0, names: longest + 2 };
    let rows = screen
        .words
        .iter()
        .map(|&(word, meaning)| MarkRow { is_emphasized: true, ..MarkRow::new(word, meaning) });
    let purpose = words::wrapped(screen.purpose, page_context.width);
    stack(
        vec![purpose.into_iter().map(Line::raw).collect(), table.lines(&rows.collect::<Vec<_>>())],
        page_context,
    )
}
