//! Draws the legend of the current lens: what colours or glyphs mean, with counts.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use crate::{
    app::{
        App, Extent, Focus, LatestScan, Lens, Resolution,
        lens::{LensCounts, Marks, bind, connect},
    },
    domain::{Destination, StateClass, notation},
    view::{
        COLORED_OWNERS, Role, Theme, lens, map,
        surface::Surface,
        theme::{OTHER_OWNER_LETTER, letter, owner_letter},
        words,
    },
};

/// A mark, its name and its count (None: it is not counted).
pub struct LegendEntry {
    pub mark: char,
    /// The letter of the map's cells, which replaces a square if each cell shows a letter.
    letter: char,
    pub style: Style,
    pub name: String,
    /// Shorter names, longest first, for where `name` does not fit.
    pub short_names: &'static [&'static str],
    pub count: Option<u32>,
    /// Order of dropping: if not all entries fit, the entry with the highest value is dropped
    /// first.
    dropped: u8,
}

impl LegendEntry {
    /// Returns whether the facts beside the map show this count, too.
    pub fn is_reported_beside(&self) -> bool {
        self.dropped >= REPORTED_BESIDE
    }
}

/// The names of owners are cut to this width, in columns; the name of the owner in focus is cut to
/// twice this width.
const MAX_NAME_LENGTH: usize = 14;
/// The mark of a colour.
const SQUARE: char = '■';
/// Maximum height of a legend.
const MAX_LINES: u16 = 2;
/// Minimum `LegendEntry::dropped` of entries that the facts beside the map show, too.
const REPORTED_BESIDE: u8 = 100;

/// Draws the legend of a map at this resolution.
pub fn render(app: &App, resolution: Resolution, surface: &mut Surface<'_>) {
    let Some(scan) = app.scan() else { return };
    let (theme, area) = (surface.theme, surface.area);
    let mut entries = match app.map().lens {
        Lens::State if !theme.has_color() && resolution == Resolution::Blocks => {
            densities(scan, theme)
        }
        _ => entries(app, scan, theme),
    };
    if matches!(resolution, Resolution::Letters | Resolution::Numbers(_)) {
        for entry in entries.iter_mut().filter(|entry| entry.mark == SQUARE) {
            entry.mark = entry.letter;
        }
    }
    let mut titles = (lens::view(app.map().lens).headings)(app, scan, theme);
    // The reason why the map is not drawn as requested.
    for title in &mut titles {
        title.extend(app.missing_dots().map(str::to_owned));
    }
    let width = usize::from(area.width.saturating_sub(1));
    let height = usize::from(area.height.min(MAX_LINES));
    if let Some(title) = titles.first().filter(|_| app.map().lens == Lens::State) {
        name_closing_states(&mut entries, &Words { title, theme, width }, height);
    }
    let lines = fitting(&titles, &entries, theme, width, height);
    surface.within(Rect { x: area.x + 1, width: width as u16, ..area }).lines(&lines);
}

/// Returns the legend with the first title that leaves room for the important entries, else with
/// the last one. The titles are sorted, longest first.
fn fitting(
    titles: &[Vec<String>],
    entries: &[LegendEntry],
    theme: &Theme,
    width: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let Some((shortest, longer)) = titles.split_last() else { return Vec::new() };
    let words = |title| Words { title, theme, width };
    let important = longer.iter().find_map(|title| words(title).important(entries, height));
    important.unwrap_or_else(|| words(shortest).fitted(entries, height))
}

/// Names CLOSE-WAIT in the entry of the closing states if the whole legend fits with this name.
fn name_closing_states(entries: &mut [LegendEntry], words: &Words<'_>, height: usize) {
    let short = class_name(StateClass::Closing);
    let Some(index) = entries.iter().position(|entry| entry.name == short) else { return };
    CLOSING_STATES.clone_into(&mut entries[index].name);
    let all: Vec<&LegendEntry> = entries.iter().collect();
    if words.lines(&all, EXACT).len() > height {
        short.clone_into(&mut entries[index].name);
    }
}

pub fn density_headings(app: &App, _: &LatestScan, _: &Theme) -> Vec<Vec<String>> {
    let name = app.map().lens.name().to_owned();
    let notes = ["ports by fill of their block:", "ports in blocks filled"];
    let with_note = notes.map(|note| vec![name.clone(), note.to_owned()]);
    with_note.into_iter().chain([vec![name.clone()]]).collect()
}

pub fn bind_headings(app: &App, _: &LatestScan, _: &Theme) -> Vec<Vec<String>> {
    let protocols = map::protocols_name(app.map().protocols);
    vec![vec![app.map().lens.name().to_owned(), format!("to [::], {protocols}")]]
}

pub fn connect_headings(app: &App, scan: &LatestScan, theme: &Theme) -> Vec<Vec<String>> {
    match scan.categories.destination {
        Some(destination) => {
            let headings = destination_headings(&destination, scan, theme);
            headings.into_iter().map(|heading| vec![heading]).collect()
        }
        None => vec![vec![app.map().lens.name().to_owned(), "no connections".to_owned()]],
    }
}

/// Formats the title of the connect lens: `connect → 10.0.3.17:443: 52 in use · 20 left, 12 of them
/// by reuse of TIME-WAIT`. Ports that connect() surely reuses count as left only.
fn destination_headings(
    destination: &Destination,
    scan: &LatestScan,
    theme: &Theme,
) -> Vec<String> {
    let to = theme.glyph("→", "to");
    let named = format!("connect {to} {}", destination.remote);
    let Some(row) = scan.analysis.destination(destination) else {
        return vec![format!("{named}: no connections")];
    };
    let [used, reusable] = [row.in_use(), row.reusable].map(notation::grouped);
    let left = row.left();
    let reusable = match row.reusable {
        0 => String::new(),
        all if all > row.surely_reusable => {
            format!(", up to {reusable} of them by reuse of TIME-WAIT")
        }
        all if left.most == all => ", by reuse of TIME-WAIT".to_owned(),
        _ => format!(", {reusable} of them by reuse of TIME-WAIT"),
    };
    vec![
        format!("{named}: {used} in use · {left} left{reusable}"),
        format!("{named}: {left} left"),
        named,
    ]
}

/// Returns the categories of the connect lens. Those that the map does not mark are dropped first.
pub fn connects(app: &App, scan: &LatestScan, theme: &Theme) -> Vec<LegendEntry> {
    let mut entries = categories(app, scan, theme);
    if let Some(never) = entries.get_mut(usize::from(connect::NEVER)) {
        never.dropped = REPORTED_BESIDE;
        never.mark = if theme.needs_whole_cells() { never.mark } else { ' ' };
    }
    if let Some(eligible) = entries.get_mut(usize::from(connect::ELIGIBLE)) {
        eligible.dropped = 1;
    }
    entries
}

/// Returns the categories of the bind lens. Free ports are dropped first. With half blocks, they
/// have a mark only on a map of the ephemeral range, because they have several colours on other
/// maps.
pub fn binds(app: &App, scan: &LatestScan, theme: &Theme) -> Vec<LegendEntry> {
    let mut entries = categories(app, scan, theme);
    let has_mark = theme.needs_whole_cells() || app.map().extent == Extent::Ephemeral;
    if let Some(free) = entries.get_mut(usize::from(bind::FREE)) {
        free.dropped = REPORTED_BESIDE;
        free.mark = if has_mark { free.mark } else { ' ' };
    }
    entries
}

/// Returns the owner in focus and all others, which are grey.
fn focused(app: &App, marks: &Marks, theme: &Theme) -> Vec<LegendEntry> {
    let name = match app.map().focus {
        Some(Focus::OwnerKey(owner_key)) => words::owner_key(app, owner_key),
        Some(Focus::Filter) => format!("/ {}", app.sockets().line().text()),
        _ => String::new(),
    };
    let name = words::shorten(&name, 2 * MAX_NAME_LENGTH);
    vec![
        entry(theme, Role::Category(0), owner_letter(0), &name, Some(marks.marked)),
        entry(theme, Role::Muted, OTHER_OWNER_LETTER, "all others", Some(marks.others)),
    ]
}

/// Returns the entries of the current lens.
pub fn entries(app: &App, scan: &LatestScan, theme: &Theme) -> Vec<LegendEntry> {
    (lens::view(app.map().lens).entries)(app, scan, theme)
}

/// Builds an entry. Its mark is a coloured square, or the map's letter if there are no half blocks.
/// On a map of letters, `render` replaces the square.
fn entry(theme: &Theme, role: Role, letter: char, name: &str, count: Option<u32>) -> LegendEntry {
    LegendEntry {
        mark: if theme.needs_whole_cells() { letter } else { SQUARE },
        letter,
        style: theme.style(role),
        name: name.to_owned(),
        short_names: &[],
        count,
        dropped: 0,
    }
}

/// Returns an entry with the number of ports for each category. A category that only applies to
/// blocks has no count.
pub fn categories(app: &App, scan: &LatestScan, theme: &Theme) -> Vec<LegendEntry> {
    let numbered = (0..).zip(lens::view(app.map().lens).categories);
    numbered
        .map(|(number, category)| {
            let count = category.counts_ports.then(|| scan.categories.ports(number));
            let entry = entry(theme, category.role, category.glyph(theme), category.name, count);
            LegendEntry { short_names: category.short_names, ..entry }
        })
        .collect()
}

/// The long name of `StateClass::Closing`, which includes CLOSE-WAIT.
pub const CLOSING_STATES: &str = "CLOSE-WAIT and closing";

/// Returns the name of a state class, for counts of ports.
pub fn class_name(class: StateClass) -> &'static str {
    match class {
        StateClass::Listen => "LISTEN",
        StateClass::Closing => "closing",
        StateClass::Bound => "BOUND",
        StateClass::Udp => "UDP",
        StateClass::Established => "ESTABLISHED",
        StateClass::TimeWait => "TIME-WAIT",
    }
}

/// The state classes, in the order in which the legend and the bars show them.
pub const CLASSES: [StateClass; 6] = [
    StateClass::Listen,
    StateClass::Established,
    StateClass::TimeWait,
    StateClass::Closing,
    StateClass::Bound,
    StateClass::Udp,
];

pub fn states(app: &App, scan: &LatestScan, theme: &Theme) -> Vec<LegendEntry> {
    let available = match app.map().extent {
        Extent::Ephemeral => "free",
        Extent::All | Extent::Ports(_) => "free in range",
    };
    let counts = &scan.lens_counts;
    let dot = theme.glyph('·', '.');
    let free = entry(theme, Role::Available, dot, available, Some(counts.available));
    let reserved = entry(theme, Role::Reserved, 'x', "reserved", Some(counts.reserved));
    std::iter::once(LegendEntry { dropped: REPORTED_BESIDE + 1, ..free })
        .chain(classes(counts, theme))
        .chain([LegendEntry { dropped: REPORTED_BESIDE, ..reserved }])
        .collect()
}

fn classes(counts: &LensCounts, theme: &Theme) -> [LegendEntry; CLASSES.len()] {
    CLASSES.map(|class| {
        let count = Some(counts.of(class));
        entry(theme, Role::Class(class), letter(class), class_name(class), count)
    })
}

/// Returns the state classes that occur, with their counts, on as many lines as needed.
pub fn class_lines(counts: &LensCounts, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let entries = classes(counts, theme);
    let occurring: Vec<&LegendEntry> = filled(&entries).collect();
    Words { title: &[], theme, width }.lines(&occurring, EXACT)
}

/// Returns the glyphs of a map without colour, without counts, on as many lines as needed.
pub fn density_lines(
    scan: &LatestScan,
    counts: &LensCounts,
    theme: &Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let mut entries = densities(scan, theme);
    if counts.reserved == 0 {
        entries.pop();
    }
    for entry in &mut entries {
        entry.count = None;
    }
    let all: Vec<&LegendEntry> = entries.iter().collect();
    Words { title: &["in use".to_owned()], theme, width }.lines(&all, EXACT)
}

/// Returns the glyphs that show, without colour, how much of a block is in use.
fn densities(scan: &LatestScan, theme: &Theme) -> Vec<LegendEntry> {
    let plain = |mark, name: &str, count| LegendEntry {
        mark,
        letter: mark,
        style: Style::new(),
        name: name.to_owned(),
        short_names: &[],
        count,
        dropped: 0,
    };
    let available = plain(theme.glyph('·', '.'), "free", Some(scan.lens_counts.available));
    let reserved = plain('x', "reserved", Some(scan.lens_counts.reserved));
    let mut entries = vec![LegendEntry { dropped: REPORTED_BESIDE + 1, ..available }];
    if theme.ascii {
        // There are seven glyphs; four of them are named.
        let steps = [(':', "few"), ('=', "under half"), ('*', "over half"), ('@', "full")];
        entries.extend(steps.map(|(mark, name)| plain(mark, name, None)));
    } else {
        let steps = (0..).zip(lens::view(Lens::Density).categories).zip([':', '░', '▒', '▓', '█']);
        entries.extend(steps.map(|((number, step), mark)| {
            plain(mark, step.name, Some(scan.categories.ports(number)))
        }));
    }
    entries.push(LegendEntry { dropped: REPORTED_BESIDE, ..reserved });
    entries
}

pub fn owners_or_focus(app: &App, scan: &LatestScan, theme: &Theme) -> Vec<LegendEntry> {
    match &scan.marks {
        Some(marks) => focused(app, marks, theme),
        None => owners(scan, theme),
    }
}

fn owners(scan: &LatestScan, theme: &Theme) -> Vec<LegendEntry> {
    let (named, others) = scan.owners.owners.split_at(scan.owners.owners.len().min(COLORED_OWNERS));
    let mut entries: Vec<LegendEntry> = (0u8..)
        .zip(named)
        .map(|(rank, (name, count))| {
            let name = words::shorten(&name.words(), MAX_NAME_LENGTH);
            let letter = owner_letter(rank);
            let owner = entry(theme, Role::Category(rank), letter, &name, Some(*count));
            LegendEntry { dropped: rank, ..owner }
        })
        .collect();
    if !others.is_empty() {
        let ports = others.iter().map(|(_, ports)| ports).sum();
        let name = notation::counted(others.len() as u64, "other");
        let role = Role::OtherCategory;
        entries.push(entry(theme, role, OTHER_OWNER_LETTER, &name, Some(ports)));
    }
    if entries.is_empty() {
        entries.push(entry(theme, Role::Dim, ' ', "no sockets", Some(0)));
    }
    entries
}

/// Formats the counts of a legend. None: it has no counts.
type CountFormat = Option<fn(u32) -> String>;

const EXACT: CountFormat = Some(notation::grouped);

/// Formats a count; from 1,000 on, rounded down to hundreds: `14.3k`.
pub fn rounded(count: u32) -> String {
    match count {
        ..1000 => count.to_string(),
        _ => format!("{}.{}k", count / 1000, count % 1000 / 100),
    }
}

/// Lays out entries on lines.
struct Words<'a> {
    /// The lens and notes that precede the entries.
    title: &'a [String],
    theme: &'a Theme,
    width: usize,
}

impl Words<'_> {
    /// Returns the most detailed legend that fits. Tries [`Words::counted`], then all but the empty
    /// entries, without counts. Then drops the least important entries one by one.
    fn fitted(&self, entries: &[LegendEntry], height: usize) -> Vec<Line<'static>> {
        if let Some(lines) = self.counted(entries, height) {
            return lines;
        }
        let mut kept: Vec<&LegendEntry> = filled(entries).collect();
        loop {
            let lines = self.lines(&kept, None);
            if lines.len() <= height || kept.is_empty() {
                return lines;
            }
            let least = (0..kept.len()).max_by_key(|&i| kept[i].dropped).unwrap_or_default();
            kept.remove(least);
        }
    }

    /// Returns the most detailed legend with counts that fits. Tries, in this order: all entries;
    /// those that are not empty; of these, those that the facts beside the map do not show; the
    /// same with rounded counts. None: none of these fits.
    fn counted(&self, entries: &[LegendEntry], height: usize) -> Option<Vec<Line<'static>>> {
        let few = || filled(entries).filter(|entry| !entry.is_reported_beside());
        let wordings: [(Vec<&LegendEntry>, CountFormat); 4] = [
            (entries.iter().collect(), EXACT),
            (filled(entries).collect(), EXACT),
            (few().collect(), EXACT),
            (few().collect(), Some(rounded)),
        ];
        let mut legends = wordings.iter().map(|(kept, counts)| self.lines(kept, *counts));
        legends.find(|lines| lines.len() <= height)
    }

    /// Returns a legend with counts, or with only the most important entries and without counts.
    /// None: neither fits, or counts do not fit and all entries are equally important.
    fn important(&self, entries: &[LegendEntry], height: usize) -> Option<Vec<Line<'static>>> {
        self.counted(entries, height).or_else(|| {
            let kept: Vec<&LegendEntry> = filled(entries).filter(|e| e.dropped == 0).collect();
            let lines = self.lines(&kept, None);
            let has_others = entries.iter().any(|entry| entry.dropped > 0);
            (has_others && lines.len() <= height).then_some(lines)
        })
    }

    /// Returns the title and the entries on as many lines as needed; cuts no entry.
    fn lines(&self, entries: &[&LegendEntry], counts: CountFormat) -> Vec<Line<'static>> {
        let gap = if counts.is_none() { " " } else { "  " };
        let dim = self.theme.style(Role::Dim);
        let titles = self.title.iter().map(|title| vec![Span::styled(title.clone(), dim)]);
        let parts = titles.chain(entries.iter().map(|entry| {
            let text = match (counts, entry.count) {
                (Some(format), Some(count)) => format!("{} {}", entry.name, format(count)),
                _ => entry.name.clone(),
            };
            vec![
                Span::styled(format!("{} ", entry.mark), entry.style),
                Span::styled(text, Style::reset()),
            ]
        }));
        let mut lines = vec![Line::default()];
        for part in parts {
            let width: usize = part.iter().map(Span::width).sum();
            let used = lines.last().map_or(0, Line::width);
            if used > 0 && used + gap.len() + width > self.width {
                lines.push(Line::default());
            }
            if let Some(line) = lines.last_mut() {
                if line.width() > 0 {
                    line.push_span(gap);
                }
                line.extend(part);
            }
        }
        lines
    }
}

/// Returns the entries whose count is not 0.
fn filled(entries: &[LegendEntry]) -> impl Iterator<Item = &LegendEntry> {
    entries.iter().filter(|entry| entry.count != Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legend(width: usize, height: usize) -> Vec<String> {
        let theme = Theme::MONOCHROME;
        let title = ["state".to_owned()];
        let words = Words { title: &title, theme: &theme, width };
        let role = |class| Role::Class(class);
        let mut entries: Vec<LegendEntry> = CLASSES
            .into_iter()
            .zip([12, 14_321, 8_200, 0, 1, 4])
            .map(|(class, n)| entry(&theme, role(class), letter(class), class_name(class), Some(n)))
            .collect();
        let free = entry(&theme, Role::Available, '·', "available", Some(5_000));
        entries.push(LegendEntry { dropped: REPORTED_BESIDE, ..free });
        words.fitted(&entries, height).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn with_less_room_a_legend_shows_less_and_cuts_no_word() {
        assert_eq!(
            legend(120, 1),
            [
                "state  L LISTEN 12  E ESTABLISHED 14,321  T TIME-WAIT 8,200  C closing 0  B BOUND 1  \
              U UDP 4  · available 5,000"
            ]
        );
        assert_eq!(
            legend(79, 1),
            ["state  L LISTEN 12  E ESTABLISHED 14,321  T TIME-WAIT 8,200  B BOUND 1  U UDP 4"]
        );
        assert_eq!(
            legend(78, 1),
            ["state  L LISTEN 12  E ESTABLISHED 14.3k  T TIME-WAIT 8.2k  B BOUND 1  U UDP 4"]
        );
        assert_eq!(
            legend(70, 1),
            ["state L LISTEN E ESTABLISHED T TIME-WAIT B BOUND U UDP · available"]
        );
        assert_eq!(legend(60, 1), ["state L LISTEN E ESTABLISHED T TIME-WAIT B BOUND U UDP"]);
        for width in 0..120 {
            let line = legend(width, 1).swap_remove(0);
            assert!(line.chars().count() <= width.max("state".len()), "{line}");
        }
    }

    #[test]
    fn two_lines_show_what_does_not_fit_on_one() {
        assert_eq!(
            legend(70, 2),
            [
                "state  L LISTEN 12  E ESTABLISHED 14,321  T TIME-WAIT 8,200",
                "C closing 0  B BOUND 1  U UDP 4  · available 5,000"
            ]
        );
    }
}
