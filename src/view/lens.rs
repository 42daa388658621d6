//! Decides what a block of the map shows under each lens. Uses roles and letters, not colours.

use crate::{
    app::{
        App, LatestScan, Lens,
        lens::{self, AGE_STEPS, DENSITY_STEPS, LENSES, Marks, OLDER_THAN_SESSION},
    },
    domain::{PortRange, Protocols, StateClass, port::SYSTEM},
    view::{
        COLORED_OWNERS, Role, Theme,
        heatmap::{Paint, TakenPorts},
        legend::{self, LegendEntry},
        theme::{OTHER_OWNER_LETTER, letter, owner_letter},
    },
};

/// Letter, role and name of a category of a lens.
pub struct Category {
    pub letter: char,
    pub role: Role,
    pub name: &'static str,
    /// Shorter names, longest first, for where `name` does not fit.
    pub short_names: &'static [&'static str],
    /// False if only a block of several ports can have this category.
    pub counts_ports: bool,
}

impl Category {
    /// Returns the letter; for free ports, the glyph with which the map draws them.
    pub fn glyph(&self, theme: &Theme) -> char {
        if self.letter == FREE_LETTER { theme.glyph('·', '.') } else { self.letter }
    }
}

/// Letter of the categories of free ports.
const FREE_LETTER: char = '.';

const fn category(letter: char, role: Role, name: &'static str) -> Category {
    Category { letter, role, name, short_names: &[], counts_ports: true }
}

const PROTOCOLS: [Category; 3] = [
    category('t', Role::Class(StateClass::Established), "TCP only"),
    category('u', Role::Class(StateClass::Udp), "UDP only"),
    category('b', Role::Class(StateClass::Bound), "both"),
];

const PARITIES: [Category; 3] = [
    category('e', Role::Category(0), "even"),
    category('o', Role::Category(1), "odd"),
    Category { counts_ports: false, ..category('b', Role::Category(2), "mixed block") },
];

/// The categories of the age lens. Younger ports have more contrast, because they are usually of
/// more interest.
const AGES: [Category; AGE_STEPS.len() + 2] = [
    category('1', Role::Scale(7), "<2s"),
    category('2', Role::Scale(6), "<10s"),
    category('3', Role::Scale(5), "<1m"),
    category('4', Role::Scale(4), "<10m"),
    category('5', Role::Scale(3), "<1h"),
    category('6', Role::Scale(2), "<6h"),
    category('7', Role::Scale(1), "<1d"),
    category('8', Role::Scale(0), ">1d"),
    Category {
        short_names: &["before start", "older"],
        ..category('+', Role::OtherCategory, "older than this session")
    },
];

const DENSITIES: [Category; DENSITY_STEPS.len() + 1] = [
    category('1', Role::Scale(0), "<12 %"),
    category('2', Role::Scale(2), "<40 %"),
    category('3', Role::Scale(4), "<65 %"),
    category('4', Role::Scale(6), "<90 %"),
    category('5', Role::Scale(7), "90-100 %"),
];

/// The categories of the connect lens, in the order of the constants of `app::lens::connect`.
/// `connected` and `TIME-WAIT` are ports with sockets to the destination of the lens. `bound` are
/// ports with a listening or bound-inactive socket, and those in `Analysis::numbered` that have no
/// socket to the destination.
const CONNECTS: [Category; 6] = [
    category(FREE_LETTER, Role::Available, "eligible"),
    category('c', Role::Class(StateClass::Established), "connected"),
    category('t', Role::Class(StateClass::TimeWait), "TIME-WAIT"),
    category('p', Role::Class(StateClass::Listen), "bound"),
    category('s', Role::Class(StateClass::Bound), "likely bound"),
    category('x', Role::Outside, "never chosen"),
];

/// The categories of the bind lens, in the order of the constants of `app::lens::bind`.
const BINDS: [Category; 3] = [
    category(FREE_LETTER, Role::Available, "free"),
    category('u', Role::Category(0), "in use"),
    category('?', Role::OtherCategory, "unknown"),
];

const _: () = assert!(OLDER_THAN_SESSION as usize == AGES.len() - 1);

/// How a lens is drawn, and what its legend and the help say about it.
pub struct LensView {
    /// The categories by number; empty for lenses without categories.
    pub categories: &'static [Category],
    /// Returns how a block is drawn.
    paint: fn(&App, &LatestScan, PortRange) -> Paint,
    pub entries: fn(&App, &LatestScan, &Theme) -> Vec<LegendEntry>,
    /// Returns the wordings of the legend's title, longest first.
    pub headings: fn(&App, &LatestScan, &Theme) -> Vec<Vec<String>>,
    /// Returns what the help says about the letters of the lens.
    pub letters: fn(&'static [Category], &Theme) -> String,
}

impl LensView {
    const fn of(categories: &'static [Category]) -> Self {
        Self {
            categories,
            paint: by_category,
            entries: legend::categories,
            headings: |app, _, _| vec![vec![app.map().lens.name().to_owned()]],
            letters: category_letters,
        }
    }
}

/// In the order of `LENSES`.
const VIEWS: [LensView; LENSES.len()] = [
    LensView {
        paint: |app, scan, block| by_state(scan, app.map().protocols, block),
        entries: legend::states,
        letters: |_, _| "letters above; c C next, previous lens".to_owned(),
        ..LensView::of(&[])
    },
    LensView {
        paint: by_owner_or_focus,
        entries: legend::owners_or_focus,
        letters: |_, _| owner_letters(),
        ..LensView::of(&[])
    },
    LensView::of(&PROTOCOLS),
    LensView::of(&AGES),
    LensView::of(&PARITIES),
    LensView { headings: legend::density_headings, ..LensView::of(&DENSITIES) },
    LensView {
        paint: by_mark,
        entries: legend::connects,
        headings: legend::connect_headings,
        ..LensView::of(&CONNECTS)
    },
    LensView {
        paint: by_mark,
        entries: legend::binds,
        headings: legend::bind_headings,
        ..LensView::of(&BINDS)
    },
];

pub fn view(lens: Lens) -> &'static LensView {
    &VIEWS[lens as usize]
}

/// Returns how a block is drawn under the current lens.
pub fn paint(app: &App, scan: &LatestScan, block: PortRange) -> Paint {
    (view(app.map().lens).paint)(app, scan, block)
}

/// Returns how to draw a block with this role and letter for its occupied ports.
fn shared(
    app: &App,
    scan: &LatestScan,
    block: PortRange,
    role_and_letter: impl FnOnce() -> Option<(Role, char)>,
) -> Paint {
    let occupied = scan.occupancy.occupied_in(block, app.map().protocols);
    let share = occupied as f32 / block.len() as f32;
    let taken = (occupied > 0).then(role_and_letter).flatten().map(|(role, letter)| {
        // The brightness of a colour shows its step. Mixed with the colour of the free ports, it
        // would look like another step.
        let share = if matches!(role, Role::Scale(_)) { 1.0 } else { share };
        TakenPorts { role, share, letter }
    });
    Paint { free: free(scan, block), taken }
}

/// Returns how a block is drawn under the state lens (see `lens::shown_class`).
pub fn by_state(scan: &LatestScan, protocols: Protocols, block: PortRange) -> Paint {
    let [even, odd] = scan.occupancy.by_class(block, protocols);
    let by_class = std::array::from_fn(|class| even[class] + odd[class]);
    let share = by_class.iter().sum::<u32>() as f32 / block.len() as f32;
    let class = lens::shown_class(block, &by_class, &scan.lens_counts.by_class);
    let taken =
        class.map(|class| TakenPorts { role: Role::Class(class), share, letter: letter(class) });
    Paint { free: free(scan, block), taken }
}

/// Returns how a block is drawn under the connect or bind lens. A mark shows what connect() or
/// bind() would find, so a port without a socket may also be marked.
fn by_mark(app: &App, scan: &LatestScan, block: PortRange) -> Paint {
    let marked = scan.categories.marked(block).and_then(|(number, share)| {
        let (role, letter) = category_of(app, number)?;
        Some(TakenPorts { role, share, letter })
    });
    Paint { free: free(scan, block), taken: marked }
}

/// Returns how a block is drawn with an owner in focus: in colour if the owner has ports in the
/// block, else in grey.
fn by_focus(marks: &Marks, scan: &LatestScan, protocols: Protocols, block: PortRange) -> Paint {
    let taken = scan.occupancy.ports(block).filter(|(_, port)| port.is_occupied(protocols));
    let (mut marked, mut others) = (0_u32, 0_u32);
    for (port, _) in taken {
        *(if marks.ports.contains(port) { &mut marked } else { &mut others }) += 1;
    }
    let taken = |role, ports: u32, letter| {
        let share = ports as f32 / block.len() as f32;
        Some(TakenPorts { role, share, letter })
    };
    let taken = match (marked, others) {
        (0, 0) => None,
        (0, others) => taken(Role::Muted, others, OTHER_OWNER_LETTER),
        (marked, _) => taken(Role::Category(0), marked, owner_letter(0)),
    };
    Paint { free: free(scan, block), taken }
}

fn by_owner_or_focus(app: &App, scan: &LatestScan, block: PortRange) -> Paint {
    match &scan.marks {
        Some(marks) => by_focus(marks, scan, app.map().protocols, block),
        None => shared(app, scan, block, || by_owner(scan, block)),
    }
}

fn by_owner(scan: &LatestScan, block: PortRange) -> Option<(Role, char)> {
    let rank = scan.owners.biggest_in(block)?;
    Some(match u8::try_from(rank) {
        Ok(rank) if usize::from(rank) < COLORED_OWNERS => {
            (Role::Category(rank), owner_letter(rank))
        }
        _ => (Role::OtherCategory, OTHER_OWNER_LETTER),
    })
}

fn by_category(app: &App, scan: &LatestScan, block: PortRange) -> Paint {
    let number = || scan.categories.of(block, &scan.occupancy, app.map().protocols);
    shared(app, scan, block, || category_of(app, number()?))
}

/// Returns role and letter of a category of the current lens.
fn category_of(app: &App, number: u8) -> Option<(Role, char)> {
    let category = view(app.map().lens).categories.get(usize::from(number))?;
    Some((category.role, category.letter))
}

fn category_letters(categories: &'static [Category], theme: &Theme) -> String {
    let each = categories.iter().map(|each| format!("{} {}", each.glyph(theme), each.name));
    each.collect::<Vec<_>>().join(", ")
}

fn owner_letters() -> String {
    let [first, last] = [0, COLORED_OWNERS as u8 - 1].map(owner_letter);
    format!("{first} to {last} the biggest owners, {OTHER_OWNER_LETTER} all others")
}

/// Returns the role of a port when it is not in use.
pub fn free_port(scan: &LatestScan, port: u16) -> Role {
    let ephemeral = &scan.snapshot.ephemeral;
    match port {
        _ if ephemeral.is_reserved(port) => Role::Reserved,
        _ if ephemeral.range.contains(port) => Role::Available,
        _ if SYSTEM.contains(port) => Role::System,
        _ => Role::Outside,
    }
}

/// Returns the role of a block's free ports: reserved or available if this applies to more than
/// half of the block's ports, else system or outside, by its first port.
fn free(scan: &LatestScan, block: PortRange) -> Role {
    let ephemeral = &scan.snapshot.ephemeral;
    let in_range = ephemeral.range.intersection(block).map_or(0, PortRange::len);
    if ephemeral.reserved_in(block) * 2 > block.len() {
        Role::Reserved
    } else if in_range * 2 > block.len() {
        Role::Available
    } else if SYSTEM.contains(block.first()) {
        Role::System
    } else {
        Role::Outside
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    use super::*;
    use crate::{
        app::{
            AppOptions, Event, Extent, GlyphSet, Key, RowsPerLine, Screen,
            allocation::AllocationOptions, lens,
        },
        domain::{Endpoint, Protocols, ServiceNames, Snapshot, State, port},
        engine::Report,
        host::simulated::SimulatedHost,
    };

    fn range(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    fn machine(more: u16) -> Snapshot {
        let mut machine = SimulatedHost::builder();
        for pid in 1..=9 {
            machine = machine.process(pid, &format!("owner-{pid}"), "command", 1000);
            let first = 34_000 + 100 * pid as u16;
            machine = machine.fill(range(first, first + 99), 0.5, State::Established, 1);
            machine = machine.owned_by(&[pid]);
        }
        let dns: Endpoint = ([192, 0, 2, 1], 53).into();
        machine
            .tcp(dns, State::Listen)
            .udp(dns)
            .fill(range(40_000, 41_999), 0.9, State::TimeWait, 2)
            .fill(range(41_500, 42_999), 0.3, State::Unconnected, 3)
            .fill(range(50_000, 50_000 + more), 1.0, State::Bound, 4)
            .build()
            .snapshot()
    }

    fn app() -> App {
        let mut app = App::new(AppOptions {
            parse_find: |typed| Err(typed.to_owned()),
            first: Screen::Map,
            glyphs: GlyphSet { rows_per_line: RowsPerLine::One, has_dots: true },
            extent: Extent::All,
            protocols: Protocols::Both,
            find: None,
            allocation: AllocationOptions::exo(7),
            lab: crate::app::LabOptions::new(7, None),
            mouse: true,
            motion: true,
            services: ServiceNames::default(),
            is_read_only: false,
        });
        app.update(Duration::ZERO, Event::Resized { columns: 120, rows: 40 });
        for (number, more) in [(1, 1), (2, 500)] {
            let mut snapshot = machine(more);
            snapshot.number = number;
            snapshot.taken_at += Duration::from_secs(number);
            let event = Event::Report(Report::Scanned(Arc::new(snapshot)));
            app.update(Duration::from_secs(number), event);
        }
        app
    }

    /// Occupied ports per letter, as painted block by block.
    fn painted(app: &App, blocks: &[PortRange]) -> BTreeMap<char, u32> {
        let scan = app.scan().unwrap();
        let mut letters = BTreeMap::new();
        for &block in blocks {
            if let Some(taken) = paint(app, scan, block).taken {
                *letters.entry(taken.letter).or_default() += match app.map().lens {
                    Lens::Connect | Lens::Bind => block.len(),
                    _ => app.lens_counts(block).occupied,
                };
            }
        }
        letters
    }

    fn reported(app: &App) -> BTreeMap<char, u32> {
        let entries = legend::entries(app, app.scan().unwrap(), &Theme::MONOCHROME);
        let taken = entries.into_iter().filter(|entry| !entry.is_reported_beside());
        taken.filter_map(|e| Some((e.mark, e.count.filter(|&c| c > 0)?))).collect()
    }

    #[test]
    fn legend_counts_match_the_map_under_every_lens() {
        let mut app = app();
        let ports: Vec<PortRange> = port::ALL.ports().map(|p| range(p, p)).collect();
        for row in lens::LENSES {
            assert_eq!(app.map().lens, row.lens);
            for protocols in [Protocols::Both, Protocols::Tcp, Protocols::Udp] {
                assert_eq!(app.map().protocols, protocols);
                let drawn = if row.lens == Lens::Density { drawn(&app) } else { ports.clone() };
                let (painted, mut reported) = (painted(&app, &drawn), reported(&app));
                if matches!(row.lens, Lens::Connect | Lens::Bind) {
                    // Free ports and ports that are never chosen are counted, but not marked.
                    reported.retain(|letter, _| !['·', 'x'].contains(letter));
                    assert_eq!(painted, reported, "{} {protocols:?}", row.name);
                    app.update(Duration::from_secs(3), Event::Key(Key::Char('p')));
                    continue;
                }
                let occupied = app.scan().unwrap().lens_counts.occupied;
                assert_eq!(painted.values().sum::<u32>(), occupied, "{}", row.name);
                if row.lens == Lens::Owner {
                    // A port shared by two owners is painted as the larger one's.
                    assert!(painted.iter().all(|(letter, ports)| reported[letter] >= *ports));
                } else {
                    assert_eq!(painted, reported, "{} {protocols:?}", row.name);
                }
                app.update(Duration::from_secs(3), Event::Key(Key::Char('p')));
            }
            app.update(Duration::from_secs(3), Event::Key(Key::Char('c')));
        }
    }

    /// Returns the blocks of the map on a terminal of this size.
    fn drawn(app: &App) -> Vec<PortRange> {
        let grid = app.grid(crate::app::Size { columns: 120, rows: 40 }).unwrap();
        let mut blocks = vec![
            grid.block_position(0).and_then(|block_position| grid.block(block_position)).unwrap(),
        ];
        while let Some(next) = blocks.last().and_then(|block| block.last().checked_add(1)) {
            blocks.push(
                grid.block_position(next)
                    .and_then(|block_position| grid.block(block_position))
                    .unwrap(),
            );
        }
        blocks
    }

    #[test]
    fn letters_are_unique_within_a_lens() {
        for row in lens::LENSES {
            let mut letters: Vec<char> =
                view(row.lens).categories.iter().map(|c| c.letter).collect();
            letters.sort_unstable();
            letters.dedup();
            assert_eq!(letters.len(), view(row.lens).categories.len(), "{}", row.name);
        }
    }

    #[test]
    fn a_block_with_both_protocols_or_parities_has_its_own_category() {
        let mut app = app();
        let block = range(41_000, 42_999);
        let letter = |app: &App| paint(app, app.scan().unwrap(), block).taken.unwrap().letter;
        let mut letters = BTreeMap::new();
        for row in lens::LENSES {
            letters.insert(row.name, letter(&app));
            app.update(Duration::from_secs(3), Event::Key(Key::Char('c')));
        }
        assert_eq!([letters["protocol"], letters["parity"], letters["density"]], ['b', 'b', '3']);
        assert_eq!(letters["age"], '+');
    }
}
