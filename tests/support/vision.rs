//! Measures colours: contrast (WCAG 2.2), distance (OKLab) and colour blindness. Does not know the
//! themes.

/// Red, green, blue: 0 to 255.
pub type Rgb = [u8; 3];

/// Kinds of colour vision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorVision {
    Usual,
    /// Without cones for long, middle and short wavelengths respectively.
    Protan,
    Deutan,
    Tritan,
}

impl ColorVision {
    pub const EACH: [Self; 4] = [Self::Usual, Self::Deutan, Self::Protan, Self::Tritan];

    /// Machado, Oliveira and Fernandes 2009, severity 1.0, on linear light. Chosen from the usual
    /// models; Viénot 1999 and Brettel 1997 are others.
    const fn matrix(self) -> [[f64; 3]; 3] {
        match self {
            Self::Usual => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            Self::Protan => [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
            Self::Deutan => [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
            Self::Tritan => [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        }
    }
}

/// Returns the contrast ratio, 1 to 21 (WCAG 2.2).
pub fn contrast(one: Rgb, other: Rgb) -> f64 {
    let luminance = |rgb| {
        let [red, green, blue] = light(rgb);
        0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
    };
    let (one, other) = (luminance(one), luminance(other));
    one.max(other) / one.min(other)
}

/// Returns the distance between two colours for this kind of vision.
pub fn distance(one: Rgb, other: Rgb, color_vision: ColorVision) -> f64 {
    let (one, other) = (oklab(one, color_vision), oklab(other, color_vision));
    one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// Returns the lightness, 0 (black) to 1 (white).
pub fn lightness(rgb: Rgb, color_vision: ColorVision) -> f64 {
    oklab(rgb, color_vision)[0]
}

/// Returns a colour of the colour cube (16 to 231) or the grey ramp of xterm.
pub fn indexed(index: u8) -> Rgb {
    match index {
        232.. => [8 + 10 * (index - 232); 3],
        16.. => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let cube = index - 16;
            [cube / 36, cube / 6 % 6, cube % 6].map(level)
        }
        _ => panic!("colour {index} is as the terminal likes"),
    }
}

fn light(rgb: Rgb) -> [f64; 3] {
    rgb.map(|value| {
        let value = f64::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    })
}

fn oklab(rgb: Rgb, color_vision: ColorVision) -> [f64; 3] {
    let seen = times(color_vision.matrix(), light(rgb)).map(|light| light.clamp(0.0, 1.0));
    let cone_response = times(
        [
            [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
            [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
            [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
        ],
        seen,
    );
    times(
        [
            [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
            [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
            [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
        ],
        cone_response.map(f64::cbrt),
    )
}

fn times(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum())
}
