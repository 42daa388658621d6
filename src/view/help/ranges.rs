//! Builds the page of ranges: which ports have which purpose, and what bind() and connect() do with
//! them. Takes only the figures of this machine from the snapshot.
//!
//! The behaviour of Linux was tested on 6.18; the order by parity and the rule of connect() are
//! those of `inet_csk_find_open_port` and `__inet_hash_connect` (net/ipv4).

use ratatui::text::Line;

use super::{
    PageContext, heading,
    mark_table::{MarkRow, MarkTable, stack},
};
use crate::{
    domain::{Ephemeral, notation, port},
    view::words,
};

const EPHEMERAL: &str = "An ephemeral port is a local port that the kernel chooses: for connect(), \
                         for bind() to port 0, and for unbound UDP sockets.";
/// Width of `this machine` and a gap.
const NAMES: usize = 14;
/// Width of `32768-60999` and a gap.
const PORTS: usize = 13;

pub fn lines(page_context: &PageContext) -> Vec<Line<'static>> {
    let default = Ephemeral::default();
    let scanned = page_context.app.scan().map(|scan| &scan.snapshot.ephemeral);
    let ephemeral = scanned.unwrap_or(&default);
    let table = MarkTable { page_context, marks: 0, names: NAMES + PORTS };
    let call_table = MarkTable { page_context, marks: 0, names: NAMES };
    stack(
        vec![
            words::wrapped(EPHEMERAL, page_context.width).into_iter().map(Line::raw).collect(),
            table.lines(&ranges(ephemeral, scanned.is_some())),
            std::iter::once(heading("What Linux does with them", page_context.theme))
                .chain(call_table.lines(&calls(ephemeral)))
                .collect(),
        ],
        page_context,
    )
}

/// Returns the ranges and their purposes. The first three rows are from RFC 6335, section 6. The
/// row of macOS is from `net.inet.ip.portrange` of XNU, that of Windows (since Vista) from
/// Microsoft's KB 929851.
fn ranges(ephemeral: &Ephemeral, is_scanned: bool) -> Vec<MarkRow> {
    let privileged = match ephemeral.unprivileged_start {
        0 => "known services; any process may bind() here".to_owned(),
        start => format!("known services; below {start} privileged here"),
    };
    let own = if is_scanned {
        let capacity = notation::grouped(ephemeral.automatic_capacity());
        let reserved = notation::grouped(ephemeral.reserved_in(ephemeral.range));
        format!("{capacity} for the kernel's choice, {reserved} reserved")
    } else {
        "not scanned yet: Linux's default is assumed".to_owned()
    };
    vec![
        row("system", port::SYSTEM, privileged),
        row("registered", port::REGISTERED, "assigned on request; any process may bind()"),
        row("IANA dynamic", port::IANA_DYNAMIC, "never registered: for automatic choice"),
        row("Linux default", port::LINUX_DEFAULT, "automatic choice, unless configured"),
        MarkRow { is_emphasized: true, ..row("this machine", ephemeral.range, own) },
        row("macOS", port::IANA_DYNAMIC, "automatic choice by default"),
        row("Windows", port::IANA_DYNAMIC, "automatic choice by default, since Vista"),
    ]
}

fn row(name: &str, range: port::PortRange, sentence: impl Into<String>) -> MarkRow {
    MarkRow::new(format!("{name:NAMES$}{range}"), sentence)
}

fn calls(ephemeral: &Ephemeral) -> Vec<MarkRow> {
    let (first, second) = match ephemeral.range.first() % 2 {
        0 => ("even", "odd"),
        _ => ("odd", "even"),
    };
    let privileged = match ephemeral.unprivileged_start {
        0 => "none here: any process may bind() any port".to_owned(),
        start => format!("bind() below {start} needs CAP_NET_BIND_SERVICE (else EACCES)"),
    };
    let reuse = match ephemeral.tw_reuse {
        Some(0) => "only after these 60s (tcp_tw_reuse 0)",
        Some(1) => "after 1s (tcp_tw_reuse 1)",
        Some(2) => "after 1s on loopback only (tcp_tw_reuse 2)",
        Some(_) | None => "depending on tcp_tw_reuse (unknown)",
    };
    vec![
        MarkRow::new("bind(port)", "any free port, inside or outside the range, reserved or not"),
        MarkRow::new(
            "bind(0)",
            format!("random start, {second} ports first; connect() skips such a port"),
        ),
        MarkRow::new(
            "connect()",
            format!(
                "{first} ports first; shares a port with connections to other peers; skips every \
                 bound port"
            ),
        ),
        MarkRow::new("UDP", "at random, odd and even alike; connect() shares no port"),
        MarkRow::new(
            "TIME-WAIT",
            format!(
                "for 60s bind() needs SO_REUSEADDR or SO_REUSEPORT on the old and the new \
                 socket; connect() to another peer works at once, to the same peer {reuse}"
            ),
        ),
        MarkRow::new("reserved", "skipped by bind(0) and connect(); bind(port) can use it"),
        MarkRow::new("privileged", privileged),
        MarkRow::new("all in use", "connect() EADDRNOTAVAIL (UDP: EAGAIN), bind(0) EADDRINUSE"),
        MarkRow::new("TCP and UDP", "never block each other"),
    ]
}
