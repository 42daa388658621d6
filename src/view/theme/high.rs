//! The high-contrast colours as data. Text has a contrast of 7:1 or more with the background, and
//! the colours of the states are further apart. Some roles keep their normal colour.
//!
//! The state colours come from the same search as those of `palette`, with stricter limits. For
//! each kind of colour vision, the closest pair is at least 1.05 times as far apart in OKLab as the
//! closest pair of `palette`. The contrast with the ink is at least 4.5:1 (`tests/screens/palette.rs`).

use ratatui::style::Color::{
    Black, Blue, Cyan, DarkGray, Gray, Green, LightBlue, LightCyan, LightGreen, LightMagenta,
    LightRed, LightYellow, Magenta, Red, White, Yellow,
};

use super::{
    COLORED_OWNERS, Role,
    palette::{self, Swatch, row},
};
use crate::domain::StateClass;

const LISTEN: Swatch = row(0xFF_FF3E, 226, 0x4C_4D00, 58, LightYellow, Black);
const ESTABLISHED: Swatch = row(0x42_ADFF, 39, 0x06_24ED, 21, LightBlue, Blue);
const TIME_WAIT: Swatch = row(0xE8_9D2D, 179, 0xAE_6300, 166, Yellow, Yellow);
const CLOSING: Swatch = row(0xFF_0052, 197, 0x5A_0123, 52, Red, Red);
const BOUND: Swatch = row(0xB4_40FA, 129, 0x89_1BA4, 91, Magenta, Magenta);
const UDP: Swatch = row(0x00_FFB4, 49, 0x02_8485, 30, LightCyan, Cyan);
const DARK: Swatch = row(0xC4_CCFF, 153, 0x05_1662, 17, White, LightMagenta);

/// In the order of `StateClass::EACH`.
const CLASSES: [Swatch; StateClass::EACH.len()] =
    [LISTEN, CLOSING, BOUND, UDP, ESTABLISHED, TIME_WAIT];

/// The colours of the seven largest owners, which reuse those of the states as in `palette`.
const OWNERS: [Swatch; COLORED_OWNERS] =
    [UDP, BOUND, LISTEN, CLOSING, DARK, ESTABLISHED, TIME_WAIT];

#[expect(clippy::match_same_arms, reason = "one row per role, like the palette it replaces")]
pub fn swatch(role: Role) -> Swatch {
    match role {
        Role::Dim => row(0xC6_CEDB, 252, 0x35_3D4C, 237, Gray, Black),
        Role::Faint => row(0xA3_ADBF, 248, 0x4A_5363, 239, Gray, Black),
        Role::Border => row(0x9A_A5B8, 247, 0x4F_5868, 240, Gray, Black),
        Role::Accent => row(0x9A_D6FF, 117, 0x00_3E7E, 24, LightCyan, Blue),
        Role::Ok => row(0x4D_E0B0, 79, 0x00_543A, 22, LightGreen, Green),
        Role::Warn => row(0xFF_C14D, 215, 0x6B_3F00, 58, LightYellow, Yellow),
        Role::Critical => row(0xFF_9A80, 209, 0x8F_2400, 88, LightRed, Red),
        Role::Selected => row(0x24_519E, 25, 0x9C_C8FF, 117, Blue, LightCyan),
        Role::Outside => row(0x00_0000, 16, 0xFF_FFFF, 231, Black, White),
        Role::System => row(0x18_1309, 233, 0xEF_E6D2, 254, Black, White),
        Role::Available => row(0x10_1C38, 17, 0xDC_E6F4, 189, DarkGray, Gray),
        Role::Reserved => row(0x77_839A, 103, 0x7C_8798, 102, Blue, DarkGray),
        Role::Class(class) => CLASSES[class as usize],
        Role::Category(rank) => OWNERS[usize::from(rank) % OWNERS.len()],
        Role::OtherCategory | Role::Muted => row(0x8A_93A6, 246, 0x72_7B8A, 243, Gray, DarkGray),
        Role::Heat(0) => swatch(Role::Available),
        Role::Collision => row(0xFF_7096, 204, 0xC0_0066, 125, LightMagenta, Magenta),
        Role::Ink => row(0x00_0000, 16, 0xFF_FFFF, 231, Black, White),
        Role::Text | Role::Scale(_) | Role::Heat(_) | Role::Cursor | Role::Allocated => {
            palette::swatch(role)
        }
    }
}
