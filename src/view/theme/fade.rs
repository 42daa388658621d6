//! Fades colours towards the colour below them. Does not decide how fast.

use ratatui::style::{Color, Style};

use super::{Depth, Role, Theme};

/// Share (0 to 1) of a mark's colour that is left after each step, from step 0.
const LEFT: [f32; 4] = [1.0, 0.70, 0.45, 0.22];

impl Theme {
    /// Returns the colour of `role` after `step` steps (0 to 3) of fading towards `below`. With
    /// sixteen colours or none, or if the RGB value of `below` is not known, returns the colour of
    /// `role` for steps 0 and 1, then `below`.
    pub fn faded(&self, role: Role, below: Color, step: u8) -> Color {
        let amount = LEFT[usize::from(step).min(LEFT.len() - 1)];
        if step == 0 {
            return self.color(role);
        }
        match (self.depth, rgb(below)) {
            (Depth::True | Depth::Indexed, Some(below)) => {
                self.mix(below, self.true_color(role), amount)
            }
            _ if step < 2 => self.color(role),
            _ => below,
        }
    }

    /// Returns the style of a badge over `below` after `step` steps of fading. None: the badge has
    /// disappeared, from step 3 on with sixteen colours or none.
    pub fn faded_badge(&self, role: Role, below: Color, step: u8) -> Option<Style> {
        match (self.depth, step) {
            (_, 0) => Some(self.badge(role)),
            (Depth::Monochrome | Depth::Sixteen, 3..) => None,
            (Depth::Monochrome, _) => Some(Style::reset()),
            (Depth::Sixteen, _) => Some(Style::new().fg(self.color(role)).bg(below)),
            _ => {
                let ink = if step < 2 { self.color(Role::Ink) } else { self.color(role) };
                Some(Style::new().fg(ink).bg(self.faded(role, below, step)))
            }
        }
    }
}

/// Returns the RGB value. None: the terminal's default or one of the sixteen base colours, which
/// differ between terminals.
pub fn rgb(color: Color) -> Option<u32> {
    match color {
        Color::Rgb(red, green, blue) => Some(u32::from_be_bytes([0, red, green, blue])),
        Color::Indexed(index @ 16..=231) => {
            let cube = index - 16;
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let [red, green, blue] = [cube / 36, cube / 6 % 6, cube % 6].map(level);
            Some(u32::from_be_bytes([0, red, green, blue]))
        }
        Color::Indexed(index @ 232..) => {
            let grey = 8 + 10 * (index - 232);
            Some(u32::from_be_bytes([0, grey, grey, grey]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Background;

    #[test]
    fn each_fade_step_is_closer_to_the_colour_below() {
        let theme = Theme::new(Depth::True, Background::Dark, false);
        let steps =
            [0, 1, 2, 3].map(|step| theme.faded(Role::Allocated, Color::Rgb(0, 0, 0), step));
        let reds = steps.map(|color| match color {
            Color::Rgb(red, ..) => red,
            other => panic!("{other:?} is no true colour"),
        });
        assert!(reds.is_sorted_by(|a, b| a > b), "{reds:?}");
    }

    #[test]
    fn without_colour_marks_stay_until_the_last_fade_step() {
        let left = |step| Theme::MONOCHROME.faded_badge(Role::Collision, Color::Reset, step);
        assert!(left(0).is_some() && left(2).is_some() && left(3).is_none());
    }
}
