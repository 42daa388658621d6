//! Draws the first line of the screen: where ports are bound, the strategy, what a mark means.

use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

use crate::{
    app::allocation::{Allocation, AllocatorTarget, LastScan, Speed},
    domain::{MachineKind, notation},
    view::{
        Role, Theme,
        allocate::AllocateContext,
        surface::{Surface, fitted},
    },
};

/// Returns the wordings for where ports are bound, longest first. Empty: this is unknown before the
/// first scan of the host.
pub fn target_wordings(target: AllocatorTarget, scan: Option<LastScan<'_>>) -> Vec<String> {
    let machine = scan.map(|scan| &scan.snapshot.machine);
    let words: &[&str] = match (target, machine.map(|m| (m.kind, m.is_isolated))) {
        (AllocatorTarget::Simulated { share }, _) => {
            let share = notation::percent(share);
            return vec![
                format!("simulated occupancy {share}"),
                format!("simulated {share}"),
                "simulated".to_owned(),
            ];
        }
        (AllocatorTarget::Machine, None) => &[],
        (AllocatorTarget::Machine, Some((MachineKind::Live, false))) => {
            &["real bind() on this machine", "real bind() here", "real bind()"]
        }
        (AllocatorTarget::Machine, Some((MachineKind::Live, true))) => {
            &["real bind() in this network namespace", "real bind() in a netns", "real bind()"]
        }
        (AllocatorTarget::Machine, Some((MachineKind::Simulated, _))) => {
            &["simulated machine", "simulated"]
        }
        (AllocatorTarget::Machine, Some((MachineKind::Recorded, _))) => {
            &["recording: no real bind()"]
        }
    };
    words.iter().map(|&words| words.to_owned()).collect()
}

/// Returns the role of the target. A live and a simulated target have the same colours as in the
/// header.
pub fn target_role(target: AllocatorTarget, scan: Option<LastScan<'_>>) -> Role {
    match (target, scan.map(|scan| scan.snapshot.machine.kind)) {
        (AllocatorTarget::Machine, Some(MachineKind::Live)) => Role::Ok,
        _ => Role::Accent,
    }
}

pub fn render(context: AllocateContext<'_>, line: &mut Surface<'_>) {
    let theme = line.theme;
    let allocation = context.allocation;
    let options = allocation.options();
    let width = line.width();
    let name = if width < 100 { "" } else { "Allocator " };
    let target_wordings = target_wordings(allocation.target(), context.scan);
    let fits = |target_words: &&String| name.len() + target_words.width() <= width;
    let target_words = target_wordings.iter().find(fits).cloned().unwrap_or_default();
    let room = width.saturating_sub(name.len() + target_words.width() + SEPARATOR.width());
    let strategy = format!("{} {}", allocation.row().name, options.protocols.name());
    let ranged = format!("{strategy} {}", options.range);
    let address = options.address.map(|address| format!("on {address}")).unwrap_or_default();
    let limitation = allocation.limitation().unwrap_or_default();
    let [long, short] = marks(allocation, theme);
    // The meaning of a mark has priority over the range, which the map shows, too.
    let wordings = [(&ranged, long), (&ranged, short), (&strategy, long)];
    let fits = |(ports, marks): &(&String, &str)| {
        ports.width() + SEPARATOR.width() + marks.width() <= room
    };
    let (ports, marks) = wordings.into_iter().find(fits).unwrap_or((&strategy, short));
    let rest = fitted(&[ports, marks, limitation, &address], room);
    let role = target_role(allocation.target(), context.scan);
    let target = Span::styled(target_words, theme.style(role).bold());
    draw(Span::styled(name, theme.style(Role::Accent)), target, rest, line);
}

/// Draws the name of the screen, where ports are bound, and the rest.
pub fn draw(name: Span<'_>, target: Span<'_>, rest: String, line: &mut Surface<'_>) {
    let is_apart = !target.content.is_empty() && !rest.is_empty();
    line.line([name, target, Span::raw(if is_apart { SEPARATOR } else { "" }), Span::raw(rest)]);
}

const SEPARATOR: &str = " · ";

/// Returns the meaning of a mark on the map, in a long and a short wording.
fn marks(allocation: &Allocation, theme: &Theme) -> [&'static str; 2] {
    match allocation.speed() {
        Speed::Thousand if theme.has_color() => ["flash: an attempt", "flash: attempt"],
        Speed::Thousand => {
            theme.glyph(["× ◆: an attempt", "× ◆: attempt"], ["x *: an attempt", "x *: attempt"])
        }
        Speed::Max if theme.has_color() && !theme.ascii => ["colour: attempts/s"; 2],
        Speed::Max => ["density: attempts/s"; 2],
        _ if allocation.is_scan() => ["1: first attempt, +: later ones", "1: first, +: later"],
        _ => ["number: refused attempt", "number: attempt"],
    }
}
