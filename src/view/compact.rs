//! Draws the Overview and the Map as text on terminals that are too small for them. The shortest
//! text is a single number. No word is cut.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::{App, Screen, overview::headline::Headline},
    domain::{Finding, notation},
    view::{Role, Theme, gauges, overview, words},
};

pub fn render(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.width);
    let mut lines = Vec::new();
    for words in lines_of(app, theme, room) {
        // Uses the longest wording that fits; leaves the line out if none fits.
        lines.extend(words.into_iter().find(|line| line.width() <= room));
    }
    if area.height == 1 && lines.len() > 1 {
        lines.swap(0, 1);
    }
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        buffer.set_line(area.x, y, line, area.width);
    }
}

/// Returns the wordings of each line, longest first.
fn lines_of(app: &App, theme: &Theme, room: usize) -> Vec<Vec<Line<'static>>> {
    let name = Line::styled("portscope", theme.style(Role::Accent));
    let Some(scan) = app.scan() else {
        let state = match app.failure() {
            None => vec![Line::raw("first scan.."), Line::raw("..")],
            Some(why) => vec![
                Line::styled(why.to_string(), theme.style(Role::Critical)),
                Line::styled("scan failed", theme.style(Role::Critical)),
                Line::styled("!", theme.style(Role::Critical)),
            ],
        };
        return vec![vec![name], state];
    };
    if let Some(headline) = app.headline().filter(|_| app.screen() == Screen::Overview) {
        return overview_lines(app, headline, theme, room);
    }
    let ephemeral = &scan.snapshot.ephemeral;
    let occupied = app.map().protocols;
    let occupied = scan.occupancy.occupied_in(ephemeral.range, occupied);
    let share = notation::percent_of(occupied, ephemeral.range.len());
    let range = ephemeral.range;
    let counts = format!("{} of {}", notation::grouped(occupied), notation::grouped(range.len()));
    let state = if app.is_frozen() { "paused" } else { "age" };
    let age = app.age().map(notation::duration).unwrap_or_default();
    let mut lines = vec![
        vec![Line::from(format!("portscope  {state} {age}")), name],
        vec![
            Line::raw(format!("{range}: {counts} ports occupied, {share}")),
            Line::raw(format!("{counts} occupied, {share}")),
            Line::raw(format!("{share} occupied")),
            Line::raw(share.clone()),
            Line::raw(share.replace(' ', "")),
        ],
    ];
    lines.extend(scan.gauges.iter().map(|gauge| vec![gauges::line(gauge, theme)]));
    let cursor = app.map().cursor;
    let socket = app.sockets_on(cursor).next();
    lines.push(match socket {
        None => vec![Line::raw(format!("port {cursor}: no socket"))],
        Some(socket) => {
            let owner = words::owner_line(app, &scan.snapshot, socket);
            let state = socket.state;
            vec![
                Line::raw(format!("port {cursor}: {state} {owner}")),
                Line::raw(format!("port {cursor}: {state}")),
            ]
        }
    });
    lines.push(vec![Line::styled(
        "80x24 shows the map",
        Style::new().patch(theme.style(Role::Dim)),
    )]);
    lines
}

/// Returns the headline, the gauges and the most severe finding.
fn overview_lines(
    app: &App,
    headline: &Headline,
    theme: &Theme,
    room: usize,
) -> Vec<Vec<Line<'static>>> {
    let Some(scan) = app.scan() else { return Vec::new() };
    let state = if app.is_frozen() { "paused" } else { "age" };
    let age = app.age().map(notation::duration).unwrap_or_default();
    let name = Line::styled("portscope", theme.style(Role::Accent));
    let own = headline.own_finding(scan);
    let (badge, role) = overview::badge(own, headline.standing.level);
    let short = |finding: &Finding, room| overview::whole_words(&finding.summary, room);
    let texts = match own {
        Some(finding) => vec![short(finding, room.saturating_sub(badge.len() + 2))],
        None => overview::headline(&headline.standing, 1, theme),
    };
    let mut wordings: Vec<Line<'static>> = texts
        .iter()
        .map(|text| {
            let badge = Span::styled(format!("{badge}  "), theme.style(role));
            Line::from(vec![badge, Span::raw(text.clone())])
        })
        .collect();
    wordings.push(Line::styled(badge, theme.style(role)));
    if own.is_none() {
        wordings.extend(texts.last().map(|share| Line::raw(share.replace(' ', ""))));
    }
    let mut lines = vec![vec![Line::from(format!("portscope  {state} {age}")), name], wordings];
    lines.extend(scan.gauges.iter().map(|gauge| vec![gauges::line(gauge, theme)]));
    let mut others = scan.diagnosis.findings.iter().filter(|&finding| Some(finding) != own);
    lines.extend(others.next().map(|finding| vec![Line::raw(short(finding, room))]));
    lines.push(vec![Line::styled("80x24 shows more", theme.style(Role::Dim))]);
    lines
}
