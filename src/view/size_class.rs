//! How much room a screen has, in classes. Each screen sets the limits of its classes.

use ratatui::layout::Rect;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SizeClass {
    /// A few words.
    Tiny,
    /// One column, or a map with a column of facts.
    Small,
    /// Two columns, or facts in sections.
    Medium,
    Large,
    Huge,
}

impl SizeClass {
    const EACH: [Self; 5] = [Self::Tiny, Self::Small, Self::Medium, Self::Large, Self::Huge];

    /// Returns the class of an area. `limits` are the minimum sizes (columns, lines) of the classes
    /// from `Small` on.
    pub fn of(area: Rect, limits: [(u16, u16); 4]) -> Self {
        let fits = |&&(width, height): &&(u16, u16)| area.width >= width && area.height >= height;
        Self::EACH[limits.iter().take_while(fits).count()]
    }
}
