//! What a block of the map shows under each lens. Knows roles and letters, not colours.

use crate::{
    app::{App, Lens, Scan, lens::Tally},
    domain::{PortRange, port::SYSTEM},
    view::{
        COLORED_OWNERS, Role,
        heatmap::{Paint, Taken},
        theme::{OTHER_OWNER_LETTER, letter, owner_letter},
    },
};

/// Under the lens that is chosen.
pub fn paint(app: &App, scan: &Scan, block: PortRange) -> Paint {
    let tally = app.tally(block);
    let taken = match app.map().lens {
        Lens::State | Lens::Protocol | Lens::Age | Lens::Parity | Lens::Density => by_state(&tally),
        Lens::Owner => by_owner(scan, block, &tally),
    };
    Paint { free: free(scan, block, &tally), taken }
}

fn by_state(tally: &Tally) -> Option<Taken> {
    let class = tally.heaviest()?;
    Some(Taken { role: Role::Class(class), share: tally.share(), letter: letter(class) })
}

fn by_owner(scan: &Scan, block: PortRange, tally: &Tally) -> Option<Taken> {
    let rank = scan.owners.biggest_in(block)?;
    let (role, letter) = match u8::try_from(rank) {
        Ok(rank) if usize::from(rank) < COLORED_OWNERS => {
            (Role::Category(rank), owner_letter(rank))
        }
        _ => (Role::OtherCategory, OTHER_OWNER_LETTER),
    };
    Some(Taken { role, share: tally.share(), letter })
}

/// What most of a block's ports are when nobody takes them.
fn free(scan: &Scan, block: PortRange, tally: &Tally) -> Role {
    let in_range = scan.snapshot.ephemeral.range.intersection(block).map_or(0, PortRange::len);
    if tally.reserved * 2 > block.len() {
        Role::Reserved
    } else if in_range * 2 > block.len() {
        Role::Available
    } else if SYSTEM.contains(block.first()) {
        Role::System
    } else {
        Role::Outside
    }
}
