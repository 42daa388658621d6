//! Decides how much of a growing list is shown, so that the screen changes little while it grows.

/// Returns how many of the newest entries to show, if there are `total` entries and `room` lines. A
/// full page drops about half of its entries at once. If the lines scrolled with every entry, they
/// could not be read, and each frame would redraw all of them.
pub fn shown(total: u64, room: usize) -> usize {
    let half = (room / 2).max(1) as u64;
    let full = room as u64;
    if total <= full {
        return total as usize;
    }
    (full - (half - 1 - (total - full - 1) % half)).min(full) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_scrolls_by_half() {
        let counts: Vec<usize> = (1..=12).map(|total| shown(total, 6)).collect();
        assert_eq!(counts, [1, 2, 3, 4, 5, 6, 4, 5, 6, 4, 5, 6]);
    }

    #[test]
    fn a_page_never_exceeds_its_height() {
        for room in 0..20 {
            for total in 0..100 {
                assert!(shown(total, room) <= room.min(total as usize), "{total} in {room}");
            }
        }
    }
}
