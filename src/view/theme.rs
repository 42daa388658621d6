//! Maps each role to a colour, for each kind of terminal. The callers choose the roles.

mod blend;
mod depth;
mod dim_area;
mod fade;
mod high;
mod mix;
mod palette;
mod ramp;

use ratatui::{
    style::{Color, Modifier, Style},
    symbols::border,
};

use crate::{domain::StateClass, view::words};
use palette::Swatch;

pub use depth::Depth;

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Whether the terminal's background is dark or light.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    #[default]
    Dark,
    Light,
}

/// What a colour can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The terminal's default foreground.
    Text,
    Dim,
    Faint,
    Border,
    /// Keys, the range bracket, the pointer of a selected row.
    Accent,
    Ok,
    Warn,
    Critical,
    Selected,
    /// Free ports outside the ephemeral range.
    Outside,
    /// Free ports of 0–1023 outside the ephemeral range.
    System,
    /// Free ports in the ephemeral range.
    Available,
    /// Reserved ports that are free.
    Reserved,
    Class(StateClass),
    /// Categories without an order, such as protocols or the seven largest owners.
    Category(u8),
    OtherCategory,
    /// A step of an ordered scale of ages or densities, 0 to `SCALE_TOP`. With sixteen colours some
    /// neighbouring steps share a colour, so a letter or glyph must distinguish them.
    Scale(u8),
    /// A step of the attempt density of a block, 0 to `HEAT_TOP`. Step 0 means no attempts and has
    /// the colour of available ports. With sixteen colours steps 1 and 2 share a colour.
    Heat(u8),
    /// Occupied ports that are only the background of something else.
    Muted,
    Cursor,
    Collision,
    Allocated,
    /// Text on a bright background.
    Ink,
}

/// The last step of `Role::Scale`.
pub const SCALE_TOP: u8 = 7;
/// The last step of `Role::Heat`.
pub const HEAT_TOP: u8 = 6;

/// The contrast of the colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contrast {
    #[default]
    Normal,
    /// For projectors and poor eyesight.
    High,
}

/// Number of owners that get their own colour. More colours would be too similar.
pub const COLORED_OWNERS: usize = 7;

/// The settings of colours and glyphs for one terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    pub depth: Depth,
    pub background: Background,
    pub contrast: Contrast,
    /// Uses ASCII glyphs only.
    pub ascii: bool,
}

impl Theme {
    pub const MONOCHROME: Self = Self::new(Depth::Monochrome, Background::Dark, false);

    pub const fn new(depth: Depth, background: Background, ascii: bool) -> Self {
        Self { depth, background, contrast: Contrast::Normal, ascii }
    }

    #[must_use]
    pub fn with_contrast(self, contrast: Contrast) -> Self {
        Self { contrast, ..self }
    }

    /// Returns the theme to which the key `T` switches.
    #[must_use]
    pub fn next(&self) -> Self {
        let (background, contrast) = match (self.background, self.contrast) {
            (Background::Dark, Contrast::Normal) => (Background::Light, Contrast::Normal),
            (Background::Light, Contrast::Normal) => (Background::Dark, Contrast::High),
            (Background::Dark, Contrast::High) => (Background::Light, Contrast::High),
            (Background::Light, Contrast::High) => (Background::Dark, Contrast::Normal),
        };
        Self { background, contrast, ..self.clone() }
    }

    /// Returns the name shown when `T` is pressed.
    pub fn name(&self) -> &'static str {
        match (self.depth, self.background, self.contrast) {
            (Depth::Monochrome, ..) => "no colour",
            (_, Background::Dark, Contrast::Normal) => "dark",
            (_, Background::Light, Contrast::Normal) => "light",
            (_, Background::Dark, Contrast::High) => "dark, high contrast",
            (_, Background::Light, Contrast::High) => "light, high contrast",
        }
    }

    pub fn has_color(&self) -> bool {
        self.depth != Depth::Monochrome
    }

    /// Returns whether blocks are drawn as glyphs, so that a line shows only one row of blocks.
    pub fn needs_whole_cells(&self) -> bool {
        self.ascii || !self.has_color()
    }

    pub fn color(&self, role: Role) -> Color {
        let swatch = self.swatch(role);
        match (self.depth, self.background) {
            (Depth::Monochrome, _) => Color::Reset,
            (Depth::Sixteen, Background::Dark) => swatch.dark16,
            (Depth::Sixteen, Background::Light) => swatch.light16,
            _ if swatch == Swatch::TERMINAL => Color::Reset,
            (Depth::Indexed, Background::Dark) => Color::Indexed(swatch.dark256),
            (Depth::Indexed, Background::Light) => Color::Indexed(swatch.light256),
            (Depth::True, Background::Dark) => mix::color(swatch.dark),
            (Depth::True, Background::Light) => mix::color(swatch.light),
        }
    }

    /// Returns the style for text. Without colour some roles are bold or reversed.
    pub fn style(&self, role: Role) -> Style {
        let modifier = match role {
            _ if self.has_color() => Modifier::empty(),
            Role::Accent => Modifier::BOLD,
            Role::Selected | Role::Cursor | Role::Allocated => Modifier::REVERSED,
            _ => Modifier::empty(),
        };
        match role {
            Role::Selected if self.depth == Depth::Sixteen => {
                // Coloured text is hard to read on any of the base colours.
                let ink = match self.background {
                    Background::Dark => Color::White,
                    Background::Light => Color::Black,
                };
                Style::new().fg(ink).bg(self.color(role))
            }
            Role::Selected => Style::new().bg(self.color(role)).add_modifier(modifier),
            _ => Style::new().fg(self.color(role)).add_modifier(modifier),
        }
    }

    /// Returns the style for a filled label with text: program name, cursor number, state.
    pub fn badge(&self, role: Role) -> Style {
        if self.has_color() {
            Style::new().fg(self.color(Role::Ink)).bg(self.color(role))
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// Returns one of portscope's own texts as this theme can show it: `→` as `->` in ASCII.
    pub fn own_text(&self, text: &str) -> String {
        if self.ascii { words::ascii(text) } else { text.to_owned() }
    }

    /// Returns `unicode`, or `ascii` on terminals limited to ASCII.
    pub fn glyph<T>(&self, unicode: T, ascii: T) -> T {
        if self.ascii { ascii } else { unicode }
    }

    /// Returns the line characters of a frame.
    pub fn border_set(&self) -> border::Set<'static> {
        self.glyph(border::PLAIN, ASCII_BORDER)
    }

    fn swatch(&self, role: Role) -> Swatch {
        match self.contrast {
            Contrast::Normal => palette::swatch(role),
            Contrast::High => high::swatch(role),
        }
    }

    /// Mixes two colours; `amount` is the share of `to`, 0 to 1. Only with 256 colours or more.
    fn mix(&self, from: u32, to: u32, amount: f32) -> Color {
        let mixed = mix::oklab(from, to, amount);
        match self.depth {
            Depth::True => mix::color(mixed),
            _ => Color::Indexed(mix::nearest_index(mixed)),
        }
    }

    fn true_color(&self, role: Role) -> u32 {
        let swatch = self.swatch(role);
        match self.background {
            Background::Dark => swatch.dark,
            Background::Light => swatch.light,
        }
    }
}

/// Returns the letter of a state class, which makes the class readable without colour.
pub fn letter(class: StateClass) -> char {
    match class {
        StateClass::Listen => 'L',
        StateClass::Closing => 'C',
        StateClass::Bound => 'B',
        StateClass::Udp => 'U',
        StateClass::Established => 'E',
        StateClass::TimeWait => 'T',
    }
}

/// Returns the letter of an owner, counted from 0 by rank, which makes the owner readable without
/// colour. The letter is lower case, because those of states are capitals.
pub fn owner_letter(rank: u8) -> char {
    char::from(b'a' + rank % COLORED_OWNERS as u8)
}

pub const OTHER_OWNER_LETTER: char = '+';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monochrome_theme_uses_no_colours() {
        let classes = StateClass::EACH.map(Role::Class);
        for role in classes.into_iter().chain([Role::Dim, Role::Cursor, Role::Category(3)]) {
            assert_eq!(Theme::MONOCHROME.color(role), Color::Reset);
            assert_eq!(Theme::MONOCHROME.mixed(role, Role::Available, 0.5), Color::Reset);
        }
    }

    #[test]
    fn next_theme_cycles_through_all_themes() {
        let first = Theme::new(Depth::True, Background::Dark, false);
        let mut names = vec![first.name()];
        let mut theme = first.next();
        while theme != first {
            names.push(theme.name());
            theme = theme.next();
        }
        assert_eq!(names, ["dark", "light", "dark, high contrast", "light, high contrast"]);
    }

    #[test]
    fn text_uses_the_default_colours_of_the_terminal() {
        for depth in [Depth::Sixteen, Depth::Indexed, Depth::True] {
            for background in [Background::Dark, Background::Light] {
                assert_eq!(Theme::new(depth, background, false).color(Role::Text), Color::Reset);
            }
        }
    }
}
