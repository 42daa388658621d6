//! Ordered colours by step: viridis and cividis for scales, magma for attempts.
//!
//! The colour maps are those of matplotlib (van der Walt and Smith 2015, Nuñez et al. 2018). They
//! are sampled at even steps, without the ends that would be invisible on the background. The
//! 256-colour versions are the nearest colours whose order of lightness is also right for
//! colour-blind people.

use ratatui::style::Color::{
    Black, Blue, Cyan, Green, LightBlue, LightGreen, LightRed, LightYellow, Magenta, Red, Yellow,
};

use super::{
    HEAT_TOP, Role, SCALE_TOP,
    palette::{Swatch, row, swatch},
};

/// The scale: viridis from 0.35 to 1, or cividis from 0.60 down to 0 on a light background.
const SCALE: [Swatch; SCALE_TOP as usize + 1] = [
    row(0x2F_6C8E, 24, 0x94_8E77, 245, LightBlue, Yellow),
    row(0x26_828E, 30, 0x7F_7E78, 244, LightBlue, Yellow),
    row(0x1F_998A, 67, 0x6C_6E72, 242, Cyan, Green),
    row(0x28_AE80, 36, 0x59_5E6E, 59, Cyan, Green),
    row(0x4E_C36B, 41, 0x44_4F6C, 239, Green, Cyan),
    row(0x84_D44B, 113, 0x2B_406D, 238, Green, Cyan),
    row(0xC2_DF23, 184, 0x00_3170, 18, LightGreen, Blue),
    row(0xFD_E725, 220, 0x00_224E, 17, LightYellow, Black),
];

/// The attempt density: magma from 0.30 to 0.95, or from 0.75 down to 0.15 on a light background.
const HEAT: [Swatch; HEAT_TOP as usize] = [
    row(0x64_1A80, 54, 0xFC_8961, 209, Magenta, Yellow),
    row(0x99_2D80, 126, 0xE8_5362, 167, Magenta, Yellow),
    row(0xCF_4070, 161, 0xBA_3878, 125, Red, LightRed),
    row(0xF5_6B5C, 203, 0x88_2781, 90, LightRed, Red),
    row(0xFE_A973, 216, 0x59_157E, 54, Yellow, Magenta),
    row(0xFD_E7A9, 223, 0x25_1255, 17, LightYellow, Blue),
];

pub fn scale(step: u8) -> Swatch {
    SCALE[usize::from(step.min(SCALE_TOP))]
}

/// Returns the colour of a step. Step 0 means no attempts.
pub fn heat(step: u8) -> Swatch {
    match step.min(HEAT_TOP) {
        0 => swatch(Role::Available),
        step => HEAT[usize::from(step) - 1],
    }
}
