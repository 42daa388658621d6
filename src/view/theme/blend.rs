//! Mixes two colours for blocks with some ports in use. Does not know the layout.

use std::sync::OnceLock;

use ratatui::style::Color;

use super::{Background, COLORED_OWNERS, Contrast, Depth, Role, Theme};
use crate::domain::StateClass;

/// Number of steps of the share in use, from none to all.
const STEPS: usize = 64;
/// Roles of ports in use: states, owners, other owners, muted.
const TAKEN: usize = StateClass::EACH.len() + COLORED_OWNERS + 2;
const FREE: usize = 4;
const BACKGROUNDS: usize = 2;
const CONTRASTS: usize = 2;
/// Colour depths that can mix: true colour and 256 colours.
const DEPTHS: usize = 2;

type Shades = [Color; STEPS + 1];

/// Cache of `blended`, which a frame needs thousands of times. Each entry is computed on first use.
static SHADES: [OnceLock<Box<Shades>>; TAKEN * FREE * BACKGROUNDS * CONTRASTS * DEPTHS] =
    [const { OnceLock::new() }; TAKEN * FREE * BACKGROUNDS * CONTRASTS * DEPTHS];

impl Theme {
    /// Returns the colour of a block with some ports in use: `role` mixed with the colour of the
    /// free ports, by the share (0 to 1) in use. LISTEN stays bright, so that one listening port
    /// among forty is visible. With sixteen colours or none, returns the colour of `role`.
    pub fn mixed(&self, role: Role, free: Role, share: f32) -> Color {
        let step = (share.clamp(0.0, 1.0) * STEPS as f32).round() as usize;
        if step == STEPS || self.depth <= Depth::Sixteen {
            return self.color(role);
        }
        let Some(slot) = self.slot(role, free) else { return self.blended(role, free, step) };
        let shades = || Box::new(std::array::from_fn(|step| self.blended(role, free, step)));
        SHADES[slot].get_or_init(shades)[step]
    }

    fn blended(&self, role: Role, free: Role, step: usize) -> Color {
        let share = step as f32 / STEPS as f32;
        let least = if role == Role::Class(StateClass::Listen) { 0.85 } else { 0.0 };
        // With high contrast a single used port in a block is more visible.
        let lowest = if self.contrast == Contrast::High { 0.75 } else { 0.60 };
        let amount = (lowest + (1.0 - lowest) * share.powf(0.9)).max(least);
        self.mix(self.true_color(free), self.true_color(role), amount)
    }

    /// Returns the cache index of a pair of roles. None: the pair is too rare to be cached.
    fn slot(&self, role: Role, free: Role) -> Option<usize> {
        let classes = StateClass::EACH.len();
        let taken = match role {
            Role::Class(class) => class as usize,
            Role::Category(rank) => classes + usize::from(rank) % COLORED_OWNERS,
            Role::OtherCategory => classes + COLORED_OWNERS,
            Role::Muted => classes + COLORED_OWNERS + 1,
            _ => return None,
        };
        let free = match free {
            Role::Outside => 0,
            Role::System => 1,
            Role::Available => 2,
            Role::Reserved => 3,
            _ => return None,
        };
        let background = usize::from(self.background == Background::Light);
        let contrast = usize::from(self.contrast == Contrast::High);
        let depth = usize::from(self.depth == Depth::True);
        let theme = (background * CONTRASTS + contrast) * DEPTHS + depth;
        Some((theme * FREE + free) * TAKEN + taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_block_has_exactly_the_colour_of_its_state() {
        let theme = Theme::new(Depth::True, Background::Dark, false);
        let role = Role::Class(StateClass::TimeWait);
        assert_eq!(theme.mixed(role, Role::Available, 1.0), theme.color(role));
        assert_eq!(theme.color(role), Color::Rgb(0xFE, 0xAD, 0x00));
    }

    #[test]
    fn a_partly_occupied_block_is_darker_but_a_listening_port_stays_bright() {
        let theme = Theme::new(Depth::True, Background::Dark, false);
        let red = |role, share| match theme.mixed(role, Role::Available, share) {
            Color::Rgb(red, ..) => red,
            other => panic!("{other:?} is no true colour"),
        };
        assert!(red(Role::Class(StateClass::TimeWait), 0.1) < 0xD0);
        assert!(red(Role::Class(StateClass::Listen), 0.1) > 0xD0);
    }

    #[test]
    fn no_two_pairs_share_their_shades() {
        let classes = StateClass::EACH.map(Role::Class);
        let owners = (0..COLORED_OWNERS as u8).map(Role::Category);
        let taken: Vec<Role> =
            classes.into_iter().chain(owners).chain([Role::OtherCategory, Role::Muted]).collect();
        let mut seen = std::collections::HashSet::new();
        for background in [Background::Dark, Background::Light] {
            for contrast in [Contrast::Normal, Contrast::High] {
                for depth in [Depth::Indexed, Depth::True] {
                    let theme = Theme::new(depth, background, false).with_contrast(contrast);
                    for free in [Role::Outside, Role::System, Role::Available, Role::Reserved] {
                        for &role in &taken {
                            let slot = theme.slot(role, free).expect("these are kept");
                            assert!(seen.insert(slot), "{role:?} over {free:?}");
                            assert_eq!(
                                theme.mixed(role, free, 0.25),
                                theme.blended(role, free, STEPS / 4)
                            );
                        }
                    }
                }
            }
        }
        assert_eq!(seen.len(), SHADES.len());
    }
}
