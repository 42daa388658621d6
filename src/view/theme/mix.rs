//! Colour arithmetic: OKLab (Ottosson 2020) and xterm's 256 colours. Does not know roles.

use ratatui::style::Color;

pub fn color(rgb: u32) -> Color {
    let [_, red, green, blue] = rgb.to_be_bytes();
    Color::Rgb(red, green, blue)
}

/// Mixes two colours in perceptually even steps. `amount` is the share of `to`, 0 to 1.
pub fn oklab(from: u32, to: u32, amount: f32) -> u32 {
    let (from, to) = (to_lab(from), to_lab(to));
    let mut lab = [0.0; 3];
    for (mixed, (a, b)) in lab.iter_mut().zip(from.into_iter().zip(to)) {
        *mixed = a + (b - a) * amount;
    }
    from_lab(lab)
}

/// Returns the index of the closest colour of xterm's colour cube (16 to 231) and grey ramp (232 to
/// 255).
pub fn nearest_index(rgb: u32) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let [_, red, green, blue] = rgb.to_be_bytes();
    let level = |value: u8| (0..6).min_by_key(|&i| LEVELS[i].abs_diff(value)).unwrap_or_default();
    let cube = [level(red), level(green), level(blue)];
    let in_cube = cube.map(|i| LEVELS[i]);
    let mean = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let step = mean.saturating_sub(3).div_euclid(10).min(23) as u8;
    let grey = 8 + step * 10;
    let distance = |[r, g, b]: [u8; 3]| {
        [(r, red), (g, green), (b, blue)].map(|(x, y)| u32::from(x.abs_diff(y)).pow(2)).iter().sum()
    };
    let from_cube: u32 = distance(in_cube);
    if distance([grey; 3]) < from_cube {
        232 + step
    } else {
        let [r, g, b] = cube;
        (16 + 36 * r + 6 * g + b) as u8
    }
}

fn to_lab(rgb: u32) -> [f32; 3] {
    let [_, red, green, blue] = rgb.to_be_bytes();
    let [red, green, blue] = [red, green, blue].map(linear);
    let l = (0.412_221_46 * red + 0.536_332_55 * green + 0.051_445_995 * blue).cbrt();
    let m = (0.211_903_5 * red + 0.680_699_5 * green + 0.107_396_96 * blue).cbrt();
    let s = (0.088_302_46 * red + 0.281_718_85 * green + 0.629_978_7 * blue).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

fn from_lab([light, redness, yellowness]: [f32; 3]) -> u32 {
    let l = (light + 0.396_337_78 * redness + 0.215_803_76 * yellowness).powi(3);
    let m = (light - 0.105_561_346 * redness - 0.063_854_17 * yellowness).powi(3);
    let s = (light - 0.089_484_18 * redness - 1.291_485_5 * yellowness).powi(3);
    let [red, green, blue] = [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_94 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_38 * s,
        -0.004_196_086_3 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ]
    .map(encoded);
    u32::from_be_bytes([0, red, green, blue])
}

/// Converts an sRGB value to linear light (IEC 61966-2-1).
fn linear(value: u8) -> f32 {
    let value = f32::from(value) / 255.0;
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

fn encoded(light: f32) -> u8 {
    let light = light.clamp(0.0, 1.0);
    let value =
        if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (value * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_with_0_or_1_returns_the_input_colours() {
        for (from, to) in [(0x1C_2534, 0xFE_AD00), (0xD9_E2F0, 0x43_3700)] {
            assert_eq!(oklab(from, to, 0.0), from);
            assert_eq!(oklab(from, to, 1.0), to);
        }
    }

    #[test]
    fn each_xterm_colour_maps_to_itself() {
        assert_eq!(nearest_index(0x00_0000), 16);
        assert_eq!(nearest_index(0xFF_FFFF), 231);
        assert_eq!(nearest_index(0x5F_87AF), 16 + 36 + 12 + 3);
        assert_eq!(nearest_index(0x8A_8A8A), 245);
    }
}
