//! The normal colours as data. A search chose the states' colours so that the closest pair is as
//! far apart as possible, also for colour-blind people. Do not change single values.

use ratatui::style::Color;

use super::{Role, ramp};
use crate::domain::StateClass;

/// The colour of one role in each kind of terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swatch {
    pub dark: u32,
    pub dark256: u8,
    pub light: u32,
    pub light256: u8,
    pub dark16: Color,
    pub light16: Color,
}

impl Swatch {
    /// The terminal's default colour.
    pub const TERMINAL: Self = row(0, 0, 0, 0, Color::Reset, Color::Reset);
}

pub const fn row(
    dark: u32,
    dark256: u8,
    light: u32,
    light256: u8,
    dark16: Color,
    light16: Color,
) -> Swatch {
    Swatch { dark, dark256, light, light256, dark16, light16 }
}

const LISTEN: Swatch = row(0xFF_FF4A, 227, 0x43_3700, 237, Color::LightYellow, Color::Black);
const ESTABLISHED: Swatch = row(0x3F_78E8, 33, 0x44_72E3, 62, Color::LightBlue, Color::Blue);
const TIME_WAIT: Swatch = row(0xFE_AD00, 214, 0xD3_7D05, 172, Color::Yellow, Color::Yellow);
const CLOSING: Swatch = row(0xCE_4208, 166, 0xB9_3104, 124, Color::Red, Color::Red);
const BOUND: Swatch = row(0xC2_85C5, 176, 0x98_27A0, 127, Color::Magenta, Color::Magenta);
const UDP: Swatch = row(0x00_F0BE, 50, 0x06_785A, 29, Color::LightCyan, Color::Cyan);
const DARK: Swatch = row(0xC5_BAFF, 183, 0x2B_0072, 18, Color::White, Color::LightMagenta);

/// In the order of `StateClass::EACH`.
const CLASSES: [Swatch; StateClass::EACH.len()] =
    [LISTEN, CLOSING, BOUND, UDP, ESTABLISHED, TIME_WAIT];

/// The colours of the seven largest owners, largest first: the colours of the six states, which
/// differ most from each other, and `DARK`. The most frequent states come last, so that an owner is
/// not mistaken for them.
const OWNERS: [Swatch; super::COLORED_OWNERS] =
    [UDP, BOUND, LISTEN, CLOSING, DARK, ESTABLISHED, TIME_WAIT];

pub fn swatch(role: Role) -> Swatch {
    use Color::{
        Black, Blue, DarkGray, Gray, Green, LightCyan, LightGreen, LightMagenta, LightRed,
        LightYellow, Magenta, Red, White, Yellow,
    };
    match role {
        Role::Text => Swatch::TERMINAL,
        Role::Dim => row(0x8A_94A6, 246, 0x5B_6475, 241, Gray, DarkGray),
        Role::Faint => row(0x5A_6375, 241, 0x8A_92A0, 246, DarkGray, DarkGray),
        Role::Border => row(0x3A_4252, 238, 0xB4_BAC6, 250, DarkGray, Gray),
        Role::Accent => row(0x7C_C4FF, 117, 0x0B_5FA5, 25, LightCyan, Blue),
        Role::Ok => row(0x3F_C59B, 43, 0x00_704F, 29, LightGreen, Green),
        Role::Warn => row(0xF5_A623, 214, 0x9A_5B00, 94, LightYellow, Yellow),
        Role::Critical => row(0xFF_6B4A, 203, 0xB8_3200, 124, LightRed, Red),
        Role::Selected => row(0x2C_3A55, 237, 0xD5_E3F7, 254, Blue, LightCyan),
        Role::Outside => row(0x12_151B, 233, 0xF1_F2F4, 255, Black, White),
        Role::System => row(0x1E_1B17, 234, 0xE9_E4DA, 254, Black, White),
        Role::Available => row(0x1C_2534, 236, 0xD9_E2F0, 189, DarkGray, Gray),
        Role::Reserved => row(0x56_6070, 59, 0x9A_A3B2, 247, Blue, DarkGray),
        Role::Class(class) => CLASSES[class as usize],
        Role::Category(rank) => OWNERS[usize::from(rank) % OWNERS.len()],
        Role::OtherCategory | Role::Muted => row(0x6E_7688, 243, 0x8F_96A3, 246, Gray, DarkGray),
        Role::Scale(step) => ramp::scale(step),
        Role::Heat(step) => ramp::heat(step),
        Role::Cursor | Role::Allocated => row(0xFF_FFFF, 231, 0x00_0000, 16, White, Black),
        Role::Collision => row(0xFF_5A7E, 204, 0xE9_067D, 198, LightMagenta, Magenta),
        Role::Ink => row(0x0B_0D11, 233, 0xFF_FFFF, 231, Black, White),
    }
}
