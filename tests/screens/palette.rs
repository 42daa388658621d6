//! Measures the palettes: contrast, and distance as seen with colour blindness. Does not test where
//! they are used.
//!
//! `cargo test --test screens palette:: -- --nocapture` prints the figures.

#![allow(clippy::print_stdout, reason = "the figures are worth reading")]

use portscope::{
    domain::StateClass,
    view::{
        Background, Contrast, Depth, Role, Theme,
        theme::{HEAT_TOP, SCALE_TOP},
    },
};
use ratatui::style::Color;

use crate::vision::{ColorVision, Rgb, contrast, distance, indexed, lightness};

const BLACK: Rgb = [0; 3];
const WHITE: Rgb = [255; 3];
/// The six classes and "dark", in the order in which owners use their colours.
const STATES: [(&str, Role); 7] = [
    ("UDP", Role::Category(0)),
    ("BOUND", Role::Category(1)),
    ("LISTEN", Role::Category(2)),
    ("closing", Role::Category(3)),
    ("dark", Role::Category(4)),
    ("ESTABLISHED", Role::Category(5)),
    ("TIME-WAIT", Role::Category(6)),
];

fn theme(background: Background, contrast: Contrast) -> Theme {
    Theme::new(Depth::True, background, false).with_contrast(contrast)
}

fn themes() -> impl Iterator<Item = Theme> {
    [Contrast::Normal, Contrast::High].into_iter().flat_map(|contrast| {
        [Background::Dark, Background::Light].map(|background| theme(background, contrast))
    })
}

fn rgb(theme: &Theme, role: Role) -> Rgb {
    match theme.color(role) {
        Color::Rgb(red, green, blue) => [red, green, blue],
        Color::Indexed(index) => indexed(index),
        other => panic!("{role:?} is {other:?}"),
    }
}

/// Returns the background that the theme assumes for the terminal.
fn background(theme: &Theme) -> Rgb {
    if theme.background == Background::Dark { BLACK } else { WHITE }
}

fn closest_states(theme: &Theme, color_vision: ColorVision) -> (f64, &'static str, &'static str) {
    let pairs = STATES
        .iter()
        .enumerate()
        .flat_map(|(index, one)| STATES[..index].iter().map(move |other| (one, other)));
    let distances = pairs.map(|(&(one, a), &(other, b))| {
        (distance(rgb(theme, a), rgb(theme, b), color_vision), one, other)
    });
    distances.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are seven states")
}

/// `floors`: minimum distances, in the order of `ColorVision::EACH`.
fn assert_states_apart(theme: &Theme, floors: [f64; 4]) {
    for (color_vision, floor) in ColorVision::EACH.into_iter().zip(floors) {
        let (color_distance, one, other) = closest_states(theme, color_vision);
        println!(
            "{:22} {color_vision:?}: closest {one} and {other}, {color_distance:.4}",
            theme.name()
        );
        assert!(
            color_distance >= floor,
            "{}: {one} and {other} for {color_vision:?}: {color_distance}",
            theme.name()
        );
    }
}

/// The designed distances, rounded to three digits.
#[test]
fn state_colours_keep_the_designed_distance() {
    let rounding = 0.000_5;
    let dark = [0.138, 0.110, 0.109, 0.087].map(|floor| floor - rounding);
    let light = [0.168, 0.101, 0.100, 0.085].map(|floor| floor - rounding);
    assert_states_apart(&theme(Background::Dark, Contrast::Normal), dark);
    assert_states_apart(&theme(Background::Light, Contrast::Normal), light);
}

#[test]
fn high_contrast_states_are_further_apart_for_every_colour_vision() {
    for background in [Background::Dark, Background::Light] {
        let (normal, high) =
            (theme(background, Contrast::Normal), theme(background, Contrast::High));
        let floors =
            ColorVision::EACH.map(|color_vision| closest_states(&normal, color_vision).0 * 1.05);
        assert_states_apart(&high, floors);
    }
}

/// With 256 colours the nearest colours are used: these are the resulting distances.
#[test]
fn states_differ_with_256_colours() {
    for (normal, floor) in themes().zip([0.073, 0.058, 0.097, 0.084]) {
        let theme = Theme { depth: Depth::Indexed, ..normal };
        let mut indices: Vec<String> =
            STATES.map(|(_, role)| theme.color(role).to_string()).to_vec();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), STATES.len(), "{}: {indices:?}", theme.name());
        assert_states_apart(&theme, [floor; 4]);
    }
}

#[test]
fn occupied_and_free_ports_have_distinct_colours() {
    const FREE: [Role; 3] = [Role::Outside, Role::System, Role::Available];
    for (theme, floor) in themes().zip([0.249, 0.271, 0.265, 0.262]) {
        for color_vision in ColorVision::EACH {
            let pairs = STATES.iter().flat_map(|&(name, state)| {
                FREE.map(|free| {
                    (distance(rgb(&theme, state), rgb(&theme, free), color_vision), name, free)
                })
            });
            let (color_distance, state, free) =
                pairs.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are seven states");
            println!(
                "{:22} {color_vision:?}: {state} over {free:?}, {color_distance:.3}",
                theme.name()
            );
            assert!(
                color_distance >= floor,
                "{}: {state} over {free:?}: {color_distance}",
                theme.name()
            );
        }
    }
}

#[test]
fn text_has_enough_contrast_on_the_background() {
    // Faint (separators and axis ticks) and Border (lines) are no text and have lower limits.
    let normal = [
        (Role::Dim, 4.5),
        (Role::Accent, 4.5),
        (Role::Ok, 4.5),
        (Role::Warn, 4.5),
        (Role::Critical, 4.5),
        (Role::Faint, 3.0),
        (Role::Border, 1.9),
    ];
    for theme in themes() {
        for (role, floor) in normal {
            let floor = if theme.contrast == Contrast::High { 7.0 } else { floor };
            let ratio = contrast(rgb(&theme, role), background(&theme));
            println!("{:22} {role:?}: {ratio:.2}:1", theme.name());
            assert!(ratio >= floor, "{} {role:?}: {ratio}", theme.name());
        }
        assert_eq!(theme.color(Role::Text), Color::Reset, "text is the terminal's own");
    }
}

/// Themes whose colours do not reach 4.5:1 have a lower limit here.
#[test]
fn letters_have_enough_contrast_on_state_colours() {
    for (theme, floor) in themes().zip([4.0, 3.1, 4.5, 4.5]) {
        let ink = rgb(&theme, Role::Ink);
        let badges = STATES.into_iter().chain([
            ("cursor", Role::Cursor),
            ("collision", Role::Collision),
            ("allocated", Role::Allocated),
            ("accent", Role::Accent),
        ]);
        for (name, role) in badges {
            let ratio = contrast(rgb(&theme, role), ink);
            println!("{:22} ink on {name}: {ratio:.2}:1", theme.name());
            assert!(ratio >= floor, "{} {name}: {ratio}", theme.name());
        }
    }
}

#[test]
fn the_selected_row_has_enough_contrast() {
    for (theme, floor) in themes().zip([1.8, 1.29, 2.5, 1.7]) {
        let selected = rgb(&theme, Role::Selected);
        let opposite = if theme.background == Background::Dark { WHITE } else { BLACK };
        let (seen, read) = (contrast(selected, background(&theme)), contrast(opposite, selected));
        println!("{:22} selected row: {seen:.2}:1, text on it {read:.2}:1", theme.name());
        assert!(seen >= floor && read >= 7.0, "{}: {seen} {read}", theme.name());
    }
}

#[test]
fn ramps_are_monotonic_in_lightness_for_every_colour_vision() {
    for theme in themes() {
        for depth in [Depth::Indexed, Depth::True] {
            let theme = Theme { depth, ..theme.clone() };
            let scale: Vec<_> = (0..=SCALE_TOP).map(Role::Scale).collect();
            let heat: Vec<_> = (0..=HEAT_TOP).map(Role::Heat).collect();
            for (ramp, color_vision) in
                [&scale, &heat].into_iter().flat_map(|r| ColorVision::EACH.map(|e| (r, e)))
            {
                let steps: Vec<f64> =
                    ramp.iter().map(|&role| lightness(rgb(&theme, role), color_vision)).collect();
                let towards = if theme.background == Background::Dark { 1.0 } else { -1.0 };
                let least =
                    steps.windows(2).map(|pair| (pair[1] - pair[0]) * towards).fold(1.0, f64::min);
                println!(
                    "{:22} {depth:?} {:?} {color_vision:?}: {least:.3}",
                    theme.name(),
                    ramp[0]
                );
                let floor = if depth == Depth::True { 0.028 } else { 0.008 };
                assert!(
                    least >= floor,
                    "{} {depth:?} {color_vision:?} {ramp:?}: {steps:.3?}",
                    theme.name()
                );
            }
        }
    }
}

#[test]
fn the_first_step_of_a_ramp_is_visible() {
    for theme in themes() {
        let available = rgb(&theme, Role::Available);
        for first in [Role::Scale(0), Role::Heat(1)] {
            let color_distance = distance(rgb(&theme, first), available, ColorVision::Usual);
            println!("{:22} {first:?} over available: {color_distance:.3}", theme.name());
            assert!(color_distance >= 0.15, "{} {first:?}: {color_distance}", theme.name());
        }
        assert_eq!(theme.color(Role::Heat(0)), theme.color(Role::Available));
    }
}

/// Sixteen colours do not suffice for eight steps; a letter on the map distinguishes equal ones.
#[test]
fn with_16_colours_at_most_two_neighbouring_steps_share_a_colour() {
    for background in [Background::Dark, Background::Light] {
        let theme = Theme::new(Depth::Sixteen, background, false);
        let colors: Vec<_> = (0..=SCALE_TOP).map(|step| theme.color(Role::Scale(step))).collect();
        assert!(colors.chunk_by(|a, b| a == b).all(|same| same.len() <= 2), "{colors:?}");
        let free = [Role::Available, Role::Reserved, Role::Outside].map(|role| theme.color(role));
        for step in 1..=HEAT_TOP {
            assert!(!free.contains(&theme.color(Role::Heat(step))), "step {step}");
        }
        assert!(colors.iter().all(|color| !free.contains(color)), "{colors:?}");
    }
}

/// The base colours in the order of their numbers. Terminals choose the values; these are xterm's.
const BASE: [(Color, Rgb); 16] = [
    (Color::Black, [0, 0, 0]),
    (Color::Red, [205, 0, 0]),
    (Color::Green, [0, 205, 0]),
    (Color::Yellow, [205, 205, 0]),
    (Color::Blue, [0, 0, 238]),
    (Color::Magenta, [205, 0, 205]),
    (Color::Cyan, [0, 205, 205]),
    (Color::Gray, [229, 229, 229]),
    (Color::DarkGray, [127, 127, 127]),
    (Color::LightRed, [255, 0, 0]),
    (Color::LightGreen, [0, 255, 0]),
    (Color::LightYellow, [255, 255, 0]),
    (Color::LightBlue, [92, 92, 255]),
    (Color::LightMagenta, [255, 0, 255]),
    (Color::LightCyan, [0, 255, 255]),
    (Color::White, [255, 255, 255]),
];

fn of_sixteen(theme: &Theme, role: Role) -> Rgb {
    let color = theme.color(role);
    BASE.iter().find(|(base, _)| *base == color).expect("one of the sixteen colours").1
}

fn distance_of_sixteen(theme: &Theme, pair: [Role; 2], color_vision: ColorVision) -> f64 {
    let [one, other] = pair.map(|role| of_sixteen(theme, role));
    distance(one, other, color_vision)
}

/// `Theme`s with sixteen colours on this background.
fn with_sixteen(background: Background) -> [Theme; 2] {
    [Contrast::Normal, Contrast::High]
        .map(|contrast| Theme::new(Depth::Sixteen, background, false).with_contrast(contrast))
}

/// The resulting distances of states from each other and from free ports, in the order of
/// `ColorVision::EACH`.
#[test]
fn states_differ_in_sixteen_colours() {
    for (background, floors) in [
        (Background::Dark, [0.14, 0.10, 0.08, 0.10]),
        (Background::Light, [0.20, 0.16, 0.06, 0.10]),
    ] {
        let classes = StateClass::EACH.map(Role::Class);
        let others = classes.into_iter().chain([Role::Available, Role::Outside]);
        let others: Vec<Role> = others.collect();
        let pairs = (0..classes.len()).flat_map(|index| {
            others[index + 1..].iter().map(move |&other| [classes[index], other])
        });
        let pairs: Vec<[Role; 2]> = pairs.collect();
        for theme in with_sixteen(background) {
            for (color_vision, floor) in ColorVision::EACH.into_iter().zip(floors) {
                let distances = pairs
                    .iter()
                    .map(|&pair| (distance_of_sixteen(&theme, pair, color_vision), pair));
                let closest = distances.min_by(|a, b| a.0.total_cmp(&b.0)).expect("pairs");
                println!("{} {color_vision:?}: {closest:.3?}", theme.name());
                assert!(closest.0 >= floor, "{} {color_vision:?}: {closest:?}", theme.name());
            }
        }
    }
}

/// UDP keeps more distance from the states beside which it is most often seen.
#[test]
fn udp_differs_from_connections_in_sixteen_colours() {
    for theme in [Background::Dark, Background::Light].into_iter().flat_map(with_sixteen) {
        for (class, floor) in [(StateClass::Established, 0.29), (StateClass::TimeWait, 0.17)] {
            let pair = [StateClass::Udp, class].map(Role::Class);
            for color_vision in ColorVision::EACH {
                let color_distance = distance_of_sixteen(&theme, pair, color_vision);
                println!("{} {color_vision:?} {class:?}: {color_distance:.4}", theme.name());
                assert!(color_distance >= floor, "{} {color_vision:?} {class:?}", theme.name());
            }
        }
    }
}
