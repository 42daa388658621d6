//! Draws the Overview and the Map as text on terminals that are too small for them. The shortest
//! text is the share of ports in use, or the severity of a finding. Cuts only names.

use ratatui::text::{Line, Span};

use crate::{
    app::{App, LatestScan, Screen, overview::headline::Headline},
    domain::notation,
    view::{Role, Theme, gauges, header, overview, surface::Surface, words},
};

/// Minimum width, in columns, for the reason and the advice of a finding.
const LEAST_TEXT: usize = 30;
/// Maximum number of lines for the owner, the reason and the advice.
const MAX_EXPLANATION: usize = 7;

pub fn render(app: &App, surface: &mut Surface<'_>) {
    let area = surface.area;
    let [room, height] = [area.width, area.height].map(usize::from);
    let mut lines = Vec::new();
    for words in lines_of(app, surface.theme, room, height) {
        // Uses the longest wording that fits; leaves the line out if none fits.
        lines.extend(words.into_iter().find(|line| line.width() <= room));
    }
    if area.height == 1 && lines.len() > 1 {
        lines.swap(0, 1);
    }
    surface.lines(&lines);
}

/// Returns the wordings of each line, longest first. On the Overview, adds as much of the reason
/// and the advice as fits.
fn lines_of(app: &App, theme: &Theme, room: usize, height: usize) -> Vec<Vec<Line<'static>>> {
    let Some(scan) = app.scan() else { return vec![vec![name(theme)], waiting(app, theme)] };
    let headline = app.headline().filter(|_| app.screen() == Screen::Overview);
    let first = match headline {
        Some(headline) => verdict(scan, headline, theme, room),
        None => ports_in_use(app, scan),
    };
    let mut lines = vec![title(app, theme), first];
    let gauges = |all: &LatestScan| -> Vec<Vec<Line<'static>>> {
        all.gauges.iter().map(|gauge| vec![gauges::line(gauge, theme)]).collect()
    };
    let larger = if headline.is_some() {
        let left = height.saturating_sub(lines.len());
        if room >= LEAST_TEXT && left > 0 {
            // Leaves out the blank lines, which keep the advice in its place on the Overview.
            let most = left.min(MAX_EXPLANATION);
            let explanation = overview::explanation(app, theme, room, most).into_iter().take(most);
            let filled = explanation.filter(|line| !line.to_string().trim().is_empty());
            lines.extend(filled.map(|line| vec![line]));
        }
        lines.extend(overview::compact_rows(app, theme, room, height));
        if room < LEAST_TEXT || lines.len() < height {
            lines.extend(gauges(scan));
        }
        ["enlarge to 80x20 for lists and map", "80x20 shows more"]
    } else {
        lines.extend(gauges(scan));
        lines.push(match app.not_found() {
            Some(find) => {
                vec![Line::raw(words::whole_words(&words::not_found(app, scan, find), room))]
            }
            None => port_under_cursor(app, scan),
        });
        ["enlarge to 80x20 for the map", "map needs 80x20"]
    };
    lines.push(Vec::from(larger.map(|words| Line::styled(words, theme.style(Role::Dim)))));
    lines
}

fn ports_in_use(app: &App, scan: &LatestScan) -> Vec<Line<'static>> {
    let range = scan.snapshot.ephemeral.range;
    let occupied = scan.occupancy.occupied_in(range, app.map().protocols);
    let share = notation::percent_of(occupied, range.len());
    let counts = words::of(occupied, range.len());
    vec![
        Line::raw(format!("{range}: {counts} ports in use, {share}")),
        Line::raw(format!("{counts} in use, {share}")),
        Line::raw(format!("{share} in use")),
        Line::raw(share.clone()),
        Line::raw(share.replace(' ', "")),
    ]
}

fn port_under_cursor(app: &App, scan: &LatestScan) -> Vec<Line<'static>> {
    let cursor = app.map().cursor;
    let Some(socket) = app.sockets_on(cursor).next() else {
        return vec![Line::raw(format!("port {cursor}: no socket"))];
    };
    let owner = words::owner_line(app, &scan.snapshot, socket);
    let state = socket.state;
    let wordings = [format!("port {cursor}: {state} {owner}"), format!("port {cursor}: {state}")];
    wordings.map(Line::raw).into()
}

/// Returns the wordings of the state before the first scan has ended.
fn waiting(app: &App, theme: &Theme) -> Vec<Line<'static>> {
    let style = theme.style(Role::Critical);
    match app.failure() {
        None => vec![Line::raw("first scan.."), Line::raw("..")],
        Some(why) => vec![
            Line::styled(why.to_string(), style),
            Line::styled("scan failed", style),
            Line::styled("!", style),
        ],
    }
}

fn name(theme: &Theme) -> Line<'static> {
    Line::styled("portscope", theme.style(Role::Accent))
}

/// Returns the wordings of the first line: the program's name, the state and the age of the scan.
fn title(app: &App, theme: &Theme) -> Vec<Line<'static>> {
    let state = app.scan().map_or("", |scan| header::state_name(app, &scan.snapshot).0);
    let age = app.age().map(notation::duration).unwrap_or_default();
    let wordings = [format!("portscope  {state} {age}"), format!("{state} {age}")];
    wordings.into_iter().map(Line::from).chain([name(theme)]).collect()
}

/// Returns the wordings of the headline.
fn verdict(
    scan: &LatestScan,
    headline: &Headline,
    theme: &Theme,
    room: usize,
) -> Vec<Line<'static>> {
    let own = headline.own_finding(scan);
    let (badge, role) = overview::badge(own, headline.subject_status.level);
    let texts = match own {
        Some(finding) => {
            vec![words::whole_clauses(&finding.summary, room.saturating_sub(badge.len() + 2))]
        }
        None => overview::headline(&headline.subject_status, 1, theme),
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
    wordings
}
